/**
 * The inspection engine: one packet in, one verdict out. Order of judgement as in Suricata: header-only rules (once per
 * flow and direction), packet and stream rules together in rule order, then transaction rules; all matches are then
 * applied in rule order (pass, drop, reject, alert), where a pass ends it. Nothing is allocated per packet unless a rule
 * matches.
 */
import type { Flow, StreamEvents } from '../flow/index.js';
import { PacketView, PROTO_TCP } from '../packet/index.js';
import { isDrop, Verdict, type EventOutput } from '../pipeline/index.js';
import type { Transaction } from '../protocols/index.js';
import type { AlertQueue } from './alert-queue.js';
import { Candidates } from './candidates.js';
import { IpsCounters } from './counters.js';
import { ChainInspector } from './match/chain.js';
import { InspectContext } from './match/context.js';
import { Outcome } from './outcome.js';
import { PacketRange } from './packet-buffer.js';
import { serverPort, skipStream, turnRound } from './packet-facts.js';
import type { RuleProfile } from './rule-profile.js';
import { PortPolicies } from './port-policies.js';
import { RuleKind, type CompiledRule } from './rule.js';
import { isSynAlone, packetClass, type RuleSet } from './rule-set.js';
import { FlowDetect, JUDGED_BEFORE } from './state/flow-detect.js';
import { DetectPool } from './state/pool.js';
import { SharedState } from './state/shared-state.js';
import { StreamSearch } from './stream-search.js';
import { TransformRunner } from './transform-runner.js';
import { TxInspector, TxSweep } from './tx-inspector.js';

export interface IpsOptions {
  /** 'ips': drop and reject rules keep packets back. 'ids': they only report. Default 'ips'. */
  readonly mode?: 'ips' | 'ids';
  /** Alerts reported per packet at most (Suricata: packet-alert-max). Default 15. */
  readonly maxAlertsPerPacket?: number;
  /** State that outlives flows; one of its own without it. */
  readonly shared?: SharedState;
  /** Notes what each rule costs. */
  readonly profile?: RuleProfile;
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

export class Ips {
  readonly rules: RuleSet;
  readonly profile: RuleProfile | null;
  readonly counters: IpsCounters;
  readonly context: InspectContext;
  /** Which rules count for which switch port. */
  readonly ports = new PortPolicies();
  readonly #passive: boolean;
  readonly #onAck: boolean;
  readonly #packetEvents: readonly string[];
  readonly #candidates: Candidates;
  readonly #hits: Uint32Array;
  readonly #outcome: Outcome;
  readonly #queue: AlertQueue;
  readonly #stream: StreamSearch;
  readonly #chains = new ChainInspector();
  readonly #transforms = new TransformRunner();
  readonly #range = new PacketRange();
  readonly #pool = new DetectPool();
  readonly #tx: TxInspector;

  readonly #turned = new PacketView();

  // The packet in hand.
  /** Application protocol for rules that are judged by packet. */
  #headerApp = 0;

