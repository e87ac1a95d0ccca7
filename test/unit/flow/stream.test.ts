import test from 'ava';
import * as fc from 'fast-check';
import { Budgets, ConnTrack, EndCause, type Flow, FlowPool, FlowTable, STREAM_DROP, STREAM_EVENTS, STREAM_OK, StreamEngine, type StreamOptions } from '../../../src/flow/index.js';
import { DropReason } from '../../../src/pipeline/index.js';
import type { PacketView } from '../../../src/packet/index.js';
import { heldOf, payloadOf, tcp, type Segment } from './helper.js';

interface Rig {
  engine: StreamEngine;
  pool: FlowPool;
  table: FlowTable;
  ct: ConnTrack;
  /** Everything delivered, by direction. */
  seen: number[][];
  log: string[];
  /** How a consumer moves its marks. */
  consume: (flow: Flow, dir: number) => void;
  send: (segment: Segment) => { view: PacketView; result: number };
  flow: () => Flow;
}

function consumeAll(flow: Flow, dir: number): void {
  const half = flow.half(dir);
  half.parsed = half.end;
  half.inspected = half.end;
}

/** Engine behind a lenient tracker, so that tests can send anything. */
function rig(options: StreamOptions = {}, strict = false): Rig {
  const table = new FlowTable({ capacity: 16, seed: 1 });
  const ct = new ConnTrack(table, { strict, midstream: options.midstream ? 'loose' : 'off', asyncOneside: options.asyncOneside ?? false });
  const pool = new FlowPool(table, 16);
  const seen: number[][] = [[], []];
  const log: string[] = [];
  const delivered = [0, 0];
  const r = { table, ct, pool, seen, log, consume: consumeAll } as unknown as Rig;
  r.engine = new StreamEngine(
    table,
    ct.events,
    {
      data(_view, flow, dir) {
        const half = flow.half(dir);
        for (let at = delivered[dir]!; at < half.end; at++) seen[dir]!.push(half.buf[at - half.base]!);
        delivered[dir] = half.end;
        r.consume(flow, dir);
      },
      gap(_view, _flow, dir, position, length) {
        log.push(`gap ${dir} ${position}+${length}`);
        delivered[dir] = position + length;
      },
      end(_view, _flow, dir) {
        log.push(`end ${dir}`);
      },
    },
    options,
  );
  pool.onRelease((flow) => r.engine.release(flow));
  r.flow = () => {
    let found: Flow | null = null;
    table.forEach((id) => (found = pool.flowOf(id)));
    return found!;
  };
  r.send = (segment) => {
    const view = tcp({ win: 65_535, ...segment });
    if (ct.lookup(view) === 1) ct.commit(view);
    return { view, result: r.engine.segment(view, pool.attach(view)!) };
  };
  return r;
}

const C = 1000;
const S = 5000;

