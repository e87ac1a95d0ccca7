/**
 * Segments of one direction that arrived ahead of their turn: sorted by stream offset, never overlapping, bounded in
 * number. The bytes that came first for an offset are the ones that stay.
 */
import { copyRange, equalRange, type BytePool } from '../util/index.js';

/** Largest buffer that consecutive segments are gathered in. */
const GATHER_MAX = 65_536;

export class SegmentList {
  count = 0;
  /** Payload bytes held. */
  bytes = 0;
  readonly pos: Float64Array;
  readonly len: Int32Array;
  readonly #bufs: Uint8Array[] = [];

  /** @param maxSegments more are refused */
  constructor(maxSegments: number) {
    this.pos = new Float64Array(maxSegments);
    this.len = new Int32Array(maxSegments);
  }

  /** Stream offset behind segment `i`. */
  endOf(i: number): number {
    return this.pos[i] + this.len[i];
  }

  /** Stream offset that data would reach without a gap if everything before `from` were there. */
  contiguousEnd(from: number): number {
    let end = from;
    for (let i = 0; i < this.count && this.pos[i] <= end; i++) if (this.endOf(i) > end) end = this.endOf(i);
    return end;
  }

  /**
   * Compare buf[off, off+len), which stands at stream offset `pos`, with the bytes held for the same offsets.
   * @param write make it equal to what is held
   * @returns number of bytes that differ(ed)
   */
  reconcile(buf: Uint8Array, off: number, len: number, pos: number, write: boolean): number {
    let different = 0;
    for (let i = 0; i < this.count && this.pos[i] < pos + len; i++) {
      const from = Math.max(pos, this.pos[i]);
      const to = Math.min(pos + len, this.endOf(i));
      if (from < to) different += reconcileBytes(buf, off + (from - pos), this.#bufs[i], from - this.pos[i], to - from, write);
    }
    return different;
  }

  /**
   * Keep what is not held yet of buf[off, off+len) at stream offset `pos`.
   * @returns false when the list or the pool is full; what was taken before stays, it is not wrong
   */
  add(buf: Uint8Array, off: number, len: number, pos: number, pool: BytePool): boolean {
    const end = pos + len;
    let at = pos;
    let i = 0;
    while (i < this.count && this.endOf(i) <= at) i++;
    while (at < end) {
      const gapEnd = i < this.count ? Math.min(end, this.pos[i]) : end;
      if (at < gapEnd) {
        const before = this.count;
        if (!this.#insert(i, buf, off + (at - pos), gapEnd - at, at, pool)) return false;
        i += this.count - before;
      }
      if (i >= this.count) break;
      at = Math.max(at, this.endOf(i));
      i++;
    }
    return true;
  }

  /** Copy bytes [from, to) of segment `i` (stream offsets) to out[at...]. */
  copy(i: number, from: number, to: number, out: Uint8Array, at: number): void {
    copyRange(this.#bufs[i], from - this.pos[i], to - from, out, at);
  }

  /** Drop the first `n` segments. */
  shift(n: number, pool: BytePool): void {
    for (let i = 0; i < n; i++) {
      this.bytes -= this.len[i];
      pool.release(this.#bufs[i]);
    }
    this.pos.copyWithin(0, n, this.count);
    this.len.copyWithin(0, n, this.count);
    this.#bufs.splice(0, n);
    this.count -= n;
  }

  clear(pool: BytePool): void {
    this.shift(this.count, pool);
  }

  /** Put a piece that overlaps nothing before segment `i`; a piece that continues segment i-1 joins it if there is room. */
  #insert(i: number, buf: Uint8Array, off: number, len: number, pos: number, pool: BytePool): boolean {
    let size = len;
    if (i > 0 && this.endOf(i - 1) === pos) {
      const previous = this.#bufs[i - 1];
      const used = this.len[i - 1];
      if (used + len <= previous.length) {
        copyRange(buf, off, len, previous, used);
        this.len[i - 1] += len;
        this.bytes += len;
        return true;
      }
      // A run of segments: the next buffer is twice as large, so that a long run takes few of them.
      size = Math.max(len, Math.min(2 * previous.length, GATHER_MAX));
    }
    if (this.count === this.pos.length) return false;
    const piece = pool.acquire(size);
    if (piece === null) return false;
    copyRange(buf, off, len, piece, 0);
    this.pos.copyWithin(i + 1, i, this.count);
    this.len.copyWithin(i + 1, i, this.count);
    this.#bufs.splice(i, 0, piece);
    this.pos[i] = pos;
    this.len[i] = len;
    this.count++;
    this.bytes += len;
    return true;
  }
}

/**
 * Compare dst[dstOff, +len) with src[srcOff, +len); with `write` make dst equal.
 * @returns number of bytes that differ(ed)
 */
export function reconcileBytes(dst: Uint8Array, dstOff: number, src: Uint8Array, srcOff: number, len: number, write: boolean): number {
  if (equalRange(dst, dstOff, src, srcOff, len)) return 0;
  let different = 0;
  for (let i = 0; i < len; i++) {
    if (dst[dstOff + i] === src[srcOff + i]) continue;
    different++;
    if (write) dst[dstOff + i] = src[srcOff + i];
  }
  return different;
}
