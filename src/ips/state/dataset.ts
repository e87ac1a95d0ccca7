/**
 * Datasets: values that rules collect or compare with (keywords dataset and datarep). A set is a hash table over an arena
 * of bytes; it grows up to its memcap and then refuses new values, counted. Looking up allocates nothing.
 */
import { fmix32, mix32 } from '../../util/index.js';

export const DATASET_TYPES = ['string', 'md5', 'sha256', 'ipv4', 'ip'] as const;
export type DatasetType = (typeof DATASET_TYPES)[number];

/** Suricata's defaults. */
export const DEFAULT_MEMCAP = 100_000_000;
export const DEFAULT_HASH_SIZE = 4096;
/** Bytes a row costs beside its value. */
const ROW_BYTES = 20;
const REMOVED = -2;
const FREE = -1;

export class Dataset {
  /** Values that did not fit any more. */
  refused = 0;
  #slots: Int32Array;
  #rows = 0;
  #live = 0;
  #hashes: Int32Array;
  #offsets: Int32Array;
  #lengths: Int32Array;
  #reputations: Uint16Array;
  #arena = new Uint8Array(1024);
  #used = 0;

  /** @param memcap bytes at most. @param hashSize values there is room for at first */
  constructor(
    readonly name: string,
    readonly type: DatasetType,
    readonly memcap: number,
    hashSize: number,
    readonly seed = 0,
    /** Where its first values came from. */
    readonly origin = '',
  ) {
    let rows = 16;
    while (rows < hashSize && rows * ROW_BYTES < memcap && rows < DEFAULT_HASH_SIZE) rows *= 2;
    this.#slots = new Int32Array(rows * 2).fill(FREE);
    this.#hashes = new Int32Array(rows);
    this.#offsets = new Int32Array(rows);
    this.#lengths = new Int32Array(rows);
    this.#reputations = new Uint16Array(rows);
  }

  get size(): number {
    return this.#live;
  }

  /** Row of a value, -1 when it is not in the set. */
  find(buf: Uint8Array, off: number, len: number): number {
    const hash = this.#hash(buf, off, len);
    const mask = this.#slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const row = this.#slots[at]!;
      if (row === FREE) return -1;
      if (row >= 0 && this.#hashes[row] === hash && this.#equals(row, buf, off, len)) return row;
    }
  }

  /** All values, in the order in which they came. */
  *values(): Generator<{ readonly bytes: Uint8Array; readonly reputation: number }> {
    const live = new Set(this.#slots.filter((row) => row >= 0));
    for (let row = 0; row < this.#rows; row++) {
      if (live.has(row)) yield { bytes: this.#arena.subarray(this.#offsets[row]!, this.#offsets[row]! + this.#lengths[row]!), reputation: this.#reputations[row]! };
    }
  }

  reputation(row: number): number {
    return this.#reputations[row]!;
  }

  /** @returns true when the value is new and there was room */
  add(buf: Uint8Array, off: number, len: number, reputation: number): boolean {
    if (this.find(buf, off, len) >= 0) return false;
    if (this.#rows * ROW_BYTES + this.#used + len + ROW_BYTES > this.memcap) {
      this.refused++;
      return false;
    }
    if (this.#rows === this.#hashes.length) this.#growRows();
    while (this.#used + len > this.#arena.length) {
      const arena = new Uint8Array(this.#arena.length * 2);
      arena.set(this.#arena);
      this.#arena = arena;
    }
    const row = this.#rows++;
    this.#live++;
    const hash = this.#hash(buf, off, len);
    this.#hashes[row] = hash;
    this.#offsets[row] = this.#used;
    this.#lengths[row] = len;
    this.#reputations[row] = reputation;
    for (let i = 0; i < len; i++) this.#arena[this.#used + i] = buf[off + i]!;
    this.#used += len;
    this.#place(hash, row);
    return true;
  }

  /** @returns true when the value was there. Its bytes stay taken until the set is made anew. */
  remove(buf: Uint8Array, off: number, len: number): boolean {
    const hash = this.#hash(buf, off, len);
    const mask = this.#slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const row = this.#slots[at]!;
      if (row === FREE) return false;
      if (row < 0 || this.#hashes[row] !== hash || !this.#equals(row, buf, off, len)) continue;
      this.#slots[at] = REMOVED;
      this.#live--;
      return true;
    }
  }

  #place(hash: number, row: number): void {
    const mask = this.#slots.length - 1;
    let at = hash & mask;
    while (this.#slots[at]! >= 0) at = (at + 1) & mask;
    this.#slots[at] = row;
  }

  #growRows(): void {
    const rows = this.#hashes.length * 2;
    const copy = <T extends Int32Array | Uint16Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#hashes = copy(this.#hashes, new Int32Array(rows));
    this.#offsets = copy(this.#offsets, new Int32Array(rows));
    this.#lengths = copy(this.#lengths, new Int32Array(rows));
    this.#reputations = copy(this.#reputations, new Uint16Array(rows));
    const old = this.#slots;
    this.#slots = new Int32Array(rows * 2).fill(FREE);
    for (const row of old) if (row >= 0) this.#place(this.#hashes[row]!, row);
  }

  #hash(buf: Uint8Array, off: number, len: number): number {
    let hash = this.seed ^ len;
    for (let i = 0; i < len; i++) hash = mix32(hash, buf[off + i]!);
    return fmix32(hash);
  }

  #equals(row: number, buf: Uint8Array, off: number, len: number): boolean {
    if (this.#lengths[row] !== len) return false;
    const at = this.#offsets[row]!;
    for (let i = 0; i < len; i++) if (this.#arena[at + i] !== buf[off + i]) return false;
    return true;
  }
}

/** A set that is to be written to a file, relative to that of the rule. */
export interface KeptDataset {
  readonly set: Dataset;
  readonly file: string;
  readonly ruleFile: string;
}

/** All sets of one rule set by name. */
export class DatasetStore {
  readonly #sets = new Map<string, Dataset>();
  readonly #kept = new Map<string, KeptDataset>();
  /** Sets of the rules before, for those that go on with them. */
  readonly #before: ReadonlyMap<string, Dataset>;

  constructor(
    readonly seed = 0,
    before: ReadonlyMap<string, Dataset> = new Map(),
  ) {
    this.#before = before;
  }

  /** The store for the rules that follow: sets that are described as before keep what they collected. */
  next(): DatasetStore {
    return new DatasetStore(this.seed, this.#sets);
  }

  get(name: string): Dataset | undefined {
    return this.#sets.get(name);
  }

  /** Have the set written when the appliance ends. */
  keep(set: Dataset, file: string, ruleFile: string): void {
    this.#kept.set(set.name, { set, file, ruleFile });
  }

  get kept(): readonly KeptDataset[] {
    return [...this.#kept.values()];
  }

  /**
   * @param origin what the set is filled with at first: a set of the rules before is kept when it came from the same
   * @returns the set, and whether it has to be filled
   */
  create(name: string, type: DatasetType, memcap: number, hashSize: number, origin = ''): { readonly set: Dataset; readonly fresh: boolean } {
    const before = this.#before.get(name);
    const kept = before !== undefined && before.type === type && before.memcap === memcap && before.origin === origin;
    const set = kept ? before : new Dataset(name, type, memcap, hashSize, this.seed, origin);
    this.#sets.set(name, set);
    return { set, fresh: !kept };
  }

  get sets(): readonly Dataset[] {
    return [...this.#sets.values()];
  }
}
