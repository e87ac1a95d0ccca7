/** Reading of operator arguments and of numbers in values. */
import type { ByteString } from '../value.js';
import type { PrefilterHint } from './operator.js';

const INTEGER = /^[\t-\r ]*([+-]?\d+)/;
const MAX_INT = 0x7fffffff;

/** Like atoi(): the number at the beginning, 0 when there is none; clamped to 32 bits. */
export function leadingInteger(text: ByteString): number {
  const first = text.charCodeAt(0);
  // most values are short numbers or words
  if (!(first <= 0x39)) return 0;
  const digits = INTEGER.exec(text);
  return digits === null ? 0 : Math.max(-MAX_INT - 1, Math.min(MAX_INT, Number(digits[1])));
}

/** The hint of an operator that needs its whole argument to occur in the value. */
export function wordHint(argument: ByteString): { readonly hint?: PrefilterHint } {
  return argument === '' ? {} : { hint: { kind: 'words', words: [argument] } };
}

/** Lines of a data file without comments ('#' at their beginning), surrounding white space and empty ones. */
export function dataLines(file: Uint8Array): ByteString[] {
  return Buffer.from(file.buffer, file.byteOffset, file.byteLength)
    .toString('latin1')
    .split('\n')
    .map((line) => line.replace(/^[\t-\r ]+|[\t-\r ]+$/g, ''))
    .filter((line) => line !== '' && !line.startsWith('#'));
}
