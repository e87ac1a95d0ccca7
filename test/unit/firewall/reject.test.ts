/** Reject frames, decoded again; checksums against a sum written here. */
import test from 'ava';
import { Budgets } from '../../../src/flow/index.js';
import * as fc from 'fast-check';
import { Rejecter } from '../../../src/firewall/index.js';
import { D_LEN, D_LINK_TYPE, D_OFF, D_STRIDE, decodeBatchRow, FrameBatch, PacketView, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../../../src/packet/index.js';
import { frame, packet, type FrameSpec } from './frames.js';

const CLIENT = '192.0.2.7';
const SERVER = '10.0.0.1';

/** RFC 1071 in its plainest form: big-endian words, end-around carry. */
function plainSum(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** Both checksums of a decoded frame are right. */
function checksumsHold(v: PacketView): boolean {
  const bytes = Array.from(v.buf.subarray(v.l3Off, v.ipEnd));
  const v4 = v.ipVersion === 4;
  if (v4 && plainSum(bytes.slice(0, v.ipHdrLen)) !== 0xffff) return false;
  const l4 = bytes.slice(v.l4Off - v.l3Off);
  const addresses = v4 ? bytes.slice(12, 20) : bytes.slice(8, 40);
  const pseudo = v.proto === 1 ? [] : [...addresses, l4.length >> 8, l4.length & 255, 0, v.proto];
  return plainSum([...pseudo, ...l4]) === 0xffff;
}

/** A batch with the frame as row 0, and the frame decoded. */
function received(spec: FrameSpec): { batch: FrameBatch; view: PacketView } {
  const batch = new FrameBatch(4);
  const bytes = frame(spec);
  const row = batch.inject(bytes.length, 3, 100, 5);
  batch.arena.set(bytes, batch.desc[row * D_STRIDE + D_OFF]!);
  const view = new PacketView();
  decodeBatchRow(view, batch, row);
  view.egress = 8;
  return { batch, view };
}

function decodeRow(batch: FrameBatch, row: number): PacketView {
  const view = new PacketView();
  decodeBatchRow(view, batch, row);
  return view;
}

const pair = fc.constantFrom([CLIENT, SERVER], ['2001:db8::7', '2001:db8::1']);
const tcp = fc.record({
  pair, flags: fc.constantFrom(TCP_SYN, TCP_ACK, TCP_ACK | TCP_FIN, TCP_FIN, TCP_SYN | TCP_ACK, 0), seq: fc.integer(), ack: fc.integer(),
  payload: fc.integer({ min: 0, max: 1400 }), vlans: fc.constantFrom([], [100], [0x6064, 7]),
});

test('TCP RST to the sender: RFC 9293 section 3.5.2', (t) => {
  fc.assert(fc.property(tcp, ({ pair: [src, dst], ...spec }) => {
    const { batch, view } = received({ src: src!, dst: dst!, sport: 5555, dport: 80, ...spec });
    const rejecter = new Rejecter();
    if (rejecter.build(batch, view, false) !== 1) throw new Error('no answer');
    const rst = decodeRow(batch, rejecter.senderRow);
    const acked = (spec.flags & TCP_ACK) !== 0;
    const length = spec.payload + ((spec.flags & TCP_SYN) !== 0 ? 1 : 0) + ((spec.flags & TCP_FIN) !== 0 ? 1 : 0);
    t.deepEqual([rst.tcpFlags, rst.seq, rst.ack], acked ? [TCP_RST, spec.ack, 0] : [TCP_RST | TCP_ACK, 0, (spec.seq + length) | 0]);
    t.deepEqual([rst.srcPort, rst.dstPort, rst.src0, rst.src3, rst.dst0, rst.dst3], [80, 5555, view.dst0, view.dst3, view.src0, view.src3]);
    t.deepEqual([rst.srcMacLo, rst.dstMacLo, rst.vlanCount, rst.vlan0, rst.vlan1], [view.dstMacLo, view.srcMacLo, spec.vlans.length, spec.vlans[0] ?? 0, spec.vlans[1] ?? 0]);
    t.is(rst.malformed, 0);
    t.is(rst.payloadLen, 0);
    t.true(checksumsHold(rst));
    t.is(rejecter.senderPort, 3);
    t.is(rejecter.receiverRow, -1);
  }), { numRuns: 80 });
});

test('TCP RST to the receiver: sequence number of the refused segment', (t) => {
  const { batch, view } = received({ src: CLIENT, dst: SERVER, sport: 5555, flags: TCP_ACK, seq: 77, ack: 99, payload: 10, vlans: [100] });
  const rejecter = new Rejecter();
  t.is(rejecter.build(batch, view, true), 2);
  const rst = decodeRow(batch, rejecter.receiverRow);
  t.deepEqual([rst.tcpFlags, rst.seq, rst.ack, rst.srcPort, rst.src0, rst.srcMacLo, rst.vlan0], [TCP_RST | TCP_ACK, 77, 99, 5555, view.src0, view.srcMacLo, 100]);
  t.true(checksumsHold(rst));
  t.is(rejecter.receiverPort, 8);
  const syn = received({ src: CLIENT, dst: SERVER, flags: TCP_SYN });
  t.is(new Rejecter().build(syn.batch, syn.view, true), 1, 'the receiver knows nothing of a refused SYN');
  view.egress = -1;
  t.is(new Rejecter().build(batch, view, true), 1, 'no single receiver');
});

test('ICMP and ICMPv6 unreachable: administratively prohibited, quoting the packet', (t) => {
  for (const [src, dst, type, code, max] of [[CLIENT, SERVER, 3, 13, 576], ['2001:db8::7', '2001:db8::1', 1, 1, 1280]] as const) {
    for (const payload of [0, 1, 100, 1400]) {
      const { batch, view } = received({ src, dst, proto: 'udp', sport: 9, dport: 53, payload });
      const rejecter = new Rejecter();
      t.is(rejecter.build(batch, view, true), 1);
      const answer = decodeRow(batch, rejecter.senderRow);
      t.deepEqual([answer.icmpType, answer.icmpCode, answer.src0, answer.dst0, answer.dst3], [type, code, view.dst0, view.src0, view.src3]);
      t.true(checksumsHold(answer));
      const quoted = Math.min(view.ipEnd - view.l3Off, max - (answer.payloadOff - answer.l3Off));
      t.is(answer.payloadLen, quoted);
      t.deepEqual(answer.buf.slice(answer.payloadOff, answer.payloadOff + quoted), view.buf.slice(view.l3Off, view.l3Off + quoted));
    }
  }
});

test('what must not be answered is not', (t) => {
  const udp = { src: CLIENT, dst: SERVER, proto: 'udp' as const };
  const cases: [string, FrameSpec][] = [
    ['RST', { src: CLIENT, dst: SERVER, flags: TCP_RST | TCP_ACK }],
    ['ICMP error', { src: CLIENT, dst: SERVER, proto: 'icmp', icmp: [3, 1], payload: 28 }],
    ['ICMPv6 error', { src: '2001:db8::7', dst: '2001:db8::1', proto: 'icmpv6', icmp: [1, 0], payload: 48 }],
    ['later fragment', { ...udp, fragment: { offset: 64, more: false } }],
    ['multicast', { ...udp, dst: '224.0.0.5', dmac: '01:00:5e:00:00:05' }],
    ['IPv6 multicast', { ...udp, src: '2001:db8::7', dst: 'ff02::1' }],
    ['broadcast', { ...udp, dst: '255.255.255.255', dmac: 'ff:ff:ff:ff:ff:ff' }],
    ['link broadcast to a host', { ...udp, dmac: 'ff:ff:ff:ff:ff:ff' }],
    ['source 0.0.0.0', { ...udp, src: '0.0.0.0' }],
    ['source loopback', { ...udp, src: '127.0.0.1' }],
    ['source ::', { ...udp, src: '::', dst: '2001:db8::1' }],
    ['ARP', { etherType: 0x0806 }],
  ];
  for (const [name, spec] of cases) {
    const { batch, view } = received(spec);
    const rejecter = new Rejecter();
    t.is(rejecter.build(batch, view, true), 0, name);
    t.is(rejecter.unanswerable, 1, name);
  }
  const echo = received({ src: CLIENT, dst: SERVER, proto: 'icmp', icmp: [8, 0] });
  t.is(new Rejecter().build(echo.batch, echo.view, false), 1, 'an echo request is answered');
});

test('rate limit and full batch are counted', (t) => {
  const { batch, view } = received({ src: CLIENT, dst: SERVER });
  const rejecter = new Rejecter({ perSecond: 1, burst: 2 });
  t.deepEqual([1, 2, 3].map(() => rejecter.build(batch, view, false)), [1, 1, 0]);
  t.is(rejecter.limited, 1);
  view.tsSec += 1;
  t.is(rejecter.build(batch, view, false), 1);
  const budgets = new Budgets();
  budgets.assign([view.ingress], { answersPerSecond: 5 });
  const fair = new Rejecter({ budgets });
  t.deepEqual([1, 2].map(() => fair.build(batch, view, false)), [1, 0], 'a fifth of a second at once');
  view.ingress++;
  t.is(fair.build(batch, view, false), 1, 'another VM has its own');
  view.ingress--;
  const full = new Rejecter({ perSecond: 0 });
  let built = 0;
  for (let i = 0; i < 100; i++) built += full.build(batch, view, false);
  t.true(built < 100);
  t.is(full.noRoom, 100 - built);
  t.is(full.senderRow, -1);
});

test('any bytes: no crash, and the answer is well formed', (t) => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 14, maxLength: 120 }), fc.constantFrom([0x08, 0x00, 0x45], [0x86, 0xdd, 0x60], [0x81, 0x00, 0x00]), (bytes, head) => {
    bytes.set(head.slice(0, Math.max(0, Math.min(3, bytes.length - 12))), 12);
    const batch = new FrameBatch(4);
    const row = batch.inject(bytes.length, 1, 0, 0);
    batch.arena.set(bytes, batch.desc[row * D_STRIDE + D_OFF]!);
    const view = decodeRow(batch, row);
    view.egress = 2;
    const rejecter = new Rejecter({ perSecond: 0 });
    rejecter.build(batch, view, true);
    for (const answer of [rejecter.senderRow, rejecter.receiverRow]) {
      if (answer < 0) continue;
      const out = decodeRow(batch, answer);
      if (out.malformed !== 0 || !checksumsHold(out)) throw new Error(`bad answer of ${batch.desc[answer * D_STRIDE + D_LEN]} bytes`);
      if (batch.desc[answer * D_STRIDE + D_LINK_TYPE] !== 1) throw new Error('link type');
    }
  }), { numRuns: 2000 });
  t.pass();
});

test('frames on other links are not answered', (t) => {
  const view = packet({ src: CLIENT, dst: SERVER });
  view.linkType = 101;
  t.is(new Rejecter().build(new FrameBatch(4), view, false), 0);
});
