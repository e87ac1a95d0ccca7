/**
 * Incremental DEFLATE decoder (RFC 1951). node:zlib offers no synchronous streaming interface, and an inline device may
 * not wait, so the decoder lives here. It hands out what it could decode even when the data breaks off or is wrong later.
 */
import { copyRange } from './copy-range.js';


/** Takes decoded bytes. @returns false to stop the decoder (nothing more is wanted). */
export interface ByteSink {
  write(buf: Uint8Array, off: number, len: number): boolean;
}

export const INFLATE_MORE = 0;
export const INFLATE_END = 1;
export const INFLATE_ERROR = -1;
export const INFLATE_STOPPED = 2;

const WINDOW = 65536; // twice the format's 32 KiB, so that copies rarely meet the flush point
const MASK = WINDOW - 1;
const FAST_BITS = 10;
const FAST_MASK = (1 << FAST_BITS) - 1;
/** Bytes the inner loop may read for one symbol: four refills of two bytes. */
const FAST_INPUT = 8;
const MAX_LENGTH = 258;

const LENGTH_BASE = Uint16Array.of(3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258);
const LENGTH_EXTRA = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0);
const DIST_BASE = Uint16Array.of(1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577);
const DIST_EXTRA = Uint8Array.of(0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13);
const CODE_ORDER = Uint8Array.of(16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15);

/** Canonical Huffman code: a table for short codes, counts and sorted symbols for the rest. */
class Huffman {
  readonly fast = new Uint16Array(1 << FAST_BITS); // symbol << 4 | length, 0 = not a short code
  readonly count = new Uint16Array(16);
  readonly symbol = new Uint16Array(288);
  readonly #next = new Uint16Array(16);
  readonly #offset = new Uint16Array(16);

  /** @returns false when the lengths over-subscribe the code. An incomplete code is accepted (single distance code). */
  build(lengths: Uint8Array, from: number, n: number): boolean {
    const { count, fast, symbol } = this;
    count.fill(0);
    fast.fill(0);
    for (let i = 0; i < n; i++) count[lengths[from + i]!]!++;
    count[0] = 0;
    let left = 1;
    let code = 0;
    this.#offset[1] = 0;
    for (let len = 1; len <= 15; len++) {
      left = (left << 1) - count[len]!;
      if (left < 0) return false;
      code = (code + count[len - 1]!) << 1;
      this.#next[len] = code;
      if (len < 15) this.#offset[len + 1] = this.#offset[len]! + count[len]!;
    }
    for (let s = 0; s < n; s++) {
      const len = lengths[from + s]!;
      if (len === 0) continue;
      symbol[this.#offset[len]!++] = s;
      let c = this.#next[len]!++;
      if (len > FAST_BITS) continue;
      let reversed = 0;
      for (let b = 0; b < len; b++, c >>= 1) reversed = (reversed << 1) | (c & 1);
      for (let k = reversed; k < 1 << FAST_BITS; k += 1 << len) fast[k] = (s << 4) | len;
    }
    return true;
  }

  /** Symbol << 4 | length for the low bits of `hold`, 0 when `bits` are too few, -1 when no code fits. */
  lookup(hold: number, bits: number): number {
    const entry = this.fast[hold & FAST_MASK]!;
    if (entry !== 0) return (entry & 15) <= bits ? entry : 0;
    let code = 0;
    let first = 0;
    let index = 0;
    for (let len = 1; len <= 15; len++) {
      if (len > bits) return 0;
      code |= (hold >>> (len - 1)) & 1;
      const n = this.count[len]!;
      if (code - n < first) return (this.symbol[index + (code - first)]! << 4) | len;
      index += n;
      first = (first + n) << 1;
      code <<= 1;
    }
    return -1;
  }
}

const fixedLit = new Huffman();
const fixedDist = new Huffman();
{
  const lengths = new Uint8Array(288);
  lengths.fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280, 288);
  fixedLit.build(lengths, 0, 288);
  fixedDist.build(new Uint8Array(30).fill(5), 0, 30);
}

