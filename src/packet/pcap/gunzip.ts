/**
 * Streaming gunzip (RFC 1952) as a pull source over the house's one DEFLATE decoder. node:zlib offers either all at once or
 * asynchronously; replay pulls synchronously and must not hold a decompressed capture in memory.
 */
import { crc32 } from 'node:zlib';
import { INFLATE_END, INFLATE_ERROR, Inflate, le16, le32, type ByteSink } from '../../util/index.js';
import type { ByteSource } from './byte-source.js';

const INPUT = 64 * 1024;
/** Compressed bytes decoded at a time. DEFLATE expands at most about 1032 times, so no more than 4 MiB wait to be read. */
const PIECE = 4096;

const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;

export class GunzipSource implements ByteSource, ByteSink {
  readonly #source: ByteSource;
  readonly #in = new Uint8Array(INPUT);
  #inPos = 0;
  #inEnd = 0;
  #inflate = new Inflate(this);
  #out = new Uint8Array(INPUT);
  #outLen = 0;
  #taken = 0;
  #crc = 0;
  #done = false;
  #fault: unknown = null;

  /** @throws Error when `source` does not start with a gzip header */
  constructor(source: ByteSource) {
    this.#source = source;
    if (!this.#refill()) throw new Error('empty file');
    this.#readHeader();
  }

  /** @throws Error when the compressed data is damaged or breaks off; what was decoded before has been handed out then */
  read(target: Uint8Array, at: number, len: number): number {
    while (this.#taken === this.#outLen) {
      if (this.#fault !== null) throw this.#fault;
      if (this.#done) return 0;
      this.#outLen = 0;
      this.#taken = 0;
      try {
        this.#decode();
      } catch (error) {
        // What was decoded before the fault is handed out first.
        this.#fault = error;
      }
    }
    const count = Math.min(len, this.#outLen - this.#taken);
    target.set(this.#out.subarray(this.#taken, this.#taken + count), at);
    this.#taken += count;
    return count;
  }

  close(): void {
    this.#done = true;
    this.#taken = this.#outLen;
    this.#source.close();
  }

  /** ByteSink of the decoder. */
  write(buf: Uint8Array, off: number, len: number): boolean {
    if (this.#outLen + len > this.#out.length) {
      const larger = new Uint8Array(Math.max(this.#out.length * 2, this.#outLen + len));
      larger.set(this.#out.subarray(0, this.#outLen));
      this.#out = larger;
    }
    const chunk = buf.subarray(off, off + len);
    this.#out.set(chunk, this.#outLen);
    this.#outLen += len;
    this.#crc = crc32(chunk, this.#crc);
    return true;
  }

  #decode(): void {
    if (this.#inPos === this.#inEnd && !this.#refill()) throw new Error('compressed data is cut off');
    const end = Math.min(this.#inEnd, this.#inPos + PIECE);
    const answer = this.#inflate.push(this.#in, this.#inPos, end);
    this.#inPos += this.#inflate.consumed;
    if (answer === INFLATE_ERROR) throw new Error('corrupt deflate data');
    if (answer === INFLATE_END) this.#readTrailer();
  }

  #refill(): boolean {
    this.#inPos = 0;
    this.#inEnd = this.#source.read(this.#in, 0, INPUT);
    return this.#inEnd > 0;
  }

  #byte(): number {
    if (this.#inPos === this.#inEnd && !this.#refill()) throw new Error('compressed data is cut off');
    return this.#in[this.#inPos++]!;
  }

  #skipText(): void {
    while (this.#byte() !== 0);
  }

  /** RFC 1952 section 2.3. */
  #readHeader(): void {
    if (this.#byte() !== 0x1f || this.#byte() !== 0x8b) throw new Error('not gzip data');
    if (this.#byte() !== 8) throw new Error('unknown compression method');
    const flags = this.#byte();
    for (let i = 0; i < 6; i++) this.#byte(); // time, extra flags, operating system
    if ((flags & FEXTRA) !== 0) for (let left = this.#byte() | (this.#byte() << 8); left > 0; left--) this.#byte();
    if ((flags & FNAME) !== 0) this.#skipText();
    if ((flags & FCOMMENT) !== 0) this.#skipText();
    if ((flags & FHCRC) !== 0) for (let i = 0; i < 2; i++) this.#byte();
    this.#inflate = new Inflate(this);
    this.#crc = 0;
  }

  /** CRC and length, then perhaps another member (RFC 1952 section 2.2). */
  #readTrailer(): void {
    const trailer = new Uint8Array(8);
    for (let i = 0; i < 8; i++) trailer[i] = this.#byte();
    if (le32(trailer, 0) >>> 0 !== this.#crc) throw new Error('compressed data damaged: checksum differs');
    if (le32(trailer, 4) !== (this.#inflate.produced | 0)) throw new Error('compressed data damaged: length differs');
    // Zero padding behind the last member is common on tapes and harmless.
    if ((this.#inPos === this.#inEnd && !this.#refill()) || this.#in[this.#inPos] === 0) this.#done = true;
    else this.#readHeader();
  }
}

/** True when the two bytes at `at` are the gzip magic number. */
export function isGzip(buf: Uint8Array, at: number): boolean {
  return le16(buf, at) === 0x8b1f;
}
