/**
 * The inspection engine: one packet in, one verdict out. Order of judgement as in Suricata: header-only rules (once per
 * flow and direction), packet and stream rules together in rule order, then transaction rules; all matches are then
 * applied in rule order (pass, drop, reject, alert), where a pass ends it. Nothing is allocated per packet unless a rule
 * matches.
 */
import type { Flow, StreamEvents, StreamHalf } from '../flow/index.js';
import { PacketView, PROTO_TCP, TCP_SYN } from '../packet/index.js';
import { DropReason, isDrop, Verdict, type EventOutput } from '../pipeline/index.js';
import type { Transaction } from '../protocols/index.js';
import { AlertQueue } from './alert-queue.js';
import { Candidates } from './candidates.js';
import { ChainInspector } from './match/chain.js';
import { InspectContext } from './match/context.js';
import { PacketRange } from './packet-buffer.js';
import { PortPolicies } from './port-policies.js';
import { RuleAction, RuleKind, type CompiledRule } from './rule.js';
import { isSynAlone, packetClass, type RuleSet } from './rule-set.js';
import { FlowDetect, JUDGED_BEFORE } from './state/flow-detect.js';
import { DetectPool } from './state/pool.js';
import { SharedState } from './state/shared-state.js';
import { ThresholdOutcome } from './state/threshold.js';
import type { StreamRows } from './state/stream-rows.js';
import { TransformRunner } from './transform-runner.js';
import { TxInspector, TxSweep } from './tx-inspector.js';

export interface IpsOptions {
  /** 'ips': drop and reject rules keep packets back. 'ids': they only report. Default 'ips'. */
  readonly mode?: 'ips' | 'ids';
  /** Alerts reported per packet at most (Suricata: packet-alert-max). Default 15. */
  readonly maxAlertsPerPacket?: number;
  /** State that outlives flows; one of its own without it. */
  readonly shared?: SharedState;
  /** The engine that judged until now, by the rules before these: its state and counts go on. */
  readonly previous?: Ips;
  /** What connection tracking noticed about the packet in hand (keyword stream-event). */
  readonly streamEvents?: StreamEvents;
  /** Suricata's IDS mode: streams are judged in pieces, after the packets that brought them. Default false. */
  readonly passive?: boolean;
  /** Passive: bytes of a stream count when they are acknowledged, not when they arrive. Default false. */
  readonly onAck?: boolean;
  /** Application-layer events of the packet in hand that belong to no transaction (AppLayer.packetEvents). */
  readonly packetEvents?: readonly string[];
}

const NO_EVENTS: readonly string[] = [];

/** Stream bytes kept before the newest for contents that began earlier (Suricata: toserver-chunk-size). */
export const STREAM_WINDOW = 2560;

/** What operators should know about, counted since construction. */
export class IpsCounters {
  /** Rules that matched, and alerts reported. */
  matches = 0;
  alerts = 0;
  alertsBlocked = 0;
  /** Alerts beyond maxAlertsPerPacket. */
  alertsDiscarded = 0;
  /** Matches that a threshold kept from being an alert. */
  alertsSuppressed = 0;
  /** Rules judged after the prefilter. */
  checks = 0;
  /** Stream and transaction rules whose waiting place was needed by others. */
  stateLost = 0;
}

export class Ips {
  readonly rules: RuleSet;
  readonly counters: IpsCounters;
  readonly context: InspectContext;
  /** Which rules count for which switch port. */
  readonly ports = new PortPolicies();
  readonly #events: EventOutput;
  readonly #prevent: boolean;
  readonly #maxAlerts: number;
  readonly #passive: boolean;
  readonly #onAck: boolean;
  readonly #packetEvents: readonly string[];
  readonly #candidates: Candidates;
  readonly #hits: Uint32Array;
  readonly #queue = new AlertQueue();
  readonly #chains = new ChainInspector();
  readonly #transforms = new TransformRunner();
  readonly #range = new PacketRange();
  readonly #pool = new DetectPool();
  readonly #tx: TxInspector;

  readonly #turned = new PacketView();

  // The packet in hand.
  #half: StreamHalf | null = null;
  /** Stream offset up to which stream rules look. */
  #streamEnd = 0;
  /** The flow is over. */
  #atEnd = false;
  /** Application protocol for rules that are judged by packet. */
  #headerApp = 0;
  #streamRows: StreamRows | null = null;
  /** TCP payload that no stream took (no flow, depth reached): stream rules look at the packet instead. */
  #streamless = false;

