/**
 * Content codings of a body (RFC 9110 section 8.4), undone layer by layer while the body arrives. Servers lie about the
 * coding and browsers cope, so every layer looks at the data: a gzip or zlib header wins over what was announced, raw
 * DEFLATE is tried next, and data that decodes as nothing is passed on unchanged.
 */
import { copyRange, grow } from '../bytes.js';
import { INFLATE_END, INFLATE_ERROR, INFLATE_STOPPED, Inflate, type ByteSink } from '../../util/index.js';
import { Lzma } from './lzma.js';

export const Coding = { DEFLATE: 1, GZIP: 2, LZMA: 3 } as const;

export interface DecoderLimits {
  /** A layer that decoded more than this many bytes ... */
  readonly bombBytes: number;
  /** ... and more than this many times its input is a decompression bomb. */
  readonly bombRatio: number;
}

export const DEFAULT_DECODER_LIMITS: DecoderLimits = { bombBytes: 1048576, bombRatio: 2048 };

const Mode = { DETECT: 0, GZIP_HEADER: 1, INFLATE: 2, RAW: 3, DONE: 4, LZMA: 5, GZIP_TRAILER: 6 } as const;
/** Input kept until the first byte was decoded, in case it turns out not to be compressed. */
const HELD_MAX = 65536;
const GZIP_TRAILER_LEN = 8;

class Layer implements ByteSink {
  readonly #next: ByteSink;
  readonly #decoder: ContentDecoder;
  readonly #coding: number;
  #mode: number = Mode.DETECT;
  #inflate: Inflate | null = null;
  #lzma: Lzma | null = null;
  #held: Uint8Array = new Uint8Array(64);
  #heldLen = 0;
  #input = 0;
  #flags = 0;
  #field = 0; // position within the gzip header
  #extra = 0;
  /** Members of a gzip stream before this one. */
  #members = 0;

  constructor(coding: number, next: ByteSink, decoder: ContentDecoder) {
    this.#coding = coding;
    this.#next = next;
    this.#decoder = decoder;
  }

