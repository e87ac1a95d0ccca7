/** Byte classes that several transformations share, as tables over 0..255. */

/** Value of a hexadecimal digit, -1 for any other byte; NaN from beyond the end reads as undefined, so ask through hexAt. */
const HEX = new Int8Array(256).fill(-1);
for (let digit = 0; digit < 16; digit++) {
  const text = digit.toString(16);
  HEX[text.charCodeAt(0)] = digit;
  HEX[text.toUpperCase().charCodeAt(0)] = digit;
}

/** Digit value of buf[at], -1 when it is no hexadecimal digit or lies at or behind `end`. */
export function hexAt(buf: Uint8Array, at: number, end: number): number {
  return at < end ? HEX[buf[at]!]! : -1;
}

/** The byte that the digits at `at` and `at + 1` write, -1 when these are not two hexadecimal digits before `end`. */
export function hexByteAt(buf: Uint8Array, at: number, end: number): number {
  const high = hexAt(buf, at, end);
  const low = hexAt(buf, at + 1, end);
  return (high | low) < 0 ? -1 : (high << 4) | low;
}

/** isspace() of the C locale. */
export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** No-break space of Latin-1, white space to the transformations that remove white space. */
export const NBSP = 0xa0;

export function isOctal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x37;
}

/**
 * The low byte of a full-width form (U+FF01..U+FF5E) is 0x20 below the ASCII character that it looks like.
 * @param high the byte before the low one in the code point's digits
 */
export function foldFullWidth(high: number, low: number): number {
  return high === 0xff && low > 0 && low < 0x5f ? low + 0x20 : low;
}
