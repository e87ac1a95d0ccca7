/** The response. */
import { numeric, scalar } from './variable.js';

const SINCE_HEAD = { changesAt: [3] } as const;
const SINCE_BODY = { changesAt: [3, 4] } as const;

export const responseStatus = scalar('RESPONSE_STATUS', 'Status code of the response.', (s) => (s.status === 0 ? null : String(s.status)), SINCE_HEAD);
export const statusLine = scalar('STATUS_LINE', 'The whole status line.', (s) => (s.statusLine === '' ? null : s.statusLine), SINCE_HEAD);
export const responseProtocol = scalar('RESPONSE_PROTOCOL', 'Protocol and version of the status line.', (s) => (s.responseProtocol === '' ? null : s.responseProtocol), SINCE_HEAD);
export const responseContentType = scalar('RESPONSE_CONTENT_TYPE', 'Content-Type of the response.', (s) => s.responseContentType, SINCE_HEAD);
export const responseBody = scalar('RESPONSE_BODY', 'The response body when it is of an inspected type.', (s) => s.responseBody, SINCE_BODY);
export const responseContentLength = numeric('RESPONSE_CONTENT_LENGTH', 'Bytes of the response body.', (s) => s.responseLength, SINCE_BODY);
export const outboundDataError = numeric('OUTBOUND_DATA_ERROR', '1 when the response body was longer than SecResponseBodyLimit.', (s) => (s.outboundDataError ? 1 : 0), SINCE_BODY);
