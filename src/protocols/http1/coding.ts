/** Content-Encoding values to decoders, read the way libhtp does: lenient about what surrounds a known name. */
import { ascii, equalsNoCase, findNoCase } from '../bytes.js';
import { Coding, ContentDecoder } from '../encoding/content-decoder.js';
import type { ByteSlice } from '../transaction.js';
import type { Body } from '../body.js';
import type { HttpTransaction } from './transaction.js';
import type { Http1Options } from './options.js';

const GZIP = ascii('gzip');
const X_GZIP = ascii('x-gzip');
const DEFLATE = ascii('deflate');
const X_DEFLATE = ascii('x-deflate');
const LZMA = ascii('lzma');
const HARMLESS = ['identity', 'inflate', 'none', ''].map(ascii);

/** Give `body` the decoder its Content-Encoding `value` asks for; raises the events about odd values on `tx`. */
export function attachDecoder(tx: HttpTransaction, body: Body, value: ByteSlice, options: Http1Options): void {
  const { buf } = value;
  const end = value.off + value.len;
  const codings: number[] = [];
  let layers = 0;
  for (let i = value.off; i < end; ) {
    while (i < end && (buf[i] === 32 || buf[i] === 44)) i++;
    const start = i;
    while (i < end && buf[i] !== 32 && buf[i] !== 44) i++;
    if (i === start) break;
    if (++layers > options.layerLimit) {
      tx.addEvent('http.too_many_encoding_layers');
      break;
    }
    const len = i - start;
    if (findNoCase(buf, start, i, GZIP) >= 0) {
      if (!equalsNoCase(buf, start, len, GZIP) && !equalsNoCase(buf, start, len, X_GZIP)) tx.addEvent('http.abnormal_ce_header');
      codings.push(Coding.GZIP);
    } else if (findNoCase(buf, start, i, DEFLATE) >= 0) {
      if (!equalsNoCase(buf, start, len, DEFLATE) && !equalsNoCase(buf, start, len, X_DEFLATE)) tx.addEvent('http.abnormal_ce_header');
      codings.push(Coding.DEFLATE);
    } else if (equalsNoCase(buf, start, len, LZMA)) {
      if (options.lzma && !codings.includes(Coding.LZMA)) codings.push(Coding.LZMA);
    } else if (!HARMLESS.some((word) => equalsNoCase(buf, start, len, word))) tx.addEvent('http.abnormal_ce_header');
  }
  if (codings.length > 0) body.decoder = new ContentDecoder(codings, body, options.decoder);
}
