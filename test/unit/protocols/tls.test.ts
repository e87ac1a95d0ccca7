import test from 'ava';
import fc from 'fast-check';
import { createHash, X509Certificate } from 'node:crypto';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { transactionsOf } from '../../../src/protocols/index.js';
import { concat, Driver } from './driver.js';

/** A self-signed certificate made with openssl; node:crypto is the independent oracle. */
const DER = Buffer.from('MIICcTCCAhegAwIBAgIURQr8jREPZYeNGKlTlVP/TQtTpecwCgYIKoZIzj0EAwIwgY0xCzAJBgNVBAYTAkZSMQwwCgYDVQQIDANJREYxDjAMBgNVBAcMBVBhcmlzMRcwFQYDVQQKDA5EcmF3YnJpZGdlIExhYjEOMAwGA1UECwwFVGVzdHMxFzAVBgNVBAMMDnZtLmV4YW1wbGUub3JnMR4wHAYJKoZIhvcNAQkBFg9vcHNAZXhhbXBsZS5vcmcwHhcNMjYxMTIzMTMyNDQ1WhcNMzYxMTIwMTMyNDQ1WjCBjTELMAkGA1UEBhMCRlIxDDAKBgNVBAgMA0lERjEOMAwGA1UEBwwFUGFyaXMxFzAVBgNVBAoMDkRyYXdicmlkZ2UgTGFiMQ4wDAYDVQQLDAVUZXN0czEXMBUGA1UEAwwOdm0uZXhhbXBsZS5vcmcxHjAcBgkqhkiG9w0BCQEWD29wc0BleGFtcGxlLm9yZzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL7hy5ZCpxwGmU2ujV5WaIRFzJPyagC2DzNCpgtdD9zECgBtTLUm3rOJ09RMFOr2riGNfFOSQESZc3A1+Rqy9ZujUzBRMB0GA1UdDgQWBBTE5R/OOn00IzwbmQYuxWZdeuX9xTAfBgNVHSMEGDAWgBTE5R/OOn00IzwbmQYuxWZdeuX9xTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIGZELx36pxjzzwDOVunaNQRNdOmfiATYgfN1WzecvQ0DAiEA4eD8ghcuwXEiee7HxopsV4LaRKxsVu8PtpGeFnbUQhc=', 'base64');
const ORACLE = new X509Certificate(DER);

function u16(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((v) => [(v >> 8) & 255, v & 255]));
}
function u24(n: number): Uint8Array {
  return Uint8Array.of(n >> 16, (n >> 8) & 255, n & 255);
}
function ext(type: number, body: Uint8Array): Uint8Array {
  return concat(u16(type, body.length), body);
}
function message(type: number, body: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type), u24(body.length), body);
}
/** Records of at most `size` bytes around a handshake stream. */
function records(data: Uint8Array, size = 16384, type = 22): Uint8Array {
  const out: Uint8Array[] = [];
  for (let i = 0; i < data.length; i += size) {
    const piece = data.subarray(i, i + size);
    out.push(concat(Uint8Array.of(type, 3, 1), u16(piece.length), piece));
  }
  return concat(...out);
}

const HOST = 'vm.example.org';
const RANDOM = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
const EXTENSIONS = concat(
  ext(0x0a0a, new Uint8Array(0)),
  ext(0, concat(u16(HOST.length + 3), Uint8Array.of(0), u16(HOST.length), HOST)),
  ext(10, u16(6, 0x2a2a, 29, 23)),
  ext(11, Uint8Array.of(1, 0)),
  ext(13, u16(4, 0x0403, 0x0804)),
  ext(16, concat(u16(12), Uint8Array.of(2), 'h2', Uint8Array.of(8), 'http/1.1')),
  ext(43, Uint8Array.of(4, 3, 4, 3, 3)),
);
const CLIENT_HELLO = message(1, concat(u16(0x0303), RANDOM, Uint8Array.of(0), u16(6, 0x1a1a, 0x1301, 0xc02f), Uint8Array.of(1, 0), u16(EXTENSIONS.length), EXTENSIONS));
const SERVER_EXT = ext(0xff01, Uint8Array.of(0));
const SERVER_HELLO = message(2, concat(u16(0x0303), RANDOM, Uint8Array.of(0), u16(0xc02f), Uint8Array.of(0), u16(SERVER_EXT.length), SERVER_EXT));
const CERTIFICATE = message(11, concat(u24(2 * (DER.length + 3)), u24(DER.length), DER, u24(DER.length), DER));
const SERVER_FLIGHT = concat(SERVER_HELLO, CERTIFICATE, message(14, new Uint8Array(0)));
const CCS = Uint8Array.of(20, 3, 3, 0, 1, 1);
const DATA = Uint8Array.of(23, 3, 3, 0, 3, 9, 9, 9);

