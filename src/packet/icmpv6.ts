/** ICMPv6 (RFC 4443), multicast listener discovery (RFC 2710, RFC 3810), neighbour discovery (RFC 4861). */
import { be16, be32 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { EmbeddedPacket } from './embedded.js';
import type { PacketView } from './packet-view.js';

export const ICMPV6_HEADER_LEN = 8;

export const ICMPV6_DEST_UNREACH = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ICMPV6_MLD_QUERY = 130;
export const ICMPV6_MLD_REPORT = 131;
export const ICMPV6_MLD_DONE = 132;
export const ICMPV6_ROUTER_SOLICIT = 133;
export const ICMPV6_ROUTER_ADVERT = 134;
export const ICMPV6_NEIGHBOR_SOLICIT = 135;
export const ICMPV6_NEIGHBOR_ADVERT = 136;
export const ICMPV6_REDIRECT = 137;
export const ICMPV6_ROUTER_RENUMBERING = 138;
export const ICMPV6_NODE_INFO_QUERY = 139;
export const ICMPV6_NODE_INFO_REPLY = 140;
export const ICMPV6_MLDV2_REPORT = 143;

/** Header at `at`, ending at view.ipEnd. */
export function decodeIcmpv6(view: PacketView, at: number): void {
  const buf = view.buf;
  const have = view.ipEnd - at;
  if (have < ICMPV6_HEADER_LEN) {
    setInvalid(view, DecodeEvent['icmpv6.pkt_too_small']);
    return;
  }
  view.l4Off = at;
  const type = buf[at]!;
  const code = buf[at + 1]!;
  view.icmpType = type;
  view.icmpCode = code;
  view.payloadOff = at + ICMPV6_HEADER_LEN;
  view.payloadLen = have - ICMPV6_HEADER_LEN;
  const maxCode = maxCodeOf(type);
  if (maxCode < 0) setEvent(view, unknownTypeEvent(type));
  else if (code > maxCode && !(type === ICMPV6_ROUTER_RENUMBERING && code === 255)) setEvent(view, DecodeEvent['icmpv6.unknown_code']);
  else if (type <= ICMPV6_PARAMETER_PROBLEM) checkQuoted(view);
  if (type === ICMPV6_ECHO_REQUEST || type === ICMPV6_ECHO_REPLY) {
    view.icmpId = be16(buf, at + 4);
    view.icmpSeq = be16(buf, at + 6);
  } else if (type >= ICMPV6_MLD_QUERY && type <= ICMPV6_MLD_DONE && view.ttl !== 1) {
    setEvent(view, DecodeEvent['icmpv6.mld_message_with_invalid_hl']);
  }
}

/** Highest code defined for a type, -1 for types that are not assigned. */
function maxCodeOf(type: number): number {
  switch (type) {
    case ICMPV6_DEST_UNREACH:
      return 6;
    case ICMPV6_PACKET_TOO_BIG:
      return 0;
    case ICMPV6_TIME_EXCEEDED:
      return 1;
    case ICMPV6_PARAMETER_PROBLEM:
      return 2;
    case ICMPV6_ROUTER_RENUMBERING:
    case ICMPV6_NODE_INFO_QUERY:
    case ICMPV6_NODE_INFO_REPLY:
      return 2;
    case 155: // RPL control (RFC 6550)
      return 3;
    default:
      if (type < ICMPV6_ECHO_REQUEST || type > 159) return -1;
      // 150 to 153 (Seamoby, multicast router discovery) use the code freely, the others define code 0 only.
      return type >= 150 && type <= 153 ? 255 : 0;
  }
}

/** Which event an unassigned type is: RFC 4443 section 2.1 sets 100, 101, 200 and 201 aside for experiments. */
function unknownTypeEvent(type: number): number {
  if (type === 100 || type === 101 || type === 200 || type === 201) return DecodeEvent['icmpv6.experimentation_type'];
  if (type === 0 || type === 127) return DecodeEvent['icmpv6.unknown_type'];
  return DecodeEvent['icmpv6.unassigned_type'];
}

/** True for the types that quote the packet they are about. */
export function isIcmpv6Error(type: number): boolean {
  return type >= ICMPV6_DEST_UNREACH && type <= ICMPV6_PARAMETER_PROBLEM;
}

/** MTU of a Packet Too Big message (unsigned 32 bits), -1 for other packets. */
export function icmpv6Mtu(view: PacketView): number {
  if (view.ipVersion !== 6 || view.proto !== 58 || view.l4Off < 0 || view.icmpType !== ICMPV6_PACKET_TOO_BIG) return -1;
  return be32(view.buf, view.l4Off + 4) >>> 0;
}

function checkQuoted(view: PacketView): void {
  if (view.payloadLen < 40) setInvalid(view, DecodeEvent['icmpv6.ipv6_trunc_pkt']);
  else if (view.buf[view.payloadOff]! >>> 4 !== 6) setInvalid(view, DecodeEvent['icmpv6.ipv6_unknown_version']);
}

/**
 * The packet an ICMPv6 error quotes (see icmpEmbedded).
 * @returns false when the view is no ICMPv6 error or the quotation holds no IPv6 header
 */
export function icmpv6Embedded(view: PacketView, out: EmbeddedPacket): boolean {
  if (view.ipVersion !== 6 || view.l4Off < 0 || view.proto !== 58 || !isIcmpv6Error(view.icmpType)) return false;
  return out.readIpv6(view.buf, view.payloadOff, view.payloadOff + view.payloadLen);
}
