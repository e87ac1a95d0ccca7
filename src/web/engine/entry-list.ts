/** The contents of one variable in a transaction: names and values in order, with what is known about the values. */
import type { ScanPlaceCode } from '../prefilter.js';
import { lowerAscii, type ByteString } from '../value.js';
import type { Scanner, TransformTree, ValueCache, ValueInfo } from './value-cache.js';

export class EntryList {
  readonly names: ByteString[] = [];
  readonly values: ByteString[] = [];
  #lower: ByteString[] | null = null;
  #infos: (ValueInfo | undefined)[] | null = null;
  /** Per transformation node: OR of the hits of all values. */
  #unions: (Uint32Array | undefined)[] | null = null;

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

  /** Slots that may match any of the values transformed by `node`, all at one place: when a bit is clear, no entry needs to be looked at. */
  union(node: number, place: ScanPlaceCode, cache: ValueCache, tree: TransformTree, scanner: Scanner): Uint32Array {
    const unions = (this.#unions ??= []);
    const known = unions[node];
    if (known !== undefined) return known;
    const union = new Uint32Array(scanner.words);
    for (let i = 0; i < this.values.length; i++) {
      const hits = scanner.hits(tree.variant(this.info(i, cache), node), place);
      for (let w = 0; w < union.length; w++) union[w]! |= hits[w]!;
    }
    while (unions.length < node) unions.push(undefined);
    unions[node] = union;
    return union;
  }
}