function handshake(recordSize: number, step: number): Driver {
  const d = new Driver(443);
  d.send(TO_SERVER, records(CLIENT_HELLO, recordSize), step);
  d.send(TO_CLIENT, records(SERVER_FLIGHT, recordSize), step);
  d.send(TO_SERVER, concat(CCS, DATA), step);
  d.send(TO_CLIENT, concat(CCS, DATA), step);
  return d;
}

test('buffers, fingerprints and the log record of a handshake', (t) => {
  const d = handshake(16384, 0);
  const ja3 = '771,4865-49199,0-10-11-13-16-43,29-23,0';
  const sha = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);
  const want: [string, number, string][] = [
    ['tls.sni', TO_SERVER, HOST],
    ['tls.random', TO_SERVER, Buffer.from(RANDOM).toString('latin1')],
    ['tls.random_time', TO_CLIENT, '\x01\x02\x03\x04'],
    ['tls.alpn', TO_SERVER, 'h2'],
    ['ja3.string', TO_SERVER, ja3],
    ['ja3.hash', TO_SERVER, createHash('md5').update(ja3).digest('hex')],
    ['ja3s.string', TO_CLIENT, '771,49199,65281'],
    ['ja4.hash', TO_SERVER, `t13d0206h2_${sha('1301,c02f')}_${sha('000a,000b,000d,002b_0403,0804')}`],
    ['tls.cert_fingerprint', TO_CLIENT, ORACLE.fingerprint.toLowerCase()],
    ['tls.cert_serial', TO_CLIENT, ORACLE.serialNumber.replace(/(..)(?=.)/g, '$1:')],
    ['tls.cert_subject', TO_CLIENT, ORACLE.subject.split('\n').join(', ')],
    ['tls.cert_issuer', TO_CLIENT, ORACLE.issuer.split('\n').join(', ')],
    ['tls.certs', TO_CLIENT, DER.toString('latin1')],
  ];
  for (const [name, dir, value] of want) t.is(d.buffer(name, dir), value, name);
  t.is(d.buffer('tls.certs', TO_CLIENT, 0, 1), DER.toString('latin1'));
  t.is(d.flow.uninspected, 'encrypted');
  t.true(d.flow.toServer.parseDone && d.flow.toClient.parseDone);
  t.is(d.records.length, 1);
  t.like(d.records[0]!.body, { sni: HOST, version: 'TLS 1.2', notbefore: new Date(ORACLE.validFrom).toISOString().slice(0, 19), notafter: new Date(ORACLE.validTo).toISOString().slice(0, 19) });
});

test('certificate chain length is a number', (t) => {
  const d = new Driver(443);
  d.send(TO_SERVER, records(CLIENT_HELLO));
  d.send(TO_CLIENT, records(SERVER_FLIGHT));
  const tx = transactionsOf(d.flow)[0]!;
  t.is(tx.integer('tls.cert_chain_len', TO_CLIENT), 2);
  t.is(tx.integer('tls.cert_chain_len', TO_SERVER), -1);
  t.is(tx.integer('tls.cert_notafter', TO_CLIENT), Date.parse(ORACLE.validTo) / 1000);
});

