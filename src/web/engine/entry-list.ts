/** The contents of one variable in a transaction: names and values in order, with what is known about the values. */
import type { ScanPlaceCode } from '../prefilter.js';
import { lowerAscii, type ByteString } from '../value.js';
import type { Scanner, TransformTree, ValueCache, ValueInfo } from './value-cache.js';

export class EntryList {
  readonly names: ByteString[] = [];
  readonly values: ByteString[] = [];
  #lower: ByteString[] | null = null;
  #infos: (ValueInfo | undefined)[] | null = null;
  /** Per transformation node: where the union of the hits of all values lies in the arena, in the run #run. */
  #unions: (number | undefined)[] | null = null;
  #run = 0;

  get size(): number {
    return this.values.length;
  }

  add(name: ByteString, value: ByteString): void {
    this.names.push(name);
    this.values.push(value);
    this.#lower = null;
    this.#unions = null;
  }

  clear(): void {
    this.names.length = 0;
    this.values.length = 0;
    this.#lower = null;
    this.#infos = null;
    this.#unions = null;
  }

  /** Name of entry i in lower case: names compare without case. */
  lowerName(i: number): ByteString {
    this.#lower ??= this.names.map(lowerAscii);
    return this.#lower[i]!;
  }

  /** Value of the first entry of this (lower-case) name. */
  first(lowerName: ByteString): ByteString | undefined {
    for (let i = 0; i < this.values.length; i++) if (this.lowerName(i) === lowerName) return this.values[i];
    return undefined;
  }

  info(i: number, cache: ValueCache): ValueInfo {
    const infos = (this.#infos ??= []);
    const known = infos[i];
    if (known !== undefined) return known;
    while (infos.length < i) infos.push(undefined);
    const info = cache.info(this.values[i]!);
    infos[i] = info;
    return info;
  }

  /**
   * Slots that may match any of the values transformed by `node`, all at one place: when a bit is clear, no entry needs to be
   * looked at. Valid during one run of a phase. @returns offset of the words in the arena
   */
  union(node: number, place: ScanPlaceCode, arena: UnionArena, cache: ValueCache, tree: TransformTree, scanner: Scanner): number {
    if (this.#unions === null || this.#run !== arena.run) {
      this.#unions = [];
      this.#run = arena.run;
    }
    const unions = this.#unions;
    const known = unions[node];
    if (known !== undefined) return known;
    while (unions.length < node) unions.push(undefined);
    if (node !== 0 && this.#unchangedBy(node, cache, tree)) return (unions[node] = this.union(0, place, arena, cache, tree, scanner));
    const at = arena.take();
    for (let i = 0; i < this.values.length; i++) arena.or(at, scanner.hits(tree.variant(this.info(i, cache), node), place));
    unions[node] = at;
    return at;
  }

  /** The transformations leave every value as it is: most do with most. */
  #unchangedBy(node: number, cache: ValueCache, tree: TransformTree): boolean {
    for (let i = 0; i < this.values.length; i++) {
      const info = this.info(i, cache);
      if (tree.variant(info, node) !== info.variants[0]) return false;
    }
    return true;
  }
}

/** Sets of slots that live for one run of a phase, one behind the other in one array. */
export class UnionArena {
  /** Number of the run: what belongs to another one is void. */
  run = 0;
  words: Uint32Array;
  readonly #perSet: number;
  #used = 0;

  /** @param perSet words of a set */
  constructor(perSet: number) {
    this.#perSet = perSet;
    this.words = new Uint32Array(INITIAL_SETS * perSet);
  }

  begin(): void {
    this.run++;
    this.#used = 0;
  }

  /** @returns offset of an empty set */
  take(): number {
    const at = this.#used;
    this.#used += this.#perSet;
    if (this.#used > this.words.length) {
      const larger = new Uint32Array(2 * this.words.length);
      larger.set(this.words);
      this.words = larger;
    }
    this.words.fill(0, at, this.#used);
    return at;
  }

  /** Add a set given as words. */
  or(at: number, set: Uint32Array): void {
    const { words } = this;
    for (let w = 0; w < set.length; w++) words[at + w]! |= set[w]!;
  }

  /** Add a set of this arena. */
  orOwn(at: number, from: number): void {
    const { words } = this;
    for (let w = 0; w < this.#perSet; w++) words[at + w]! |= words[from + w]!;
  }
}

/** Room for the groups of a rule set of some hundred rules, before the arena grows. */
const INITIAL_SETS = 512;
