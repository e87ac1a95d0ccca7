/**
 * TCP reassembly: segments in, contiguous bytes of each direction out, in StreamHalf.
 *
 * Inline, the bytes that were seen first for a stream offset are the truth: a later segment that says otherwise is
 * rewritten in its frame (the receiver then gets what was inspected) or dropped, by policy. Segments ahead of their turn
 * pass on while their bytes are held; they are inspected together with the segment that fills the gap, and as long as
 * that one is not let through the receiver cannot use what came before it.
 *
 * Bytes are kept until they are parsed, inspected and acknowledged (a sender may repeat anything that is not). In-order
 * data costs one copy; making room moves at most as many bytes as it gains. Memory comes from one pool with
 * a cap, held segments are bounded per direction, and behind `depth` bytes a direction is left alone.
 */
import { TCP_ACK, TCP_FIN, TCP_OPT_FAST_OPEN, TCP_RST, TCP_SYN, TCP_URG, type PacketView } from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import { BytePool } from '../util/index.js';
import type { Budgets } from './budget.js';
import type { Flow } from './flow.js';
import { M_ISN, R_ISN_A, R_MARKS, R_STRIDE } from './flow-record.js';
import type { FlowTable } from './flow-table.js';
import { reconcileBytes } from './segments.js';
import { StreamEvent, type StreamEvents } from './stream-event.js';
import type { StreamHalf } from './stream-half.js';
import { StreamMemory } from './stream-memory.js';
import { clearUrgent, refuseFastOpen } from './tcp-rewrite.js';
import { FlowState, isHalfOpen } from './tcp-state.js';

export const STREAM_OK = 0;
/** Drop the packet; view.reason says why. */
export const STREAM_DROP = 1;

/** Who consumes the bytes. Called from `segment`; may set view.verdict, and marks in the half it reads. */
export interface StreamSink {
  /**
   * New contiguous bytes stand in flow.half(dir), up to its `end`. Advance `parsed` and `inspected` there (or set
   * parseDone / inspectDone); what is left is offered again with the next bytes. `view.flowDir` differs from `dir` when an
   * acknowledgement released bytes behind a gap.
   */
  data(view: PacketView, flow: Flow, dir: number): void;
  /** `length` bytes at stream offset `position` were lost; the half, which still ends there, goes on behind them. */
  gap(view: PacketView, flow: Flow, dir: number, position: number, length: number): void;
  /** The direction has ended: FIN in order, or RST. */
  end(view: PacketView, flow: Flow, dir: number): void;
}

export interface StreamOptions {
  /** Inline: rewrite or drop what differs, wait for missing bytes. Otherwise frames are never touched. Default true. */
  readonly inline?: boolean;
  /** Inline policy for segments that differ from what was accepted. Default 'rewrite'. */
  readonly overlap?: 'rewrite' | 'drop';
  /** Inline policy when memory is used up: drop the packet (the sender repeats it), or stop inspecting the flow. Default 'drop'. */
  readonly memcapPolicy?: 'drop' | 'stop';
  /** Pick up streams whose SYN was not seen. Default false. */
  readonly midstream?: boolean;
  /** Only one direction is seen: do not wait for acknowledgements. Default false. */
  readonly asyncOneside?: boolean;
  /** Bytes reassembled per direction, 0 = all. Default 1 MiB. */
  readonly depth?: number;
  /** Bytes of all buffers together. Default 256 MiB. */
  readonly memcap?: number;
  /** Bytes that data sent by one owner may hold, and the rows of the switch ports. Default: memcap. */
  readonly budgets?: Budgets;
  /** Bytes kept per direction. Beyond it the oldest unacknowledged bytes are given up. Default 4 MiB. */
  readonly maxRetained?: number;
  /** Bytes and segments held ahead of their turn, per direction. Default 1 MiB, 256. */
  readonly maxHeldBytes?: number;
  readonly maxHeldSegments?: number;
}

export class StreamEngine {
  readonly pool: BytePool;
  /** Counters since construction: segments rewritten (data, or urgent flag), and dropped for differing. */
  normalised = 0;
  overlapDrops = 0;
  /** Gaps given up on. */
  gaps = 0;
  /** Packets that found no memory. */
  memcapHits = 0;
  /** Payload bytes passed without being reassembled (depth, memory, unknown beginning). */
  uninspectedBytes = 0;
  /** Repeated segments older than anything kept and not acknowledged: passed without comparison. */
  unverifiable = 0;

