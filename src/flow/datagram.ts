/**
 * One IP datagram being put together: its bytes, which fragment each range of them came from, and the header of the first
 * fragment. Objects are reused; Defragmenter owns them.
 */
import { copyRange, equalRange, type BytePool } from '../util/index.js';

/**
 * Which fragment wins where two overlap (Novak, "Target-based fragmentation reassembly"); named like Suricata's
 * defrag host-os-policy.
 */
export const OVERLAP_POLICIES = ['first', 'last', 'bsd', 'bsd-right', 'linux', 'windows'] as const;
export type OverlapPolicy = (typeof OVERLAP_POLICIES)[number];

/** Header room: IPv4 with options is 60 bytes; IPv6 extension headers in front of the fragment header seldom are more than 64. */
export const MAX_FRAGMENT_HEADER = 256;

/** Columns of a range: bytes [start, end) come from the fragment [from, to). */
const START = 0;
const END = 1;
const FROM = 2;
const TO = 3;
const COLUMNS = 4;
/** Ranges a datagram has room for at first. */
const FIRST_RANGES = 64;

export class Datagram {
  // Key and place in the table, written by Defragmenter.
  next = -1;
  hash = 0;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  ipId = 0;
  /** Protocol (IPv4), version and zone in one word. */
  meta = 0;
  port = 0;
  deadline = 0;

  /** DropReason once the datagram is spoilt: nothing of it passes any more. */
  condemned = 0;
  /** Length of the fragmentable part, -1 until the last fragment is seen. */
  total = -1;
  /** Bytes of it that are there. */
  covered = 0;
  /** Header of the first fragment, without the IPv6 fragment header; 0 = not seen. */
  headerLen = 0;
  readonly header = new Uint8Array(MAX_FRAGMENT_HEADER);
  data: Uint8Array = EMPTY;

  #count = 0;
  #ranges: Int32Array;
  #spare: Int32Array;

  /** @param maxRanges fragments kept apart; one with more pieces is refused */
  constructor(readonly maxRanges: number) {
    this.#ranges = new Int32Array(Math.min(maxRanges, FIRST_RANGES) * COLUMNS);
    this.#spare = new Int32Array(this.#ranges.length);
  }

