/** Fields of request and response. */
import { collection, namesOf, scalar } from './variable.js';

export const requestHeaders = collection({
  name: 'REQUEST_HEADERS',
  help: 'Fields of the request head; repeated fields stay separate.',
  fill: () => undefined,
  direct: (s) => s.requestHeaders,
});
export const requestHeadersNames = namesOf('REQUEST_HEADERS_NAMES', 'Names of the request fields.', (s) => s.requestHeaders);
export const responseHeaders = collection({
  name: 'RESPONSE_HEADERS',
  help: 'Fields of the response head.',
  fill: () => undefined,
  direct: (s) => s.responseHeaders,
});
export const responseHeadersNames = namesOf('RESPONSE_HEADERS_NAMES', 'Names of the response fields.', (s) => s.responseHeaders, [3]);
export const authType = scalar('AUTH_TYPE', 'Scheme of the Authorization field.', (s) => {
  const value = s.requestHeaders.first('authorization');
  return value === undefined ? null : (value.split(' ', 1)[0] ?? '');
});
export const remoteUser = scalar('REMOTE_USER', 'User name of Basic authentication.', (s) => {
  const match = /^basic +([A-Za-z0-9+/]+=*)/i.exec(s.requestHeaders.first('authorization') ?? '');
  if (match === null) return null;
  const pair = Buffer.from(match[1]!, 'base64').toString('latin1');
  const colon = pair.indexOf(':');
  return colon < 0 ? null : pair.slice(0, colon);
});
