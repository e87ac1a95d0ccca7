/** HTTP/1.1 exchanges described as data, to bytes. Text is Latin-1: one character is one byte. */
import { latin1, payloadBytes } from './text.mjs';

const PAGE = '<!doctype html>\n<html><head><title>Lab</title></head><body><p>It works.</p></body></html>\n';
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';

/** Header lines; a header set to null is left out, even where it would be there by default. */
function head(first, headers) {
  const lines = [first];
  for (const [name, value] of Object.entries(headers)) {
    if (value !== null) lines.push(`${name}: ${typeof value === 'number' ? value : payloadBytes(value).toString('latin1')}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** @param {{method?: string, uri?: string, headers?: object, body?: string}} request */
export function httpRequest({ method, uri = '/', headers = {}, body = '' }) {
  const all = { Host: 'app.lab.example', 'User-Agent': BROWSER, Accept: '*/*', ...headers };
  if (body !== '' && !('Content-Type' in all)) all['Content-Type'] = 'application/x-www-form-urlencoded';
  if (body !== '') all['Content-Length'] = body.length;
  return latin1(head(`${method ?? (body === '' ? 'GET' : 'POST')} ${uri} HTTP/1.1`, all) + body);
}

/** @param {{status?: string, headers?: object, body?: string}} response */
export function httpResponse({ status = '200 OK', headers = {}, body = PAGE } = {}) {
  return latin1(head(`HTTP/1.1 ${status}`, { Server: 'lab', 'Content-Type': 'text/html', ...headers, 'Content-Length': body.length }) + body);
}

/** Steps of a connection that carries these exchanges. */
export function httpSteps(exchanges) {
  return exchanges.flatMap(({ response, ...request }) => [
    { from: 'client', data: httpRequest(request) },
    { from: 'server', data: httpResponse(response) },
  ]);
}
