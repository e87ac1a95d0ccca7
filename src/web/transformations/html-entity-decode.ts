import { toScratch, type ByteString } from '../value.js';
import { hexAt } from './bytes.js';
import { transformation } from './transformation.js';

const NAMED: ReadonlyMap<string, number> = new Map([
  ['quot', 0x22],
  ['amp', 0x26],
  ['lt', 0x3c],
  ['gt', 0x3e],
  ['nbsp', 0xa0],
]);
const LONGEST_NAME = 4;
const SEMICOLON = 0x3b;

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39;
}

function isAlphanumeric(c: number): boolean {
  const lower = c | 0x20;
  return isDigit(c) || (lower >= 0x61 && lower <= 0x7a);
}

let decoded = 0;

/** Digits from `at`; their number's lower byte in `decoded`. A number too large for the C library counts as its largest. */
function number(buf: Uint8Array, at: number, end: number, radix: 10 | 16): number {
  let low = 0;
  let size = 0;
  let i = at;
  for (let digit = hexAt(buf, i, end); digit >= 0 && digit < radix; digit = hexAt(buf, i, end)) {
    low = (low * radix + digit) & 0xff;
    size = size * radix + digit;
    i++;
  }
  decoded = size >= LARGEST ? 0xff : low;
  return i;
}

const LARGEST = 2 ** 63;

/** The reference at buf[at], an ampersand. @returns where the text goes on behind it without its semicolon, `at` when it is none */
function decodeReference(buf: Buffer, at: number, end: number): number {
  if (buf[at + 1] === 0x23 && at + 1 < end) {
    const hex = at + 2 < end && (buf[at + 2]! | 0x20) === 0x78;
    const from = at + (hex ? 3 : 2);
    const to = number(buf, from, end, hex ? 16 : 10);
    return to > from ? to : at;
  }
  let to = at + 1;
  while (to < end && isAlphanumeric(buf[to]!)) to++;
  if (to - at - 1 > LONGEST_NAME || to - at - 1 < 2) return at;
  const byte = NAMED.get(buf.toString('latin1', at + 1, to).toLowerCase());
  if (byte === undefined) return at;
  decoded = byte;
  return to;
}

function decode(value: ByteString): ByteString {
  const first = value.indexOf('&');
  if (first < 0 || first === value.length - 1) return value;
  const end = value.length;
  const buf = toScratch(value);
  let out = first;
  for (let i = first; i < end; ) {
    const to = buf[i] === 0x26 ? decodeReference(buf, i, end) : i;
    if (to === i) {
      buf[out++] = buf[i++]!;
      continue;
    }
    buf[out++] = decoded;
    i = to < end && buf[to] === SEMICOLON ? to + 1 : to;
  }
  return out === end ? value : buf.toString('latin1', 0, out);
}

export const htmlEntityDecode = transformation({
  name: 'htmlEntityDecode',
  help: 'Character references of HTML: &#DDD; &#xHH; (lower byte), &quot; &amp; &lt; &gt; &nbsp;, with or without semicolon.',
  create: () => decode,
});
