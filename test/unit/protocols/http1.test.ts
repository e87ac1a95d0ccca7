import test from 'ava';
import fc from 'fast-check';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { concat, Driver } from './driver.js';

const GET = 'GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: probe/1.0\r\n\r\n';
const TEXT = 'the quick brown fox jumps over the lazy dog';

function response(head: string, body: string | Uint8Array): Uint8Array {
  return concat('HTTP/1.1 200 OK\r\n', head, '\r\n', body);
}

/** Body that detection sees for a response, delivered in pieces of `step` bytes. */
function bodyOf(data: string | Uint8Array, step = 0): string | undefined {
  const d = new Driver();
  d.send(TO_SERVER, GET);
  d.send(TO_CLIENT, data, step);
  d.close();
  return d.buffer('file.data', TO_CLIENT);
}

test('request: every buffer of an ordinary request', (t) => {
  const d = new Driver();
  const block =
    'Host: WWW.Example.org.:8080\r\nUser-Agent: probe/1.0\r\nCookie: a=b\r\nReferer: http://r/\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nAccept-Language: fr\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n';
  d.send(TO_SERVER, `POST /a/../b%20c//d.php?x=%41+1 HTTP/1.1\r\n${block}body`);
  d.close();
  const want: Record<string, string> = {
    'http.method': 'POST',
    'http.uri': '/b c/d.php?x=A+1',
    'http.uri.raw': '/a/../b%20c//d.php?x=%41+1',
    'http.protocol': 'HTTP/1.1',
    'http.request_line': 'POST /a/../b%20c//d.php?x=%41+1 HTTP/1.1',
    'http.host': 'www.example.org',
    'http.host.raw': 'WWW.Example.org.:8080',
    'http.user_agent': 'probe/1.0',
    'http.cookie': 'a=b',
    'http.referer': 'http://r/',
    'http.accept': '*/*',
    'http.accept_enc': 'gzip',
    'http.accept_lang': 'fr',
    'http.connection': 'close',
    'http.content_type': 'text/plain',
    'http.content_len': '4',
    'http.header': block.replace('Cookie: a=b\r\n', '').slice(0, -2),
    'http.header.raw': block,
    'http.header_names': '\r\nHost\r\nUser-Agent\r\nCookie\r\nReferer\r\nAccept\r\nAccept-Encoding\r\nAccept-Language\r\nConnection\r\nContent-Type\r\nContent-Length\r\n\r\n',
    'http.start': `POST /a/../b%20c//d.php?x=%41+1 HTTP/1.1\r\n${block}`,
    'http.request_body': 'body',
    'file.data': 'body',
    'file.name': 'd.php',
  };
  for (const [name, value] of Object.entries(want)) t.is(d.buffer(name), value, name);
  t.is(d.buffer('http.request_header', TO_SERVER, 0, 1), 'User-Agent: probe/1.0');
  t.is(d.buffer('http.request_header', TO_SERVER, 0, 10), undefined);
  t.like(d.records[0]!.body, { hostname: 'www.example.org', http_port: 8080, http_method: 'POST', protocol: 'HTTP/1.1', http_refer: 'http://r/', length: 0 });
});

test('response: buffers and the log record', (t) => {
  const d = new Driver();
  d.send(TO_SERVER, GET);
  d.send(TO_CLIENT, response('Server: lab\r\nLocation: /x\r\nSet-Cookie: s=1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n', 'hello'));
  t.is(d.buffer('http.stat_code', TO_CLIENT), '200');
  t.is(d.buffer('http.stat_msg', TO_CLIENT), 'OK');
  t.is(d.buffer('http.response_line', TO_CLIENT), 'HTTP/1.1 200 OK');
  t.is(d.buffer('http.server', TO_CLIENT), 'lab');
  t.is(d.buffer('http.location', TO_CLIENT), '/x');
  t.is(d.buffer('http.cookie', TO_CLIENT), 's=1');
  t.is(d.buffer('http.header', TO_CLIENT), 'Server: lab\r\nLocation: /x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n');
  t.is(d.buffer('http.response_body', TO_CLIENT), 'hello');
  t.deepEqual(d.records[0], {
    type: 'http',
    toServer: true,
    body: { hostname: 'www.example.org', url: '/index.html', http_user_agent: 'probe/1.0', http_content_type: 'text/html', http_method: 'GET', protocol: 'HTTP/1.1', status: 200, redirect: '/x', length: 5 },
  });
  t.is(d.flow.transactions.length, 0, 'a finished exchange is freed');
});

