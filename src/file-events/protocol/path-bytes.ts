/**
 * Linux paths are bytes, most of them UTF-8. A byte that is no UTF-8 becomes the lone surrogate U+DC80 + (byte - 0x80), as
 * Python's "surrogateescape" does, so that every path survives the way to the appliance and back: a file whose name is not
 * text must still be removable.
 */

const ESCAPED = /[\udc80-\udcff]/;
const REPLACEMENT = '\ufffd';

export function pathFromBytes(buf: Buffer, from: number, end: number): string {
  const text = buf.toString('utf8', from, end);
  return text.includes(REPLACEMENT) ? escape(buf, from, end) : text;
}

/** Bytes of a path made by `pathFromBytes`, or of any text. */
export function pathToBytes(path: string): Buffer {
  if (!ESCAPED.test(path)) return Buffer.from(path, 'utf8');
  const parts: Buffer[] = [];
  for (const char of path) {
    const code = char.codePointAt(0)!;
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.of(code - 0xdc00) : Buffer.from(char, 'utf8'));
  }
  return Buffer.concat(parts);
}

function escape(buf: Buffer, from: number, end: number): string {
  let text = '';
  for (let at = from; at < end; ) {
    const n = sequenceLength(buf[at]!);
    const char = n > 0 && at + n <= end ? buf.toString('utf8', at, at + n) : '';
    // A well-formed sequence decodes to one code point that encodes to the same bytes again.
    if (char !== '' && char.length <= 2 && Buffer.from(char, 'utf8').equals(buf.subarray(at, at + n))) {
      text += char;
      at += n;
    } else {
      text += String.fromCharCode(0xdc00 + buf[at]!);
      at++;
    }
  }
  return text;
}

/** 0 for bytes that begin no sequence. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}
