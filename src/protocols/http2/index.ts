/**
 * HTTP/2 without TLS (RFC 9113): by prior knowledge or after an upgrade from HTTP/1. In: stream bytes of both directions. Out: an
 * Http2Exchange per stream, which shows the same buffers and the same face to observers as one of HTTP/1, an Http2Control per
 * frame of the connection, http2.* events.
 */
import { HTTP1_BUFFERS } from '../http1/buffers.js';
import { DEFAULT_HTTP1_OPTIONS, HttpProgress, type Http1Options } from '../http1/index.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppProtocol } from '../parser.js';
import { TO_SERVER } from '../../flow/index.js';
import { ByteSlice, type BufferSpec, type Transaction } from '../transaction.js';
import { FrameType, Http2Exchange } from './exchange.js';
import { PREFACE, Http2Parser } from './parser.js';

/** SETTINGS parameters one frame has at most before it is taken for something else. */
const MOST_SETTINGS = 64;

/** The client begins with the preface, the server with SETTINGS. */
function probe(buf: Uint8Array, off: number, end: number, dir: number): number {
  if (dir === TO_SERVER) {
    for (let i = off; i < end && i < off + PREFACE.length; i++) if (buf[i] !== PREFACE[i - off]) return PROBE_NO;
    return end - off >= PREFACE.length ? PROBE_YES : PROBE_MORE;
  }
  const length = ((buf[off] ?? 0) << 16) | ((buf[off + 1] ?? 0) << 8) | (buf[off + 2] ?? 0);
  if (length % 6 !== 0 && end - off >= 3) return PROBE_NO;
  for (let i = 0; i < 9 && off + i < end; i++) {
    if ((i < 2 && buf[off + i] !== 0 && length > MOST_SETTINGS * 6) || (i === 3 && buf[off + i] !== FrameType.SETTINGS) || (i > 3 && buf[off + i] !== 0)) return PROBE_NO;
  }
  return end - off >= 9 ? PROBE_YES : PROBE_MORE;
}

/** Of the connection's own frames there are no HTTP buffers. */
const buffers: BufferSpec<Transaction>[] = HTTP1_BUFFERS.map((spec) => ({
  ...spec,
  get: (tx, dir, index, out) => tx instanceof Http2Exchange && spec.get(tx, dir, index, out),
}));

const value = new ByteSlice();

buffers.push({
  name: 'http2.header_name',
  toServer: true,
  toClient: true,
  minProgress: HttpProgress.HEADERS,
  get(tx, dir, index, out) {
    if (!(tx instanceof Http2Exchange) || index >= tx.head(dir).count) return false;
    tx.head(dir).name(index, value);
    return out.set(value.buf, value.off, value.len);
  },
});

buffers.push({
  name: 'http2.header',
  toServer: true,
  toClient: true,
  minProgress: HttpProgress.HEADERS,
  get: (tx, dir, index, out) => tx instanceof Http2Exchange && tx.headerLine(dir, index, out),
});

export const HTTP2_EVENTS = [
  'http2.invalid_client_magic',
  'http2.invalid_frame_data',
  'http2.invalid_frame_length',
  'http2.invalid_header',
  'http2.extra_header_data',
  'http2.long_frame_data',
  'http2.stream_id_reuse',
  'http2.failed_decompression',
  'http2.header_table_size_too_large',
  'http2.reassembly_limit_reached',
  'http2.authority_host_mismatch',
  'http2.userinfo_in_uri',
] as const;

/** The registry row of HTTP/2; limits of bodies are those of HTTP/1. */
export function http2Protocol(options: Partial<Http1Options> = {}): AppProtocol {
  const all: Http1Options = { ...DEFAULT_HTTP1_OPTIONS, ...options };
  return {
    name: 'http2',
    transports: ['tcp'],
    ports: [80, 8080, 8000, 3128, 8888],
    probe,
    create: () => new Http2Parser(all),
    buffers,
    completeToServer: HttpProgress.COMPLETE,
    completeToClient: HttpProgress.COMPLETE,
    events: HTTP2_EVENTS,
  };
}

export { FrameType as Http2FrameType, hasFrames, Http2Exchange, Http2Number, type Http2Setting } from './exchange.js';
export { HpackDecoder, BLOCK_MAX as HPACK_BLOCK_MAX, type FieldSink } from './hpack.js';
