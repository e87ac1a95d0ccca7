/** The buffers of HTTP/1 by their Suricata names. */
import { fileBuffers } from '../files.js';
import { Directions } from '../message.js';
import { ByteSlice, type BufferSpec, type Transaction } from '../transaction.js';
import { FIELD, type FieldName } from './head.js';
import { Progress, type HttpTransaction } from './transaction.js';

type Get = (tx: HttpTransaction, dir: number, index: number, out: ByteSlice) => boolean;

interface Where {
  readonly toServer?: number;
  readonly toClient?: number;
  readonly streaming?: boolean;
  readonly withinToClient?: string;
}

/** One spec for a buffer that is ready at the same progress in each direction it exists in. */
function spec(name: string, where: Where, get: Get): BufferSpec<Transaction> {
  return {
    name,
    toServer: where.toServer !== undefined,
    toClient: where.toClient !== undefined,
    minProgress: Math.min(where.toServer ?? 9, where.toClient ?? 9),
    ...(where.streaming ? { streaming: true } : {}),
    ...(where.withinToClient === undefined ? {} : { withinToClient: where.withinToClient }),
    get: get as BufferSpec<Transaction>['get'],
  };
}

const { LINE, HEADERS, BODY } = Progress;
const REQUEST_LINE: Where = { toServer: LINE };
const RESPONSE_LINE: Where = { toClient: LINE };
const REQUEST: Where = { toServer: HEADERS };
const RESPONSE: Where = { toClient: HEADERS };
const BOTH: Where = { toServer: HEADERS, toClient: HEADERS };

/** The field that http.header leaves out, by direction. */
const COOKIES = [FIELD.cookie, FIELD['set-cookie']];

/** A buffer that is the value of one field. */
function field(name: string, where: Where, fieldName: FieldName, responseName: FieldName = fieldName): BufferSpec<Transaction> {
  const request = FIELD[fieldName];
  const response = FIELD[responseName];
  return spec(name, where, (tx, dir, index, out) => index === 0 && tx.head(dir).field(dir === 0 ? request : response, out));
}

export const HTTP1_BUFFERS: readonly BufferSpec<Transaction>[] = [
  spec('http.uri', REQUEST_LINE, (tx, _dir, index, out) => index === 0 && tx.uri(out)),
  spec('http.uri.raw', REQUEST_LINE, (tx, _dir, index, out) => index === 0 && tx.rawUri(out)),
  spec('http.method', REQUEST_LINE, (tx, _dir, index, out) => index === 0 && tx.requestMethod(out)),
  spec('http.protocol', { toServer: LINE, toClient: LINE }, (tx, dir, index, out) => index === 0 && tx.protocol(dir, out)),
  spec('http.request_line', REQUEST_LINE, (tx, _dir, index, out) => index === 0 && tx.startLine(0, out)),
  spec('http.response_line', RESPONSE_LINE, (tx, _dir, index, out) => index === 0 && tx.startLine(1, out)),
  spec('http.stat_code', RESPONSE_LINE, (tx, _dir, index, out) => index === 0 && tx.statusLen > 0 && out.set(tx.response.raw, tx.statusOff, tx.statusLen)),
  spec('http.stat_msg', RESPONSE_LINE, (tx, _dir, index, out) => index === 0 && tx.reason(out)),
  spec('http.header', BOTH, (tx, dir, index, out) => index === 0 && tx.head(dir).header(tx.head(dir).find(COOKIES[dir]!), out)),
  spec('http.header.raw', BOTH, (tx, dir, index, out) => {
    const head = tx.head(dir);
    return index === 0 && head.rawLen > head.blockOff && out.set(head.raw, head.blockOff, head.rawLen - head.blockOff);
  }),
  spec('http.header_names', BOTH, (tx, dir, index, out) => index === 0 && tx.head(dir).names(out)),
  spec('http.request_header', REQUEST, (tx, _dir, index, out) => tx.headerLine(0, index, out)),
  spec('http.response_header', RESPONSE, (tx, _dir, index, out) => tx.headerLine(1, index, out)),
  field('http.cookie', BOTH, 'cookie', 'set-cookie'),
  field('http.user_agent', REQUEST, 'user-agent'),
  spec('http.host', REQUEST, (tx, _dir, index, out) => index === 0 && tx.host(out)),
  spec('http.host.raw', REQUEST, (tx, _dir, index, out) => index === 0 && tx.rawHost(out)),
  field('http.referer', REQUEST, 'referer'),
  field('http.accept', REQUEST, 'accept'),
  field('http.accept_enc', REQUEST, 'accept-encoding'),
  field('http.accept_lang', REQUEST, 'accept-language'),
  field('http.connection', BOTH, 'connection'),
  field('http.content_len', BOTH, 'content-length'),
  field('http.content_type', BOTH, 'content-type'),
  field('http.location', RESPONSE, 'location'),
  field('http.server', RESPONSE, 'server'),
  spec('http.start', BOTH, (tx, dir, index, out) => index === 0 && tx.head(dir).start(out)),
  spec('http.request_body', { toServer: BODY, streaming: true }, (tx, _dir, index, out) => index === 0 && tx.requestBody !== null && tx.requestBody.slice(out)),
  spec('http.response_body', { toClient: BODY, streaming: true, withinToClient: 'file.data' }, (tx, _dir, index, out) => index === 0 && tx.responseBody !== null && tx.responseBody.slice(out)),
  ...fileBuffers(Directions.BOTH, BODY),
];
