/** HTTP/2: what Node's own implementation (nghttp2) says to itself, frames built by hand, mutations of both. */
import { createServer, connect, constants } from 'node:http2';
import { createConnection, createServer as createRelay, type AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { HpackDecoder, HPACK_BLOCK_MAX } from '../../../src/protocols/http2/index.js';
import { bytes, concat, Driver } from './driver.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const LONG = 'every printable character: ' + Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');

interface Talk {
  readonly pieces: readonly { readonly dir: number; readonly data: Uint8Array }[];
}

let talked: Promise<Talk> | null = null;

/** A conversation over loopback as it goes over the wire: five exchanges on one connection. */
function conversation(): Promise<Talk> {
  talked ??= new Promise((settle, reject) => {
    const pieces: { dir: number; data: Uint8Array }[] = [];
    const server = createServer();
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': headers[':path'] === '/none' ? 404 : 200, 'content-type': 'text/plain', 'set-cookie': 'b=c', ...(headers[':path'] === '/zip' ? { 'content-encoding': 'gzip' } : {}) });
      stream.end(headers[':path'] === '/zip' ? gzipSync('unpacked answer') : `answer to ${headers[':path']}`);
    });
    server.listen(0, '127.0.0.1', () => {
      const relay = createRelay((client) => {
        const behind = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
        client.on('data', (data: Uint8Array) => {
          pieces.push({ dir: TO_SERVER, data: Uint8Array.from(data) });
          behind.write(data);
        });
        behind.on('data', (data: Uint8Array) => {
          pieces.push({ dir: TO_CLIENT, data: Uint8Array.from(data) });
          client.write(data);
        });
        client.on('close', () => behind.destroy());
      });
      relay.listen(0, '127.0.0.1', () => {
        const client = connect(`http://127.0.0.1:${(relay.address() as AddressInfo).port}`);
        client.on('error', reject);
        const requests = ['/first?a=%41', '/zip', '/none', '/x/../post', '/last'].map((path, i) => {
          const stream = client.request({ [constants.HTTP2_HEADER_PATH]: path, ':method': path.endsWith('post') ? 'POST' : 'GET', ':authority': 'Site.example:8080', 'user-agent': 'probe/2', 'x-long': LONG, 'x-n': String(i), cookie: `n=${i}` }, { endStream: !path.endsWith('post') });
          if (path.endsWith('post')) stream.end('posted body');
          return new Promise<void>((done) => stream.on('close', done).resume());
        });
        void Promise.all(requests).then(() => {
          client.close(() => {
            server.close();
            relay.close();
          });
          settle({ pieces });
        });
      });
    });
  });
  return talked;
}

function literal(name: string, value: string): Uint8Array {
  return concat(Uint8Array.of(0, name.length), name, Uint8Array.of(value.length), value);
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  return concat(Uint8Array.of(length >> 16, (length >> 8) & 255, length & 255, type, flags, 0, 0, 0, stream), payload);
}

const head = (...fields: [string, string][]): Uint8Array => concat(...fields.map(([name, value]) => literal(name, value)));
const REQUEST = head([':method', 'POST'], [':scheme', 'http'], [':path', '/a/../b%20c?x=1'], [':authority', 'Site.example:8080'], ['cookie', 'a=b'], ['user-agent', 'probe'], ['content-type', 'text/plain']);
const RESPONSE = head([':status', '200'], ['server', 'origin'], ['set-cookie', 'c=d']);
const SETTINGS = frame(4, 0, 0, Uint8Array.of(0, 4, 0, 1, 0, 0));
const CLIENT = concat(PREFACE, SETTINGS, frame(1, 4, 1, REQUEST), frame(0, 0, 1, bytes('the first ')), frame(0, 1 | 8, 1, concat(Uint8Array.of(3), 'part', 'pad')));
const SERVER = concat(SETTINGS, frame(1, 0, 1, RESPONSE.slice(0, 9)), frame(9, 4, 1, RESPONSE.slice(9)), frame(0, 1, 1, bytes('an answer')), frame(7, 0, 0, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 11)));

