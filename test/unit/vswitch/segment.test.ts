import test from 'ava';
import fc from 'fast-check';
import {
  CSUM_OK,
  D_CSUM_OFF,
  D_CSUM_START,
  D_GSO_SIZE,
  D_GSO_TYPE,
  D_OFF,
  D_STRIDE,
  D_VNET_FLAGS,
  FrameBatch,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP,
  GSO_UDP_L4,
  LinkType,
  PacketView,
  TAG_KEEP,
  TAG_STRIP,
  decode,
  ipv4ChecksumOk,
  pseudoHeaderSum,
  verifyTransportChecksum,
} from '../../../src/packet/index.js';
import { WireEmitter } from '../../../src/vswitch/index.js';
import { loadNative } from '../../../src/vswitch/native.js';
import { Bench, MAC_A, MAC_B, tcp, udp } from './harness.js';

interface Offload {
  gsoType: number;
  gsoSize: number;
  partial: boolean;
  csumStart: number;
  csumOff: number;
}

function load(batch: FrameBatch, bytes: Uint8Array, o: Offload): number {
  batch.reset();
  const row = batch.inject(bytes.length, 0, 0, 0);
  const d = row * D_STRIDE;
  batch.arena.set(bytes, batch.desc[d + D_OFF]!);
  batch.desc[d + D_VNET_FLAGS] = o.partial ? 1 : 0;
  batch.desc[d + D_GSO_TYPE] = o.gsoType;
  batch.desc[d + D_GSO_SIZE] = o.gsoSize;
  batch.desc[d + D_CSUM_START] = o.csumStart;
  batch.desc[d + D_CSUM_OFF] = o.csumOff;
  return row;
}

const emitter = new WireEmitter();

function inJs(batch: FrameBatch, row: number, tag: number, mtu: number): Uint8Array[] | number {
  const frames: Uint8Array[] = [];
  const error = emitter.emit(batch, row, tag, mtu, { wireFrame: (buf, off, len) => (frames.push(buf.slice(off, off + len)), 0) });
  return error === 0 ? frames : -error;
}

const out = new Uint8Array(4 << 20);
const lengths = new Int32Array(4096);

function inNative(batch: FrameBatch, row: number, tag: number, mtu: number): Uint8Array[] | number {
  const count = loadNative().segment(batch.arena, batch.desc, row, tag, mtu, out, lengths);
  if (count < 0) return count;
  const frames: Uint8Array[] = [];
  for (let i = 0, at = 0; i < count; at += lengths[i++]!) frames.push(out.slice(at, at + lengths[i]!));
  return frames;
}

/** A super-frame with the checksum field as a guest leaves it: the pseudo-header sum. */
function superFrame(kind: 'tcp' | 'udp', v6: boolean, tags: readonly number[], payload: number, flags: number): { bytes: Uint8Array; l4: number } {
  const options = { tags, payload, src: v6 ? 'fd00::1' : '10.0.0.1' };
  const bytes = kind === 'tcp' ? tcp(MAC_B, MAC_A, options) : udp(MAC_B, MAC_A, options);
  const l3 = 14 + tags.length * 4;
  const l4 = l3 + (v6 ? 40 : 20);
  const field = l4 + (kind === 'tcp' ? 16 : 6);
  if (kind === 'tcp') bytes[l4 + 13] = flags;
  const sum = pseudoHeaderSum(bytes, l3, v6 ? 6 : 4, kind === 'tcp' ? 6 : 17, bytes.length - l4);
  bytes[field] = sum >>> 8;
  bytes[field + 1] = sum;
  return { bytes, l4 };
}

const kinds = fc.constantFrom('tcp' as const, 'udp' as const);

