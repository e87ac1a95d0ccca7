/** ICMP for IPv4 (RFC 792, RFC 950, RFC 1256) and the packet an error message quotes. */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { EmbeddedPacket } from './embedded.js';
import type { PacketView } from './packet-view.js';

export const ICMP_HEADER_LEN = 8;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_DEST_UNREACH = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_ROUTER_ADVERT = 9;
export const ICMP_ROUTER_SOLICIT = 10;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;
export const ICMP_TIMESTAMP = 13;
export const ICMP_TIMESTAMP_REPLY = 14;
export const ICMP_INFO_REQUEST = 15;
export const ICMP_INFO_REPLY = 16;
export const ICMP_ADDRESS = 17;
export const ICMP_ADDRESS_REPLY = 18;

/** Header at `at`, ending at view.ipEnd. */
export function decodeIcmp(view: PacketView, at: number): void {
  const buf = view.buf;
  const have = view.ipEnd - at;
  if (have < ICMP_HEADER_LEN) {
    setInvalid(view, DecodeEvent['icmpv4.pkt_too_small']);
    return;
  }
  view.l4Off = at;
  const type = buf[at]!;
  const code = buf[at + 1]!;
  view.icmpType = type;
  view.icmpCode = code;
  view.payloadOff = at + ICMP_HEADER_LEN;
  view.payloadLen = have - ICMP_HEADER_LEN;
  const maxCode = maxCodeOf(type);
  if (maxCode < 0) setEvent(view, DecodeEvent['icmpv4.unknown_type']);
  else if (code > maxCode) setEvent(view, DecodeEvent['icmpv4.unknown_code']);
  else if (isIcmpError(type)) checkQuoted(view);
  else if ((type === ICMP_TIMESTAMP || type === ICMP_TIMESTAMP_REPLY) && view.payloadLen < 12) setEvent(view, DecodeEvent['icmpv4.ipv4_trunc_pkt']);
  if (isQuery(type)) {
    view.icmpId = be16(buf, at + 4);
    view.icmpSeq = be16(buf, at + 6);
  }
}

/** Highest code known for a type, -1 for an unknown type; which types are known follows Suricata (solicitation is not). */
function maxCodeOf(type: number): number {
  switch (type) {
    case ICMP_ECHO_REPLY:
    case ICMP_SOURCE_QUENCH:
    case ICMP_ECHO:
    case ICMP_TIMESTAMP:
    case ICMP_TIMESTAMP_REPLY:
    case ICMP_INFO_REQUEST:
    case ICMP_INFO_REPLY:
    case ICMP_ADDRESS:
    case ICMP_ADDRESS_REPLY:
      return 0;
    case ICMP_DEST_UNREACH:
      return 15;
    case ICMP_REDIRECT:
      return 3;
    case ICMP_ROUTER_ADVERT:
      return 255;
    case ICMP_TIME_EXCEEDED:
      return 1;
    case ICMP_PARAMETER_PROBLEM:
      return 2;
    default:
      return -1;
  }
}

/** True for the types that quote the packet they are about (RFC 1122 section 3.2.2). */
export function isIcmpError(type: number): boolean {
  return type === ICMP_DEST_UNREACH || type === ICMP_SOURCE_QUENCH || type === ICMP_REDIRECT || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM;
}

/** True for the types with identifier and sequence number, where a reply answers a request. */
function isQuery(type: number): boolean {
  return type === ICMP_ECHO || type === ICMP_ECHO_REPLY || (type >= ICMP_TIMESTAMP && type <= ICMP_ADDRESS_REPLY);
}

function checkQuoted(view: PacketView): void {
  // A bare header without quotation is tolerated: there is nothing in it to be misled by. (Suricata: not for quench.)
  if (view.payloadLen === 0 && view.icmpType !== ICMP_SOURCE_QUENCH) return;
  if (view.payloadLen < 20) setInvalid(view, DecodeEvent['icmpv4.ipv4_trunc_pkt']);
  else if (view.buf[view.payloadOff]! >>> 4 !== 4) setInvalid(view, DecodeEvent['icmpv4.ipv4_unknown_ver']);
}

/**
 * The packet an ICMP error quotes: addresses, protocol and, when the quotation reaches that far, ports.
 * @returns false when the view is no ICMP error or the quotation holds no IPv4 header
 */
export function icmpEmbedded(view: PacketView, out: EmbeddedPacket): boolean {
  if (view.ipVersion !== 4 || view.l4Off < 0 || view.proto !== 1 || !isIcmpError(view.icmpType)) return false;
  return out.readIpv4(view.buf, view.payloadOff, view.payloadOff + view.payloadLen);
}
