/**
 * Byte buffers by size class (powers of two) under one memory cap. Released buffers are kept for reuse, so a steady load
 * allocates nothing; what is kept but not lent out counts against the cap too and is thrown away first when the cap is hit.
 */
export class BytePool {
  /** Bytes lent out plus kept, never above `memcap`. */
  allocated = 0;
  /** Bytes lent out. */
  inUse = 0;
  /** Requests refused because of the cap. */
  refused = 0;
  readonly memcap: number;
  readonly #minShift: number;
  readonly #free: Uint8Array[][] = [];

  /**
   * @param memcap bytes
   * @param minSize smallest class, rounded up to a power of two
   */
  constructor(memcap: number, minSize = 256) {
    this.memcap = memcap;
    this.#minShift = 32 - Math.clz32(Math.max(1, minSize) - 1);
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
    return buf;
  }

  /** Give back a buffer of this pool. Each acquired buffer must come back exactly once. */
  release(buf: Uint8Array): void {
    this.inUse -= buf.length;
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