  readonly #table: FlowTable;
  readonly #memory: StreamMemory;
  readonly #sink: StreamSink;
  readonly #events: StreamEvents;
  /** Frames may be rewritten and kept back. */
  readonly inline: boolean;
  readonly #rewrite: boolean;
  readonly #stopOnMemcap: boolean;
  readonly #midstream: boolean;
  readonly #async: boolean;
  readonly #depth: number;
  readonly #maxHeldBytes: number;
  readonly #budgets: Budgets | null;

  /** @param events list to add stream events to: that of the ConnTrack in front */
  constructor(table: FlowTable, events: StreamEvents, sink: StreamSink, options: StreamOptions = {}) {
    this.#table = table;
    this.#events = events;
    this.#sink = sink;
    this.inline = options.inline ?? true;
    this.#rewrite = (options.overlap ?? 'rewrite') === 'rewrite';
    this.#stopOnMemcap = options.memcapPolicy === 'stop' || !this.inline;
    this.#midstream = (options.midstream ?? false) || (options.asyncOneside ?? false);
    this.#async = options.asyncOneside ?? false;
    this.#depth = options.depth === 0 ? Number.POSITIVE_INFINITY : (options.depth ?? 1 << 20);
    this.#budgets = options.budgets ?? null;
    this.pool = new BytePool(options.memcap ?? 256 << 20, MIN_BUFFER, this.#budgets?.streamBytes ?? null);
    this.#memory = new StreamMemory(this.pool, this.inline, this.#async, options.maxRetained ?? 4 << 20, options.maxHeldSegments ?? 256);
    this.#maxHeldBytes = options.maxHeldBytes ?? 1 << 20;
  }

  /**
   * Take a TCP packet that ConnTrack found valid, in order of arrival.
   * A packet that a later stage drops has been reassembled all the same: drop its flow with it, or its repetition passes
   * as known bytes.
   * @returns STREAM_OK or STREAM_DROP (view.reason: stream_overlap, stream_memcap, stream_budget, stream_invalid)
   */
  segment(view: PacketView, flow: Flow): number {
    const dir = view.flowDir;
    if (!flow.toServer.open) this.#openOriginator(view.flowId, flow.toServer);
    if ((view.tcpFlags & TCP_URG) !== 0 && this.inline && view.l4Off >= 0) {
      clearUrgent(view);
      this.normalised++;
    }
    if (view.payloadLen === 0 && (view.tcpFlags & (TCP_SYN | TCP_FIN | TCP_RST)) === 0) {
      if (this.#events.outOfWindow) return STREAM_OK;
      const half = flow.half(dir);
      if (this.inline && half.held !== null && !this.#releaseSynData(view, flow, half, dir)) return this.#noMemory(view, flow);
      this.#acknowledged(view, flow, 1 - dir);
      return STREAM_OK;
    }
    return this.#segment(view, flow, dir);
  }

  /** Passive: the flow is over, so nothing will fill its gaps; deliver what waits behind them in direction `dir`. */
  finish(view: PacketView, flow: Flow, dir: number): void {
    const half = flow.half(dir);
    if (this.inline || half.held === null || half.stopped) return;
    // Data on a SYN that nobody answered was never part of a stream.
    if (half.end === 0 && half.held.pos[0] === 0) this.#memory.discard(half);
    else this.#skipGaps(view, flow, half, dir, Number.POSITIVE_INFINITY);
  }

  /** Give back everything a flow holds; register with FlowPool.onRelease. */
  release(flow: Flow): void {
    this.#memory.discard(flow.toServer);
    this.#memory.discard(flow.toClient);
  }

  #segment(view: PacketView, flow: Flow, dir: number): number {
    const half = flow.half(dir);
    if (this.#budgets !== null && half.buf.length === 0 && half.held === null) half.account = this.#budgets.row(view.ingress);
    const flags = view.tcpFlags;
    if ((flags & TCP_RST) !== 0) {
      // The tracker decides which resets count; data on a reset is diagnostic text (RFC 9293 section 3.5.3).
      if (this.#table.state(view.flowId) === FlowState.CLOSE) this.#close(view, flow, dir);
      return STREAM_OK;
    }
    if (this.#events.outOfWindow) return STREAM_OK;
    if ((flags & TCP_SYN) !== 0) {
      // Passive, whatever comes last is the better guess; inline, it must not contradict what was let through.
      const again = !this.inline || ((flags & TCP_ACK) === 0 && isHalfOpen(this.#table.state(view.flowId)));
      if (!this.#start(half, (view.seq + 1) | 0, again) && this.inline) {
        view.reason = DropReason.stream_invalid;
        return STREAM_DROP;
      }
      if ((flags & TCP_ACK) !== 0) {
        if (flow.half(1 - dir).open) {
          if (!this.inline) this.#settleSynData(view, flow, 1 - dir);
        } else flow.midstream = true;
      }
    } else if (this.inline && half.held !== null && !this.#releaseSynData(view, flow, half, dir)) return this.#noMemory(view, flow);
    if (!half.open && !this.#pickUp(view, flow, dir)) {
      this.uninspectedBytes += view.payloadLen;
      return STREAM_OK;
    }
    if ((flags & TCP_ACK) !== 0) this.#acknowledged(view, flow, 1 - dir);
    if (half.stopped) {
      if (half.len > 0) this.#memory.trim(half);
      this.uninspectedBytes += view.payloadLen;
      return STREAM_OK;
    }
    const pos = half.end + ((view.seq + ((flags & TCP_SYN) >>> 1) - ((half.isn + half.end) | 0)) | 0);
    if ((flags & TCP_FIN) !== 0 && half.finAt < 0 && pos + view.payloadLen >= half.end) half.finAt = pos + view.payloadLen;
    let result = STREAM_OK;
    if (view.payloadLen > 0) {
      let early = (flags & (TCP_SYN | TCP_ACK)) === TCP_SYN && pos === 0 && half.end === 0 && half.finAt < 0;
      if (early && (view.tcpOptions & TCP_OPT_FAST_OPEN) !== 0) {
        if (this.inline) this.normalised += refuseFastOpen(view);
        else early = false;
      }
      result = early ? this.#hold(view, flow, half, dir, 0, view.payloadLen) : this.#data(view, flow, half, dir, pos);
    }
    if (half.finAt >= 0 && !half.closed && half.end >= half.finAt) {
      half.closed = true;
      this.#sink.end(view, flow, dir);
    }
    return result;
  }

  /** The flow got its object after the SYN, which the tracker has noted. */
  #openOriginator(id: number, half: StreamHalf): void {
    const records = this.#table.records;
    if ((records[id * R_STRIDE + R_MARKS] & M_ISN) !== 0) this.#start(half, records[id * R_STRIDE + R_ISN_A], false);
  }

  // ---- beginning and end -----------------------------------------------------------------------------------------

  /**
   * @param again a SYN may start over under another number, as long as nothing came of the first
   * @returns false when it contradicts the one before: whichever the receiver got, offsets would be wrong for the other
   */
  #start(half: StreamHalf, isn: number, again: boolean): boolean {
    if (half.open) {
      if (half.isn === isn) return true;
      if (!again || half.end > 0 || half.held !== null) return false;
    }
    half.open = true;
    half.isn = isn;
    half.finAt = -1;
    return true;
  }

  /**
   * The answer to a SYN says whether the data on it was taken. With the fast-open option (RFC 7413) it was read at once;
   * without, stacks differ, and most let it be sent again.
   */
  #settleSynData(view: PacketView, flow: Flow, dir: number): void {
    const half = flow.half(dir);
    const { held } = half;
    if (held === null || half.end > 0 || held.pos[0] !== 0) return;
    if (((view.ack - half.isn) | 0) <= 0 || !this.#memory.makeRoom(half, held.contiguousEnd(0))) {
      this.pool.account = half.account;
      held.clear(this.pool);
      this.#memory.dropList(half);
      return;
    }
    this.#memory.takeHeld(half, held, 0);
    this.#checkDepth(flow, half);
    this.#deliver(view, flow, half, dir);
  }

  /**
   * Inline, data on a SYN is inspected with the packet that completes the handshake: a host may read it from then on,
   * whatever its answer said, and only now rules for established connections look. What was inspected is what the host
   * gets, now or when the data is sent again.
   * @returns false without memory
   */
  #releaseSynData(view: PacketView, flow: Flow, half: StreamHalf, dir: number): boolean {
    const held = half.held!;
    if (half.end > 0 || held.pos[0] !== 0) return true;
    if (!this.#memory.makeRoom(half, held.contiguousEnd(0))) return false;
    this.#memory.takeHeld(half, held, 0);
    view.established = true;
    this.#checkDepth(flow, half);
    this.#deliver(view, flow, half, dir);
    return true;
  }

  /** First segment of a half without a SYN. @returns false when the stream is not to be followed */
  #pickUp(view: PacketView, flow: Flow, dir: number): boolean {
    const other = flow.half(1 - dir);
    if (!this.#midstream) {
      if (flow.uninspected === '') flow.uninspected = 'midstream';
      return false;
    }
    flow.midstream = true;
    this.#start(flow.half(dir), view.seq, false);
    if (!other.open && (view.tcpFlags & TCP_ACK) !== 0) this.#start(other, view.ack, false);
    return true;
  }

  /** A reset ends both directions. */
  #close(view: PacketView, flow: Flow, dir: number): void {
    for (let d = dir, i = 0; i < 2; i++, d = 1 - d) {
      const half = flow.half(d);
      if (half.closed || !half.open) continue;
      half.closed = true;
      this.#sink.end(view, flow, d);
    }
    // Passive, some bytes may not have been judged; who judges them lets go of them.
    if (this.inline) this.release(flow);
  }

  // ---- acknowledgements ------------------------------------------------------------------------------------------

  /** The packet acknowledges bytes of direction `dir` (against its own). */
  #acknowledged(view: PacketView, flow: Flow, dir: number): void {
    const half = flow.half(dir);
    if (!half.open || (view.tcpFlags & TCP_ACK) === 0) return;
    const end = half.end;
    const acked = end + ((view.ack - ((half.isn + end) | 0)) | 0);
    if (acked <= half.acked) return;
    half.acked = acked;
    if (half.len > 0) this.#memory.trim(half);
    // What the receiver has acknowledged it will not wait for, so neither do we. Inline the tracker lets no such packet by.
    if (acked > end && !this.inline && half.held !== null && !half.stopped) this.#skipGaps(view, flow, half, dir, acked);
  }

  // ---- data ------------------------------------------------------------------------------------------------------

  #data(view: PacketView, flow: Flow, half: StreamHalf, dir: number, pos: number): number {
    let len = view.payloadLen;
    if (half.finAt >= 0 && pos + len > half.finAt) {
      // No host accepts bytes behind a FIN; whoever sends them hopes that we saw a FIN which the receiver did not.
      if (this.inline) {
        view.reason = DropReason.stream_invalid;
        return STREAM_DROP;
      }
      len = half.finAt - pos;
    }
    const depth = half.depthFrom + this.#depth;
    if (pos + len > depth && !half.unlimited) len = depth - pos;
    if (len <= 0) return STREAM_OK;
    const end = half.end;
    if (pos !== end || half.held !== null) {
      if (this.#differs(view, half, pos, len)) {
        view.reason = DropReason.stream_overlap;
        return STREAM_DROP;
      }
      if (pos + len <= end) return STREAM_OK;
      if (pos > end) return this.#hold(view, flow, half, dir, pos, len);
    }
    if (half.parseDone && half.inspectDone && half.held === null) {
      // Nobody reads this direction any more: only keep count.
      this.uninspectedBytes += pos + len - end;
      this.#memory.skipTo(half, pos + len);
      this.#checkDepth(flow, half);
      return STREAM_OK;
    }
    const skip = end - pos;
    if (!this.#memory.append(half, view, skip, len - skip)) return this.#noMemory(view, flow);
    this.#checkDepth(flow, half);
    this.#deliver(view, flow, half, dir);
    return STREAM_OK;
  }

  /**
   * Compare a segment with the bytes accepted before for the same offsets, and make it equal where policy says so.
   * @returns true when it is to be dropped
   */
  #differs(view: PacketView, half: StreamHalf, pos: number, len: number): boolean {
    const write = this.inline && this.#rewrite;
    const end = half.end;
    let different = 0;
    if (pos < end) {
      const known = Math.min(pos + len, end);
      const from = Math.max(pos, half.base);
      if (from < known) different = reconcileBytes(view.buf, view.payloadOff + (from - pos), half.buf, from - half.base, known - from, write);
      if (pos < half.base) {
        if (pos < 0) this.#events.add(StreamEvent.reassembly_segment_before_base_seq);
        const forgotten = Math.min(known, half.base);
        if (forgotten > half.acked) this.unverifiable++;
        else if (this.inline) this.#blank(view, forgotten - pos);
      }
      this.#events.add(known <= half.acked ? StreamEvent.pkt_spurious_retransmission : StreamEvent.pkt_retransmission);
    }
    if (half.held !== null) different += half.held.reconcile(view.buf, view.payloadOff, len, pos, write);
    if (different === 0) return false;
    this.#events.add(StreamEvent.reassembly_overlap_different_data);
    if (!this.inline) return false;
    if (!write) {
      this.overlapDrops++;
      return true;
    }
    view.modified = true;
    this.normalised++;
    return false;
  }

  /**
   * Overwrite the first `count` payload bytes with zeros: bytes that were acknowledged and let go of. A receiver that has
   * acknowledged them throws them away and acknowledges again; one that has not - the acknowledgement was a lie - must not
   * get bytes that nobody inspected.
   */
  #blank(view: PacketView, count: number): void {
    const { buf, payloadOff } = view;
    let found = 0;
    for (let i = payloadOff; i < payloadOff + count; i++) found |= buf[i];
    if (found === 0) return;
    buf.fill(0, payloadOff, payloadOff + count);
    view.modified = true;
    this.normalised++;
  }

