/**
 * Incremental LZMA decoder for the "lzma alone" format (13-byte header, range coder, LZ77), which some servers and malware
 * use as a content coding. The dictionary is bounded; distances beyond it end decoding.
 * Source: the LZMA specification published with the LZMA SDK.
 */
import { INFLATE_END, INFLATE_ERROR, INFLATE_MORE, INFLATE_STOPPED, type ByteSink } from '../../util/index.js';

/** Largest dictionary that is kept, whatever the header asks for. */
const DICT_MAX = 1 << 20;
/** The longest symbol needs fewer than this many input bytes; less input is held until more arrives. */
const SYMBOL_INPUT = 20;
const PROB_INIT = 1024;
const TOP = 0x1000000;

const IS_MATCH = 0;
const IS_REP = IS_MATCH + 192;
const IS_REP_G0 = IS_REP + 12;
const IS_REP_G1 = IS_REP_G0 + 12;
const IS_REP_G2 = IS_REP_G1 + 12;
const IS_REP0_LONG = IS_REP_G2 + 12;
const DIST_SLOT = IS_REP0_LONG + 192;
const DIST_SPECIAL = DIST_SLOT + 256;
const ALIGN = DIST_SPECIAL + 115;
const LEN_CODER = ALIGN + 16;
const LEN_SIZE = 2 + 128 + 128 + 256;
const REP_LEN_CODER = LEN_CODER + LEN_SIZE;
const LITERAL = REP_LEN_CODER + LEN_SIZE;

export class Lzma {
  produced = 0;
  consumed = 0;
  readonly #sink: ByteSink;
  #probs = new Uint16Array(0);
  #dict = new Uint8Array(0);
  #head = 0;
  #tail = 0;
  #lc = 0;
  #lp = 0;
  #pb = 0;
  #range = -1 >>> 0;
  #code = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  #limit = -1; // uncompressed size, -1 = until the end marker
  readonly #pending = new Uint8Array(64);
  #pendingLen = 0;
  #started = false;
  #result = INFLATE_MORE as number;
  #src: Uint8Array = this.#pending;
  #pos = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Decode src[off, end). @returns INFLATE_* */
  push(src: Uint8Array, off: number, end: number): number {
    this.consumed = end - off;
    let pos = off;
    while (pos < end && this.#result === INFLATE_MORE) {
      if (this.#pendingLen > 0 || !this.#started || end - pos < SYMBOL_INPUT) {
        // too little for the header or for one symbol: collect
        while (pos < end && this.#pendingLen < this.#pending.length) this.#pending[this.#pendingLen++] = src[pos++]!;
        const used = this.#decode(this.#pending, this.#pendingLen);
        this.#pending.copyWithin(0, used, this.#pendingLen);
        this.#pendingLen -= used;
        if (used === 0 && pos < end && this.#pendingLen === this.#pending.length) this.#result = INFLATE_ERROR;
        continue;
      }
      this.#src = src;
      this.#pos = pos;
      this.#symbols(end - SYMBOL_INPUT);
      pos = this.#pos;
    }
    this.#flush();
    return this.#result;
  }

  #decode(buf: Uint8Array, len: number): number {
    this.#pos = 0;
    this.#src = buf;
    if (!this.#started) {
      if (len < 18) return 0;
      this.#start();
      if (this.#result !== INFLATE_MORE) return this.#pos;
    }
    this.#symbols(len - SYMBOL_INPUT);
    // the stream may end with less than a full symbol's worth of input behind it
    if (this.#result === INFLATE_MORE && this.#limit >= 0 && this.produced >= this.#limit) this.#result = INFLATE_END;
    return this.#pos;
  }

  /** The body ended: decode what is left as far as it goes. */
  finish(): void {
    if (this.#result !== INFLATE_MORE || !this.#started) return;
    this.#pos = 0;
    this.#src = this.#pending;
    this.#pending.fill(0, this.#pendingLen);
    this.#symbols(this.#pendingLen - 1);
    this.#flush();
  }

  #start(): void {
    const b = this.#src;
    let d = b[0]!;
    if (d >= 225) {
      this.#result = INFLATE_ERROR;
      return;
    }
    this.#lc = d % 9;
    d = (d / 9) | 0;
    this.#lp = d % 5;
    this.#pb = (d / 5) | 0;
    const wanted = b[1]! + b[2]! * 256 + b[3]! * 65536 + b[4]! * 16777216;
    let size = 4096;
    while (size < wanted && size < DICT_MAX) size *= 2;
    this.#dict = new Uint8Array(size);
    let unknown = true;
    let total = 0;
    for (let i = 12; i >= 5; i--) {
      if (b[i] !== 255) unknown = false;
      total = total * 256 + b[i]!;
    }
    this.#limit = unknown ? -1 : total;
    this.#probs = new Uint16Array(LITERAL + (0x300 << (this.#lc + this.#lp))).fill(PROB_INIT);
    // byte 13 is 0; then four bytes of code
    this.#code = ((b[14]! << 24) | (b[15]! << 16) | (b[16]! << 8) | b[17]!) >>> 0;
    this.#pos = 18;
    this.#started = true;
  }

  #symbols(lastStart: number): void {
    while (this.#pos <= lastStart && this.#result === INFLATE_MORE) {
      if (this.#limit >= 0 && this.produced >= this.#limit) {
        this.#result = INFLATE_END;
        return;
      }
      this.#symbol();
    }
  }

  #bit(index: number): number {
    const p = this.#probs[index]!;
    const bound = (this.#range >>> 11) * p;
    let bit: number;
    if (this.#code < bound) {
      this.#range = bound;
      this.#probs[index] = p + ((2048 - p) >> 5);
      bit = 0;
    } else {
      this.#range = (this.#range - bound) >>> 0;
      this.#code = (this.#code - bound) >>> 0;
      this.#probs[index] = p - (p >> 5);
      bit = 1;
    }
    this.#normalise();
    return bit;
  }

  #normalise(): void {
    if (this.#range < TOP) {
      this.#range = (this.#range << 8) >>> 0;
      this.#code = ((this.#code << 8) | this.#src[this.#pos++]!) >>> 0;
    }
  }

  #direct(n: number): number {
    let result = 0;
    for (; n > 0; n--) {
      this.#range = this.#range >>> 1;
      let bit = 0;
      if (this.#code >= this.#range) {
        this.#code = (this.#code - this.#range) >>> 0;
        bit = 1;
      }
      this.#normalise();
      result = (result << 1) | bit;
    }
    return result >>> 0;
  }