  constructor(rules: RuleSet, events: EventOutput, options: IpsOptions = {}) {
    this.rules = rules;
    this.#events = events;
    this.#prevent = (options.mode ?? 'ips') === 'ips';
    this.#maxAlerts = options.maxAlertsPerPacket ?? 15;
    this.#passive = options.passive ?? false;
    this.#onAck = this.#passive && (options.onAck ?? false);
    const { previous } = options;
    this.counters = previous?.counters ?? new IpsCounters();
    this.context = new InspectContext(previous?.shared ?? options.shared ?? new SharedState(), previous?.context.counters);
    this.context.streamEvents = options.streamEvents ?? null;
    this.#packetEvents = options.packetEvents ?? NO_EVENTS;
    this.#candidates = new Candidates(rules.rules.length);
    this.#hits = new Uint32Array(rules.maxPatterns);
    this.#tx = new TxInspector(rules, this.context, this.#chains, this.#transforms, this.#candidates, this.#hits, this.#pool, this.counters, this);
  }

  /** Thresholds, xbits and hostbits. */
  get shared(): SharedState {
    return this.context.shared;
  }

  /**
   * Judge one packet, after its payload went through reassembly and the protocol parser.
   * @param flow null when the packet has none, or none with state
   * @returns a Verdict; on a drop view.reason, ruleGid and ruleSid are set
   */
  inspect(view: PacketView, flow: Flow | null): number {
    const mode = this.ports.modeOf(view);
    if (mode === PortPolicies.OFF || this.rules.rules.length === 0) {
      if (flow !== null) skipStream(flow, view.flowDir);
      return Verdict.NONE;
    }
    const state = flow === null ? null : this.#stateOf(flow);
    if (state !== null) {
      if (state.dropped || state.bypassed || state.passed) {
        skipStream(flow!, view.flowDir);
        if (state.dropped) return this.#enforces(mode) ? this.#dropAsFlow(view, state) : Verdict.NONE;
        return state.bypassed ? Verdict.BYPASS : Verdict.PASS;
      }
    }
    this.#begin(view, flow, state);
    if (view.eventCount > 0) this.#judgeDecodeEvents(view);
    this.#judgePacket(view, flow, state);
    if (flow !== null && flow.transactions.length > 0) this.#tx.inspect(flow, view.flowDir, this.#awaitsAck(flow, state!, view) ? TxSweep.FINISHED : TxSweep.TOUCHED);
    const verdict = this.#queue.count === 0 ? Verdict.NONE : this.#finish(view, flow, state, mode);
    if (flow === null || state === null || !this.#tx.finishedUnjudged(flow, 1 - view.flowDir)) return verdict;
    return this.#judgeOtherDirection(view, flow, state, mode, verdict);
  }

  /**
   * A packet can finish a transaction in the direction it does not travel (an answer that ends a tunnelled request, a
   * parser that gives up). It is forgotten after this packet, so that direction is judged now, by a view turned round.
   */
  #judgeOtherDirection(view: PacketView, flow: Flow, state: FlowDetect, mode: number, before: number): number {
    if (state.dropped || state.passed || state.bypassed) return before;
    const turned = this.#turned;
    turnRound(view, turned);
    this.#begin(turned, flow, state);
    this.#tx.inspect(flow, turned.flowDir, TxSweep.FINISHED);
    if (this.#queue.count === 0) return before;
    const verdict = this.#finish(turned, flow, state, mode);
    if (isDrop(verdict) && !isDrop(before)) {
      view.reason = turned.reason;
      view.ruleGid = turned.ruleGid;
      view.ruleSid = turned.ruleSid;
    }
    return Math.max(before, verdict);
  }

  /**
   * Judge what is left when a flow ends. Call once per direction with a view that holds the addresses, ports and time
   * of that direction and no payload.
   */
  inspectEnd(view: PacketView, flow: Flow): number {
    const state = this.#stateOf(flow);
    if (state.dropped || state.passed || state.bypassed) return Verdict.NONE;
    this.#begin(view, flow, state);
    this.#atEnd = true;
    if (view.proto === PROTO_TCP) this.#judgeRest(view, flow, state);
    this.#atEnd = false;
    this.#tx.inspect(flow, view.flowDir, TxSweep.ALL);
    return this.#queue.count === 0 ? Verdict.NONE : this.#finish(view, flow, state, this.ports.modeOf(view));
  }

  /** Bytes of direction `dir` are lost, or none will follow: judge what is there while it is. For passive engines; nothing is dropped. */
  inspectBeforeGap(view: PacketView, flow: Flow, dir: number): void {
    const state = this.#stateOf(flow);
    if (!this.#passive || state.dropped || state.passed || state.bypassed) return;
    const turned = this.#turned;
    turnRound(view, turned);
    if (view.flowDir === dir) turnRound(turned, turned);
    this.#begin(turned, flow, state);
    this.#atEnd = true;
    this.#judgeRest(turned, flow, state);
    this.#atEnd = false;
    if (this.#queue.count > 0) this.#finish(turned, flow, state, this.ports.modeOf(turned));
  }

  /** The flow is gone: give its state back. Register as release hook of the flow pool. */
  release(flow: Flow): void {
    for (const tx of flow.transactions as Transaction[]) this.#tx.release(tx);
    if (flow.detect instanceof FlowDetect) {
      const state = flow.detect;
      flow.detect = null;
      this.#pool.releaseFlow(state);
    }
  }

  #stateOf(flow: Flow): FlowDetect {
    let state = flow.detect as FlowDetect | null;
    if (state === null) {
      state = this.#pool.flow();
      state.generation = this.rules.generation;
      flow.detect = state;
    } else if (state.generation !== this.rules.generation) {
      state.follow(this.rules.successorsOf(state.generation));
      state.generation = this.rules.generation;
    }
    return state;
  }

  #begin(view: PacketView, flow: Flow | null, state: FlowDetect | null): void {
    const ctx = this.context;
    // What a rule that threw had left behind is not this packet's.
    if (this.#queue.count > 0) this.#queue.clear();
    ctx.view = view;
    ctx.flow = flow;
    ctx.state = state;
    ctx.dir = view.flowDir;
    ctx.app = flow === null ? 0 : flow.app;
    if (state !== null && ctx.app > 0) state.app = ctx.app;
    this.#headerApp = ctx.app;
    ctx.appOfDirection = ctx.app;
    if (ctx.app !== 0 && view.proto === PROTO_TCP) this.#limitApp(flow!, view.flowDir);
    ctx.packetEvents = this.#eventsOf(view, state);
    ctx.tx = null;
    this.#half = null;
    this.#streamRows = null;
    this.#streamless = false;
  }

  /** Application-layer events that count for the packet: passive, those that its acknowledgement brought about. */
  #eventsOf({ proto, flowDir }: PacketView, state: FlowDetect | null): readonly string[] {
    const live = this.#packetEvents;
    if (!this.#onAck || proto !== PROTO_TCP || state === null) return live;
    let due = NO_EVENTS;
    if (state.lateEvents !== null && state.lateDir === flowDir) {
      due = state.lateEvents;
      state.lateEvents = null;
    }
    if (live.length > 0) {
      state.lateEvents = [...live];
      state.lateDir = 1 - flowDir;
    }
    return due;
  }

  /**
   * What packet rules may know about the application protocol. For app-layer-protocol each direction speaks for itself,
   * once it has sent something. Passive, bytes count when the receiver has acknowledged them, as Suricata parses them then:
   * rules that only name a protocol alert for every packet, so this decides how often.
   */
  #limitApp(flow: Flow, dir: number): void {
    const ctx = this.context;
    const own = flow.half(dir);
    const other = flow.half(1 - dir);
    if (this.#onAck && own.acked <= 0) {
      ctx.appOfDirection = 0;
      if (other.acked <= 0) this.#headerApp = 0;
    } else if (own.end <= 0) ctx.appOfDirection = 0;
  }

  #judgeDecodeEvents(view: PacketView): void {
    const candidates = this.#candidates;
    candidates.clear();
    for (let i = 0; i < view.eventCount; i++) {
      const rules = this.rules.byDecodeEvent.get(view.events[i]!);
      if (rules !== undefined) candidates.addAll(rules);
    }
    candidates.sort();
    for (let i = 0; i < candidates.count; i++) this.#judge(this.rules.rules[candidates.ids[i]!]!, view);
  }

