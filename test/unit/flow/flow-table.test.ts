import test from 'ava';
import * as fc from 'fast-check';
import { EndCause, FlowPool, FlowState, FlowTable, S_BYPASS, S_DROPPED } from '../../../src/flow/index.js';
import { FlowKey } from '../../../src/flow/flow-key.js';
import { rawFrameHash } from '../../../src/flow/raw-frame-hash.js';
import {
  D_LEN,
  D_LINK_TYPE,
  D_PORT,
  decodeBatchRow,
  finishIpv4,
  finishIpv6,
  FrameBatch,
  PacketView,
  putEthernet,
  putIpv4,
  putIpv6,
  putTcp,
  putUdp,
  putVlan,
} from '../../../src/packet/index.js';
import { tcp, udp } from './helper.js';

const shortTimeouts = { none: 5, synSent: 5, synRecv: 5, established: 100, finWait: 5, closeWait: 5, lastAck: 5, timeWait: 5, close: 1, udpNew: 3, udpReplied: 6, icmp: 5, other: 5 };

/** Few addresses, ports and zones, so that flows meet again in both directions. */
function small(seed: number): { view: PacketView; zone: number; key: string } {
  const view = new PacketView();
  const v6 = (seed & 1) === 1;
  const a = (seed >>> 1) & 3;
  const b = (seed >>> 3) & 3;
  view.ipVersion = v6 ? 6 : 4;
  view.proto = (seed >>> 5) & 1 ? 6 : 17;
  view.src0 = v6 ? 1 : a;
  view.dst0 = v6 ? 1 : b;
  view.src3 = v6 ? a : 0;
  view.dst3 = v6 ? b : 0;
  view.srcPort = (seed >>> 6) & 3;
  view.dstPort = (seed >>> 8) & 3;
  view.l4Off = 0;
  view.tsSec = 100;
  const zone = (seed >>> 10) & 1;
  const ends = [`${a}:${view.srcPort}`, `${b}:${view.dstPort}`].sort();
  return { view, zone, key: `${v6} ${view.proto} ${zone} ${ends.join(' ')}` };
}

test('table agrees with a Map under insertion, lookup and removal', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(0x7ff), fc.boolean()), { maxLength: 400 }), (operations) => {
      const table = new FlowTable({ capacity: 2048, seed: 99 });
      const model = new Map<string, { id: number; from: string }>();
      for (const [seed, remove] of operations) {
        const { view, zone, key } = small(seed);
        const id = table.find(view, zone);
        const known = model.get(key);
        t.is(id, known?.id ?? -1);
        const from = `${view.src0}/${view.src3}:${view.srcPort}`;
        const same = view.src0 === view.dst0 && view.src3 === view.dst3 && view.srcPort === view.dstPort;
        if (known !== undefined && !same) t.is(view.flowDir, known.from === from ? 0 : 1);
        if (remove && known !== undefined) {
          table.remove(known.id, EndCause.FORCED);
          model.delete(key);
        } else if (known === undefined) {
          model.set(key, { id: table.insert(view, FlowState.UDP_NEW), from });
        }
        t.is(table.active, model.size);
      }
      const seen = new Set<number>();
      table.forEach((id) => seen.add(id));
      t.deepEqual([...seen].sort(), [...model.values()].map((flow) => flow.id).sort());
    }),
    { numRuns: 60 },
  );
});

test('a record fits its promise of memory and probe sequences stay short', (t) => {
  const table = new FlowTable({ capacity: 20_000, seed: 5 });
  for (let i = 0; i < 20_000; i++) {
    const view = udp(0, i & 0xffff, 53);
    view.src0 = i >>> 8;
    table.find(view);
    t.true(table.insert(view, FlowState.UDP_NEW) >= 0);
  }
  const load = table.statistics();
  t.true(load.bytesPerFlow <= 256);
  t.is(load.active, 20_000);
  t.true(load.longestProbe <= 40, `longest probe ${load.longestProbe}`);
});

function open(table: FlowTable, srcPort: number, ingress: number, state: number, at = 1000): number {
  const view = udp(0, srcPort, 53, at, ingress);
  if (table.find(view) >= 0) throw new Error('flow exists');
  return table.insert(view, state);
}

test('full: the noisiest port gives up its oldest unanswered flow', (t) => {
  const table = new FlowTable({ capacity: 8, seed: 1 });
  const ended: [number, number][] = [];
  table.onEnd = (id, cause) => ended.push([id, cause]);
  const quiet = open(table, 1, 3, FlowState.UDP_NEW, 900);
  for (let i = 0; i < 7; i++) open(table, 100 + i, 7, FlowState.UDP_NEW, 1000 - i);
  const oldest = table.find(udp(0, 106, 53));
  const late = open(table, 2, 4, FlowState.UDP_NEW);
  t.deepEqual(ended, [[oldest, EndCause.EVICTED]]);
  t.is(late, oldest, 'the freed record is used');
  t.is(table.find(udp(0, 1, 53)), quiet);
  t.is(table.evicted, 1);
  t.is(table.byPort[7], 6);
});

