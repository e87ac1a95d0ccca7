/** What `asn1` looks for: a walk over BER elements (X.690) that follows constructed ones and never leaves the buffer. */

/** Elements looked at (Suricata: asn1-max-frames). */
const MAX_ELEMENTS = 256;
const MAX_DEPTH = 32;
/** X.690 section 8.5.6: bits 8 and 7 of the first byte are 0 in the decimal encoding of a REAL, which needs no more bytes. */
const MAX_DECIMAL_REAL = 256;
const TAG_BITSTRING = 3;
const TAG_REAL = 9;

export interface Asn1Test {
  readonly bitstringOverflow: boolean;
  readonly doubleOverflow: boolean;
  /** -1 = not asked. */
  readonly oversize: number;
}

let elements = 0;

/** Is one of the elements from `pos` on what the test asks for? */
export function findsBadElement(buf: Uint8Array, pos: number, end: number, test: Asn1Test): boolean {
  elements = 0;
  return walk(buf, pos, end, test, 0);
}

function walk(buf: Uint8Array, pos: number, end: number, test: Asn1Test, depth: number): boolean {
  let at = pos;
  while (at + 2 <= end && ++elements <= MAX_ELEMENTS) {
    const identifier = buf[at++]!;
    let tag = identifier & 0x1f;
    if (tag === 0x1f) {
      tag = 0;
      let byte = 0x80;
      for (let i = 0; i < 4 && at < end && byte >= 0x80; i++) {
        byte = buf[at++]!;
        tag = (tag << 7) | (byte & 0x7f);
      }
      if (byte >= 0x80) return false;
    }
    if (at >= end) return false;
    let length = buf[at++]!;
    let open = false;
    if (length === 0x80) open = true;
    else if (length > 0x80) {
      const bytes = length & 0x7f;
      if (bytes > 4 || at + bytes > end) return false;
      length = 0;
      for (let i = 0; i < bytes; i++) length = length * 256 + buf[at++]!;
    }
    const universal = identifier < 0x40;
    const constructed = (identifier & 0x20) !== 0;
    if (!open) {
      if (test.oversize >= 0 && length > test.oversize) return true;
      if (universal && !constructed && length > 0 && at < end) {
        const first = buf[at]!;
        if (test.bitstringOverflow && tag === TAG_BITSTRING && (length - 1) * 8 < first) return true;
        if (test.doubleOverflow && tag === TAG_REAL && (first & 0xc0) === 0 && length - 1 > MAX_DECIMAL_REAL) return true;
      }
    }
    const stop = open ? end : Math.min(end, at + length);
    if (constructed && depth < MAX_DEPTH && walk(buf, at, stop, test, depth + 1)) return true;
    at = stop;
  }
  return false;
}
