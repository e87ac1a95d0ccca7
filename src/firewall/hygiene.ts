/**
 * IP hygiene (field guide: "IPv6 and tunnel hygiene", fragment and MSS floors): packets that no honest host has a reason to
 * send, whatever the rules say. Addresses are looked at where rules are, when a connection opens; the rest in each packet that
 * could be one of them, which a few comparisons tell.
 */
import { hasEvent, PROTO_TCP, PROTO_UDP, TCP_SYN, TEREDO_PORT, TunnelKind, DecodeEvent, type PacketView } from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';

/** Switches of a policy's `hygiene` section, each a bit; all on unless turned off, but for those listed in HYGIENE_OFF. */
export const HYGIENE_SWITCHES = {
  routing_header: 'IPv6 routing header type 0 (source routing; RFC 5095 forbids it).',
  bogon: 'Addresses no packet on a wire has: multicast, loopback or 240.0.0.0/4 as source, loopback as destination, IPv4 inside ::/96 or ::ffff:0:0/96.',
  reserved: 'IPv6 addresses of blocks that IANA has not given out (RFC 4291 and the IPv6 address space registry).',
  six_to_four_bogon: '6to4 addresses (2002::/16) around an IPv4 address that is private, loopback, multicast or reserved (RFC 3964).',
  small_fragment: 'IPv6 fragments, other than the last, below the minimum MTU of 1280 bytes (RFC 8200 section 5).',
  zero_payload: 'IP packets that carry nothing.',
  teredo: 'UDP on port 3544 that is no well-formed Teredo (RFC 4380). On other ports it is UDP like any other, and not looked into.',
  site_local: 'IPv6 site-local addresses (fec0::/10, withdrawn by RFC 3879). Off by default.',
  null_address: 'Source 0.0.0.0 or ::, which hosts without an address use (DHCP, duplicate address detection). Off by default.',
} as const;
export type HygieneSwitch = keyof typeof HYGIENE_SWITCHES;
export const HYGIENE_OFF: readonly HygieneSwitch[] = ['site_local', 'null_address'];

const NAMES = Object.keys(HYGIENE_SWITCHES) as HygieneSwitch[];
/** Name -> bit. */
export const Hygiene = Object.freeze(Object.fromEntries(NAMES.map((name, i) => [name, 1 << i]))) as Readonly<Record<HygieneSwitch, number>>;
export const HYGIENE_DEFAULT = NAMES.reduce((bits, name) => (HYGIENE_OFF.includes(name) ? bits : bits | Hygiene[name]), 0);

export interface HygieneConfig {
  /** Hygiene bits that are on. */
  readonly checks: number;
  /** SYNs that announce a smaller maximum segment size are dropped; 0 = any (CVE-2019-11477 lived below). */
  readonly minMss: number;
}

const IPV6_MIN_MTU = 1280;

/** Could the packet fail packetFault? Cheap enough for every packet. */
export function isSuspect(view: PacketView): boolean {
  if (view.eventCount !== 0 || view.l4Off < 0) return true;
  return view.proto === PROTO_TCP ? (view.tcpFlags & TCP_SYN) !== 0 : view.proto === PROTO_UDP && (view.dstPort === TEREDO_PORT || view.srcPort === TEREDO_PORT);
}

/** What is wrong with the packet apart from its addresses. @returns DropReason, 0 = nothing */
export function packetFault(view: PacketView, config: HygieneConfig): number {
  const { checks } = config;
  if (view.ipVersion === 0) return 0;
  if ((checks & Hygiene.routing_header) !== 0 && view.eventCount !== 0 && hasEvent(view, DecodeEvent['ipv6.rh_type_0'])) return DropReason.firewall_routing_header;
  if (view.fragment) return smallFragment(view, checks);
  if ((checks & Hygiene.zero_payload) !== 0 && view.l4Off < 0 && view.ipEnd - view.l3Off === view.ipHdrLen) return DropReason.firewall_zero_payload;
  if (view.proto === PROTO_TCP) return view.mss >= 0 && view.mss < config.minMss && (view.tcpFlags & TCP_SYN) !== 0 ? DropReason.firewall_small_mss : 0;
  if (view.proto === PROTO_UDP && (checks & Hygiene.teredo) !== 0) return isTeredoAnomaly(view) ? DropReason.firewall_teredo : 0;
  return 0;
}

