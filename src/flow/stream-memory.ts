/**
 * The buffers of stream halves: room for new bytes, segments that arrived ahead of their turn, and what is given back once
 * it is acknowledged, parsed and inspected. All of it comes from one pool with one cap, booked to whoever sends the bytes.
 */
import type { PacketView } from '../packet/index.js';
import { copyRange, type BytePool } from '../util/index.js';
import { SegmentList } from './segments.js';
import type { StreamHalf } from './stream-half.js';

const EMPTY = new Uint8Array(0);

export class StreamMemory {
  readonly pool: BytePool;
  readonly #inline: boolean;
  readonly #async: boolean;
  readonly #maxRetained: number;
  readonly #maxHeldSegments: number;
  /** Lists not in use. */
  readonly #lists: SegmentList[] = [];

  /** @param async acknowledgements are not waited for. @param maxRetained bytes kept per half. @param maxHeldSegments per half */
  constructor(pool: BytePool, inline: boolean, async: boolean, maxRetained: number, maxHeldSegments: number) {
    this.pool = pool;
    this.#inline = inline;
    this.#async = async;
    this.#maxRetained = maxRetained;
    this.#maxHeldSegments = maxHeldSegments;
  }

  /** Append payload[skip, skip+count) and every held segment that follows on. @returns false without memory; nothing changed */
  append(half: StreamHalf, view: PacketView, skip: number, count: number): boolean {
    const held = half.held;
    const end = half.end;
    const newEnd = end + count;
    const lastEnd = held === null ? newEnd : held.contiguousEnd(newEnd);
    if (!this.makeRoom(half, lastEnd - end)) return false;
    copyRange(view.buf, view.payloadOff + skip, count, half.buf, half.len);
    half.len += count;
    if (held !== null) this.takeHeld(half, held, end);
    return true;
  }

  /** Move held segments that are no longer ahead into the buffer (room was made); they win over bytes behind `from`. */
  takeHeld(half: StreamHalf, held: SegmentList, from: number): void {
    let n = 0;
    while (n < held.count && held.pos[n] <= half.end) {
      const start = Math.max(held.pos[n], from);
      const end = held.endOf(n);
      if (end > start) {
        held.copy(n, start, end, half.buf, start - half.base);
        if (end > half.end) half.len = end - half.base;
      }
      n++;
    }
    if (n === 0) return;
    this.pool.account = half.account;
    held.shift(n, this.pool);
    if (held.count === 0) this.dropList(half);
  }

  /** Stream offset before which nobody needs the bytes any more. */
  #lowWater(half: StreamHalf): number {
    const end = half.end;
    if (half.parseDone) half.parsed = end;
    if (half.inspectDone) half.inspected = end;
    let low = this.#async || half.acked > end ? end : half.acked;
    if (half.parsed < low) low = half.parsed;
    if (half.inspected < low) low = half.inspected;
    return low;
  }

  /** Give the buffer back once nothing in it is needed; a part that is not needed any more stays until room is wanted. */
  trim(half: StreamHalf): void {
    if (this.#lowWater(half) >= half.end) this.skipTo(half, half.end);
  }

  /** Empty the half and go on at stream offset `pos`. */
  skipTo(half: StreamHalf, pos: number): void {
    if (half.buf.length > 0) {
      this.pool.account = half.account;
      this.pool.release(half.buf);
      half.buf = EMPTY;
    }
    half.base = pos;
    half.len = 0;
    half.parsed = pos;
    half.inspected = pos;
  }

  /** Room for `extra` bytes behind the ones held. @returns false when the pool or the limit of the half forbids it */
  makeRoom(half: StreamHalf, extra: number): boolean {
    const size = half.buf.length;
    if (half.len + extra <= size) return true;
    this.pool.account = half.account;
    this.pool.overShare = false;
    let drop = half.len === 0 ? 0 : Math.max(0, this.#lowWater(half) - half.base);
    if (half.len - drop + extra > this.#maxRetained) {
      // Inline the packet waits for acknowledgements instead: what is let go of cannot be compared when it is repeated.
      if (this.#inline) return false;
      // More is in flight than we may keep: give up comparing the older half of it, but nothing that is yet to be read.
      drop = Math.max(drop, Math.min(half.parsed, half.inspected, half.end + extra - (this.#maxRetained >>> 1)) - half.base);
      if (half.len - drop + extra > this.#maxRetained) return false;
    }
    const kept = half.len - drop;
    // Moving must not cost more than it gains; otherwise a larger buffer is cheaper in the long run.
    if (kept + extra <= size && drop >= kept) {
      half.buf.copyWithin(0, drop, half.len);
    } else {
      const buf = this.pool.acquire(kept + extra <= size ? 2 * size : kept + extra);
      if (buf === null) {
        if (kept + extra > size) return false;
        half.buf.copyWithin(0, drop, half.len);
      } else {
        copyRange(half.buf, drop, kept, buf, 0);
        if (size > 0) this.pool.release(half.buf);
        half.buf = buf;
      }
    }
    half.base += drop;
    half.len = kept;
    return true;
  }

  /** Give back all memory of a half; its offsets stay. */
  discard(half: StreamHalf): void {
    this.skipTo(half, half.end);
    if (half.held === null) return;
    this.pool.account = half.account;
    half.held.clear(this.pool);
    this.dropList(half);
  }

  newList(half: StreamHalf): SegmentList {
    const list = this.#lists.pop() ?? new SegmentList(this.#maxHeldSegments);
    half.held = list;
    return list;
  }

  /** Put an empty list away. */
  dropList(half: StreamHalf): void {
    if (half.held !== null) this.#lists.push(half.held);
    half.held = null;
  }
}
