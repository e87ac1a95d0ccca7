/**
 * Connection tracking: PacketView -> CtState. `lookup` finds the flow and moves its state on; a packet that would open a
 * connection is NEW and leaves no trace until `commit`, which the caller makes after the firewall has allowed it.
 *
 * Two manners. Strict (inline): what cannot be honest is INVALID with a reason, nothing but a SYN opens a TCP connection
 * (or an ACK, with midstream 'loose'). Otherwise (replay, mirror ports): every TCP, UDP and ICMP packet belongs to some
 * flow, oddities are stream events, and the verdict is left to rules.
 */
import {
  isIcmpError,
  isIcmpv6Error,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  TCP_SYN,
  type PacketView,
} from '../packet/index.js';
import { CtState, DropReason } from '../pipeline/index.js';
import { isIcmpReply, isIcmpRequest } from './flow-key.js';
import { EndCause, M_EXPECTED, PORT_UNKNOWN, R_END_A, R_MARKS, R_PACKETS_B, R_STATE, R_STRIDE, S_STATE } from './flow-record.js';
import type { Expectations } from './expectations.js';
import type { FlowTable } from './flow-table.js';
import { IcmpRelation } from './icmp-relation.js';
import { StreamEvent, StreamEvents } from './stream-event.js';
import { FlowState } from './tcp-state.js';
import { SEG_ACK, SEG_INVALID, SEG_RST, SEG_SYN, SEG_SYNACK, segmentClass } from './tcp-segment.js';
import { TcpTracker } from './tcp-tracker.js';

export interface ConnTrackOptions {
  /** Inline: refuse what cannot be honest. Default true. */
  readonly strict?: boolean;
  /** 'loose': connections whose SYN was not seen are picked up. Default 'off'. */
  readonly midstream?: 'loose' | 'off';
  /** Follow TCP connections of which only one direction is seen. Default false. */
  readonly asyncOneside?: boolean;
  /** Connections that others announced: their packets are RELATED until they are answered. */
  readonly expectations?: Expectations;
}

export class ConnTrack {
  /** What was noticed about the packet in hand; cleared by each lookup, added to by the stream engine. */
  readonly events = new StreamEvents();
  /** Invalid packets since construction. */
  invalid = 0;
  readonly #table: FlowTable;
  readonly #tcp: TcpTracker;
  readonly #relation: IcmpRelation;
  readonly #strict: boolean;
  readonly #loose: boolean;
  readonly #asyncOneside: boolean;
  readonly #expectations: Expectations | null;

  constructor(table: FlowTable, options: ConnTrackOptions = {}) {
    this.#table = table;
    this.#strict = options.strict ?? true;
    this.#loose = options.midstream === 'loose';
    this.#asyncOneside = options.asyncOneside ?? false;
    this.#expectations = options.expectations ?? null;
    this.#tcp = new TcpTracker(table, this.events, this.#strict, this.#asyncOneside);
    this.#relation = new IcmpRelation(table);
  }

  /**
   * Classify a packet; sets view.flowId, view.flowDir, view.ctState, view.established and, for INVALID, view.reason. Packets of known flows
   * are counted in their record.
   * - NEW with flowId -1: would open a connection; `commit` enters it.
   * - NEW with flowId >= 0: the other side has not answered yet; the connection was committed before.
   * - RELATED: an ICMP error about a flow (flowId is that flow), or as NEW, but another connection announced this one.
   * - UNTRACKED: not IP, a fragment (put it through the Defragmenter), no readable transport header, neighbour discovery.
   * @param zone keeps equal addresses of different tenants or VLANs apart (see vlanZone)
   */
  lookup(view: PacketView, zone = 0): CtState {
    view.flowId = -1;
    view.flowDir = 0;
    view.established = false;
    this.events.clear();
    const state = this.#lookup(view, zone);
    view.ctState = state;
    return state;
  }

