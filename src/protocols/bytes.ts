/** Byte-range helpers the parsers share: ASCII case folding, numbers in text, printing for the log. No allocation except in `printable`. */
export { copyRange } from '../util/index.js';

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HT = 9;
export const COLON = 58;

/** ASCII text as bytes, for constants made at load time. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/** Lower case of one ASCII byte, other bytes unchanged. */
export function lower(c: number): number {
  return c >= 65 && c <= 90 ? c | 32 : c;
}

/** True when buf[off, off+len) equals `word` (lower case) ignoring ASCII case. */
export function equalsNoCase(buf: Uint8Array, off: number, len: number, word: Uint8Array): boolean {
  if (len !== word.length) return false;
  for (let i = 0; i < len; i++) if (lower(buf[off + i]!) !== word[i]) return false;
  return true;
}

/** True when buf[off, end) starts with `word` (lower case) ignoring ASCII case. */
export function startsNoCase(buf: Uint8Array, off: number, end: number, word: Uint8Array): boolean {
  if (end - off < word.length) return false;
  for (let i = 0; i < word.length; i++) if (lower(buf[off + i]!) !== word[i]) return false;
  return true;
}

/**
 * Offset of `word` (lower case) in buf[off, end), ignoring ASCII case and NUL bytes inside the text, or -1. NULs are
 * skipped because clients do: `chu\0nked` still means chunked to some of them.
 */
export function findNoCase(buf: Uint8Array, off: number, end: number, word: Uint8Array): number {
  for (let i = off; i < end; i++) {
    let j = i;
    let k = 0;
    while (j < end && k < word.length) {
      const c = buf[j]!;
      if (c === 0 && k > 0) {
        j++;
        continue;
      }
      if (lower(c) !== word[k]) break;
      j++;
      k++;
    }
    if (k === word.length) return i;
  }
  return -1;
}

/** C's isspace: space, tab, LF, VT, FF, CR. */
export function isSpace(c: number): boolean {
  return c === 32 || (c >= 9 && c <= 13);
}

/** Value of a hexadecimal digit, or -1. */
export function hexValue(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const l = c | 32;
  return l >= 97 && l <= 102 ? l - 87 : -1;
}

/** The same bytes in an array of at least `need` bytes (doubling), keeping `used` bytes. */
export function grow(buf: Uint8Array, used: number, need: number): Uint8Array {
  if (need <= buf.length) return buf;
  let size = Math.max(64, buf.length);
  while (size < need) size *= 2;
  const next = new Uint8Array(size);
  next.set(buf.subarray(0, used));
  return next;
}

/** Text for the log: UTF-8 when it is valid, otherwise every byte outside printable ASCII as \xNN. */
export function printable(buf: Uint8Array, off: number, len: number): string {
  let plain = '';
  let i = off;
  const end = off + len;
  // short ASCII, which is nearly everything, is cheaper to put together than to wrap in a Buffer
  if (len <= 48) {
    while (i < end && buf[i]! < 128) plain += String.fromCharCode(buf[i++]!);
    if (i === end) return plain;
  }
  const view = Buffer.from(buf.buffer, buf.byteOffset + off, len);
  const text = view.toString('utf8');
  if (!text.includes('\ufffd')) return text;
  let out = '';
  for (i = off; i < end; i++) {
    const c = buf[i]!;
    out += c >= 32 && c < 127 ? String.fromCharCode(c) : `\\x${c.toString(16).padStart(2, '0').toUpperCase()}`;
  }
  return out;
}
