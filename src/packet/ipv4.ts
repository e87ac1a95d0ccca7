/** IPv4 (RFC 791): header, options, fragments. */
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { PROTO_ICMPV6 } from './ip-proto.js';
import type { PacketView } from './packet-view.js';
import { decodeTransport, peekFirstFragment } from './transport.js';

export const IPV4_HEADER_LEN = 20;

/** Bits of `view.ipFlags`. */
export const IP_MF = 1;
export const IP_DF = 2;
export const IP_RESERVED = 4;

/** Bits of `view.ipOptions` for IPv4; names of the Suricata keyword `ipopts` in the comments. */
export const IPV4_OPT_EOL = 1 << 0; //    eol
export const IPV4_OPT_NOP = 1 << 1; //    nop
export const IPV4_OPT_RR = 1 << 2; //     rr, record route
export const IPV4_OPT_TS = 1 << 3; //     ts, timestamp
export const IPV4_OPT_QS = 1 << 4; //     qs, quick start (RFC 4782)
export const IPV4_OPT_LSRR = 1 << 5; //   lsrr, loose source route
export const IPV4_OPT_SSRR = 1 << 6; //   ssrr, strict source route
export const IPV4_OPT_SID = 1 << 7; //    satid, stream id
export const IPV4_OPT_SEC = 1 << 8; //    sec (RFC 1108)
export const IPV4_OPT_CIPSO = 1 << 9; //  cipso
export const IPV4_OPT_RTRALT = 1 << 10; // rtralt, router alert (RFC 2113)
export const IPV4_OPT_ESEC = 1 << 11; //  esec, extended security

/** Decode the header at `view.nextOff` and what it carries. */
export function decodeIpv4(view: PacketView): void {
  const buf = view.buf;
  const data = view.data;
  const at = view.nextOff;
  const have = view.end - at;
  if (have < IPV4_HEADER_LEN) {
    setInvalid(view, DecodeEvent['ipv4.pkt_too_small']);
    return;
  }
  const versionIhl = buf[at]!;
  if (versionIhl >>> 4 !== 4) {
    setInvalid(view, DecodeEvent['ipv4.wrong_ip_version']);
    return;
  }
  const hdrLen = (versionIhl & 0x0f) << 2;
  if (hdrLen < IPV4_HEADER_LEN) {
    setInvalid(view, DecodeEvent['ipv4.hlen_too_small']);
    return;
  }
  const ipLen = data.getUint16(at + 2);
  if (ipLen < hdrLen) {
    setInvalid(view, DecodeEvent['ipv4.iplen_smaller_than_hlen']);
    return;
  }
  if (ipLen > have) {
    setInvalid(view, DecodeEvent['ipv4.trunc_pkt']);
    return;
  }
  view.l3Off = at;
  view.ipVersion = 4;
  view.ipHdrLen = hdrLen;
  view.ipLen = ipLen;
  view.ipEnd = at + ipLen;
  view.tos = buf[at + 1]!;
  view.ipId = data.getUint16(at + 4);
  view.ttl = buf[at + 8]!;
  const proto = buf[at + 9]!;
  view.proto = proto;
  view.src0 = data.getInt32(at + 12);
  view.dst0 = data.getInt32(at + 16);
  const l4 = at + hdrLen;
  view.payloadOff = l4;
  view.payloadLen = ipLen - hdrLen;
  const frag = data.getUint16(at + 6);
  if (hdrLen > IPV4_HEADER_LEN) {
    decodeOptions(view, at + IPV4_HEADER_LEN, hdrLen - IPV4_HEADER_LEN);
    if (view.malformed !== 0) {
      // Receivers disagree about such a header, so nothing of it is believed: not even the addresses.
      view.ipVersion = 0;
      view.proto = 0;
      view.payloadLen = 0;
      return;
    }
  }
  if (frag !== 0) {
    view.ipFlags = ((frag >>> 13) & IP_MF) | ((frag >>> 13) & IP_DF) | ((frag >>> 13) & IP_RESERVED);
    if ((frag & 0x3fff) !== 0) {
      view.fragment = true;
      view.fragOff = (frag & 0x1fff) << 3;
      if (view.fragOff === 0) peekFirstFragment(view, l4, proto);
      return;
    }
  }
  if (proto === PROTO_ICMPV6) {
    setInvalid(view, DecodeEvent['ipv4.icmpv6']);
    return;
  }
  decodeTransport(view, l4, proto);
}

