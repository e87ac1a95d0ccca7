/**
 * A port as the switch sees it: its configuration, and the compiled form the packet path reads. What carries the frames
 * (TAP, socket, file) is in ports/.
 */
import { parseMac } from '../packet/index.js';
import { AddressList } from './address-list.js';
import { ADDRESSES_PER_PORT, type AddressRules } from './address-table.js';
import { PortVlan, type VlanConfig } from './vlan.js';

export const STATE_UP = 0;
export const STATE_DOWN = 1;
/** Cut off by an operator or a response action; the link stays up, nothing passes. */
export const STATE_QUARANTINE = 2;
/** Cut off for a while by loop protection. */
export const STATE_LOOP = 3;
/** By STATE_ number. */
export const STATE_NAMES = ['up', 'down', 'quarantine', 'loop'] as const;
export type PortState = 'up' | 'down' | 'quarantine';

/** Frames per second, each limit with its own drop reason. Absent = no limit. */
export interface StormLimits {
  readonly broadcast?: number;
  readonly multicast?: number;
}

/** vSphere's word for each of the three address checks. */
export type AcceptReject = 'accept' | 'reject';

/** IP discovery: which addresses are behind the port, as ARP, neighbour discovery and DHCP tell. */
export interface DiscoveryConfig {
  readonly arp?: boolean;
  readonly nd?: boolean;
  readonly dhcp?: boolean;
  /** `first-use` (default): the first addresses are trusted for ever. `every-use`: as long as they are seen. */
  readonly trust?: 'first-use' | 'every-use';
  /** Addresses trusted on first use, by family. Default 1 and 8; link-local ones do not count. */
  readonly maxIpv4?: number;
  readonly maxIpv6?: number;
  /** Addresses not seen for this long are forgotten (trusted ones only with `every-use`). Default 600. */
  readonly ageingSeconds?: number;
}

export interface SpoofGuardConfig {
  /** `auto`: what discovery trusts may be used. `approve`: nothing before an operator approved it. `off` (default). */
  readonly mode?: 'off' | 'auto' | 'approve';
  /** Subnets the port may have addresses in. Default: any. */
  readonly authorised?: readonly string[];
}

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
  readonly discovery?: DiscoveryConfig;
  readonly spoofGuard?: SpoofGuardConfig;
  /**
   * A frame whose source is the configured MAC of another port is a loop or a forgery. `drop` (default): it is dropped.
   * `block`: and a port that sees more than LOOP_SIGNS of them, or of addresses moving to it, in a second is cut off.
   */
  readonly loopProtection?: 'off' | 'drop' | 'block';
  /** How long a looping port is cut off. Default 60. */
  readonly loopBlockSeconds?: number;
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

export const LOOP_OFF = 0;
export const LOOP_DROP = 1;
export const LOOP_BLOCK = 2;
/** Signs of a loop in one second that are no coincidence any more. */
export const LOOP_SIGNS = 10;

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
  /** SpoofGuard: what discovery trusts, or an operator approved, decides together with `ips`. */
  readonly guarded: boolean;
  /** Source addresses that are not the port's are refused. */
  readonly enforcesAddresses: boolean;
  readonly discoversArp: boolean;
  readonly discoversNd: boolean;
  readonly discoversDhcp: boolean;
  /** Addresses of its frames are looked at at all. */
  readonly readsAddresses: boolean;
  /** null = nothing is discovered. */
  readonly addressRules: AddressRules | null;
  /** LOOP_* */
  readonly loopProtection: number;
  readonly loopBlockSec: number;
  /** Signs of a loop in second `loopSec`. */
  loopSigns = 0;
  loopSec = -1;
  /** STATE_LOOP ends with this second. */
  blockedUntil = 0;
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
      this.addressRules = addressRules(security);
      if (config.mac === undefined && (security.spoofGuard?.mode ?? 'off') !== 'off') throw new SyntaxError('spoofGuard needs mac');
      if (config.mac === undefined && config.allowedMacs !== undefined) throw new SyntaxError('allowedMacs needs mac');
      if (this.passive && this.forwardTo !== undefined) throw new SyntaxError('a passive port cannot forward to another one');
    } catch (error) {
      if (error instanceof Error) error.message = `port ${config.name}: ${error.message}`;
      throw error;
    }
    this.hasMac = config.mac !== undefined;
    this.guarded = (security.spoofGuard?.mode ?? 'off') !== 'off';
    // The first of SpoofGuard's checks is the MAC itself.
    this.forgedReject = this.hasMac && (this.guarded || security.forgedTransmits !== 'accept');
    this.macChangeReject = this.hasMac && security.macChanges !== 'accept';
    this.promiscuous = security.promiscuous === 'accept';
    this.allowLinkLocal = security.allowLinkLocal ?? true;
    this.enforcesAddresses = this.guarded || this.ips !== null;
    const discovers = this.addressRules !== null;
    this.discoversArp = discovers && (security.discovery?.arp ?? true);
    this.discoversNd = discovers && (security.discovery?.nd ?? true);
    this.discoversDhcp = discovers && (security.discovery?.dhcp ?? true);
    this.readsAddresses = this.enforcesAddresses || discovers;
    this.loopProtection = security.loopProtection === 'off' ? LOOP_OFF : security.loopProtection === 'block' ? LOOP_BLOCK : LOOP_DROP;
    this.loopBlockSec = security.loopBlockSeconds ?? LOOP_BLOCK_SECONDS;
    this.bpduFilter = security.bpduFilter ?? guarded;
    this.dhcpServerBlock = security.dhcpServerBlock ?? guarded;
    this.dhcpClientBlock = security.dhcpClientBlock ?? false;
    this.raGuard = security.raGuard ?? guarded;
    this.nonIpBlock = security.nonIpBlock ?? false;
    this.rx = security.rx ?? {};
    this.tx = security.tx ?? {};
    this.txLimited = this.tx.broadcast !== undefined || this.tx.multicast !== undefined;
  }

  /** Only see whether a definition makes a port. @throws as the constructor */
  static check(index: number, config: SwitchPortConfig): SwitchPort {
    return new SwitchPort(index, config);
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
    this.blockedUntil = old.blockedUntil;
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

/** Discovery is on when it is configured, or when SpoofGuard needs it. */
function addressRules(security: PortSecurityConfig): AddressRules | null {
  const mode = security.spoofGuard?.mode ?? 'off';
  if (security.discovery === undefined && mode === 'off') return null;
  const d = security.discovery ?? {};
  const subnets = security.spoofGuard?.authorised === undefined ? null : new AddressList(security.spoofGuard.authorised);
  const limit = (value: number | undefined, fallback: number): number => (mode === 'approve' ? 0 : Math.min(ADDRESSES_PER_PORT, value ?? fallback));
  return {
    maxIpv4: limit(d.maxIpv4, 1),
    maxIpv6: limit(d.maxIpv6, 8),
    everyUse: d.trust === 'every-use',
    ageingSec: d.ageingSeconds ?? ADDRESS_AGEING_SECONDS,
    authorises: (v6, w0, w1, w2, w3) => subnets === null || (v6 ? subnets.has6(w0, w1, w2, w3) : subnets.has4(w0)),
  };
}

/** NSX forgets what ARP snooping found after ten minutes. */
const ADDRESS_AGEING_SECONDS = 600;
const LOOP_BLOCK_SECONDS = 60;

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
