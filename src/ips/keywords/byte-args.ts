/** What byte_test, byte_jump, byte_extract and byte_math have in common. */
import type { RuleDraft } from '../draft.js';
import type { NumberFormat } from '../match/step.js';
import { integerOf, type Arg, type OptionText } from '../option.js';

export const MAX_OFFSET = 65_535;
/** Most digits of a number in text. */
const MAX_TEXT_DIGITS = 23;
/** Binary numbers are at most this long. */
export const MAX_BINARY_BYTES = 8;

/** Reads words like `little`, `string`, `hex`, `dce` into the format. */
export class FormatReader {
  #string: Arg | null = null;
  #base: Arg | null = null;
  #endian: Arg | null = null;

  constructor(
    readonly option: OptionText,
    readonly format: NumberFormat,
  ) {}

  /** @returns false when the word is none of the format's */
  take(arg: Arg): boolean {
    switch (arg.text) {
      case 'string':
        this.#string = arg;
        return true;
      case 'hex':
      case 'dec':
      case 'oct':
        if (this.#base !== null) this.option.fail(arg, 'the base is given twice', [], 'conflict');
        this.#base = arg;
        return true;
      case 'big':
      case 'little':
      case 'dce':
        if (this.#endian !== null) this.option.fail(arg, 'the byte order is given twice', [], 'conflict');
        this.#endian = arg;
        return true;
      default:
        return false;
    }
  }

  /** Check the combination and the number of bytes. */
  finish(bytes: Arg, count: number): void {
    const { option, format } = this;
    if (this.#base !== null && this.#string === null) option.fail(this.#base, 'a base needs string', ['string,' + this.#base.text], 'conflict');
    if (this.#string !== null) {
      format.radix = this.#base?.text === 'hex' ? 16 : this.#base?.text === 'oct' ? 8 : 10;
      if (count > MAX_TEXT_DIGITS) option.fail(bytes, `more than ${MAX_TEXT_DIGITS} digits`, [`1..${MAX_TEXT_DIGITS}`]);
    } else if (count > MAX_BINARY_BYTES) {
      option.fail(bytes, `a binary number has at most ${MAX_BINARY_BYTES} bytes`, [`1..${MAX_BINARY_BYTES}`]);
    }
    format.little = this.#endian?.text === 'little';
    format.dce = this.#endian?.text === 'dce';
  }
}

export const FORMAT_WORDS = ['relative', 'string', 'hex', 'dec', 'oct', 'big', 'little', 'dce'];

/** A number, or the slot of a variable. */
export function valueOrVariable(draft: RuleDraft, option: OptionText, arg: Arg, min: number, max: number): { value: number; variable: number } {
  if (integerOf(arg.text) !== null) return { value: option.integer(arg, min, max), variable: -1 };
  return { value: 0, variable: draft.variable(option, arg) };
}

/** A 32-bit mask, decimal or hexadecimal. */
export function maskOf(option: OptionText, arg: Arg): number {
  const text = /^(?:0x)?[0-9a-f]+$/i.test(arg.text) ? (/^0x/i.test(arg.text) ? arg.text : `0x${arg.text}`) : '';
  const value = text === '' ? Number.NaN : Number(text);
  if (!(value > 0 && value <= 0xffff_ffff)) option.fail(arg, 'not a 32-bit mask', ['0x1..0xffffffff']);
  return value;
}