test('full of live flows: a new one is refused and counted', (t) => {
  const table = new FlowTable({ capacity: 4, seed: 1 });
  for (let i = 0; i < 4; i++) open(table, i, 1, FlowState.ESTABLISHED);
  t.is(open(table, 9, 2, FlowState.SYN_SENT), -1);
  t.is(table.refused, 1);
  t.is(table.active, 4);
});

test('share cap: a port at its limit recycles its own flows only', (t) => {
  const table = new FlowTable({ capacity: 100, seed: 1, portShare: 0.1 });
  for (let i = 0; i < 30; i++) open(table, i, 1, FlowState.SYN_SENT);
  t.is(table.byPort[1], 10);
  t.is(table.halfOpenByPort[1], 10);
  t.is(table.evicted, 20);
  const other = open(table, 50, 2, FlowState.ESTABLISHED);
  t.true(other >= 0);
});

test('expiry: idle flows end by state, refreshed ones live on, closing takes effect at once', (t) => {
  const table = new FlowTable({ capacity: 16, seed: 1, timeouts: shortTimeouts });
  const ended: number[] = [];
  table.onEnd = (id, cause) => {
    t.is(cause, EndCause.TIMEOUT);
    t.not(table.state(id), FlowState.NONE, 'the record is whole');
    ended.push(id);
  };
  const idle = open(table, 1, 1, FlowState.UDP_NEW);
  const busy = open(table, 2, 1, FlowState.UDP_NEW);
  const closing = open(table, 3, 1, FlowState.ESTABLISHED);
  table.expire(1002, 100);
  t.deepEqual(ended, []);
  table.account(busy, 0, udp(0, 2, 53, 1002));
  table.expire(1003, 100);
  t.deepEqual(ended, [idle]);
  table.expire(1005, 100);
  t.deepEqual(ended, [idle, busy]);
  table.account(closing, 0, udp(0, 3, 53, 1010));
  table.setState(closing, FlowState.CLOSE, 1010);
  table.expire(1011, 100);
  t.deepEqual(ended, [idle, busy, closing]);
  t.is(table.active, 0);
});

test('expiry keeps to its budget', (t) => {
  const table = new FlowTable({ capacity: 100, seed: 1, timeouts: shortTimeouts });
  for (let i = 0; i < 50; i++) open(table, i, 1, FlowState.UDP_NEW);
  t.is(table.expire(2000, 20), 20);
  t.is(table.active, 30);
  t.is(table.expire(2000, 100), 30);
  t.is(table.active, 0);
});

test('byte counters carry into 48 bits', (t) => {
  const table = new FlowTable({ capacity: 2, seed: 1 });
  const id = open(table, 1, 1, FlowState.UDP_NEW);
  const view = udp(0, 1, 53);
  view.wireLen = 0x7fff_ffff;
  for (let i = 0; i < 5; i++) table.account(id, 0, view);
  for (let i = 0; i < 3; i++) table.account(id, 1, view);
  t.is(table.bytes(id, 0), 5 * 0x7fff_ffff);
  t.is(table.bytes(id, 1), 3 * 0x7fff_ffff);
});

test('a super-frame counts as its segments', (t) => {
  const table = new FlowTable({ capacity: 2, seed: 1 });
  const id = open(table, 1, 1, FlowState.UDP_NEW);
  table.account(id, 0, tcp({ flags: 'A', seq: 1, data: 14_481, gsoSize: 1448 }));
  t.is(table.packets(id, 0), 11);
});

test('flags, marks, eve ids', (t) => {
  const table = new FlowTable({ capacity: 4, seed: 1 });
  const id = open(table, 1, 1, FlowState.ESTABLISHED);
  const eve = table.eveId(id);
  t.true(Number.isSafeInteger(eve) && eve > 0);
  table.setFlags(id, S_DROPPED);
  t.true(table.hasFlags(id, S_DROPPED));
  t.false(table.hasFlags(id, S_BYPASS));
  t.is(table.state(id), FlowState.ESTABLISHED);
  table.remove(id, EndCause.FORCED);
  table.remove(id, EndCause.FORCED);
  t.is(table.ended, 1);
  t.not(table.eveId(open(table, 1, 1, FlowState.ESTABLISHED)), eve);
});

