import { toScratch, type ByteString } from '../value.js';
import { foldFullWidth, hexAt, isSpace } from './bytes.js';
import { transformation } from './transformation.js';

/** Most hexadecimal digits of an escape (CSS Syntax, section 4.3.7). */
const MAX_DIGITS = 6;

function decode(value: ByteString): ByteString {
  const first = value.indexOf('\\');
  if (first < 0) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = first;
  for (let i = first; i < end; ) {
    if (buf[i] !== 0x5c) {
      buf[out++] = buf[i++]!;
      continue;
    }
    i++;
    // a backslash at the very end continues into nothing
    if (i === end) break;
    let number = 0;
    let digits = 0;
    for (let digit = hexAt(buf, i, end); digit >= 0 && digits < MAX_DIGITS; digit = hexAt(buf, i, end)) {
      number = (number << 4) | digit;
      digits++;
      i++;
    }
    if (digits > 0) {
      // the lower byte only, but full-width forms are what they look like
      buf[out++] = digits < 4 ? number & 0xff : foldFullWidth(number >> 8, number & 0xff);
      if (i < end && isSpace(buf[i]!)) i++;
    } else {
      // an escaped line feed is nothing, any other byte itself; NUL as if it were written \0, so with one blank behind it
      const c = buf[i++]!;
      if (c !== 0x0a) buf[out++] = c;
      if (c === 0 && i < end && isSpace(buf[i]!)) i++;
    }
  }
  return buf.toString('latin1', 0, out);
}

export const cssDecode = transformation({
  name: 'cssDecode',
  help: 'Escapes of CSS 2: one to six hexadecimal digits (their lower byte); any other backslash is dropped.',
  create: () => decode,
});
