import test from 'ava';
import * as fc from 'fast-check';
import { Budgets, Defragmenter, DefragResult, OVERLAP_POLICIES, type DefragOptions, type OverlapPolicy } from '../../../src/flow/index.js';
import { decode, finishIpv4, LinkType, PacketView, putIpv4, putIpv6, putUdp } from '../../../src/packet/index.js';
import { DropReason } from '../../../src/pipeline/index.js';
import { putBe16, putBe32 } from '../../../src/util/index.js';

const SRC = 0x0a00_0001;
const DST = 0x0a00_0002;
const UDP = 17;

/** Bytes of a whole IPv4 UDP packet with `payload`. */
function udp4(payload: Uint8Array): Uint8Array {
  const buf = new Uint8Array(28 + payload.length);
  putUdp(buf, putIpv4(buf, 0, SRC, DST, UDP, 64), 1000, 53);
  buf.set(payload, 28);
  finishIpv4(buf, 0, buf.length);
  return buf;
}

interface Piece {
  start: number;
  data: Uint8Array;
  more: boolean;
  id?: number;
  at?: number;
  port?: number;
}

/** One IPv4 fragment as a decoded view. */
function fragment4(piece: Piece): PacketView {
  const buf = new Uint8Array(20 + piece.data.length);
  putIpv4(buf, 0, SRC, DST, UDP, 64);
  putBe16(buf, 4, piece.id ?? 1);
  putBe16(buf, 6, (piece.more ? 0x2000 : 0) | (piece.start >> 3));
  buf.set(piece.data, 20);
  finishIpv4(buf, 0, buf.length);
  return viewOf(buf, piece);
}

/** One IPv6 fragment behind a hop-by-hop header. */
function fragment6(piece: Piece): PacketView {
  const buf = new Uint8Array(56 + piece.data.length);
  let at = putIpv6(buf, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 64);
  buf.set([44, 0, 1, 4, 0, 0, 0, 0], at);
  at += 8;
  buf[at] = UDP;
  putBe16(buf, at + 2, piece.start | (piece.more ? 1 : 0));
  putBe32(buf, at + 4, piece.id ?? 1);
  buf.set(piece.data, 56);
  putBe16(buf, 4, buf.length - 40);
  return viewOf(buf, piece);
}

function viewOf(buf: Uint8Array, piece: Piece): PacketView {
  const view = new PacketView();
  decode(view, buf, 0, buf.length, LinkType.RAW);
  view.tsSec = piece.at ?? 1000;
  view.ingress = piece.port ?? 1;
  return view;
}

/** Cut the IP payload of a packet at multiples of 8 bytes. */
function cut(body: Uint8Array, units: readonly number[]): Piece[] {
  const pieces: Piece[] = [];
  let start = 0;
  for (const n of [...units, Number.POSITIVE_INFINITY]) {
    if (start >= body.length) break;
    const end = Math.min(body.length, start + n * 8);
    pieces.push({ start, data: body.slice(start, end), more: end < body.length });
    start = end;
  }
  return pieces;
}

const body = (length: number, salt = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 13 + salt) & 0xff);
const plan = fc.record({
  length: fc.integer({ min: 9, max: 3000 }),
  units: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 20 }),
  order: fc.array(fc.nat(1000), { minLength: 25, maxLength: 25 }),
  repeats: fc.array(fc.nat(20), { maxLength: 5 }),
});

/** Fragments shuffled, some of them twice (never after the datagram is complete). */
function shuffled(pieces: Piece[], order: number[], repeats: number[]): Piece[] {
  const list = pieces.map((piece, i) => ({ piece, key: order[i % order.length]! })).sort((a, b) => a.key - b.key).map((x) => x.piece);
  for (const r of repeats) list.splice(r % list.length, 0, list[r % list.length]!);
  return list;
}

