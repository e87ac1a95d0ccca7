/**
 * HTTP/2 on one connection (RFC 9113): frames of both directions to exchanges. Broken framing and broken header compression
 * end it, since nothing that follows could be read; everything else raises an event and goes on.
 */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import { copyRange, equalsNoCase } from '../bytes.js';
import { FIELD } from '../http1/head.js';
import { HttpProgress, type Http1Options } from '../http1/index.js';
import { finishRequest, finishResponse, openRequestBody, openResponseBody } from '../http1/bodies.js';
import { methodOf } from '../http1/request-reader.js';
import type { HttpObserver } from '../http-observer.js';
import type { AppParser } from '../parser.js';
import { ByteSlice } from '../transaction.js';
import { FrameType, Http2Control, Http2Exchange, Http2Number } from './exchange.js';
import { HpackDecoder, TABLE_MAX, type FieldSink } from './hpack.js';

export const PREFACE = new Uint8Array(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'));
const HEADER_BYTES = 9;
/** Longest frame that is not DATA and is read; also the most a header block may have in all its frames. */
const BLOCK_LIMIT = 65_536;
/** Streams followed at one time; the one opened first is given up for a new one. */
const STREAM_LIMIT = 512;

/** Frame flags. */
const END_STREAM = 1;
const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 0x20;

const SETTINGS_HEADER_TABLE_SIZE = 1;
const HOST_NAME = new Uint8Array(Buffer.from('host', 'latin1'));
const FIXED_LENGTH = new Map<number, number>([[FrameType.PRIORITY, 5], [FrameType.RST_STREAM, 4], [FrameType.PING, 8], [FrameType.WINDOW_UPDATE, 4]]);

const scratch = new ByteSlice();
const other = new ByteSlice();

/** What is known about one direction. */
class Side {
  readonly hpack = new HpackDecoder();
  preface = 0;
  /** Bytes of the DATA frame at hand still to come, and of its padding behind them. */
  left = 0;
  padding = 0;
  /** Flags and exchange of that frame; null = nobody wants it. */
  flags = 0;
  exchange: Http2Exchange | null = null;
  /** Header block under way: bytes so far, stream they belong to (0 = none), END_STREAM seen, promised. */
  block = new Uint8Array(0);
  blockLen = 0;
  blockStream = 0;
  blockEnds = false;
  blockPromised = false;
}

export class Http2Parser implements AppParser, FieldSink {
  readonly #options: Http1Options;
  #observer: HttpObserver | null = null;
  readonly #sides = [new Side(), new Side()];
  /** Open streams, oldest first. */
  readonly #streams = new Map<number, Http2Exchange>();
  #highest = 0;
  #nextId = 0;

  // The header block being decoded.
  #tx!: Http2Exchange;
  #dir = 0;
  #pseudoDone = false;

  constructor(options: Http1Options) {
    this.#options = options;
  }

  observe(observer: HttpObserver): void {
    this.#observer = observer;
  }

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    const side = this.#sides[dir]!;
    let pos = off;
    if (dir === TO_SERVER && side.preface < PREFACE.length) {
      while (pos < end && side.preface < PREFACE.length) {
        if (buf[pos] !== PREFACE[side.preface]) {
          this.#control(flow, dir).addEvent('http2.invalid_client_magic');
          return -1;
        }
        pos++;
        side.preface++;
      }
    }
    while (pos < end) {
      if (side.left > 0 || side.padding > 0) {
        pos = this.#body(flow, dir, side, buf, pos, end);
        continue;
      }
      if (end - pos < HEADER_BYTES) break;
      const length = (buf[pos]! << 16) | (buf[pos + 1]! << 8) | buf[pos + 2]!;
      const type = buf[pos + 3]!;
      const flags = buf[pos + 4]!;
      const stream = (((buf[pos + 5]! & 0x7f) << 24) | (buf[pos + 6]! << 16) | (buf[pos + 7]! << 8) | buf[pos + 8]!) >>> 0;
      if (type === FrameType.DATA) {
        // The length of the padding is the first byte of the payload.
        if ((flags & PADDED) !== 0 && length > 0 && end - pos < HEADER_BYTES + 1) break;
        pos = this.#beginData(flow, dir, side, stream, flags, length, buf, pos + HEADER_BYTES);
        if (pos < 0) return -1;
        continue;
      }
      if (length > BLOCK_LIMIT) {
        this.#control(flow, dir).addEvent('http2.long_frame_data');
        return -1;
      }
      if (end - pos < HEADER_BYTES + length) break;
      const start = pos + HEADER_BYTES;
      if (!this.#frame(flow, dir, side, type, flags, stream, buf, start, start + length)) return -1;
      pos = start + length;
    }
    return pos - off;
  }

  gap(_flow: Flow, dir: number, _position: number, length: number): boolean {
    const side = this.#sides[dir]!;
    if (length > side.left) return false;
    side.left -= length;
    return true;
  }

  close(flow: Flow, dir: number): void {
    for (const tx of this.#streams.values()) this.#end(flow, dir, tx);
  }

  // ---- frames ----------------------------------------------------------------------------------------------------

  /** @returns false when the connection cannot be followed any more */
  #frame(flow: Flow, dir: number, side: Side, type: number, flags: number, stream: number, buf: Uint8Array, start: number, end: number): boolean {
    if (side.blockStream !== 0 && type !== FrameType.CONTINUATION) {
      // Section 6.10: nothing may come between the frames of a header block.
      this.#control(flow, dir).addEvent('http2.invalid_frame_data');
      return false;
    }
    const wanted = FIXED_LENGTH.get(type);
    if (wanted !== undefined && end - start !== wanted) {
      this.#control(flow, dir).addEvent('http2.invalid_frame_length');
      return true;
    }
    switch (type) {
      case FrameType.HEADERS:
      case FrameType.PUSH_PROMISE:
        return this.#headers(flow, dir, side, type, flags, stream, buf, start, end);
      case FrameType.CONTINUATION:
        if (side.blockStream === 0 || stream !== side.blockStream) {
          this.#control(flow, dir).addEvent('http2.invalid_frame_data');
          return false;
        }
        this.#streams.get(stream)?.facts.note(Http2Number.FRAME_TYPE, dir, type);
        return this.#fragment(flow, dir, side, flags, buf, start, end);
      default: {
        const tx = (stream === 0 ? null : this.#streams.get(stream)) ?? this.#control(flow, dir);
        tx.facts.note(Http2Number.FRAME_TYPE, dir, type);
        touch(tx, dir);
        this.#numbers(dir, tx, type, flags, buf, start, end);
        if (type === FrameType.RST_STREAM && tx instanceof Http2Exchange) {
          this.#end(flow, 0, tx);
          this.#end(flow, 1, tx);
        }
        return true;
      }
    }
  }

  #numbers(dir: number, tx: Http2Exchange | Http2Control, type: number, flags: number, buf: Uint8Array, start: number, end: number): void {
    const word = (at: number): number => ((buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!) >>> 0;
    switch (type) {
      case FrameType.PRIORITY:
        tx.facts.note(Http2Number.PRIORITY, dir, buf[start + 4]!);
        break;
      case FrameType.RST_STREAM:
        tx.facts.note(Http2Number.ERROR, dir, word(start));
        break;
      case FrameType.GOAWAY:
        if (end - start < 8) tx.addEvent('http2.invalid_frame_length');
        else tx.facts.note(Http2Number.ERROR, dir, word(start + 4));
        break;
      case FrameType.WINDOW_UPDATE:
        tx.facts.note(Http2Number.WINDOW, dir, word(start) & 0x7fff_ffff);
        break;
      case FrameType.SETTINGS:
        if ((end - start) % 6 !== 0) {
          tx.addEvent('http2.invalid_frame_length');
          break;
        }
        for (let at = start; at < end; at += 6) {
          const id = (buf[at]! << 8) | buf[at + 1]!;
          const value = word(at + 2);
          if (tx.facts.settings.length < 64) tx.facts.settings.push({ id, value });
          // What one side allows bounds the table that the other side's blocks are coded with.
          if (id === SETTINGS_HEADER_TABLE_SIZE && (flags & 1) === 0) this.#sides[1 - dir]!.hpack.allowTable(value);
        }
        break;
      default:
        break;
    }
  }

  #headers(flow: Flow, dir: number, side: Side, type: number, flags: number, stream: number, buf: Uint8Array, start: number, end: number): boolean {
    let from = start;
    let to = end;
    if ((flags & PADDED) !== 0) {
      to -= buf[start] ?? 0;
      from++;
    }
    let target = stream;
    let weight = -1;
    if (type === FrameType.PUSH_PROMISE) {
      target = (((buf[from]! & 0x7f) << 24) | (buf[from + 1]! << 16) | (buf[from + 2]! << 8) | buf[from + 3]!) >>> 0;
      from += 4;
    } else if ((flags & PRIORITY) !== 0) {
      weight = buf[from + 4] ?? 0;
      from += 5;
    }
    if (from > to || stream === 0 || target === 0) {
      this.#control(flow, dir).addEvent(from > to ? 'http2.invalid_frame_length' : 'http2.invalid_frame_data');
      return false;
    }
    const promised = type === FrameType.PUSH_PROMISE;
    const tx = this.#exchange(flow, dir, target, promised);
    if (dir === TO_SERVER && tx.doneToServer) tx.addEvent('http2.stream_id_reuse');
    tx.facts.note(Http2Number.FRAME_TYPE, dir, type);
    if (weight >= 0) tx.facts.note(Http2Number.PRIORITY, dir, weight);
    side.blockStream = stream;
    side.blockLen = 0;
    side.blockPromised = promised;
    side.blockEnds = !promised && (flags & END_STREAM) !== 0;
    side.exchange = tx;
    return this.#fragment(flow, dir, side, flags, buf, from, to);
  }

  /** Part of a header block; decoded when the last one is there. */
  #fragment(flow: Flow, dir: number, side: Side, flags: number, buf: Uint8Array, start: number, end: number): boolean {
    const last = (flags & END_HEADERS) !== 0;
    const tx = side.exchange!;
    if (last && side.blockLen === 0) return this.#block(flow, dir, side, tx, buf, start, end);
    const need = side.blockLen + end - start;
    if (need > BLOCK_LIMIT) {
      tx.addEvent('http2.reassembly_limit_reached');
      return false;
    }
    if (need > side.block.length) {
      const block = new Uint8Array(Math.min(BLOCK_LIMIT, need * 2));
      copyRange(side.block, 0, side.blockLen, block, 0);
      side.block = block;
    }
    copyRange(buf, start, end - start, side.block, side.blockLen);
    side.blockLen = need;
    return !last || this.#block(flow, dir, side, tx, side.block, 0, need);
  }

  #block(flow: Flow, dir: number, side: Side, tx: Http2Exchange, buf: Uint8Array, start: number, end: number): boolean {
    // A promised request travels to the client, but is a request.
    const headDir = side.blockPromised ? TO_SERVER : dir;
    this.#tx = tx;
    this.#dir = headDir;
    this.#pseudoDone = false;
    const interim = headDir !== TO_SERVER && !tx.heads[1] && tx.status > 0;
    if (interim) this.#forgetInterim(tx);
    const whole = side.hpack.decode(buf, start, end, this);
    side.blockStream = 0;
    side.block = side.block.length > 16_384 ? new Uint8Array(0) : side.block;
    if (!whole) {
      tx.addEvent('http2.failed_decompression');
      touch(tx, dir);
      return false;
    }
    if (side.hpack.overflow) tx.addEvent('http2.reassembly_limit_reached');
    touch(tx, headDir);
    if (headDir === TO_SERVER) this.#requestHead(flow, tx);
    else this.#responseHead(flow, tx);
    if (side.blockEnds || side.blockPromised) this.#end(flow, headDir, tx);
    return true;
  }

  // ---- FieldSink -------------------------------------------------------------------------------------------------

  tableSize(size: number): void {
    this.#tx.facts.note(Http2Number.SIZE_UPDATE, this.#dir, size);
    if (size > TABLE_MAX) this.#tx.addEvent('http2.header_table_size_too_large');
  }

  field(name: Uint8Array, nameOff: number, nameLen: number, value: Uint8Array, valueOff: number, valueLen: number): void {
    const tx = this.#tx;
    const head = tx.head(this.#dir);
    const at = head.appendRaw(name, nameOff, nameLen);
    head.appendRaw(SEPARATOR, 0, 2);
    const valueAt = head.appendRaw(value, valueOff, valueLen);
    head.appendRaw(LINE_END, 0, 2);
    const pseudo = nameLen > 0 && name[nameOff] === 58;
    const { keepsAll } = head;
    if (pseudo) {
      // Whoever follows exchanges knows these as parts of the start line.
      head.keepsAll = false;
      if (this.#pseudoDone) tx.addEvent('http2.invalid_header');
    } else this.#pseudoDone = true;
    if (head.addField(false, at, nameLen, valueAt, valueLen) < 0) tx.addEvent('http2.extra_header_data');
    head.keepsAll = keepsAll;
    if (pseudo && !tx.heads[this.#dir]) this.#pseudo(tx, at, nameLen, valueAt, valueLen);
  }

  #pseudo(tx: Http2Exchange, at: number, nameLen: number, valueAt: number, valueLen: number): void {
    const { raw } = tx.head(this.#dir);
    const is = (word: string): boolean => word.length === nameLen && Buffer.from(raw.buffer, raw.byteOffset + at, nameLen).toString('latin1') === word;
    if (this.#dir !== TO_SERVER) {
      if (!is(':status')) return;
      tx.statusOff = valueAt;
      tx.statusLen = valueLen;
      const status = Number(Buffer.from(raw.buffer, raw.byteOffset + valueAt, valueLen).toString('latin1'));
      tx.status = Number.isInteger(status) && status >= 100 && status <= 999 ? status : 0;
    } else if (is(':method')) {
      tx.methodOff = valueAt;
      tx.methodLen = valueLen;
      tx.method = methodOf(raw, valueAt, valueLen);
    } else if (is(':path')) {
      tx.uriOff = valueAt;
      tx.uriLen = valueLen;
    } else if (is(':authority')) {
      tx.authorityOff = valueAt;
      tx.authorityLen = valueLen;
    }
  }

  // ---- exchanges -------------------------------------------------------------------------------------------------

  #requestHead(flow: Flow, tx: Http2Exchange): void {
    tx.invalidate(0);
    if (tx.heads[0]) return; // trailer fields count as fields
    tx.heads[0] = true;
    tx.progressToServer = HttpProgress.HEADERS;
    const head = tx.request;
    if (tx.authorityOff >= 0) {
      const end = tx.authorityOff + tx.authorityLen;
      for (let i = tx.authorityOff; i < end; i++) if (head.raw[i] === 64) tx.addEvent('http2.userinfo_in_uri');
      if (!head.field(FIELD.host, scratch)) {
        if (head.keepsAll) {
          const at = head.appendExtra(HOST_NAME, 0, HOST_NAME.length);
          head.keepField(true, at, HOST_NAME.length, head.appendExtra(head.raw, tx.authorityOff, tx.authorityLen), tx.authorityLen);
        }
      } else {
        other.set(head.raw, tx.authorityOff, tx.authorityLen);
        if (scratch.len !== other.len || !equalsNoCase(scratch.buf, scratch.off, scratch.len, head.raw.slice(other.off, other.off + other.len))) tx.addEvent('http2.authority_host_mismatch');
      }
    }
    this.#observer?.requestHead(flow, tx);
  }

  #responseHead(flow: Flow, tx: Http2Exchange): void {
    tx.invalidate(1);
    if (tx.heads[1]) return;
    tx.progressToClient = HttpProgress.HEADERS;
    if (tx.status >= 100 && tx.status < 200) return;
    tx.heads[1] = true;
    this.#observer?.responseHead(flow, tx);
  }

  /** An interim response (100, 103) gives way to the next. */
  #forgetInterim(tx: Http2Exchange): void {
    const head = tx.response;
    head.rawLen = head.blockOff;
    head.clearFields();
    tx.status = 0;
    tx.statusLen = 0;
  }

  #exchange(flow: Flow, dir: number, stream: number, promised: boolean): Http2Exchange {
    const known = this.#streams.get(stream);
    if (known !== undefined) return known;
    const asked = dir === TO_SERVER || promised;
    const tx = new Http2Exchange(this.#nextId++, stream, this.#options.uri, asked);
    if (this.#observer !== null) tx.request.keepsAll = tx.response.keepsAll = true;
    if (stream <= this.#highest && asked && !promised) tx.addEvent('http2.stream_id_reuse');
    this.#highest = Math.max(this.#highest, stream);
    if (!asked) tx.doneToServer = true;
    flow.transactions.push(tx);
    if (this.#streams.size >= STREAM_LIMIT) {
      const oldest = this.#streams.values().next().value!;
      this.#end(flow, 0, oldest);
      this.#end(flow, 1, oldest);
    }
    this.#streams.set(stream, tx);
    return tx;
  }

  /** A transaction for one frame of the connection. */
  #control(flow: Flow, dir: number): Http2Control {
    const tx = new Http2Control(this.#nextId++, dir);
    flow.transactions.push(tx);
    return tx;
  }

  /** Nothing more comes in this direction of the stream. */
  #end(flow: Flow, dir: number, tx: Http2Exchange): void {
    if (dir === TO_SERVER) {
      if (!tx.doneToServer) {
        finishRequest(tx);
        this.#observer?.requestEnd(flow, tx);
      }
    } else if (!tx.doneToClient) {
      finishResponse(tx);
      this.#observer?.responseEnd(flow, tx);
    }
    if (tx.doneToServer && tx.doneToClient) this.#streams.delete(tx.stream);
  }

  // ---- DATA ------------------------------------------------------------------------------------------------------

  /** @returns position behind what was read of the frame, -1 when the connection cannot be followed any more */
  #beginData(flow: Flow, dir: number, side: Side, stream: number, flags: number, length: number, buf: Uint8Array, start: number): number {
    let from = start;
    let left = length;
    let padding = 0;
    if ((flags & PADDED) !== 0) {
      padding = length === 0 ? 1 : buf[from]!;
      from++;
      left = length - 1 - padding;
    }
    if (left < 0 || side.blockStream !== 0) {
      this.#control(flow, dir).addEvent(left < 0 ? 'http2.invalid_frame_length' : 'http2.invalid_frame_data');
      return -1;
    }
    const tx = this.#streams.get(stream) ?? null;
    side.exchange = tx;
    side.left = left;
    side.padding = padding;
    side.flags = flags;
    if (tx === null) this.#control(flow, dir).facts.note(Http2Number.FRAME_TYPE, dir, FrameType.DATA);
    else tx.facts.note(Http2Number.FRAME_TYPE, dir, FrameType.DATA);
    if (left + padding === 0) this.#endData(flow, dir, side);
    return from;
  }

  #body(flow: Flow, dir: number, side: Side, buf: Uint8Array, off: number, end: number): number {
    const take = Math.min(side.left, end - off);
    const tx = side.exchange;
    if (take > 0 && tx !== null) {
      if (dir === TO_SERVER && !tx.doneToServer) {
        if (tx.requestBody === null) openRequestBody(tx, this.#options, this.#observer?.bodySink(flow, tx, 0) ?? null);
        tx.requestBody!.receive(buf, off, take);
        tx.multipart?.write(buf, off, take);
      } else if (dir !== TO_SERVER && !tx.doneToClient) {
        if (tx.responseBody === null) openResponseBody(tx, this.#options, true, this.#observer?.bodySink(flow, tx, 1) ?? null);
        tx.responseBody!.receive(buf, off, take);
      }
      touch(tx, dir);
    }
    side.left -= take;
    const skip = side.left > 0 ? 0 : Math.min(side.padding, end - off - take);
    side.padding -= skip;
    if (side.left + side.padding === 0) this.#endData(flow, dir, side);
    return off + take + skip;
  }

  #endData(flow: Flow, dir: number, side: Side): void {
    const tx = side.exchange;
    side.exchange = null;
    if (tx !== null && (side.flags & END_STREAM) !== 0) this.#end(flow, dir, tx);
  }
}

const SEPARATOR = new Uint8Array([58, 32]);
const LINE_END = new Uint8Array([13, 10]);

function touch(tx: Http2Exchange | Http2Control, dir: number): void {
  if (dir === TO_SERVER) tx.dirtyToServer = true;
  else tx.dirtyToClient = true;
}
