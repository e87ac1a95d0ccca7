import { toScratch, type ByteString } from '../value.js';
import { hexByteAt, isOctal } from './bytes.js';
import { transformation } from './transformation.js';

/** Letters behind a backslash that stand for control characters. */
const CONTROL = new Int16Array(256).fill(-1);
'abtnvfr'.split('').forEach((letter, i) => {
  CONTROL[letter.charCodeAt(0)] = 7 + i;
});

/** Where the decoding of an escape continues; its byte is in `decoded`. */
let decoded = 0;

/** The escape at buf[at], which is a backslash with at least one byte behind it. */
function decodeEscape(buf: Uint8Array, at: number, end: number): number {
  const c = buf[at + 1]!;
  const hex = (c | 0x20) === 0x78 ? hexByteAt(buf, at + 2, end) : -1;
  if (hex >= 0) {
    decoded = hex;
    return at + 4;
  }
  if (!isOctal(c)) {
    decoded = CONTROL[c]! >= 0 ? CONTROL[c]! : c;
    return at + 2;
  }
  let number = 0;
  let i = at + 1;
  const last = Math.min(end, at + 4);
  for (; i < last && isOctal(buf[i]!); i++) number = number * 8 + buf[i]! - 0x30;
  decoded = number & 0xff;
  return i;
}

function decode(value: ByteString): ByteString {
  const first = value.indexOf('\\');
  if (first < 0 || first === value.length - 1) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = first;
  for (let i = first; i < end; ) {
    if (buf[i] !== 0x5c || i + 1 === end) {
      buf[out++] = buf[i++]!;
      continue;
    }
    i = decodeEscape(buf, i, end);
    buf[out++] = decoded;
  }
  return buf.toString('latin1', 0, out);
}

export const escapeSeqDecode = transformation({
  name: 'escapeSeqDecode',
  help: 'Escapes of C: \\n and the like, \\xHH, \\OOO; any other backslash is dropped.',
  create: () => decode,
});
