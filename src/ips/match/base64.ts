/** Base64 as `base64_decode` reads it: RFC 4648 alphabet, decoding ends at the first byte outside it. */

const VALUE = new Int8Array(256).fill(-1);
for (let i = 0; i < 64; i++) {
  VALUE['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'.charCodeAt(i)] = i;
}

/**
 * Decode buf[off, off+len) into `out`.
 * @returns bytes written; trailing groups of one character give none
 */
export function decodeBase64(buf: Uint8Array, off: number, len: number, out: Uint8Array): number {
  let written = 0;
  let bits = 0;
  let held = 0;
  for (let i = off; i < off + len && written < out.length; i++) {
    const value = VALUE[buf[i]!]!;
    if (value < 0) break;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[written++] = (held >>> bits) & 0xff;
    }
  }
  return written;
}
