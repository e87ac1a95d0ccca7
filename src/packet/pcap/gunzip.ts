/**
 * Streaming gunzip (RFC 1952) with inflate (RFC 1951) as a pull source. node:zlib offers either all at once or
 * asynchronously; replay pulls synchronously and must not hold a decompressed capture in memory.
 * State is 64 KiB of output window, an input buffer and three code tables.
 */
import { crc32 } from 'node:zlib';
import { le16, le32 } from '../../util/index.js';
import type { ByteSource } from './byte-source.js';

const INPUT = 64 * 1024;
/** Twice the distance limit, so that half of it can be handed out while the other half serves as history. */
const WINDOW = 64 * 1024;
const WINDOW_MASK = WINDOW - 1;
/** Longest match: a step of the decoder never writes more. */
const MAX_MATCH = 258;
const MAX_CODE_BITS = 15;

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/** Order in which code length codes are transmitted (RFC 1951 section 3.2.7). */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Prefix code as a direct table: the next 15 bits of input index symbol << 4 | length. */
class CodeTable {
  readonly table = new Uint16Array(1 << MAX_CODE_BITS);

  /** @throws Error when the lengths describe no prefix code */
  build(lengths: Uint8Array, count: number): void {
    const perLength = new Uint16Array(MAX_CODE_BITS + 1);
    for (let i = 0; i < count; i++) perLength[lengths[i]!]!++;
    perLength[0] = 0;
    const nextCode = new Uint16Array(MAX_CODE_BITS + 2);
    let code = 0;
    for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
      code = (code + perLength[bits - 1]!) << 1;
      if (code + perLength[bits]! > 1 << bits) throw new Error('corrupt deflate data: oversubscribed code');
      nextCode[bits] = code;
    }
    // Unused entries stay 0 (length 0), which the decoder takes as an invalid code.
    this.table.fill(0);
    for (let symbol = 0; symbol < count; symbol++) {
      const length = lengths[symbol]!;
      if (length === 0) continue;
      const entry = (symbol << 4) | length;
      const step = 1 << length;
      for (let at = reverse(nextCode[length]!++, length); at < this.table.length; at += step) this.table[at] = entry;
    }
  }
}

function reverse(code: number, length: number): number {
  let out = 0;
  for (let i = 0; i < length; i++) out |= ((code >>> i) & 1) << (length - 1 - i);
  return out;
}

const BLOCK_HEADER = 0;
const STORED = 1;
const COMPRESSED = 2;
const TRAILER = 3;
const DONE = 4;

export class GunzipSource implements ByteSource {
  readonly #in = new Uint8Array(INPUT);
  #inPos = 0;
  #inEnd = 0;
  #bits = 0;
  #bitCount = 0;
  readonly #out = new Uint8Array(WINDOW);
  /** Bytes decoded and bytes handed out since the member began (positions in #out modulo WINDOW). */
  #written = 0;
  #taken = 0;
  #crc = 0;
  #state = BLOCK_HEADER;
  #lastBlock = false;
  #storedLeft = 0;
  readonly #literals = new CodeTable();
  readonly #distances = new CodeTable();
  readonly #codeLengths = new CodeTable();
  readonly #lengths = new Uint8Array(320);