/** Handshake with a window scale of 14, so that windows never stand in the way. */
function handshake(r: Rig, client = C, server = S): void {
  r.send({ flags: 'S', seq: client, wscale: 14 });
  r.send({ dir: 1, flags: 'SA', seq: server, ack: client + 1, wscale: 14 });
  r.send({ flags: 'A', seq: client + 1, ack: server + 1 });
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function text(data: Iterable<number>): string {
  return new TextDecoder().decode(Uint8Array.from(data));
}

function events(r: Rig): string[] {
  return [...r.ct.events.ids.subarray(0, r.ct.events.count)].map((id) => STREAM_EVENTS[id]!);
}

/** Segments of a stream of `size` bytes: random pieces of it, in random order, some with bytes of their own. */
const pieces = (size: number): fc.Arbitrary<{ pos: number; data: Uint8Array; honest: boolean }[]> =>
  fc.array(
    fc.record({ pos: fc.nat(size - 1), data: fc.uint8Array({ minLength: 1, maxLength: size / 2 }), honest: fc.boolean() }),
    { maxLength: 40 },
  );

for (const isn of [C, -20, 0x7fff_fff0]) {
  test(`random segments, isn ${isn}: the bytes that came first win, in the stream and on the wire`, (t) => {
    const size = 200;
    const stream = Uint8Array.from({ length: size }, (_, i) => (i * 7 + 1) & 0xff);
    fc.assert(
      fc.property(pieces(size), (list) => {
        const r = rig();
        handshake(r, isn, S);
        const model = new Int16Array(size).fill(-1);
        for (const piece of list) {
          const data = piece.data.slice(0, size - piece.pos);
          if (piece.honest) data.set(stream.subarray(piece.pos, piece.pos + data.length));
          const { view, result } = r.send({ flags: 'A', seq: isn + 1 + piece.pos, ack: S + 1, data });
          t.is(result, STREAM_OK);
          let differs = false;
          for (let i = 0; i < data.length; i++) {
            const at = piece.pos + i;
            if (model[at] === -1) model[at] = data[i]!;
            else if (model[at] !== data[i]) differs = true;
          }
          t.deepEqual(payloadOf(view), Uint8Array.from(model.subarray(piece.pos, piece.pos + data.length)));
          t.is(view.modified, differs);
          const end = model.indexOf(-1);
          t.deepEqual(r.seen[0], [...model.subarray(0, end < 0 ? size : end)]);
        }
        r.table.removeAll(EndCause.SHUTDOWN);
        t.is(r.engine.pool.inUse, 0, 'all memory came back');
      }),
      { numRuns: 150 },
    );
  });
}

test('random segmentation, duplication and order with acknowledgements and slow readers: the original comes out', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ len: fc.integer({ min: 1, max: 400 }), swap: fc.nat(4), repeat: fc.boolean(), ack: fc.boolean(), lag: fc.nat(300) }), { minLength: 1, maxLength: 40 }),
      (list) => {
        const r = rig();
        let lag = 0;
        r.consume = (flow, dir) => {
          const half = flow.half(dir);
          half.parsed = Math.max(half.parsed, half.end - lag);
          half.inspected = half.end;
        };
        handshake(r, -3000);
        const total = list.reduce((sum, piece) => sum + piece.len, 0);
        const stream = Uint8Array.from({ length: total }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
        const segments: { pos: number; len: number; lag: number; ack: boolean }[] = [];
        let pos = 0;
        for (const piece of list) {
          const segment = { pos, len: piece.len, lag: piece.lag, ack: piece.ack };
          segments.splice(Math.max(0, segments.length - piece.swap), 0, segment);
          if (piece.repeat) segments.push(segment);
          pos += piece.len;
        }
        for (const s of segments) {
          lag = s.lag;
          const acked = r.flow().toServer.acked;
          const { view } = r.send({ flags: 'A', seq: -2999 + s.pos, ack: S + 1, data: stream.slice(s.pos, s.pos + s.len) });
          // What was acknowledged and let go of is blanked; nothing else may change.
          const from = view.modified ? Math.max(0, Math.min(s.len, acked - s.pos)) : 0;
          t.deepEqual(payloadOf(view).slice(from), stream.slice(s.pos + from, s.pos + s.len));
          if (s.ack) r.send({ dir: 1, flags: 'A', seq: S + 1, ack: -2999 + r.seen[0]!.length });
        }
        t.deepEqual(Uint8Array.from(r.seen[0]!), stream);
        const half = r.flow().toServer;
        t.is(half.held, null);
        t.is(half.end, total);
        t.deepEqual(heldOf(r.flow(), 0), stream.slice(half.base, total));
        r.send({ dir: 1, flags: 'A', seq: S + 1, ack: -2999 + total });
        lag = 0;
        r.send({ flags: 'A', seq: -2999 + total, ack: S + 1, data: 1 });
        r.send({ dir: 1, flags: 'A', seq: S + 1, ack: -2998 + total });
        t.is(r.engine.pool.inUse, 0, 'read, inspected and acknowledged: nothing is kept');
      },
    ),
    { numRuns: 150 },
  );
});