  /** Keep a segment ahead of its turn. */
  #hold(view: PacketView, flow: Flow, half: StreamHalf, dir: number, pos: number, len: number): number {
    const held = half.held ?? this.#memory.newList(half);
    this.pool.account = half.account;
    this.pool.overShare = false;
    if (held.bytes + len > this.#maxHeldBytes || !held.add(view.buf, view.payloadOff, len, pos, this.pool)) {
      if (held.count === 0) this.#memory.dropList(half);
      if (this.inline) return this.#noMemory(view, flow);
      if (half.held !== null) this.#skipGaps(view, flow, half, dir, half.held.pos[0]);
    }
    // Passive: the receiver has acknowledged what we miss.
    if (!this.inline && half.held !== null && half.acked > half.end) this.#skipGaps(view, flow, half, dir, half.acked);
    else if (this.#async && half.held !== null) this.#skipGaps(view, flow, half, dir, half.held.pos[0]);
    return STREAM_OK;
  }

  /** Give up waiting for bytes in front of held segments that begin at or before `upTo`. */
  #skipGaps(view: PacketView, flow: Flow, half: StreamHalf, dir: number, upTo: number): void {
    while (half.held !== null && half.held.pos[0] <= upTo) {
      const held = half.held;
      const position = half.end;
      const next = held.pos[0];
      this.gaps++;
      this.#events.add(StreamEvent.reassembly_seq_gap);
      half.gap = true;
      this.#sink.gap(view, flow, dir, position, next - position);
      this.#memory.skipTo(half, next);
      if (half.held === null) return;
      if (!this.#memory.makeRoom(half, held.contiguousEnd(next) - next)) {
        this.#stop(flow, half, 'memcap');
        return;
      }
      this.#memory.takeHeld(half, held, next);
      this.#checkDepth(flow, half);
      this.#deliver(view, flow, half, dir);
    }
  }

  /** Let the consumers read, then let go of what nobody needs. */
  #deliver(view: PacketView, flow: Flow, half: StreamHalf, dir: number): void {
    this.#sink.data(view, flow, dir);
    if (half.stopped && this.inline) this.#memory.discard(half);
    else if (half.len > 0) this.#memory.trim(half);
  }

  #checkDepth(flow: Flow, half: StreamHalf): void {
    if (half.end < half.depthFrom + this.#depth || half.unlimited) return;
    half.stopped = true;
    this.#events.add(StreamEvent.reassembly_depth_reached);
    if (flow.uninspected === '') flow.uninspected = 'depth';
  }

  #noMemory(view: PacketView, flow: Flow): number {
    this.memcapHits++;
    if (this.#stopOnMemcap) {
      this.#stop(flow, flow.toServer, 'memcap');
      this.#stop(flow, flow.toClient, 'memcap');
      this.uninspectedBytes += view.payloadLen;
      return STREAM_OK;
    }
    view.reason = this.pool.overShare ? DropReason.stream_budget : DropReason.stream_memcap;
    return STREAM_DROP;
  }

  #stop(flow: Flow, half: StreamHalf, why: 'memcap'): void {
    half.stopped = true;
    if (flow.uninspected === '') flow.uninspected = why;
    this.#memory.discard(half);
  }
}

const MIN_BUFFER = 1024;
