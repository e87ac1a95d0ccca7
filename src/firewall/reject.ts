/**
 * Answers to refused packets: TCP RST and ICMP/ICMPv6 "communication administratively prohibited", written as finished
 * frames into rows of the batch. The appliance has no address of its own, so an answer comes from the address the packet
 * was for, as bridging firewalls do. Rate limited; what must not be answered (RFC 1122 section 3.2.2, RFC 4443 section
 * 2.4e) is counted, not answered.
 */
import {
  D_LINK_TYPE, D_OFF, D_STRIDE, ETHERNET_HEADER_LEN, finishIpv4, finishIpv6, ICMP_DEST_UNREACH, isIcmpError, isMulticastMac, LinkType,
  PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, putIcmp, putIpv4, putIpv6, putTcp, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, type FrameBatch, type PacketView,
} from '../packet/index.js';
import type { Budgets } from '../flow/index.js';
import { TokenBuckets } from '../util/index.js';

const TTL = 64;
/** Receive window of a host that is about to close. */
const WINDOW = 0xffff;
const NOTHING = new Uint8Array(0);
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const TCP_HEADER = 20;
const ICMP_HEADER = 8;
/** RFC 1812 section 5.2.7.1: communication administratively prohibited. */
const CODE_ADMIN_PROHIBITED = 13;
/** RFC 4443 section 3.1: type and code of the same. */
const ICMPV6_UNREACHABLE = 1;
const CODE_ADMIN_PROHIBITED_V6 = 1;
/** Largest answer: RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4c. */
const MAX_ICMP_DATAGRAM = 576;
const MAX_ICMPV6_DATAGRAM = 1280;
/** ICMPv6 types from here on are informational. */
const ICMPV6_INFORMATIONAL = 128;

export interface RejectOptions {
  /** Answers per second, and how many may come at once. 0 = no limit. */
  readonly perSecond?: number;
  readonly burst?: number;
  /** What each owner may have of them: one noisy VM does not take the answers of the others. */
  readonly budgets?: Budgets;
}

export class Rejecter {
  /** Answers written since construction. */
  sent = 0;
  /** Packets not answered because of the rate limit. */
  limited = 0;
  /** Packets that must not or cannot be answered. */
  unanswerable = 0;
  /** Answers that found no room in the batch. */
  noRoom = 0;
  /** Of the last `build`: row of the answer to the sender and the port it leaves by; -1 = none. */
  senderRow = -1;
  senderPort = -1;
  /** The same for the RST to the receiver. */
  receiverRow = -1;
  receiverPort = -1;
  readonly #bucket = new TokenBuckets(1);
  readonly #budgets: Budgets | null;

  constructor(options: RejectOptions = {}) {
    this.#budgets = options.budgets ?? null;
    this.#bucket.configure(0, options.perSecond ?? 1000, options.burst ?? 100);
  }

