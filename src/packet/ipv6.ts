/** IPv6 (RFC 8200): fixed header, extension headers, fragments. */
import { be16, be32 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ether-type.js';
import {
  PROTO_AH,
  PROTO_DSTOPTS,
  PROTO_ESP,
  PROTO_FRAGMENT,
  PROTO_GRE,
  PROTO_HIP,
  PROTO_HOPOPTS,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_IPIP,
  PROTO_IPV6,
  PROTO_MOBILITY,
  PROTO_NONE,
  PROTO_ROUTING,
  PROTO_SCTP,
  PROTO_SHIM6,
  PROTO_TCP,
  PROTO_UDP,
} from './ip-proto.js';
import { IP_MF } from './ipv4.js';
import type { PacketView } from './packet-view.js';
import { decodeTransport, peekFirstFragment } from './transport.js';
import { setTunnel, TunnelKind } from './tunnel.js';

export const IPV6_HEADER_LEN = 40;

/**
 * Extension headers followed in one packet. Each is at least 8 bytes, so a 64 KiB super-frame could make the decoder walk
 * 8000 of them. The limit lets a packet of the usual MTU be walked to its end, as receivers do.
 */
export const MAX_EXT_HEADERS = 256;

/** Bits of `view.ipOptions` for IPv6: extension headers seen, and two things inside them. */
export const IPV6_EXT_HOPOPTS = 1 << 0;
export const IPV6_EXT_ROUTING = 1 << 1;
export const IPV6_EXT_FRAGMENT = 1 << 2;
export const IPV6_EXT_DSTOPTS = 1 << 3;
/** Second destination options header (before and after the routing header, RFC 8200 section 4.1). */
export const IPV6_EXT_DSTOPTS2 = 1 << 4;
export const IPV6_EXT_AH = 1 << 5;
export const IPV6_EXT_ESP = 1 << 6;
export const IPV6_EXT_OTHER = 1 << 7; //        mobility, HIP, shim6
export const IPV6_EXT_ROUTER_ALERT = 1 << 8; // hop-by-hop option, RFC 2711
export const IPV6_EXT_JUMBO = 1 << 9; //        hop-by-hop option, RFC 2675

/** Decode the header at `view.nextOff` and what it carries. */
export function decodeIpv6(view: PacketView): void {
  const buf = view.buf;
  const data = view.data;
  const at = view.nextOff;
  const have = view.end - at;
  if (have < IPV6_HEADER_LEN) {
    setInvalid(view, DecodeEvent['ipv6.pkt_too_small']);
    return;
  }
  if (buf[at]! >>> 4 !== 6) {
    setInvalid(view, DecodeEvent['ipv6.wrong_ip_version']);
    return;
  }
  const payloadLen = data.getUint16(at + 4);
  if (payloadLen > have - IPV6_HEADER_LEN) {
    setInvalid(view, DecodeEvent['ipv6.trunc_pkt']);
    return;
  }
  view.l3Off = at;
  view.ipVersion = 6;
  view.ipHdrLen = IPV6_HEADER_LEN;
  view.ipLen = IPV6_HEADER_LEN + payloadLen;
  const l4 = at + IPV6_HEADER_LEN;
  view.ipEnd = l4 + payloadLen;
  view.tos = ((buf[at]! & 0x0f) << 4) | (buf[at + 1]! >>> 4);
  view.ttl = buf[at + 7]!;
  const proto = buf[at + 6]!;
  view.proto = proto;
  view.src0 = data.getInt32(at + 8);
  view.src1 = data.getInt32(at + 12);
  view.src2 = data.getInt32(at + 16);
  view.src3 = data.getInt32(at + 20);
  view.dst0 = data.getInt32(at + 24);
  view.dst1 = data.getInt32(at + 28);
  view.dst2 = data.getInt32(at + 32);
  view.dst3 = data.getInt32(at + 36);
  view.payloadOff = l4;
  view.payloadLen = payloadLen;
  if (proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_ICMPV6) decodeTransport(view, l4, proto);
  else walkExtensionHeaders(view, l4, proto);
}

/**
 * Follow the chain from a header of type `first` at `start` to the transport header.
 * `view.proto` is the last type entered, so a chain that breaks off is reported under the header it broke off behind.
 */
function walkExtensionHeaders(view: PacketView, start: number, first: number): void {
  const buf = view.buf;
  const end = view.ipEnd;
  let at = start;
  let next = first;
  let nextByte = view.l3Off + 6;
  for (let count = 0; ; count++) {
    view.ipHdrLen = at - view.l3Off;
    view.payloadOff = at;
    view.payloadLen = end - at;
    if (next === PROTO_NONE) {
      view.proto = next;
      if (end > at) setEvent(view, DecodeEvent['ipv6.data_after_none_header']);
      return;
    }
    if (!isExtensionHeader(next)) {
      decodeUpperLayer(view, at, next, count);
      return;
    }
    if (count === MAX_EXT_HEADERS) {
      setInvalid(view, DecodeEvent['too_many_layers']);
      return;
    }
    if (end - at < 2) {
      setInvalid(view, DecodeEvent['ipv6.trunc_exthdr']);
      return;
    }
    view.proto = next;
    const len = extensionLength(buf, at, next);
    if (len > end - at) {
      setInvalid(view, DecodeEvent['ipv6.trunc_exthdr']);
      return;
    }
    if (next === PROTO_FRAGMENT) {
      if (!decodeFragmentHeader(view, at, nextByte)) return;
    } else {
      noteExtension(view, at, next, len);
    }
    next = buf[at]!;
    nextByte = at;
    at += len;
  }
}

function isExtensionHeader(type: number): boolean {
  switch (type) {
    case PROTO_HOPOPTS:
    case PROTO_ROUTING:
    case PROTO_FRAGMENT:
    case PROTO_AH:
    case PROTO_DSTOPTS:
    case PROTO_MOBILITY:
    case PROTO_HIP:
    case PROTO_SHIM6:
      return true;
    default:
      return false;
  }
}

/** Bytes of an extension header, as its own length field says (at least two bytes of it are there). */
function extensionLength(buf: Uint8Array, at: number, type: number): number {
  if (type === PROTO_FRAGMENT) return 8;
  const field = buf[at + 1]!;
  // RFC 4302 section 2.2 counts 4-byte words minus 2; a value below 1 could not hold the fixed part.
  if (type === PROTO_AH) return field > 1 ? (field + 2) << 2 : 12;
  return (field + 1) << 3;
}

function noteExtension(view: PacketView, at: number, type: number, len: number): void {
  switch (type) {
    case PROTO_HOPOPTS:
      if (firstOf(view, IPV6_EXT_HOPOPTS, DecodeEvent['ipv6.exthdr_dupl_hh'])) decodeOptions(view, at + 2, at + len, true);
      break;
    case PROTO_DSTOPTS:
      if ((view.ipOptions & IPV6_EXT_DSTOPTS) === 0) view.ipOptions |= IPV6_EXT_DSTOPTS;
      else if (!firstOf(view, IPV6_EXT_DSTOPTS2, DecodeEvent['ipv6.exthdr_dupl_dh'])) break;
      decodeOptions(view, at + 2, at + len, false);
      break;
    case PROTO_ROUTING:
      if (firstOf(view, IPV6_EXT_ROUTING, DecodeEvent['ipv6.exthdr_dupl_rh']) && view.buf[at + 2] === 0) setEvent(view, DecodeEvent['ipv6.rh_type_0']);
      break;
    case PROTO_AH:
      if (be16(view.buf, at + 2) !== 0) setEvent(view, DecodeEvent['ipv6.exthdr_ah_res_not_null']);
      firstOf(view, IPV6_EXT_AH, DecodeEvent['ipv6.exthdr_dupl_ah']);
      break;
    default:
      view.ipOptions |= IPV6_EXT_OTHER;
      break;
  }
}

/** Mark a header as seen. @returns false, with the event, when it was before */
function firstOf(view: PacketView, bit: number, duplicate: number): boolean {
  if ((view.ipOptions & bit) !== 0) {
    setEvent(view, duplicate);
    return false;
  }
  view.ipOptions |= bit;
  return true;
}

/** Options of a hop-by-hop or destination options header in [start, end). */
function decodeOptions(view: PacketView, start: number, end: number, hopByHop: boolean): void {
  const buf = view.buf;
  let at = start;
  let padding = false;
  let other = false;
  while (at < end) {
    const type = buf[at]!;
    if (type === 0) {
      padding = true;
      at++;
      continue;
    }
    const len = at + 1 < end ? buf[at + 1]! : 255;
    if (at + 2 + len > end) {
      setInvalid(view, DecodeEvent['ipv6.exthdr_invalid_optlen']);
      break;
    }
    if (type === 1) {
      padding = true;
      if (len === 0) setEvent(view, DecodeEvent['ipv6.zero_len_padn']);
    } else {
      const needed = optionDataLength(type);
      if (len < needed) {
        setInvalid(view, DecodeEvent['ipv6.exthdr_invalid_optlen']);
        break;
      }
      if (needed === 0) setEvent(view, DecodeEvent[hopByHop ? 'ipv6.hopopts_unknown_opt' : 'ipv6.dstopts_unknown_opt']);
      else if (type === 0x05) view.ipOptions |= IPV6_EXT_ROUTER_ALERT;
      else if (type === 0xc2) view.ipOptions |= IPV6_EXT_JUMBO;
      // Suricata does not count a jumbo option as content either.
      if (type !== 0xc2) other = true;
    }
    at += 2 + len;
  }
  if (padding && !other) setEvent(view, DecodeEvent[hopByHop ? 'ipv6.hopopts_only_padding' : 'ipv6.dstopts_only_padding']);
}

/** Least data bytes of a known option, 0 for an unknown one. */
function optionDataLength(type: number): number {
  if (type === 0x05) return 2; //  router alert, RFC 2711
  if (type === 0xc2) return 4; //  jumbo payload, RFC 2675
  if (type === 0xc9) return 16; // home address, RFC 6275
  return 0;
}

/**
 * Fragment header at `at`.
 * @returns true when the walk goes on: an atomic fragment (RFC 6946) is decoded like a whole packet, and so is
 * everything behind a second fragment header
 */
function decodeFragmentHeader(view: PacketView, at: number, nextByte: number): boolean {
  const buf = view.buf;
  if (buf[at + 1] !== 0) setEvent(view, DecodeEvent['ipv6.fh_non_zero_reserved_field']);
  if (!firstOf(view, IPV6_EXT_FRAGMENT, DecodeEvent['ipv6.exthdr_dupl_fh'])) return true;
  const field = be16(buf, at + 2);
  view.ipId = be32(buf, at + 4);
  view.fragNext = buf[at]!;
  view.fragHdrOff = at;
  view.fragPrevOff = nextByte;
  if ((field & 0xfff9) === 0) {
    setEvent(view, DecodeEvent['ipv6.exthdr_useless_fh']);
    return true;
  }
  view.fragment = true;
  view.fragOff = field & 0xfff8;
  view.ipFlags = field & IP_MF;
  view.ipHdrLen = at + 8 - view.l3Off;
  view.payloadOff = at + 8;
  view.payloadLen = view.ipEnd - at - 8;
  if ((field & IP_MF) !== 0 && (view.payloadLen & 7) !== 0) setEvent(view, DecodeEvent['ipv6.frag_invalid_length']);
  if (view.fragOff === 0) peekFirstFragment(view, at + 8, view.fragNext);
  return false;
}

/** The chain ended in `type` at `at`, behind `count` extension headers. */
function decodeUpperLayer(view: PacketView, at: number, type: number, count: number): void {
  const have = view.ipEnd - at;
  if (count > 0 && have < 2) {
    setInvalid(view, DecodeEvent['ipv6.trunc_exthdr']);
    return;
  }
  view.proto = type;
  switch (type) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_ICMPV6:
    case PROTO_SCTP:
      decodeTransport(view, at, type);
      break;
    case PROTO_GRE:
      // Suricata does not expect tunnels behind extension headers; here they are noted as odd and still followed.
      if (count > 0) setEvent(view, DecodeEvent['ipv6.unknown_next_header']);
      decodeTransport(view, at, type);
      break;
    case PROTO_ESP:
      firstOf(view, IPV6_EXT_ESP, DecodeEvent['ipv6.exthdr_dupl_eh']);
      decodeTransport(view, at, type);
      break;
    case PROTO_IPIP:
      view.l4Off = at;
      if (have < 20) setInvalid(view, DecodeEvent['ipv6.ipv4_in_ipv6_too_small']);
      else if (view.buf[at]! >>> 4 !== 4) setInvalid(view, DecodeEvent['ipv6.ipv4_in_ipv6_wrong_version']);
      else setTunnel(view, TunnelKind.IPIP, at, ETHERTYPE_IPV4);
      break;
    case PROTO_IPV6:
      view.l4Off = at;
      if (count > 0) setEvent(view, DecodeEvent['ipv6.unknown_next_header']);
      if (have < IPV6_HEADER_LEN) setInvalid(view, DecodeEvent['ipv6.ipv6_in_ipv6_too_small']);
      else if (view.buf[at]! >>> 4 !== 6) setInvalid(view, DecodeEvent['ipv6.ipv6_in_ipv6_wrong_version']);
      else setTunnel(view, TunnelKind.SIT, at, ETHERTYPE_IPV6);
      break;
    case PROTO_ICMP:
      setEvent(view, DecodeEvent['ipv6.icmpv4']);
      break;
    default:
      setEvent(view, DecodeEvent['ipv6.unknown_next_header']);
      break;
  }
}
