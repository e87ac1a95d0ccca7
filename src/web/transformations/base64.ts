/** Decoding of Base64 as both transformations need it: how far a text goes and what its digits mean. */
import { toScratch, type ByteString } from '../value.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const DIGITS = new Int8Array(256).fill(-1);
for (let i = 0; i < ALPHABET.length; i++) DIGITS[ALPHABET.charCodeAt(i)] = i;

/**
 * @param forgiving pass over bytes outside the alphabet; otherwise the first of them ends the text
 * @returns the bytes; incomplete last groups give as many as their digits hold
 */
export function decodeBase64(value: ByteString, forgiving: boolean): ByteString {
  const buf = toScratch(value);
  let out = 0;
  let bits = 0;
  let held = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = DIGITS[buf[i]!]!;
    if (digit < 0) {
      if (forgiving) continue;
      break;
    }
    bits = ((bits << 6) | digit) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      buf[out++] = (bits >> held) & 0xff;
    }
  }
  return buf.toString('latin1', 0, out);
}