test('both directions, closed in order', (t) => {
  const r = rig({}, true);
  handshake(r);
  r.send({ flags: 'PA', seq: C + 1, ack: S + 1, data: bytes('GET /') });
  r.send({ dir: 1, flags: 'PA', seq: S + 1, ack: C + 6, data: bytes('200') });
  r.send({ flags: 'FA', seq: C + 6, ack: S + 4, data: bytes('!') });
  r.send({ dir: 1, flags: 'FA', seq: S + 4, ack: C + 8 });
  t.is(text(r.seen[0]!), 'GET /!');
  t.is(text(r.seen[1]!), '200');
  t.deepEqual(r.log, ['end 0', 'end 1']);
  t.is(r.engine.pool.inUse, 0);
});

test('a FIN ahead of missing bytes ends the stream only once they are there', (t) => {
  const r = rig();
  handshake(r);
  r.send({ flags: 'FA', seq: C + 4, ack: S + 1, data: bytes('def') });
  t.deepEqual(r.log, []);
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abc') });
  t.is(text(r.seen[0]!), 'abcdef');
  t.deepEqual(r.log, ['end 0']);
});

test('data behind a FIN does not pass', (t) => {
  const r = rig();
  handshake(r);
  r.send({ flags: 'FA', seq: C + 1, ack: S + 1, data: bytes('abc') });
  const { view, result } = r.send({ flags: 'A', seq: C + 4, ack: S + 1, data: bytes('attack') });
  t.is(result, STREAM_DROP);
  t.is(view.reason, DropReason.stream_invalid);
  t.is(r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abc') }).result, STREAM_OK);
  t.is(text(r.seen[0]!), 'abc');
});

test('a reset ends both directions and gives memory back', (t) => {
  const r = rig();
  handshake(r);
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abc') });
  r.send({ flags: 'A', seq: C + 50, ack: S + 1, data: bytes('held') });
  t.true(r.engine.pool.inUse > 0);
  r.send({ dir: 1, flags: 'R', seq: S + 1 });
  t.deepEqual(r.log, ['end 1', 'end 0']);
  t.is(r.engine.pool.inUse, 0);
});

test('data in the SYN (TCP fast open), keep-alive probes, zero-window probes', (t) => {
  const r = rig();
  r.send({ flags: 'S', seq: C, data: bytes('early') });
  r.send({ dir: 1, flags: 'SA', seq: S, ack: C + 6, data: bytes('hi') });
  r.send({ flags: 'A', seq: C + 6, ack: S + 3, data: bytes(' bird') });
  t.is(text(r.seen[0]!), 'early bird');
  t.is(text(r.seen[1]!), 'hi');
  r.send({ dir: 1, flags: 'A', seq: S + 3, ack: C + 11, win: 0 });
  const probe = r.send({ flags: 'A', seq: C + 10, ack: S + 3, data: Uint8Array.of(0) });
  t.is(probe.result, STREAM_OK);
  r.send({ flags: 'A', seq: C + 11, ack: S + 3, data: bytes('x') });
  r.send({ flags: 'A', seq: C + 11, ack: S + 3, data: bytes('xyz') });
  t.is(text(r.seen[0]!), 'early birdxyz');
});

test('a differing retransmission: rewritten with the first bytes, or dropped by policy', (t) => {
  const r = rig();
  handshake(r);
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('good data') });
  const { view } = r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('evil data, more') });
  t.is(text(payloadOf(view)), 'good data, more');
  t.true(view.modified);
  t.is(r.engine.normalised, 1);
  t.true(events(r).includes('reassembly_overlap_different_data'));
  t.is(text(r.seen[0]!), 'good data, more');

  const strict = rig({ overlap: 'drop' });
  handshake(strict);
  strict.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('good') });
  const dropped = strict.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('evil') });
  t.is(dropped.result, STREAM_DROP);
  t.is(dropped.view.reason, DropReason.stream_overlap);
  t.is(text(payloadOf(dropped.view)), 'evil');
  t.is(strict.engine.overlapDrops, 1);
});

