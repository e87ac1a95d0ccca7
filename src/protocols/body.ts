/** Bytes of a body or file as detection sees them: decoded, and kept from the start up to the inspection limit. */
import { copyBytes, grow } from './bytes.js';
import { ContentDecoder } from './encoding/content-decoder.js';
import type { ByteSink } from '../util/index.js';
import type { ByteSlice } from './transaction.js';

export class Body implements ByteSink {
  readonly limit: number;
  buf: Uint8Array = EMPTY;
  len = 0;
  /** Decoded bytes seen, including those past the limit. */
  total = 0;
  /** Bytes as transferred, before decoding. */
  transferred = 0;
  complete = false;
  decoder: ContentDecoder | null = null;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Bytes as they came (after de-chunking). */
  receive(buf: Uint8Array, off: number, len: number): void {
    this.transferred += len;
    if (this.decoder === null) this.write(buf, off, len);
    else this.decoder.write(buf, off, len);
  }

  write(buf: Uint8Array, off: number, len: number): boolean {
    this.total += len;
    const take = Math.min(len, this.limit - this.len);
    if (take > 0) {
      this.buf = grow(this.buf, this.len, Math.min(this.limit, this.len + take));
      copyBytes(buf, off, take, this.buf, this.len);
      this.len += take;
    }
    return this.len < this.limit || this.decoder === null;
  }

  finish(): void {
    if (this.complete) return;
    this.decoder?.finish();
    this.complete = true;
  }

  slice(out: ByteSlice): boolean {
    if (this.len === 0) return false;
    out.set(this.buf, 0, this.len);
    out.complete = this.complete || this.len >= this.limit;
    return true;
  }
}

const EMPTY = new Uint8Array(0);
