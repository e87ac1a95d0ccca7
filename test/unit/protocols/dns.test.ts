import test from 'ava';
import fc from 'fast-check';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { transactionsOf } from '../../../src/protocols/index.js';
import { concat, Driver } from './driver.js';

function u16(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((v) => [(v >> 8) & 255, v & 255]));
}

function name(text: string): Uint8Array {
  return concat(...text.split('.').map((label) => concat(Uint8Array.of(label.length), label)), Uint8Array.of(0));
}

/** Header with one question unless counts say otherwise. */
function header(flags: number, counts: [number, number, number, number] = [1, 0, 0, 0]): Uint8Array {
  return u16(0x1234, flags, ...counts);
}

const QUERY = concat(header(0x0100), name('www.example.org'), u16(1, 1));
const POINTER = Uint8Array.of(0xc0, 12);
const ANSWER = concat(
  header(0x8180, [1, 3, 1, 0]),
  name('www.example.org'),
  u16(1, 1),
  concat(POINTER, u16(5, 1, 0, 60, 6), Uint8Array.of(3), 'web', Uint8Array.of(0xc0, 16)),
  concat(POINTER, u16(1, 1, 0, 300, 4), Uint8Array.of(192, 0, 2, 1)),
  concat(POINTER, u16(28, 1, 0, 300, 16), Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9)),
  concat(Uint8Array.of(0xc0, 16), u16(2, 1, 0, 10, 5), Uint8Array.of(2), 'ns', Uint8Array.of(0xc0, 16)),
);

test('query and answer over UDP: buffers and records', (t) => {
  const d = new Driver(53);
  d.datagram(TO_SERVER, QUERY);
  d.datagram(TO_CLIENT, ANSWER);
  t.is(d.flow.appProto, 'dns');
  t.is(d.buffer('dns.query'), 'www.example.org');
  t.is(d.buffer('dns.query.name', TO_CLIENT, 1), 'www.example.org');
  t.is(d.buffer('dns.answer.name', TO_CLIENT, 1, 0), 'www.example.org');
  t.deepEqual(d.records[0]!.body, { type: 'query', id: 0x1234, rrname: 'www.example.org', rrtype: 'A', tx_id: 0, opcode: 0 });
  t.like(d.records[1]!.body, {
    version: 2,
    type: 'answer',
    flags: '8180',
    rcode: 'NOERROR',
    grouped: { CNAME: ['web.example.org'], A: ['192.0.2.1'], AAAA: ['2001:0db8:0000:0000:0000:0000:0000:0009'] },
    authorities: [{ rrname: 'example.org', rrtype: 'NS', ttl: 10, rdata: 'ns.example.org' }],
  });
  t.is(d.records[1]!.toServer, false);
  t.is(d.flow.transactions.length, 0);
});

test('several messages over TCP in any cut', (t) => {
  const stream = concat(u16(QUERY.length), QUERY, u16(QUERY.length), QUERY);
  for (let step = 1; step < stream.length; step++) {
    const d = new Driver(53);
    d.send(TO_SERVER, stream, step);
    t.is(d.records.length, 2, `pieces of ${step}`);
    t.is(d.buffer('dns.query', TO_SERVER, 1), 'www.example.org');
  }
});

test('only looked for on its ports', (t) => {
  const d = new Driver(5353);
  d.datagram(TO_SERVER, QUERY);
  t.is(d.flow.app, 0);
  const moved = new Driver(5353, { ports: { dns: [5353] } });
  moved.datagram(TO_SERVER, QUERY);
  t.is(moved.flow.appProto, 'dns');
});

const long = Array.from({ length: 20 }, () => 'a'.repeat(60)).join('.');
const events: [string, number, Uint8Array][] = [
  ['dns.malformed_data', TO_SERVER, concat(header(0x0100, [2, 0, 0, 0]), name('a.example.org'), u16(1, 1))],
  ['dns.not_request', TO_SERVER, concat(header(0x8100), name('a'), u16(1, 1))],
  ['dns.not_response', TO_CLIENT, QUERY],
  ['dns.z_flag_set', TO_SERVER, concat(header(0x0140), name('a'), u16(1, 1))],
  ['dns.name_too_long', TO_SERVER, concat(header(0x0100), name(long), u16(1, 1))],
  ['dns.infinite_loop', TO_SERVER, concat(header(0x0100), Uint8Array.of(0xc0, 12), u16(1, 1))],
  ['dns.too_many_labels', TO_SERVER, concat(header(0x0100), Uint8Array.of(1, 97, 0xc0, 12), u16(1, 1))],
  ['dns.invalid_opcode', TO_SERVER, concat(header(0x7900), name('a'), u16(1, 1))],
];
for (const [event, dir, message] of events) {
  test(`event ${event}`, (t) => {
    const d = new Driver(53);
    d.datagram(TO_SERVER, QUERY);
    t.deepEqual([...d.txEvents], []);
    d.datagram(dir, message);
    t.true(d.txEvents.has(event), [...d.txEvents].join());
  });
}

test('opcode and rcode as numbers', (t) => {
  const d = new Driver(53);
  d.datagram(TO_SERVER, QUERY);
  d.view.buf = concat(header(0x2183), name('a'), u16(1, 1));
  d.view.payloadLen = d.view.buf.length;
  d.app.datagram(d.view, d.flow);
  const tx = transactionsOf(d.flow)[0]!;
  t.is(tx.integer('dns.opcode', TO_SERVER), 4);
  t.is(tx.integer('dns.opcode', TO_CLIENT), -1);
  t.is(tx.integer('dns.rcode', TO_SERVER), -1);
});

test('fuzz: mutated messages never throw and stay small', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(ANSWER.length - 1), fc.nat(255)), { maxLength: 8 }), fc.nat(ANSWER.length), (edits, cut) => {
      const data = Uint8Array.from(ANSWER);
      for (const [at, value] of edits) data[at] = value;
      const d = new Driver(53);
      d.datagram(TO_SERVER, QUERY);
      d.datagram(TO_CLIENT, data.subarray(0, cut || 1));
      d.close();
      t.true(JSON.stringify(d.records).length < 1 << 20);
    }),
    { numRuns: 500 },
  );
});

test('compression cannot blow a message up', (t) => {
  // 64 KiB of answers whose names and data all point at one long name
  const base = name(Array.from({ length: 15 }, () => 'b'.repeat(60)).join('.'));
  const rr = concat(POINTER, u16(5, 1, 0, 1, 2), POINTER);
  const count = Math.floor((65000 - base.length) / rr.length);
  const d = new Driver(53);
  d.watch = false;
  d.datagram(TO_SERVER, QUERY);
  const before = process.memoryUsage().arrayBuffers;
  d.view.buf = concat(header(0x8180, [1, count, 0, 0]), base, u16(1, 1), ...Array.from({ length: count }, () => rr));
  d.view.payloadLen = d.view.buf.length;
  d.view.flowDir = TO_CLIENT;
  d.app.datagram(d.view, d.flow);
  t.true(process.memoryUsage().arrayBuffers - before < 2 << 20);
});