test('passive: frames are never touched', (t) => {
  const r = rig({ inline: false });
  handshake(r);
  r.send({ flags: 'A', seq: C + 4, ack: S + 1, data: bytes('DEF') });
  const { view } = r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abcxyzghi') });
  t.is(text(payloadOf(view)), 'abcxyzghi');
  t.false(view.modified);
  t.is(text(r.seen[0]!), 'abcDEFghi');
});

test('passive: a gap is skipped when the receiver acknowledges what was missed', (t) => {
  const r = rig({ inline: false });
  handshake(r);
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abc') });
  r.send({ flags: 'A', seq: C + 11, ack: S + 1, data: bytes('xyz') });
  t.deepEqual(r.log, []);
  r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 14 });
  t.deepEqual(r.log, ['gap 0 3+7']);
  t.is(text(r.seen[0]!), 'abcxyz');
  t.true(r.flow().toServer.gap);
  // Acknowledged first, seen later.
  r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 25 });
  r.send({ flags: 'A', seq: C + 20, ack: S + 1, data: bytes('later') });
  t.deepEqual(r.log, ['gap 0 3+7', 'gap 0 13+6']);
  t.is(text(r.seen[0]!), 'abcxyzlater');
});

test('inline: a gap is waited for, however much is acknowledged', (t) => {
  const r = rig();
  handshake(r);
  r.send({ flags: 'A', seq: C + 11, ack: S + 1, data: bytes('xyz') });
  r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 14 });
  t.deepEqual(r.log, []);
  t.deepEqual(r.seen[0], []);
});

test('midstream: picked up when wanted, named uninspected otherwise', (t) => {
  const r = rig({ midstream: true, inline: false });
  r.send({ flags: 'A', seq: C, ack: S, data: bytes('abc') });
  r.send({ dir: 1, flags: 'A', seq: S, ack: C + 3, data: bytes('def') });
  t.is(text(r.seen[0]!) + text(r.seen[1]!), 'abcdef');
  const off = rig({ inline: false });
  off.send({ flags: 'A', seq: C, ack: S, data: bytes('abc') });
  t.deepEqual(off.seen[0], []);
  t.is(off.flow().uninspected, 'midstream');
  t.is(off.engine.uninspectedBytes, 3);
});

test('one side only: nothing waits for acknowledgements', (t) => {
  const r = rig({ asyncOneside: true, inline: false });
  r.send({ flags: 'S', seq: C });
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abc') });
  t.is(r.engine.pool.inUse, 0);
  r.send({ flags: 'A', seq: C + 9, ack: S + 1, data: bytes('xyz') });
  t.is(text(r.seen[0]!), 'abcxyz');
  t.deepEqual(r.log, ['gap 0 3+5']);
});

test('depth: exactly so many bytes are inspected, then the memory comes back', (t) => {
  const r = rig({ depth: 10 });
  handshake(r);
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abcdefgh') });
  r.send({ flags: 'A', seq: C + 20, ack: S + 1, data: bytes('beyond') });
  r.send({ flags: 'A', seq: C + 9, ack: S + 1, data: bytes('ijklmn') });
  t.is(text(r.seen[0]!), 'abcdefghij');
  t.true(r.flow().toServer.stopped);
  t.is(r.flow().uninspected, 'depth');
  t.is(r.engine.pool.inUse, 0);
  r.send({ flags: 'A', seq: C + 15, ack: S + 1, data: bytes('uninspected') });
  t.is(r.seen[0]!.length, 10);
  t.is(r.engine.uninspectedBytes, 11);
});