test('messages split over records and segments in any way', (t) => {
  const whole = JSON.stringify([[...handshake(16384, 0).buffers].sort(), handshake(16384, 0).records]);
  for (const recordSize of [1, 3, 50, 300]) for (const step of [0, 1, 4, 100]) {
    const d = handshake(recordSize, step);
    t.is(JSON.stringify([[...d.buffers].sort(), d.records]), whole, `records of ${recordSize}, pieces of ${step}`);
  }
});

test('TLS 1.3: everything behind the hellos is encrypted', (t) => {
  const d = new Driver(443);
  const selected = ext(43, u16(0x0304));
  d.send(TO_SERVER, records(CLIENT_HELLO));
  d.send(TO_CLIENT, concat(records(message(2, concat(u16(0x0303), RANDOM, Uint8Array.of(0), u16(0x1301), Uint8Array.of(0), u16(selected.length), selected))), CCS, DATA));
  t.is(d.flow.uninspected, '');
  d.send(TO_SERVER, concat(CCS, DATA));
  t.is(d.flow.uninspected, 'encrypted');
  t.is(d.records[0]!.body['version'], 'TLS 1.3');
});

const bad: [string, number, Uint8Array][] = [
  ['tls.invalid_record_type', TO_SERVER, concat(records(CLIENT_HELLO), Uint8Array.of(99, 3, 1, 0, 0))],
  ['tls.invalid_record_version', TO_SERVER, concat(records(CLIENT_HELLO), Uint8Array.of(22, 9, 1, 0, 0))],
  ['tls.invalid_record_length', TO_SERVER, concat(records(CLIENT_HELLO), Uint8Array.of(22, 3, 1, 255, 255))],
  ['tls.invalid_handshake_message', TO_SERVER, records(SERVER_HELLO)],
  ['tls.handshake_invalid_length', TO_SERVER, records(message(1, CLIENT_HELLO.subarray(4, 60)))],
  ['tls.certificate_invalid_der', TO_CLIENT, records(message(11, concat(u24(5), u24(2), 'xx')))],
];
for (const [event, dir, data] of bad) {
  test(`event ${event}`, (t) => {
    const d = new Driver(443);
    if (dir === TO_CLIENT) d.send(TO_SERVER, records(CLIENT_HELLO));
    d.watch = true;
    const seen: string[] = [];
    const settle = d.app.settle.bind(d.app);
    d.app.settle = (view, flow): void => {
      for (const tx of transactionsOf(flow)) seen.push(...(tx.events ?? []));
      settle(view, flow);
    };
    d.send(dir, data);
    t.true(seen.includes(event), seen.join());
    t.deepEqual([...handshake(16384, 0).txEvents], []);
  });
}

test('SSLv2 hello is recognised', (t) => {
  const d = new Driver(443);
  d.send(TO_SERVER, Uint8Array.of(0x80, 28, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 5, ...RANDOM.subarray(0, 16)), 1);
  t.is(d.flow.appProto, 'tls');
});

test('fuzz: mutated handshakes never throw and hold little', (t) => {
  const client = records(CLIENT_HELLO, 200);
  const server = records(SERVER_FLIGHT, 200);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(server.length - 1), fc.nat(255)), { maxLength: 8 }), fc.integer({ min: 1, max: 400 }), (edits, step) => {
      const c = Uint8Array.from(client);
      const s = Uint8Array.from(server);
      for (const [at, value] of edits) {
        s[at] = value;
        if (at > 6) c[at % c.length] = value;
      }
      const d = new Driver(443);
      d.send(TO_SERVER, c, step);
      d.send(TO_CLIENT, s, step);
      d.close();
      t.true(d.flow.transactions.length === 0 && d.records.length <= 1);
    }),
    { numRuns: 200 },
  );
});

test('a client that has closed its side takes nothing from what the server is saying', (t) => {
  const d = new Driver(443);
  const flight = records(SERVER_FLIGHT);
  d.send(TO_SERVER, records(CLIENT_HELLO));
  d.send(TO_CLIENT, flight.subarray(0, flight.length - 100));
  d.app.end(d.flow, TO_SERVER);
  d.send(TO_CLIENT, flight.subarray(flight.length - 100));
  t.is(d.buffer('tls.certs', TO_CLIENT), DER.toString('latin1'));
});