test('IPv4: any cutting, order and repetition gives the packet back, byte for byte', (t) => {
  fc.assert(
    fc.property(plan, ({ length, units, order, repeats }) => {
      const packet = udp4(body(length));
      const pieces = shuffled(cut(packet.slice(20), units), order, repeats);
      if (pieces.length < 2) return;
      const defrag = new Defragmenter();
      const whole = new PacketView();
      const needed = new Set(pieces.map((piece) => piece.start));
      for (const piece of pieces) {
        needed.delete(piece.start);
        const result = defrag.add(fragment4(piece), whole);
        t.is(result, needed.size === 0 ? DefragResult.COMPLETE : DefragResult.WAIT);
        if (result === DefragResult.COMPLETE) break;
      }
      const expected = packet.slice();
      putBe16(expected, 4, 1);
      putBe16(expected, 6, 0);
      finishIpv4(expected, 0, expected.length);
      t.deepEqual(whole.buf.slice(whole.off, whole.end), expected);
      t.is(whole.srcPort, 1000);
      t.is(whole.payloadLen, length);
      t.false(whole.fragment);
      t.is(whole.malformed, 0);
      t.is(whole.ingress, 1);
      t.is(defrag.pool.inUse, 0);
    }),
    { numRuns: 150 },
  );
});

test('IPv6: the fragment header goes, the headers in front of it stay', (t) => {
  fc.assert(
    fc.property(plan, ({ length, units, order, repeats }) => {
      const datagram = new Uint8Array(8 + length);
      putUdp(datagram, 0, 1000, 53);
      putBe16(datagram, 4, datagram.length);
      datagram.set(body(length), 8);
      const pieces = shuffled(cut(datagram, units), order, repeats);
      if (pieces.length < 2) return;
      const defrag = new Defragmenter();
      const whole = new PacketView();
      let completed = false;
      for (const piece of pieces) {
        if (defrag.add(fragment6(piece), whole) === DefragResult.COMPLETE) {
          completed = true;
          break;
        }
      }
      t.true(completed);
      const expected = new Uint8Array(48 + datagram.length);
      putIpv6(expected, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 64);
      expected.set([UDP, 0, 1, 4, 0, 0, 0, 0], 40);
      expected.set(datagram, 48);
      putBe16(expected, 4, 8 + datagram.length);
      t.deepEqual(whole.buf.slice(whole.off, whole.end), expected);
      t.is(whole.proto, UDP);
      t.is(whole.dstPort, 53);
    }),
    { numRuns: 100 },
  );
});

/** The model of an overlap policy: who owns each byte, decided fragment by fragment. */
function model(pieces: readonly Piece[], policy: OverlapPolicy, total: number): Uint8Array | null {
  const owner = Array.from<Piece | null>({ length: total }).fill(null);
  for (const piece of pieces) {
    const end = piece.start + piece.data.length;
    for (let at = piece.start; at < end; at++) {
      const old = owner[at]!;
      const oldEnd = old === null ? 0 : old.start + old.data.length;
      const wins =
        old === null ||
        policy === 'last' ||
        (policy === 'bsd' && piece.start < old.start) ||
        (policy === 'bsd-right' && piece.start >= old.start) ||
        (policy === 'linux' && piece.start <= old.start) ||
        (policy === 'windows' && piece.start < old.start && end > oldEnd);
      if (wins) owner[at] = piece;
    }
    if (owner.every((o) => o !== null)) return Uint8Array.from(owner, (o, at) => o!.data[at - o!.start]!);
  }
  return null;
}

for (const policy of OVERLAP_POLICIES) {
  test(`passive, policy ${policy}: overlaps end as the model says`, (t) => {
    const units = 12;
    const total = units * 8;
    const piece = fc.record({ from: fc.nat(units - 2), len: fc.integer({ min: 1, max: 6 }), salt: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 15 }), (list) => {
        const pieces: Piece[] = list.map(({ from, len, salt }) => {
          const end = Math.min(from + len, units - 1);
          return { start: from * 8, data: body((end - from) * 8, salt), more: true };
        });
        pieces.push({ start: total - 8, data: body(8, 99), more: false }, { start: 0, data: body(total - 8, 7), more: true });
        const defrag = new Defragmenter({ inline: false, policy });
        const whole = new PacketView();
        let result: number = DefragResult.WAIT;
        for (const p of pieces) {
          result = defrag.add(fragment4(p), whole);
          if (result === DefragResult.COMPLETE) break;
        }
        t.is(result, DefragResult.COMPLETE);
        t.deepEqual(whole.buf.slice(whole.off + 20, whole.end), model(pieces, policy, total)!);
      }),
      { numRuns: 80 },
    );
  });
}

