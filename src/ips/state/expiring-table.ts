/**
 * Bounded open-addressing table of small records that expire: key = up to ten int32 words, value = four numbers.
 * Slots are searched in a short probe window; when it is full the record that expires first gives way, so a flood of new
 * keys can neither grow the table nor walk it. Nothing is allocated after construction.
 */
import { fmix32, mix32 } from '../../util/index.js';

/** Words of a key: kind or rule, then two addresses of four words, then one spare. */
export const KEY_WORDS = 10;
const PROBES = 8;

export class ExpiringTable {
  /** The key of the next `find` or `insert`; callers fill it in place. */
  readonly key = new Int32Array(KEY_WORDS);
  readonly #keys: Int32Array;
  /** Seconds at which a slot is free again; 0 = never used. */
  readonly expires: Float64Array;
  readonly started: Float64Array;
  readonly count: Float64Array;
  /** Live records that had to give way. */
  evicted = 0;
  readonly #mask: number;
  readonly #seed: number;

  /** @param slots rounded up to a power of two. @param seed keys the hash so that peers cannot aim at one window */
  constructor(slots: number, seed: number) {
    let size = PROBES;
    while (size < slots) size *= 2;
    this.#mask = size - 1;
    this.#seed = seed | 0;
    this.#keys = new Int32Array(size * KEY_WORDS);
    this.expires = new Float64Array(size);
    this.started = new Float64Array(size);
    this.count = new Float64Array(size);
  }

  get slots(): number {
    return this.#mask + 1;
  }

  /** Slot of `key` if it is there and alive at `now` (seconds), else -1. */
  find(now: number): number {
    const start = this.#hash();
    for (let i = 0; i < PROBES; i++) {
      const slot = (start + i) & this.#mask;
      if (this.expires[slot]! > now && this.#equals(slot)) return slot;
    }
    return -1;
  }

  /** Slot for `key`, new or taken from the record that would expire first. The caller sets expires, started and count. */
  insert(now: number): number {
    const start = this.#hash();
    let victim = start & this.#mask;
    for (let i = 0; i < PROBES; i++) {
      const slot = (start + i) & this.#mask;
      if (this.#equals(slot) && this.expires[slot] !== 0) {
        victim = slot;
        break;
      }
      if (this.expires[slot]! < this.expires[victim]!) victim = slot;
    }
    if (this.expires[victim]! > now && !this.#equals(victim)) this.evicted++;
    const base = victim * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) this.#keys[base + i] = this.key[i]!;
    return victim;
  }

  remove(slot: number): void {
    this.expires[slot] = 0;
  }

  #hash(): number {
    let hash = this.#seed;
    for (let i = 0; i < KEY_WORDS; i++) hash = mix32(hash, this.key[i]!);
    return fmix32(hash) & this.#mask;
  }

  #equals(slot: number): boolean {
    const base = slot * KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) if (this.#keys[base + i] !== this.key[i]) return false;
    return true;
  }
}
