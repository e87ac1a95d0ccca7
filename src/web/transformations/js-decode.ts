import { toScratch, type ByteString } from '../value.js';
import { foldFullWidth, hexByteAt, isOctal } from './bytes.js';
import { transformation } from './transformation.js';

/** Letters behind a backslash that stand for control characters. */
const CONTROL = new Int16Array(256).fill(-1);
'abtnvfr'.split('').forEach((letter, i) => {
  CONTROL[letter.charCodeAt(0)] = 7 + i;
});

let decoded = 0;

/** The escape at buf[at], which is a backslash with at least one byte behind it. @returns where the text goes on */
function decodeEscape(buf: Uint8Array, at: number, end: number): number {
  const c = buf[at + 1]!;
  if (c === 0x75) {
    const high = hexByteAt(buf, at + 2, end);
    const low = hexByteAt(buf, at + 4, end);
    if ((high | low) >= 0) {
      // the lower byte only
      decoded = foldFullWidth(high, low);
      return at + 6;
    }
  } else if (c === 0x78) {
    const byte = hexByteAt(buf, at + 2, end);
    if (byte >= 0) {
      decoded = byte;
      return at + 4;
    }
  } else if (isOctal(c)) {
    // three digits only when they make one byte
    const last = Math.min(end, at + (c > 0x33 ? 3 : 4));
    let number = 0;
    let i = at + 1;
    for (; i < last && isOctal(buf[i]!); i++) number = number * 8 + buf[i]! - 0x30;
    decoded = number;
    return i;
  }
  decoded = CONTROL[c]! >= 0 ? CONTROL[c]! : c;
  return at + 2;
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

export const jsDecode = transformation({
  name: 'jsDecode',
  help: 'Escapes of JavaScript: \\uHHHH (its lower byte), \\xHH, \\OOO, \\n and the like; any other backslash is dropped.',
  create: () => decode,
});
