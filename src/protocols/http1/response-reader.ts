/** Responses: status line, fields, body; matched to the oldest request that has no response yet. */
import { CR, LF, ascii, findNoCase, isSpace, equalsNoCase } from '../bytes.js';
import { ByteSlice } from '../transaction.js';
import { finishResponse, openResponseBody } from './bodies.js';
import { FIELD, type MessageHead } from './head.js';
import { ambiguousLength, contentLength, MessageReader, State } from './message-reader.js';
import type { Http1Parser } from './parser.js';
import { versionOf } from './request-reader.js';
import { Method, Progress, type HttpTransaction } from './transaction.js';

const CHUNKED = ascii('chunked');
const BYTERANGES = ascii('multipart/byteranges');
const scratch = new ByteSlice();

/** Does the line start, after white space and NULs, like a status line? Browsers ask no more either. */
function looksLikeStatusLine(buf: Uint8Array, off: number, end: number): boolean {
  let i = off;
  while (i < end && (isSpace(buf[i]!) || buf[i] === 0)) i++;
  return end - i >= 4 && (buf[i]! | 32) === 104 && (buf[i + 1]! | 32) === 116 && (buf[i + 2]! | 32) === 116 && (buf[i + 3]! | 32) === 112;
}

export class ResponseReader extends MessageReader {
  protected readonly lenientCr = true;
  readonly #parser: Http1Parser;
  tx: HttpTransaction | null = null;

  constructor(parser: Http1Parser) {
    super();
    this.#parser = parser;
  }

  protected get head(): MessageHead {
    return this.tx!.response;
  }

  protected get colonEndsFold(): boolean {
    return this.tx!.responseVersion === 1;
  }

  protected startLine(buf: Uint8Array, end: number): boolean {
    if (this.tx === null || this.tx.doneToClient) {
      this.tx = this.#parser.nextResponse(this.flow);
      if (this.tx.version === 9 && this.tx.hasRequest) {
        // HTTP/0.9: everything is body
        this.tx.responding = true;
        this.#beginBody(this.tx, false);
        this.state = State.BODY_CLOSE;
        return true;
      }
    }
    const tx = this.tx;
    tx.responding = true;
    if (!this.findLine(buf, end, true)) return false;
    const off = this.lineOff;
    const len = this.lineEnd - off;
    let blank = true;
    for (let i = off; i < this.lineEnd; i++) {
      if (!isSpace(buf[i]!)) {
        blank = false;
        break;
      }
    }
    if (blank) {
      this.pos = this.lineNext;
      return true;
    }
    if (!looksLikeStatusLine(buf, off, this.lineEnd)) {
      // a stray line before a status line is skipped, anything else is taken for a body without head
      if (this.lineNext >= end && !this.closed) return false;
      if (this.lineNext < end && ((buf[this.lineNext]! | 32) === 104 || len <= 2)) {
        this.pos = this.lineNext;
        return true;
      }
      this.#beginBody(tx, false);
      this.state = State.BODY_CLOSE;
      return true;
    }
    this.pos = this.lineNext;
    const head = tx.response;
    head.rawLen = 0;
    head.appendRaw(buf, off, len);
    head.lineLen = len;
    head.blockOff = len;
    tx.dirtyToClient = true;
    this.#parseLine(tx, head.raw, len);
    tx.progressToClient = Progress.LINE;
    this.beginHeaders(State.HEADERS);
    return true;
  }

