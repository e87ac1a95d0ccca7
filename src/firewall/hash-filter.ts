/**
 * One bit per hash in front of a hash table. Most lookups of the classifier find nothing; this tells so from a few hundred
 * KiB that stay in cache, instead of from the table that does not. Sixteen bits per entry: one lookup in 16 goes on in vain.
 */
const BITS_PER_ENTRY = 16;

export class HashFilter {
  readonly #words: Int32Array;
  readonly #mask: number;

  /** @param entries number of hashes that will be added */
  constructor(entries: number) {
    let words = 1;
    while (words * 32 < entries * BITS_PER_ENTRY) words *= 2;
    this.#words = new Int32Array(words);
    this.#mask = words - 1;
  }

  add(hash: number): void {
    this.#words[(hash >>> 5) & this.#mask]! |= 1 << (hash & 31);
  }

  /** False: certainly not added. */
  mayHave(hash: number): boolean {
    return ((this.#words[(hash >>> 5) & this.#mask]! >>> (hash & 31)) & 1) !== 0;
  }
}