const Mode = { BLOCK: 0, STORED_LEN: 1, STORED: 2, COUNTS: 3, CODE_LENGTHS: 4, LENGTHS: 5, SYMBOL: 6, LENGTH: 7, DIST: 8, DIST_BITS: 9, COPY: 10, END: 11, BAD: 12, STOPPED: 13 } as const;

/** Working memory of one decoder: 80 KiB, too much to allocate for every short body. */
class Workspace {
  readonly window = new Uint8Array(WINDOW);
  readonly lit = new Huffman();
  readonly dist = new Huffman();
  readonly codes = new Huffman();
  readonly lengths = new Uint8Array(320);
  readonly codeLengths = new Uint8Array(19);
}

/** Workspaces of finished decoders; those of abandoned ones go to the garbage collector. */
const spare: Workspace[] = [];
const SPARE_MAX = 64;

/** An incremental DEFLATE decoder; `Inflate` is the one in TypeScript. */
export interface Inflater {
  /** Bytes decoded so far. */
  readonly produced: number;
  /** Bytes of the last `push` that were used (less than its length only at the end of the stream or on error). */
  readonly consumed: number;
  /** Decode src[off, end). Everything decoded has been handed to the sink on return. @returns INFLATE_* */
  push(src: Uint8Array, off: number, end: number): number;
}

let make: (sink: ByteSink) => Inflater = (sink) => new Inflate(sink);

/** A decoder for one stream. */
export function createInflater(sink: ByteSink): Inflater {
  return make(sink);
}

/** Let a faster implementation take over (the native one, which the appliance installs). */
export function setInflater(factory: (sink: ByteSink) => Inflater): void {
  make = factory;
}

