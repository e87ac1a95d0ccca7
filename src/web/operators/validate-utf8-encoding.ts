import type { ByteString } from '../value.js';
import { operator } from './operator.js';

const NOT_ASCII = /[\x80-\xff]/;

/** Length of a well-formed sequence (RFC 3629, section 4) at `at`, whose first byte is not ASCII; 0 when there is none. */
function sequenceLength(value: ByteString, at: number): number {
  const first = value.charCodeAt(at);
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  const second = value.charCodeAt(at + 1);
  // overlong forms, surrogates, and what lies above U+10FFFF
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (!(second >= low && second <= high)) return 0;
  for (let i = at + 2; i < at + length; i++) if ((value.charCodeAt(i) & 0xc0) !== 0x80) return 0;
  return length;
}

function isBroken(value: ByteString): boolean {
  const first = value.search(NOT_ASCII);
  if (first < 0) return false;
  for (let i = first; i < value.length; ) {
    const length = value.charCodeAt(i) < 0x80 ? 1 : sequenceLength(value, i);
    if (length === 0) return true;
    i += length;
  }
  return false;
}

export const validateUtf8Encoding = operator({
  name: 'validateUtf8Encoding',
  argument: 'none',
  help: 'The value is not well-formed UTF-8 (RFC 3629).',
  compile: () => ({ match: isBroken, pure: true }),
});
