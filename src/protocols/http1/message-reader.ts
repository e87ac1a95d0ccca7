/**
 * What reading a request and reading a response have in common: lines, header block with folding, bodies delimited by
 * length, chunks or the end of the connection. Every byte is looked at once: a line that is not complete yet stays in the
 * stream buffer and scanning goes on where it stopped.
 */
import type { Flow } from '../../flow/index.js';
import { COLON, CR, HT, LF, SP, hexValue, isSpace } from '../bytes.js';
import { MessageHead } from './head.js';

export const State = {
  LINE: 0,
  HEADERS: 1,
  BODY_LENGTH: 2,
  BODY_CLOSE: 3,
  CHUNK_LENGTH: 4,
  CHUNK_DATA: 5,
  CHUNK_END: 6,
  TRAILERS: 7,
  /** Everything up to the end of the stream is swallowed (after HTTP/0.9). */
  IGNORE: 8,
  /** Nothing is taken until the other side has spoken (CONNECT). */
  WAIT: 9,
} as const;

/** Longest line that is accepted, as libhtp's hard field limit. */
export const LINE_LIMIT = 18000;
/** Bytes of a whole head that are kept: no server takes as many. */
const HEAD_LIMIT = 1 << 20;
/** Folding adds no more to a field than this. */
const FOLD_LIMIT = 65536;
/** Control bytes tolerated around a chunk length. */
function isChunkControl(c: number): boolean {
  return c === SP || (c >= 9 && c <= 13);
}

export abstract class MessageReader {
  state: number = State.LINE;
  /** Bytes of the current body or chunk still to come. */
  left = 0;
  protected flow!: Flow;
  protected pos = 0;
  protected closed = false;
  /** The line found by `findLine`: content without line end, and where the next line starts. */
  protected lineOff = 0;
  protected lineEnd = 0;
  protected lineNext = 0;
  #scanned = 0;
  /** A message was completed by the piece at hand. */
  #finished = false;
  // header block
  #afterLf = false;
  #lfCr = false;
  #pendingLen = -1; // -1 = no field line waiting for its folded continuation
  #pendingOff = 0;
  #pendingInExtra = false;
  #pendingColon = false;
  protected failed = false;

  protected abstract readonly lenientCr: boolean;
  protected abstract get head(): MessageHead;
  protected abstract startLine(buf: Uint8Array, end: number): boolean;
  protected abstract headersComplete(): void;
  protected abstract bodyData(buf: Uint8Array, off: number, len: number): void;
  /** The message is complete. */
  protected abstract finish(): void;
  /** Bytes right behind a complete message that start no other one. @returns how many of them belong to its body */
  protected abstract takeUnexpectedBody(buf: Uint8Array, off: number, end: number): number;
  protected abstract badChunk(): void;
  /** Bytes came where none can belong to a message. */
  protected abstract ignored(): void;
  protected abstract event(name: 'missing_colon' | 'invalid_name' | 'invalid_folding' | 'too_long' | 'too_many' | 'chunk_extension' | 'repetition'): void;
  /** A colon in a folded line starts a new field (libhtp does so for HTTP/1.1 responses). */
  protected abstract get colonEndsFold(): boolean;

  /**
   * Take bytes; `closed` when no more will follow.
   * @returns bytes consumed, -1 when the stream cannot be parsed any further
   */
  run(flow: Flow, buf: Uint8Array, off: number, end: number, closed: boolean): number {
    this.flow = flow;
    this.closed = closed;
    this.pos = off;
    this.#finished = false;
    while (!this.failed && this.pos < end) if (!this.#step(buf, end)) break;
    return this.failed ? -1 : this.pos - off;
  }

  #step(buf: Uint8Array, end: number): boolean {
    switch (this.state) {
      case State.LINE:
        if (this.#finished) {
          const n = this.takeUnexpectedBody(buf, this.pos, end);
          this.pos += n;
          if (n > 0) return true;
          this.#finished = false;
        }
        return this.startLine(buf, end);
      case State.HEADERS:
      case State.TRAILERS:
        return this.#headerLine(buf, end);
      case State.BODY_LENGTH:
      case State.CHUNK_DATA: {
        const n = Math.min(this.left, end - this.pos);
        this.bodyData(buf, this.pos, n);
        this.pos += n;
        this.left -= n;
        if (this.left === 0) {
          if (this.state === State.CHUNK_DATA) this.state = State.CHUNK_END;
          else this.complete();
        }
        return true;
      }
      case State.BODY_CLOSE:
        this.bodyData(buf, this.pos, end - this.pos);
        this.pos = end;
        return true;
      case State.CHUNK_END:
        while (this.pos < end) {
          if (buf[this.pos++] === LF) {
            this.state = State.CHUNK_LENGTH;
            return true;
          }
        }
        return false;
      case State.CHUNK_LENGTH:
        return this.#chunkLength(buf, end);
      case State.IGNORE:
        this.ignored();
        this.pos = end;
        return false;
      default:
        return false;
    }
  }