  /** Packet, stream, header-only and protocol-only rules, in rule order. */
  #judgePacket(view: PacketView, flow: Flow | null, state: FlowDetect | null): void {
    const candidates = this.#candidates;
    const { rules } = this;
    const dir = view.flowDir;
    const slot = packetClass(view.ipVersion, view.proto) * 2 + dir;
    candidates.clear();
    const always = view.proto === PROTO_TCP && isSynAlone(view.tcpFlags) ? rules.synAlways[dir]! : rules.packetAlways[slot]!;
    candidates.addAll(always.of(view.dstPort));
    if (view.payloadLen > 0) {
      candidates.addAll(rules.payloadAlways[slot]!.of(view.dstPort));
      const group = rules.packetGroups[slot]!;
      if (group !== null && !this.#searchedWithStream(view, flow, state)) {
        group.scan(view.buf, view.payloadOff, view.payloadLen, this.#hits, candidates, serverPort(view));
      }
    }
    if (state === null) {
      candidates.addAll(rules.ipOnly[slot]!);
    } else {
      const bit = 1 << dir;
      if ((state.ipOnlyDone & bit) === 0) {
        state.ipOnlyDone |= bit;
        candidates.addAll((state.ipOnlyDone & (bit << JUDGED_BEFORE)) === 0 ? rules.ipOnly[slot]! : rules.ipOnlyAdded[slot]!);
      }
      if (this.context.appOfDirection !== 0 && (state.protocolDone & bit) === 0) {
        state.protocolDone |= bit;
        candidates.addAll((state.protocolDone & (bit << JUDGED_BEFORE)) === 0 ? rules.protocolOnly[dir]! : rules.protocolOnlyAdded[dir]!);
      }
    }
    if (view.proto === PROTO_TCP) this.#collectStream(view, flow, state, dir);
    candidates.sort();
    for (let i = 0; i < candidates.count; i++) this.#judge(rules.rules[candidates.ids[i]!]!, view);
    if (this.#half !== null) this.#closeStream(state!, dir);
  }

  /** Stream rules on bytes that came without a packet of their direction after them, when the flow ends. */
  #judgeRest(view: PacketView, flow: Flow, state: FlowDetect): void {
    const candidates = this.#candidates;
    candidates.clear();
    this.#collectStream(view, flow, state, view.flowDir);
    candidates.sort();
    for (let i = 0; i < candidates.count; i++) this.#judge(this.rules.rules[candidates.ids[i]!]!, view);
    if (this.#half !== null) this.#closeStream(state, view.flowDir);
  }

  /** The payload is just what is new in the stream, and one database serves both: the search of the stream will find everything. */
  #searchedWithStream(view: PacketView, flow: Flow | null, state: FlowDetect | null): boolean {
    if (!this.rules.inlineStreams || view.proto !== PROTO_TCP || flow === null || state === null) return false;
    const dir = view.flowDir;
    const half = flow.half(dir);
    const scanned = state.scanned[dir]!;
    return half.open && half.base + half.len - scanned === view.payloadLen && !this.#leftOut(view, half, scanned);
  }