function smallFragment(view: PacketView, checks: number): number {
  const small = view.ipVersion === 6 && (view.ipFlags & 1) !== 0 && view.ipEnd - view.l3Off < IPV6_MIN_MTU;
  return small && (checks & Hygiene.small_fragment) !== 0 ? DropReason.firewall_small_fragment : 0;
}

/** RFC 4380 section 5.1.1: what goes over the Teredo port begins with an indication or is an IPv6 packet. */
function isTeredoAnomaly(view: PacketView): boolean {
  if (view.tunnel === TunnelKind.TEREDO || (view.dstPort !== TEREDO_PORT && view.srcPort !== TEREDO_PORT)) return false;
  return view.payloadLen < 2 || view.buf[view.payloadOff] !== 0 || view.buf[view.payloadOff + 1] !== 1;
}

/** What addressFault reads of a packet. */
interface Addresses {
  readonly ipVersion: number;
  readonly src0: number;
  readonly src1: number;
  readonly src2: number;
  readonly src3: number;
  readonly dst0: number;
  readonly dst1: number;
  readonly dst2: number;
  readonly dst3: number;
}

/** What is wrong with the addresses. @returns DropReason, 0 = nothing */
export function addressFault(view: Addresses, checks: number): number {
  if (view.ipVersion === 4) return isBad4(view, checks) ? DropReason.firewall_bogon : 0;
  if (view.ipVersion !== 6) return 0;
  const src = addressKind(view.src0, view.src1, view.src2, view.src3, true);
  const dst = addressKind(view.dst0, view.dst1, view.dst2, view.dst3, false);
  return ((src | dst) & checks) === 0 ? 0 : DropReason.firewall_bogon;
}

function isBad4(view: Addresses, checks: number): boolean {
  const src = view.src0;
  if (src === 0) return (checks & Hygiene.null_address) !== 0;
  if ((checks & Hygiene.bogon) === 0) return false;
  const first = src >>> 24;
  // 0.0.0.0/8 other than the host without an address: RFC 1122 section 3.2.1.3.
  return first === 0 || first === 127 || first >= 224 || view.dst0 >>> 24 === 127;
}

/** Hygiene bits that an IPv6 address offends. */
function addressKind(w0: number, w1: number, w2: number, w3: number, source: boolean): number {
  if (w0 === 0 && w1 === 0) {
    if (w2 === 0 && w3 === 0) return source ? Hygiene.null_address : Hygiene.bogon;
    // ::1, IPv4-compatible and IPv4-mapped.
    return w2 === 0 || w2 === 0xffff ? Hygiene.bogon : Hygiene.reserved;
  }
  const high = w0 >>> 16;
  if (high >>> 8 === 0xff) return source ? Hygiene.bogon : 0;
  if (high === 0x2002) return isSixToFourBogon((w0 << 16) | (w1 >>> 16)) ? Hygiene.six_to_four_bogon : 0;
  if (high >>> 13 === 1 || (high & 0xfe00) === 0xfc00 || (high & 0xffc0) === 0xfe80) return 0;
  if ((high & 0xffc0) === 0xfec0) return Hygiene.site_local;
  // RFC 6052: the well-known prefix of translators; RFC 8215 its local sister.
  return w0 === 0x0064_ff9b ? 0 : Hygiene.reserved;
}

/** RFC 3964 section 5.3.1: IPv4 addresses that cannot be a 6to4 router. */
function isSixToFourBogon(v4: number): boolean {
  const first = v4 >>> 24;
  if (first === 0 || first === 10 || first === 127 || first >= 224) return true;
  const high = v4 >>> 16;
  return high === 0xc0a8 || high === 0xa9fe || (high & 0xfff0) === 0xac10;
}
