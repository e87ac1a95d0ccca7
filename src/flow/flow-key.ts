/**
 * The key of a flow as the table compares it: addresses, ports, protocol, IP version and zone, in one reused record.
 *
 * A zone keeps equal addresses of different VLANs or tenants apart (netfilter's conntrack zones), and packets inside
 * tunnels from those outside: nobody shall steer a connection by what its ends never see; 22 bits.
 * ICMP has no ports. Queries (echo, timestamp, ...) are keyed by identifier and kind, with a bit that says whether the
 * originator asks or answers: a reply from B to A matches what A asked, but a request from B to A does not, even under
 * the same identifier - otherwise an allowed ping would let the other side ping back. Other ICMP is keyed by its type.
 */
import { LinkType, flowHashOf, type EmbeddedPacket, type PacketView, PROTO_ICMP, PROTO_ICMPV6 } from '../packet/index.js';

const VERSION_4 = 1 << 8;
const VERSION_6 = 2 << 8;
export const ZONE_SHIFT = 10;
export const ZONE_MASK = 0x3f_ffff;

/** Lower half of the ports word of ICMP: kind of query, or OTHER_ICMP | type. */
const ICMP_ANSWERS = 0x8000;
const OTHER_ICMP = 0x4000;

/** Roles of an ICMP type, see icmpRole. */
const ROLE_OTHER = 0;
const ROLE_REQUEST = 1;
const ROLE_REPLY = 2;

/** Zone bit of packets with something between VLAN tags and IP, or inside a tunnel. */
const ZONE_ENCAPSULATED = 1 << 21;
const ETHERNET_HEADER_LEN = 14;

/**
 * Zone of a packet: the switch's word where it has spoken (an access port carries no tag, a trunk does), otherwise the VLAN
 * tags: outer id, and nine bits of the inner one. Packets that only a host with another protocol stack would read (tunnels;
 * live also MPLS, PPPoE, SNAP) have a bit of their own.
 */
export function vlanZone(view: PacketView): number {
  const said = view.zone >= 0;
  const zone = said ? view.zone : view.vlanCount === 0 ? 0 : (view.vlan0 & 0x0fff) | ((view.vlan1 & 0x01ff) << 12);
  if (view.tunnelDepth > 0) return zone | ZONE_ENCAPSULATED;
  const plain = !said || view.linkType !== LinkType.ETHERNET || view.l3Off - view.off === ETHERNET_HEADER_LEN + 4 * view.vlanCount;
  return plain ? zone : zone | ZONE_ENCAPSULATED;
}

export class FlowKey {
  /** Source (a) and destination (b) address words of the packet in hand. */
  a0 = 0;
  a1 = 0;
  a2 = 0;
  a3 = 0;
  b0 = 0;
  b1 = 0;
  b2 = 0;
  b3 = 0;
  /** Ports word that a record of the same direction holds, and of the opposite one. */
  forward = 0;
  backward = 0;
  /** R_META word, never 0. */
  meta = 0;
  /** Ports as they enter the hash. */
  hashA = 0;
  hashB = 0;

  /** Key of a decoded packet with a complete transport header. */
  fromView(view: PacketView, zone: number): void {
    this.a0 = view.src0;
    this.a1 = view.src1;
    this.a2 = view.src2;
    this.a3 = view.src3;
    this.b0 = view.dst0;
    this.b1 = view.dst1;
    this.b2 = view.dst2;
    this.b3 = view.dst3;
    const proto = view.proto;
    this.meta = proto | (view.ipVersion === 4 ? VERSION_4 : VERSION_6) | (zone << ZONE_SHIFT);
    if (proto === PROTO_ICMP || proto === PROTO_ICMPV6) this.#icmp(proto, view.icmpType, view.icmpId);
    else this.#ports(view.srcPort, view.dstPort);
  }

  /** Key of the packet quoted by an ICMP error; false when the quotation does not reach its ports. */
  fromEmbedded(quoted: EmbeddedPacket, buf: Uint8Array, zone: number): boolean {
    if (quoted.l4Off < 0) return false;
    this.a0 = quoted.src0;
    this.a1 = quoted.src1;
    this.a2 = quoted.src2;
    this.a3 = quoted.src3;
    this.b0 = quoted.dst0;
    this.b1 = quoted.dst1;
    this.b2 = quoted.dst2;
    this.b3 = quoted.dst3;
    const proto = quoted.proto;
    this.meta = proto | (quoted.ipVersion === 4 ? VERSION_4 : VERSION_6) | (zone << ZONE_SHIFT);
    if (proto === PROTO_ICMP || proto === PROTO_ICMPV6) this.#icmp(proto, buf[quoted.l4Off], quoted.srcPort);
    else this.#ports(quoted.srcPort, quoted.dstPort);
    return true;
  }

  /** Turn the key around: the record is to be made as if the destination had sent the first packet. */
  swap(): void {
    let t = this.a0;
    this.a0 = this.b0;
    this.b0 = t;
    t = this.a1;
    this.a1 = this.b1;
    this.b1 = t;
    t = this.a2;
    this.a2 = this.b2;
    this.b2 = t;
    t = this.a3;
    this.a3 = this.b3;
    this.b3 = t;
    t = this.forward;
    this.forward = this.backward;
    this.backward = t;
    t = this.hashA;
    this.hashA = this.hashB;
    this.hashB = t;
  }

  /** Hash of the key, equal for both directions. */
  hash(seed: number): number {
    const zone = this.meta >>> ZONE_SHIFT;
    return flowHashOf(this.a0, this.a1, this.a2, this.a3, this.b0, this.b1, this.b2, this.b3, this.hashA, this.hashB, this.meta & 0xff, zone, seed);
  }

  #ports(src: number, dst: number): void {
    this.forward = (src << 16) | dst;
    this.backward = (dst << 16) | src;
    this.hashA = src;
    this.hashB = dst;
  }

  #icmp(proto: number, type: number, id: number): void {
    this.hashA = id;
    this.hashB = id;
    const role = icmpRole(proto, type);
    if (role === ROLE_OTHER) {
      this.forward = OTHER_ICMP | type;
      this.backward = this.forward;
      return;
    }
    // Request and reply types are neighbours everywhere but in the ICMP echo pair (8, 0).
    const kind = role === ROLE_REQUEST ? type : type === 0 ? 8 : type - 1;
    const asked = (id << 16) | kind;
    const answered = asked | ICMP_ANSWERS;
    this.forward = role === ROLE_REQUEST ? asked : answered;
    this.backward = role === ROLE_REQUEST ? answered : asked;
  }
}

function icmpRole(proto: number, type: number): number {
  if (proto === PROTO_ICMPV6) return type === 128 ? ROLE_REQUEST : type === 129 ? ROLE_REPLY : ROLE_OTHER;
  switch (type) {
    case 8:
    case 13:
    case 15:
    case 17:
      return ROLE_REQUEST;
    case 0:
    case 14:
    case 16:
    case 18:
      return ROLE_REPLY;
    default:
      return ROLE_OTHER;
  }
}

/** True for ICMP and ICMPv6 types that ask for an answer with the same identifier. */
export function isIcmpRequest(proto: number, type: number): boolean {
  return icmpRole(proto, type) === ROLE_REQUEST;
}

/** True for ICMP and ICMPv6 types that answer such a request. */
export function isIcmpReply(proto: number, type: number): boolean {
  return icmpRole(proto, type) === ROLE_REPLY;
}
