/**
 * Connection-oriented DCE/RPC (C706 chapter 12) as TCP connections and SMB pipes carry it: bindings, and calls with the
 * stub data of their fragments put together.
 */
import { TO_SERVER } from '../../flow/index.js';
import { be16, be32, le16, le32, toHex } from '../../util/index.js';
import { grow } from '../bytes.js';

export const PduType = { REQUEST: 0, RESPONSE: 2, FAULT: 3, BIND: 11, BIND_ACK: 12, ALTER_CONTEXT: 14, ALTER_CONTEXT_RESP: 15 } as const;
export const PDU_HEADER = 16;
const Flag = { FIRST: 1, LAST: 2, OBJECT: 0x80 } as const;
const STUB_MAX = 1 << 20;
const CONTEXTS_MAX = 256;
const CALLS_MAX = 256;

/** An interface a client bound to. */
export interface DceInterface {
  /** "afa8bd80-7d8a-11c9-bef4-08002b102989" */
  readonly uuid: string;
  readonly version: number;
  accepted: boolean;
}

const NO_STUB: Uint8Array = new Uint8Array(0);

/** Stub data of one direction of a call. */
export class DceStub {
  bytes: Uint8Array = NO_STUB;
  length = 0;
  complete = false;

  append(buf: Uint8Array, off: number, end: number): void {
    const n = Math.min(end - off, STUB_MAX - this.length);
    if (n <= 0) return;
    this.bytes = grow(this.bytes, this.length, this.length + n);
    this.bytes.set(buf.subarray(off, off + n), this.length);
    this.length += n;
  }
}

/** One remote procedure call. */
export class DceCall {
  readonly request = new DceStub();
  readonly response = new DceStub();
  /** Byte order of the data representation. */
  littleEndian = true;

  constructor(
    readonly callId: number,
    readonly context: number,
    readonly opnum: number,
    /** Interface of the context when the call was made, null when its binding was not seen. */
    readonly iface: DceInterface | null,
  ) {}

  stub(dir: number): DceStub {
    return dir === TO_SERVER ? this.request : this.response;
  }
}

/** UUID in its text form; the first three fields follow the byte order of the message. */
export function uuidText(buf: Uint8Array, off: number, little: boolean): string {
  const hex = (value: number, digits: number): string => (value >>> 0).toString(16).padStart(digits, '0');
  const first = little ? le32(buf, off) : be32(buf, off);
  const second = little ? le16(buf, off + 4) : be16(buf, off + 4);
  const third = little ? le16(buf, off + 6) : be16(buf, off + 6);
  return `${hex(first, 8)}-${hex(second, 4)}-${hex(third, 4)}-${toHex(buf, off + 8, 2)}-${toHex(buf, off + 10, 6)}`;
}

/** What a pipe tells whoever reads it. */
export interface DceListener {
  /** A call began, or got more data in direction `dir`. */
  call(call: DceCall, dir: number, isNew: boolean): void;
  malformed(): void;
}

export class DcePipe {
  readonly #contexts = new Map<number, DceInterface>();
  /** Contexts of the last bind, in its order: the acknowledgement answers by position. */
  #offered: number[] = [];
  readonly #calls: DceCall[] = [];

  /** Length of the PDU at `off`; 0 while its header is not there, -1 when it is none. */
  static length(buf: Uint8Array, off: number, end: number): number {
    if (end - off < PDU_HEADER) return 0;
    if (buf[off] !== 5 || buf[off + 2]! > 20) return -1;
    const length = (buf[off + 4]! & 0x10) !== 0 ? le16(buf, off + 8) : be16(buf, off + 8);
    return length < PDU_HEADER ? -1 : length;
  }

  /** One whole PDU buf[off, end). */
  pdu(dir: number, buf: Uint8Array, off: number, end: number, listener: DceListener): void {
    const little = (buf[off + 4]! & 0x10) !== 0;
    const word = (at: number): number => (little ? le16(buf, at) : be16(buf, at));
    const flags = buf[off + 3]!;
    const callId = (little ? le32(buf, off + 12) : be32(buf, off + 12)) >>> 0;
    const authentication = word(off + 10);
    const stop = authentication > 0 ? Math.max(off + PDU_HEADER, end - authentication - 8) : end;
    const body = off + PDU_HEADER;
    switch (buf[off + 2]) {
      case PduType.BIND:
      case PduType.ALTER_CONTEXT:
        if (!this.#bind(buf, body, stop, little)) listener.malformed();
        return;
      case PduType.BIND_ACK:
      case PduType.ALTER_CONTEXT_RESP:
        if (!this.#acknowledge(buf, body, stop, little)) listener.malformed();
        return;
      case PduType.REQUEST: {
        const from = body + 8 + ((flags & Flag.OBJECT) !== 0 ? 16 : 0);
        if (from > stop) {
          listener.malformed();
          return;
        }
        let call = (flags & Flag.FIRST) === 0 ? this.#open(callId) : undefined;
        const isNew = call === undefined;
        if (call === undefined) {
          const context = word(body + 4);
          call = new DceCall(callId, context, word(body + 6), this.#contexts.get(context) ?? null);
          call.littleEndian = little;
          this.#calls.push(call);
          if (this.#calls.length > CALLS_MAX) this.#calls.shift();
        }
        this.#fragment(call, TO_SERVER, buf, from, stop, flags, isNew, listener);
        return;
      }
      case PduType.RESPONSE:
      case PduType.FAULT: {
        const call = this.#open(callId);
        if (call === undefined || body + 8 > stop) return;
        this.#fragment(call, dir, buf, body + 8, stop, flags, false, listener);
        if (call.response.complete) this.#calls.splice(this.#calls.indexOf(call), 1);
        return;
      }
      default:
    }
  }

  #open(callId: number): DceCall | undefined {
    return this.#calls.find((call) => call.callId === callId);
  }

  #fragment(call: DceCall, dir: number, buf: Uint8Array, from: number, stop: number, flags: number, isNew: boolean, listener: DceListener): void {
    const stub = call.stub(dir);
    stub.append(buf, from, stop);
    if ((flags & Flag.LAST) !== 0) stub.complete = true;
    listener.call(call, dir, isNew);
  }

  #bind(buf: Uint8Array, off: number, end: number, little: boolean): boolean {
    if (off + 12 > end) return false;
    const count = buf[off + 8]!;
    let pos = off + 12;
    this.#offered = [];
    for (let i = 0; i < count; i++) {
      if (pos + 24 > end) return false;
      const id = little ? le16(buf, pos) : be16(buf, pos);
      const version = little ? le16(buf, pos + 20) : be16(buf, pos + 20);
      this.#offered.push(id);
      if (this.#contexts.size < CONTEXTS_MAX || this.#contexts.has(id)) this.#contexts.set(id, { uuid: uuidText(buf, pos + 4, little), version, accepted: false });
      pos += 24 + buf[pos + 2]! * 20;
    }
    return true;
  }

  #acknowledge(buf: Uint8Array, off: number, end: number, little: boolean): boolean {
    if (off + 10 > end) return false;
    const address = little ? le16(buf, off + 8) : be16(buf, off + 8);
    let pos = off + 10 + address;
    pos += (4 - ((pos - off + PDU_HEADER) & 3)) & 3;
    if (pos + 4 > end) return false;
    const count = buf[pos]!;
    pos += 4;
    for (let i = 0; i < count && pos + 4 <= end; i++, pos += 24) {
      const iface = this.#contexts.get(this.#offered[i] ?? -1);
      if (iface !== undefined) iface.accepted = (little ? le16(buf, pos) : be16(buf, pos)) === 0;
    }
    return true;
  }
}
