/** Bodies of an exchange: which decoder, file and observer each gets. The same for every version of HTTP. */
import { ascii, startsNoCase } from '../bytes.js';
import { Body } from '../body.js';
import { ByteSlice } from '../transaction.js';
import type { ByteSink } from '../../util/index.js';
import { attachDecoder } from './coding.js';
import { FIELD } from './head.js';
import { Multipart, dispositionFileName } from './multipart.js';
import type { Http1Options } from './options.js';
import { Method, Progress, type HttpTransaction } from './transaction.js';

const MULTIPART = ascii('multipart/form-data');
const scratch = new ByteSlice();

/** The request has a body, which begins now. @param tap takes the decoded bytes, too */
export function openRequestBody(tx: HttpTransaction, options: Http1Options, tap: ByteSink | null): void {
  const body = new Body(options.requestBodyLimit);
  tx.requestBody = body;
  tx.progressToServer = Progress.BODY;
  body.tap = tap;
  if (tx.request.field(FIELD['content-encoding'], scratch)) attachDecoder(tx, body, scratch, options);
  if (tx.method !== Method.POST && tx.method !== Method.PUT) return;
  if (tx.request.field(FIELD['content-type'], scratch) && startsNoCase(scratch.buf, scratch.off, scratch.off + scratch.len, MULTIPART)) {
    tx.multipart = Multipart.create(scratch.buf, scratch.off, scratch.len, {
      openFile: (name) => {
        const content = new Body(options.requestBodyLimit);
        tx.openFile(true, name, content);
        return content;
      },
      invalidHeader: () => tx.addEvent('http.multipart_invalid_header'),
    });
    if (tx.multipart === null) tx.addEvent('http.multipart_generic_error');
  } else tx.openFile(true, tx.fileNameFromUri(), body);
}

/** The response has a body, which begins now. @param withHead its fields are known */
export function openResponseBody(tx: HttpTransaction, options: Http1Options, withHead: boolean, tap: ByteSink | null): void {
  const body = new Body(options.responseBodyLimit);
  tx.responseBody = body;
  tx.progressToClient = Progress.BODY;
  body.tap = tap;
  let name: Uint8Array | null = null;
  if (withHead) {
    const head = tx.response;
    if (head.field(FIELD['content-encoding'], scratch)) attachDecoder(tx, body, scratch, options);
    if (head.field(FIELD['content-disposition'], scratch)) name = dispositionFileName(scratch.buf, scratch.off, scratch.len);
  }
  tx.openFile(false, name ?? tx.fileNameFromUri(), body);
}

/** Nothing more of the request will come. */
export function finishRequest(tx: HttpTransaction): void {
  const body = tx.requestBody;
  if (body !== null) {
    body.finish();
    tx.multipart?.finish();
    noteDecoder(tx, body);
  }
  tx.progressToServer = Progress.COMPLETE;
  tx.doneToServer = tx.dirtyToServer = true;
}

export function finishResponse(tx: HttpTransaction): void {
  const body = tx.responseBody;
  if (body !== null) {
    body.finish();
    noteDecoder(tx, body);
  }
  tx.progressToClient = Progress.COMPLETE;
  tx.doneToClient = tx.dirtyToClient = true;
}

function noteDecoder(tx: HttpTransaction, body: Body): void {
  if (body.decoder?.failed) tx.addEvent('http.gzip_decompression_failed');
  if (body.decoder?.bomb) tx.addEvent('http.compression_bomb');
}