export class Inflate implements Inflater {
  /** Bytes decoded so far. */
  produced = 0;
  /** Bytes of the last `push` that were used (less than its length only at the end of the stream or on error). */
  consumed = 0;
  readonly #sink: ByteSink;
  #work: Workspace | null = spare.pop() ?? new Workspace();
  #head = 0; // write position in the window
  #tail = 0; // first byte not handed to the sink
  #mode: number = Mode.BLOCK;
  #hold = 0;
  #bits = 0;
  #last = false;
  #remaining = 0; // stored bytes or copy length left
  #symbol = 0;
  #distance = 0;
  #nlen = 0;
  #ndist = 0;
  #ncode = 0;
  #have = 0;
  #lit = fixedLit;
  #dist = fixedDist;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Decode src[off, end). Everything decoded has been handed to the sink on return. @returns INFLATE_* */
  push(src: Uint8Array, off: number, end: number): number {
    const work = this.#work;
    if (work === null) {
      this.consumed = 0;
      return this.#result();
    }
    const { lengths, codeLengths } = work;
    let pos = off;
    let hold = this.#hold;
    let bits = this.#bits;
    let mode: number = this.#mode;
    run: for (;;) {
      // 25 bits are always enough for one code with its extra bits taken separately
      while (bits <= 24 && pos < end) {
        hold |= src[pos++]! << bits;
        bits += 8;
      }
      switch (mode) {
        case Mode.BLOCK: {
          if (this.#last) {
            mode = Mode.END;
            break;
          }
          if (bits < 3) break run;
          this.#last = (hold & 1) === 1;
          const type = (hold >>> 1) & 3;
          hold >>>= 3;
          bits -= 3;
          if (type === 0) {
            hold >>>= bits & 7;
            bits -= bits & 7;
            mode = Mode.STORED_LEN;
          } else if (type === 1) {
            this.#lit = fixedLit;
            this.#dist = fixedDist;
            mode = Mode.SYMBOL;
          } else mode = type === 2 ? Mode.COUNTS : Mode.BAD;
          break;
        }
        case Mode.STORED_LEN: {
          if (bits < 16) break run;
          if (this.#have === 0) {
            this.#remaining = hold & 0xffff;
            this.#have = 1;
          } else {
            this.#have = 0;
            mode = (hold & 0xffff) === (~this.#remaining & 0xffff) ? Mode.STORED : Mode.BAD;
          }
          hold >>>= 16;
          bits -= 16;
          break;
        }
        case Mode.STORED: {
          if (this.#remaining === 0) {
            mode = Mode.BLOCK;
            break;
          }
          if (bits < 8) break run;
          if (pos - off >= bits >> 3) {
            // The bytes in the hold are those before `pos`: give them back and copy them with the rest.
            pos -= bits >> 3;
            hold = 0;
            bits = 0;
            pos += this.#store(work.window, src, pos, end);
            break;
          }
          this.#put(hold & 255);
          hold >>>= 8;
          bits -= 8;
          this.#remaining--;
          break;
        }
        case Mode.COUNTS: {
          if (bits < 14) break run;
          this.#nlen = (hold & 31) + 257;
          this.#ndist = ((hold >>> 5) & 31) + 1;
          this.#ncode = ((hold >>> 10) & 15) + 4;
          hold >>>= 14;
          bits -= 14;
          this.#have = 0;
          codeLengths.fill(0);
          mode = this.#nlen > 286 || this.#ndist > 30 ? Mode.BAD : Mode.CODE_LENGTHS;
          break;
        }
        case Mode.CODE_LENGTHS: {
          if (this.#have === this.#ncode) {
            this.#have = 0;
            mode = work.codes.build(codeLengths, 0, 19) ? Mode.LENGTHS : Mode.BAD;
            break;
          }
          if (bits < 3) break run;
          codeLengths[CODE_ORDER[this.#have++]!] = hold & 7;
          hold >>>= 3;
          bits -= 3;
          break;
        }
        case Mode.LENGTHS: {
          const want = this.#nlen + this.#ndist;
          if (this.#have === want) {
            this.#have = 0;
            this.#lit = work.lit;
            this.#dist = work.dist;
            const good = lengths[256] !== 0 && this.#lit.build(lengths, 0, this.#nlen) && this.#dist.build(lengths, this.#nlen, this.#ndist);
            mode = good ? Mode.SYMBOL : Mode.BAD;
            break;
          }
          const entry = work.codes.lookup(hold, bits);
          if (entry === 0) break run;
          const symbol = entry >> 4;
          const len = entry & 15;
          if (entry < 0) {
            mode = Mode.BAD;
            break;
          }
          if (symbol < 16) {
            lengths[this.#have++] = symbol;
            hold >>>= len;
            bits -= len;
            break;
          }
          const extra = symbol === 16 ? 2 : symbol === 17 ? 3 : 7;
          if (bits < len + extra) break run;
          let repeat = ((hold >>> len) & ((1 << extra) - 1)) + (symbol === 18 ? 11 : 3);
          hold >>>= len + extra;
          bits -= len + extra;
          if (this.#have + repeat > want || (symbol === 16 && this.#have === 0)) {
            mode = Mode.BAD;
            break;
          }
          const value = symbol === 16 ? lengths[this.#have - 1]! : 0;
          while (repeat-- > 0) lengths[this.#have++] = value;
          break;
        }
        case Mode.SYMBOL: {
          if (end - pos >= FAST_INPUT) {
            this.#hold = hold;
            this.#bits = bits;
            this.#mode = mode;
            pos = this.#symbols(work.window, src, pos, end - FAST_INPUT);
            hold = this.#hold;
            bits = this.#bits;
            mode = this.#mode;
            if (mode !== Mode.SYMBOL) break;
            while (bits <= 24 && pos < end) {
              hold |= src[pos++]! << bits;
              bits += 8;
            }
          }
          const entry = this.#lit.lookup(hold, bits);
          if (entry === 0) break run;
          if (entry < 0) {
            mode = Mode.BAD;
            break;
          }
          hold >>>= entry & 15;
          bits -= entry & 15;
          const symbol = entry >> 4;
          if (symbol < 256) this.#put(symbol);
          else if (symbol === 256) mode = Mode.BLOCK;
          else if (symbol > 285) mode = Mode.BAD;
          else {
            this.#symbol = symbol - 257;
            mode = Mode.LENGTH;
          }
          break;
        }
        case Mode.LENGTH: {
          const extra = LENGTH_EXTRA[this.#symbol]!;
          if (bits < extra) break run;
          this.#remaining = LENGTH_BASE[this.#symbol]! + (hold & ((1 << extra) - 1));
          hold >>>= extra;
          bits -= extra;
          mode = Mode.DIST;
          break;
        }
        case Mode.DIST: {
          const entry = this.#dist.lookup(hold, bits);
          if (entry === 0) break run;
          if (entry < 0 || entry >> 4 > 29) {
            mode = Mode.BAD;
            break;
          }
          hold >>>= entry & 15;
          bits -= entry & 15;
          this.#symbol = entry >> 4;
          mode = Mode.DIST_BITS;
          break;
        }
        case Mode.DIST_BITS: {
          const extra = DIST_EXTRA[this.#symbol]!;
          if (bits < extra) break run;
          this.#distance = DIST_BASE[this.#symbol]! + (hold & ((1 << extra) - 1));
          hold >>>= extra;
          bits -= extra;
          mode = this.#distance > this.produced ? Mode.BAD : Mode.COPY;
          break;
        }
        case Mode.COPY: {
          for (let n = this.#remaining; n > 0; n--) this.#put(work.window[(this.#head - this.#distance) & MASK]!);
          mode = Mode.SYMBOL;
          break;
        }
        default:
          break run;
      }
      if (this.#mode === Mode.STOPPED) {
        mode = Mode.STOPPED;
        break;
      }
    }
    // whole bytes still in the hold belong to whatever follows the stream (gzip trailer)
    this.consumed = pos - off - (mode === Mode.END || mode === Mode.BAD ? Math.min(bits >> 3, pos - off) : 0);
    this.#hold = hold;
    this.#bits = bits;
    this.#mode = mode;
    this.#flush();
    if (this.#mode >= Mode.END) this.#retire();
    return this.#result();
  }

  #result(): number {
    switch (this.#mode) {
      case Mode.STOPPED:
        return INFLATE_STOPPED;
      case Mode.BAD:
        return INFLATE_ERROR;
      case Mode.END:
        return INFLATE_END;
      default:
        return INFLATE_MORE;
    }
  }

  /** Nothing more will be decoded: the next decoder may have the workspace. */
  #retire(): void {
    if (this.#work !== null && spare.length < SPARE_MAX) spare.push(this.#work);
    this.#work = null;
    this.#lit = fixedLit;
    this.#dist = fixedDist;
  }

  /**
   * The inner loop: whole symbols, everything in locals, as long as neither the input (`last`: a symbol may take FAST_INPUT
   * bytes) nor the room up to the next flush runs out. Goes on from #hold and #bits and leaves them, and #mode, behind.
   * @returns position in src
   */
  #symbols(window: Uint8Array, src: Uint8Array, off: number, last: number): number {
    const lit = this.#lit.fast;
    const dist = this.#dist.fast;
    const start = this.#head;
    const seen = this.produced - start;
    const limit = Math.min(WINDOW, start + WINDOW / 2 - ((start - this.#tail) & MASK)) - MAX_LENGTH;
    let head = start;
    let hold = this.#hold | 0;
    let bits = this.#bits;
    let pos = off;
    while (pos <= last && head < limit) {
      // Two bytes whenever a code might not be whole: one branch for about two literals.
      if (bits < 16) {
        hold |= (src[pos]! | (src[pos + 1]! << 8)) << bits;
        pos += 2;
        bits += 16;
      }
      let entry = lit[hold & FAST_MASK]!;
      if (entry === 0) {
        entry = this.#lit.lookup(hold, bits);
        if (entry < 0) {
          this.#mode = Mode.BAD;
          break;
        }
      }
      hold = (hold >>> (entry & 15)) | 0;
      bits -= entry & 15;
      let symbol = entry >> 4;
      if (symbol < 256) {
        window[head++] = symbol;
        continue;
      }
      if (symbol === 256 || symbol > 285) {
        this.#mode = symbol === 256 ? Mode.BLOCK : Mode.BAD;
        break;
      }
      symbol -= 257;
      if (bits < 16) {
        hold |= (src[pos]! | (src[pos + 1]! << 8)) << bits;
        pos += 2;
        bits += 16;
      }
      let extra = LENGTH_EXTRA[symbol]!;
      const length = LENGTH_BASE[symbol]! + (hold & ((1 << extra) - 1));
      hold = (hold >>> extra) | 0;
      bits -= extra;
      if (bits < 16) {
        hold |= (src[pos]! | (src[pos + 1]! << 8)) << bits;
        pos += 2;
        bits += 16;
      }
      entry = dist[hold & FAST_MASK]!;
      if (entry === 0) entry = this.#dist.lookup(hold, bits);
      symbol = entry >> 4;
      if (entry < 0 || symbol > 29) {
        this.#mode = Mode.BAD;
        break;
      }
      hold = (hold >>> (entry & 15)) | 0;
      bits -= entry & 15;
      if (bits < 16) {
        hold |= (src[pos]! | (src[pos + 1]! << 8)) << bits;
        pos += 2;
        bits += 16;
      }
      extra = DIST_EXTRA[symbol]!;
      const distance = DIST_BASE[symbol]! + (hold & ((1 << extra) - 1));
      hold = (hold >>> extra) | 0;
      bits -= extra;
      if (distance > seen + head) {
        this.#mode = Mode.BAD;
        break;
      }
      const stop = head + length;
      let from = head - distance;
      if (from >= 0) while (head < stop) window[head++] = window[from++]!;
      else while (head < stop) window[head++] = window[from++ & MASK]!;
    }
    this.produced += head - start;
    this.#head = head & MASK;
    this.#hold = hold;
    this.#bits = bits;
    return pos;
  }

  /** Copy stored bytes, at most up to the next flush. @returns how many */
  #store(window: Uint8Array, src: Uint8Array, pos: number, end: number): number {
    const room = Math.min(WINDOW - this.#head, WINDOW / 2 - ((this.#head - this.#tail) & MASK));
    const count = Math.min(this.#remaining, end - pos, room);
    copyRange(src, pos, count, window, this.#head);
    this.#head = (this.#head + count) & MASK;
    this.#remaining -= count;
    this.produced += count;
    if (count === room) this.#flush();
    return count;
  }

  #put(byte: number): void {
    this.#work!.window[this.#head] = byte;
    this.#head = (this.#head + 1) & MASK;
    this.produced++;
    // half a window is flushed at a time: the other half stays valid for distances up to 32 KiB
    if (((this.#head - this.#tail) & MASK) >= WINDOW / 2) this.#flush();
  }

  #flush(): void {
    if (this.#mode === Mode.STOPPED || this.#head === this.#tail) return;
    const { window } = this.#work!;
    let go = true;
    if (this.#head < this.#tail) {
      go = this.#sink.write(window, this.#tail, WINDOW - this.#tail);
      this.#tail = 0;
    }
    if (go && this.#head > this.#tail) go = this.#sink.write(window, this.#tail, this.#head - this.#tail);
    this.#tail = this.#head;
    if (!go) this.#mode = Mode.STOPPED;
  }
}
