/**
 * What is known about a value: its transformed forms and, per form, which operators may match it. Values repeat within a
 * transaction (the same argument is judged by hundreds of rules) and between transactions (header values, parameter names),
 * so both are remembered: lists keep their values' infos, and short values are kept over transactions in two bounded
 * generations.
 */
import { SCAN_PLACES, type Prefilter, type ScanPlaceCode } from '../prefilter.js';
import type { TransformFunction } from '../transformations/transformation.js';
import type { ByteString } from '../value.js';

/** Values up to this many bytes are remembered beyond their transaction. */
const MAX_SHARED_LENGTH = 512;
/** Values per generation. Two of them are alive at a time. */
const GENERATION = 2048;

const NOT_SCANNED: readonly (Uint32Array | null)[] = Array.from({ length: SCAN_PLACES }, () => null);

/** One form of a value, shared by all chains that produce it. */
export class Variant {
  /** By place: bit s clear: the operator of slot s is known not to match. Null until first asked for. */
  readonly hits: (Uint32Array | null)[] = NOT_SCANNED.slice();
  readonly value: ByteString;
  constructor(value: ByteString) {
    this.value = value;
  }
}

/** A value as it came from the traffic. */
export class ValueInfo {
  /** Distinct forms; [0] is the value itself. */
  readonly variants: Variant[];
  /** Form per node of the transformation tree. */
  readonly byNode: (Variant | undefined)[];

  constructor(value: ByteString) {
    const own = new Variant(value);
    this.variants = [own];
    this.byNode = [own];
  }

  get value(): ByteString {
    return this.variants[0]!.value;
  }
}

/**
 * All transformation chains of the rule set as a tree: node 0 is "no transformation", every other node applies one function
 * to its parent's result, so that chains share their beginnings.
 */
export class TransformTree {
  readonly #parents: number[] = [0];
  readonly #functions: TransformFunction[] = [(value) => value];
  readonly #children = new Map<string, number>();

  get size(): number {
    return this.#parents.length;
  }

  /** Node that applies `fn` (known by `name`) to node `parent`. */
  child(parent: number, name: string, fn: TransformFunction): number {
    const key = `${parent}:${name}`;
    const known = this.#children.get(key);
    if (known !== undefined) return known;
    const node = this.#parents.length;
    this.#parents.push(parent);
    this.#functions.push(fn);
    this.#children.set(key, node);
    return node;
  }

  /** Form of `info` at `node`. */
  variant(info: ValueInfo, node: number): Variant {
    const known = info.byNode[node];
    if (known !== undefined) return known;
    const from = this.variant(info, this.#parents[node]!);
    const value = this.#functions[node]!(from.value);
    let variant = from;
    if (value !== from.value) {
      const same = info.variants.find((v) => v.value === value);
      variant = same ?? new Variant(value);
      if (same === undefined) info.variants.push(variant);
    }
    while (info.byNode.length < node) info.byNode.push(undefined);
    info.byNode[node] = variant;
    return variant;
  }
}

/** Counters of the cache, for the statistics of the appliance. */
export interface ValueCacheStats {
  hits: number;
  misses: number;
  /** Generations dropped because they were full. */
  turns: number;
}

export class ValueCache {
  readonly stats: ValueCacheStats = { hits: 0, misses: 0, turns: 0 };
  #young = new Map<ByteString, ValueInfo>();
  #old = new Map<ByteString, ValueInfo>();

  info(value: ByteString): ValueInfo {
    if (value.length > MAX_SHARED_LENGTH) return new ValueInfo(value);
    let info = this.#young.get(value);
    if (info !== undefined) {
      this.stats.hits++;
      return info;
    }
    info = this.#old.get(value);
    if (info === undefined) {
      this.stats.misses++;
      // the key may be a slice of a whole request: what stays must not keep that alive
      info = new ValueInfo(Buffer.from(value, 'latin1').toString('latin1'));
    } else this.stats.hits++;
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young;
      this.#young = new Map();
      this.stats.turns++;
    }
    this.#young.set(info.value, info);
    return info;
  }
}

/** Asks the prefilter once per form and place. */
export class Scanner {
  readonly words: number;
  /** By place: bits of slots that no prefilter answers for: they may always match. */
  readonly #open: readonly Uint32Array[];
  readonly #prefilter: Prefilter | null;

  constructor(slots: number, prefilter: Prefilter | null) {
    const words = (slots + 31) >>> 5;
    this.words = words;
    this.#prefilter = prefilter;
    this.#open = NOT_SCANNED.map((_, place) => {
      const open = new Uint32Array(words).fill(0xffffffff);
      if (prefilter !== null) for (let w = 0; w < words; w++) open[w]! &= ~prefilter.covered[place]![w]!;
      return open;
    });
  }

  hits(variant: Variant, place: ScanPlaceCode): Uint32Array {
    const known = variant.hits[place]!;
    if (known !== null) return known;
    const hits = this.#open[place]!.slice();
    this.#prefilter?.scan(variant.value, place, hits);
    variant.hits[place] = hits;
    return hits;
  }
}
