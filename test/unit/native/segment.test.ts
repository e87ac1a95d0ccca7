import test from 'ava';
import * as fc from 'fast-check';
import { segment } from '@drawbridge/native';
import {
  D_CSUM_OFF, D_CSUM_START, D_GSO_SIZE, D_GSO_TYPE, D_HDR_LEN, D_LEN, D_OFF, D_STRIDE, D_VNET_FLAGS,
  GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, TAG_KEEP, TAG_STRIP, VNET_F_NEEDS_CSUM,
} from '../../../src/packet/frame-batch.js';
import { buildFrame, expectedSegments, type BuiltFrame, type FrameFields } from './helpers/frames.js';

const EINVAL = -22;
const EMSGSIZE = -90;
const ENOSPC = -28;
const OFFSET = 192;

function describe(f: FrameFields, built: BuiltFrame, gsoSize: number): Int32Array {
  const d = new Int32Array(D_STRIDE);
  d[D_OFF] = OFFSET;
  d[D_LEN] = built.bytes.length;
  d[D_VNET_FLAGS] = VNET_F_NEEDS_CSUM;
  d[D_GSO_TYPE] = gsoSize === 0 ? GSO_NONE : f.udp ? GSO_UDP_L4 : f.ipv6 ? GSO_TCPV6 : GSO_TCPV4;
  d[D_HDR_LEN] = built.headers;
  d[D_GSO_SIZE] = gsoSize;
  d[D_CSUM_START] = built.l4;
  d[D_CSUM_OFF] = f.udp ? 6 : 16;
  return d;
}

function wire(bytes: Uint8Array, desc: Int32Array, tag = TAG_KEEP, mtu = 1500): Uint8Array[] | number {
  const arena = new Uint8Array(OFFSET + bytes.length).fill(0xa5);
  arena.set(bytes, OFFSET);
  const out = new Uint8Array(400_000).fill(0xa5);
  const lengths = new Int32Array(4096);
  const n = segment(arena, desc, 0, tag, mtu, out, lengths);
  if (n < 0) return n;
  let at = 0;
  return Array.from(lengths.subarray(0, n), (length) => out.subarray(at, (at += length)));
}

const hex = (frames: readonly Uint8Array[] | number): string[] | number =>
  typeof frames === 'number' ? frames : frames.map((b) => Buffer.from(b).toString('hex'));

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 131 + (i >> 8)) & 255);
const base: FrameFields = {
  ipv6: false, udp: false, tags: [], ipExtra: new Uint8Array(0), tcpOptions: bytesOf(12), tcpFlags: 0x18,
  seq: 0xfffffff0, ipId: 0xffff, payload: bytesOf(5000),
};

const fields: fc.Arbitrary<FrameFields> = fc.record({
  ipv6: fc.boolean(),
  udp: fc.boolean(),
  tags: fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 2 }),
  ipExtra: fc.constantFrom(0, 8, 16).map((n) => new Uint8Array(n).fill(1)),
  tcpOptions: fc.constantFrom(0, 12, 40).map(bytesOf),
  tcpFlags: fc.integer({ min: 0, max: 255 }),
  seq: fc.integer({ min: 0, max: 0xffffffff }),
  ipId: fc.nat(0xffff),
  payload: fc.nat(9000).map(bytesOf),
});

test('segments equal frames built from scratch', (t) => {
  fc.assert(
    fc.property(fields, fc.integer({ min: 40, max: 1300 }), (f, gsoSize) => {
      const built = buildFrame(f, true);
      t.deepEqual(hex(wire(built.bytes, describe(f, built, gsoSize))), hex(expectedSegments(f, gsoSize)));
    }),
    { numRuns: 250 },
  );
});

test('a super-frame of the largest size', (t) => {
  for (const ipv6 of [false, true]) {
    const f = { ...base, ipv6, payload: bytesOf(65000) };
    const built = buildFrame(f, true);
    t.deepEqual(hex(wire(built.bytes, describe(f, built, 1428))), hex(expectedSegments(f, 1428)));
  }
});

test('an ECN super-frame: CWR on the first segment only, FIN and PSH on the last only', (t) => {
  const f = { ...base, tcpFlags: 0x80 | 0x40 | 0x19 };
  const built = buildFrame(f, true);
  const d = describe(f, built, 1000);
  d[D_GSO_TYPE] |= GSO_ECN;
  const frames = wire(built.bytes, d) as Uint8Array[];
  t.deepEqual(frames.map((b) => b[built.l4 + 13]), [0xd0, 0x50, 0x50, 0x50, 0x59]);
});

test('without NEEDS_CSUM the pseudo-header is computed from the addresses', (t) => {
  const built = buildFrame(base, false);
  const d = describe(base, built, 1000);
  d[D_VNET_FLAGS] = 0;
  t.deepEqual(hex(wire(built.bytes, d)), hex(expectedSegments(base, 1000)));
});

test('a single frame gets its checksum completed, for any shape', (t) => {
  fc.assert(
    fc.property(fields, (any) => {
      const f = { ...any, payload: any.payload.subarray(0, 1200) };
      const built = buildFrame(f, true);
      t.deepEqual(hex(wire(built.bytes, describe(f, built, 0))), hex([buildFrame(f, false).bytes]));
    }),
    { numRuns: 150 },
  );
});

