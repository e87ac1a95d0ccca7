/** NFS over ONC RPC: calls, files of version 3, in any cut. PostgreSQL is only recognised. */
import fc from 'fast-check';
import test from 'ava';
import { TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { transactionsOf, type Transaction } from '../../../src/protocols/index.js';
import { concat, Driver } from './driver.js';

const be = (value: number, bytes = 4): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** (bytes - 1 - i)) & 255);
const zeros = (n: number): Uint8Array => new Uint8Array(n);
const opaque = (data: string): Uint8Array => concat(be(data.length), data, zeros((4 - (data.length & 3)) & 3));
const call = (xid: number, version: number, procedure: number, ...args: Uint8Array[]): Uint8Array => concat(be(xid), be(0), be(2), be(100003), be(version), be(procedure), be(1), opaque('cred'), be(0), be(0), ...args);
const reply = (xid: number, ...results: Uint8Array[]): Uint8Array => concat(be(xid), be(1), be(0), be(0), be(0), be(0), be(0), ...results);
const record = (message: Uint8Array): Uint8Array => concat(be(0x80000000 + message.length), message);

const CLIENT = [
  call(1, 3, 3, opaque('dirh'), opaque('secret.exe')),
  call(2, 3, 6, opaque('fileh'), be(0, 8), be(100)),
  call(3, 3, 7, opaque('fileh'), be(0, 8), be(5), be(2), opaque('MZnew')),
  call(4, 3, 21, opaque('fileh'), be(0, 8), be(0)),
];
const SERVER = [reply(1, opaque('fileh')), reply(2, be(0), be(5), be(1), opaque('MZold'))];

class Watcher extends Driver {
  readonly seen = new Set<Transaction>();
  override look(): void {
    for (const tx of transactionsOf(this.flow)) this.seen.add(tx);
    super.look();
  }
}

function check(t: { deepEqual(a: unknown, b: unknown): void; is(a: unknown, b: unknown): void }, d: Watcher): void {
  t.is(d.flow.appProto, 'nfs');
  const procedures = [...d.seen].map((tx) => tx.integer('nfs.procedure', 0)).filter((n) => n >= 0);
  t.deepEqual(procedures, [3, 7, 21]);
  const values = (name: string): string[] => [...d.buffers].filter(([key]) => key.startsWith(name)).map(([, value]) => value).toSorted();
  t.deepEqual(values('file.data'), ['MZnew', 'MZold']);
  t.deepEqual(values('file.name'), ['secret.exe', 'secret.exe']);
}

test('nfs: calls, names learnt from lookups, files read and written', (t) => {
  for (const step of [0, 1, 9]) {
    const d = new Watcher(2049);
    d.send(TO_SERVER, record(CLIENT[0]!), step);
    d.send(TO_CLIENT, record(SERVER[0]!), step);
    d.send(TO_SERVER, concat(...CLIENT.slice(1).map(record)), step);
    d.send(TO_CLIENT, record(SERVER[1]!), step);
    check(t, d);
    d.close();
    t.is(d.flow.transactions.length, 0);
  }
  const u = new Watcher(2049);
  u.datagram(TO_SERVER, CLIENT[0]!);
  u.datagram(TO_CLIENT, SERVER[0]!);
  for (const message of CLIENT.slice(1)) u.datagram(TO_SERVER, message);
  u.datagram(TO_CLIENT, SERVER[1]!);
  check(t, u);
});

test('pgsql: start-up messages are recognised, the stream is left alone', (t) => {
  const d = new Driver(5432);
  d.send(TO_SERVER, concat(be(8), be(80877103)), 1);
  t.is(d.flow.appProto, 'pgsql');
  d.send(TO_CLIENT, 'N');
  t.is(d.flow.toClient.parsed, 1);
});

test('fuzz: mutated NFS neither throws nor hoards', (t) => {
  const edits = fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 });
  const mutate = (data: Uint8Array, list: readonly (readonly [number, number])[]): Uint8Array => {
    const out = Uint8Array.from(data);
    for (const [at, value] of list) out[at % out.length] = value;
    return out;
  };
  fc.assert(
    fc.property(edits, edits, fc.integer({ min: 1, max: 100 }), (a, b, step) => {
      const d = new Driver(2049);
      d.send(TO_SERVER, mutate(concat(...CLIENT.map(record)), a), step);
      d.send(TO_CLIENT, mutate(concat(...SERVER.map(record)), b), step);
      d.close();
      t.is(d.flow.transactions.length, 0);
      const u = new Driver(2049);
      for (const message of CLIENT) u.datagram(TO_SERVER, mutate(message, a));
      for (const message of SERVER) u.datagram(TO_CLIENT, mutate(message, b));
      u.close();
      t.is(u.flow.transactions.length, 0);
    }),
    { numRuns: 200 },
  );
});