test('a segmented super-frame is the same stream, with right headers and checksums', (t) => {
  const batch = new FrameBatch(1);
  const view = new PacketView();
  fc.assert(
    fc.property(kinds, fc.boolean(), fc.constantFrom([], [5], [5, 6]), fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 32, max: 1460 }), fc.nat(255), (kind, v6, tags, payload, gsoSize, flags) => {
      const { bytes, l4 } = superFrame(kind, v6, tags, payload, flags);
      const gsoType = kind === 'udp' ? GSO_UDP_L4 : v6 ? GSO_TCPV6 : GSO_TCPV4;
      const row = load(batch, bytes, { gsoType, gsoSize, partial: true, csumStart: l4, csumOff: kind === 'tcp' ? 16 : 6 });
      const frames = inJs(batch, row, TAG_KEEP, 65535);
      if (typeof frames === 'number') return t.fail(String(frames));
      t.is(frames.length, Math.ceil(payload / gsoSize));
      const header = l4 + (kind === 'tcp' ? 20 : 8);
      const joined: number[] = [];
      for (const [i, frame] of frames.entries()) {
        decode(view, frame, 0, frame.length, LinkType.ETHERNET);
        t.is(view.malformed, 0);
        t.is(verifyTransportChecksum(view), CSUM_OK);
        if (!v6) t.true(ipv4ChecksumOk(view) && view.ipId === i);
        if (kind === 'tcp') {
          t.is(view.seq, 1000 + i * gsoSize);
          const last = i === frames.length - 1;
          t.is(view.tcpFlags & 0xff, flags & (last ? 0xff : ~0x09) & (i > 0 ? ~0x80 : 0xff));
        }
        joined.push(...frame.subarray(header));
      }
      t.deepEqual(Uint8Array.from(joined), bytes.slice(header));
    }),
    { numRuns: 60 },
  );
});

test('JavaScript and native agree, also on frames that make no sense', (t) => {
  const batch = new FrameBatch(1);
  const noise = fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 3 });
  fc.assert(
    fc.property(
      kinds,
      fc.boolean(),
      fc.constantFrom([], [5], [5, 6], [5, 6, 7]),
      fc.nat(4000),
      fc.record({
        gsoType: fc.constantFrom(GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, GSO_TCPV4 | GSO_ECN, GSO_TCPV6 | GSO_ECN),
        gsoSize: fc.oneof(fc.integer({ min: 100, max: 1460 }), fc.nat(65535)),
        partial: fc.boolean(),
        rightCsum: fc.integer({ min: 0, max: 9 }),
        csumStart: fc.nat(200),
        csumOff: fc.nat(40),
      }),
      fc.constantFrom(TAG_KEEP, TAG_KEEP, TAG_STRIP, 1, 4094, 5 | (7 << 13), 4095),
      fc.constantFrom(65535, 1500, 600),
      fc.tuple(fc.boolean(), noise),
      fc.oneof({ weight: 4, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat(80) }),
      (kind, v6, tags, payload, offload, tag, mtu, [edit, edits], cut) => {
        const made = superFrame(kind, v6, tags, payload, 0x99);
        const bytes = cut < 0 ? made.bytes : made.bytes.slice(0, cut);
        if (edit) for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        if (offload.rightCsum > 0) {
          offload.csumStart = made.l4;
          offload.csumOff = kind === 'tcp' ? 16 : 6;
        }
        const row = load(batch, bytes, offload);
        t.deepEqual(inJs(batch, row, tag, mtu), inNative(batch, row, tag, mtu));
      },
    ),
    { numRuns: 1500 },
  );
});

test('a stage that rewrote payload bytes leaves a frame with a right checksum', (t) => {
  const view = new PacketView();
  const rewrite = {
    inspect(v: PacketView) {
      v.buf[v.payloadOff] ^= 0xff;
      v.modified = true;
      return 1;
    },
    admit: () => 1,
  };
  for (const src of ['10.0.0.1', 'fd00::1']) {
    for (const [frame, trailer] of [tcp, udp].flatMap((make) => [0, 5].map((n) => [make(MAC_B, MAC_A, { src, payload: 31 }), n] as const))) {
      const bench = new Bench([{ name: 'a' }, { name: 'b' }], rewrite);
      const padded = new Uint8Array(frame.length + trailer).fill(0xee);
      padded.set(frame);
      bench.ports[0]!.put(padded);
      bench.run();
      const [got] = bench.ports[1]!.take();
      decode(view, got!, 0, got!.length, LinkType.ETHERNET);
      t.is(verifyTransportChecksum(view), CSUM_OK);
      t.is(got![view.payloadOff], 0xff);
      t.is(got!.length, padded.length);
    }
  }
});

test('tag actions that are none', (t) => {
  const batch = new FrameBatch(1);
  const row = load(batch, udp(MAC_B, MAC_A), { gsoType: GSO_NONE, gsoSize: 0, partial: false, csumStart: 0, csumOff: 0 });
  for (const tag of [70000, -5, 4095, 0x1000]) t.is(inJs(batch, row, tag, 1500), -22);
});