  /** The message ends here. */
  protected complete(): void {
    this.#finished = true;
    this.finish();
  }

  /** Find the next LF (or, when `loneCr`, CR not followed by LF). @returns false when more bytes are needed */
  protected findLine(buf: Uint8Array, end: number, loneCr: boolean): boolean {
    const start = this.pos;
    let i = start + this.#scanned;
    for (; i < end; i++) {
      const c = buf[i]!;
      if (c === LF) return this.#line(buf, start, i + 1);
      if (c === CR && loneCr) {
        if (i + 1 >= end) {
          if (!this.closed) break;
          return this.#line(buf, start, i + 1);
        }
        const next = buf[i + 1]!;
        if (next === LF) return this.#line(buf, start, i + 2);
        if (next !== CR || this.state === State.LINE) return this.#line(buf, start, i + 1);
      }
    }
    this.#scanned = i - start;
    if (this.closed && end > start) return this.#line(buf, start, end);
    if (end - start > LINE_LIMIT) {
      this.event('too_long');
      this.failed = true;
    }
    return false;
  }

  #line(buf: Uint8Array, start: number, next: number): true {
    this.#scanned = 0;
    this.lineOff = start;
    this.lineNext = next;
    let e = next;
    while (e > start && (buf[e - 1] === LF || buf[e - 1] === CR)) e--;
    this.lineEnd = e;
    return true;
  }

  /** Start a header block (or trailers). */
  protected beginHeaders(state: number): void {
    this.state = state;
    this.#afterLf = false;
    this.#lfCr = false;
    this.#pendingLen = -1;
  }

  #headerLine(buf: Uint8Array, end: number): boolean {
    const first = this.pos;
    if (this.lenientCr && this.#afterLf && !this.#lfCr && buf[first] === CR) {
      // LF CR as one line end; `#scanned` may count the CR already
      this.#lfCr = true;
      this.#raw(buf, first, first + 1);
      this.pos = first + 1;
      this.#scanned = Math.max(0, this.#scanned - 1);
      if (this.pos >= end && !this.closed) return false;
    }
    if (!this.findLine(buf, end, this.lenientCr)) return false;
    const start = this.lineOff;
    const next = this.lineNext;
    const size = next - start;
    let terminator = (size === 1 && (buf[start] === LF || buf[start] === CR)) || (size === 2 && buf[start] === CR && buf[start + 1] === LF);
    let after = next;
    if (!terminator && this.lenientCr && size === 2 && buf[start + 1] === LF && (buf[start] === SP || buf[start] === HT)) {
      // a blank but not empty line ends the block when no further line end follows it
      if (next >= end && !this.closed) return false;
      terminator = next >= end || buf[next] !== LF;
    }
    if (terminator) {
      if (this.#lfCr && size === 2) {
        // LF CR CR LF CR LF are two line ends, not three
        if (next >= end) {
          if (!this.closed) return false;
        } else if (buf[next] === CR) {
          if (next + 1 < end) after = buf[next + 1] === LF ? next + 2 : next;
          else if (!this.closed) return false;
        }
      }
      this.#raw(buf, start, after);
      this.pos = after;
      this.#flushField();
      if (this.state === State.TRAILERS) this.complete();
      else this.headersComplete();
      return true;
    }
    const at = this.#raw(buf, start, next);
    const last = buf[next - 1] === LF && (size < 2 || buf[next - 2] !== CR);
    this.#afterLf = last;
    this.#lfCr = false;
    this.pos = next;
    this.#fieldLine(buf, start, this.lineEnd, at);
    return true;
  }

  #raw(buf: Uint8Array, start: number, next: number): number {
    if (this.head.rawLen > HEAD_LIMIT) {
      this.event('too_long');
      this.failed = true;
    }
    return this.head.appendRaw(buf, start, next - start);
  }

  /** One line of the block, content buf[off, end), copied to head.raw at `at`. */
  #fieldLine(buf: Uint8Array, off: number, end: number, at: number): void {
    const c = off < end ? buf[off]! : 0;
    if (c !== SP && c !== HT && c !== 0) {
      this.#flushField();
      this.#pend(at, end - off, false);
      return;
    }
    if (this.#pendingLen < 0) {
      this.event('invalid_folding');
      let trim = off;
      while (trim < end && (buf[trim] === SP || buf[trim] === HT || buf[trim] === 0)) trim++;
      this.#pend(at + (trim - off), end - trim, false);
      return;
    }
    let colon = off;
    while (colon < end && buf[colon] !== COLON) colon++;
    if (colon < end && this.colonEndsFold && this.#pendingHasColon()) {
      this.event('invalid_folding');
      this.#flushField();
      this.#pend(at + 1, end - off - 1, false);
      return;
    }
    const head = this.head;
    if (!this.#pendingInExtra) {
      this.#pendingOff = head.appendExtra(head.raw, this.#pendingOff, this.#pendingLen);
      this.#pendingInExtra = true;
    }
    if (this.#pendingLen + end - off > FOLD_LIMIT) return;
    head.appendExtra(buf, off, end - off);
    this.#pendingLen += end - off;
  }

  #pend(off: number, len: number, inExtra: boolean): void {
    this.#pendingOff = off;
    this.#pendingLen = len;
    this.#pendingInExtra = inExtra;
    this.#pendingColon = false;
  }

  #pendingHasColon(): boolean {
    if (this.#pendingColon) return true;
    const src = this.#pendingInExtra ? this.head.extra : this.head.raw;
    for (let i = 0; i < this.#pendingLen; i++) if (src[this.#pendingOff + i] === COLON) return (this.#pendingColon = true);
    return false;
  }

  /** Split the pending line at its colon and add it to the table (RFC 9112 section 5). */
  #flushField(): void {
    const len = this.#pendingLen;
    if (len < 0) return;
    this.#pendingLen = -1;
    const head = this.head;
    const inExtra = this.#pendingInExtra;
    const src = inExtra ? head.extra : head.raw;
    const off = this.#pendingOff;
    let end = off + len;
    let colon = off;
    let token = true;
    while (colon < end && src[colon] !== COLON) {
      if (TOKEN[src[colon]!] === 0) token = false;
      colon++;
    }
    let nameEnd = colon;
    let value = colon + 1;
    if (colon === end) {
      // a line without colon is kept as the value of a nameless field, so that it is still inspected
      this.event('missing_colon');
      nameEnd = value = off;
    } else {
      if (!token || colon === off) this.event('invalid_name');
      while (nameEnd > off && src[nameEnd - 1]! <= 32) nameEnd--;
      while (value < end && (src[value] === SP || src[value] === HT)) value++;
    }
    while (end > value && (src[end - 1] === SP || src[end - 1] === HT)) end--;
    const repetitions = head.repetitions;
    if (head.addField(inExtra, off, nameEnd - off, value, end - value) < 0) this.event('too_many');
    if (repetitions <= 64 && head.repetitions > 64) this.event('repetition');
  }

  #chunkLength(buf: Uint8Array, end: number): boolean {
    // the first byte that is no control byte has to be a hexadecimal digit: if not, this is no chunk at all
    let i = this.pos;
    while (i < end && isChunkControl(buf[i]!)) i++;
    this.pos = i;
    if (i === end) return false;
    if (hexValue(buf[i]!) < 0) {
      this.badChunk();
      return true;
    }
    if (!this.findLine(buf, end, false)) {
      if (this.failed) {
        this.failed = false;
        this.badChunk();
        return true;
      }
      return false;
    }
    let n = 0;
    while (i < this.lineEnd) {
      const v = hexValue(buf[i]!);
      if (v < 0) break;
      n = n * 16 + v;
      if (n > 0x7fffffff) {
        this.badChunk();
        return true;
      }
      i++;
    }
    while (i < this.lineEnd && isSpace(buf[i]!)) i++;
    if (i < this.lineEnd && buf[i] === 59) this.event('chunk_extension');
    this.pos = this.lineNext;
    if (n === 0) this.beginHeaders(State.TRAILERS);
    else {
      this.left = n;
      this.state = State.CHUNK_DATA;
    }
    return true;
  }

  /** `length` bytes are missing here. Only body bytes can be done without. @returns false when the place is lost */
  skip(length: number): boolean {
    switch (this.state) {
      case State.BODY_LENGTH:
      case State.CHUNK_DATA:
        if (length > this.left) return false;
        this.left -= length;
        if (this.left === 0) {
          if (this.state === State.CHUNK_DATA) this.state = State.CHUNK_END;
          else this.finish();
        }
        return true;
      case State.BODY_CLOSE:
      case State.IGNORE:
        return true;
      default:
        return false;
    }
  }
}