  #lookup(view: PacketView, zone: number): CtState {
    if (view.ipVersion === 0 || view.fragment) return CtState.UNTRACKED;
    const proto = view.proto;
    if (proto === PROTO_TCP) return view.l4Off < 0 ? CtState.UNTRACKED : this.#lookupTcp(view, zone);
    if (view.l4Off < 0 && (proto === PROTO_UDP || proto === PROTO_ICMP || proto === PROTO_ICMPV6 || proto === PROTO_SCTP)) return CtState.UNTRACKED;
    if (proto === PROTO_ICMP || proto === PROTO_ICMPV6) {
      const special = this.#lookupIcmp(view, zone);
      if (special >= 0) return special as CtState;
    }
    const id = this.#table.find(view, zone);
    if (id < 0) return this.#opening(view);
    const dir = view.flowDir;
    if (dir === 1 && this.#strict && this.#isForged(id, view.ingress)) return this.#refuse(view, DropReason.ct_invalid);
    if (dir === 1 && proto === PROTO_UDP) this.#table.setState(id, FlowState.UDP_REPLIED, view.tsSec);
    this.#table.account(id, dir, view);
    view.established = this.#answered(id);
    return view.established ? CtState.ESTABLISHED : this.#unanswered(id);
  }

  #lookupTcp(view: PacketView, zone: number): CtState {
    const table = this.#table;
    const id = table.find(view, zone);
    const cls = segmentClass(view.tcpFlags);
    if (id < 0 || (cls === SEG_SYN && this.#reuses(id, view))) return this.#newTcp(view, cls);
    const dir = view.flowDir;
    const state = table.state(id);
    if (dir === 1 && this.#strict && this.#isForged(id, view.ingress)) return this.#refuse(view, DropReason.ct_invalid);
    if (this.#strict && state === FlowState.NONE) return this.#refuse(view, DropReason.ct_invalid);
    view.established = state >= FlowState.ESTABLISHED;
    const bad = this.#tcp.update(id, dir, view);
    if (bad !== 0) return this.#refuse(view, bad);
    // What the last packet of a handshake brings along is judged now or never.
    if (!view.established && view.payloadLen > 0) view.established = table.state(id) >= FlowState.ESTABLISHED;
    table.account(id, dir, view);
    return this.#answered(id) ? CtState.ESTABLISHED : this.#unanswered(id);
  }

  /** A packet that would open a connection: announced, or not. */
  #opening(view: PacketView): CtState {
    return this.#expectations !== null && this.#expectations.admits(view) ? CtState.RELATED : CtState.NEW;
  }

  /** A flow whose other end has not sent yet. */
  #unanswered(id: number): CtState {
    return (this.#table.records[id * R_STRIDE + R_MARKS] & M_EXPECTED) === 0 ? CtState.NEW : CtState.RELATED;
  }

  /**
   * A reply that comes in by the originator's port although the responder is known to be behind another one: an originator
   * that answers itself could complete handshakes and acknowledge data of which the other end knows nothing.
   */
  #isForged(id: number, ingress: number): boolean {
    const table = this.#table;
    const responder = table.switchPort(id, 1);
    return ingress === table.switchPort(id, 0) && responder !== ingress && responder !== PORT_UNKNOWN;
  }

  /** A SYN may take over the record of a connection that is over (RFC 9293 section 3.6.1; RFC 1122 section 4.2.2.13). */
  #reuses(id: number, view: PacketView): boolean {
    const table = this.#table;
    const state = table.state(id);
    const end = table.records[id * R_STRIDE + R_END_A + view.flowDir * 3];
    const over =
      state === FlowState.CLOSE ||
      state === FlowState.NONE ||
      (state === FlowState.TIME_WAIT && ((view.seq - end) | 0) > 0) ||
      // Without enforcement a lost segment must not glue two connections together.
      (!this.#strict && (state === FlowState.LAST_ACK || state === FlowState.TIME_WAIT));
    if (!over) return false;
    table.remove(id, EndCause.REUSED);
    view.flowId = -1;
    view.flowDir = 0;
    return true;
  }

  /** A segment without a flow. */
  #newTcp(view: PacketView, cls: number): CtState {
    if (cls === SEG_SYN) return this.#opening(view);
    if (cls === SEG_RST) this.events.add(StreamEvent.rst_but_no_session);
    if (!this.#strict) return CtState.NEW;
    if (cls === SEG_INVALID) return this.#refuse(view, DropReason.ct_invalid_flags);
    return this.#loose && cls === SEG_ACK ? CtState.NEW : this.#refuse(view, DropReason.ct_invalid);
  }

  /** @returns a CtState, or -1 when the packet is tracked like any other */
  #lookupIcmp(view: PacketView, zone: number): number {
    const type = view.icmpType;
    const proto = view.proto;
    if (proto === PROTO_ICMP ? isIcmpError(type) : isIcmpv6Error(type)) {
      const bad = this.#relation.relate(view, zone);
      if (bad === 0) return CtState.RELATED;
      return this.#strict ? this.#refuse(view, bad) : -1;
    }
    if (!this.#strict) return -1;
    if (isIcmpReply(proto, type)) {
      const id = this.#table.find(view, zone);
      return id >= 0 ? -1 : this.#refuse(view, DropReason.ct_invalid);
    }
    if (isIcmpRequest(proto, type)) return -1;
    // Neighbour discovery and multicast listener reports are link business, not connections; likewise IPv4's router discovery.
    return CtState.UNTRACKED;
  }

  #refuse(view: PacketView, reason: number): CtState {
    this.invalid++;
    view.reason = reason;
    return CtState.INVALID;
  }

