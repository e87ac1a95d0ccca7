/**
 * A sliding window over a ByteSource: the unread bytes lie contiguous in `buf` from `pos` to `end`. Sources are read in
 * large pieces; memory is the window, whatever the size of the file.
 */
import type { ByteSource } from './byte-source.js';

const WINDOW = 4 * 1024 * 1024;

export class ByteWindow {
  readonly buf: Uint8Array;
  readonly data: DataView;
  pos = 0;
  end = 0;
  /** Offset in the source of buf[0]. */
  #base = 0;

  constructor(
    private readonly source: ByteSource,
    size = WINDOW,
  ) {
    this.buf = new Uint8Array(size);
    this.data = new DataView(this.buf.buffer);
  }

  /** Offset of `pos` in the source. */
  get offset(): number {
    return this.#base + this.pos;
  }

  /** Bytes available at `pos` without reading. */
  get available(): number {
    return this.end - this.pos;
  }

  /**
   * Make at least `count` bytes available at `pos`.
   * @returns false when the source ends before, or `count` is more than the window
   * @throws the source's error
   */
  ensure(count: number): boolean {
    return this.end - this.pos >= count || this.#fill(count);
  }

  #fill(count: number): boolean {
    if (count > this.buf.length) return false;
    if (this.pos > 0) {
      this.buf.copyWithin(0, this.pos, this.end);
      this.#base += this.pos;
      this.end -= this.pos;
      this.pos = 0;
    }
    while (this.end < count) {
      const got = this.source.read(this.buf, this.end, this.buf.length - this.end);
      if (got === 0) return false;
      this.end += got;
    }
    return true;
  }

  /** Move over `count` bytes, more than the window if need be. @returns false when the source ends before */
  skip(count: number): boolean {
    let left = count;
    while (left > this.end - this.pos) {
      left -= this.end - this.pos;
      this.pos = this.end;
      if (!this.ensure(1)) return false;
    }
    this.pos += left;
    return true;
  }

  close(): void {
    this.source.close();
  }
}