test('an exchange shows the buffers that one of HTTP/1 shows, in any cut', (t) => {
  for (const step of [0, 1, 2, 7, 50]) {
    const d = new Driver();
    d.send(TO_SERVER, CLIENT, step);
    d.send(TO_CLIENT, SERVER, step);
    d.close();
    t.is(d.flow.appProto, 'http2');
    const id = 1; // SETTINGS came before
    const want: Record<string, string> = {
      'http.method': 'POST',
      'http.uri': '/b c?x=1',
      'http.uri.raw': '/a/../b%20c?x=1',
      'http.protocol': 'HTTP/2',
      'http.host': 'site.example',
      'http.host.raw': 'Site.example:8080',
      'http.user_agent': 'probe',
      'http.cookie': 'a=b',
      'http.request_line': 'POST /a/../b%20c?x=1 HTTP/2',
      'http.header': ':method: POST\r\n:scheme: http\r\n:path: /a/../b%20c?x=1\r\n:authority: Site.example:8080\r\nuser-agent: probe\r\ncontent-type: text/plain\r\n',
      'http.header_names': '\r\n:method\r\n:scheme\r\n:path\r\n:authority\r\ncookie\r\nuser-agent\r\ncontent-type\r\n\r\n',
      'http.request_body': 'the first part',
      'file.data': 'the first part',
    };
    for (const [name, value] of Object.entries(want)) t.is(d.buffer(name, TO_SERVER, id), value, `${name} in pieces of ${step}`);
    t.is(d.buffer('http2.header_name', TO_SERVER, id, 2), ':path');
    t.is(d.buffer('http.request_header', TO_SERVER, id, 0), ':method: POST');
    const answer = [...d.buffers].filter(([key]) => key.startsWith('http.stat_code<'));
    t.deepEqual(answer.map(([, value]) => value), ['200']);
    t.is(d.buffer('http.response_body', TO_CLIENT, id), 'an answer');
    t.is(d.buffer('http.cookie', TO_CLIENT, id), 'c=d');
    t.is(d.buffer('http.server', TO_CLIENT, id), 'origin');
    t.deepEqual([...d.txEvents], []);
    const logged = d.records.filter(({ type }) => type === 'http');
    t.is(logged.length, 1);
    t.like(logged[0]!.body, { hostname: 'site.example', url: '/a/../b%20c?x=1', http_method: 'POST', status: 200, length: 9, version: '2', http2: { stream_id: 1 } });
  }
});

test('what nghttp2 sends is read: indexed fields, Huffman code, compressed bodies', async (t) => {
  const { pieces } = await conversation();
  const d = new Driver();
  for (const { dir, data } of pieces) d.send(dir, data);
  d.close();
  const of = (name: string): string[] => [...d.buffers].filter(([key]) => key.startsWith(`${name}<`)).map(([, value]) => value);
  t.deepEqual(of('http.stat_code').sort(), ['200', '200', '200', '200', '404']);
  t.true(of('http.response_body').includes('unpacked answer'));
  t.true(of('http.response_body').includes('answer to /last'));
  t.deepEqual([...d.txEvents], []);
});