  /** Both ends have sent. */
  #answered(id: number): boolean {
    return this.#table.records[id * R_STRIDE + R_PACKETS_B] !== 0;
  }

  /**
   * Enter the connection that a NEW or announced packet opens, and count the packet. Must follow its lookup directly (same view, no
   * other lookup in between). Committing a packet whose connection is known already returns that one.
   * @returns flow id, also in view.flowId; -1 with view.reason flow_table_full, flow_budget, flow_half_open_budget or flow_rate_budget
   */
  commit(view: PacketView): number {
    if (view.flowId >= 0) return view.flowId;
    const table = this.#table;
    const { budgets } = table;
    const row = budgets.row(view.ingress);
    const state = this.#firstState(view);
    if (state === FlowState.SYN_SENT && table.halfOpenByPort[row] >= budgets.halfOpen[row]) {
      view.reason = DropReason.flow_half_open_budget;
      return -1;
    }
    if (budgets.rated && !budgets.rate.take(row, 1, view.tsSec, view.tsUsec)) {
      view.reason = DropReason.flow_rate_budget;
      return -1;
    }
    // A SYN+ACK picked up midstream comes from the responder.
    const dir = state === FlowState.SYN_RECV ? 1 : 0;
    if (dir === 1) table.key.swap();
    const id = table.insert(view, state);
    if (id < 0) {
      view.reason = table.overShare ? DropReason.flow_budget : DropReason.flow_table_full;
      return -1;
    }
    view.flowId = id;
    view.flowDir = dir;
    if (view.proto === PROTO_TCP) this.#tcp.start(id, dir, view);
    table.account(id, dir, view);
    if (view.ctState === CtState.RELATED) {
      table.mark(id, M_EXPECTED);
      this.#expectations?.admitted(view);
    }
    return id;
  }

  #firstState(view: PacketView): number {
    switch (view.proto) {
      case PROTO_TCP:
        if ((view.tcpFlags & (TCP_SYN | TCP_ACK)) === TCP_SYN) return segmentClass(view.tcpFlags) === SEG_SYN ? FlowState.SYN_SENT : FlowState.NONE;
        if (!this.#loose && !this.#asyncOneside) return FlowState.NONE;
        switch (segmentClass(view.tcpFlags)) {
          case SEG_SYNACK:
            return FlowState.SYN_RECV;
          case SEG_ACK:
            return FlowState.ESTABLISHED;
          default:
            return FlowState.NONE;
        }
      case PROTO_UDP:
        return FlowState.UDP_NEW;
      case PROTO_ICMP:
      case PROTO_ICMPV6:
        return FlowState.ICMP;
      default:
        return FlowState.OTHER;
    }
  }

  /**
   * Established in the sense of Suricata's `flow: established`: TCP after the three-way handshake (and until it is
   * closed), anything else once both sides have sent.
   */
  isEstablished(flowId: number): boolean {
    const state = this.#table.records[flowId * R_STRIDE + R_STATE] & S_STATE;
    if (state >= FlowState.UDP_NEW) return this.#answered(flowId);
    return state >= FlowState.ESTABLISHED;
  }
}
