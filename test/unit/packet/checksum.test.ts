import test from 'ava';
import fc from 'fast-check';
import {
  CSUM_BAD,
  CSUM_NONE,
  CSUM_OK,
  LinkType,
  PROTO_UDP,
  PacketView,
  adjustChecksum16,
  adjustChecksum32,
  decode,
  finishIpv4,
  finishIpv6,
  flowHash,
  internetChecksum,
  putIpv4,
  putIpv6,
  putUdp,
  sourceIsLower,
  sum16,
  sumBytes,
  verifyTransportChecksum,
} from '../../../src/packet/index.js';
import { putBe16, putBe32 } from '../../../src/util/index.js';

/** RFC 1071 the slow and obvious way. */
function naive(bytes: Uint8Array, initial: number): number {
  let sum = BigInt(initial);
  for (let i = 0; i < bytes.length; i += 2) sum += BigInt(bytes[i]! * 256 + (bytes[i + 1] ?? 0));
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum);
}

test('the sum agrees with the obvious one', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 0, max: 0xffff }), fc.nat({ max: 5 }), (bytes, initial, off) => {
      const buf = new Uint8Array(bytes.length + off + 3).fill(0xff);
      buf.set(bytes, off);
      t.is(sumBytes(buf, off, bytes.length, initial), naive(bytes, initial));
      t.is(sum16(buf, off, bytes.length, initial), naive(bytes, initial));
    }),
  );
  const long = new Uint8Array(66_000).fill(0xff);
  t.is(sumBytes(long, 0, 65_535, 0xffff), naive(long.subarray(0, 65_535), 0xffff));
});

test('example of RFC 1071 section 3', (t) => {
  t.is(sumBytes(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8, 0), 0xddf2);
});

test('incremental update gives the checksum of the changed bytes (RFC 1624)', (t) => {
  const u16 = fc.integer({ min: 0, max: 0xffff });
  const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 60 }), u16, word, fc.nat({ max: 4 }), (bytes, changed, changed32, slot) => {
      const at = slot * 2;
      // A checksum over all zeros has two spellings; real headers are never all zero.
      bytes[19] = 1;
      const before = internetChecksum(bytes, 0, bytes.length);
      const oldWord = (bytes[at]! << 8) | bytes[at + 1]!;
      putBe16(bytes, at, changed);
      const middle = internetChecksum(bytes, 0, bytes.length);
      t.is(adjustChecksum16(before, oldWord, changed), middle);
      const oldWord32 = (bytes[8]! << 24) | (bytes[9]! << 16) | (bytes[10]! << 8) | bytes[11]!;
      putBe32(bytes, 8, changed32);
      t.is(adjustChecksum32(middle, oldWord32, changed32), internetChecksum(bytes, 0, bytes.length));
    }),
  );
});

test('UDP without checksum: none on IPv4, wrong on IPv6', (t) => {
  const buf = new Uint8Array(100);
  const view = new PacketView();
  putUdp(buf, putIpv4(buf, 0, 1, 2, PROTO_UDP, 64), 3, 4);
  finishIpv4(buf, 0, 30);
  decode(view, buf, 0, 30, LinkType.RAW);
  t.is(verifyTransportChecksum(view), CSUM_OK);
  putBe16(buf, 26, 0);
  t.is(verifyTransportChecksum(view), CSUM_NONE);
  putUdp(buf, putIpv6(buf, 0, 1, 2, 3, 4, 5, 6, 7, 8, PROTO_UDP, 64), 3, 4);
  finishIpv6(buf, 0, 50);
  decode(view, buf, 0, 50, LinkType.RAW);
  t.is(verifyTransportChecksum(view), CSUM_OK);
  putBe16(buf, 46, 0);
  t.is(verifyTransportChecksum(view), CSUM_BAD);
});

function flow(s: readonly number[], d: readonly number[], sp: number, dp: number, vlan: number): PacketView {
  const view = new PacketView();
  [view.src0, view.src1, view.src2, view.src3] = [s[0]!, s[1]!, s[2]!, s[3]!];
  [view.dst0, view.dst1, view.dst2, view.dst3] = [d[0]!, d[1]!, d[2]!, d[3]!];
  view.srcPort = sp;
  view.dstPort = dp;
  view.proto = 6;
  view.vlan0 = vlan;
  return view;
}

test('flow hash: same for both directions, different for another flow, VLAN or seed', (t) => {
  const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  const words = fc.tuple(word, word, word, word);
  const port = fc.integer({ min: 0, max: 0xffff });
  fc.assert(
    fc.property(words, words, port, port, fc.integer({ min: 0, max: 4094 }), word, (s, d, sp, dp, vlan, seed) => {
      const hash = flowHash(flow(s, d, sp, dp, vlan), seed);
      t.is(hash, hash | 0);
      t.is(flowHash(flow(d, s, dp, sp, vlan), seed), hash);
      t.not(flowHash(flow(s, d, sp, dp ^ 1, vlan), seed), hash);
      t.not(flowHash(flow(s, d, sp, dp, vlan ^ 1), seed), hash);
      t.not(flowHash(flow(s, d, sp, dp, vlan), seed ^ 1), hash);
      const forth = sourceIsLower(flow(s, d, sp, dp, 0));
      const back = sourceIsLower(flow(d, s, dp, sp, 0));
      if (sp !== dp || s.some((w, i) => w !== d[i])) t.not(forth, back);
    }),
  );
});

test('flow hash spreads neighbouring clients evenly', (t) => {
  const buckets = new Int32Array(1024);
  const n = 64 * 1024;
  for (let i = 0; i < n; i++) {
    const view = flow([0x0a000000 + (i >> 8), 0, 0, 0], [0x0a010001, 0, 0, 0], 32768 + (i & 255), 80, 0);
    buckets[flowHash(view, 12345) & 1023]!++;
  }
  // 64 per bucket; a uniform hash stays within a few standard deviations (8).
  t.true(Math.max(...buckets) < 64 + 8 * 6, `fullest bucket ${Math.max(...buckets)}`);
  t.true(Math.min(...buckets) > 64 - 8 * 6, `emptiest bucket ${Math.min(...buckets)}`);
});
