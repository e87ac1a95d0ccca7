/**
 * Rows about addresses that scan or are scanned: fixed memory, found by hash, WAYS to a bucket. A row counts distinct things in
 * bitmaps of hashed values (linear counting, Whang 1990); what it counted is forgotten when its window is over. When a bucket
 * is full the row with the fewest marks makes room, never one that is pinned.
 */
import { fmix32, mix32 } from '../util/index.js';

const WAYS = 4;
export const MAP_WORDS = 16;
const MAP_BITS = MAP_WORDS * 32;

/** Columns that all rows have; the table's own columns follow from OWN, its bitmaps after them. */
export const S_ADDR = 0;
export const S_WINDOW = 4;
/** Bits of what was reported in this window. */
export const S_REPORTED = 5;
/** Pinned until this second; 0 = not. */
export const S_PINNED = 6;
const S_USED = 7;
/** Cells set in each bitmap, from here on. */
export const S_COUNTS = 8;

export class ScanTable {
  readonly rows: Int32Array;
  /** Rows that made room although their window was not over. */
  evicted = 0;
  /** Times no row could make room. */
  refused = 0;
  windowSeconds = 60;
  readonly #stride: number;
  readonly #own: number;
  readonly #maps: number;
  /** Bitmaps at the end that outlive the window. */
  readonly #lasting: number;
  readonly #buckets: number;
  readonly #seed: number;

  /**
   * @param capacity rows, rounded up to a power of two
   * @param maps bitmaps per row
   * @param own further columns per row, cleared with the window
   * @param lasting how many of the bitmaps, the last ones, the owner clears itself
   */
  constructor(seed: number, capacity: number, maps: number, own: number, lasting: number) {
    let buckets = 1;
    while (buckets * WAYS < capacity) buckets *= 2;
    this.#buckets = buckets;
    this.#maps = maps;
    this.#own = own;
    this.#lasting = lasting;
    this.#stride = S_COUNTS + maps + own + maps * MAP_WORDS;
    this.rows = new Int32Array(buckets * WAYS * this.#stride);
    this.#seed = seed | 0;
  }

  get bytes(): number {
    return this.rows.byteLength;
  }

  /** Column of the table's own, from 0. */
  own(column: number): number {
    return S_COUNTS + this.#maps + column;
  }

  /** Row of an address (its first cell), -1 = none. */
  find(w0: number, w1: number, w2: number, w3: number): number {
    const rows = this.rows;
    for (let way = 0, row = this.#bucket(w0, w1, w2, w3); way < WAYS; way++, row += this.#stride) {
      if (rows[row + S_USED] === 1 && rows[row] === w0 && rows[row + 1] === w1 && rows[row + 2] === w2 && rows[row + 3] === w3) return row;
    }
    return -1;
  }

  /** Row of an address, fresh or with its window renewed; -1 = no room. */
  row(w0: number, w1: number, w2: number, w3: number, now: number): number {
    const rows = this.rows;
    let row = this.find(w0, w1, w2, w3);
    if (row >= 0) {
      if (now - rows[row + S_WINDOW]! >= this.windowSeconds || now < rows[row + S_WINDOW]!) this.#restart(row, now, this.#maps - this.#lasting);
      return row;
    }
    row = this.#victim(w0, w1, w2, w3, now);
    if (row < 0) {
      this.refused++;
      return row;
    }
    if (rows[row + S_USED] === 1 && now - rows[row + S_WINDOW]! < this.windowSeconds) this.evicted++;
    rows[row + S_USED] = 1;
    rows[row + S_PINNED] = 0;
    rows[row + S_ADDR] = w0;
    rows[row + S_ADDR + 1] = w1;
    rows[row + S_ADDR + 2] = w2;
    rows[row + S_ADDR + 3] = w3;
    this.#restart(row, now, this.#maps);
    return row;
  }

  /** Enter a hash into a bitmap. @returns cells set so far */
  mark(row: number, map: number, hash: number): number {
    const rows = this.rows;
    const bit = hash & (MAP_BITS - 1);
    const at = row + S_COUNTS + this.#maps + this.#own + map * MAP_WORDS + (bit >> 5);
    const mask = 1 << (bit & 31);
    if ((rows[at]! & mask) === 0) {
      rows[at]! |= mask;
      rows[row + S_COUNTS + map]! += 1;
    }
    return rows[row + S_COUNTS + map]!;
  }

  cells(row: number, map: number): number {
    return this.rows[row + S_COUNTS + map]!;
  }

  clear(row: number, map: number): void {
    const at = row + S_COUNTS + this.#maps + this.#own + map * MAP_WORDS;
    this.rows[row + S_COUNTS + map] = 0;
    this.rows.fill(0, at, at + MAP_WORDS);
  }

  /** Empty one bitmap of every row. */
  clearAll(map: number): void {
    for (let row = 0; row < this.rows.length; row += this.#stride) if (this.rows[row + S_COUNTS + map] !== 0) this.clear(row, map);
  }

  /** Rows pinned until a time that is over, or all of them: visit, then unpin. Walks the table. */
  unpin(now: number, visit: (row: number) => void): void {
    for (let row = 0; row < this.rows.length; row += this.#stride) {
      if (this.rows[row + S_PINNED] === 0 || this.rows[row + S_PINNED]! > now) continue;
      this.rows[row + S_PINNED] = 0;
      visit(row);
    }
  }

  #restart(row: number, now: number, maps: number): void {
    const rows = this.rows;
    rows[row + S_WINDOW] = now;
    rows[row + S_REPORTED] = 0;
    for (let map = 0; map < maps; map++) this.clear(row, map);
    rows.fill(0, row + S_COUNTS + this.#maps, row + S_COUNTS + this.#maps + this.#own);
  }

  /** Free or expired row of the bucket, else the one with the fewest marks. */
  #victim(w0: number, w1: number, w2: number, w3: number, now: number): number {
    const rows = this.rows;
    let victim = -1;
    let least = 0x7fffffff;
    for (let way = 0, row = this.#bucket(w0, w1, w2, w3); way < WAYS; way++, row += this.#stride) {
      if (rows[row + S_USED] === 0) return row;
      if (rows[row + S_PINNED]! > now) continue;
      let marks = 0;
      for (let map = 0; map < this.#maps; map++) marks += rows[row + S_COUNTS + map]!;
      if (now - rows[row + S_WINDOW]! >= this.windowSeconds) marks -= 0x10000;
      if (marks < least) {
        least = marks;
        victim = row;
      }
    }
    return victim;
  }

  #bucket(w0: number, w1: number, w2: number, w3: number): number {
    return (fmix32(mix32(mix32(mix32(mix32(this.#seed, w0), w1), w2), w3)) & (this.#buckets - 1)) * WAYS * this.#stride;
  }
}

/** Cells of a bitmap that n distinct random values set on average, rounded up. */
export function expectedCells(n: number): number {
  return Math.ceil(MAP_BITS * (1 - Math.exp(-n / MAP_BITS)));
}

/** About how many distinct values set so many cells. */
export function estimate(cells: number): number {
  return Math.round(-MAP_BITS * Math.log(1 - Math.min(cells, MAP_BITS - 1) / MAP_BITS));
}
