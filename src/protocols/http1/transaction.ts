/** One HTTP/1 exchange: what the readers filled in and the buffers built from it on demand. */
import type { TransactionRecord } from '../../pipeline/index.js';
import { ascii, lower, printable } from '../bytes.js';
import type { HttpExchange } from '../http-observer.js';
import { AppFile, ByteSlice, Transaction } from '../transaction.js';
import type { Body } from '../body.js';
import { FIELD, giveHead, MessageHead, takeHead } from './head.js';
import type { Multipart } from './multipart.js';
import { UriParts, isNormal, normaliseUri, type UriOptions } from './uri.js';

/**
 * Progress of both directions. A value means the named part is there: from LINE on the start line, from HEADERS on all
 * fields, from BODY on body bytes.
 */
export const Progress = { STARTED: 0, LINE: 1, HEADERS: 2, BODY: 3, TRAILER: 4, COMPLETE: 5 } as const;

/** What http.uri is when only the response was seen (Suricata prints the same). */
const URI_NOT_SEEN = ascii('/libhtp::request_uri_not_seen');

export const Method = { UNKNOWN: 0, HEAD: 1, CONNECT: 2, POST: 3, PUT: 4, OTHER: 5 } as const;

const scratch = new ByteSlice();
const parts = new UriParts();

export class HttpTransaction extends Transaction implements HttpExchange {
  readonly request: MessageHead = takeHead();
  readonly response: MessageHead = takeHead();
  readonly uriOptions: UriOptions;
  /** Offsets into request.raw / response.raw. */
  methodOff = 0;
  methodLen = 0;
  uriOff = 0;
  uriLen = -1;
  protocolOff = 0;
  protocolLen = 0;
  responseProtocolOff = 0;
  responseProtocolLen = 0;
  statusOff = 0;
  statusLen = 0;
  messageOff = 0;
  messageLen = 0;
  /** 0 when the status is no number from 100 to 999. */
  status = 0;
  method: number = Method.UNKNOWN;
  /** Minor version of HTTP/1: 9 for HTTP/0.9, -1 unknown. */
  version = -1;
  responseVersion = -1;
  requestBody: Body | null = null;
  responseBody: Body | null = null;
  multipart: Multipart | null = null;
  seen100 = false;
  /** Some of the final response was read. */
  responding = false;
  observed: object | null = null;
  /** A request was seen for this exchange. */
  readonly hasRequest: boolean;
  #uri: Uint8Array | null = null;
  /** The target is in normal form as sent: http.uri is a range of the head. */
  #uriAsSent = false;
  #host: Uint8Array | null = null;
  #released = false;

  constructor(id: number, uriOptions: UriOptions, hasRequest: boolean) {
    super();
    this.id = id;
    this.uriOptions = uriOptions;
    this.hasRequest = hasRequest;
  }

