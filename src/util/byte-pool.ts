/**
 * Byte buffers by size class (powers of two) under one memory cap. Released buffers are kept for reuse, so a steady load
 * allocates nothing; what is kept but not lent out counts against the cap too and is thrown away first when the cap is hit.
 * Borrowers may be told apart: with accounts, each has a limit of its own below the cap.
 */
export class BytePool {
  /** Bytes lent out plus kept, never above `memcap`. */
  allocated = 0;
  /** Bytes lent out. */
  inUse = 0;
  /** Requests refused because of the cap. */
  refused = 0;
  readonly memcap: number;
  /** Account that the next calls are booked on. Each buffer must come back under the account it went out on. */
  account = 0;
  /** The last request was refused for the limit of its account, not for the cap. */
  overShare = false;
  /** Bytes lent out, by account; null without accounts. */
  readonly used: Float64Array | null;
  readonly #limits: Float64Array | null;
  readonly #minShift: number;
  readonly #free: Uint8Array[][] = [];

  /**
   * @param memcap bytes
   * @param minSize smallest class, rounded up to a power of two
   * @param limits bytes each account may have lent out; read at each request, so they may change
   */
  constructor(memcap: number, minSize = 256, limits: Float64Array | null = null) {
    this.memcap = memcap;
    this.#minShift = 32 - Math.clz32(Math.max(1, minSize) - 1);
    this.#limits = limits;
    this.used = limits === null ? null : new Float64Array(limits.length);
    for (let shift = 0; shift <= MAX_SHIFT; shift++) this.#free.push([]);
  }

  /** @returns a buffer of at least `size` bytes with undefined contents, or null when the cap forbids it */
  acquire(size: number): Uint8Array | null {
    let shift = 32 - Math.clz32(size - 1);
    if (shift < this.#minShift) shift = this.#minShift;
    if (shift > MAX_SHIFT) {
      this.refused++;
      return null;
    }
    const bytes = 2 ** shift;
    this.overShare = this.used !== null && this.used[this.account] + bytes > this.#limits![this.account];
    if (this.overShare) {
      this.refused++;
      return null;
    }
    let buf = this.#free[shift].pop();
    if (buf === undefined) {
      if (this.allocated + bytes > this.memcap && !this.#shrink(bytes)) {
        this.refused++;
        return null;
      }
      buf = new Uint8Array(bytes);
      this.allocated += bytes;
    }
    this.inUse += bytes;
    if (this.used !== null) this.used[this.account] += bytes;
    return buf;
  }

  /** Give back a buffer of this pool. Each acquired buffer must come back exactly once. */
  release(buf: Uint8Array): void {
    this.inUse -= buf.length;
    if (this.used !== null) this.used[this.account] -= buf.length;
    this.#free[31 - Math.clz32(buf.length)].push(buf);
  }

  /** Let go of kept buffers, largest classes first, until `bytes` more fit under the cap. */
  #shrink(bytes: number): boolean {
    if (this.inUse + bytes > this.memcap) return false;
    for (let shift = MAX_SHIFT; shift >= 0 && this.allocated + bytes > this.memcap; shift--) {
      const kept = this.#free[shift];
      while (kept.length > 0 && this.allocated + bytes > this.memcap) {
        kept.pop();
        this.allocated -= 2 ** shift;
      }
    }
    return true;
  }
}

/** Largest class: 1 GiB. */
const MAX_SHIFT = 30;
