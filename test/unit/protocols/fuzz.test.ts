import test from 'ava';
import fc from 'fast-check';
import { gzipSync } from 'node:zlib';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { concat, Driver } from './driver.js';

const requests = concat(
  'GET /a/../b%20c?x=%41 HTTP/1.1\r\nHost: h.example:80\r\nCookie: a=b\r\nX: y\r\n folded\r\n\r\n',
  'POST /u HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=xy\r\nTransfer-Encoding: chunked\r\n\r\n',
  '47\r\n--xy\r\nContent-Disposition: form-data; name="f"; filename="a.exe"\r\n\r\nMZ\r\n\r\n8\r\n\r\n--xy--\r\n0\r\n\r\n',
  'CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n',
);
const packed = gzipSync('the body of the second response '.repeat(20));
const answers = concat(
  'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n0123456789',
  `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n${packed.length.toString(16)}\r\n`,
  packed,
  '\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1 200 tunnel\r\n\r\n',
);

function mutate(data: Uint8Array, edits: readonly (readonly [number, number, number])[]): Uint8Array {
  let out = Uint8Array.from(data);
  for (const [kind, at, value] of edits) {
    const i = at % out.length;
    if (kind === 0) out[i] = value;
    else if (kind === 1) out = Uint8Array.from([...out.subarray(0, i), ...out.subarray(i + 1 + (value % 8))]);
    else out = Uint8Array.from([...out.subarray(0, i), ...out.subarray(i, i + (value % 16)), value, ...out.subarray(i)]);
    if (out.length === 0) out = Uint8Array.of(value);
  }
  return out;
}

test('fuzz: mutated HTTP in any cut and order neither throws nor hoards', (t) => {
  const edits = fc.array(fc.tuple(fc.nat(2), fc.nat(2000), fc.nat(255)), { maxLength: 8 });
  fc.assert(
    fc.property(edits, edits, fc.integer({ min: 1, max: 300 }), fc.boolean(), (a, b, step, serverFirst) => {
      const d = new Driver();
      const order = serverFirst ? [TO_CLIENT, TO_SERVER] : [TO_SERVER, TO_CLIENT];
      for (const dir of order) d.send(dir, dir === TO_SERVER ? mutate(requests, a) : mutate(answers, b), step);
      // what is held back unparsed is one line at most, not the stream
      t.true(d.flow.toServer.end - d.flow.toServer.parsed < 20000);
      d.close();
      t.is(d.flow.transactions.length, 0);
    }),
    { numRuns: 400 },
  );
});

test('fuzz: random bytes on any port', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(80, 443, 53, 22, 21, 25, 12345), fc.uint8Array({ maxLength: 400 }), fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 100 }), (port, a, b, step) => {
      const d = new Driver(port);
      d.send(TO_SERVER, a, step);
      d.send(TO_CLIENT, b, step);
      d.close();
      const u = new Driver(port);
      u.datagram(TO_SERVER, a);
      u.datagram(TO_CLIENT, b);
      u.close();
      t.pass();
    }),
    { numRuns: 400 },
  );
});

test('work per byte does not grow with the length of an unfinished line', (t) => {
  // scanning must go on where it stopped: a line delivered byte by byte is looked at once, not once per byte
  let reads = 0;
  const d = new Driver();
  d.watch = false;
  d.send(TO_SERVER, 'GET /');
  const half = d.flow.toServer;
  const line = new Uint8Array(15000).fill(97);
  line.set(Buffer.from('GET /'));
  half.buf = new Proxy(line, { get: (target, key) => (typeof key === 'string' && /^\d+$/.test(key) && reads++, Reflect.get(target, key) as unknown) });
  half.base = 0;
  for (let len = 6; len < line.length; len += 100) {
    half.len = len;
    d.app.data(d.view, d.flow, TO_SERVER);
  }
  t.true(reads < line.length * 3, `${reads} reads`);
});
