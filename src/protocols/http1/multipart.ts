/**
 * multipart/form-data bodies (RFC 7578) as they stream by: finds the parts that are files and hands their bytes on.
 * Tolerant like the servers behind it: bare LF, missing quotes, junk around the boundary.
 */
import { CR, LF, ascii, findNoCase, grow, startsNoCase } from '../bytes.js';
import { Body } from '../body.js';

const BOUNDARY = ascii('boundary=');
const FILENAME = ascii('filename=');
const DISPOSITION = ascii('content-disposition:');
/** RFC 2046 allows 70; what is longer is not a boundary. */
const BOUNDARY_MAX = 200;
const PART_HEAD_MAX = 8192;
const FILES_MAX = 128;

/** Value of a `key=` parameter in a header value, quotes removed; null when absent. `key` in lower case with '='. */
export function parameter(buf: Uint8Array, off: number, len: number, key: Uint8Array): Uint8Array | null {
  const end = off + len;
  let at = findNoCase(buf, off, end, key);
  if (at < 0) return null;
  at += key.length;
  while (at < end && (buf[at] === 32 || buf[at] === 9)) at++;
  let stop = at;
  if (buf[at] === 34 || buf[at] === 39) {
    const quote = buf[at];
    stop = ++at;
    while (stop < end && buf[stop] !== quote) stop += buf[stop] === 92 && stop + 1 < end ? 2 : 1;
  } else while (stop < end && buf[stop] !== 59 && buf[stop] !== 32 && buf[stop] !== 44) stop++;
  return buf.slice(at, Math.min(stop, end));
}

/** File name of a Content-Disposition value, or null. */
export function dispositionFileName(buf: Uint8Array, off: number, len: number): Uint8Array | null {
  return parameter(buf, off, len, FILENAME);
}

export interface MultipartEvents {
  openFile(name: Uint8Array): Body | null;
  invalidHeader(): void;
}

const Phase = { PREAMBLE: 0, HEAD: 1, DATA: 2, EPILOGUE: 3 } as const;

export class Multipart {
  readonly #delimiter: Uint8Array; // "--boundary"
  readonly #events: MultipartEvents;
  #phase: number = Phase.PREAMBLE;
  #file: Body | null = null;
  #files = 0;
  /** The current line as far as it is not decided: part head lines and possible delimiters. */
  #line: Uint8Array = new Uint8Array(256);
  #lineLen = 0;
  #lineStart = true;
  /** Line end in front of the current line, which belongs to the data unless a delimiter follows: 0, 1 (LF), 2 (CR LF), 3 (CR). */
  #eol = 0;
  #disposition: Uint8Array | null = null;
  #headBytes = 0;

  constructor(boundary: Uint8Array, events: MultipartEvents) {
    this.#delimiter = new Uint8Array(boundary.length + 2).fill(45);
    this.#delimiter.set(boundary, 2);
    this.#events = events;
  }

  /** A parser for this Content-Type value, or null when it names no usable boundary. */
  static create(buf: Uint8Array, off: number, len: number, events: MultipartEvents): Multipart | null {
    const boundary = parameter(buf, off, len, BOUNDARY);
    return boundary === null || boundary.length === 0 || boundary.length > BOUNDARY_MAX ? null : new Multipart(boundary, events);
  }

