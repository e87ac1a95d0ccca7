/**
 * File identity -> content, without hashing the file again: open-addressed, 12 bytes an entry, so that 5000 files of a VM take
 * about 100 KB where a Map of strings would take a megabyte. It stores 64 seeded bits of the identity key, not the key.
 */

/** Entries looked at around the home slot; when none is free the one in turn gives way. */
const PROBE = 64;
const STRIDE = 3;
const MIN_SLOTS = 256;

export class IdentityTable {
  /** Rows of fingerprint (2 words) and content serial; serial 0 = free. */
  #rows = new Uint32Array(MIN_SLOTS * STRIDE);
  #mask = MIN_SLOTS - 1;
  #used = 0;
  #victim = 0;
  /** Entries given up because the table may not grow. */
  evicted = 0;
  readonly #seed: readonly [number, number];
  readonly #maxSlots: number;

  /**
   * @param seed two random words: who does not know them cannot make two identities collide
   * @param maxEntries bound, rounded up to a power of two
   */
  constructor(seed: readonly [number, number], maxEntries: number) {
    this.#seed = seed;
    let slots = MIN_SLOTS;
    while (slots < maxEntries) slots *= 2;
    this.#maxSlots = slots;
  }

  get size(): number {
    return this.#used;
  }

  get bytes(): number {
    return this.#rows.byteLength;
  }

  /** @returns the serial, 0 = not known */
  get(key: string): number {
    const a = fingerprint(key, this.#seed[0]);
    const b = fingerprint(key, this.#seed[1]);
    const rows = this.#rows;
    for (let i = 0; i < PROBE; i++) {
      const at = ((a + i) & this.#mask) * STRIDE;
      if (rows[at + 2] === 0) return 0;
      if (rows[at] === a && rows[at + 1] === b) return rows[at + 2]!;
    }
    return 0;
  }

  /** @param serial from 1 */
  set(key: string, serial: number): void {
    if (this.#used * 8 > this.#mask * 5 && this.#mask + 1 < this.#maxSlots) this.#grow();
    this.#put(fingerprint(key, this.#seed[0]), fingerprint(key, this.#seed[1]), serial);
  }

  clear(): void {
    this.#rows = new Uint32Array(MIN_SLOTS * STRIDE);
    this.#mask = MIN_SLOTS - 1;
    this.#used = 0;
  }

  #put(a: number, b: number, serial: number): void {
    const rows = this.#rows;
    let row = -1;
    for (let i = 0; i < PROBE && row < 0; i++) {
      const at = ((a + i) & this.#mask) * STRIDE;
      // Nothing is ever taken out, so a free row ends the search.
      if (rows[at + 2] === 0) {
        row = at;
        this.#used++;
      } else if (rows[at] === a && rows[at + 1] === b) row = at;
    }
    if (row < 0) {
      this.#victim = (this.#victim + 1) % PROBE;
      row = ((a + this.#victim) & this.#mask) * STRIDE;
      this.evicted++;
    }
    rows[row] = a;
    rows[row + 1] = b;
    rows[row + 2] = serial;
  }

  #grow(): void {
    const old = this.#rows;
    const slots = (this.#mask + 1) * 2;
    this.#rows = new Uint32Array(slots * STRIDE);
    this.#mask = slots - 1;
    this.#used = 0;
    for (let at = 0; at < old.length; at += STRIDE) if (old[at + 2] !== 0) this.#put(old[at]!, old[at + 1]!, old[at + 2]!);
  }
}

/** 32 seeded bits of a Latin-1 string (the mixing steps of MurmurHash3, public domain). */
function fingerprint(key: string, seed: number): number {
  let h = seed | 0;
  for (let i = 0; i < key.length; i++) {
    h = Math.imul(h ^ key.charCodeAt(i), 0xcc9e2d51);
    h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
