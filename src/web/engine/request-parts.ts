/** Takes the request head apart, as Apache hands it to ModSecurity v2. */
import { parseCookies, parseCookiesV1 } from '../body/cookies.js';
import { parseUrlencoded, urlDecode } from '../body/urlencoded.js';
import type { RequestHead } from '../transaction.js';
import { lowerAscii, type ByteString } from '../value.js';
import type { TransactionState } from './state.js';

/** Media types whose bodies are read without being told to. */
const URLENCODED = 'application/x-www-form-urlencoded';
const MULTIPART = 'multipart/form-data';

export function readRequestHead(state: TransactionState, head: RequestHead): void {
  state.line = head.line;
  state.method = head.method;
  state.target = head.target;
  state.protocol = head.protocol;
  readTarget(state, head);
  const { settings } = state;
  for (let i = 0; i + 1 < head.fields.length; i += 2) {
    const name = head.fields[i]!;
    const value = head.fields[i + 1]!;
    state.requestHeaders.add(name, value);
    const lower = lowerAscii(name);
    if (lower === 'content-type') state.contentType ??= value;
    else if (lower === 'host' && state.host === '') state.host = value.replace(/:\d*$/, '');
    else if (lower === 'cookie') {
      if (settings.cookieFormat === 0) parseCookies(value, settings.cookieSeparator, settings.argumentsLimit, state.cookies);
      else parseCookiesV1(value, settings.argumentsLimit, state.cookies);
    }
  }
  if (state.query !== '') {
    const result = parseUrlencoded(state.query, settings.argumentSeparator, settings.argumentsLimit, state.argsGet);
    if (result.invalidEncoding) state.urlencodedError = true;
  }
  const type = lowerAscii(state.contentType ?? '');
  if (type.startsWith(URLENCODED)) state.bodyProcessor = 'URLENCODED';
  else if (type.startsWith(MULTIPART)) state.bodyProcessor = 'MULTIPART';
}

function readTarget(state: TransactionState, head: RequestHead): void {
  let rest: ByteString = head.target;
  if (head.method === 'CONNECT' && !rest.startsWith('/')) {
    state.host = rest.replace(/:\d*$/, '');
    state.uri = rest;
    return;
  }
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(rest);
  if (absolute !== null) {
    state.host = absolute[1]!.replace(/^.*@/s, '').replace(/:\d*$/, '');
    rest = rest.slice(absolute[0].length);
  }
  const fragment = rest.indexOf('#');
  if (fragment >= 0) rest = rest.slice(0, fragment);
  const question = rest.indexOf('?');
  // Apache has decoded the path by the time most rules run, and the server behind will act on the decoded one
  state.path = decodePath(question < 0 ? rest : rest.slice(0, question));
  state.query = question < 0 ? '' : rest.slice(question + 1);
  state.uri = rest;
}

/** %XX decoded; unlike in queries a plus sign stands for itself. */
function decodePath(path: ByteString): ByteString {
  return path.includes('%') ? urlDecode(path.replaceAll('+', '%2B')).text : path;
}
