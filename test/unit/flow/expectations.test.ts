/** Announced connections: who may open them, for how long, how many; and what connection tracking makes of them. */
import test from 'ava';
import { ConnTrack, Expectations, FlowTable, M_EXPECTED, R_MARKS, type Helper } from '../../../src/flow/index.js';
import { CtState } from '../../../src/pipeline/index.js';
import { tcp, udp } from './helper.js';

const DATA = 40_021;

/** Expectations aimed at a control connection from client:50000 to server:21. */
function control(helpers?: readonly Helper[]): Expectations {
  const e = helpers === undefined ? new Expectations() : new Expectations(helpers);
  e.aim(tcp({ flags: 'A', seq: 1, srcPort: 50_000, dstPort: 21 }));
  return e;
}

const syn = (dir: number, srcPort: number, dstPort: number, at = 1000): ReturnType<typeof tcp> => tcp({ dir, flags: 'S', seq: 1, srcPort, dstPort, at });

test('admits the announced direction, port and protocol only', (t) => {
  const e = control();
  e.admit('ftp-passive', 'client', DATA);
  t.true(e.admits(syn(0, 50_001, DATA)));
  t.false(e.admits(syn(0, 50_001, DATA + 1)), 'another port');
  t.false(e.admits(syn(1, 50_001, DATA)), 'the server opens');
  t.false(e.admits(udp(0, 50_001, DATA)), 'another protocol');
  const other = syn(0, 50_001, DATA);
  other.src0 = 0x0a00_0009;
  t.false(e.admits(other), 'another client');
  const tagged = syn(0, 50_001, DATA);
  tagged.zone = 7;
  t.false(e.admits(tagged), 'another zone');
});

test('an announcement opens one connection and holds for half a minute', (t) => {
  const e = control();
  e.admit('ftp-active', 'server', DATA);
  t.true(e.admits(syn(1, 20, DATA, 1030)));
  t.false(e.admits(syn(1, 20, DATA, 1031)));
  e.admitted(syn(1, 20, DATA));
  t.false(e.admits(syn(1, 20, DATA)));
  t.is(e.opened, 1);
  t.is(e.size, 0);
});

test('privileged ports and helpers that are off open nothing', (t) => {
  const e = control(['ftp-passive']);
  e.admit('ftp-passive', 'client', 22);
  e.admit('ftp-active', 'server', DATA);
  t.is(e.size, 0);
});

test('what the data is for is kept apart from who may open it', (t) => {
  const e = control();
  e.admit('ftp-passive', 'client', DATA);
  t.is(e.take(syn(0, 50_001, DATA)), null);
  const expected = { protocol: 'ftp-data', detail: {} };
  e.aim(tcp({ flags: 'A', seq: 1, srcPort: 50_000, dstPort: 21 }));
  e.announce('client', DATA, expected);
  e.admitted(syn(0, 50_001, DATA));
  t.is(e.take(syn(0, 50_001, DATA)), expected);
  t.is(e.take(syn(0, 50_001, DATA)), null);
  t.is(e.size, 0);
});

test('bounded: the oldest gives way', (t) => {
  const e = control();
  for (let port = 2000; port < 2000 + 5000; port++) e.admit('ftp-passive', 'client', port);
  t.is(e.size, 4096);
  t.is(e.evicted, 904);
  t.false(e.admits(syn(0, 1, 2000)));
  t.true(e.admits(syn(0, 1, 6999)));
});

test('the announced connection is related until it is answered, then established', (t) => {
  const expectations = control();
  const table = new FlowTable({ capacity: 1024, seed: 1 });
  const ct = new ConnTrack(table, { expectations });
  expectations.admit('ftp-passive', 'client', DATA);
  const first = syn(0, 50_001, DATA);
  t.is(ct.lookup(first), CtState.RELATED);
  const id = ct.commit(first);
  t.true((table.word(id, R_MARKS) & M_EXPECTED) !== 0);
  t.true(table.isExpected(id));
  t.is(ct.lookup(syn(0, 50_001, DATA)), CtState.RELATED, 'its retransmission');
  t.is(ct.lookup(tcp({ dir: 1, flags: 'SA', seq: 9, ack: 2, srcPort: DATA, dstPort: 50_001 })), CtState.ESTABLISHED);
  t.is(ct.lookup(syn(0, 50_002, DATA)), CtState.NEW, 'a second one was not announced');
});

test('the answer to a TFTP request comes from another port', (t) => {
  const expectations = new Expectations();
  const ct = new ConnTrack(new FlowTable({ capacity: 1024, seed: 1 }), { expectations });
  const request = udp(0, 3000, 69);
  ct.lookup(request);
  ct.commit(request);
  expectations.aim(request);
  expectations.admit('tftp', 'server', expectations.clientPort);
  const data = udp(1, 4000, 3000);
  t.is(ct.lookup(data), CtState.RELATED);
  t.true(ct.commit(data) >= 0);
  t.is(ct.lookup(udp(0, 3000, 4000)), CtState.ESTABLISHED);
  t.is(ct.lookup(udp(1, 4001, 3000)), CtState.NEW);
});
