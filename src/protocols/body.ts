/** Bytes of a body or file as detection sees them: decoded, and kept from the start up to the inspection limit. */
import { copyRange } from './bytes.js';
import { ContentDecoder } from './encoding/content-decoder.js';
import { BytePool, type ByteSink } from '../util/index.js';
import type { ByteSlice } from './transaction.js';

/** Buffers of bodies that were given back; what does not fit under its cap is left to the garbage collector. */
const buffers = new BytePool(64 << 20, 1024);

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
  #pooled = false;
  #released = false;
  /** Somebody else who reads the decoded bytes, beyond `limit` too, until it wants no more. */
  tap: ByteSink | null = null;

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
    if (this.tap !== null && !this.tap.write(buf, off, len)) this.tap = null;
    const take = this.#released ? 0 : Math.min(len, this.limit - this.len);
    if (take > 0) {
      if (this.len + take > this.buf.length) this.#grow(this.len + take);
      copyRange(buf, off, take, this.buf, this.len);
      this.len += take;
    }
    return this.len < this.limit || this.decoder === null || this.tap !== null;
  }

  finish(): void {
    if (this.complete) return;
    this.decoder?.finish();
    this.complete = true;
  }

  /** Nobody looks at the bytes any more: give the buffer back. What comes after is only counted. */
  release(): void {
    this.#released = true;
    this.#giveBack();
    this.buf = EMPTY;
    this.len = 0;
  }

  #grow(need: number): void {
    const pooled = buffers.acquire(need);
    const next = pooled ?? new Uint8Array(Math.min(this.limit, Math.max(need, 2 * this.buf.length)));
    copyRange(this.buf, 0, this.len, next, 0);
    this.#giveBack();
    this.#pooled = pooled !== null;
    this.buf = next;
  }

  #giveBack(): void {
    if (this.#pooled) buffers.release(this.buf);
    this.#pooled = false;
  }

  slice(out: ByteSlice): boolean {
    if (this.len === 0) return false;
    out.set(this.buf, 0, this.len);
    out.complete = this.complete || this.len >= this.limit;
    return true;
  }
}

const EMPTY = new Uint8Array(0);