test('a port of one request does not leak into the next', (t) => {
  const d = new Driver();
  d.send(TO_SERVER, 'GET / HTTP/1.1\r\nHost: a:8080\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n');
  d.close();
  t.deepEqual(d.records.map((r) => r.body['http_port']), [8080, undefined]);
});

const uris: [string, string][] = [
  ['/', '/'],
  ['/a//b///c', '/a/b/c'],
  ['/a/./b/../c', '/a/c'],
  ['/../../etc/passwd', '/etc/passwd'],
  ['/%2e%2e/x', '/x'],
  ['/a%2fb%5cc\\d', '/a/b/c/d'],
  ['/%u0041%U0042', '/AB'],
  ['/%zz%4', '/%zz%4'],
  ['/a?b=%2f..%2f//&c=1+2', '/a?b=/..///&c=1+2'],
  ['http://User@Host:81/p?q', '/p?q'],
  ['*', '*'],
  ['/%c3%a9', '/\xe9'],
  ['/a%00b', '/a\x00b'],
  ['/x/..', '/'],
  ['/x#f', '/x#f'],
];
for (const [raw, normal] of uris) {
  test(`uri ${raw}`, (t) => {
    const d = new Driver();
    d.send(TO_SERVER, `GET ${raw} HTTP/1.1\r\nHost: h\r\n\r\n`);
    t.is(d.buffer('http.uri'), normal);
    t.is(d.buffer('http.uri.raw'), raw);
  });
}

const bodies: [string, string | Uint8Array][] = [
  ['content-length', response(`Content-Length: ${TEXT.length}\r\n`, TEXT)],
  ['until close', response('', TEXT)],
  ['chunked', response('Transfer-Encoding: chunked\r\n', `4\r\n${TEXT.slice(0, 4)}\r\n27\r\n${TEXT.slice(4)}\r\n0\r\n\r\n`)],
  ['chunked, odd lines', response('Transfer-Encoding: x chunked\r\n', `\n\r\n 004 x;y\n${TEXT.slice(0, 4)}\r\n27\t\r\n${TEXT.slice(4)}\n00\n\n`)],
  ['chunked announced, not done', response('Transfer-Encoding: chunked\r\n', TEXT)],
  ['field name and value with NUL', response('Transfer\0-Encoding:chu\0nked\r\n', `2b\r\n${TEXT}\r\n0\r\n\r\n`)],
  ['space before colon, folded value', response('Transfer-Encoding \r\n :\r\n chunked\r\n', `2b\r\n${TEXT}\r\n0\r\n\r\n`)],
  ['field after folding', response('X: y\r\n Transfer-Encoding: chunked\r\n', `2b\r\n${TEXT}\r\n0\r\n\r\n`)],
  ['lone CR line ends', `HTTP/1.1 200 OK\rTransfer-Encoding: chunked\rX: y\r\n\n2b\r\n${TEXT}\r\n0\r\n\r\n`],
  ['bare LF line ends', `HTTP/1.1 200 OK\nContent-Length: ${TEXT.length}\n\n${TEXT}`],
  ['LF CR line end', `HTTP/1.1 200 OK\r\nContent-Length: ${TEXT.length}\n\r\r\n${TEXT}`],
  ['blank line with a space', `HTTP/1.1 200 OK\r\nContent-Length: ${TEXT.length}\n \n${TEXT}`],
  ['stray lines first', concat('\r\n \r\nfoo\r\n', response('', TEXT))],
  ['no head at all', TEXT],
  ['length with junk', response(`Content-Length: x${TEXT.length};\r\n`, TEXT)],
  ['two lengths in one field', response('Content-Length: 7 (68)\r\n', TEXT)],
  ['101 with a length', concat('HTTP/1.1 101 x\r\nContent-Length: 43\r\n\r\n', TEXT)],
  ['100 continue first', concat('HTTP/1.1 100 Continue\r\nX: y\r\n\r\n', response('', TEXT))],
  ['gzip', response('Content-Encoding: gzip\r\n', gzipSync(TEXT))],
  ['zlib', response('Content-Encoding: deflate\r\n', deflateSync(TEXT))],
  ['raw deflate', response('Content-Encoding: deflate\r\n', deflateRawSync(TEXT))],
  ['gzip announced as deflate', response('Content-Encoding: deflate\r\n', gzipSync(TEXT))],
  ['deflate announced as gzip', response('Content-Encoding: x gzip,\r\n', deflateRawSync(TEXT))],
  ['gzip announced, plain', response('Content-Encoding: gzip\r\n', TEXT)],
  ['two layers', response('Content-Encoding: deflate, gzip\r\n', gzipSync(deflateRawSync(TEXT)))],
  ['two layers in two fields, one real', response('Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n', gzipSync(TEXT))],
  ['gzip with broken trailer', response('Content-Encoding: gzip\r\n', gzipSync(TEXT).subarray(0, -8))],
  ['gzip with name and reserved flags', response('Content-Encoding: gzip\r\n', concat(Uint8Array.of(0x1f, 0x8b, 8, 0xe8, 0, 0, 0, 0, 0, 3), 'name\0', deflateRawSync(TEXT)))],
  ['gzip in chunks', response('Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', concat(`${gzipSync(TEXT).length.toString(16)}\r\n`, gzipSync(TEXT), '\r\n0\r\n\r\n'))],
];
for (const [name, data] of bodies) {
  test(`response body: ${name}`, (t) => {
    t.is(bodyOf(data), TEXT);
    for (const step of [1, 2, 3, 7]) t.is(bodyOf(data, step), TEXT, `in pieces of ${step}`);
  });
}

