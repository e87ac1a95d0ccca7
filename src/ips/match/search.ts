/** Finding a byte string in a byte range, exact or with ASCII letters folded. */
import { Literal } from '@drawbridge/native';

/** ASCII lower case by byte. */
export const LOWER = new Uint8Array(256);
for (let i = 0; i < 256; i++) LOWER[i] = i >= 0x41 && i <= 0x5a ? i + 0x20 : i;

/** Ranges shorter than this are searched without a skip table: building one would cost more. */
const TABLE_THRESHOLD = 96;

/** From here on the native search wins over its call: measured break-even is 200 to 500 bytes, by how often the skip table skips. */
const NATIVE_FROM = 320;

/** One needle. With `nocase` the bytes must already be lower case. Horspool's skip table is built on first need. */
export class Needle {
  #skip: Uint8Array | null = null;
  #native: Literal | null = null;

  constructor(
    readonly bytes: Uint8Array,
    readonly nocase: boolean,
  ) {}

  /** First index >= from with the needle wholly inside buf[from, end), or -1. */
  find(buf: Uint8Array, from: number, end: number): number {
    const m = this.bytes.length;
    if (end - from < m) return -1;
    if (end - from >= NATIVE_FROM) {
      const at = (this.#native ??= new Literal(this.bytes, this.nocase)).find(buf, from, end - from);
      return at < 0 ? -1 : from + at;
    }
    if (m < 3 || end - from < TABLE_THRESHOLD) return this.nocase ? this.#scanFolded(buf, from, end) : this.#scan(buf, from, end);
    return this.nocase ? this.#horspoolFolded(buf, from, end) : this.#horspool(buf, from, end);
  }

  #scan(buf: Uint8Array, from: number, end: number): number {
    const { bytes } = this;
    const m = bytes.length;
    const first = bytes[0]!;
    const last = end - m;
    for (let i = from; i <= last; i++) {
      if (buf[i] !== first) continue;
      let j = 1;
      while (j < m && buf[i + j] === bytes[j]) j++;
      if (j === m) return i;
    }
    return -1;
  }

  #scanFolded(buf: Uint8Array, from: number, end: number): number {
    const { bytes } = this;
    const m = bytes.length;
    const first = bytes[0]!;
    const last = end - m;
    for (let i = from; i <= last; i++) {
      if (LOWER[buf[i]!] !== first) continue;
      let j = 1;
      while (j < m && LOWER[buf[i + j]!] === bytes[j]) j++;
      if (j === m) return i;
    }
    return -1;
  }

  #horspool(buf: Uint8Array, from: number, end: number): number {
    const { bytes } = this;
    const skip = (this.#skip ??= skipTable(bytes));
    const tail = bytes.length - 1;
    const lastByte = bytes[tail]!;
    for (let i = from + tail; i < end; ) {
      const c = buf[i]!;
      if (c === lastByte) {
        const start = i - tail;
        let j = 0;
        while (j < tail && buf[start + j] === bytes[j]) j++;
        if (j === tail) return start;
      }
      i += skip[c]!;
    }
    return -1;
  }

  #horspoolFolded(buf: Uint8Array, from: number, end: number): number {
    const { bytes } = this;
    const skip = (this.#skip ??= skipTable(bytes));
    const tail = bytes.length - 1;
    const lastByte = bytes[tail]!;
    for (let i = from + tail; i < end; ) {
      const c = LOWER[buf[i]!]!;
      if (c === lastByte) {
        const start = i - tail;
        let j = 0;
        while (j < tail && LOWER[buf[start + j]!] === bytes[j]) j++;
        if (j === tail) return start;
      }
      i += skip[c]!;
    }
    return -1;
  }
}

/** Distance from the last occurrence of each byte (the final position excepted) to the needle's end, at most 255. */
function skipTable(bytes: Uint8Array): Uint8Array {
  const m = bytes.length;
  const table = new Uint8Array(256).fill(Math.min(m, 255));
  for (let i = Math.max(0, m - 256); i < m - 1; i++) table[bytes[i]!] = Math.min(m - 1 - i, 255);
  return table;
}