test('HPACK: fields of RFC 7541 appendix C.4 and C.6, with eviction', (t) => {
  const decoder = new HpackDecoder();
  const read = (hex: string): string[] | null => {
    const fields: string[] = [];
    const text = (b: Uint8Array, off: number, len: number): string => Buffer.from(b.buffer, b.byteOffset + off, len).toString('latin1');
    const src = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    const ok = decoder.decode(src, 0, src.length, { field: (n, no, nl, v, vo, vl) => void fields.push(`${text(n, no, nl)}: ${text(v, vo, vl)}`), tableSize: (size) => void fields.push(`size ${size}`) });
    return ok ? fields : null;
  };
  t.deepEqual(read('8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff'), [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com']);
  t.deepEqual(read('8286 84be 5886 a8eb 1064 9cbf'), [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache']);
  t.deepEqual(read('8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf'), [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value']);
  t.deepEqual(read('3f e1 1f 20 82'), ['size 4096', 'size 0', ':method: GET']);
  t.is(read('be'), null, 'the table is empty now');
  t.is(read('80'), null, 'index 0');
  t.is(read('82 20'), null, 'a size behind a field');
  t.is(read('3f ff ff ff ff 7f'), null, 'a size nobody allowed');
  t.is(read('00 81 ff'), null, 'a name that ends within the block');
  t.is(read('00 84 ffffffff 00'), null, 'EOS in a string');
});

test('HPACK: a block that expands without end is cut, the table stays right', (t) => {
  const decoder = new HpackDecoder();
  let taken = 0;
  const sink = { field: (_n: Uint8Array, _no: number, nl: number, _v: Uint8Array, _vo: number, vl: number) => void (taken += nl + vl), tableSize: () => undefined };
  const big = concat(Uint8Array.of(0x40, 1), 'x', Uint8Array.of(0x7f, 0xa1, 0x1e), 'v'.repeat(4000));
  t.true(decoder.decode(big, 0, big.length, sink));
  const bomb = new Uint8Array(60_000).fill(0xbe);
  t.true(decoder.decode(bomb, 0, bomb.length, sink));
  t.true(decoder.overflow);
  t.true(taken <= HPACK_BLOCK_MAX + 5000, `${taken}`);
  t.true(decoder.decode(Uint8Array.of(0xbe), 0, 1, sink));
  t.false(decoder.overflow);
});

test('events', (t) => {
  const events = (...frames: Uint8Array[]): string[] => {
    const d = new Driver();
    d.send(TO_SERVER, concat(PREFACE, SETTINGS, ...frames));
    d.close();
    return [...d.txEvents];
  };
  const ask = (...more: [string, string][]): Uint8Array => frame(1, 5, 1, head([':method', 'GET'], [':path', '/'], ...more));
  t.deepEqual(events(ask([':authority', 'a'], ['host', 'A'])), []);
  t.deepEqual(events(ask([':authority', 'a'], ['host', 'b'])), ['http2.authority_host_mismatch']);
  t.deepEqual(events(ask([':authority', 'user@a'])), ['http2.userinfo_in_uri']);
  t.deepEqual(events(ask(['x', 'y'], [':authority', 'late'])), ['http2.invalid_header']);
  t.deepEqual(events(frame(8, 0, 0, Uint8Array.of(1))), ['http2.invalid_frame_length']);
  t.deepEqual(events(frame(1, 0, 1, head([':method', 'GET'])), frame(6, 0, 0, new Uint8Array(8))), ['http2.invalid_frame_data'], 'something between the frames of a block');
  t.deepEqual(events(frame(1, 5, 1, Uint8Array.of(0xff, 0xff))), ['http2.failed_decompression']);
  t.deepEqual(events(ask(), ask()), ['http2.stream_id_reuse']);
});

test('after an upgrade from HTTP/1 the connection goes on in HTTP/2', (t) => {
  const d = new Driver();
  d.send(TO_SERVER, 'GET /old HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n');
  d.send(TO_CLIENT, concat('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n', SETTINGS, frame(1, 4, 1, RESPONSE), frame(0, 1, 1, bytes('old answer'))));
  d.send(TO_SERVER, concat(PREFACE, SETTINGS, frame(1, 5, 3, head([':method', 'GET'], [':path', '/new'], [':authority', 'a']))));
  t.is(d.flow.appProto, 'http2');
  t.true([...d.buffers].some(([key, value]) => key.startsWith('http.uri>') && value === '/old'));
  t.true([...d.buffers].some(([key, value]) => key.startsWith('http.uri>') && value === '/new'));
  t.true([...d.buffers].some(([key, value]) => key.startsWith('http.response_body<') && value === 'old answer'));
  d.close();
});

test('streams beyond the bound give way, oldest first', (t) => {
  const d = new Driver();
  d.watch = false;
  d.send(TO_SERVER, concat(PREFACE, SETTINGS));
  for (let i = 0; i < 2000; i++) {
    const open = frame(1, 4, 0, head([':method', 'GET'], [':path', `/${i}`]));
    new DataView(open.buffer, open.byteOffset).setUint32(5, i * 2 + 1);
    d.send(TO_SERVER, open);
    t.true(d.flow.transactions.length <= 513);
  }
  d.close();
  t.is(d.flow.transactions.length, 0);
});

test('fuzz: mutated frames in any cut neither throw nor hoard', async (t) => {
  const { pieces } = await conversation();
  const answers = concat(...pieces.filter(({ dir }) => dir === TO_CLIENT).map(({ data }) => data));
  const edits = fc.array(fc.tuple(fc.nat(1), fc.nat(4000), fc.nat(255)), { maxLength: 6 });
  const mutate = (data: Uint8Array, list: readonly (readonly [number, number, number])[]): Uint8Array => {
    let out = Uint8Array.from(data);
    for (const [kind, at, value] of list) {
      if (kind === 0) out[at % out.length] = value;
      else out = concat(out.slice(0, at % out.length), out.slice((at % out.length) + (value % 9))) as Uint8Array<ArrayBuffer>;
    }
    return out;
  };
  fc.assert(
    fc.property(edits, edits, fc.integer({ min: 1, max: 300 }), fc.boolean(), (a, b, step, real) => {
      const d = new Driver();
      d.send(TO_SERVER, concat(PREFACE, mutate(CLIENT.slice(PREFACE.length), a)), step);
      d.send(TO_CLIENT, mutate(real ? answers : SERVER, b), step);
      t.true(d.flow.toClient.end - d.flow.toClient.parsed < 70_000);
      d.close();
      t.is(d.flow.transactions.length, 0);
    }),
    { numRuns: 200 },
  );
});