test('no body where there is none', (t) => {
  const d = new Driver();
  d.send(TO_SERVER, 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n');
  d.send(TO_CLIENT, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nHTTP/1.1 304 x\r\n\r\nHTTP/1.1 204 y\r\n\r\n');
  t.deepEqual(d.records.map((r) => [r.body['url'], r.body['status'], r.body['length']]), [['/', 200, 0], ['/2', 304, 0], ['/3', 204, 0]]);
});

const events: [string, string, string][] = [
  ['http.missing_host_header', 'GET / HTTP/1.1\r\n\r\n', ''],
  ['http.request_header_host_invalid', 'GET / HTTP/1.1\r\nHost: a..b\r\n\r\n', ''],
  ['http.host_header_ambiguous', 'GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n', ''],
  ['http.invalid_content_length_field_in_request', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n', ''],
  ['http.duplicate_content_length_field_in_request', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx', ''],
  ['http.request_field_missing_colon', 'GET / HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n', ''],
  ['http.request_header_invalid', 'GET / HTTP/1.1\r\nHost: a\r\nb d: e\r\n\r\n', ''],
  ['http.invalid_request_field_folding', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', ''],
  ['http.request_chunk_extension', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\nz\r\n0\r\n\r\n', ''],
  ['http.invalid_request_chunk_len', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', ''],
  ['http.request_auth_unrecognized', 'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: foo\r\n\r\n', ''],
  ['http.request_body_unexpected', 'GET / HTTP/1.1\r\nHost: a\r\n\r\nthis is body\r\n', ''],
  ['http.double_encoded_uri', 'GET /%252e HTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['http.uri_delim_non_compliant', 'GET /\tHTTP/1.1\r\nHost: a\r\n\r\n', ''],
  ['http.request_line_missing_protocol', 'GET /\r\nHost: a\r\n\r\n', ''],
  ['http.request_field_too_long', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(18100)}`, ''],
  ['http.too_many_encoding_layers', GET, 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip,gzip,gzip\r\nContent-Length: 1\r\n\r\nx'],
  ['http.abnormal_ce_header', GET, 'HTTP/1.1 200 OK\r\nContent-Encoding: foo\r\nContent-Length: 1\r\n\r\nx'],
  ['http.invalid_response_chunk_len', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz'],
  ['http.response_invalid_status', GET, 'HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n'],
  ['http.response_chunked_old_proto', GET, 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['http.unable_to_match_response_to_request', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
];
for (const [name, request, answer] of events) {
  test(`event ${name}`, (t) => {
    const d = new Driver();
    d.send(TO_SERVER, request);
    d.send(TO_CLIENT, answer);
    t.true(d.txEvents.has(name), [...d.txEvents].join());
    const clean = new Driver();
    clean.send(TO_SERVER, GET);
    clean.send(TO_CLIENT, response('Content-Length: 0\r\n', ''));
    t.deepEqual([...clean.txEvents], []);
  });
}

test('every event that can be raised is registered', (t) => {
  const registered = new Set(new Driver().registry.protocols.flatMap((p) => p.events));
  for (const [name] of events) t.true(registered.has(name), name);
});

const UPLOAD =
  'POST /up HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary="--xy"\r\nContent-Length: LEN\r\n\r\n' +
  '----xy\r\nContent-Disposition: form-data; name="a"\r\n\r\nvalue\r\n' +
  '----xy\r\nContent-Disposition: form-data; name="f"; filename="a b.exe"\r\nContent-Type: x/y\r\n\r\nMZ\r\n--\r\n----x\rend\r\n' +
  '----xy\r\nContent-Disposition: form-data; name=g; filename=second.txt\r\n\r\n\r\n----xy--\r\nepilogue';
const upload = UPLOAD.replace('LEN', String(UPLOAD.length - UPLOAD.indexOf('----xy')));

test('multipart: names and contents of uploaded files', (t) => {
  for (const step of [0, 1, 2, 5, 13]) {
    const d = new Driver();
    d.send(TO_SERVER, upload, step);
    t.is(d.buffer('file.name'), 'a b.exe');
    t.is(d.buffer('file.data'), 'MZ\r\n--\r\n----x\rend');
    t.is(d.buffer('file.name', TO_SERVER, 0, 1), 'second.txt');
  }
});

test('response file name comes from Content-Disposition, else from the target', (t) => {
  const d = new Driver();
  d.send(TO_SERVER, GET + GET);
  d.send(TO_CLIENT, concat(response('Content-Disposition: attachment; filename="evil.exe"\r\nContent-Length: 1\r\n', 'x'), response('Content-Length: 1\r\n', 'y')));
  t.is(d.buffer('file.name', TO_CLIENT, 0), 'evil.exe');
  t.is(d.buffer('file.name', TO_CLIENT, 1), 'index.html');
});

test('property: any cut of a pipelined exchange gives the same buffers and records', (t) => {
  const requests = concat(GET, upload.replace('epilogue', 'epilogue'), 'POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n');
  const answers = concat(
    response(`Content-Length: ${TEXT.length}\r\n`, TEXT),
    response('Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', concat(`${gzipSync(TEXT).length.toString(16)}\r\n`, gzipSync(TEXT), '\r\n0\r\n\r\n')),
    response('X: a\r\n b\r\nX: c\r\n', TEXT),
  );
  const run = (cuts: readonly number[]): [string[], unknown] => {
    const d = new Driver();
    for (const [dir, data] of [[TO_SERVER, requests], [TO_CLIENT, answers]] as const) {
      let from = 0;
      for (const cut of [...cuts.map((c) => c % data.length).sort((a, b) => a - b), data.length]) {
        d.send(dir, data.subarray(from, cut));
        from = Math.max(from, cut);
      }
    }
    d.close();
    return [[...d.buffers].map(([k, v]) => `${k}=${v}`).sort(), d.records];
  };
  const whole = run([]);
  t.is((whole[1] as unknown[]).length, 3);
  for (let cut = 0; cut < Math.max(requests.length, answers.length); cut++) t.deepEqual(run([cut]), whole, `cut at ${cut}`);
  fc.assert(fc.property(fc.array(fc.nat(2000), { maxLength: 12 }), (cuts) => t.deepEqual(run(cuts), whole)), { numRuns: 60 });
});

test('bodies are inspected up to the limit and decompression bombs stop early', (t) => {
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  const d = new Driver(80, { http1: { responseBodyLimit: 5000 } });
  d.send(TO_SERVER, GET);
  const before = process.memoryUsage().arrayBuffers;
  d.send(TO_CLIENT, response('Content-Encoding: gzip\r\n', bomb), 1400);
  t.is(d.buffer('file.data', TO_CLIENT)?.length, 5000);
  t.true(process.memoryUsage().arrayBuffers - before < 8 << 20);
});

test('the number of live transactions is bounded', (t) => {
  const d = new Driver();
  d.watch = false;
  d.send(TO_SERVER, GET.repeat(3000), 10000);
  t.is(d.flow.transactions.length, 512);
  t.is(d.app.stats.evicted, 3000 - 512);
  t.is(d.records.length, 3000 - 512, 'what is given up is logged');
});

test('CONNECT: the tunnel is detected again', (t) => {
  const d = new Driver(3128);
  d.send(TO_SERVER, 'CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n');
  t.is(d.flow.appProto, 'http');
  d.send(TO_CLIENT, 'HTTP/1.1 200 Connection established\r\n\r\n');
  t.is(d.flow.app, 0);
  d.send(TO_SERVER, 'GET /inner HTTP/1.1\r\nHost: inner\r\n\r\n');
  t.is(d.flow.appProto, 'http');
  t.is(d.buffer('http.uri'), '/inner');
  const refused = new Driver(3128);
  refused.send(TO_SERVER, 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n');
  refused.send(TO_CLIENT, 'HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n');
  t.is(refused.buffer('http.uri', TO_SERVER, 1), '/next');
});

test('protocol detection events', (t) => {
  const wrong = new Driver();
  wrong.send(TO_CLIENT, 'rubbish\r\n');
  wrong.send(TO_SERVER, GET);
  t.true(wrong.anomalies.includes('applayer_wrong_direction_first_data'));
  const one = new Driver();
  one.send(TO_SERVER, GET);
  one.send(TO_CLIENT, 'rubbish\r\nmore rubbish\r\n');
  one.close();
  t.true(one.anomalies.includes('applayer_detect_protocol_only_one_direction'));
  t.is(one.buffer('file.data', TO_CLIENT), 'rubbish\r\nmore rubbish\r\n');
  const skipped = new Driver();
  skipped.send(TO_SERVER, new Uint8Array(110000).fill(120), 10000);
  t.deepEqual(skipped.anomalies, ['applayer_proto_detection_skipped']);
  const mixed = new Driver();
  mixed.send(TO_SERVER, GET);
  mixed.send(TO_CLIENT, Uint8Array.of(22, 3, 3, 0, 4, 2, 0, 0, 0));
  t.true(mixed.anomalies.includes('applayer_mismatch_protocol_both_directions'));
});

test('gap inside a body is survived, elsewhere it ends inspection', (t) => {
  const d = new Driver();
  d.send(TO_SERVER, GET);
  d.send(TO_CLIENT, response('Content-Length: 30\r\n', '0123456789'));
  const half = d.flow.toClient;
  d.app.gap(d.flow, TO_CLIENT, half.end, 10);
  half.base = half.parsed;
  half.len = 0;
  d.send(TO_CLIENT, 'abcdefghij');
  t.is(d.records.length, 1);
  t.is(d.buffer('file.data', TO_CLIENT), '0123456789abcdefghij');
  const lost = new Driver();
  lost.send(TO_SERVER, 'GET / HT');
  lost.app.gap(lost.flow, TO_SERVER, 8, 5);
  lost.send(TO_SERVER, '1\r\n\r\n');
  t.not(lost.flow.uninspected, '');
});
