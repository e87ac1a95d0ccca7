/** GRE version 0 (RFC 1701, RFC 2784, RFC 2890), version 1 for PPTP (RFC 2637), and ERSPAN types I and II inside. */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import {
  ETHERTYPE_8021AH,
  ETHERTYPE_ARP,
  ETHERTYPE_ERSPAN,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_PPP,
  ETHERTYPE_TEB,
  ETHERTYPE_VLAN,
} from './ether-type.js';
import type { PacketView } from './packet-view.js';
import { setTunnel, TunnelKind } from './tunnel.js';

const HEADER_LEN = 4;
const FLAG_CHECKSUM = 0x80;
const FLAG_ROUTING = 0x40;
const FLAG_KEY = 0x20;
const FLAG_SEQUENCE = 0x10;
const FLAG_STRICT_ROUTE = 0x08;
const MASK_RECURSION = 0x07;
/** Second byte: acknowledgement number present (version 1), reserved flags, version. */
const FLAG_ACK = 0x80;
const MASK_VERSION = 0x07;
const ERSPAN_II_LEN = 8;

/** Header at `at`, ending at view.ipEnd. */
export function decodeGre(view: PacketView, at: number): void {
  const have = view.ipEnd - at;
  if (have < HEADER_LEN) {
    setInvalid(view, DecodeEvent['gre.pkt_too_small']);
    return;
  }
  view.l4Off = at;
  const version = view.buf[at + 1]! & MASK_VERSION;
  if (version === 0) decodeVersion0(view, at, have);
  else if (version === 1) decodeVersion1(view, at, have);
  else setInvalid(view, DecodeEvent['gre.wrong_version']);
}

function decodeVersion0(view: PacketView, at: number, have: number): void {
  const buf = view.buf;
  const flags = buf[at]!;
  if ((flags & MASK_RECURSION) !== 0) {
    setInvalid(view, DecodeEvent['gre.version0_recur']);
    return;
  }
  if ((buf[at + 1]! & 0x78) !== 0) {
    setInvalid(view, DecodeEvent['gre.version0_flags']);
    return;
  }
  let len = HEADER_LEN;
  if ((flags & FLAG_KEY) !== 0) len += 4;
  if ((flags & FLAG_SEQUENCE) !== 0) len += 4;
  if ((flags & (FLAG_CHECKSUM | FLAG_ROUTING)) !== 0) len += 4;
  if (len > have) {
    setInvalid(view, DecodeEvent['gre.version0_hdr_too_big']);
    return;
  }
  if ((flags & FLAG_ROUTING) !== 0) {
    len = skipRoutes(view, at, len, have, DecodeEvent['gre.version0_malformed_sre_hdr']);
    if (len < 0) return;
  }
  const inner = at + len;
  const type = be16(buf, at + 2);
  setPayload(view, at, len, have);
  switch (type) {
    case ETHERTYPE_IPV4:
    case ETHERTYPE_IPV6:
    case ETHERTYPE_PPP:
    case ETHERTYPE_VLAN:
    case ETHERTYPE_TEB:
    case ETHERTYPE_ARP:
    case ETHERTYPE_8021AH:
      setTunnel(view, TunnelKind.GRE, inner, type);
      break;
    case ETHERTYPE_ERSPAN:
      decodeErspan(view, inner, (flags & FLAG_SEQUENCE) !== 0);
      break;
    default:
      break;
  }
}

/** Source route entries (RFC 1701): family, offset, length; family and length 0 end the list. @returns header length or -1 */
function skipRoutes(view: PacketView, at: number, start: number, have: number, fault: number): number {
  let len = start;
  for (;;) {
    if (len + 4 > have) break;
    const family = be16(view.buf, at + len);
    const entry = view.buf[at + len + 3]!;
    len += 4 + entry;
    if (entry === 0) {
      if (family === 0) return len;
      break;
    }
    if (len > have) break;
  }
  setInvalid(view, fault);
  return -1;
}

function decodeVersion1(view: PacketView, at: number, have: number): void {
  const buf = view.buf;
  const flags = buf[at]!;
  const second = buf[at + 1]!;
  let fault = 0;
  if ((flags & FLAG_CHECKSUM) !== 0) fault = DecodeEvent['gre.version1_chksum'];
  else if ((flags & FLAG_ROUTING) !== 0) fault = DecodeEvent['gre.version1_route'];
  else if ((flags & FLAG_STRICT_ROUTE) !== 0) fault = DecodeEvent['gre.version1_ssr'];
  else if ((flags & MASK_RECURSION) !== 0) fault = DecodeEvent['gre.version1_recur'];
  else if ((second & 0x78) !== 0) fault = DecodeEvent['gre.version1_flags'];
  else if (be16(buf, at + 2) !== ETHERTYPE_PPP) fault = DecodeEvent['gre.version1_wrong_protocol'];
  else if ((flags & FLAG_KEY) === 0) fault = DecodeEvent['gre.version1_no_key'];
  if (fault !== 0) {
    setInvalid(view, fault);
    return;
  }
  let len = HEADER_LEN + 4;
  if ((flags & FLAG_SEQUENCE) !== 0) len += 4;
  if ((second & FLAG_ACK) !== 0) len += 4;
  if (len > have) {
    setInvalid(view, DecodeEvent['gre.version1_hdr_too_big']);
    return;
  }
  setPayload(view, at, len, have);
  // An acknowledgement alone carries nothing.
  if (have > len) setTunnel(view, TunnelKind.GRE, at + len, ETHERTYPE_PPP);
}

function setPayload(view: PacketView, at: number, headerLen: number, have: number): void {
  view.payloadOff = at + headerLen;
  view.payloadLen = have - headerLen;
}

/** ERSPAN: type I is a bare frame (no GRE sequence number), type II has an eight-byte header. */
function decodeErspan(view: PacketView, at: number, sequenced: boolean): void {
  if (!sequenced) {
    setTunnel(view, TunnelKind.ERSPAN, at, ETHERTYPE_TEB);
    return;
  }
  if (view.ipEnd - at < ERSPAN_II_LEN) {
    setInvalid(view, DecodeEvent['erspan.header_too_small']);
    return;
  }
  if (view.buf[at]! >>> 4 !== 1) {
    setEvent(view, DecodeEvent['erspan.unsupported_version']);
    return;
  }
  setTunnel(view, TunnelKind.ERSPAN, at + ERSPAN_II_LEN, ETHERTYPE_TEB);
}
