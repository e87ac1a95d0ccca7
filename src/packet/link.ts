/** Link layers other than Ethernet: loopback, raw IP, Linux cooked captures, Cisco HDLC. All return an EtherType. */
import { be16, be32, le32 } from '../util/index.js';
import { DecodeEvent, setInvalid } from './decode-event.js';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ether-type.js';
import type { PacketView } from './packet-view.js';

const SLL_HEADER_LEN = 16;
const SLL2_HEADER_LEN = 20;

/** BSD loopback (LINKTYPE_NULL, LINKTYPE_LOOP): address family in the byte order of the capturing host, or network order. */
export function decodeNull(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < 4) {
    setInvalid(view, DecodeEvent['ltnull.pkt_too_small']);
    return 0;
  }
  const little = le32(view.buf, at) >>> 0;
  const family = little > 0xffff ? be32(view.buf, at) : little;
  view.nextOff = at + 4;
  switch (family) {
    case 2: // AF_INET everywhere
      return ETHERTYPE_IPV4;
    case 10: // AF_INET6: Linux
    case 23: // Windows
    case 24: // NetBSD, OpenBSD
    case 28: // FreeBSD
    case 30: // macOS
      return ETHERTYPE_IPV6;
    default:
      setInvalid(view, DecodeEvent['ltnull.unsupported_type']);
      return 0;
  }
}

/** Raw IP: the version nibble decides. */
export function decodeRaw(view: PacketView): number {
  const at = view.nextOff;
  if (at >= view.end) {
    setInvalid(view, DecodeEvent['ipv4.pkt_too_small']);
    return 0;
  }
  const version = view.buf[at]! >>> 4;
  if (version === 4) return ETHERTYPE_IPV4;
  if (version === 6) return ETHERTYPE_IPV6;
  setInvalid(view, DecodeEvent['ipraw.invalid_ip_version']);
  return 0;
}

/** Linux cooked capture v1: packet type, ARPHRD, address length, 8 bytes of sender address, EtherType. */
export function decodeSll(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < SLL_HEADER_LEN) {
    setInvalid(view, DecodeEvent['sll.pkt_too_small']);
    return 0;
  }
  if (be16(view.buf, at + 4) === 6) setSource(view, at + 6);
  view.nextOff = at + SLL_HEADER_LEN;
  return be16(view.buf, at + 14);
}

/** Linux cooked capture v2: EtherType first, interface index, ARPHRD, packet type, address length, address. */
export function decodeSll2(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < SLL2_HEADER_LEN) {
    setInvalid(view, DecodeEvent['sll.pkt_too_small']);
    return 0;
  }
  if (view.buf[at + 11] === 6) setSource(view, at + 12);
  view.nextOff = at + SLL2_HEADER_LEN;
  return be16(view.buf, at);
}

function setSource(view: PacketView, at: number): void {
  view.srcMacHi = be16(view.buf, at);
  view.srcMacLo = be32(view.buf, at + 2);
}

/** Cisco HDLC: address, control, EtherType. */
export function decodeChdlc(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < 4) {
    setInvalid(view, DecodeEvent['chdlc.pkt_too_small']);
    return 0;
  }
  view.nextOff = at + 4;
  return be16(view.buf, at + 2);
}
