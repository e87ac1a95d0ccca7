/**
 * A port as the switch sees it: its configuration, and the compiled form the packet path reads. What carries the frames
 * (TAP, socket, file) is in ports/.
 */
import { parseMac } from '../packet/index.js';
import { AddressList } from './address-list.js';
import { PortVlan, type VlanConfig } from './vlan.js';

export const STATE_UP = 0;
export const STATE_DOWN = 1;
/** Cut off by an operator or a response action; the link stays up, nothing passes. */
export const STATE_QUARANTINE = 2;
export type PortState = 'up' | 'down' | 'quarantine';

/** Frames per second, each limit with its own drop reason. Absent = no limit. */
export interface StormLimits {
  readonly broadcast?: number;
  readonly multicast?: number;
}

/** vSphere's word for each of the three address checks. */
export type AcceptReject = 'accept' | 'reject';

export interface PortSecurityConfig {
  /** Frames from the guest whose source MAC is not the port's. Default reject. Needs `mac`. */
  readonly forgedTransmits?: AcceptReject;
  /**
   * The guest gave its adapter another MAC than configured. Reject (default): nothing is delivered to the port until it is
   * set back. The adapter's address is told by `Switch.setEffectiveMac` (QEMU rx-filter events); without that it is
   * inferred from source addresses, which only forgedTransmits "accept" lets through.
   */
  readonly macChanges?: AcceptReject;
  /** Accept: the port sees every frame of its VLANs. Reject (default): only its own unicast, broadcast and multicast. */
  readonly promiscuous?: AcceptReject;
  /** IPv6 link-local sources pass even when `ips` does not list them. Default true: without them IPv6 does not work. */
  readonly allowLinkLocal?: boolean;
  /** Drop bridge protocol frames (STP, LLDP, CDP, ...) from and to the port. Default true for VMs, false for uplinks. */
  readonly bpduFilter?: boolean;
  /** Bridge protocol destinations let through all the same. */
  readonly bpduAllowed?: readonly string[];
  /** Drop DHCP and DHCPv6 server messages from the port. Default true for VMs, false for uplinks. */
  readonly dhcpServerBlock?: boolean;
  /** Drop DHCP and DHCPv6 client messages from the port. Default false. */
  readonly dhcpClientBlock?: boolean;
  /** Drop IPv6 router advertisements from the port. Default true for VMs, false for uplinks. */
  readonly raGuard?: boolean;
  /** Let only IPv4, IPv6, ARP, RARP and bridge protocols in. Default false. */
  readonly nonIpBlock?: boolean;
  /** Storm limits for frames from the port and to the port. */
  readonly rx?: StormLimits;
  readonly tx?: StormLimits;
}

export interface SwitchPortConfig {
  readonly name: string;
  /** `vm` (default) or `uplink`: the outside, where routers, DHCP servers and bridges are legitimate. */
  readonly role?: 'vm' | 'uplink';
  /** Initial MAC of the VM's adapter. Without it the three address checks have nothing to compare with and pass. */
  readonly mac?: string;
  /** Further MACs the guest may use (VRRP, nested guests). */
  readonly allowedMacs?: readonly string[];
  /** Addresses or prefixes the guest may use as source, in IP headers, ARP and neighbour discovery. Absent = any. */
  readonly ips?: readonly string[];
  /** Default up. */
  readonly state?: PortState;
  /** Default access VLAN 1. */
  readonly vlan?: VlanConfig;
  /** Protected port: exchanges no frames with other isolated ports. Default false. */
  readonly isolated?: boolean;
  /** Inspect only (mirror, replay): frames are judged and then consumed, none is switched. Default false. */
  readonly passive?: boolean;
  /** Virtual wire: everything from this port leaves by that one, without learning or VLAN handling. */
  readonly forwardTo?: string;
  readonly security?: PortSecurityConfig;
}

/** Token buckets of a port: index * BUCKETS + one of these. */
export const BUCKET_RX_BROADCAST = 0;
export const BUCKET_RX_MULTICAST = 1;
export const BUCKET_TX_BROADCAST = 2;
export const BUCKET_TX_MULTICAST = 3;
export const BUCKETS = 4;

export class SwitchPort {
  readonly index: number;
  readonly name: string;
  readonly vlan: PortVlan;
  readonly isolated: boolean;
  readonly passive: boolean;
  readonly forwardTo: string | undefined;
  /** Port index of the far end of the virtual wire, -1 = none. Resolved by the switch. */
  wire = -1;
  state: number;
  private readonly configuredState: number;
  /** The port takes part in switching: up, not passive, not a virtual wire. */
  switched = false;

  readonly hasMac: boolean;
  readonly forgedReject: boolean;
  readonly macChangeReject: boolean;
  readonly promiscuous: boolean;
  readonly ips: AddressList | null;
  readonly allowLinkLocal: boolean;
  readonly bpduFilter: boolean;
  readonly dhcpServerBlock: boolean;
  readonly dhcpClientBlock: boolean;
  readonly raGuard: boolean;
  readonly nonIpBlock: boolean;
  readonly rx: StormLimits;
  readonly tx: StormLimits;
  /** At least one storm limit for frames to this port. */
  readonly txLimited: boolean;