  /** @throws Error when `source` does not start with a gzip header */
  constructor(private readonly source: ByteSource) {
    if (!this.#refill()) throw new Error('empty file');
    this.#readHeader();
  }

  read(target: Uint8Array, at: number, len: number): number {
    while (this.#written === this.#taken) {
      if (this.#state === DONE) return 0;
      this.#step();
    }
    const from = this.#taken & WINDOW_MASK;
    const count = Math.min(len, this.#written - this.#taken, WINDOW - from);
    const chunk = this.#out.subarray(from, from + count);
    target.set(chunk, at);
    this.#crc = crc32(chunk, this.#crc);
    this.#taken += count;
    return count;
  }

  close(): void {
    this.#state = DONE;
    this.#taken = this.#written;
    this.source.close();
  }

  /** Decode until half a window is ready, the block ends, or the member does. */
  #step(): void {
    switch (this.#state) {
      case BLOCK_HEADER:
        this.#readBlockHeader();
        break;
      case STORED:
        this.#copyStored();
        break;
      case COMPRESSED:
        this.#inflate();
        break;
      case TRAILER:
        this.#readTrailer();
        break;
      default:
        break;
    }
  }

  #refill(): boolean {
    this.#inPos = 0;
    this.#inEnd = this.source.read(this.#in, 0, INPUT);
    return this.#inEnd > 0;
  }

  #byte(): number {
    if (this.#inPos === this.#inEnd && !this.#refill()) throw new Error('compressed data cut off');
    return this.#in[this.#inPos++]!;
  }

  /** `count` bits (at most 16), least significant first. */
  #take(count: number): number {
    while (this.#bitCount < count) {
      this.#bits |= this.#byte() << this.#bitCount;
      this.#bitCount += 8;
    }
    const value = this.#bits & ((1 << count) - 1);
    this.#bits >>>= count;
    this.#bitCount -= count;
    return value;
  }

