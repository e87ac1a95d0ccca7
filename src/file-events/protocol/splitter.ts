/** Cuts a byte stream into frames. Holds at most one frame; a length beyond the limit ends the stream before it is read. */
import { HEADER_BYTES, MAX_FRAME } from './limits.js';
import { ProtocolError } from './wire.js';

export class FrameSplitter {
  /** Begins small: 200 idle connections must not cost a full frame each. */
  #buf: Buffer;
  #have = 0;
  readonly #maxFrame: number;

  constructor(maxFrame = MAX_FRAME) {
    this.#maxFrame = maxFrame;
    this.#buf = EMPTY;
  }

  /** Bytes of an incomplete frame. */
  get pending(): number {
    return this.#have;
  }

  /** Bytes of memory held. */
  get held(): number {
    return this.#buf.length;
  }

  /**
   * @param onFrame called with the buffer, the frame's start and its length; the bytes are overwritten afterwards. Returning
   *   false stops (the connection is being closed).
   * @throws ProtocolError when a length field is impossible
   */
  push(chunk: Buffer, length: number, onFrame: (buf: Buffer, at: number, length: number) => boolean): void {
    let at = 0;
    while (this.#have > 0 && at < length) {
      // Complete the frame begun earlier: first its length field, then the rest.
      const want = this.#have < 4 ? 4 : this.#frameLength(this.#buf, 0);
      const take = Math.min(want - this.#have, length - at);
      this.#reserve(this.#have + take);
      chunk.copy(this.#buf, this.#have, at, at + take);
      this.#have += take;
      at += take;
      if (this.#have < 4) return;
      if (this.#have === this.#frameLength(this.#buf, 0)) {
        this.#have = 0;
        const buf = this.#buf;
        const frame = this.#frameLength(buf, 0);
        if (frame > KEEP) this.#buf = EMPTY;
        if (!onFrame(buf, 0, frame)) return;
      }
    }
    while (length - at >= 4) {
      const frame = this.#frameLength(chunk, at);
      if (length - at < frame) break;
      if (!onFrame(chunk, at, frame)) return;
      at += frame;
    }
    const left = length - at;
    if (left > 0) {
      this.#reserve(left);
      chunk.copy(this.#buf, 0, at, length);
      this.#have = left;
    }
  }

  #frameLength(buf: Buffer, at: number): number {
    const n = buf.readUInt32BE(at);
    if (n < HEADER_BYTES || n > this.#maxFrame) throw new ProtocolError(`frame length ${n} (${HEADER_BYTES} to ${this.#maxFrame})`);
    return n;
  }

  #reserve(n: number): void {
    if (this.#buf.length >= n) return;
    // Doubling, by what has arrived: a length field alone buys no memory.
    const wider = Buffer.allocUnsafeSlow(Math.max(n, this.#buf.length * 2, KEEP));
    this.#buf.copy(wider, 0, 0, this.#have);
    this.#buf = wider;
  }
}

const KEEP = 1024;
const EMPTY = Buffer.alloc(0);