  /** The guest's adapter carries another address than configured. */
  macChanged = false;
  private effectiveKnown = false;
  private effectiveHi = 0;
  private effectiveLo = 0;
  private readonly macs: Int32Array; // hi, lo
  private readonly bpduAllowed: Int32Array; // hi, lo

  /** @throws SyntaxError, RangeError naming port and setting */
  constructor(index: number, config: SwitchPortConfig) {
    const security = config.security ?? {};
    const guarded = (config.role ?? 'vm') === 'vm';
    this.index = index;
    this.name = config.name;
    this.isolated = config.isolated ?? false;
    this.passive = config.passive ?? false;
    this.forwardTo = config.forwardTo;
    this.configuredState = stateNumber(config.state ?? 'up');
    this.state = this.configuredState;
    try {
      this.vlan = new PortVlan(config.vlan);
      this.macs = macWords([...(config.mac === undefined ? [] : [config.mac]), ...(config.allowedMacs ?? [])]);
      this.bpduAllowed = macWords(security.bpduAllowed ?? []);
      this.ips = config.ips === undefined ? null : new AddressList(config.ips);
      if (config.mac === undefined && config.allowedMacs !== undefined) throw new SyntaxError('allowedMacs needs mac');
      if (this.passive && this.forwardTo !== undefined) throw new SyntaxError('a passive port cannot forward to another one');
    } catch (error) {
      if (error instanceof Error) error.message = `port ${config.name}: ${error.message}`;
      throw error;
    }
    this.hasMac = config.mac !== undefined;
    this.forgedReject = this.hasMac && security.forgedTransmits !== 'accept';
    this.macChangeReject = this.hasMac && security.macChanges !== 'accept';
    this.promiscuous = security.promiscuous === 'accept';
    this.allowLinkLocal = security.allowLinkLocal ?? true;
    this.bpduFilter = security.bpduFilter ?? guarded;
    this.dhcpServerBlock = security.dhcpServerBlock ?? guarded;
    this.dhcpClientBlock = security.dhcpClientBlock ?? false;
    this.raGuard = security.raGuard ?? guarded;
    this.nonIpBlock = security.nonIpBlock ?? false;
    this.rx = security.rx ?? {};
    this.tx = security.tx ?? {};
    this.txLimited = this.tx.broadcast !== undefined || this.tx.multicast !== undefined;
  }

  /** One of the MACs the configuration gives the port. */
  owns(hi: number, lo: number): boolean {
    return contains(this.macs, hi, lo);
  }

  /** The address the control plane says the adapter carries now. */
  isEffective(hi: number, lo: number): boolean {
    return this.effectiveKnown && this.effectiveHi === hi && this.effectiveLo === lo;
  }

  /** A frame addressed to (hi, lo) may be delivered here. */
  listensTo(hi: number, lo: number): boolean {
    return !this.hasMac || this.promiscuous || this.owns(hi, lo) || this.isEffective(hi, lo);
  }

  allowsBpdu(hi: number, lo: number): boolean {
    return contains(this.bpduAllowed, hi, lo);
  }

  /** The control plane learnt the adapter's address from the hypervisor. */
  setEffectiveMac(hi: number, lo: number): void {
    this.effectiveKnown = true;
    this.effectiveHi = hi;
    this.effectiveLo = lo;
    this.macChanged = this.hasMac && !this.owns(hi, lo);
  }

  /** The guest used `own` (or a foreign) source address: all there is to infer a MAC change from without the control plane. */
  observeSource(own: boolean): void {
    if (!this.effectiveKnown) this.macChanged = !own;
  }

  /**
   * Take over what `old`, this port before a reconfiguration, knew at run time: its adapter's address, and a state set by
   * an operator or a response, unless the new configuration names another state than the old one did.
   */
  inherit(old: SwitchPort): void {
    if (this.configuredState === old.configuredState) this.state = old.state;
    if (old.effectiveKnown) this.setEffectiveMac(old.effectiveHi, old.effectiveLo);
    else this.macChanged = old.macChanged && this.hasMac;
  }

  /** Configured MACs. */
  get macCount(): number {
    return this.macs.length / 2;
  }

  /** Visit the configured MACs. */
  forEachMac(visit: (hi: number, lo: number) => void): void {
    for (let i = 0; i < this.macs.length; i += 2) visit(this.macs[i]!, this.macs[i + 1]!);
  }
}

export function stateNumber(state: PortState): number {
  return state === 'up' ? STATE_UP : state === 'down' ? STATE_DOWN : STATE_QUARANTINE;
}

function macWords(texts: readonly string[]): Int32Array {
  return Int32Array.from(
    texts.flatMap((text) => {
      const mac = parseMac(text);
      return [mac.hi, mac.lo];
    }),
  );
}

function contains(list: Int32Array, hi: number, lo: number): boolean {
  for (let i = 0; i < list.length; i += 2) if (list[i + 1] === lo && list[i] === hi) return true;
  return false;
}
