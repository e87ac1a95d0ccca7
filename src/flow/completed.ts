/**
 * Datagrams that were put together and passed, by two 32-bit hashes of their key: a set with an expiry time per entry, eight
 * ways to a bucket, the oldest of a bucket makes room. Fixed memory, no pointers.
 */
const WAYS = 8;

export class CompletedDatagrams {
  readonly #hash: Int32Array;
  readonly #check: Int32Array;
  readonly #until: Int32Array;
  /** By bucket: the way written longest ago. */
  readonly #oldest: Uint8Array;
  readonly #mask: number;

  /** @param capacity a power of two of at least WAYS entries, or 0: nothing is remembered */
  constructor(capacity: number) {
    this.#hash = new Int32Array(capacity);
    this.#check = new Int32Array(capacity);
    this.#until = new Int32Array(capacity);
    this.#oldest = new Uint8Array(capacity / WAYS);
    this.#mask = capacity / WAYS - 1;
  }

  /** @param until second from which on the entry counts no more */
  add(hash: number, check: number, until: number): void {
    if (this.#mask < 0) return;
    const bucket = hash & this.#mask;
    const way = this.#oldest[bucket];
    this.#oldest[bucket] = (way + 1) % WAYS;
    const at = bucket * WAYS + way;
    this.#hash[at] = hash;
    this.#check[at] = check;
    this.#until[at] = until;
  }

  has(hash: number, check: number, now: number): boolean {
    if (this.#mask < 0) return false;
    const first = (hash & this.#mask) * WAYS;
    for (let i = first; i < first + WAYS; i++) if (this.#hash[i] === hash && this.#check[i] === check && this.#until[i] > now) return true;
    return false;
  }
}