  /**
   * Answer a packet that will not be forwarded. The rows are left to the caller to send (`batch.send`).
   * @param view Ethernet frame; its bytes stay as they are
   * @param receiver also reset the receiver of a TCP packet, by view.egress (not for a SYN: the receiver knows nothing)
   * @param sender answer the sender at all
   * @returns rows written, 0 to 2
   */
  build(batch: FrameBatch, view: PacketView, receiver: boolean, sender = true): number {
    this.senderRow = -1;
    this.senderPort = -1;
    this.receiverRow = -1;
    this.receiverPort = -1;
    if (!this.#admits(view)) return 0;
    if (sender) this.senderRow = view.proto === PROTO_TCP ? this.#resetSender(batch, view) : this.#unreachable(batch, view);
    this.senderPort = this.senderRow < 0 ? -1 : view.ingress;
    const opening = (view.tcpFlags & (TCP_SYN | TCP_ACK)) === TCP_SYN;
    if (receiver && view.proto === PROTO_TCP && !opening && view.egress >= 0) {
      this.receiverRow = this.#resetReceiver(batch, view);
      this.receiverPort = this.receiverRow < 0 ? -1 : view.egress;
    }
    const built = (this.senderRow < 0 ? 0 : 1) + (this.receiverRow < 0 ? 0 : 1);
    this.sent += built;
    return built;
  }

  /**
   * One segment of a conversation that the appliance ends in the name of one of its hosts. The caller knows the numbers: those of
   * `view` may lie before or behind what its receiver has got.
   * @param view TCP packet of that conversation; its bytes stay as they are
   * @param back true: to the sender of the packet, false: on to its receiver
   * @param payload may be empty; together with the headers it has to fit the MTU
   * @returns row, to be sent by view.ingress (back) or view.egress; -1 = must not be answered, too many, no room
   */
  segment(batch: FrameBatch, view: PacketView, back: boolean, seq: number, ack: number, flags: number, payload: Uint8Array): number {
    if (!this.#admits(view)) return -1;
    const row = this.#segment(batch, view, back, seq, ack, flags, payload);
    if (row >= 0) this.sent++;
    return row;
  }

  #admits(view: PacketView): boolean {
    if (!isAnswerable(view)) {
      this.unanswerable++;
      return false;
    }
    const budgets = this.#budgets;
    if ((budgets !== null && !budgets.answers.take(budgets.row(view.ingress), 1, view.tsSec, view.tsUsec)) || !this.#bucket.take(0, 1, view.tsSec, view.tsUsec)) {
      this.limited++;
      return false;
    }
    return true;
  }

  /** RFC 9293 section 3.5.2: to a segment with ACK answer with its ACK number, otherwise acknowledge all it sent. */
  #resetSender(batch: FrameBatch, view: PacketView): number {
    if ((view.tcpFlags & TCP_ACK) !== 0) return this.#segment(batch, view, true, view.ack, 0, TCP_RST, NOTHING);
    const length = view.payloadLen + ((view.tcpFlags & TCP_SYN) === 0 ? 0 : 1) + ((view.tcpFlags & TCP_FIN) === 0 ? 0 : 1);
    return this.#segment(batch, view, true, 0, (view.seq + length) | 0, TCP_RST | TCP_ACK, NOTHING);
  }

  /** In the name of the sender, with the sequence number the refused segment had: exactly what the receiver waits for (RFC 5961). */
  #resetReceiver(batch: FrameBatch, view: PacketView): number {
    const acks = (view.tcpFlags & TCP_ACK) !== 0;
    return this.#segment(batch, view, false, view.seq, acks ? view.ack : 0, acks ? TCP_RST | TCP_ACK : TCP_RST, NOTHING);
  }

  /** @param back true: to the sender of the packet, false: on to its receiver */
  #segment(batch: FrameBatch, view: PacketView, back: boolean, seq: number, ack: number, flags: number, payload: Uint8Array): number {
    const linkLen = view.l3Off - view.off;
    const ipLen = (view.ipVersion === 4 ? IPV4_HEADER : IPV6_HEADER) + TCP_HEADER;
    const row = this.#row(batch, view, linkLen + ipLen + payload.length, back);
    if (row < 0) return -1;
    const buf = batch.arena;
    const l3 = putLink(buf, batch.desc[row * D_STRIDE + D_OFF], view, back);
    const at = putIp(buf, l3, view, back, PROTO_TCP);
    const window = (flags & TCP_RST) === 0 ? WINDOW : 0;
    const end = putTcp(buf, at, back ? view.dstPort : view.srcPort, back ? view.srcPort : view.dstPort, seq, ack, flags, window);
    for (let i = 0; i < payload.length; i++) buf[end + i] = payload[i]!;
    finish(buf, l3, end + payload.length, view.ipVersion);
    return row;
  }

  #unreachable(batch: FrameBatch, view: PacketView): number {
    const v6 = view.ipVersion === 6;
    const linkLen = view.l3Off - view.off;
    const headers = (v6 ? IPV6_HEADER : IPV4_HEADER) + ICMP_HEADER;
    const quoted = Math.min(view.ipEnd - view.l3Off, (v6 ? MAX_ICMPV6_DATAGRAM : MAX_ICMP_DATAGRAM) - headers);
    const row = this.#row(batch, view, linkLen + headers + quoted, true);
    if (row < 0) return -1;
    const buf = batch.arena;
    const l3 = putLink(buf, batch.desc[row * D_STRIDE + D_OFF], view, true);
    const at = putIp(buf, l3, view, true, v6 ? PROTO_ICMPV6 : PROTO_ICMP);
    const type = v6 ? ICMPV6_UNREACHABLE : ICMP_DEST_UNREACH;
    const quote = putIcmp(buf, at, type, v6 ? CODE_ADMIN_PROHIBITED_V6 : CODE_ADMIN_PROHIBITED, 0);
    for (let i = 0; i < quoted; i++) buf[quote + i] = view.buf[view.l3Off + i];
    finish(buf, l3, quote + quoted, view.ipVersion);
    return row;
  }

  #row(batch: FrameBatch, view: PacketView, len: number, back: boolean): number {
    // The answer counts as coming from the port the packet was for, as far as that is one port.
    const from = back && view.egress >= 0 ? view.egress : view.ingress;
    const row = batch.inject(len, from, view.tsSec, view.tsUsec);
    if (row < 0) this.noRoom++;
    else batch.desc[row * D_STRIDE + D_LINK_TYPE] = view.linkType;
    return row;
  }
}

