/** What HTTP/2 adds to an exchange: its stream, its frames, pseudo-header fields in place of start lines. */
import { TO_SERVER } from '../../flow/index.js';
import type { TransactionRecord } from '../../pipeline/index.js';
import { ascii } from '../bytes.js';
import { HttpTransaction } from '../http1/index.js';
import type { UriOptions } from '../http1/uri.js';
import { MessageTransaction } from '../message.js';
import type { ByteSlice, Transaction } from '../transaction.js';

/** Frame types (RFC 9113 section 6). */
export const FrameType = {
  DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8, CONTINUATION: 9,
} as const;

/** Numbers of frames that rules compare. */
export const Http2Number = { FRAME_TYPE: 'http2.frametype', ERROR: 'http2.errorcode', PRIORITY: 'http2.priority', WINDOW: 'http2.window', SIZE_UPDATE: 'http2.size_update' } as const;
export type Http2Number = (typeof Http2Number)[keyof typeof Http2Number];

/** Values of one number kept per direction: frames are many, and the first ones tell. */
const MOST_VALUES = 256;
const NONE: readonly number[] = [];

/** One SETTINGS parameter. */
export interface Http2Setting {
  readonly id: number;
  readonly value: number;
}

/** What was seen in the frames of a stream, or in one frame of the connection, by direction. */
export class FrameFacts {
  readonly #lists = new Map<string, number[]>();
  settings: Http2Setting[] = [];

  note(name: Http2Number, dir: number, value: number): void {
    const key = name + dir;
    const list = this.#lists.get(key);
    if (list === undefined) this.#lists.set(key, [value]);
    else if (list.length < MOST_VALUES) list.push(value);
  }

  values(name: string, dir: number): readonly number[] {
    return this.#lists.get(name + dir) ?? NONE;
  }
}

/** Transactions of HTTP/2 as keywords see them. */
export interface Http2Frames {
  readonly facts: FrameFacts;
}

export function hasFrames(tx: Transaction): tx is Transaction & Http2Frames {
  return tx instanceof Http2Exchange || tx instanceof Http2Control;
}

const HTTP2 = ascii('HTTP/2');

export class Http2Exchange extends HttpTransaction implements Http2Frames {
  readonly facts = new FrameFacts();
  /** Value of :authority in request.raw, -1 = none. */
  authorityOff = -1;
  authorityLen = 0;
  /** The final head of that direction was read. */
  readonly heads = [false, false];
  #startLine: Uint8Array | null = null;

  constructor(
    id: number,
    readonly stream: number,
    uriOptions: UriOptions,
    hasRequest: boolean,
  ) {
    super(id, uriOptions, hasRequest);
    for (const head of [this.request, this.response]) {
      head.appendRaw(HTTP2, 0, HTTP2.length);
      head.blockOff = HTTP2.length;
    }
    this.protocolLen = hasRequest ? HTTP2.length : 0;
    this.responseProtocolLen = HTTP2.length;
  }

  override integers(name: string, dir: number): readonly number[] {
    return this.facts.values(name, dir);
  }

  override rawHost(out: ByteSlice): boolean {
    return this.authorityOff >= 0 ? out.set(this.request.raw, this.authorityOff, this.authorityLen) : super.rawHost(out);
  }

  /** The start line HTTP/1 would have had. */
  override startLine(dir: number, out: ByteSlice): boolean {
    const { raw } = this.head(dir);
    const words = dir === TO_SERVER ? [[this.methodOff, this.methodLen], [this.uriOff, this.uriLen]] : [[this.statusOff, this.statusLen]];
    if (words[0]![1]! <= 0) return false;
    if (dir === TO_SERVER && this.#startLine !== null) return out.set(this.#startLine, 0, this.#startLine.length);
    const texts = words.map(([off, len]) => Buffer.from(raw.buffer, raw.byteOffset + off!, Math.max(0, len!)));
    const space = Buffer.from(' ');
    const version = Buffer.from(HTTP2);
    const line = new Uint8Array(Buffer.concat(dir === TO_SERVER ? [texts[0]!, space, texts[1]!, space, version] : [version, space, texts[0]!]));
    if (dir === TO_SERVER) this.#startLine = line;
    return out.set(line, 0, line.length);
  }

  override record(): TransactionRecord {
    const { body } = super.record();
    return { type: 'http', body: { ...body, version: '2', http2: { stream_id: this.stream } }, toServer: true };
  }
}

/** One frame that concerns the connection: SETTINGS, PING, GOAWAY, WINDOW_UPDATE on stream 0. */
export class Http2Control extends MessageTransaction implements Http2Frames {
  readonly facts = new FrameFacts();

  override integers(name: string, dir: number): readonly number[] {
    return dir === this.dir ? this.facts.values(name, dir) : NONE;
  }

  override record(): null {
    return null;
  }
}
