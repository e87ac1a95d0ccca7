/**
 * Steps of an inspection chain: the keywords that look into one buffer, in rule order. Data only; `chain.ts` runs them.
 * `op` selects the branch there, so steps of one chain may be of any class without megamorphic calls.
 */
import type { Pcre } from '@drawbridge/native';
import type { NumberTest } from '../option.js';
import type { Dataset } from '../state/dataset.js';
import type { Needle } from './search.js';

export const OP_CONTENT = 0;
export const OP_PCRE = 1;
export const OP_BYTE_TEST = 2;
export const OP_BYTE_JUMP = 3;
export const OP_BYTE_EXTRACT = 4;
export const OP_BYTE_MATH = 5;
export const OP_ISDATAAT = 6;
export const OP_SIZE = 7;
export const OP_BASE64 = 8;
export const OP_DATASET = 9;
export const OP_ASN1 = 10;

export abstract class Step {
  abstract readonly op: number;
  /** True when the step starts from where the step before it ended. */
  abstract get relative(): boolean;
  /** The step after this one is relative: when it fails, another occurrence of this one is tried. */
  nextRelative = false;
}

/** How a content takes part in the prefilter. */
export const FastPattern = { NONE: 0, WANTED: 1, ONLY: 2 } as const;

export class ContentStep extends Step {
  readonly op = OP_CONTENT;
  negated = false;
  nocase = false;
  hasDepth = false;
  hasOffset = false;
  hasDistance = false;
  hasWithin = false;
  startsWith = false;
  endsWith = false;
  depth = 0;
  offset = 0;
  distance = 0;
  within = 0;
  /** Byte variable that replaces the number, -1 = none. */
  depthVar = -1;
  offsetVar = -1;
  distanceVar = -1;
  withinVar = -1;
  fastPattern: number = FastPattern.NONE;
  /** Part of the bytes used by the prefilter (`fast_pattern:offset,length`). */
  chopOffset = 0;
  chopLength = -1;
  /** Set when the rule is complete: the search for `bytes`. */
  needle: Needle | null = null;

  /** @param bytes the pattern; in lower case once the rule is complete when `nocase` */
  constructor(public bytes: Uint8Array) {
    super();
  }

  get relative(): boolean {
    return this.hasDistance || this.hasWithin;
  }

  /** It may lie anywhere from a fixed distance behind its predecessor on. */
  get unbounded(): boolean {
    return this.hasDistance && !this.hasWithin && !this.hasDepth && !this.negated && !this.endsWith && this.distanceVar < 0 && this.offsetVar < 0;
  }
}

export class PcreStep extends Step {
  readonly op = OP_PCRE;
  constructor(
    readonly pcre: Pcre,
    readonly negated: boolean,
    readonly relative: boolean,
  ) {
    super();
  }
}

/** How bytes become a number. */
export class NumberFormat {
  /** 0 = binary, otherwise the radix of a number in text: 8, 10 or 16. */
  radix = 0;
  little = false;
  /** Byte order comes from the DCE/RPC header. */
  dce = false;
}

export const ByteOp = { LT: 0, GT: 1, EQ: 2, LE: 3, GE: 4, AND: 5, XOR: 6 } as const;

export class ByteTestStep extends Step {
  readonly op = OP_BYTE_TEST;
  readonly format = new NumberFormat();
  bytes = 0;
  bytesVar = -1;
  operator: number = ByteOp.EQ;
  negated = false;
  valueHi = 0;
  valueLo = 0;
  valueVar = -1;
  offset = 0;
  offsetVar = -1;
  relative = false;
  hasMask = false;
  maskHi = 0;
  maskLo = 0;
}

export class ByteJumpStep extends Step {
  readonly op = OP_BYTE_JUMP;
  readonly format = new NumberFormat();
  bytes = 0;
  bytesVar = -1;
  offset = 0;
  offsetVar = -1;
  relative = false;
  multiplier = 1;
  align = false;
  fromBeginning = false;
  fromEnd = false;
  postOffset = 0;
  hasMask = false;
  maskHi = 0;
  maskLo = 0;
}

export class ByteExtractStep extends Step {
  readonly op = OP_BYTE_EXTRACT;
  readonly format = new NumberFormat();
  bytes = 0;
  offset = 0;
  relative = false;
  multiplier = 1;
  /** 0, 2 or 4. */
  align = 0;
  variable = 0;
}

export const MathOp = { ADD: 0, SUB: 1, MUL: 2, DIV: 3, SHL: 4, SHR: 5 } as const;

export class ByteMathStep extends Step {
  readonly op = OP_BYTE_MATH;
  readonly format = new NumberFormat();
  bytes = 0;
  bytesVar = -1;
  offset = 0;
  offsetVar = -1;
  relative = false;
  operator: number = MathOp.ADD;
  operand = 0;
  operandVar = -1;
  hasMask = false;
  maskHi = 0;
  maskLo = 0;
  variable = 0;
}

export class IsDataAtStep extends Step {
  readonly op = OP_ISDATAAT;
  at = 0;
  atVar = -1;
  negated = false;
  relative = false;
}

/** bsize and urilen: the size of the whole buffer. */
export class SizeStep extends Step {
  readonly op = OP_SIZE;
  readonly relative = false;
  constructor(readonly test: NumberTest) {
    super();
  }
}

/** base64_decode, followed by the chain of base64_data. */
export class Base64Step extends Step {
  readonly op = OP_BASE64;
  /** Encoded bytes to take, 0 = all that is left. */
  bytes = 0;
  offset = 0;
  relative = false;
  data: readonly Step[] = [];
}

/** asn1: malformed BER values known from attacks. */
export class Asn1Step extends Step {
  readonly op = OP_ASN1;
  bitstringOverflow = false;
  doubleOverflow = false;
  /** Longest element that is no attack, -1 = not asked. */
  oversize = -1;
  offset = 0;
  relative = false;
}

export const DatasetCommand = { SET: 0, UNSET: 1, ISSET: 2, ISNOTSET: 3, REPUTATION: 4 } as const;

/** dataset and datarep: the whole buffer is, or is not, in a set. */
export class DatasetStep extends Step {
  readonly op = OP_DATASET;
  readonly relative = false;
  constructor(
    readonly set: Dataset,
    readonly command: number,
    /** What the reputation has to be (REPUTATION). */
    readonly reputation: NumberTest | null,
  ) {
    super();
  }
}
