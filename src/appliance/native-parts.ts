/**
 * Puts the native implementations where rooms have a TypeScript twin: checksums in `packet`, DEFLATE in `util`. Called once
 * per thread, before any traffic; without it everything works, slower.
 */
import { Inflater as NativeInflater, checksum } from '@drawbridge/native';
import { setChecksumSum } from '../packet/index.js';
import { INFLATE_END, INFLATE_ERROR, INFLATE_MORE, INFLATE_STOPPED, setInflater, type ByteSink, type Inflater } from '../util/index.js';

const OUTPUT_FULL = 2;
const FAILED = -1;
/** Idle native streams kept for reuse; each holds some 40 KiB. */
const KEPT = 64;

const OUTPUT_BYTES = 32 * 1024;
const used = new Int32Array(2);
/** Output buffers not in use. Layers of one body decode into each other, so every push under way needs its own. */
const buffers: Uint8Array[] = [];
const idle: NativeInflater[] = [];

class PooledInflater implements Inflater {
  produced = 0;
  consumed = 0;
  readonly #sink: ByteSink;
  #stream: NativeInflater | null = idle.pop() ?? new NativeInflater();
  #last: number = INFLATE_MORE;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  push(src: Uint8Array, off: number, end: number): number {
    this.consumed = 0;
    if (this.#stream === null) return this.#last;
    const output = buffers.pop() ?? new Uint8Array(OUTPUT_BYTES);
    const status = this.#push(this.#stream, src, off, end, output);
    buffers.push(output);
    return status;
  }

  #push(stream: NativeInflater, src: Uint8Array, off: number, end: number, output: Uint8Array): number {
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

export function installNativeParts(): void {
  setChecksumSum(checksum);
  setInflater((sink) => new PooledInflater(sink));
}
