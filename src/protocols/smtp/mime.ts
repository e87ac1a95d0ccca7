/**
 * MIME messages (RFC 2045, 2046, 2183) line by line: finds the parts that carry a file name and decodes them. As tolerant as
 * mail readers are: odd boundaries, junk inside base64, missing ends.
 */
import { Body } from '../body.js';
import { ascii, findNoCase, grow, hexValue, startsNoCase } from '../bytes.js';
import { parameter } from '../http1/multipart.js';

const CONTENT_TYPE = ascii('content-type:');
const DISPOSITION = ascii('content-disposition:');
const ENCODING = ascii('content-transfer-encoding:');
const BOUNDARY = ascii('boundary=');
const NAME = ascii('name=');
const FILENAME = ascii('filename=');
const BASE64 = ascii('base64');
const QUOTED = ascii('quoted-printable');
const MESSAGE = ascii('message/rfc822');

/** Nested multiparts, and bytes of one (unfolded) header field. */
const DEPTH_MAX = 16;
const FIELD_MAX = 4096;
const FILES_MAX = 128;

const Encoding = { PLAIN: 0, BASE64: 1, QUOTED: 2 } as const;

const BASE64_VALUES = new Int8Array(256).fill(-1);
for (const [i, c] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries()) BASE64_VALUES[c.charCodeAt(0)] = i;

export class MimeReader {
  readonly #open: (name: Uint8Array) => Body;
  readonly #boundaries: Uint8Array[] = [];
  #header = true;
  #field: Uint8Array = new Uint8Array(256);
  #fieldLen = 0;
  #encoding: number = Encoding.PLAIN;
  #name: Uint8Array | null = null;
  #nested = false; // the part is itself a message
  #file: Body | null = null;
  #files = 0;
  /** Line end in front of the current line, handed on unless a boundary follows. */
  #heldEol = 0;
  // base64 remainder
  #bits = 0;
  #count = 0;
  #padded = false;
  readonly #out = new Uint8Array(4096);
  #outLen = 0;

  /** @param open called for each file; what it returns takes the decoded bytes */
  constructor(open: (name: Uint8Array) => Body) {
    this.#open = open;
  }

  /** One line without its line end; `eol` its length (0: the line goes on, 1 LF, 2 CR LF). `first` false for the rest of a long line. */
  line(buf: Uint8Array, off: number, end: number, eol: number, first: boolean): void {
    if (first && end - off >= 2 && buf[off] === 45 && buf[off + 1] === 45 && this.#boundary(buf, off, end)) return;
    if (this.#header) this.#headerLine(buf, off, end, first);
    else this.#bodyLine(buf, off, end, eol);
  }

  /** The message ends, whether its parts were closed or not. */
  finish(): void {
    if (this.#header) this.#endHeader();
    this.#closeFile();
  }

  #boundary(buf: Uint8Array, off: number, end: number): boolean {
    for (let i = this.#boundaries.length - 1; i >= 0; i--) {
      const b = this.#boundaries[i]!;
      if (end - off < b.length + 2) continue;
      let k = 0;
      while (k < b.length && buf[off + 2 + k] === b[k]) k++;
      if (k < b.length) continue;
      this.#closeFile();
      const close = buf[off + 2 + k] === 45 && buf[off + 3 + k] === 45;
      // inner multiparts that were never closed end here too
      this.#boundaries.length = close ? i : i + 1;
      this.#resetPart();
      this.#header = !close;
      return true;
    }
    return false;
  }

  #resetPart(): void {
    this.#encoding = Encoding.PLAIN;
    this.#name = null;
    this.#nested = false;
    this.#fieldLen = 0;
    this.#heldEol = 0;
    this.#bits = this.#count = 0;
    this.#padded = false;
  }

  #headerLine(buf: Uint8Array, off: number, end: number, first: boolean): void {
    if (off === end && first) {
      this.#endHeader();
      return;
    }
    const folded = buf[off] === 32 || buf[off] === 9;
    if (first && !folded) this.#endField();
    const n = Math.min(end - off, FIELD_MAX - this.#fieldLen);
    if (n <= 0) return;
    this.#field = grow(this.#field, this.#fieldLen, this.#fieldLen + n);
    this.#field.set(buf.subarray(off, off + n), this.#fieldLen);
    this.#fieldLen += n;
  }

  #endField(): void {
    const f = this.#field;
    const len = this.#fieldLen;
    this.#fieldLen = 0;
    if (len === 0) return;
    if (startsNoCase(f, 0, len, CONTENT_TYPE)) {
      const boundary = parameter(f, 0, len, BOUNDARY);
      if (boundary !== null && boundary.length > 0 && this.#boundaries.length < DEPTH_MAX) this.#boundaries.push(boundary);
      this.#name ??= parameter(f, 0, len, NAME);
      if (findNoCase(f, 0, len, MESSAGE) >= 0) this.#nested = true;
    } else if (startsNoCase(f, 0, len, DISPOSITION)) this.#name = parameter(f, 0, len, FILENAME) ?? this.#name;
    else if (startsNoCase(f, 0, len, ENCODING)) {
      if (findNoCase(f, 0, len, BASE64) >= 0) this.#encoding = Encoding.BASE64;
      else if (findNoCase(f, 0, len, QUOTED) >= 0) this.#encoding = Encoding.QUOTED;
    }
  }

  #endHeader(): void {
    this.#endField();
    this.#header = false;
    if (this.#name !== null && this.#name.length > 0 && this.#files < FILES_MAX) {
      this.#files++;
      this.#file = this.#open(this.#name);
    }
    if (this.#nested && this.#encoding === Encoding.PLAIN) {
      // an attached message has a header of its own
      this.#resetPart();
      this.#header = true;
    }
  }