  /** Find stream rules by the new bytes of the stream (plus overlap), or by the packet when no stream took them. */
  #collectStream(view: PacketView, flow: Flow | null, state: FlowDetect | null, dir: number): void {
    const { rules } = this;
    const group = rules.streamGroups[dir]!;
    const always = rules.streamAlways[dir]!;
    const half = flow === null ? null : flow.half(dir);
    const idle = group === null && always.length === 0;
    if (half === null || state === null || !half.open || this.#leftOut(view, half, state.scanned[dir]!)) {
      if (view.payloadLen === 0 || idle) return;
      this.#streamless = true;
      // One database for both has searched the packet already.
      if (group !== null && !rules.inlineStreams) group.scan(view.buf, view.payloadOff, view.payloadLen, this.#hits, this.#candidates, serverPort(view));
      this.#candidates.addAll(always);
      return;
    }
    let end = half.base + half.len;
    const scanned = state.scanned[dir]!;
    if (idle) {
      half.inspected = rules.keepsStreams && !half.closed ? Math.max(half.inspected, end - STREAM_WINDOW) : end;
      state.scanned[dir] = end;
      return;
    }
    if (this.#passive) {
      end = this.#readyEnd(half, scanned, end);
      if (end <= scanned) return;
      half.flushRaw = false;
    } else if (end <= scanned) {
      // Inline, a rule alerts for every packet with data as long as its match is in the window.
      if (view.payloadLen > 0) this.#addAlerted(half, state, dir);
      return;
    }
    this.#half = half;
    this.#streamEnd = end;
    this.#streamRows = dir === 0 ? state.rowsToServer : state.rowsToClient;
    if (group !== null) {
      const from = Math.max(half.base, scanned - group.maxLength + 1);
      group.scan(half.buf, from - half.base, end - from, this.#hits, this.#candidates, serverPort(view));
    }
    this.#candidates.addAll(always);
    const rows = this.#streamRows;
    if (rows !== null) {
      for (let i = rows.count - 1; i >= 0; i--) {
        if (this.#passive && rows.alerted[i] === 1) continue;
        // Nothing of what the pattern lies in is left: the rule cannot match on it any more.
        if (rows.offsets[i]! <= half.base) rows.remove(i);
        else this.#candidates.add(rows.rules[i]!);
      }
    }
  }

  /** The stream did not take the packet: it ended before, the packet lies outside the window, or data on a SYN has to wait. */
  #leftOut(view: PacketView, half: StreamHalf, scanned: number): boolean {
    const end = half.base + half.len;
    if (half.stopped) return end <= scanned;
    if (view.payloadLen === 0) return false;
    return (this.context.streamEvents?.outOfWindow ?? false) || ((view.tcpFlags & TCP_SYN) !== 0 && end === 0);
  }

  /**
   * Passive engines look at a stream in pieces: when enough has been acknowledged, when the parser found an end, when
   * nothing follows. @returns where the piece ends; `scanned` or less when it is not time yet
   */
  #readyEnd(half: StreamHalf, scanned: number, end: number): number {
    if (half.closed || half.stopped || this.#atEnd) return end;
    const acked = this.#onAck ? Math.min(end, half.acked) : end;
    return half.flushRaw || acked - scanned >= STREAM_WINDOW ? acked : scanned;
  }

  /** Passive: nothing more of this direction was acknowledged, so its open transactions are not judged yet. */
  #awaitsAck(flow: Flow, state: FlowDetect, { proto, flowDir }: PacketView): boolean {
    if (!this.#onAck || proto !== PROTO_TCP) return false;
    const half = flow.half(flowDir);
    if (half.acked <= state.judgedAck[flowDir]! && !half.closed) return true;
    state.judgedAck[flowDir] = half.acked;
    return false;
  }

  #addAlerted(half: StreamHalf, state: FlowDetect, dir: number): void {
    const rows = dir === 0 ? state.rowsToServer : state.rowsToClient;
    if (rows === null) return;
    this.#half = half;
    this.#streamEnd = half.base + half.len;
    this.#streamRows = rows;
    for (let i = 0; i < rows.count; i++) if (rows.alerted[i] === 1) this.#candidates.add(rows.rules[i]!);
  }

