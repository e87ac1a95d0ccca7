/** What a blocked client reads: a small page with the transaction's id, so that whoever complains can be helped. */
import type { Intervention } from '../transaction.js';

/** Bytes of a page at most: it has to fit one segment on any path. */
export const PAGE_MAX = 1024;

const REASONS: Readonly<Record<number, string>> = { 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 413: 'Content Too Large', 500: 'Internal Server Error', 501: 'Not Implemented', 503: 'Service Unavailable' };

/** The finished response. An intervention's odd status, or a redirect that does not fit, becomes a plain 403. */
export function blockPage(intervention: Intervention, uniqueId: string): Uint8Array {
  const { url } = intervention;
  const redirect = intervention.action === 'redirect' && /^[\x21-\x7e]{1,512}$/.test(url);
  const status = redirect ? redirectStatus(intervention.status) : intervention.status in REASONS ? intervention.status : 403;
  const reason = redirect ? 'Found' : REASONS[status]!;
  const body = redirect
    ? ''
    : `<!doctype html><title>${status} ${reason}</title><h1>Request blocked</h1><p>The web application firewall stopped this request. If it should have been allowed, tell the operator this id:</p><p><code>${uniqueId}</code></p>\n`;
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    ...(redirect ? [`Location: ${url}`] : ['Content-Type: text/html; charset=utf-8']),
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    `X-Transaction-Id: ${uniqueId}`,
    'Connection: close',
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
}

function redirectStatus(status: number): number {
  return status >= 301 && status <= 308 ? status : 302;
}