  #tree(base: number, bits: number): number {
    let m = 1;
    for (let i = 0; i < bits; i++) m = (m << 1) | this.#bit(base + m);
    return m - (1 << bits);
  }

  #reverse(base: number, bits: number): number {
    let m = 1;
    let result = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(base + m);
      m = (m << 1) | bit;
      result |= bit << i;
    }
    return result;
  }

  #length(base: number, posState: number): number {
    if (this.#bit(base) === 0) return this.#tree(base + 2 + (posState << 3), 3);
    if (this.#bit(base + 1) === 0) return 8 + this.#tree(base + 130 + (posState << 3), 3);
    return 16 + this.#tree(base + 258, 8);
  }

  #symbol(): void {
    const posState = this.produced & ((1 << this.#pb) - 1);
    const state = this.#state;
    if (this.#bit(IS_MATCH + (state << 4) + posState) === 0) {
      this.#literal();
      return;
    }
    let len: number;
    if (this.#bit(IS_REP + state) !== 0) {
      if (this.produced === 0) {
        this.#result = INFLATE_ERROR;
        return;
      }
      if (this.#bit(IS_REP_G0 + state) === 0) {
        if (this.#bit(IS_REP0_LONG + (state << 4) + posState) === 0) {
          this.#state = state < 7 ? 9 : 11;
          this.#copy(this.#rep0, 1);
          return;
        }
      } else {
        let distance: number;
        if (this.#bit(IS_REP_G1 + state) === 0) distance = this.#rep1;
        else {
          if (this.#bit(IS_REP_G2 + state) === 0) distance = this.#rep2;
          else {
            distance = this.#rep3;
            this.#rep3 = this.#rep2;
          }
          this.#rep2 = this.#rep1;
        }
        this.#rep1 = this.#rep0;
        this.#rep0 = distance;
      }
      len = this.#length(REP_LEN_CODER, posState);
      this.#state = state < 7 ? 8 : 11;
    } else {
      this.#rep3 = this.#rep2;
      this.#rep2 = this.#rep1;
      this.#rep1 = this.#rep0;
      len = this.#length(LEN_CODER, posState);
      this.#state = state < 7 ? 7 : 10;
      this.#rep0 = this.#readDistance(len);
      if (this.#rep0 === 0xffffffff) {
        this.#result = INFLATE_END;
        return;
      }
    }
    this.#copy(this.#rep0, len + 2);
  }

  #readDistance(len: number): number {
    const slot = this.#tree(DIST_SLOT + (Math.min(len, 3) << 6), 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const base = ((2 | (slot & 1)) << bits) >>> 0;
    if (slot < 14) return base + this.#reverse(DIST_SPECIAL + base - slot, bits);
    return (base + this.#direct(bits - 4) * 16 + this.#reverse(ALIGN, 4)) >>> 0;
  }

  #literal(): void {
    const mask = this.#dict.length - 1;
    const previous = this.produced === 0 ? 0 : this.#dict[(this.#head - 1) & mask]!;
    const base = LITERAL + 0x300 * (((this.produced & ((1 << this.#lp) - 1)) << this.#lc) + (previous >> (8 - this.#lc)));
    let symbol = 1;
    if (this.#state >= 7) {
      let match = this.#dict[(this.#head - this.#rep0 - 1) & mask]!;
      do {
        const matchBit = (match >> 7) & 1;
        match <<= 1;
        const bit = this.#bit(base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (matchBit !== bit) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(base + symbol);
    this.#put(symbol & 255);
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #copy(distance: number, len: number): void {
    if (distance >= this.produced || distance >= this.#dict.length) {
      this.#result = INFLATE_ERROR;
      return;
    }
    const mask = this.#dict.length - 1;
    for (; len > 0 && this.#result === INFLATE_MORE; len--) {
      if (this.#limit >= 0 && this.produced >= this.#limit) break;
      this.#put(this.#dict[(this.#head - distance - 1) & mask]!);
    }
  }

  #put(byte: number): void {
    this.#dict[this.#head] = byte;
    this.#head = (this.#head + 1) & (this.#dict.length - 1);
    this.produced++;
    if (this.#head === this.#tail || this.#head === 0) this.#flush();
  }

  #flush(): void {
    if (this.#head === this.#tail) return;
    const end = this.#head > this.#tail ? this.#head : this.#dict.length;
    const go = this.#sink.write(this.#dict, this.#tail, end - this.#tail);
    this.#tail = this.#head > this.#tail ? this.#head : 0;
    if (!go) this.#result = INFLATE_STOPPED;
  }
}
