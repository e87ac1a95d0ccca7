/**
 * Finds and judges the stream rules of a packet: which part of the stream is to be looked at now, which rules its patterns
 * bring up, which wait for more bytes, and what an alert has used up. Inline, every packet's bytes are looked at together
 * with what came before; passive engines look at the stream in pieces.
 */
import type { Flow, StreamHalf } from '../flow/index.js';
import { PROTO_TCP, TCP_SYN, type PacketView } from '../packet/index.js';
import type { Candidates } from './candidates.js';
import type { IpsCounters } from './counters.js';
import type { ChainInspector } from './match/chain.js';
import type { InspectContext } from './match/context.js';
import { serverPort } from './packet-facts.js';
import type { CompiledRule } from './rule.js';
import type { RuleSet } from './rule-set.js';
import type { FlowDetect } from './state/flow-detect.js';
import type { StreamRows } from './state/stream-rows.js';

/** Stream bytes kept before the newest for contents that began earlier (Suricata: toserver-chunk-size). */
export const STREAM_WINDOW = 2560;

export class StreamSearch {
  /** TCP payload that no stream took (no flow, depth reached): stream rules look at the packet instead. */
  streamless = false;
  /** The flow is over. */
  atEnd = false;
  #half: StreamHalf | null = null;
  /** Stream offset up to which stream rules look. */
  #end = 0;
  #rows: StreamRows | null = null;
  readonly #rules: RuleSet;
  readonly #ctx: InspectContext;
  readonly #chains: ChainInspector;
  readonly #candidates: Candidates;
  readonly #hits: Uint32Array;
  readonly #counters: IpsCounters;
  readonly #passive: boolean;
  readonly #onAck: boolean;

  /** @param onAck passive: bytes count when they are acknowledged */
  constructor(rules: RuleSet, ctx: InspectContext, chains: ChainInspector, candidates: Candidates, hits: Uint32Array, counters: IpsCounters, passive: boolean, onAck: boolean) {
    this.#rules = rules;
    this.#ctx = ctx;
    this.#chains = chains;
    this.#candidates = candidates;
    this.#hits = hits;
    this.#counters = counters;
    this.#passive = passive;
    this.#onAck = onAck;
  }

  /** Another packet. */
  begin(): void {
    this.#half = null;
    this.#rows = null;
    this.streamless = false;
  }

  /** The payload is just what is new in the stream, and one database serves both: the search of the stream will find everything. */
  coversPacket(view: PacketView, flow: Flow | null, state: FlowDetect | null): boolean {
    if (!this.#rules.inlineStreams || view.proto !== PROTO_TCP || flow === null || state === null) return false;
    const dir = view.flowDir;
    const half = flow.half(dir);
    const scanned = state.scanned[dir]!;
    return half.open && half.base + half.len - scanned === view.payloadLen && !this.#leftOut(view, half, scanned);
  }

  /** Find stream rules by the new bytes of the stream (plus overlap), or by the packet when no stream took them. */
  collect(view: PacketView, flow: Flow | null, state: FlowDetect | null, dir: number): void {
    const rules = this.#rules;
    const group = rules.streamGroups[dir]!;
    const always = rules.streamAlways[dir]!;
    const half = flow === null ? null : flow.half(dir);
    const idle = group === null && always.length === 0;
    if (half === null || state === null || !half.open || this.#leftOut(view, half, state.scanned[dir]!)) {
      if (view.payloadLen === 0 || idle) return;
      this.streamless = true;
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
    this.#end = end;
    this.#rows = dir === 0 ? state.rowsToServer : state.rowsToClient;
    if (group !== null) {
      const from = Math.max(half.base, scanned - group.maxLength + 1);
      group.scan(half.buf, from - half.base, end - from, this.#hits, this.#candidates, serverPort(view));
    }
    this.#candidates.addAll(always);
    const rows = this.#rows;
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
    return (this.#ctx.streamEvents?.outOfWindow ?? false) || ((view.tcpFlags & TCP_SYN) !== 0 && end === 0);
  }

  /**
   * Passive engines look at a stream in pieces: when enough has been acknowledged, when the parser found an end, when
   * nothing follows. @returns where the piece ends; `scanned` or less when it is not time yet
   */
  #readyEnd(half: StreamHalf, scanned: number, end: number): number {
    if (half.closed || half.stopped || this.atEnd) return end;
    const acked = this.#onAck ? Math.min(end, half.acked) : end;
    return half.flushRaw || acked - scanned >= STREAM_WINDOW ? acked : scanned;
  }

  /** Passive: nothing more of this direction was acknowledged, so its open transactions are not judged yet. */
  awaitsAck(flow: Flow, state: FlowDetect, { proto, flowDir, established }: PacketView): boolean {
    if (!this.#onAck || proto !== PROTO_TCP) return false;
    // Data that came with the handshake (fast open): rules about established connections look at it with the next packet.
    if (!established) return true;
    const half = flow.half(flowDir);
    if (half.acked <= state.judgedAck[flowDir]! && !half.closed) return true;
    state.judgedAck[flowDir] = half.acked;
    return false;
  }

  #addAlerted(half: StreamHalf, state: FlowDetect, dir: number): void {
    const rows = dir === 0 ? state.rowsToServer : state.rowsToClient;
    if (rows === null) return;
    this.#half = half;
    this.#end = half.base + half.len;
    this.#rows = rows;
    for (let i = 0; i < rows.count; i++) if (rows.alerted[i] === 1) this.#candidates.add(rows.rules[i]!);
  }

  /** All rules on the stream were judged. */
  close(state: FlowDetect, dir: number): void {
    const half = this.#half;
    if (half === null) return;
    const end = this.#end;
    state.scanned[dir] = end;
    half.inspected = half.stopped || half.closed ? end : Math.max(half.inspected, end - STREAM_WINDOW);
  }

  /** Look at the window of the stream that is still held; passive, bytes an earlier alert of the rule used up are left out. */
  matches(rule: CompiledRule): boolean {
    const half = this.#half;
    if (half === null) return false;
    const end = this.#end;
    const rows = this.#rows;
    const row = rows === null ? -1 : rows.rowOf(rule.index);
    const again = row >= 0 && rows!.alerted[row] === 1;
    const from = again ? Math.max(half.base, this.#passive ? rows!.offsets[row]! : end - STREAM_WINDOW) : half.base;
    this.#ctx.setBuffer(half.buf, from - half.base, end - from, from, half.closed);
    let yes = from < end && this.#chains.matches(this.#ctx, rule.payload);
    if (!yes && this.#passive && rule.onTcpPacket) yes = this.#matchesPiece(rule, half, from, end);
    if (yes || (row < 0 && rule.fastPattern !== null)) {
      const { state, dir } = this.#ctx;
      this.#rows = state!.rows(dir);
      if (this.#rows.set(rule.index, end, yes)) this.#counters.stateLost++;
    }
    return yes;
  }

  /** Offsets and depths of old rules mean the piece of the stream that is looked at, when nothing is found from the start of the window. */
  #matchesPiece(rule: CompiledRule, half: StreamHalf, from: number, end: number): boolean {
    const { state, dir } = this.#ctx;
    const piece = state!.scanned[dir]!;
    if (piece <= from || piece >= end) return false;
    this.#ctx.setBuffer(half.buf, piece - half.base, end - piece, 0, half.closed);
    return this.#chains.matches(this.#ctx, rule.payload);
  }

  /** Is this direction's stream looked at with the packet in hand? Passive engines wait for a piece of it. */
  looksAt(half: StreamHalf): boolean {
    return !this.#passive || this.#half === half;
  }
}
