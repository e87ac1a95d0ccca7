/**
 * Bounded single-producer single-consumer ring of byte records in shared memory, between one thread that writes and one
 * that reads. A record is `u32 length, bytes, padding to 4`; length WRAP means "continue at the start". Head and tail are
 * running byte counts published with Atomics, so a reader never sees a half-written record.
 */
const HEAD = 0; // bytes written so far (producer)
const TAIL = 1; // bytes read so far (consumer)
const CONTROL_WORDS = 16; // one cache line each for head and tail would cost nothing; one line for both is measured fine
const WRAP = 0xffffffff;

export class SpscRing {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  private readonly control: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly words: DataView;

  /** @param capacity bytes, a power of two, at most 1 GiB; or the buffer of a ring made in another thread */
  constructor(source: number | SharedArrayBuffer) {
    if (typeof source === 'number') {
      if (source < 64 || source > 2 ** 30 || (source & (source - 1)) !== 0) throw new RangeError(`ring capacity must be a power of two between 64 and 2^30, not ${source}`);
      this.buffer = new SharedArrayBuffer(CONTROL_WORDS * 4 + source);
    } else {
      this.buffer = source;
    }
    this.capacity = this.buffer.byteLength - CONTROL_WORDS * 4;
    this.control = new Int32Array(this.buffer, 0, CONTROL_WORDS);
    this.bytes = new Uint8Array(this.buffer, CONTROL_WORDS * 4);
    this.words = new DataView(this.buffer, CONTROL_WORDS * 4);
  }

  /** Bytes waiting to be read, framing included. Callable from either side. */
  get used(): number {
    return (Atomics.load(this.control, HEAD) - Atomics.load(this.control, TAIL)) >>> 0;
  }

  /**
   * Producer: append record[off, off+len).
   * @returns false when the ring has no room (nothing is written)
   */
  push(record: Uint8Array, off: number, len: number): boolean {
    const need = 4 + ((len + 3) & ~3);
    const head = this.control[HEAD]!;
    const at = (head >>> 0) & (this.capacity - 1);
    const toEnd = this.capacity - at;
    const skip = need > toEnd ? toEnd : 0;
    const free = this.capacity - ((head - Atomics.load(this.control, TAIL)) >>> 0);
    if (need + skip > free) return false;
    let start = at;
    if (skip > 0) {
      this.words.setUint32(at, WRAP, true);
      start = 0;
    }
    this.words.setUint32(start, len, true);
    this.bytes.set(off === 0 && len === record.length ? record : record.subarray(off, off + len), start + 4);
    Atomics.store(this.control, HEAD, (head + skip + need) | 0);
    return true;
  }

  /**
   * Consumer: copy the next record into `target` at `at`.
   * @returns its length, -1 when the ring is empty, or -2 - length when `target` is too small (the record stays)
   */
  pop(target: Uint8Array, at: number): number {
    for (;;) {
      const tail = this.control[TAIL]!;
      if (Atomics.load(this.control, HEAD) === tail) return -1;
      const pos = (tail >>> 0) & (this.capacity - 1);
      const len = this.words.getUint32(pos, true);
      if (len === WRAP) {
        Atomics.store(this.control, TAIL, (tail + this.capacity - pos) | 0);
        continue;
      }
      if (len > target.length - at) return -2 - len;
      target.set(this.bytes.subarray(pos + 4, pos + 4 + len), at);
      Atomics.store(this.control, TAIL, (tail + 4 + ((len + 3) & ~3)) | 0);
      return len;
    }
  }
}