  #parseLine(tx: HttpTransaction, raw: Uint8Array, len: number): void {
    let pos = 0;
    while (pos < len && (isSpace(raw[pos]!) || raw[pos] === 0)) pos++;
    let start = pos;
    while (pos < len && !isSpace(raw[pos]!)) pos++;
    tx.responseProtocolOff = start;
    tx.responseProtocolLen = pos - start;
    tx.responseVersion = versionOf(raw, start, pos - start);
    while (pos < len && isSpace(raw[pos]!)) pos++;
    start = pos;
    while (pos < len && !isSpace(raw[pos]!)) pos++;
    tx.statusOff = start;
    tx.statusLen = pos - start;
    let status = 0;
    for (let i = start; i < pos && status >= 0; i++) {
      const d = raw[i]! - 48;
      status = d < 0 || d > 9 || status > 999 ? -1 : status * 10 + d;
    }
    tx.status = status >= 100 && status <= 999 ? status : 0;
    while (pos < len && isSpace(raw[pos]!)) pos++;
    tx.messageOff = pos;
    tx.messageLen = len - pos;
    if (tx.responseVersion < 0) tx.addEvent('http.response_invalid_protocol');
    if (tx.status === 0) tx.addEvent('http.response_invalid_status');
  }

  protected headersComplete(): void {
    const tx = this.tx!;
    const head = tx.response;
    tx.progressToClient = Progress.HEADERS;
    tx.dirtyToClient = true;
    const coded = head.find(FIELD['transfer-encoding']) >= 0;
    const lengthRow = head.find(FIELD['content-length']);
    let length = -1;
    if (lengthRow >= 0) {
      head.value(lengthRow, scratch);
      length = contentLength(scratch.buf, scratch.off, scratch.len);
    }
    const observer = this.#parser.observer;
    // Interim responses; Suricata, whose rules count on it, takes all but 100 for final ones.
    const interim = (tx.status === 100 || (observer !== null && tx.status > 101 && tx.status < 200)) && !coded && length <= 0;
    if (observer !== null && !interim) observer.responseHead(this.flow, tx);
    if (tx.method === Method.CONNECT) {
      const accepted = tx.status >= 200 && tx.status <= 299;
      if (accepted) this.complete();
      this.#parser.connectAnswered(this.flow, accepted);
      if (accepted) return;
    }
    if (tx.status === 101 && !coded && lengthRow < 0) {
      this.complete();
      this.#parser.upgraded(this.flow);
      return;
    }
    if (interim) {
      if (tx.status === 100) {
        if (tx.seen100) tx.addEvent('http.100_continue_already_seen');
        tx.seen100 = true;
      }
      tx.responding = false;
      head.clearFields();
      tx.invalidate(1);
      this.state = State.LINE;
      return;
    }
    const bodyless = tx.method === Method.HEAD || (((tx.status >= 100 && tx.status <= 199) || tx.status === 204 || tx.status === 304) && !coded && lengthRow < 0);
    if (bodyless) {
      this.complete();
      return;
    }
    if (lengthRow >= 0 && head.repeated(lengthRow)) tx.addEvent('http.duplicate_content_length_field_in_response');
    if (coded) {
      head.field(FIELD['transfer-encoding'], scratch);
      if (findNoCase(scratch.buf, scratch.off, scratch.off + scratch.len, CHUNKED) >= 0) {
        if (!equalsNoCase(scratch.buf, scratch.off, scratch.len, CHUNKED)) tx.addEvent('http.response_abnormal_transfer_encoding');
        if (tx.responseVersion === 0 || tx.responseVersion === 9) tx.addEvent('http.response_chunked_old_proto');
        this.#beginBody(tx, true);
        this.state = State.CHUNK_LENGTH;
        return;
      }
    }
    if (lengthRow >= 0 && length < 0) tx.addEvent('http.invalid_content_length_field_in_response');
    if (length === 0) {
      this.complete();
      return;
    }
    if (lengthRow < 0 && head.field(FIELD['content-type'], scratch) && findNoCase(scratch.buf, scratch.off, scratch.off + scratch.len, BYTERANGES) >= 0) {
      tx.addEvent('http.response_multipart_byteranges');
    }
    this.#beginBody(tx, true);
    if (lengthRow >= 0) head.value(lengthRow, scratch);
    if (length > 0 && !ambiguousLength(scratch.buf, scratch.off, scratch.len)) {
      this.left = length;
      this.state = State.BODY_LENGTH;
    } else this.state = State.BODY_CLOSE;
  }

  #beginBody(tx: HttpTransaction, withHead: boolean): void {
    openResponseBody(tx, this.#parser.options, withHead, this.#parser.observer?.bodySink(this.flow, tx, 1) ?? null);
  }

  protected bodyData(buf: Uint8Array, off: number, len: number): void {
    const tx = this.tx!;
    tx.responseBody!.receive(buf, off, len);
    tx.dirtyToClient = true;
  }

  protected finish(): void {
    const tx = this.tx!;
    if (this.state === State.TRAILERS) tx.invalidate(1); // trailer fields count as fields
    finishResponse(tx);
    this.state = State.LINE;
    this.#parser.observer?.responseEnd(this.flow, tx);
  }

  /** Servers and browsers that read on take what follows and is no message for more of the body, so it is inspected as such. */
  protected takeUnexpectedBody(buf: Uint8Array, off: number, end: number): number {
    const tx = this.tx;
    if (tx === null || this.state !== State.LINE || !tx.doneToClient || tx.responseBody === null) return 0;
    let stop = off;
    while (stop < end && (buf[stop] === CR || buf[stop] === LF)) stop++;
    if (stop === end || looksLikeStatusLine(buf, stop, end) || end - stop < 4) return 0;
    while (stop < end && buf[stop++] !== LF);
    const body = tx.responseBody;
    body.complete = false;
    body.receive(buf, off, stop - off);
    body.complete = true;
    tx.dirtyToClient = true;
    return stop - off;
  }

  protected ignored(): void {
    // Only requests lead there.
  }

  protected badChunk(): void {
    this.tx!.addEvent('http.invalid_response_chunk_len');
    this.state = State.BODY_CLOSE;
  }

  protected event(name: 'missing_colon' | 'invalid_name' | 'invalid_folding' | 'too_long' | 'too_many' | 'chunk_extension' | 'repetition'): void {
    if (this.tx !== null && !this.tx.doneToClient) this.tx.addEvent(EVENTS[name]);
  }

  end(): void {
    if (this.tx !== null && !this.tx.doneToClient) this.complete();
  }
}

const EVENTS = {
  missing_colon: 'http.response_field_missing_colon',
  invalid_name: 'http.response_header_invalid',
  invalid_folding: 'http.invalid_response_field_folding',
  too_long: 'http.response_field_too_long',
  too_many: 'http.response_too_many_headers',
  chunk_extension: 'http.response_chunk_extension',
  repetition: 'http.response_header_repetition',
} as const;