/** Option walk; stops at the first length that would lead astray. An option wrong in itself does not hide the next. */
function decodeOptions(view: PacketView, start: number, len: number): void {
  const buf = view.buf;
  const end = start + len;
  let at = start;
  if ((len & 7) !== 0) setEvent(view, DecodeEvent['ipv4.opt_pad_required']);
  while (at < end) {
    const type = buf[at]!;
    if (type === 0) {
      view.ipOptions |= IPV4_OPT_EOL;
      return;
    }
    if (type === 1) {
      view.ipOptions |= IPV4_OPT_NOP;
      at++;
      continue;
    }
    if (end - at < 2) {
      setEvent(view, DecodeEvent['ipv4.opt_eol_required']);
      return;
    }
    const optLen = buf[at + 1]!;
    if (optLen < 2 || optLen > end - at) {
      setInvalid(view, DecodeEvent['ipv4.opt_invalid_len']);
      return;
    }
    const bit = optionBit(type);
    if (bit === 0) setEvent(view, DecodeEvent['ipv4.opt_invalid']);
    else if ((view.ipOptions & bit) !== 0) setEvent(view, DecodeEvent['ipv4.opt_duplicate']);
    else {
      const fault = optionFault(buf, at, type, optLen);
      if (fault === 0) view.ipOptions |= bit;
      else setInvalid(view, fault);
    }
    at += optLen;
  }
}

function optionBit(type: number): number {
  switch (type) {
    case 7:
      return IPV4_OPT_RR;
    case 25:
      return IPV4_OPT_QS;
    case 68:
      return IPV4_OPT_TS;
    case 130:
      return IPV4_OPT_SEC;
    case 131:
      return IPV4_OPT_LSRR;
    case 133:
      return IPV4_OPT_ESEC;
    case 134:
      return IPV4_OPT_CIPSO;
    case 136:
      return IPV4_OPT_SID;
    case 137:
      return IPV4_OPT_SSRR;
    case 148:
      return IPV4_OPT_RTRALT;
    default:
      return 0;
  }
}

/** @returns the event for a known option at `at` that is wrong in itself, 0 when it is fine */
function optionFault(buf: Uint8Array, at: number, type: number, len: number): number {
  const badLength = DecodeEvent['ipv4.opt_invalid_len'];
  const malformed = DecodeEvent['ipv4.opt_malformed'];
  switch (type) {
    case 7: // record route and both source routes: pointer is 1-based, 4 at least, and steps by addresses
    case 131:
    case 137: {
      if (len < 3) return badLength;
      const pointer = buf[at + 2]!;
      return pointer < 4 || (pointer & 3) !== 0 || pointer > len + 1 ? malformed : 0;
    }
    case 25:
      return len < 8 ? badLength : 0;
    case 68: {
      if (len < 5) return badLength;
      const pointer = buf[at + 2]!;
      const flag = buf[at + 3]! & 0x0f;
      const record = flag === 1 || flag === 3 ? 8 : 4;
      return pointer < 5 || (pointer - 5) % record !== 0 || pointer > len + 1 ? malformed : 0;
    }
    case 130:
    case 133:
      return len < 3 ? badLength : 0;
    case 134:
      return len < 10 ? badLength : cipsoTagsFit(buf, at + 6, at + len) ? 0 : malformed;
    case 136:
    case 148:
      return len !== 4 ? badLength : 0;
    default:
      return 0;
  }
}

/** CIPSO (FIPS 188): tags of type, length (including both), data; tags but type 7 start with an alignment octet of zero. */
function cipsoTagsFit(buf: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if (end - at < 2) return false;
    const type = buf[at]!;
    const len = buf[at + 1]!;
    if (type !== 1 && type !== 2 && type !== 5 && type !== 6 && type !== 7) return false;
    if (len < 4 || len > end - at) return false;
    if (type !== 7 && buf[at + 2] !== 0) return false;
    at += len;
  }
  return true;
}
