/**
 * The seam between the rule engine and multi-pattern matching. The engine gives every operator that has a hint a slot; a
 * prefilter is built once over all of them and asked once per distinct transformed value and place: which slots may match? It
 * may say yes too often, never too rarely: what it names is confirmed by the operator itself.
 */
import type { PrefilterHint } from './operators/operator.js';
import type { ByteString } from './value.js';

/**
 * Where values stand. Rules for one place are not searched for in another: hundreds look at parameters, a few at whole bodies.
 * NONE is for what rules make themselves and for single values; it has no prefilter.
 */
export const ScanPlace = { PARAMETER: 0, HEADER: 1, REQUEST: 2, RESPONSE: 3, NONE: 4 } as const;
export type ScanPlaceCode = (typeof ScanPlace)[keyof typeof ScanPlace];
export const SCAN_PLACES = 5;

export interface PrefilterPattern {
  readonly slot: number;
  readonly hint: PrefilterHint;
  /** Bit p: rules ask for this slot at place p. */
  readonly places: number;
}

export interface Prefilter {
  /**
   * Per place: bit s is set when the prefilter answers for slot s there; the other slots have to be judged without it. Bit s is
   * word s>>5, bit s&31.
   */
  readonly covered: readonly Uint32Array[];
  /** OR into `out` the bits of all covered slots whose operator may match `value` at this place. */
  scan(value: ByteString, place: ScanPlaceCode, out: Uint32Array): void;
}

/** Where compiled databases are kept between starts. A miss costs time, nothing else. */
export interface PrefilterCache {
  load(key: string): Uint8Array | null;
  store(key: string, database: Uint8Array): void;
}

/** @param slots one more than the highest slot */
export type PrefilterFactory = (patterns: readonly PrefilterPattern[], slots: number, cache: PrefilterCache | null) => Prefilter;