function adder(options: DefragOptions = {}): { defrag: Defragmenter; whole: PacketView; add: (piece: Piece) => { result: number; view: PacketView } } {
  const defrag = new Defragmenter(options);
  const whole = new PacketView();
  return {
    defrag,
    whole,
    add: (piece) => {
      const view = fragment4(piece);
      return { result: defrag.add(view, whole), view };
    },
  };
}

test('inline: a contradiction condemns the datagram until the timeout', (t) => {
  const { defrag, add } = adder();
  add({ start: 0, data: body(16), more: true });
  t.is(add({ start: 8, data: body(16, 8 * 13), more: true }).result, DefragResult.WAIT, 'equal bytes may overlap');
  const evil = add({ start: 8, data: body(8, 1), more: true });
  t.is(evil.result, DefragResult.OVERLAP);
  t.is(evil.view.reason, DropReason.defrag_overlap);
  const rest = add({ start: 24, data: body(8), more: false });
  t.is(rest.result, DefragResult.INVALID);
  t.is(rest.view.reason, DropReason.defrag_overlap);
  t.is(add({ start: 0, data: body(8), more: true, id: 2 }).result, DefragResult.WAIT, 'others are not affected');
  defrag.expire(1000, 100);
  defrag.expire(1061, 100);
  t.is(defrag.active, 0);
  t.is(defrag.timedOut, 1);
  t.is(add({ start: 24, data: body(8), more: false, at: 1070 }).result, DefragResult.WAIT);
});

test('a dropped datagram can be condemned: its last fragment does not slip through when repeated', (t) => {
  const { defrag, add } = adder();
  add({ start: 0, data: body(16), more: true });
  t.is(add({ start: 16, data: body(8), more: false }).result, DefragResult.COMPLETE);
  defrag.condemn(DropReason.ips_rule);
  const again = add({ start: 16, data: body(8), more: false });
  t.is(again.result, DefragResult.INVALID);
  t.is(again.view.reason, DropReason.ips_rule);
});

test('a completed datagram makes room at once', (t) => {
  const { defrag, add } = adder({ maxDatagrams: 1 });
  for (let id = 0; id < 5; id++) {
    t.is(add({ start: 0, data: body(16, id), more: true, id }).result, DefragResult.WAIT);
    t.is(add({ start: 16, data: body(8), more: false, id }).result, DefragResult.COMPLETE);
  }
  t.is(defrag.completed, 5);
  t.is(defrag.active, 1);
});

test('the identifier of a completed datagram comes round once receivers have forgotten it', (t) => {
  const { add } = adder({ timeout: 60 });
  const send = (at: number): number[] => [add({ start: 0, data: body(16), more: true, at }).result, add({ start: 16, data: body(8), more: false, at }).result];
  t.deepEqual(send(1000), [DefragResult.WAIT, DefragResult.COMPLETE]);
  t.deepEqual(send(1059), [DefragResult.INVALID, DefragResult.INVALID]);
  t.deepEqual(send(1060), [DefragResult.WAIT, DefragResult.COMPLETE]);
});

test('a sender that counts through its identifiers never meets its own past', (t) => {
  const { defrag, add } = adder();
  const piece = body(8);
  for (let i = 0; i < 140_000; i++) {
    const id = i & 0xffff;
    add({ start: 0, data: piece, more: true, id });
    if (add({ start: 8, data: piece, more: false, id }).result !== DefragResult.COMPLETE) return t.fail(`datagram ${i}`);
  }
  t.is(defrag.invalid, 0);
});