  /** Next symbol of a code. Near the end of the input fewer than 15 bits may be left, so bits are fetched as needed. */
  #symbol(code: CodeTable): number {
    for (;;) {
      const entry = code.table[this.#bits & 0x7fff]!;
      const length = entry & 15;
      if (length !== 0 && length <= this.#bitCount) {
        this.#bits >>>= length;
        this.#bitCount -= length;
        return entry >>> 4;
      }
      if (this.#bitCount >= MAX_CODE_BITS) throw new Error('corrupt deflate data: invalid code');
      this.#bits |= this.#byte() << this.#bitCount;
      this.#bitCount += 8;
    }
  }

  #readHeader(): void {
    if (this.#byte() !== 0x1f || this.#byte() !== 0x8b) throw new Error('not a gzip file');
    if (this.#byte() !== 8) throw new Error('gzip member with an unknown compression method');
    const flags = this.#byte();
    for (let i = 0; i < 6; i++) this.#byte();
    if ((flags & 4) !== 0) for (let left = this.#byte() | (this.#byte() << 8); left > 0; left--) this.#byte();
    if ((flags & 8) !== 0) while (this.#byte() !== 0);
    if ((flags & 16) !== 0) while (this.#byte() !== 0);
    if ((flags & 2) !== 0) for (let i = 0; i < 2; i++) this.#byte();
    this.#written = 0;
    this.#taken = 0;
    this.#crc = 0;
    this.#lastBlock = false;
    this.#state = BLOCK_HEADER;
  }

  #readBlockHeader(): void {
    if (this.#lastBlock) {
      this.#state = TRAILER;
      return;
    }
    this.#lastBlock = this.#take(1) === 1;
    switch (this.#take(2)) {
      case 0: {
        this.#alignToByte();
        const len = this.#take(16);
        if ((this.#take(16) ^ len) !== 0xffff) throw new Error('corrupt deflate data: stored block length');
        this.#storedLeft = len;
        this.#state = STORED;
        break;
      }
      case 1:
        this.#lengths.fill(8, 0, 144);
        this.#lengths.fill(9, 144, 256);
        this.#lengths.fill(7, 256, 280);
        this.#lengths.fill(8, 280, 288);
        this.#literals.build(this.#lengths, 288);
        this.#lengths.fill(5, 0, 30);
        this.#distances.build(this.#lengths, 30);
        this.#state = COMPRESSED;
        break;
      case 2:
        this.#readCodes();
        this.#state = COMPRESSED;
        break;
      default:
        throw new Error('corrupt deflate data: block type');
    }
  }

  #alignToByte(): void {
    const odd = this.#bitCount & 7;
    this.#bits >>>= odd;
    this.#bitCount -= odd;
  }

  /** Dynamic block: the code lengths, themselves coded (RFC 1951 section 3.2.7). */
  #readCodes(): void {
    const literals = this.#take(5) + 257;
    const distances = this.#take(5) + 1;
    const count = this.#take(4) + 4;
    if (literals > 286) throw new Error('corrupt deflate data: too many length codes');
    const lengths = this.#lengths;
    lengths.fill(0);
    for (let i = 0; i < count; i++) lengths[CODE_LENGTH_ORDER[i]!] = this.#take(3);
    this.#codeLengths.build(lengths, 19);
    const total = literals + distances;
    lengths.fill(0);
    for (let i = 0; i < total; ) {
      const symbol = this.#symbol(this.#codeLengths);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw new Error('corrupt deflate data: repeat without a length');
      const value = symbol === 16 ? lengths[i - 1]! : 0;
      const repeat = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
      if (i + repeat > total) throw new Error('corrupt deflate data: too many lengths');
      lengths.fill(value, i, i + repeat);
      i += repeat;
    }
    this.#distances.build(lengths.slice(literals, total), distances);
    this.#literals.build(lengths, literals);
  }

  #copyStored(): void {
    // Bits already fetched belong to the stored bytes.
    let room = Math.min(this.#storedLeft, WINDOW / 2);
    this.#storedLeft -= room;
    for (; room > 0 && this.#bitCount > 0; room--) this.#put(this.#take(8));
    for (; room > 0; room--) this.#put(this.#byte());
    if (this.#storedLeft === 0) this.#state = BLOCK_HEADER;
  }

  #put(byte: number): void {
    this.#out[this.#written++ & WINDOW_MASK] = byte;
  }

  #inflate(): void {
    const out = this.#out;
    // Called only when everything was handed out, so half a window may be written over the older half.
    const limit = this.#written + WINDOW / 2 - MAX_MATCH;
    while (this.#written < limit) {
      const symbol = this.#symbol(this.#literals);
      if (symbol < 256) {
        out[this.#written++ & WINDOW_MASK] = symbol;
        continue;
      }
      if (symbol === 256) {
        this.#state = BLOCK_HEADER;
        return;
      }
      if (symbol > 285) throw new Error('corrupt deflate data: length symbol');
      let left = LENGTH_BASE[symbol - 257]! + this.#take(LENGTH_EXTRA[symbol - 257]!);
      const code = this.#symbol(this.#distances);
      if (code > 29) throw new Error('corrupt deflate data: distance symbol');
      const distance = DISTANCE_BASE[code]! + this.#take(DISTANCE_EXTRA[code]!);
      if (distance > this.#written) throw new Error('corrupt deflate data: distance before the start');
      for (let from = this.#written - distance; left > 0; left--) out[this.#written++ & WINDOW_MASK] = out[from++ & WINDOW_MASK]!;
    }
  }

  /** CRC and length, then perhaps another member (RFC 1952 section 2.2). */
  #readTrailer(): void {
    this.#alignToByte();
    const trailer = new Uint8Array(8);
    for (let i = 0; i < 8; i++) trailer[i] = this.#bitCount > 0 ? this.#take(8) : this.#byte();
    if (le32(trailer, 0) >>> 0 !== this.#crc) throw new Error('compressed data damaged: checksum differs');
    if (le32(trailer, 4) !== (this.#written | 0)) throw new Error('compressed data damaged: length differs');
    if (this.#inPos === this.#inEnd && !this.#refill()) {
      this.#state = DONE;
      return;
    }
    // Zero padding behind the last member is common on tapes and harmless.
    if (this.#in[this.#inPos] === 0) this.#state = DONE;
    else this.#readHeader();
  }
}

/** True when the two bytes at `at` are the gzip magic number. */
export function isGzip(buf: Uint8Array, at: number): boolean {
  return le16(buf, at) === 0x8b1f;
}