  #bodyLine(buf: Uint8Array, off: number, end: number, eol: number): void {
    const file = this.#file;
    if (file === null) return;
    if (this.#encoding === Encoding.BASE64) {
      this.#base64(buf, off, end);
      this.#flush();
      return;
    }
    if (this.#heldEol > 0) file.write(EOL, 2 - this.#heldEol, this.#heldEol);
    this.#heldEol = eol;
    if (this.#encoding === Encoding.PLAIN) {
      file.write(buf, off, end - off);
      return;
    }
    let stop = end;
    while (stop > off && (buf[stop - 1] === 32 || buf[stop - 1] === 9)) stop--;
    if (stop > off && buf[stop - 1] === 61) {
      stop--;
      this.#heldEol = 0; // soft line break
    }
    for (let i = off; i < stop; i++) {
      let c = buf[i]!;
      if (c === 61 && i + 2 < stop) {
        const hi = hexValue(buf[i + 1]!);
        const lo = hexValue(buf[i + 2]!);
        if (hi >= 0 && lo >= 0) {
          c = (hi << 4) | lo;
          i += 2;
        }
      }
      this.#put(c);
    }
    this.#flush();
  }

  #base64(buf: Uint8Array, off: number, end: number): void {
    for (let i = off; i < end; i++) {
      const c = buf[i]!;
      if (c === 61) {
        this.#padded = true;
        continue;
      }
      const v = BASE64_VALUES[c]!;
      if (v < 0) continue; // junk is skipped, as mail readers do
      if (this.#padded) {
        // data after padding starts a new run
        this.#padded = false;
        this.#bits = this.#count = 0;
      }
      this.#bits = (this.#bits << 6) | v;
      if (this.#count++ > 0) this.#put((this.#bits >> (6 - 2 * (this.#count - 1))) & 255);
      if (this.#count === 4) this.#bits = this.#count = 0;
    }
  }

  #put(c: number): void {
    this.#out[this.#outLen++] = c;
    if (this.#outLen === this.#out.length) this.#flush();
  }

  #flush(): void {
    if (this.#outLen > 0) this.#file?.write(this.#out, 0, this.#outLen);
    this.#outLen = 0;
  }

  #closeFile(): void {
    this.#flush();
    this.#file?.finish();
    this.#file = null;
  }
}

const EOL = Uint8Array.of(13, 10);