const impossible: Record<string, { options?: DefragOptions; pieces: Piece[] }> = {
  'past 64 KiB (ping of death)': { pieces: [{ start: 65_528, data: body(16), more: false }] },
  'length not a multiple of 8 in the middle': { pieces: [{ start: 0, data: body(13), more: true }] },
  'two different ends': { pieces: [{ start: 16, data: body(8), more: false }, { start: 24, data: body(8), more: false }] },
  'bytes behind the end': { pieces: [{ start: 16, data: body(8), more: false }, { start: 24, data: body(8), more: true }] },
  'end before bytes that are there': { pieces: [{ start: 32, data: body(8), more: true }, { start: 8, data: body(8), more: false }] },
  'first fragment too small': { options: { minFirstFragment: 60 }, pieces: [{ start: 0, data: body(8), more: true }] },
  'offset too small': { options: { minOffset: 60 }, pieces: [{ start: 8, data: body(64), more: true }] },
  'too many pieces': { options: { maxFragments: 3 }, pieces: [0, 2, 4, 6].map((unit) => ({ start: unit * 8, data: body(8), more: true })) },
};
for (const [name, { options, pieces }] of Object.entries(impossible)) {
  test(`refused: ${name}`, (t) => {
    const { defrag, add } = adder(options);
    const results = pieces.map((piece) => add(piece));
    const last = results.pop()!;
    t.true(results.every((r) => r.result === DefragResult.WAIT));
    t.is(last.result, DefragResult.INVALID);
    t.is(last.view.reason, DropReason.defrag_invalid);
    t.is(defrag.invalid, 1);
  });
}

test('bounded: datagrams, share of a port, memory', (t) => {
  const few = adder({ maxDatagrams: 4, portShare: 0.5 });
  for (let id = 0; id < 2; id++) t.is(few.add({ start: 0, data: body(8), more: true, id }).result, DefragResult.WAIT);
  const refused = few.add({ start: 0, data: body(8), more: true, id: 9 });
  t.is(refused.result, DefragResult.MEMCAP);
  t.is(refused.view.reason, DropReason.defrag_budget);
  t.is(few.add({ start: 0, data: body(8), more: true, id: 9, port: 2 }).result, DefragResult.WAIT);
  const small = adder({ memcap: 8192 });
  t.is(small.add({ start: 0, data: body(8), more: true }).result, DefragResult.WAIT);
  t.is(small.add({ start: 60_000, data: body(8), more: true }).result, DefragResult.MEMCAP);
  t.is(small.defrag.memcapHits, 1);
  const budgets = new Budgets();
  budgets.assign([1], { fragmentBytes: 4096 });
  const shared = adder({ budgets });
  t.is(shared.add({ start: 0, data: body(8), more: true }).result, DefragResult.WAIT);
  const far = shared.add({ start: 8000, data: body(8), more: true });
  t.is(far.view.reason, DropReason.defrag_budget);
  t.is(shared.add({ start: 8000, data: body(8), more: true, id: 9, port: 2 }).result, DefragResult.WAIT, 'another VM has its own');
});

test('mutated fragments never throw and never hand out a malformed length', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 20, maxLength: 80 }), { maxLength: 30 }), (frames) => {
      const defrag = new Defragmenter({ maxDatagrams: 8, maxFragments: 4, memcap: 1 << 17 });
      const whole = new PacketView();
      const view = new PacketView();
      for (const frame of frames) {
        frame[0] = frame[0]! & 1 ? 0x45 : 0x60;
        if (frame[0] === 0x45) {
          putBe16(frame, 2, frame.length);
          frame[6] = frame[6]! & 0x23;
        } else if (frame.length >= 48) {
          putBe16(frame, 4, frame.length - 40);
          frame[6] = 44;
        }
        decode(view, frame, 0, frame.length, LinkType.RAW);
        if (!view.fragment || view.malformed !== 0) continue;
        if (defrag.add(view, whole) === DefragResult.COMPLETE) t.true(whole.end <= 65_535);
      }
      t.true(defrag.active <= 8);
    }),
    { numRuns: 200 },
  );
});
