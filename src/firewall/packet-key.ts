/** What rules look at in a packet. One per worker, overwritten for each packet that has to be classified. */
import { PROTO_FRAGMENT, PROTO_ICMP, PROTO_ICMPV6, PROTO_SCTP, PROTO_TCP, PROTO_UDP, TCP_SYN, type PacketView } from '../packet/index.js';
import { hourOfWeek } from './config/schedule.js';

/** ICMP and ICMPv6 replies and the requests that open their flow (RFC 792, RFC 4443). */
const ICMP_ECHO_REPLY = 0;
const ICMP_ECHO_REQUEST = 8;
const ICMP_TIMESTAMP_REPLY = 14;
const ICMP_TIMESTAMP_REQUEST = 13;
const ICMPV6_ECHO_REPLY = 129;
const ICMPV6_ECHO_REQUEST = 128;

export class PacketKey {
  ipVersion = 0;
  etherType = 0;
  /** IP protocol; of a fragment, the protocol of its datagram. */
  proto = 0;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  /** -1 when the packet shows no ports: other protocols, later fragments. */
  srcPort = -1;
  dstPort = -1;
  /** -1 when the packet shows no TCP header. */
  tcpFlags = -1;
  /** type << 8 | code, -1 when the packet shows no ICMP header. */
  icmp = -1;
  srcMacHi = 0;
  srcMacLo = 0;
  dstMacHi = 0;
  dstMacLo = 0;
  /** Seconds since the epoch. */
  seconds = 0;

  load(view: PacketView): void {
    this.ipVersion = view.ipVersion;
    this.etherType = view.etherType;
    const proto = view.proto === PROTO_FRAGMENT && view.fragNext >= 0 ? view.fragNext : view.proto;
    this.proto = proto;
    this.src0 = view.src0;
    this.src1 = view.src1;
    this.src2 = view.src2;
    this.src3 = view.src3;
    this.dst0 = view.dst0;
    this.dst1 = view.dst1;
    this.dst2 = view.dst2;
    this.dst3 = view.dst3;
    const hasTransport = view.ipVersion !== 0 && view.l4Off >= 0;
    const hasPorts = hasTransport && (proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP);
    this.srcPort = hasPorts ? view.srcPort : -1;
    this.dstPort = hasPorts ? view.dstPort : -1;
    this.tcpFlags = hasTransport && proto === PROTO_TCP ? view.tcpFlags : -1;
    this.icmp = hasTransport && (proto === PROTO_ICMP || proto === PROTO_ICMPV6) ? (view.icmpType << 8) | view.icmpCode : -1;
    this.srcMacHi = view.srcMacHi;
    this.srcMacLo = view.srcMacLo;
    this.dstMacHi = view.dstMacHi;
    this.dstMacLo = view.dstMacLo;
    this.seconds = view.tsSec;
  }

  /**
   * Turn the key of a later packet into that of the packet that opened its flow, so that an established flow can be judged
   * again by the rules that judged it when it was new.
   * @param reply the packet travels against the first one
   */
  toOpening(reply: boolean): void {
    if (reply) this.#swapEnds();
    if (this.tcpFlags >= 0) this.tcpFlags = TCP_SYN;
    if (this.icmp < 0 || !reply) return;
    const type = this.icmp >> 8;
    const code = this.icmp & 0xff;
    if (this.proto === PROTO_ICMP && type === ICMP_ECHO_REPLY) this.icmp = (ICMP_ECHO_REQUEST << 8) | code;
    else if (this.proto === PROTO_ICMP && type === ICMP_TIMESTAMP_REPLY) this.icmp = (ICMP_TIMESTAMP_REQUEST << 8) | code;
    else if (this.proto === PROTO_ICMPV6 && type === ICMPV6_ECHO_REPLY) this.icmp = (ICMPV6_ECHO_REQUEST << 8) | code;
  }

  #swapEnds(): void {
    let t = this.src0;
    this.src0 = this.dst0;
    this.dst0 = t;
    t = this.src1;
    this.src1 = this.dst1;
    this.dst1 = t;
    t = this.src2;
    this.src2 = this.dst2;
    this.dst2 = t;
    t = this.src3;
    this.src3 = this.dst3;
    this.dst3 = t;
    t = this.srcPort;
    this.srcPort = this.dstPort;
    this.dstPort = t;
    t = this.srcMacHi;
    this.srcMacHi = this.dstMacHi;
    this.dstMacHi = t;
    t = this.srcMacLo;
    this.srcMacLo = this.dstMacLo;
    this.dstMacLo = t;
  }

  /** Hour of the week, shifted by a schedule's offset from UTC. */
  hour(utcOffset: number): number {
    return hourOfWeek(this.seconds + utcOffset);
  }
}