  constructor(rules: RuleSet, events: EventOutput, options: IpsOptions = {}) {
    this.rules = rules;
    this.#passive = options.passive ?? false;
    this.#onAck = this.#passive && (options.onAck ?? false);
    const { previous } = options;
    this.profile = options.profile ?? null;
    this.profile?.size(rules.rules.length);
    this.counters = previous?.counters ?? new IpsCounters();
    this.context = new InspectContext(previous?.shared ?? options.shared ?? new SharedState(), previous?.context.counters);
    this.context.streamEvents = options.streamEvents ?? null;
    this.#packetEvents = options.packetEvents ?? NO_EVENTS;
    this.#candidates = new Candidates(rules.rules.length);
    this.#hits = new Uint32Array(rules.maxPatterns);
    this.#outcome = new Outcome(rules.rules, events, this.ports, this.shared, this.counters, (options.mode ?? 'ips') === 'ips', options.maxAlertsPerPacket ?? 15);
    this.#queue = this.#outcome.queue;
    this.#stream = new StreamSearch(rules, this.context, this.#chains, this.#candidates, this.#hits, this.counters, this.#passive, this.#onAck);
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
        if (state.dropped) return this.#outcome.enforces(mode) ? this.#outcome.dropAsFlow(view, state) : Verdict.NONE;
        return state.bypassed ? Verdict.BYPASS : Verdict.PASS;
      }
    }
    this.#begin(view, flow, state);
    if (view.eventCount > 0) this.#judgeDecodeEvents(view);
    this.#judgePacket(view, flow, state);
    if (flow !== null && flow.transactions.length > 0) this.#tx.inspect(flow, view.flowDir, this.#stream.awaitsAck(flow, state!, view) ? TxSweep.FINISHED : TxSweep.TOUCHED);
    const verdict = this.#queue.count === 0 ? Verdict.NONE : this.#outcome.apply(view, flow, state, mode);
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
    const verdict = this.#outcome.apply(turned, flow, state, mode);
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
    this.#stream.atEnd = true;
    if (view.proto === PROTO_TCP) this.#judgeRest(view, flow, state);
    this.#stream.atEnd = false;
    this.#tx.inspect(flow, view.flowDir, TxSweep.ALL);
    return this.#queue.count === 0 ? Verdict.NONE : this.#outcome.apply(view, flow, state, this.ports.modeOf(view));
  }

  /** Bytes of direction `dir` are lost, or none will follow: judge what is there while it is. For passive engines; nothing is dropped. */
  inspectBeforeGap(view: PacketView, flow: Flow, dir: number): void {
    const state = this.#stateOf(flow);
    if (!this.#passive || state.dropped || state.passed || state.bypassed) return;
    const turned = this.#turned;
    turnRound(view, turned);
    if (view.flowDir === dir) turnRound(turned, turned);
    this.#begin(turned, flow, state);
    this.#stream.atEnd = true;
    this.#judgeRest(turned, flow, state);
    this.#stream.atEnd = false;
    if (this.#queue.count > 0) this.#outcome.apply(turned, flow, state, this.ports.modeOf(turned));
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
    this.#stream.begin();
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
      if (group !== null && !this.#stream.coversPacket(view, flow, state)) {
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
    if (view.proto === PROTO_TCP) this.#stream.collect(view, flow, state, dir);
    candidates.sort();
    for (let i = 0; i < candidates.count; i++) this.#judge(rules.rules[candidates.ids[i]!]!, view);
    if (state !== null) this.#stream.close(state, dir);
  }

  /** Stream rules on bytes that came without a packet of their direction after them, when the flow ends. */
  #judgeRest(view: PacketView, flow: Flow, state: FlowDetect): void {
    const candidates = this.#candidates;
    candidates.clear();
    this.#stream.collect(view, flow, state, view.flowDir);
    candidates.sort();
    for (let i = 0; i < candidates.count; i++) this.#judge(this.rules.rules[candidates.ids[i]!]!, view);
    this.#stream.close(state, view.flowDir);
  }

  /** Judge one packet, stream or header rule. */
  #judge(rule: CompiledRule, view: PacketView): void {
    if (this.profile === null) return this.#judgeRule(rule, view);
    this.profile.begin();
    this.#judgeRule(rule, view);
    this.profile.end(rule.index);
  }

  #judgeRule(rule: CompiledRule, view: PacketView): void {
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
      fromStream = rule.onStream && this.#stream.matches(rule);
      const tcp = view.proto === PROTO_TCP;
      const alone = tcp ? rule.onTcpPacket || (rule.onStream && this.#stream.streamless) : rule.onPacket;
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

  /** Payload contents of a transaction rule: the stream for TCP, the datagram for UDP. */
  matchesTransactionPayload(rule: CompiledRule): boolean {
    const { view, flow, dir } = this.context;
    if (view.proto !== PROTO_TCP || flow === null) return this.#matchesPayload(rule, view);
    const half = flow.half(dir);
    if (half.len === 0) return false;
    // Passive, the stream is only looked at in pieces, and not while the next one grows.
    if (rule.payloadPattern !== null && !this.#stream.looksAt(half)) return false;
    if (rule.payloadPattern !== null && this.rules.findsPayloads && this.context.state !== null && !this.context.state.sawPayload(dir, rule.index)) return false;
    this.context.setBuffer(half.buf, 0, half.len, half.base, half.closed);
    return this.#chains.matches(this.context, rule.payload);
  }

  /** A rule matched: run its state changes and put it into the queue. */
  matched(rule: CompiledRule, tx: Transaction | null, flowScoped: boolean, fromStream: boolean): void {
    this.counters.matches++;
    if (this.profile !== null) this.profile.matched(rule.index);
    const post = rule.postMatches;
    for (let i = 0; i < post.length; i++) post[i]!.apply(this.context);
    this.#queue.add(rule.index, tx, flowScoped, fromStream);
  }
}