  override release(): void {
    this.observed = null;
    if (this.#released) return;
    this.#released = true;
    giveHead(this.request);
    giveHead(this.response);
    this.requestBody?.release();
    this.responseBody?.release();
  }

  head(dir: number): MessageHead {
    return dir === 0 ? this.request : this.response;
  }

  rawUri(out: ByteSlice): boolean {
    if (this.uriLen >= 0) return out.set(this.request.raw, this.uriOff, this.uriLen);
    return this.hasRequest ? false : out.set(URI_NOT_SEEN, 0, URI_NOT_SEEN.length);
  }

  uri(out: ByteSlice): boolean {
    if (this.#uri === null) {
      if (!this.rawUri(out)) return false;
      if (this.#uriAsSent) return true;
      const end = out.off + out.len;
      if (this.method === Method.CONNECT || isNormal(out.buf, out.off, end)) {
        this.#uriAsSent = this.uriLen >= 0;
        return true;
      }
      this.#uri = normaliseUri(out.buf, out.off, end, this.uriOptions);
    }
    return out.set(this.#uri, 0, this.#uri.length);
  }

  /** Host as sent: from an absolute target, else the Host field. */
  rawHost(out: ByteSlice): boolean {
    if (this.uriLen > 0 && this.request.raw[this.uriOff] !== 47) {
      parts.parse(this.request.raw, this.uriOff, this.uriOff + this.uriLen);
      if (parts.host >= 0 && parts.hostEnd > parts.host) return out.set(this.request.raw, parts.host, parts.hostEnd - parts.host);
    }
    return this.request.field(FIELD.host, out);
  }

  /** Host name in lower case, without port and trailing dots. */
  host(out: ByteSlice): boolean {
    if (this.#host === null) {
      if (!this.rawHost(out)) return false;
      parts.hostPort(out.buf, out.off, out.off + out.len);
      let end = parts.hostEnd;
      while (end > parts.host && out.buf[end - 1] === 46) end--;
      if (end === parts.host) return false;
      let plain = true;
      for (let i = parts.host; i < end && plain; i++) plain = lower(out.buf[i]!) === out.buf[i];
      if (plain) return out.set(out.buf, parts.host, end - parts.host);
      const host = new Uint8Array(end - parts.host);
      for (let i = 0; i < host.length; i++) host[i] = lower(out.buf[parts.host + i]!);
      this.#host = host;
    }
    return out.set(this.#host, 0, this.#host.length);
  }

  startLine(dir: number, out: ByteSlice): boolean {
    const head = this.head(dir);
    return head.lineLen > 0 && out.set(head.raw, 0, head.lineLen);
  }

  requestMethod(out: ByteSlice): boolean {
    return this.methodLen > 0 && out.set(this.request.raw, this.methodOff, this.methodLen);
  }

  protocol(dir: number, out: ByteSlice): boolean {
    if (dir === 0) return this.protocolLen > 0 && out.set(this.request.raw, this.protocolOff, this.protocolLen);
    return this.responseProtocolLen > 0 && out.set(this.response.raw, this.responseProtocolOff, this.responseProtocolLen);
  }

  reason(out: ByteSlice): boolean {
    return this.messageLen > 0 && out.set(this.response.raw, this.messageOff, this.messageLen);
  }

  fieldCount(dir: number): number {
    return this.head(dir).seen;
  }

  field(dir: number, index: number, name: ByteSlice, value: ByteSlice): void {
    this.head(dir).fieldSeen(index, name, value);
  }

  fieldsLost(dir: number): boolean {
    return this.head(dir).seenLost;
  }

  /** "Name: value" of one field (http.request_header, http.response_header). */
  headerLine(dir: number, row: number, out: ByteSlice): boolean {
    const head = this.head(dir);
    if (row >= head.count) return false;
    head.name(row, out);
    const nameBuf = out.buf;
    const nameOff = out.off;
    const nameLen = out.len;
    head.value(row, out);
    // a field that stands in the raw block as "Name: value" needs no copy
    if (out.buf === nameBuf && out.off === nameOff + nameLen + 2 && nameBuf[nameOff + nameLen] === 58 && nameBuf[nameOff + nameLen + 1] === 32) {
      return out.set(nameBuf, nameOff, nameLen + 2 + out.len);
    }
    const line = new Uint8Array(nameLen + 2 + out.len);
    put(line, 0, nameBuf, nameOff, nameLen);
    line[nameLen] = 58;
    line[nameLen + 1] = 32;
    put(line, nameLen + 2, out.buf, out.off, out.len);
    return out.set(line, 0, line.length);
  }

  /** The fields were replaced (final response after 100): forget what was built from them. */
  invalidate(dir: number): void {
    this.head(dir).forgetDerived();
  }

  /** Suricata's EVE http object (the extended form, its default). */
  override record(): TransactionRecord {
    const body: Record<string, unknown> = {};
    if (this.host(scratch)) body['hostname'] = text();
    const row = this.request.find(FIELD.host);
    if (row >= 0) {
      this.request.value(row, scratch);
      parts.hostPort(scratch.buf, scratch.off, scratch.off + scratch.len);
      if (parts.port >= 0) {
        const port = Number(printable(scratch.buf, parts.port, parts.portEnd - parts.port));
        if (Number.isInteger(port) && port > 0 && port < 65536) body['http_port'] = port;
      }
    }
    if (this.rawUri(scratch)) body['url'] = text();
    if (this.request.field(FIELD['user-agent'], scratch)) body['http_user_agent'] = text();
    if (this.request.field(FIELD['x-forwarded-for'], scratch)) body['xff'] = text();
    if (this.response.field(FIELD['content-type'], scratch)) body['http_content_type'] = text().split(';', 1)[0]!;
    if (this.response.field(FIELD['content-range'], scratch)) body['content_range'] = { raw: text() };
    if (this.request.field(FIELD.referer, scratch)) body['http_refer'] = text();
    if (this.methodLen > 0) body['http_method'] = printable(this.request.raw, this.methodOff, this.methodLen);
    if (this.protocolLen > 0) body['protocol'] = printable(this.request.raw, this.protocolOff, this.protocolLen);
    if (this.status > 0) body['status'] = this.status;
    else if (this.statusLen > 0) body['status_string'] = printable(this.response.raw, this.statusOff, this.statusLen);
    if (this.response.field(FIELD.location, scratch)) body['redirect'] = text();
    body['length'] = this.responseBody?.transferred ?? 0;
    return { type: 'http', body, toServer: true };
  }

  /** File names: last path segment of the target; the response may name its own in Content-Disposition. */
  fileNameFromUri(): Uint8Array {
    if (!this.uri(scratch)) return new Uint8Array(0);
    const { buf, off, len } = scratch;
    let end = off;
    while (end < off + len && buf[end] !== 63 && buf[end] !== 35) end++;
    let start = end;
    while (start > off && buf[start - 1] !== 47) start--;
    return buf.slice(start, end);
  }

  /** Start of a file carried in this direction. */
  openFile(toServer: boolean, name: Uint8Array, body: Body): AppFile {
    const file = new AppFile(toServer, name, body);
    (this.files ??= []).push(file);
    return file;
  }
}

function text(): string {
  return printable(scratch.buf, scratch.off, scratch.len);
}

function put(dst: Uint8Array, at: number, src: Uint8Array, off: number, len: number): number {
  for (let i = 0; i < len; i++) dst[at + i] = src[off + i]!;
  return at + len;
}