/** Bytes allowed in a field name (RFC 9110 section 5.6.2). */
const TOKEN = new Uint8Array(256);
for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") TOKEN[c.charCodeAt(0)] = 1;

/**
 * Content-Length as tolerant clients read it: the first run of digits, junk around it ignored.
 * @returns the length, or -1 when there are no digits or too many
 */
export function contentLength(buf: Uint8Array, off: number, len: number): number {
  const end = off + len;
  let i = off;
  while (i < end && (buf[i]! < 48 || buf[i]! > 57)) i++;
  if (i === end) return -1;
  let n = 0;
  for (; i < end && buf[i]! >= 48 && buf[i]! <= 57; i++) {
    n = n * 10 + (buf[i]! - 48);
    if (n > Number.MAX_SAFE_INTEGER / 16) return -1;
  }
  return n;
}

/** Does a Content-Length value hold a second, different number? Then nobody knows where the body ends. */
export function ambiguousLength(buf: Uint8Array, off: number, len: number): boolean {
  const first = contentLength(buf, off, len);
  let i = off;
  const end = off + len;
  const digit = (c: number): boolean => c >= 48 && c <= 57;
  while (i < end) {
    while (i < end && !digit(buf[i]!)) i++;
    if (i < end && contentLength(buf, i, end - i) !== first) return true;
    while (i < end && digit(buf[i]!)) i++;
  }
  return false;
}
