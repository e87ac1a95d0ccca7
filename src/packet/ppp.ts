/** PPP (RFC 1661) with and without HDLC framing (RFC 1662) and protocol field compression. */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ether-type.js';
import type { PacketView } from './packet-view.js';

const PPP_IPV4 = 0x0021;
const PPP_VJ_UNCOMPRESSED = 0x002f;
const PPP_IPV6 = 0x0057;

/** A PPP frame at `view.nextOff` with optional address and control bytes. @returns EtherType of the payload, 0 = stop */
export function decodePpp(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < 4) {
    setInvalid(view, DecodeEvent['ppp.pkt_too_small']);
    return 0;
  }
  const framed = view.buf[at] === 0xff && view.buf[at + 1] === 0x03;
  return decodePppProtocol(view, framed ? at + 2 : at);
}

/** The PPP protocol field at `at` (one byte when its low bit is set: protocol field compression). */
export function decodePppProtocol(view: PacketView, at: number): number {
  const first = view.buf[at]!;
  const compressed = (first & 1) === 1;
  if (!compressed && view.end - at < 2) {
    setInvalid(view, DecodeEvent['ppp.pkt_too_small']);
    return 0;
  }
  const protocol = compressed ? first : be16(view.buf, at);
  const next = compressed ? at + 1 : at + 2;
  const left = view.end - next;
  view.nextOff = next;
  switch (protocol) {
    case PPP_IPV4:
      if (left >= 20) return ETHERTYPE_IPV4;
      setInvalid(view, DecodeEvent['ppp.ip4_pkt_too_small']);
      return 0;
    case PPP_VJ_UNCOMPRESSED:
      // RFC 1144 section 3.2.3: an ordinary header, only the protocol byte holds the connection number.
      if (left < 20) setInvalid(view, DecodeEvent['ppp.vju_pkt_too_small']);
      else setEvent(view, DecodeEvent['ppp.unsup_proto']);
      return 0;
    case PPP_IPV6:
      if (left >= 40) return ETHERTYPE_IPV6;
      setInvalid(view, DecodeEvent['ppp.ip6_pkt_too_small']);
      return 0;
    default:
      if (isKnownProtocol(protocol)) setEvent(view, DecodeEvent['ppp.unsup_proto']);
      else setInvalid(view, DecodeEvent['ppp.wrong_type']);
      return 0;
  }
}

/** Protocols that are legitimate on a PPP link but carry no IP (IANA PPP numbers). */
function isKnownProtocol(protocol: number): boolean {
  switch (protocol) {
    case 0x0023: // OSI
    case 0x0025: // XNS IDP
    case 0x0027: // DECnet
    case 0x0029: // AppleTalk
    case 0x002b: // IPX
    case 0x002d: // VJ compressed TCP/IP
    case 0x0031: // bridging
    case 0x0035: // VINES
    case 0x003d: // multilink
    case 0x004b: // SNA
    case 0x004d: // SNA over 802.2
    case 0x004f: // IP6 header compression
    case 0x00fb: // link compression
    case 0x00fd: // compressed datagram
    case 0x0281: // MPLS unicast
    case 0x0283: // MPLS multicast
    case 0x8021: // IPCP
    case 0x8023: // OSI NLCP
    case 0x8025: // XNS IDPCP
    case 0x8029: // ATCP
    case 0x802b: // IPXCP
    case 0x8031: // BCP
    case 0x8035: // VINES CP
    case 0x804b: // SNA CP
    case 0x804d: // SNA 802.2 CP
    case 0x8057: // IPV6CP
    case 0x80fb: // link compression control
    case 0x80fd: // CCP
    case 0x8281: // MPLSCP
    case 0xc021: // LCP
    case 0xc023: // PAP
    case 0xc025: // LQR
    case 0xc223: // CHAP
    case 0xc227: // EAP
      return true;
    default:
      return false;
  }
}
