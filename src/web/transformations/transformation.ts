/**
 * What a transformation is. One object per transformation in a file of its own (its name is what users write after `t:`),
 * one row in registry.ts. Results are cached per value and chain by the engine, so a transformation keeps no state.
 */
import type { ByteString } from '../value.js';

/**
 * Byte string in, byte string out: linear in the length, never throws. When nothing changes the result must be the very
 * argument (`===` compares content, but returning the argument costs no copy and lets the engine share its caches).
 */
export type TransformFunction = (value: ByteString) => ByteString;

/** Settings of the rule set that some transformations depend on. */
export interface TransformSettings {
  /**
   * Best-fit table of SecUnicodeMapFile for its code page: index = code point 0..65535, value = byte, or -1 when the table
   * has no entry. Null when no map is configured. Only urlDecodeUni reads it.
   */
  readonly unicodeMap: Int16Array | null;
}

export interface Transformation<Name extends string = string> {
  /** As users write it after `t:`. Compared without case. */
  readonly name: Name;
  /** Other spellings, such as `normalisePath` for normalizePath. */
  readonly aliases?: readonly string[];
  /** One sentence for the transformation reference. */
  readonly help: string;
  create(settings: TransformSettings): TransformFunction;
}

/** Keeps the literal name, from which the type TransformationName is made. */
export function transformation<const Name extends string>(definition: Transformation<Name>): Transformation<Name> {
  return definition;
}