test('pool: one object per flow, given back with the record, bounded', (t) => {
  const table = new FlowTable({ capacity: 8, seed: 1 });
  const pool = new FlowPool(table, 2);
  const released: number[] = [];
  pool.onRelease((flow) => released.push(flow.id));
  const views = [1, 2, 3].map((srcPort) => {
    const view = udp(0, srcPort, 53);
    view.flowId = open(table, srcPort, 1, FlowState.UDP_NEW);
    return view;
  });
  const first = pool.attach(views[0]!)!;
  t.is(pool.attach(views[0]!), first);
  t.is(pool.flowOf(views[0]!.flowId), first);
  t.is(pool.flowOf(views[1]!.flowId), null);
  t.not(pool.attach(views[1]!), first);
  t.is(pool.attach(views[2]!), null);
  t.is(pool.refused, 1);
  table.remove(views[0]!.flowId, EndCause.FORCED);
  t.deepEqual(released, [views[0]!.flowId]);
  t.is(pool.attach(views[2]!), first, 'objects are reused');
  t.is(first.id, views[2]!.flowId);
});

test('touch computes the hash that the lookup computes', (t) => {
  const batch = new FrameBatch(1);
  const arena = batch.arena;
  const zones = new Int32Array(4);
  const check = (end: number, zone: number): void => {
    batch.desc[D_LEN] = end;
    batch.desc[D_LINK_TYPE] = 1;
    batch.desc[D_PORT] = 1;
    const view = new PacketView();
    decodeBatchRow(view, batch, 0);
    t.true(view.l4Off > 0);
    const key = new FlowKey();
    key.fromView(view, zone);
    t.is(rawFrameHash(batch, new DataView(batch.arena.buffer, batch.arena.byteOffset, batch.arena.byteLength), 0, zones, 77), key.hash(77));
  };
  let l3 = putEthernet(arena, 0, 0, 2, 0, 1, 0x0800);
  let end = putUdp(arena, putIpv4(arena, l3, 0x0a00_0001, 0x0a00_0002, 17, 64), 5, 53) + 30;
  finishIpv4(arena, l3, end);
  zones[1] = 9;
  check(end, 9);
  l3 = putVlan(arena, putEthernet(arena, 0, 0, 2, 0, 1, 0x8100), 0x6007, 0x86dd);
  end = putTcp(arena, putIpv6(arena, l3, 1, 2, 3, 4, 5, 6, 7, 8, 6, 64), 5, 80, 1, 0, 2, 100);
  finishIpv6(arena, l3, end);
  zones[1] = 0;
  check(end, 7);
  batch.desc[D_LEN] = 20;
  t.is(rawFrameHash(batch, new DataView(batch.arena.buffer, batch.arena.byteOffset, batch.arena.byteLength), 0, zones, 77), 0);
});

test('touch on a large table leaves it as it is', (t) => {
  const table = new FlowTable({ capacity: 30_000, seed: 3 });
  for (let i = 0; i < 25_000; i++) {
    const view = udp(0, 1 + (i & 0x3fff), 53);
    view.src0 = i >>> 14;
    table.find(view);
    table.insert(view, FlowState.UDP_NEW);
  }
  const batch = new FrameBatch(4);
  batch.rxCount = 4;
  const before = table.records.slice();
  table.touch(batch, new Int32Array(4));
  t.deepEqual(table.records, before);
});

test('capacity is checked', (t) => {
  t.throws(() => new FlowTable({ capacity: 0, seed: 1 }), { message: /capacity must be a whole number/ });
  t.throws(() => new FlowTable({ capacity: 1e9, seed: 1 }), { instanceOf: RangeError });
});

test('a settled flow gives its object back, keeps what reports want, and gets no other until its record is freed', (t) => {
  const table = new FlowTable({ capacity: 8, seed: 1 });
  const pool = new FlowPool(table, 2);
  const released: number[] = [];
  pool.onRelease((flow) => released.push(flow.id));
  const view = tcp({ flags: 'S', seq: 1 });
  view.flowId = open(table, 1, 1, FlowState.TIME_WAIT);
  const flow = pool.attach(view)!;
  flow.appProto = 'http';
  flow.uninspected = 'depth';
  pool.settle(view.flowId);
  t.deepEqual(released, [view.flowId]);
  t.is(pool.active, 0);
  t.is(pool.flowOf(view.flowId), null);
  t.true(pool.isSettled(view.flowId));
  t.is(pool.appProtoOf(view.flowId), 'http');
  t.is(pool.uninspectedOf(view.flowId), 'depth');
  table.remove(view.flowId, EndCause.TIMEOUT);
  t.deepEqual(released, [view.flowId], 'not released twice');
  t.false(pool.isSettled(view.flowId));
  t.is(pool.appProtoOf(view.flowId), '');
});

test('full: ICMP and other flows nobody answered make room, answered ones do not', (t) => {
  const table = new FlowTable({ capacity: 8, seed: 1 });
  for (let i = 0; i < 8; i++) open(table, 100 + i, 7, FlowState.ICMP, 900 + i);
  const answer = udp(1, 53, 100);
  answer.wireLen = 98;
  const first = table.find(udp(0, 100, 53));
  table.account(first, 1, answer);
  const late = open(table, 1, 7, FlowState.ICMP);
  t.true(late >= 0);
  t.is(table.find(udp(0, 100, 53)), first, 'the answered one is still there');
});
