/**
 * Incremental DEFLATE decoder (RFC 1951) over zlib in the native addon: node:zlib offers no synchronous streaming interface,
 * and an inline device may not wait. It hands out what it could decode even when the data breaks off or is wrong later.
 */
import { Inflater } from '@drawbridge/native';

/** Takes decoded bytes. @returns false to stop the decoder (nothing more is wanted). */
export interface ByteSink {
  write(buf: Uint8Array, off: number, len: number): boolean;
}

export const INFLATE_MORE = 0;
export const INFLATE_END = 1;
export const INFLATE_ERROR = -1;
export const INFLATE_STOPPED = 2;

/** What the native decoder says beside 0, more is needed, and 1, the end. */
const OUTPUT_FULL = 2;
const FAILED = -1;
/** Idle streams kept for reuse; each holds some 40 KiB. */
const KEPT = 64;

const OUTPUT_BYTES = 32 * 1024;
const used = new Int32Array(2);
/** Output buffers not in use. Layers of one body decode into each other, so every push under way needs its own. */
const buffers: Uint8Array[] = [];
const idle: Inflater[] = [];

export class Inflate {
  /** Bytes decoded so far. */
  produced = 0;
  /** Bytes of the last `push` that were used (less than its length only at the end of the stream or on error). */
  consumed = 0;
  readonly #sink: ByteSink;
  #stream: Inflater | null = idle.pop() ?? new Inflater();
  #last: number = INFLATE_MORE;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Decode src[off, end). Everything decoded has been handed to the sink on return. @returns INFLATE_* */
  push(src: Uint8Array, off: number, end: number): number {
    this.consumed = 0;
    if (this.#stream === null) return this.#last;
    const output = buffers.pop() ?? new Uint8Array(OUTPUT_BYTES);
    const status = this.#push(this.#stream, src, off, end, output);
    buffers.push(output);
    return status;
  }

  #push(stream: Inflater, src: Uint8Array, off: number, end: number, output: Uint8Array): number {
    let pos = off;
    for (;;) {
      const status = stream.push(src, pos, end - pos, output, used);
      pos += used[0]!;
      const n = used[1]!;
      this.consumed = pos - off;
      this.produced += n;
      if (n > 0 && !this.#sink.write(output, 0, n)) return this.#finish(INFLATE_STOPPED);
      if (status === OUTPUT_FULL) continue;
      if (status === FAILED) return this.#finish(INFLATE_ERROR);
      if (status === INFLATE_END) return this.#finish(INFLATE_END);
      return INFLATE_MORE;
    }
  }

  #finish(status: number): number {
    const stream = this.#stream!;
    this.#stream = null;
    this.#last = status;
    if (idle.length < KEPT) {
      stream.reset();
      idle.push(stream);
    }
    return status;
  }
}