test('nobody reads any more: bytes are counted, not kept', (t) => {
  const r = rig();
  r.consume = (flow, dir) => {
    flow.half(dir).parseDone = true;
    flow.half(dir).inspectDone = true;
  };
  handshake(r);
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('abc') });
  r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 4 });
  r.send({ flags: 'A', seq: C + 4, ack: S + 1, data: 5000 });
  t.is(r.engine.pool.inUse, 0);
  t.is(r.flow().toServer.end, 5003);
});

test('memory cap: inline the packet is dropped and comes through later; by policy the flow goes uninspected', (t) => {
  const r = rig({ memcap: 4096, depth: 0 });
  r.consume = () => undefined;
  handshake(r);
  t.is(r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: 2000 }).result, STREAM_OK);
  const { view, result } = r.send({ flags: 'A', seq: C + 2001, ack: S + 1, data: 3000 });
  t.is(result, STREAM_DROP);
  t.is(view.reason, DropReason.stream_memcap);
  t.is(r.engine.memcapHits, 1);
  t.is(r.flow().toServer.end, 2000);
  consumeAll(r.flow(), 0);
  r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 2001 });
  t.is(r.send({ flags: 'A', seq: C + 2001, ack: S + 1, data: 3000 }).result, STREAM_OK);

  const stop = rig({ memcap: 4096, memcapPolicy: 'stop' });
  stop.consume = () => undefined;
  handshake(stop);
  stop.send({ flags: 'A', seq: C + 1, ack: S + 1, data: 2000 });
  t.is(stop.send({ flags: 'A', seq: C + 2001, ack: S + 1, data: 3000 }).result, STREAM_OK);
  t.is(stop.flow().uninspected, 'memcap');
  t.is(stop.engine.pool.inUse, 0);
});

test('budget: the sender that fills its share is refused, the other end is not', (t) => {
  const budgets = new Budgets();
  budgets.assign([1], { streamBytes: 4096 });
  const r = rig({ budgets, depth: 0 });
  r.consume = () => undefined;
  handshake(r);
  t.is(r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: 2000 }).result, STREAM_OK);
  const { view, result } = r.send({ flags: 'A', seq: C + 2001, ack: S + 1, data: 3000 });
  t.is(result, STREAM_DROP);
  t.is(view.reason, DropReason.stream_budget);
  t.is(r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 2001, data: 9000 }).result, STREAM_OK);
  t.is(r.engine.pool.used![2], r.engine.pool.inUse - r.engine.pool.used![1]!);
  r.engine.release(r.flow());
  t.deepEqual([r.engine.pool.inUse, r.engine.pool.used![1], r.engine.pool.used![2]], [0, 0, 0]);
});

test('a segment that fills a gap is refused when what it releases does not fit', (t) => {
  const r = rig({ memcap: 8192, depth: 0 });
  handshake(r);
  t.is(r.send({ flags: 'A', seq: C + 1001, ack: S + 1, data: 4096 }).result, STREAM_OK);
  t.is(r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: 1000 }).result, STREAM_DROP);
  t.deepEqual(r.seen[0], []);
});

test('held segments are bounded in bytes and number', (t) => {
  const r = rig({ maxHeldBytes: 1000, maxHeldSegments: 4 });
  handshake(r);
  t.is(r.send({ flags: 'A', seq: C + 101, ack: S + 1, data: 1001 }).result, STREAM_DROP);
  t.is(r.flow().toServer.held, null);
  for (let i = 0; i < 4; i++) t.is(r.send({ flags: 'A', seq: C + 101 + i * 20, ack: S + 1, data: 10 }).result, STREAM_OK);
  t.is(r.send({ flags: 'A', seq: C + 301, ack: S + 1, data: 10 }).result, STREAM_DROP);
  const passive = rig({ inline: false, maxHeldSegments: 2 });
  handshake(passive);
  for (let i = 0; i < 3; i++) passive.send({ flags: 'A', seq: C + 101 + i * 20, ack: S + 1, data: 10 });
  t.deepEqual(passive.log, ['gap 0 0+100']);
});

