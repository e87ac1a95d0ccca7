/** Requests: request line, fields, body; opens one transaction each. */
import { ascii, equalsNoCase, findNoCase, hexValue, isSpace, startsNoCase } from '../bytes.js';
import { ByteSlice } from '../transaction.js';
import { Body } from '../body.js';
import { finishRequest, openRequestBody } from './bodies.js';
import { FIELD, type MessageHead } from './head.js';
import { contentLength, MessageReader, State } from './message-reader.js';
import type { Http1Parser } from './parser.js';
import { HttpTransaction, Method, Progress } from './transaction.js';
import { UriParts } from './uri.js';

const CHUNKED = ascii('chunked');
const HTTP = ascii('http/');
const AUTH_SCHEMES = ['basic ', 'digest ', 'bearer ', 'ntlm ', 'negotiate '].map(ascii);
/** Methods that are known as such (RFC 9110, WebDAV, and what libhtp knows). */
const METHODS = new Map<number, { readonly bytes: Uint8Array; readonly id: number }[]>();
for (const name of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK', 'VERSION-CONTROL', 'CHECKOUT', 'UNCHECKOUT', 'CHECKIN', 'UPDATE', 'LABEL', 'REPORT', 'MKWORKSPACE', 'MKACTIVITY', 'BASELINE-CONTROL', 'MERGE', 'INVALID', 'SEARCH', 'BMOVE', 'BCOPY', 'SUBSCRIBE', 'UNSUBSCRIBE', 'NOTIFY', 'POLL', 'BPROPFIND', 'BPROPPATCH', 'BDELETE', 'RPC_IN_DATA', 'RPC_OUT_DATA']) {
  const id = name === 'HEAD' ? Method.HEAD : name === 'CONNECT' ? Method.CONNECT : name === 'POST' ? Method.POST : name === 'PUT' ? Method.PUT : Method.OTHER;
  const list = METHODS.get(name.length) ?? [];
  list.push({ bytes: ascii(name), id });
  METHODS.set(name.length, list);
}

/** Method id of a token. Methods are case-sensitive. */
export function methodOf(buf: Uint8Array, off: number, len: number): number {
  const list = METHODS.get(len);
  if (list === undefined) return Method.UNKNOWN;
  next: for (let k = 0; k < list.length; k++) {
    const { bytes, id } = list[k]!;
    for (let i = 0; i < len; i++) if (buf[off + i] !== bytes[i]) continue next;
    return id;
  }
  return Method.UNKNOWN;
}

/** Minor version of "HTTP/1.x" (9 for 0.9), -1 for anything else. Leading zeros are tolerated. */
export function versionOf(buf: Uint8Array, off: number, len: number): number {
  const end = off + len;
  if (!startsNoCase(buf, off, end, HTTP)) return -1;
  const at = off + 5;
  if (at + 2 >= end || buf[at + 1] !== 46) return -1;
  const major = buf[at]! - 48;
  let minor = 0;
  for (let i = at + 2; i < end; i++) {
    const d = buf[i]! - 48;
    if (d < 0 || d > 9) return -1;
    minor = Math.min(99, minor * 10 + d);
  }
  if (major === 0) return minor === 9 ? 9 : -1;
  return major === 1 && minor <= 1 ? minor : -1;
}

const scratch = new ByteSlice();
const parts = new UriParts();

export class RequestReader extends MessageReader {
  protected readonly lenientCr = false;
  readonly #parser: Http1Parser;
  tx: HttpTransaction | null = null;
  /** The observer knows that this direction is not followed any more. */
  #told = false;

  constructor(parser: Http1Parser) {
    super();
    this.#parser = parser;
  }

  protected get head(): MessageHead {
    return this.tx!.request;
  }

  protected get colonEndsFold(): boolean {
    return false;
  }

