/**
 * The seam between the rule engine and multi-pattern matching. The engine gives every operator that has a hint a slot; a
 * prefilter is built once over all of them and asked once per distinct transformed value: which slots may match? It may say
 * yes too often, never too rarely: what it names is confirmed by the operator itself.
 */
import type { PrefilterHint } from './operators/operator.js';
import type { ByteString } from './value.js';

export interface PrefilterPattern {
  readonly slot: number;
  readonly hint: PrefilterHint;
}

export interface Prefilter {
  /** Bit s is set when the prefilter answers for slot s; the other slots have to be judged without it. Bit s is word s>>5, bit s&31. */
  readonly covered: Uint32Array;
  /** OR into `out` the bits of all covered slots whose operator may match `value`. */
  scan(value: ByteString, out: Uint32Array): void;
}

/** Where compiled databases are kept between starts. A miss costs time, nothing else. */
export interface PrefilterCache {
  load(key: string): Uint8Array | null;
  store(key: string, database: Uint8Array): void;
}

/** @param slots one more than the highest slot */
export type PrefilterFactory = (patterns: readonly PrefilterPattern[], slots: number, cache: PrefilterCache | null) => Prefilter;