test('tags: insertion and removal move the offload fields along', (t) => {
  for (const gsoSize of [0, 700]) {
    const plain = { ...base, payload: bytesOf(gsoSize === 0 ? 900 : 3000) };
    const tagged = { ...plain, tags: [(5 << 13) | 100] };
    const expected = (f: FrameFields): Uint8Array[] =>
      gsoSize === 0 ? [buildFrame(f, false).bytes] : expectedSegments(f, gsoSize);
    const p = buildFrame(plain, true);
    const q = buildFrame(tagged, true);
    t.deepEqual(hex(wire(p.bytes, describe(plain, p, gsoSize), (5 << 13) | 100)), hex(expected(tagged)));
    t.deepEqual(hex(wire(q.bytes, describe(tagged, q, gsoSize), TAG_STRIP)), hex(expected(plain)));
    t.deepEqual(hex(wire(p.bytes, describe(plain, p, gsoSize), TAG_STRIP)), hex(expected(plain)), 'nothing to strip');
    for (const tag of [0xfff, 0x2000, 0x4fff]) t.is(wire(p.bytes, describe(plain, p, gsoSize), tag), EINVAL, `tag ${tag}`);
  }
});

test('the MTU counts bytes after the link header, tags apart', (t) => {
  for (const tags of [[], [100], [200, 100]]) {
    const exact = { ...base, tags, payload: bytesOf(1500 - 52) };
    const over = { ...exact, payload: bytesOf(1500 - 51) };
    const a = buildFrame(exact, true);
    const b = buildFrame(over, true);
    t.is((wire(a.bytes, describe(exact, a, 0)) as Uint8Array[]).length, 1);
    t.is(wire(b.bytes, describe(over, b, 0)), EMSGSIZE);
    t.is((wire(b.bytes, describe(over, b, 1448)) as Uint8Array[]).length, 2);
    t.is(wire(b.bytes, describe(over, b, 1449)), EMSGSIZE, 'a segment is too big as well');
    t.is((wire(b.bytes, describe(over, b, 1449), TAG_KEEP, 1501) as Uint8Array[]).length, 1);
  }
});

test('offload fields that contradict the frame are refused', (t) => {
  const built = buildFrame(base, true);
  const change = (column: number, value: number): Uint8Array[] | number => {
    const d = describe(base, built, 1000);
    d[column] = value;
    return wire(built.bytes, d);
  };
  t.is(change(D_GSO_SIZE, 0), EINVAL);
  t.is(change(D_GSO_SIZE, 2), EINVAL, 'a frame would become thousands');
  t.is(change(D_GSO_TYPE, GSO_TCPV6), EINVAL);
  t.is(change(D_GSO_TYPE, GSO_UDP_L4), EINVAL);
  t.is(change(D_GSO_TYPE, 9), EMSGSIZE, 'unknown kinds cannot be segmented');
  t.is(change(D_CSUM_START, built.l4 + 2), EINVAL);
  t.is(change(D_CSUM_OFF, 6), EINVAL);
  t.is(change(D_LEN, 13), EINVAL);
  t.is(change(D_LEN, built.headers - 1), EINVAL);
  t.is(change(D_LEN, -1), EINVAL);
  t.is(change(D_OFF, -1), EINVAL);
  t.is(change(D_OFF, OFFSET + 1), EINVAL, 'beyond the arena');
  const fragment = Uint8Array.from(built.bytes);
  fragment[built.l3 + 6] |= 0x20;
  t.is(wire(fragment, describe(base, built, 1000)), EINVAL);
});

test('too little room for the answer', (t) => {
  const built = buildFrame(base, true);
  const arena = new Uint8Array(OFFSET + built.bytes.length);
  arena.set(built.bytes, OFFSET);
  const d = describe(base, built, 1000);
  t.is(segment(arena, d, 0, TAG_KEEP, 1500, new Uint8Array(3000), new Int32Array(64)), ENOSPC);
  t.is(segment(arena, d, 0, TAG_KEEP, 1500, new Uint8Array(30000), new Int32Array(4)), ENOSPC);
});

test('any bytes with any offload fields give frames or an errno', (t) => {
  const word = fc.oneof(fc.nat(80), fc.nat(70000), fc.integer());
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 60, maxLength: 200 }),
      fields,
      fc.array(fc.record({ column: fc.nat(D_STRIDE - 1), value: word }), { maxLength: 3 }),
      fc.array(fc.record({ at: fc.nat(120), value: fc.nat(255) }), { maxLength: 4 }),
      fc.integer({ min: -1, max: 0xffff }),
      fc.integer({ min: 40, max: 2000 }),
      (noise, f, columns, mutations, tag, gsoSize) => {
        const built = buildFrame(f, true);
        for (const bytes of [noise, Uint8Array.from(built.bytes)]) {
          const d = describe(f, { ...built, bytes }, gsoSize);
          for (const m of mutations) bytes[m.at % bytes.length] = m.value;
          for (const c of columns) d[c.column] = c.value;
          const got = wire(bytes, d, tag);
          if (typeof got === 'number') t.true(got < 0);
          else t.true(got.every((b) => b.length >= 10 && b.length <= 1500 + 26));
        }
      },
    ),
    { numRuns: 1500 },
  );
});
