/** The request body as a whole and what its processor said. */
import { numeric, scalar } from './variable.js';

const SINCE_BODY = { changesAt: [2] } as const;

export const requestBody = scalar('REQUEST_BODY', 'The raw body: of urlencoded forms, or of any kind when forced by ctl.', (s) => s.body, SINCE_BODY);
export const requestBodyLength = numeric('REQUEST_BODY_LENGTH', 'Bytes of the body.', (s) => s.bodyLength, SINCE_BODY);
export const fullRequest = scalar('FULL_REQUEST', 'Request line, fields and raw body.', (s) => {
  let text = `${s.line}\r\n`;
  for (let i = 0; i < s.requestHeaders.size; i++) text += `${s.requestHeaders.names[i]}: ${s.requestHeaders.values[i]}\r\n`;
  return `${text}\r\n${s.body ?? ''}`;
}, SINCE_BODY);
export const fullRequestLength = numeric('FULL_REQUEST_LENGTH', 'Bytes of the request as FULL_REQUEST gives it.', (s) => {
  let size = s.line.length + 4 + s.bodyLength;
  for (let i = 0; i < s.requestHeaders.size; i++) size += s.requestHeaders.names[i]!.length + s.requestHeaders.values[i]!.length + 4;
  return size;
}, SINCE_BODY);
export const reqbodyProcessor = scalar('REQBODY_PROCESSOR', 'URLENCODED, MULTIPART, JSON, XML or empty.', (s) => s.bodyProcessor, { volatile: true });
export const reqbodyError = numeric('REQBODY_ERROR', '1 when the body could not be processed.', (s) => (s.bodyError === '' ? 0 : 1), SINCE_BODY);
export const reqbodyErrorMsg = scalar('REQBODY_ERROR_MSG', 'Why the body could not be processed.', (s) => s.bodyError, SINCE_BODY);
export const reqbodyProcessorError = numeric('REQBODY_PROCESSOR_ERROR', '1 when the body processor failed.', (s) => (s.bodyProcessorError === '' ? 0 : 1), SINCE_BODY);
export const reqbodyProcessorErrorMsg = scalar('REQBODY_PROCESSOR_ERROR_MSG', 'Why the body processor failed.', (s) => s.bodyProcessorError, SINCE_BODY);
export const urlencodedError = numeric('URLENCODED_ERROR', '1 when a %XX of query or form was invalid.', (s) => (s.urlencodedError ? 1 : 0), SINCE_BODY);
export const inboundDataError = numeric('INBOUND_DATA_ERROR', '1 when the body was longer than SecRequestBodyLimit.', (s) => (s.inboundDataError ? 1 : 0), SINCE_BODY);
