import type { ByteString } from '../value.js';
import { transformation } from './transformation.js';

const NOT_ASCII = /[\x80-\xff]/;

/** Bits that the first byte of a sequence of this length contributes. */
const FIRST_BITS = [0, 0, 0x1f, 0x0f, 0x07] as const;
/** Code points below it would fit in a shorter sequence of this length. */
const LOWEST = [0, 0, 0x80, 0x800, 0x10000] as const;

/** Bytes of the sequence that `first` announces, 0 when it announces none (RFC 3629, section 3). */
function announced(first: number): 0 | 2 | 3 | 4 {
  if ((first & 0xe0) === 0xc0) return 2;
  if ((first & 0xf0) === 0xe0) return 3;
  return (first & 0xf8) === 0xf0 && first < 0xf5 ? 4 : 0;
}

/** The code point of a sequence at `at`, -1 when its continuation bytes are missing. */
function codePoint(value: ByteString, at: number, length: 2 | 3 | 4): number {
  let point = value.charCodeAt(at) & FIRST_BITS[length];
  for (let i = at + 1; i < at + length; i++) {
    const c = value.charCodeAt(i);
    if ((c & 0xc0) !== 0x80) return -1;
    point = (point << 6) | (c & 0x3f);
  }
  return point;
}

function encode(value: ByteString): ByteString {
  const first = value.search(NOT_ASCII);
  if (first < 0) return value;
  let out = '';
  let from = 0;
  for (let i = first; i < value.length; ) {
    const c = value.charCodeAt(i);
    const length = c < 0x80 ? 0 : announced(c);
    if (length === 0) {
      i++;
      continue;
    }
    out += value.slice(from, i);
    const point = codePoint(value, i, length);
    if (point < 0) {
      // a broken sequence loses its first byte, as ModSecurity has it
      i++;
    } else {
      out += `%u${point.toString(16).padStart(4, '0')}`;
      // surrogates and overlong forms are decoded all the same, and show by their first byte
      if ((point >= 0xd800 && point <= 0xdfff) || point < LOWEST[length]) out += value[i]!;
      i += length;
    }
    from = i;
  }
  return out + value.slice(from);
}

export const utf8toUnicode = transformation({
  name: 'utf8toUnicode',
  help: 'UTF-8 sequences to %uHHHH, which urlDecodeUni reads.',
  create: () => encode,
});