test('more in flight than may be kept: the oldest unacknowledged bytes go, unread ones never do', (t) => {
  const r = rig({ maxRetained: 10_000, depth: 0, inline: false });
  handshake(r);
  for (let i = 0; i < 20; i++) t.is(r.send({ flags: 'A', seq: C + 1 + i * 1000, ack: S + 1, data: 1000 }).result, STREAM_OK);
  t.is(r.seen[0]!.length, 20_000);
  t.true(r.flow().toServer.buf.length <= 32_768, 'twice the limit, as a size class');
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: 10 });
  t.is(r.engine.unverifiable, 1);
});

test('inline, more in flight than may be kept waits for acknowledgements', (t) => {
  const r = rig({ maxRetained: 10_000, depth: 0 });
  handshake(r);
  const send = (i: number): number => r.send({ flags: 'A', seq: C + 1 + i * 1000, ack: S + 1, data: 1000 }).result;
  let i = 0;
  while (i < 40 && send(i) === STREAM_OK) i++;
  t.true(i >= 10 && i < 40, `${i}`);
  t.is(r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: 10 }).result, STREAM_OK, 'everything in flight can still be compared');
  t.is(r.engine.unverifiable, 0);
  r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 1 + i * 1000 });
  t.is(send(i), STREAM_OK);
  t.is(r.seen[0]!.length, (i + 1) * 1000);
  r.consume = () => undefined;
  let drops = 0;
  for (let k = i + 1; k < 60; k++) drops += send(k);
  t.true(drops > 0);
});

test('bytes that were acknowledged and let go of do not come back with other contents', (t) => {
  const r = rig();
  handshake(r);
  r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('harmless') });
  r.send({ dir: 1, flags: 'A', seq: S + 1, ack: C + 9 });
  const { view, result } = r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: bytes('attack!!more') });
  t.is(result, STREAM_OK);
  t.true(view.modified);
  t.is(text([...payloadOf(view)]), '\0\0\0\0\0\0\0\0more');
  t.is(text(r.seen[0]!), 'harmlessmore');
});

test('urgent data is ordinary data to the receiver', (t) => {
  const r = rig();
  handshake(r);
  const { view } = r.send({ flags: 'AU', seq: C + 1, ack: S + 1, data: bytes('abc') });
  t.true(view.modified);
  t.is(view.buf[view.l4Off + 13]! & 0x20, 0);
});

test('a SYN under a new number that contradicts data of the first is refused', (t) => {
  const r = rig();
  r.send({ flags: 'S', seq: C, data: bytes('x') });
  t.is(r.send({ flags: 'S', seq: C + 5000 }).result, STREAM_DROP);
  t.is(r.send({ flags: 'S', seq: C, data: bytes('x') }).result, STREAM_OK);
});

test('super-frames: one append; rewriting works in the middle of one', (t) => {
  const r = rig();
  handshake(r);
  const first = Uint8Array.from({ length: 1448 }, (_, i) => i & 0xff);
  r.send({ flags: 'A', seq: C + 1 + 1448, ack: S + 1, data: first });
  const big = new Uint8Array(60_000).fill(0xee);
  const { view } = r.send({ flags: 'A', seq: C + 1, ack: S + 1, data: big, gsoSize: 1448 });
  t.true(view.modified);
  t.deepEqual(payloadOf(view).slice(1448, 2896), first);
  t.is(r.seen[0]!.length, 60_000);
  t.is(payloadOf(view)[2896], 0xee);
});

test('a SYN under a new number starts the stream over', (t) => {
  const r = rig();
  r.send({ flags: 'S', seq: C });
  r.send({ flags: 'S', seq: C + 70 });
  r.send({ dir: 1, flags: 'SA', seq: S, ack: C + 71 });
  r.send({ flags: 'A', seq: C + 71, ack: S + 1, data: bytes('abc') });
  t.is(text(r.seen[0]!), 'abc');
});
