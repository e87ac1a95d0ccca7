/** application/x-www-form-urlencoded: queries and form bodies. */
import type { EntryList } from '../engine/entry-list.js';
import { toScratch, type ByteString } from '../value.js';

/** What decoding one list found. */
export interface UrlencodedResult {
  /** A % was not followed by two hex digits. */
  readonly invalidEncoding: boolean;
  /** The limit was reached; the parameters after it were not taken. */
  readonly overLimit: boolean;
}

/**
 * Split `text` at the separator and add its parameters, decoded as ModSecurity does: `+` is a blank, invalid %XX stay as they
 * are, a parameter without `=` has an empty value, empty parameters between separators count.
 * @param limit parameters that `out` may hold at most
 */
export function parseUrlencoded(text: ByteString, separator: string, limit: number, out: EntryList): UrlencodedResult {
  let invalidEncoding = false;
  let pos = 0;
  while (pos < text.length) {
    if (out.size >= limit) return { invalidEncoding, overLimit: true };
    let end = text.indexOf(separator, pos);
    if (end < 0) end = text.length;
    let equals = text.indexOf('=', pos);
    if (equals < 0 || equals > end) equals = end;
    const name = urlDecode(text.slice(pos, equals));
    const value = equals < end ? urlDecode(text.slice(equals + 1, end)) : DECODED_EMPTY;
    invalidEncoding ||= name.invalid || value.invalid;
    out.add(name.text, value.text);
    pos = end + 1;
  }
  return { invalidEncoding, overLimit: false };
}

interface Decoded {
  readonly text: ByteString;
  readonly invalid: boolean;
}

const DECODED_EMPTY: Decoded = { text: '', invalid: false };

/** %XX and + decoded; `invalid` when some % was no encoding. */
export function urlDecode(text: ByteString): Decoded {
  const percent = text.indexOf('%');
  if (percent < 0) return { text: text.includes('+') ? text.replaceAll('+', ' ') : text, invalid: false };
  const length = text.length;
  const buf = toScratch(text);
  let invalid = false;
  let w = 0;
  for (let r = 0; r < length; r++) {
    const c = buf[r]!;
    if (c === 0x2b) buf[w++] = 0x20;
    else if (c === 0x25) {
      const high = r + 1 < length ? hexDigit(buf[r + 1]!) : -1;
      const low = r + 2 < length ? hexDigit(buf[r + 2]!) : -1;
      if (high >= 0 && low >= 0) {
        buf[w++] = (high << 4) | low;
        r += 2;
      } else {
        invalid = true;
        buf[w++] = c;
      }
    } else buf[w++] = c;
  }
  return { text: buf.toString('latin1', 0, w), invalid };
}

/** 0..15, -1 for no hex digit. */
export function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