  write(buf: Uint8Array, off: number, len: number): boolean {
    if (this.#mode === Mode.RAW) return this.#next.write(buf, off, len);
    if (this.#mode === Mode.DONE) return true;
    this.#input += len;
    if (this.#members === 0 && (this.#inflate?.produced ?? this.#lzma?.produced ?? 0) === 0) {
      if (this.#heldLen + len > HELD_MAX) {
        // 64 KiB that decode to nothing: not worth believing
        return this.#giveUp(buf, off, len);
      }
      this.#held = grow(this.#held, this.#heldLen, this.#heldLen + len);
      copyRange(buf, off, len, this.#held, this.#heldLen);
      this.#heldLen += len;
    }
    let pos = off;
    const end = off + len;
    if (this.#mode === Mode.DETECT) {
      if (this.#coding === Coding.LZMA) {
        this.#mode = Mode.LZMA;
        this.#lzma = new Lzma(this.#next);
      } else {
        if (this.#heldLen < 2) return true;
        const b0 = this.#held[0]!;
        const b1 = this.#held[1]!;
        pos = end - this.#heldLen; // may lie before `off`: the first byte came alone
        if (b0 === 0x1f && b1 === 0x8b) {
          this.#mode = Mode.GZIP_HEADER;
          this.#field = 2;
          pos += 2;
        } else {
          this.#mode = Mode.INFLATE;
          this.#inflate = new Inflate(this.#next);
          if ((b0 & 15) === 8 && ((b0 << 8) | b1) % 31 === 0) pos += 2;
        }
        if (pos < off) {
          const first = this.#held.slice(0, 1);
          if (!this.#inflateRange(first, 0, 1)) return false;
          pos = off;
          if (this.#mode as number === Mode.RAW || this.#mode as number === Mode.DONE) return true;
        }
      }
    }
    return this.#decode(buf, pos, end);
  }

  /** Headers, data and trailers of however many members [pos, end) holds (RFC 1952 section 2.2). */
  #decode(buf: Uint8Array, from: number, end: number): boolean {
    let pos = from;
    while (pos < end) {
      if (this.#mode === Mode.GZIP_HEADER) this.#gzipHeader(buf[pos++]!);
      else if (this.#mode === Mode.GZIP_TRAILER) this.#gzipTrailer(buf[pos++]!);
      else if (this.#mode === Mode.DONE) return true;
      else {
        if (!this.#inflateRange(buf, pos, end)) return false;
        if (this.#mode as number !== Mode.GZIP_TRAILER) return true;
        pos += this.#inflate!.consumed;
      }
    }
    return true;
  }

  /** The body ended: what was held back and never decoded is handed on as it came. */
  finish(): void {
    if (this.#mode === Mode.RAW || this.#mode === Mode.DONE) return;
    this.#lzma?.finish();
    if (this.#members === 0 && (this.#inflate?.produced ?? this.#lzma?.produced ?? 0) === 0 && this.#heldLen > 0) {
      this.#next.write(this.#held, 0, this.#heldLen);
    }
    this.#mode = Mode.DONE;
  }

  #inflateRange(buf: Uint8Array, pos: number, end: number): boolean {
    const engine = this.#lzma ?? this.#inflate!;
    const result = engine.push(buf, pos, end);
    if (result === INFLATE_STOPPED) return false;
    if (engine.produced > this.#decoder.limits.bombBytes && engine.produced > this.#input * this.#decoder.limits.bombRatio) {
      this.#decoder.bomb = true;
      this.#mode = Mode.DONE;
      return false;
    }
    if (result === INFLATE_END) this.#endMember();
    if (result !== INFLATE_ERROR) return true;
    this.#decoder.failed = true;
    this.#mode = Mode.RAW;
    if (engine.produced === 0 && this.#members === 0) return this.#next.write(this.#held, 0, this.#heldLen);
    const used = pos + engine.consumed;
    return used < end ? this.#next.write(buf, used, end - used) : true;
  }

  #endMember(): void {
    this.#mode = this.#field === 0 ? Mode.DONE : Mode.GZIP_TRAILER;
    this.#field = 0;
    this.#members++;
  }

  /** CRC and length, which are not checked, then perhaps the magic of another member; anything else is padding. */
  #gzipTrailer(c: number): void {
    const at = this.#field++;
    if (at < GZIP_TRAILER_LEN) return;
    if (c !== (at === GZIP_TRAILER_LEN ? 0x1f : 0x8b)) this.#mode = Mode.DONE;
    else if (at > GZIP_TRAILER_LEN) {
      this.#mode = Mode.GZIP_HEADER;
      this.#field = 2;
      this.#extra = 0;
    }
  }

  #giveUp(buf: Uint8Array, off: number, len: number): boolean {
    this.#decoder.failed = true;
    this.#mode = Mode.RAW;
    return this.#next.write(this.#held, 0, this.#heldLen) && this.#next.write(buf, off, len);
  }

  /**
   * One byte of a gzip header (RFC 1952 section 2.3) after the magic. Reserved flags and the header CRC are not checked:
   * several clients do not either.
   */
  #gzipHeader(c: number): void {
    const at = this.#field;
    if (at < 10) {
      if (at === 3) this.#flags = c & 0x1e;
      this.#field = at + 1;
      if (this.#field < 10) return;
    } else if (this.#flags & 4) {
      // FEXTRA: two length bytes (fields 10, 11), then the data
      if (at === 10) {
        this.#extra = c;
        this.#field = 11;
      } else if (at === 11) {
        this.#extra |= c << 8;
        this.#field = 12;
      } else this.#extra--;
      if (this.#field === 12 && this.#extra === 0) this.#flags &= ~4;
    } else if (this.#flags & 8) {
      if (c === 0) this.#flags &= ~8;
    } else if (this.#flags & 16) {
      if (c === 0) this.#flags &= ~16;
    } else if (this.#flags & 2) {
      if (this.#extra++ === 1) this.#flags &= ~2;
    }
    if (this.#flags === 0) {
      this.#mode = Mode.INFLATE;
      this.#inflate = new Inflate(this.#next);
    }
  }
}

export class ContentDecoder {
  readonly limits: DecoderLimits;
  /** Some layer could not be decoded (gzip_decompression_failed). */
  failed = false;
  bomb = false;
  readonly #layers: Layer[] = [];
  readonly #first: ByteSink;

  /** @param codings Coding values in the order the server applied them (the last one is undone first) */
  constructor(codings: readonly number[], sink: ByteSink, limits: DecoderLimits = DEFAULT_DECODER_LIMITS) {
    this.limits = limits;
    let next = sink;
    for (const coding of codings) {
      const layer = new Layer(coding, next, this);
      this.#layers.push(layer);
      next = layer;
    }
    this.#first = next;
  }

  /** @returns false when no further bytes are wanted */
  write(buf: Uint8Array, off: number, len: number): boolean {
    return this.#first.write(buf, off, len);
  }

  finish(): void {
    for (let i = this.#layers.length - 1; i >= 0; i--) this.#layers[i]!.finish();
  }
}