  protected startLine(buf: Uint8Array, end: number): boolean {
    if (!this.findLine(buf, end, false)) return false;
    const off = this.lineOff;
    const len = this.lineEnd - off;
    this.pos = this.lineNext;
    if (len === 0) return true; // empty lines before a request are ignored (RFC 9112 section 2.2)
    const tx = this.#parser.openTransaction(this.flow, true);
    this.tx = tx;
    const head = tx.request;
    head.appendRaw(buf, off, len);
    head.lineLen = len;
    head.blockOff = len;
    tx.dirtyToServer = true;
    const hasVersion = this.#parseLine(tx, head.raw, len);
    tx.progressToServer = Progress.LINE;
    if (hasVersion || this.#headersFollow(buf, end)) this.beginHeaders(State.HEADERS);
    else {
      // HTTP/0.9: no fields, no body, nothing after it
      tx.version = 9;
      this.#parser.observer?.requestHead(this.flow, tx);
      this.complete();
      this.state = State.IGNORE;
    }
    return true;
  }

  /** Split the request line. @returns true when it names a protocol version */
  #parseLine(tx: HttpTransaction, raw: Uint8Array, len: number): boolean {
    let pos = 0;
    while (pos < len && isSpace(raw[pos]!)) pos++;
    if (pos > 0) tx.addEvent('http.request_line_leading_whitespace');
    let start = pos;
    while (pos < len && !isSpace(raw[pos]!)) pos++;
    tx.methodOff = start;
    tx.methodLen = pos - start;
    tx.method = methodOf(raw, start, pos - start);
    let odd = false;
    while (pos < len && isSpace(raw[pos]!)) if (raw[pos++] !== 32) odd = true;
    if (odd) tx.addEvent('http.method_delim_non_compliant');
    if (pos === len) {
      tx.addEvent(tx.method === Method.UNKNOWN ? 'http.request_line_invalid' : 'http.request_line_incomplete');
      return false;
    }
    start = pos;
    odd = false;
    while (pos < len && raw[pos] !== 32) if (isSpace(raw[pos++]!)) odd = true;
    if (odd && pos === len) {
      // no space at all: take any white space for the delimiter
      pos = start;
      while (pos < len && !isSpace(raw[pos]!)) pos++;
    }
    if (odd) tx.addEvent('http.uri_delim_non_compliant');
    tx.uriOff = start;
    tx.uriLen = pos - start;
    this.#checkUri(tx, raw, start, pos);
    while (pos < len && isSpace(raw[pos]!)) pos++;
    if (pos === len) return false;
    tx.protocolOff = pos;
    tx.protocolLen = len - pos;
    tx.version = versionOf(raw, pos, len - pos);
    if (tx.version < 0 && tx.method === Method.UNKNOWN) tx.addEvent('http.request_line_invalid');
    return true;
  }

