/** Which decoder takes which IP protocol: the one table from protocol number to transport or tunnel header. */
import { be16, be32 } from '../util/index.js';
import { DecodeEvent, setInvalid } from './decode-event.js';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ether-type.js';
import { decodeGre } from './gre.js';
import { decodeIcmp } from './icmp.js';
import { decodeIcmpv6 } from './icmpv6.js';
import { PROTO_ESP, PROTO_GRE, PROTO_ICMP, PROTO_ICMPV6, PROTO_IGMP, PROTO_IPIP, PROTO_IPV6, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from './ip-proto.js';
import type { PacketView } from './packet-view.js';
import { decodeSctp } from './sctp.js';
import { decodeTcp, TCP_HEADER_LEN } from './tcp.js';
import { setTunnel, TunnelKind } from './tunnel.js';
import { decodeUdp, UDP_HEADER_LEN } from './udp.js';

/** Decode what protocol `proto` put at `at`; payloadOff/payloadLen stand for the whole IP payload before. */
export function decodeTransport(view: PacketView, at: number, proto: number): void {
  switch (proto) {
    case PROTO_TCP:
      decodeTcp(view, at);
      break;
    case PROTO_UDP:
      decodeUdp(view, at);
      break;
    case PROTO_ICMP:
      decodeIcmp(view, at);
      break;
    case PROTO_ICMPV6:
      decodeIcmpv6(view, at);
      break;
    case PROTO_SCTP:
      decodeSctp(view, at);
      break;
    case PROTO_GRE:
      decodeGre(view, at);
      break;
    case PROTO_IPIP:
      view.l4Off = at;
      setTunnel(view, TunnelKind.IPIP, at, ETHERTYPE_IPV4);
      break;
    case PROTO_IPV6:
      view.l4Off = at;
      setTunnel(view, TunnelKind.SIT, at, ETHERTYPE_IPV6);
      break;
    case PROTO_ESP:
      if (view.ipEnd - at < 8) setInvalid(view, DecodeEvent['esp.pkt_too_small']);
      else view.l4Off = at;
      break;
    case PROTO_IGMP:
      view.l4Off = at;
      break;
    default:
      break;
  }
}

/**
 * Ports of a first fragment, so that rules on ports can judge it before reassembly. Raises no events: the transport
 * header is judged when the datagram is whole. A header that does not fit leaves l4Off at -1 (tiny fragment, RFC 1858).
 */
export function peekFirstFragment(view: PacketView, at: number, proto: number): void {
  const buf = view.buf;
  const have = view.ipEnd - at;
  if (proto === PROTO_TCP) {
    if (have < TCP_HEADER_LEN) return;
    view.seq = be32(buf, at + 4);
    view.ack = be32(buf, at + 8);
    view.tcpFlags = be16(buf, at + 12) & 0x1ff;
  } else if (proto === PROTO_UDP) {
    if (have < UDP_HEADER_LEN) return;
  } else if (proto !== PROTO_SCTP || have < 12) {
    return;
  }
  view.l4Off = at;
  view.srcPort = be16(buf, at);
  view.dstPort = be16(buf, at + 2);
}
