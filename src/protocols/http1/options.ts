/** What can be set for HTTP/1; the names in comments are Suricata's (app-layer.protocols.http.libhtp.default-config). */
import { DEFAULT_DECODER_LIMITS, type DecoderLimits } from '../encoding/content-decoder.js';
import { DEFAULT_URI_OPTIONS, type UriOptions } from './uri.js';

export interface Http1Options {
  /** Bytes of a decoded body that are inspected (request-body-limit, response-body-limit). */
  readonly requestBodyLimit: number;
  readonly responseBodyLimit: number;
  /** Content codings that are undone one after another (response-body-decompress-layer-limit). */
  readonly layerLimit: number;
  /** Decode `lzma` (lzma-enabled). */
  readonly lzma: boolean;
  readonly decoder: DecoderLimits;
  readonly uri: UriOptions;
}

export const DEFAULT_HTTP1_OPTIONS: Http1Options = {
  requestBodyLimit: 102400,
  responseBodyLimit: 102400,
  layerLimit: 2,
  lzma: false,
  decoder: DEFAULT_DECODER_LIMITS,
  uri: DEFAULT_URI_OPTIONS,
};