  write(buf: Uint8Array, off: number, len: number): void {
    const end = off + len;
    for (let i = off; i < end; ) {
      if (this.#phase === Phase.EPILOGUE) return;
      if (this.#phase !== Phase.HEAD && !this.#lineStart) {
        // inside a line that is no delimiter: hand it over as a run
        let stop = i;
        while (stop < end && buf[stop] !== LF && buf[stop] !== CR) stop++;
        this.#data(buf, i, stop);
        i = stop;
        if (i < end) i = this.#lineBreak(buf[i]!, i);
        continue;
      }
      const c = buf[i++]!;
      if (this.#phase !== Phase.HEAD && c === CR && this.#lineLen === 0) {
        i = this.#lineBreak(c, i - 1);
        continue;
      }
      if (c === LF) this.#endLine();
      else {
        this.#line = grow(this.#line, this.#lineLen, this.#lineLen + 1);
        this.#line[this.#lineLen++] = c;
        if (this.#phase !== Phase.HEAD) this.#checkDelimiter();
        else if (++this.#headBytes > PART_HEAD_MAX) this.#startData();
      }
    }
  }

  finish(): void {
    if (this.#phase === Phase.DATA) this.#flushHeld();
    this.#file?.finish();
    this.#file = null;
    this.#phase = Phase.EPILOGUE;
  }

  /** CR or LF in data: remember it, it may belong to a delimiter. */
  #lineBreak(c: number, at: number): number {
    if (c === LF && this.#eol === 3 && this.#lineLen === 0) {
      this.#eol = 2;
    } else {
      this.#releaseEol();
      this.#eol = c === LF ? 1 : 3;
    }
    this.#lineStart = true;
    return at + 1;
  }

  /** The held line cannot be a delimiter any more: it is data. */
  #checkDelimiter(): void {
    const n = this.#lineLen - 1;
    const d = this.#delimiter;
    if (n < d.length && this.#line[n] !== d[n]) this.#notDelimiter();
    else if (n > d.length + 256) this.#notDelimiter();
  }

  #notDelimiter(): void {
    const len = this.#lineLen;
    this.#releaseEol();
    this.#lineLen = 0;
    this.#data(this.#line, 0, len);
    this.#lineStart = false;
  }

  #endLine(): void {
    const len = this.#lineLen;
    const content = len > 0 && this.#line[len - 1] === CR ? len - 1 : len;
    if (this.#phase === Phase.HEAD) {
      this.#lineLen = 0;
      if (content === 0) this.#startData();
      else this.#headLine(content);
      return;
    }
    const d = this.#delimiter;
    if (content >= d.length) {
      // checkDelimiter compared the bytes as they came
      this.#lineLen = 0;
      this.#eol = 0;
      this.#file?.finish();
      this.#file = null;
      const close = content >= d.length + 2 && this.#line[d.length] === 45 && this.#line[d.length + 1] === 45;
      this.#phase = close ? Phase.EPILOGUE : Phase.HEAD;
      this.#disposition = null;
      this.#headBytes = 0;
      return;
    }
    if (len > 0) {
      this.#releaseEol();
      this.#lineLen = 0;
      this.#data(this.#line, 0, content);
      this.#eol = content < len ? 2 : 1;
    } else this.#lineBreak(LF, 0);
    this.#lineStart = true;
  }

  #headLine(len: number): void {
    if (startsNoCase(this.#line, 0, len, DISPOSITION)) {
      this.#disposition = dispositionFileName(this.#line, DISPOSITION.length, len - DISPOSITION.length);
    } else if (this.#line.indexOf(58) < 0 || this.#line.indexOf(58) >= len) this.#events.invalidHeader();
  }

  #startData(): void {
    this.#phase = Phase.DATA;
    this.#lineStart = true;
    this.#lineLen = 0;
    this.#eol = 0;
    if (this.#disposition !== null && this.#files < FILES_MAX) {
      this.#files++;
      this.#file = this.#events.openFile(this.#disposition);
    }
  }

  #releaseEol(): void {
    const eol = this.#eol;
    this.#eol = 0;
    if (eol !== 0) this.#data(EOL, eol === 1 ? 1 : 0, eol === 3 ? 1 : 2);
  }

  #flushHeld(): void {
    if (this.#lineLen === 0) return;
    this.#releaseEol();
    this.#data(this.#line, 0, this.#lineLen);
    this.#lineLen = 0;
  }

  #data(buf: Uint8Array, from: number, to: number): void {
    if (to > from && this.#phase === Phase.DATA) {
      if (this.#eol !== 0) this.#releaseEol();
      this.#file?.write(buf, from, to - from);
    }
  }
}

const EOL = Uint8Array.of(CR, LF);