  /** Forget everything but the key. The data buffer must have been given back. */
  restart(): void {
    this.condemned = 0;
    this.total = -1;
    this.covered = 0;
    this.headerLen = 0;
    this.#count = 0;
    if (this.#ranges.length <= FIRST_RANGES * COLUMNS) return;
    this.#ranges = new Int32Array(FIRST_RANGES * COLUMNS);
    this.#spare = new Int32Array(FIRST_RANGES * COLUMNS);
  }

  /** One past the highest byte that is there. */
  get highest(): number {
    return this.#count === 0 ? 0 : this.#ranges[(this.#count - 1) * COLUMNS + END];
  }

  /** True when some byte of [start, end) is there already. */
  overlaps(start: number, end: number): boolean {
    const r = this.#ranges;
    for (let i = 0; i < this.#count; i++) if (start < r[i * COLUMNS + END] && end > r[i * COLUMNS + START]) return true;
    return false;
  }

  /** True when src[off, +(end - start)) contradicts bytes that are there for [start, end). */
  contradicts(start: number, end: number, src: Uint8Array, off: number): boolean {
    const r = this.#ranges;
    for (let i = 0; i < this.#count; i++) {
      const at = i * COLUMNS;
      const lo = Math.max(start, r[at + START]);
      const hi = Math.min(end, r[at + END]);
      if (lo < hi && !equalRange(this.data, lo, src, off + lo - start, hi - lo)) return true;
    }
    return false;
  }

  /** Make room for bytes up to `end`. @returns false when the pool is empty */
  reserve(end: number, pool: BytePool): boolean {
    if (end <= this.data.length) return true;
    const buf = pool.acquire(end);
    if (buf === null) return false;
    copyRange(this.data, 0, this.highest, buf, 0);
    if (this.data.length > 0) pool.release(this.data);
    this.data = buf;
    return true;
  }

  /** Give the data back to the pool. */
  giveBack(pool: BytePool): void {
    if (this.data.length > 0) pool.release(this.data);
    this.data = EMPTY;
  }

  /**
   * Put in the fragment [start, end) with bytes at src[off...]; room was reserved.
   * @returns false when it would fall into too many pieces; nothing changed
   */
  place(start: number, end: number, src: Uint8Array, off: number, policy: OverlapPolicy): boolean {
    // A fragment adds at most one piece per gap and splits at most one range in two.
    if (this.#count * 2 + 2 > this.#ranges.length / COLUMNS) {
      const pieces = this.#piecesWith(start, end, policy);
      if (pieces > this.maxRanges) return false;
      if (pieces > this.#ranges.length / COLUMNS) this.#grow(pieces);
    }
    const r = this.#ranges;
    const out = this.#spare;
    let n = 0;
    let cursor = start;
    for (let i = 0; i < this.#count; i++) {
      const at = i * COLUMNS;
      const s = r[at + START];
      const e = r[at + END];
      const from = r[at + FROM];
      const to = r[at + TO];
      if (e <= start || s >= end) {
        if (s >= end && cursor < end) {
          n = this.#take(out, n, cursor, end, start, end, src, off, true);
          cursor = end;
        }
        n = push(out, n, s, e, from, to);
        continue;
      }
      const lo = Math.max(s, start);
      const hi = Math.min(e, end);
      if (s < lo) n = push(out, n, s, lo, from, to);
      if (cursor < lo) n = this.#take(out, n, cursor, lo, start, end, src, off, true);
      if (laterWins(policy, from, to, start, end)) n = this.#take(out, n, lo, hi, start, end, src, off, false);
      else n = push(out, n, lo, hi, from, to);
      if (e > hi) n = push(out, n, hi, e, from, to);
      cursor = hi;
    }
    if (cursor < end) n = this.#take(out, n, cursor, end, start, end, src, off, true);
    this.#spare = r;
    this.#ranges = out;
    this.#count = n;
    return true;
  }

  #grow(pieces: number): void {
    const room = Math.min(this.maxRanges, pieces * 2) * COLUMNS;
    const ranges = new Int32Array(room);
    ranges.set(this.#ranges);
    this.#ranges = ranges;
    this.#spare = new Int32Array(room);
  }

  /** Exact count of the ranges that `place` would leave, for lists that are nearly full. */
  #piecesWith(start: number, end: number, policy: OverlapPolicy): number {
    const r = this.#ranges;
    let n = 0;
    let cursor = start;
    for (let i = 0; i < this.#count; i++) {
      const at = i * COLUMNS;
      const s = r[at + START];
      const e = r[at + END];
      n++;
      if (e <= start || s >= end) continue;
      if (cursor < s) n++;
      // Ranges split only where the later fragment wins inside them.
      if (laterWins(policy, r[at + FROM], r[at + TO], start, end)) n += (s < start ? 1 : 0) + (e > end ? 1 : 0);
      cursor = Math.min(e, end);
    }
    if (cursor < end) n++;
    return n;
  }

  /** Bytes [lo, hi) become those of the fragment [from, to) at src[off...]. */
  #take(out: Int32Array, n: number, lo: number, hi: number, from: number, to: number, src: Uint8Array, off: number, fresh: boolean): number {
    copyRange(src, off + lo - from, hi - lo, this.data, lo);
    if (fresh) this.covered += hi - lo;
    return push(out, n, lo, hi, from, to);
  }
}

/** Append a range; one that continues its left neighbour's fragment joins it. */
function push(out: Int32Array, n: number, start: number, end: number, from: number, to: number): number {
  const last = (n - 1) * COLUMNS;
  if (n > 0 && out[last + END] === start && out[last + FROM] === from && out[last + TO] === to) {
    out[last + END] = end;
    return n;
  }
  const at = n * COLUMNS;
  out[at + START] = start;
  out[at + END] = end;
  out[at + FROM] = from;
  out[at + TO] = to;
  return n + 1;
}

/** Does the later fragment [start, end) win over bytes of the earlier one [from, to)? */
function laterWins(policy: OverlapPolicy, from: number, to: number, start: number, end: number): boolean {
  switch (policy) {
    case 'first':
      return false;
    case 'last':
      return true;
    case 'bsd':
      return start < from;
    case 'bsd-right':
      return start >= from;
    case 'linux':
      return start <= from;
    case 'windows':
      return start < from && end > to;
  }
}

const EMPTY = new Uint8Array(0);