  #closeStream(state: FlowDetect, dir: number): void {
    const half = this.#half!;
    const end = this.#streamEnd;
    state.scanned[dir] = end;
    half.inspected = half.stopped || half.closed ? end : Math.max(half.inspected, end - STREAM_WINDOW);
  }

  /** Judge one packet, stream or header rule. */
  #judge(rule: CompiledRule, view: PacketView): void {
    if (rule.kind === RuleKind.TRANSACTION) {
      this.context.state?.markPayload(this.context.dir, rule.index);
      return;
    }
    if (rule.kind === RuleKind.PACKET && rule.apps !== null && !rule.takesApp(this.#headerApp)) return;
    if (!this.matchesHeader(rule, view)) return;
    let fromStream = false;
    const chains = rule.packetChains;
    for (let i = 0; i < chains.length; i++) {
      const chain = chains[i]!;
      if (!chain.buffer.range(view, this.#range)) return;
      const ctx = this.context;
      if (!this.#transforms.apply(ctx, chain.transforms, view.buf, this.#range.off, this.#range.len, 0, true)) return;
      if (!this.#chains.matches(ctx, chain.steps)) return;
    }
    if (rule.payload.length > 0) {
      fromStream = rule.onStream && this.#matchesStream(rule);
      const tcp = view.proto === PROTO_TCP;
      const alone = tcp ? rule.onTcpPacket || (rule.onStream && this.#streamless) : rule.onPacket;
      // Passive engines look at the stream later than at the packet, so a rule about both alerts for both.
      if (fromStream && this.#passive && alone && this.#matchesPayload(rule, view)) this.matched(rule, null, rule.flowAction, false);
      if (!fromStream && !(alone && this.#matchesPayload(rule, view))) return;
    }
    this.matched(rule, null, fromStream || rule.flowAction, fromStream);
  }

  /** Header, direction, port policy and packet tests. */
  matchesHeader(rule: CompiledRule, view: PacketView): boolean {
    this.counters.checks++;
    if (rule.needsFlow && (view.flowId < 0 || (rule.directions & (1 << view.flowDir)) === 0)) return false;
    if (!rule.header.matches(view)) return false;
    if (!this.ports.enables(view, rule.index)) return false;
    const ctx = this.context;
    if (rule.apps !== null && !rule.takesApp(ctx.app)) return false;
    const matches = rule.packetMatches;
    for (let i = 0; i < matches.length; i++) if (!matches[i]!.matches(ctx)) return false;
    return true;
  }

  #matchesPayload(rule: CompiledRule, view: PacketView): boolean {
    if (view.payloadLen === 0) return false;
    this.context.setBuffer(view.buf, view.payloadOff, view.payloadLen, 0, true);
    return this.#chains.matches(this.context, rule.payload);
  }

  /** Look at the window of the stream that is still held; passive, bytes an earlier alert of the rule used up are left out. */
  #matchesStream(rule: CompiledRule): boolean {
    const half = this.#half;
    if (half === null) return false;
    const end = this.#streamEnd;
    const rows = this.#streamRows;
    const row = rows === null ? -1 : rows.rowOf(rule.index);
    const again = row >= 0 && rows!.alerted[row] === 1;
    const from = again ? Math.max(half.base, this.#passive ? rows!.offsets[row]! : end - STREAM_WINDOW) : half.base;
    this.context.setBuffer(half.buf, from - half.base, end - from, from, half.closed);
    const yes = from < end && this.#chains.matches(this.context, rule.payload);
    if (yes || (row < 0 && rule.fastPattern !== null)) {
      const { state, dir } = this.context;
      this.#streamRows = state!.rows(dir);
      if (this.#streamRows.set(rule.index, end, yes)) this.counters.stateLost++;
    }
    return yes;
  }

  /** Payload contents of a transaction rule: the stream for TCP, the datagram for UDP. */
  matchesTransactionPayload(rule: CompiledRule): boolean {
    const { view, flow, dir } = this.context;
    if (view.proto !== PROTO_TCP || flow === null) return this.#matchesPayload(rule, view);
    const half = flow.half(dir);
    if (half.len === 0) return false;
    if (rule.payloadPattern !== null && this.rules.findsPayloads && this.context.state !== null && !this.context.state.sawPayload(dir, rule.index)) return false;
    this.context.setBuffer(half.buf, 0, half.len, half.base, half.closed);
    return this.#chains.matches(this.context, rule.payload);
  }

  /** A rule matched: run its state changes and put it into the queue. */
  matched(rule: CompiledRule, tx: Transaction | null, flowScoped: boolean, fromStream: boolean): void {
    this.counters.matches++;
    const post = rule.postMatches;
    for (let i = 0; i < post.length; i++) post[i]!.apply(this.context);
    this.#queue.add(rule.index, tx, flowScoped, fromStream);
  }

  /** Apply the matches of the packet in rule order. */
  #finish(view: PacketView, flow: Flow | null, state: FlowDetect | null, mode: number): number {
    const queue = this.#queue;
    let verdict: number = Verdict.NONE;
    let alerts = 0;
    let bypass = false;
    for (let i = 0; i < queue.count; i++) {
      const rule = this.rules.rules[queue.rules[i]!]!;
      if (rule.detectionFilter !== null && rule.detectionFilter.judge(this.shared, rule.info, view) === ThresholdOutcome.NONE) continue;
      if (rule.action === RuleAction.PASS && !this.ports.agree(view, rule.index)) continue;
      const enforce = mode === PortPolicies.PREVENT && this.#enforces(this.ports.modeOfRule(view, rule.index));
      let report = !rule.noalert;
      if (rule.threshold !== null) {
        const outcome = rule.threshold.judge(this.shared, rule.info, view);
        if (outcome === ThresholdOutcome.NONE) {
          this.counters.alertsSuppressed++;
          continue;
        }
        if (outcome === ThresholdOutcome.SILENT) {
          report = false;
          this.counters.alertsSuppressed++;
        }
      }
      const flowScoped = queue.flowScoped[i] === 1 && state !== null;
      bypass ||= rule.bypass;
      let blocked = false;
      if (rule.action === RuleAction.PASS) {
        if (verdict === Verdict.NONE) verdict = Verdict.PASS;
        if (flowScoped && !state.dropped) state.passed = true;
      } else if (rule.action === RuleAction.DROP || rule.action === RuleAction.REJECT) {
        // A reject answers the sender whatever the mode, so its alert says blocked even when the packet goes on.
        blocked = enforce || rule.action === RuleAction.REJECT;
        verdict = this.#condemn(view, state, rule, flowScoped, enforce, verdict);
      }
      if (report) {
        if (alerts < this.#maxAlerts) {
          alerts++;
          this.counters.alerts++;
          if (blocked) this.counters.alertsBlocked++;
          const tx = queue.transactions[i]!;
          this.#events.alert(view, flow, rule.info, blocked, tx === null ? null : tx.record(), queue.fromStream[i] === 1);
        } else {
          this.counters.alertsDiscarded++;
        }
      }
      if (rule.action === RuleAction.PASS) break;
    }
    queue.clear();
    if (bypass && state !== null) {
      state.bypassed = true;
      flow!.uninspected = 'bypass';
      if (verdict < Verdict.BYPASS) verdict = Verdict.BYPASS;
    }
    return verdict;
  }

  /** Note a drop or reject. The first rule that drops is the one that is named. */
  #condemn(view: PacketView, state: FlowDetect | null, rule: CompiledRule, flowScoped: boolean, enforce: boolean, before: number): number {
    // Where the engine may drop and the policies of the ends do not want it, the flow goes on under the eyes of all rules.
    if (!enforce && this.#prevent) return before;
    if (flowScoped && state !== null && !state.dropped) {
      state.dropped = true;
      state.dropGid = rule.info.gid;
      state.dropSid = rule.info.sid;
    }
    if (!enforce) return before;
    if (before < Verdict.DROP) {
      view.reason = DropReason.ips_rule;
      view.ruleGid = rule.info.gid;
      view.ruleSid = rule.info.sid;
    }
    const reject = rule.action === RuleAction.REJECT;
    const now = flowScoped ? (reject ? Verdict.REJECT_FLOW : Verdict.DROP_FLOW) : reject ? Verdict.REJECT : Verdict.DROP;
    return Math.max(before, now);
  }

  #enforces(mode: number): boolean {
    return this.#prevent && mode === PortPolicies.PREVENT;
  }

  #dropAsFlow(view: PacketView, state: FlowDetect): number {
    view.reason = DropReason.flow_dropped;
    view.ruleGid = state.dropGid;
    view.ruleSid = state.dropSid;
    return Verdict.DROP;
  }
}

/** Destination to the server, source from it. */
function serverPort({ flowDir, srcPort, dstPort }: PacketView): number {
  return flowDir === 0 ? dstPort : srcPort;
}

/** Nothing waits for the bytes of this direction: reassembly may let go of them. */
function skipStream(flow: Flow, dir: number): void {
  const half = flow.half(dir);
  half.inspected = half.base + half.len;
}

/** The packet's facts as a packet of the other direction would have them, without payload. `out` may be the view itself. */
function turnRound(view: PacketView, out: PacketView): void {
  const { src0, src1, src2, src3, srcPort, ingress, flowDir } = view;
  out.desc = -1;
  out.ingress = view.egress;
  out.egress = ingress;
  out.tsSec = view.tsSec;
  out.tsUsec = view.tsUsec;
  out.frameNo = view.frameNo;
  out.ipVersion = view.ipVersion;
  out.proto = view.proto;
  out.src0 = view.dst0;
  out.src1 = view.dst1;
  out.src2 = view.dst2;
  out.src3 = view.dst3;
  out.dst0 = src0;
  out.dst1 = src1;
  out.dst2 = src2;
  out.dst3 = src3;
  out.l4Off = view.l4Off;
  out.srcPort = view.dstPort;
  out.dstPort = srcPort;
  out.flowId = view.flowId;
  out.flowDir = 1 - flowDir;
  out.ctState = view.ctState;
  out.established = view.established;
}