/** Link header of the packet with its VLAN tags; MACs swapped on the way back. @returns offset of the IP header */
function putLink(buf: Uint8Array, at: number, view: PacketView, back: boolean): number {
  const len = view.l3Off - view.off;
  for (let i = 0; i < len; i++) buf[at + i] = view.buf[view.off + i];
  if (back) {
    for (let i = 0; i < 6; i++) {
      buf[at + i] = view.buf[view.off + 6 + i];
      buf[at + 6 + i] = view.buf[view.off + i];
    }
  }
  return at + len;
}

function putIp(buf: Uint8Array, at: number, v: PacketView, back: boolean, proto: number): number {
  if (v.ipVersion === 4) return back ? putIpv4(buf, at, v.dst0, v.src0, proto, TTL) : putIpv4(buf, at, v.src0, v.dst0, proto, TTL);
  return back
    ? putIpv6(buf, at, v.dst0, v.dst1, v.dst2, v.dst3, v.src0, v.src1, v.src2, v.src3, proto, TTL)
    : putIpv6(buf, at, v.src0, v.src1, v.src2, v.src3, v.dst0, v.dst1, v.dst2, v.dst3, proto, TTL);
}

function finish(buf: Uint8Array, l3: number, end: number, version: number): void {
  if (version === 4) finishIpv4(buf, l3, end);
  else finishIpv6(buf, l3, end);
}

/** Plain Ethernet and IP, from and to one host, whole, and no error message. */
function isAnswerable(view: PacketView): boolean {
  if (view.linkType !== LinkType.ETHERNET || view.ipVersion === 0 || view.tunnelDepth > 0) return false;
  // Between the VLAN tags and IP stand headers (PPPoE, MPLS) whose lengths or labels belong to the other packet.
  if (view.l3Off - view.off !== ETHERNET_HEADER_LEN + 4 * view.vlanCount) return false;
  if (view.fragment || view.malformed !== 0) return false;
  if (isMulticastMac(view.dstMacHi) || isMulticastMac(view.srcMacHi)) return false;
  const oneHost = view.ipVersion === 4 ? isHost4(view.src0) && isHost4(view.dst0) : isHost6(view.src0, view.src1, view.src2, view.src3) && isHost6(view.dst0, view.dst1, view.dst2, view.dst3);
  if (!oneHost) return false;
  if (view.proto === PROTO_TCP) return view.l4Off >= 0 && (view.tcpFlags & TCP_RST) === 0;
  if (view.proto === PROTO_ICMP) return view.l4Off >= 0 && !isIcmpError(view.icmpType);
  if (view.proto === PROTO_ICMPV6) return view.l4Off >= 0 && view.icmpType >= ICMPV6_INFORMATIONAL;
  return true;
}

/** Not "this network", loopback, multicast, reserved or broadcast (RFC 6890). */
function isHost4(word: number): boolean {
  const first = word >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

/** Not unspecified, loopback or multicast. */
function isHost6(w0: number, w1: number, w2: number, w3: number): boolean {
  if (w0 >>> 24 === 0xff) return false;
  return (w0 | w1 | w2) !== 0 || w3 >>> 0 > 1;
}