  #checkUri(tx: HttpTransaction, raw: Uint8Array, off: number, end: number): void {
    for (let i = off; i + 4 < end; i++) {
      // %25 followed by two hexadecimal digits decodes to another escape
      if (raw[i] === 37 && raw[i + 1] === 50 && raw[i + 2] === 53 && hexValue(raw[i + 3]!) >= 0 && hexValue(raw[i + 4]!) >= 0) {
        tx.addEvent('http.double_encoded_uri');
        break;
      }
    }
    if (tx.method === Method.CONNECT) {
      parts.hostPort(raw, off, end);
      if (parts.port < 0 || portOf(raw, parts.port, parts.portEnd) < 0) tx.addEvent('http.invalid_authority_port');
    } else if (raw[off] !== 47) {
      parts.parse(raw, off, end);
      if (parts.host >= 0) {
        if (!validHost(raw, parts.host, parts.hostEnd)) tx.addEvent('http.request_uri_host_invalid');
        if (parts.port >= 0 && portOf(raw, parts.port, parts.portEnd) < 0) tx.addEvent('http.invalid_server_port_in_request');
      }
    }
  }

  /** A request line without version, but what follows looks like a field: the version was forgotten. */
  #headersFollow(buf: Uint8Array, end: number): boolean {
    for (let i = this.pos; i < end; i++) {
      const c = buf[i]!;
      if (c === 58) {
        if (i === this.pos) return false;
        this.tx!.addEvent('http.request_line_missing_protocol');
        return true;
      }
      if (c <= 32 || c >= 127) return false;
    }
    return false;
  }

  protected headersComplete(): void {
    const tx = this.tx!;
    const head = tx.request;
    tx.progressToServer = Progress.HEADERS;
    tx.dirtyToServer = true;
    this.#checkHost(tx);
    if (head.field(FIELD.authorization, scratch)) {
      const end = scratch.off + scratch.len;
      if (!AUTH_SCHEMES.some((scheme) => startsNoCase(scratch.buf, scratch.off, end, scheme))) tx.addEvent('http.request_auth_unrecognized');
    }
    const lengthRow = head.find(FIELD['content-length']);
    if (lengthRow >= 0 && head.repeated(lengthRow)) tx.addEvent('http.duplicate_content_length_field_in_request');
    this.#parser.observer?.requestHead(this.flow, tx);
    if (tx.method === Method.CONNECT) {
      this.complete();
      this.state = State.WAIT;
      return;
    }
    if (head.field(FIELD['transfer-encoding'], scratch)) {
      if (findNoCase(scratch.buf, scratch.off, scratch.off + scratch.len, CHUNKED) >= 0) {
        if (tx.version === 0 || tx.version === 9) tx.addEvent('http.invalid_transfer_encoding_value_in_request');
        this.#beginBody(tx);
        this.state = State.CHUNK_LENGTH;
        return;
      }
      tx.addEvent('http.invalid_transfer_encoding_value_in_request');
    }
    if (lengthRow >= 0) {
      head.value(lengthRow, scratch);
      const length = contentLength(scratch.buf, scratch.off, scratch.len);
      if (length < 0) tx.addEvent('http.invalid_content_length_field_in_request');
      else if (length > 0) {
        this.#beginBody(tx);
        this.left = length;
        this.state = State.BODY_LENGTH;
        return;
      }
    }
    this.complete();
  }

  #checkHost(tx: HttpTransaction): void {
    const head = tx.request;
    const row = head.find(FIELD.host);
    if (row < 0) {
      if (tx.version === 1) tx.addEvent('http.missing_host_header');
      return;
    }
    head.value(row, scratch);
    parts.hostPort(scratch.buf, scratch.off, scratch.off + scratch.len);
    const valid = validHost(scratch.buf, parts.host, parts.hostEnd) && (parts.port < 0 || portOf(scratch.buf, parts.port, parts.portEnd) >= 0);
    if (!valid) tx.addEvent('http.request_header_host_invalid');
    if (head.repeated(row)) tx.addEvent('http.host_header_ambiguous');
    if (tx.uriLen > 0 && head.raw[tx.uriOff] !== 47 && tx.method !== Method.CONNECT) {
      const { buf, off } = scratch;
      const hostLen = parts.hostEnd - off;
      parts.parse(head.raw, tx.uriOff, tx.uriOff + tx.uriLen);
      if (parts.host >= 0) {
        const same = parts.hostEnd - parts.host === hostLen && equalRangeNoCase(head.raw, parts.host, buf, off, hostLen);
        if (!same) tx.addEvent('http.host_header_ambiguous');
      }
    }
  }

  #beginBody(tx: HttpTransaction): void {
    openRequestBody(tx, this.#parser.options, this.#parser.observer?.bodySink(this.flow, tx, 0) ?? null);
  }

  protected bodyData(buf: Uint8Array, off: number, len: number): void {
    const tx = this.tx!;
    tx.requestBody!.receive(buf, off, len);
    tx.multipart?.write(buf, off, len);
    tx.dirtyToServer = true;
  }

  protected finish(): void {
    const tx = this.tx!;
    if (this.state === State.TRAILERS) tx.invalidate(0); // trailer fields count as fields
    finishRequest(tx);
    this.state = State.LINE;
    this.#parser.observer?.requestEnd(this.flow, tx);
  }

  /** Servers and browsers that read on take what follows and is no message for more of the body, so it is inspected as such. */
  protected takeUnexpectedBody(buf: Uint8Array, off: number, end: number): number {
    const tx = this.tx;
    if (tx === null || this.state !== State.LINE || !tx.doneToServer || tx.version === 9) return 0;
    let i = off;
    while (i < end && isSpace(buf[i]!)) i++;
    const start = i;
    while (i < end && !isSpace(buf[i]!)) i++;
    if (i === start || i === end || methodOf(buf, start, i - start) !== Method.UNKNOWN) return 0;
    let stop = i;
    while (stop < end && buf[stop] !== 10) stop++;
    // for a server it may well be a request, with a method that nobody has heard of
    if (this.#parser.observer !== null && namesVersion(buf, i, stop)) return 0;
    if (stop < end) stop++;
    tx.addEvent('http.request_body_unexpected');
    tx.requestBody ??= new Body(this.#parser.options.requestBodyLimit);
    tx.requestBody.receive(buf, off, stop - off);
    tx.dirtyToServer = true;
    return stop - off;
  }

  protected ignored(): void {
    if (this.#told) return;
    this.#told = true;
    this.#parser.observer?.ended(this.flow, 'parser-error');
  }

  protected badChunk(): void {
    this.tx!.addEvent('http.invalid_request_chunk_len');
    // what follows cannot be framed: all of it is inspected as body
    this.state = State.BODY_CLOSE;
  }

  protected event(name: 'missing_colon' | 'invalid_name' | 'invalid_folding' | 'too_long' | 'too_many' | 'chunk_extension' | 'repetition'): void {
    if (this.tx === null || this.tx.doneToServer) this.tx = this.#parser.openTransaction(this.flow, true);
    this.tx.addEvent(EVENTS[name]);
  }

  /** The connection ended: what was begun will not go on. */
  end(): void {
    if (this.tx !== null && !this.tx.doneToServer) this.complete();
  }
}

const EVENTS = {
  missing_colon: 'http.request_field_missing_colon',
  invalid_name: 'http.request_header_invalid',
  invalid_folding: 'http.invalid_request_field_folding',
  too_long: 'http.request_field_too_long',
  too_many: 'http.request_too_many_headers',
  chunk_extension: 'http.request_chunk_extension',
  repetition: 'http.request_header_repetition',
} as const;

/** Does the rest of a line hold " HTTP/", as request lines do? A line whose end is not there yet gets the benefit of the doubt. */
function namesVersion(buf: Uint8Array, off: number, end: number): boolean {
  return buf[end] !== 10 || findNoCase(buf, off, end, HTTP) >= 0;
}

function portOf(buf: Uint8Array, off: number, end: number): number {
  let n = 0;
  if (off === end) return -1;
  for (let i = off; i < end; i++) {
    const d = buf[i]! - 48;
    if (d < 0 || d > 9) return -1;
    n = n * 10 + d;
    if (n > 65535) return -1;
  }
  return n > 0 ? n : -1;
}

/** Host name syntax as libhtp checks it: labels of at most 63 bytes, no odd characters, or an address in brackets. */
function validHost(buf: Uint8Array, off: number, end: number): boolean {
  if (end === off || end - off > 255) return false;
  if (buf[off] === 91) return buf[end - 1] === 93;
  let label = 0;
  for (let i = off; i < end; i++) {
    const c = buf[i]!;
    if (c === 46) {
      if (label === 0) return false;
      label = 0;
      continue;
    }
    const alnum = (c >= 48 && c <= 57) || ((c | 32) >= 97 && (c | 32) <= 122);
    if (!alnum && c !== 45 && c !== 95) return false;
    if (++label > 63) return false;
  }
  return true;
}

function equalRangeNoCase(a: Uint8Array, aOff: number, b: Uint8Array, bOff: number, len: number): boolean {
  return equalsNoCase(a, aOff, len, b.slice(bOff, bOff + len).map((c) => (c >= 65 && c <= 90 ? c | 32 : c)));
}
