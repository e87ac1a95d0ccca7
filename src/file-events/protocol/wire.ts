/** Reading and writing the fields of one frame. Integers are in network order; text is UTF-8 with a length in front. */
import { pathFromBytes, pathToBytes } from './path-bytes.js';

/** A frame that breaks the protocol: the connection it came on is closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

const U32 = 0x1_0000_0000;

/** Cursor over the body of one frame. Every reader checks what is left. @throws ProtocolError when a field does not fit */
export class FieldReader {
  readonly #buf: Buffer;
  #at: number;
  readonly #end: number;

  constructor(buf: Buffer, from: number, end: number) {
    this.#buf = buf;
    this.#at = from;
    this.#end = end;
  }

  #take(n: number): number {
    const at = this.#at;
    if (at + n > this.#end) throw new ProtocolError(`frame too short: ${n} bytes wanted, ${this.#end - at} left`);
    this.#at = at + n;
    return at;
  }

  u8(): number {
    return this.#buf[this.#take(1)]!;
  }

  u16(): number {
    return this.#buf.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#buf.readUInt32BE(this.#take(4));
  }

  /** An unsigned 64-bit integer that must be below 2^53. */
  u53(): number {
    const at = this.#take(8);
    const high = this.#buf.readUInt32BE(at);
    if (high >= 0x20_0000) throw new ProtocolError('number above 2^53');
    return high * U32 + this.#buf.readUInt32BE(at + 4);
  }

  i64(): bigint {
    return this.#buf.readBigInt64BE(this.#take(8));
  }

  /** A copy: the frame's buffer is reused. */
  bytes(n: number): Uint8Array {
    const at = this.#take(n);
    return new Uint8Array(this.#buf.subarray(at, at + n));
  }

  /** All that is left, copied. */
  rest(limit: number): Uint8Array {
    const n = this.#end - this.#at;
    if (n > limit) throw new ProtocolError(`${n} bytes of content, at most ${limit}`);
    return this.bytes(n);
  }

  latin1(n: number): string {
    const at = this.#take(n);
    return this.#buf.toString('latin1', at, at + n);
  }

  /**
   * Text with a u16 length; bytes that are no UTF-8 as path-bytes.ts tells.
   * @param limit in bytes
   */
  text(limit: number): string {
    const n = this.u16();
    if (n > limit) throw new ProtocolError(`text of ${n} bytes, at most ${limit}`);
    const at = this.#take(n);
    return pathFromBytes(this.#buf, at, at + n);
  }

  /** A path: not empty, no NUL (nothing after it would be seen by the other side). */
  path(limit: number): string {
    const text = this.text(limit);
    if (text === '' || text.includes('\0')) throw new ProtocolError('empty path or NUL in a path');
    return text;
  }

  /** A code that must be from 1 to `last`. */
  code<T extends number>(last: number, what: string): T {
    const value = this.u8();
    if (value < 1 || value > last) throw new ProtocolError(`${what} ${value} is not known`);
    return value as T;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  /** @throws ProtocolError when bytes are left over */
  done(): void {
    if (this.#at !== this.#end) throw new ProtocolError(`${this.#end - this.#at} bytes too many`);
  }
}

/** Builds one frame in a buffer of its own that is reused: `finish` returns a view that holds until the next `start`. */
export class FieldWriter {
  #buf: Buffer;
  #at = 0;

  constructor(capacity = 4096) {
    this.#buf = Buffer.allocUnsafeSlow(capacity);
  }

  #room(n: number): number {
    const at = this.#at;
    if (at + n > this.#buf.length) {
      const wider = Buffer.allocUnsafeSlow(Math.max(this.#buf.length * 2, at + n));
      this.#buf.copy(wider, 0, 0, at);
      this.#buf = wider;
    }
    this.#at = at + n;
    return at;
  }

  start(): void {
    this.#at = 0;
  }

  u8(value: number): void {
    const at = this.#room(1);
    this.#buf[at] = value;
  }

  u16(value: number): void {
    const at = this.#room(2);
    this.#buf.writeUInt16BE(value, at);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#buf.writeUInt32BE(value >>> 0, at);
  }

  u53(value: number): void {
    const at = this.#room(8);
    this.#buf.writeUInt32BE(Math.floor(value / U32), at);
    this.#buf.writeUInt32BE(value % U32, at + 4);
  }

  i64(value: bigint): void {
    const at = this.#room(8);
    this.#buf.writeBigInt64BE(value, at);
  }

  bytes(value: Uint8Array): void {
    const at = this.#room(value.length);
    this.#buf.set(value, at);
  }

  latin1(value: string): void {
    const at = this.#room(value.length);
    this.#buf.write(value, at, value.length, 'latin1');
  }

  /** @throws RangeError when the text is longer than the protocol allows */
  text(value: string, limit: number): void {
    const bytes = pathToBytes(value);
    if (bytes.length > limit) throw new RangeError(`text of ${bytes.length} bytes, at most ${limit}`);
    this.u16(bytes.length);
    this.bytes(bytes);
  }

  get length(): number {
    return this.#at;
  }

  setU32(at: number, value: number): void {
    this.#buf.writeUInt32BE(value, at);
  }

  setU8(at: number, value: number): void {
    this.#buf[at] = value;
  }

  /** View of what was written. */
  finish(): Buffer {
    return this.#buf.subarray(0, this.#at);
  }
}
