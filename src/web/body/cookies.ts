/** The Cookie field, split as ModSecurity does: no decoding. */
import type { EntryList } from '../engine/entry-list.js';
import type { ByteString } from '../value.js';

/** Netscape cookies (SecCookieFormat 0): name=value pairs between separators; a pair without `=` has an empty value. */
export function parseCookies(field: ByteString, separator: string, limit: number, out: EntryList): void {
  let pos = 0;
  while (pos < field.length && out.size < limit) {
    let end = field.indexOf(separator, pos);
    if (end < 0) end = field.length;
    addPair(field, pos, end, out);
    pos = end + 1;
  }
}

/** RFC 2109 cookies (SecCookieFormat 1): values may be quoted, comma and semicolon separate, `$` attributes belong to a cookie. */
export function parseCookiesV1(field: ByteString, limit: number, out: EntryList): void {
  let pos = 0;
  while (pos < field.length && out.size < limit) {
    let end = pos;
    let quoted = false;
    while (end < field.length) {
      const c = field[end]!;
      if (c === '"') quoted = !quoted;
      else if (c === '\\' && quoted) end++;
      else if (!quoted && (c === ';' || c === ',')) break;
      end++;
    }
    end = Math.min(end, field.length);
    addPair(field, pos, end, out, true);
    pos = end + 1;
  }
}

function addPair(field: ByteString, start: number, end: number, out: EntryList, unquote = false): void {
  while (start < end && isSpace(field.charCodeAt(start))) start++;
  if (start === end) return;
  let equals = field.indexOf('=', start);
  if (equals < 0 || equals > end) equals = end;
  let value = equals < end ? field.slice(equals + 1, end) : '';
  if (unquote && value.length >= 2 && value.startsWith('"') && value.endsWith('"')) value = value.slice(1, -1).replace(/\\([\s\S])/g, '$1');
  out.add(field.slice(start, equals), value);
}

function isSpace(c: number): boolean {
  return c === 0x20 || (c >= 0x09 && c <= 0x0d);
}
