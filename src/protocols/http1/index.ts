/**
 * HTTP/1 (RFC 9112) as tolerant clients and servers read it: what a browser would make of a broken response is what gets
 * inspected. In: stream bytes of both directions. Out: HttpTransaction per exchange, buffers of buffers.ts, http.* events.
 */
import { HT, LF, SP } from '../bytes.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppProtocol } from '../parser.js';
import { HTTP1_BUFFERS } from './buffers.js';
import { DEFAULT_HTTP1_OPTIONS, type Http1Options } from './options.js';
import { Http1Parser } from './parser.js';
import { methodOf } from './request-reader.js';
import { Method, Progress } from './transaction.js';

/** Longest known method and the white space in front of it. */
const PROBE_MAX = 40;

/** To server: a known method followed by a space or tab, optionally after line ends. To client: "HTTP/". */
function probe(buf: Uint8Array, off: number, end: number, dir: number): number {
  let i = off;
  if (dir === 1) {
    const word = 'HTTP/';
    while (i < end && i < off + 5) {
      if (buf[i] !== word.charCodeAt(i - off)) return PROBE_NO;
      i++;
    }
    return i === off + 5 ? PROBE_YES : PROBE_MORE;
  }
  while (i < end && i - off < 4 && (buf[i] === SP || buf[i] === HT || buf[i] === LF || buf[i] === 13)) i++;
  const start = i;
  while (i < end) {
    const c = buf[i]!;
    // The preface of HTTP/2 only looks like a request (RFC 9113 section 3.4).
    if (c === SP && i - start === 3 && buf[start] === 80 && buf[start + 1] === 82 && buf[start + 2] === 73) return PROBE_NO;
    if (c === SP || c === HT) return methodOf(buf, start, i - start) === Method.UNKNOWN ? probeVersion(buf, i, end) : PROBE_YES;
    if (!((c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 45 || c === 95) || i - start > PROBE_MAX) return PROBE_NO;
    i++;
  }
  return PROBE_MORE;
}

/** A method nobody has heard of: many servers hand it to their scripts like GET. The line has to end in a version then. */
function probeVersion(buf: Uint8Array, from: number, end: number): number {
  const word = ' HTTP/';
  let matched = 0;
  for (let i = from; i < end; i++) {
    const c = buf[i]!;
    if (c === LF) return PROBE_NO;
    if (c === word.charCodeAt(matched)) matched++;
    else matched = c === SP ? 1 : 0;
    if (matched === word.length) return PROBE_YES;
  }
  return PROBE_MORE;
}

/** The registry row of HTTP/1, with limits of the caller's choice. */
export function http1Protocol(options: Partial<Http1Options> = {}): AppProtocol {
  const all: Http1Options = { ...DEFAULT_HTTP1_OPTIONS, ...options };
  return {
    name: 'http',
    transports: ['tcp'],
    ports: [80, 8080, 8000, 3128, 8888],
    firstDir: 0,
    endlessToServer: true,
    probe,
    create: () => new Http1Parser(all),
    buffers: HTTP1_BUFFERS,
    completeToServer: Progress.COMPLETE,
    completeToClient: Progress.COMPLETE,
    events: HTTP1_EVENTS,
  };
}

export const HTTP1_EVENTS = [
  'http.gzip_decompression_failed',
  'http.compression_bomb',
  'http.too_many_encoding_layers',
  'http.abnormal_ce_header',
  'http.request_field_missing_colon',
  'http.response_field_missing_colon',
  'http.request_header_invalid',
  'http.response_header_invalid',
  'http.invalid_request_field_folding',
  'http.invalid_response_field_folding',
  'http.request_field_too_long',
  'http.response_field_too_long',
  'http.request_too_many_headers',
  'http.response_too_many_headers',
  'http.request_header_repetition',
  'http.response_header_repetition',
  'http.request_chunk_extension',
  'http.response_chunk_extension',
  'http.invalid_request_chunk_len',
  'http.invalid_response_chunk_len',
  'http.invalid_transfer_encoding_value_in_request',
  'http.invalid_content_length_field_in_request',
  'http.invalid_content_length_field_in_response',
  'http.duplicate_content_length_field_in_request',
  'http.duplicate_content_length_field_in_response',
  'http.100_continue_already_seen',
  'http.unable_to_match_response_to_request',
  'http.invalid_server_port_in_request',
  'http.invalid_authority_port',
  'http.missing_host_header',
  'http.host_header_ambiguous',
  'http.request_uri_host_invalid',
  'http.request_header_host_invalid',
  'http.request_auth_unrecognized',
  'http.request_line_leading_whitespace',
  'http.method_delim_non_compliant',
  'http.uri_delim_non_compliant',
  'http.request_line_invalid',
  'http.request_line_incomplete',
  'http.request_line_missing_protocol',
  'http.double_encoded_uri',
  'http.request_body_unexpected',
  'http.response_abnormal_transfer_encoding',
  'http.response_chunked_old_proto',
  'http.response_invalid_protocol',
  'http.response_invalid_status',
  'http.response_multipart_byteranges',
  'http.multipart_generic_error',
  'http.multipart_invalid_header',
] as const;

export { HttpTransaction, Method, Progress as HttpProgress } from './transaction.js';
export { DEFAULT_HTTP1_OPTIONS, type Http1Options } from './options.js';
export { normaliseUri, removeDotSegments, DEFAULT_URI_OPTIONS, type UriOptions } from './uri.js';
