/**
 * VLANs of ports (IEEE 802.1Q). Three modes:
 * - access: the guest sends and receives untagged frames of one VLAN; priority tags (VID 0) are taken, other tags refused.
 * - trunk: tagged frames of the allowed VLANs; untagged ones belong to the native VLAN, or are refused without one.
 * - tunnel (QinQ, 802.1ad): everything the guest sends, tagged or not, travels inside one VLAN and comes out as it was.
 * Only the outer tag is the switch's business: inner tags pass through untouched in every mode.
 */
import { TAG_KEEP, TAG_STRIP } from '../packet/index.js';

export const VLAN_MIN = 1;
export const VLAN_MAX = 4094;
export const VLAN_DEFAULT = 1;

export const MODE_ACCESS = 0;
export const MODE_TRUNK = 1;
export const MODE_TUNNEL = 2;

/** VLAN part of a port's configuration. */
export type VlanConfig =
  | { readonly mode: 'access'; readonly id: number }
  | { readonly mode: 'tunnel'; readonly id: number }
  | {
      readonly mode: 'trunk';
      /** Numbers and ranges such as "100-199"; absent = all VLANs. */
      readonly allowed?: readonly (number | string)[];
      /** VLAN of untagged frames, in and out. Absent: untagged frames are refused. Always allowed. */
      readonly native?: number;
    };

/** A port's VLANs in the form the packet path uses. */
export class PortVlan {
  readonly mode: number;
  /** Access or tunnel VLAN, native VLAN of a trunk; 0 = none. */
  readonly pvid: number;
  /** One bit per VLAN the port is a member of. */
  private readonly members = new Int32Array(128);

  /** @throws RangeError naming the VLAN and what is accepted */
  constructor(config: VlanConfig = { mode: 'access', id: VLAN_DEFAULT }) {
    if (config.mode === 'trunk') {
      this.mode = MODE_TRUNK;
      this.pvid = config.native === undefined ? 0 : checkVlan(config.native);
      for (const item of config.allowed ?? [`${VLAN_MIN}-${VLAN_MAX}`]) this.allow(item);
    } else {
      this.mode = config.mode === 'tunnel' ? MODE_TUNNEL : MODE_ACCESS;
      this.pvid = checkVlan(config.id);
    }
    if (this.pvid !== 0) this.set(this.pvid);
  }

  has(vlan: number): boolean {
    return (this.members[vlan >>> 5]! & (1 << (vlan & 31))) !== 0;
  }

  /** VLANs the port is a member of, ascending (control plane only). */
  list(): number[] {
    const vlans: number[] = [];
    for (let v = VLAN_MIN; v <= VLAN_MAX; v++) if (this.has(v)) vlans.push(v);
    return vlans;
  }

  /**
   * VLAN of a frame that came in by this port.
   * @param tci its outer tag, -1 when it has none
   * @returns 1..4094, or -1 when the port does not take it
   */
  classify(tci: number): number {
    if (this.mode === MODE_TUNNEL) return this.pvid;
    const vid = tci & 0xfff;
    if (tci < 0 || vid === 0) return this.pvid === 0 ? -1 : this.pvid;
    return this.mode === MODE_TRUNK && this.has(vid) ? vid : -1;
  }

  /**
   * Tag action (T_VLAN) for a frame of `vlan` leaving by this port.
   * @param tagged the frame's outer tag is the switch's own (it came from a trunk or carried a priority tag)
   * @param pcp priority bits for a tag that has to be added
   */
  egressTag(vlan: number, tagged: boolean, pcp: number): number {
    const wanted = this.mode === MODE_TRUNK && vlan !== this.pvid;
    if (wanted === tagged) return TAG_KEEP;
    return tagged ? TAG_STRIP : vlan | (pcp << 13);
  }

  private set(vlan: number): void {
    this.members[vlan >>> 5]! |= 1 << (vlan & 31);
  }

  private allow(item: number | string): void {
    if (typeof item === 'number') {
      this.set(checkVlan(item));
      return;
    }
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(item);
    if (match === null) throw new RangeError(`VLAN "${item}" is neither a number nor a range such as "100-199"`);
    const first = checkVlan(Number(match[1]));
    const last = checkVlan(Number(match[2] ?? match[1]));
    if (last < first) throw new RangeError(`VLAN range "${item}" ends before it starts`);
    for (let v = first; v <= last; v++) this.set(v);
  }
}

function checkVlan(vlan: number): number {
  if (!Number.isInteger(vlan) || vlan < VLAN_MIN || vlan > VLAN_MAX) throw new RangeError(`VLAN must be ${VLAN_MIN} to ${VLAN_MAX}, not ${vlan}`);
  return vlan;
}
