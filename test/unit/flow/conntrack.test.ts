import test from 'ava';
import { Budgets, ConnTrack, FlowState, FlowTable, type ConnTrackOptions, STREAM_EVENTS } from '../../../src/flow/index.js';
import { CT_STATE_NAMES, CtState, DROP_REASONS, DropReason } from '../../../src/pipeline/index.js';
import { putIcmp, putIpv4, decode, LinkType, PacketView, finishIpv4, putTcp, putUdp } from '../../../src/packet/index.js';
import { CLIENT, icmp, SERVER, tcp, udp, type Segment } from './helper.js';

function make(options: ConnTrackOptions = {}, budgets = new Budgets()): { table: FlowTable; ct: ConnTrack } {
  const table = new FlowTable({ capacity: 64, seed: 7, budgets });
  return { table, ct: new ConnTrack(table, options) };
}

type Step = readonly [Segment, string];

/** Run segments; each expectation is "state" or "state/reason" with the flow's state after it behind '>'. */
function run(ct: ConnTrack, table: FlowTable, steps: readonly Step[]): string[] {
  return steps.map(([segment]) => {
    const view = tcp(segment);
    const state = ct.lookup(view);
    if (state === CtState.NEW) ct.commit(view);
    const name = CT_STATE_NAMES[state] + (state === CtState.INVALID ? '/' + DROP_REASONS[view.reason]!.name : '');
    return view.flowId < 0 ? name : `${name} > ${Object.keys(FlowState)[table.state(view.flowId)]}`;
  });
}

const C = 1000;
const S = 5000;
const handshake: Step[] = [
  [{ flags: 'S', seq: C, wscale: 7 }, 'new > SYN_SENT'],
  [{ dir: 1, flags: 'SA', seq: S, ack: C + 1, wscale: 7 }, 'established > SYN_RECV'],
  [{ flags: 'A', seq: C + 1, ack: S + 1, win: 500 }, 'established > ESTABLISHED'],
];

const scripts: Record<string, { options?: ConnTrackOptions; steps: Step[] }> = {
  'handshake, data, orderly close by the client': {
    steps: [
      ...handshake,
      [{ flags: 'PA', seq: C + 1, ack: S + 1, data: 100 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'A', seq: S + 1, ack: C + 101, data: 1460 }, 'established > ESTABLISHED'],
      [{ flags: 'FA', seq: C + 101, ack: S + 1461 }, 'established > FIN_WAIT'],
      [{ dir: 1, flags: 'A', seq: S + 1461, ack: C + 102 }, 'established > CLOSE_WAIT'],
      [{ dir: 1, flags: 'FA', seq: S + 1461, ack: C + 102 }, 'established > LAST_ACK'],
      [{ flags: 'A', seq: C + 102, ack: S + 1462 }, 'established > TIME_WAIT'],
    ],
  },
  'close by the server, FIN acknowledged by the second FIN': {
    steps: [
      ...handshake,
      [{ dir: 1, flags: 'FA', seq: S + 1, ack: C + 1 }, 'established > FIN_WAIT'],
      [{ flags: 'FA', seq: C + 1, ack: S + 2 }, 'established > LAST_ACK'],
      [{ dir: 1, flags: 'A', seq: S + 2, ack: C + 2 }, 'established > TIME_WAIT'],
      [{ flags: 'FA', seq: C + 1, ack: S + 2 }, 'established > TIME_WAIT'],
    ],
  },
  'simultaneous open': {
    steps: [
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'S', seq: S }, 'established > SYN_SENT2'],
      [{ flags: 'SA', seq: C, ack: S + 1 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, 'established > ESTABLISHED'],
      [{ flags: 'A', seq: C + 1, ack: S + 1 }, 'established > ESTABLISHED'],
    ],
  },
  'simultaneous open: the second SYN+ACK tells its window': {
    steps: [
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'S', seq: S }, 'established > SYN_SENT2'],
      [{ flags: 'SA', seq: C, ack: S + 1 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 1, win: 1000 }, 'established > ESTABLISHED'],
      [{ flags: 'PA', seq: C + 1, ack: S + 1, data: 600 }, 'established > ESTABLISHED'],
      [{ flags: 'PA', seq: C + 601, ack: S + 1, data: 400 }, 'established > ESTABLISHED'],
      [{ flags: 'PA', seq: C + 1003, ack: S + 1, data: 10 }, 'invalid/ct_invalid_seq > ESTABLISHED'],
    ],
  },
  'simultaneous open, the responder acknowledges first': {
    steps: [
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'S', seq: S }, 'established > SYN_SENT2'],
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, 'established > ESTABLISHED'],
      [{ flags: 'SA', seq: C, ack: S + 1 }, 'established > ESTABLISHED'],
      [{ flags: 'PA', seq: C + 1, ack: S + 1, data: 30 }, 'established > ESTABLISHED'],
    ],
  },
  'SYN retransmitted, also with a new number': {
    steps: [
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      [{ flags: 'S', seq: C + 9 }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, 'invalid/ct_invalid_seq > SYN_SENT'],
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 10 }, 'established > SYN_RECV'],
    ],
  },
  'port closed': {
    steps: [
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'RA', seq: 0, ack: C + 2 }, 'invalid/ct_invalid_seq > SYN_SENT'],
      [{ dir: 1, flags: 'RA', seq: 0, ack: C + 1 }, 'established > CLOSE'],
      [{ flags: 'A', seq: C + 1, ack: S }, 'invalid/ct_invalid > CLOSE'],
      [{ flags: 'S', seq: C + 1 }, 'new > SYN_SENT'],
    ],
  },
  'no connection': {
    steps: [
      [{ flags: 'A', seq: C, ack: S }, 'invalid/ct_invalid'],
      [{ flags: 'SA', seq: C, ack: S }, 'invalid/ct_invalid'],
      [{ flags: 'FA', seq: C, ack: S }, 'invalid/ct_invalid'],
      [{ flags: 'R', seq: C }, 'invalid/ct_invalid'],
    ],
  },
  'impossible flags': {
    steps: [
      [{ flags: '', seq: C }, 'invalid/ct_invalid_flags'],
      [{ flags: 'SF', seq: C }, 'invalid/ct_invalid_flags'],
      [{ flags: 'SR', seq: C }, 'invalid/ct_invalid_flags'],
      [{ flags: 'FPU', seq: C }, 'invalid/ct_invalid_flags'],
      ...handshake,
      [{ flags: 'F', seq: C + 1 }, 'invalid/ct_invalid_flags > ESTABLISHED'],
      [{ flags: 'SFA', seq: C + 1, ack: S + 1 }, 'invalid/ct_invalid_flags > ESTABLISHED'],
    ],
  },
  'outside the window': {
    steps: [
      ...handshake,
      [{ flags: 'A', seq: C + 1 + 65_536 * 128, ack: S + 1, data: 10 }, 'invalid/ct_invalid_seq > ESTABLISHED'],
      [{ flags: 'A', seq: C - 9_000_000, ack: S + 1, data: 10 }, 'invalid/ct_invalid_seq > ESTABLISHED'],
      [{ flags: 'A', seq: C + 1, ack: S + 2 }, 'invalid/ct_invalid_seq > ESTABLISHED'],
      [{ flags: 'A', seq: C + 1, ack: S - 9_000_000 }, 'invalid/ct_invalid_seq > ESTABLISHED'],
      [{ flags: 'A', seq: C, ack: S + 1 }, 'established > ESTABLISHED'],
      [{ flags: 'A', seq: C + 1, ack: S + 1, data: 60_000, gsoSize: 1448 }, 'established > ESTABLISHED'],
    ],
  },
  'window without scaling is enforced to the byte': {
    steps: [
      [{ flags: 'S', seq: C, win: 1000 }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 1, win: 1000, wscale: 7 }, 'established > SYN_RECV'],
      [{ flags: 'A', seq: C + 1, ack: S + 1, win: 1000 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'A', seq: S + 1002, ack: C + 1, data: 1 }, 'invalid/ct_invalid_seq > ESTABLISHED'],
      [{ dir: 1, flags: 'A', seq: S + 1, ack: C + 1, data: 1000 }, 'established > ESTABLISHED'],
    ],
  },
  'handshake completed by a blind ACK': {
    steps: [
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, 'established > SYN_RECV'],
      [{ flags: 'A', seq: C + 1, ack: S + 7 }, 'invalid/ct_invalid_seq > SYN_RECV'],
      [{ flags: 'A', seq: C + 1, ack: S - 7 }, 'invalid/ct_invalid_seq > SYN_RECV'],
      [{ flags: 'A', seq: C + 1, ack: S + 1 }, 'established > ESTABLISHED'],
    ],
  },
  'reset: exact closes, inside the window does not, outside is invalid': {
    steps: [
      ...handshake,
      [{ dir: 1, flags: 'R', seq: S + 9_000_000 }, 'invalid/ct_invalid_seq > ESTABLISHED'],
      [{ dir: 1, flags: 'R', seq: S + 100 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'A', seq: S + 1, ack: C + 1, data: 10 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'R', seq: S + 11 }, 'established > CLOSE'],
      [{ flags: 'A', seq: C + 1, ack: S + 11, data: 5 }, 'invalid/ct_invalid > CLOSE'],
    ],
  },
  'a SYN on a live connection changes nothing': {
    steps: [...handshake, [{ flags: 'S', seq: C + 77_777 }, 'established > ESTABLISHED'], [{ dir: 1, flags: 'A', seq: S + 1, ack: C + 1 }, 'established > ESTABLISHED']],
  },
  'TIME_WAIT is reused by a higher number only': {
    steps: [
      ...handshake,
      [{ flags: 'FA', seq: C + 1, ack: S + 1 }, 'established > FIN_WAIT'],
      [{ dir: 1, flags: 'FA', seq: S + 1, ack: C + 2 }, 'established > LAST_ACK'],
      [{ flags: 'A', seq: C + 2, ack: S + 2 }, 'established > TIME_WAIT'],
      [{ flags: 'S', seq: C - 50 }, 'established > TIME_WAIT'],
      [{ flags: 'S', seq: C + 5000 }, 'new > SYN_SENT'],
    ],
  },
  'sequence numbers wrap': {
    steps: [
      [{ flags: 'S', seq: 0xffff_fffe }, 'new > SYN_SENT'],
      [{ dir: 1, flags: 'SA', seq: 0x7fff_ffff, ack: 0xffff_ffff }, 'established > SYN_RECV'],
      [{ flags: 'A', seq: 0xffff_ffff, ack: 0x8000_0000, data: 100 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'A', seq: 0x8000_0000, ack: 99 }, 'established > ESTABLISHED'],
      [{ flags: 'A', seq: 99, ack: 0x8000_0000, data: 100 }, 'established > ESTABLISHED'],
    ],
  },
  'midstream, loose': {
    options: { midstream: 'loose' },
    steps: [
      [{ flags: 'R', seq: C }, 'invalid/ct_invalid'],
      [{ flags: 'PA', seq: C, ack: S, data: 50 }, 'new > ESTABLISHED'],
      [{ dir: 1, flags: 'A', seq: S, ack: C + 50, data: 900 }, 'established > ESTABLISHED'],
      [{ dir: 1, flags: 'FA', seq: S + 900, ack: C + 50 }, 'established > FIN_WAIT'],
    ],
  },
  'passive: everything belongs to a flow': {
    options: { strict: false },
    steps: [
      [{ flags: 'A', seq: C, ack: S }, 'new > NONE'],
      [{ dir: 1, flags: 'A', seq: S, ack: C }, 'established > NONE'],
      [{ flags: 'SF', seq: C }, 'established > NONE'],
      ...handshake,
      [{ flags: 'A', seq: C + 90_000_000, ack: S + 1, data: 3 }, 'established > ESTABLISHED'],
      [{ flags: '', seq: C + 1 }, 'established > ESTABLISHED'],
    ],
  },
  'passive, midstream: a SYN+ACK turns the flow around': {
    options: { strict: false, midstream: 'loose' },
    steps: [
      [{ dir: 1, flags: 'SA', seq: S, ack: C + 1 }, 'new > SYN_RECV'],
      [{ flags: 'A', seq: C + 1, ack: S + 1 }, 'established > ESTABLISHED'],
    ],
  },
  'one side only': {
    options: { strict: false, asyncOneside: true },
    steps: [
      [{ flags: 'S', seq: C }, 'new > SYN_SENT'],
      // As for netfilter, a connection of which one end is silent stays new, whatever its TCP state.
      [{ flags: 'A', seq: C + 1, ack: S + 1 }, 'new > ESTABLISHED'],
      [{ flags: 'PA', seq: C + 1, ack: S + 1, data: 10 }, 'new > ESTABLISHED'],
    ],
  },
};

for (const [name, { options, steps }] of Object.entries(scripts)) {
  test(`tcp: ${name}`, (t) => {
    const { table, ct } = make(options);
    t.deepEqual(run(ct, table, steps), steps.map(([, expected]) => expected));
  });
}

test('a NEW packet that is not committed leaves nothing behind', (t) => {
  const { table, ct } = make();
  const view = tcp({ flags: 'S', seq: 1 });
  t.is(ct.lookup(view), CtState.NEW);
  t.is(view.flowId, -1);
  t.is(table.active, 0);
  t.is(ct.lookup(tcp({ dir: 1, flags: 'SA', seq: 9, ack: 2 })), CtState.INVALID);
});

test('direction: the flow belongs to the SYN sender, midstream SYN+ACK to its receiver', (t) => {
  const { table, ct } = make({ strict: false, midstream: 'loose' });
  const view = tcp({ dir: 1, flags: 'SA', seq: S, ack: C + 1 });
  ct.lookup(view);
  const id = ct.commit(view);
  t.is(view.flowDir, 1);
  t.is(table.word(id, 0), CLIENT);
  const back = tcp({ flags: 'A', seq: C + 1, ack: S + 1 });
  ct.lookup(back);
  t.is(back.flowId, id);
  t.is(back.flowDir, 0);
});

test('udp: NEW until the other side answers', (t) => {
  const { table, ct } = make();
  const first = udp(0, 5000, 53);
  t.is(ct.lookup(first), CtState.NEW);
  const id = ct.commit(first);
  t.is(ct.lookup(udp(0, 5000, 53)), CtState.NEW);
  t.false(ct.isEstablished(id));
  const answer = udp(1, 53, 5000);
  t.is(ct.lookup(answer), CtState.ESTABLISHED);
  t.is(answer.flowDir, 1);
  t.is(table.state(id), FlowState.UDP_REPLIED);
  t.true(ct.isEstablished(id));
  t.is(ct.lookup(udp(0, 5000, 53)), CtState.ESTABLISHED);
  t.is(table.packets(id, 0), 3);
  t.is(table.bytes(id, 0), 300);
  t.is(table.packets(id, 1), 1);
  t.is(table.switchPort(id, 0), 1);
  t.is(table.switchPort(id, 1), 2);
});

test('icmp: a reply belongs to its request, a request from the other side does not', (t) => {
  const { ct } = make();
  t.is(ct.lookup(icmp(1, 0, 77)), CtState.INVALID);
  const ping = icmp(0, 8, 77);
  t.is(ct.lookup(ping), CtState.NEW);
  ct.commit(ping);
  t.is(ct.lookup(icmp(1, 0, 77)), CtState.ESTABLISHED);
  t.is(ct.lookup(icmp(1, 0, 78)), CtState.INVALID);
  const other = icmp(1, 8, 77);
  t.is(ct.lookup(other), CtState.NEW);
  t.is(other.flowId, -1);
});

/** ICMP destination unreachable from the server side, quoting a packet of the client. */
function unreachable(quote: (buf: Uint8Array, at: number) => number, quotedProto: number, to = CLIENT): PacketView {
  const buf = new Uint8Array(200);
  let at = putIpv4(buf, 0, 0x0a00_00fe, to, 1, 64);
  at = putIcmp(buf, at, 3, 3, 0);
  const inner = at;
  at = putIpv4(buf, at, CLIENT, SERVER, quotedProto, 63);
  at = quote(buf, at);
  finishIpv4(buf, inner, at);
  finishIpv4(buf, 0, inner + 28);
  const view = new PacketView();
  decode(view, buf, 0, inner + 28, LinkType.RAW);
  view.tsSec = 1000;
  return view;
}

test('icmp errors belong to the flow they quote', (t) => {
  const { ct } = make();
  const query = udp(0, 5000, 53);
  ct.lookup(query);
  const id = ct.commit(query);
  const error = unreachable((buf, at) => putUdp(buf, at, 5000, 53), 17);
  t.is(ct.lookup(error), CtState.RELATED);
  t.is(error.flowId, id);
  t.is(error.flowDir, 1);
  t.is(ct.lookup(unreachable((buf, at) => putUdp(buf, at, 5001, 53), 17)), CtState.INVALID);
  // Sent to somebody who did not send the quoted packet.
  t.is(ct.lookup(unreachable((buf, at) => putUdp(buf, at, 5000, 53), 17, SERVER)), CtState.INVALID);
});

test('icmp errors about tcp must quote a sequence number in flight', (t) => {
  const { ct, table } = make();
  run(ct, table, handshake);
  t.is(ct.lookup(unreachable((buf, at) => putTcp(buf, at, 40_000, 80, C + 1, 0, 0x10, 0), 6)), CtState.RELATED);
  const forged = unreachable((buf, at) => putTcp(buf, at, 40_000, 80, C + 90_000_000, 0, 0x10, 0), 6);
  t.is(ct.lookup(forged), CtState.INVALID);
  t.is(forged.reason, DropReason.ct_invalid_seq);
});

test('zones keep equal addresses apart', (t) => {
  const { ct } = make();
  const a = udp(0, 5000, 53);
  ct.lookup(a, 1);
  ct.commit(a);
  const b = udp(0, 5000, 53);
  t.is(ct.lookup(b, 2), CtState.NEW);
  t.is(b.flowId, -1);
  t.is(ct.lookup(udp(1, 53, 5000), 1), CtState.ESTABLISHED);
});

test('budgets: flows, half-open handshakes and new flows per second of one VM, and of no other', (t) => {
  const budgets = new Budgets();
  budgets.assign([1, 5], { flows: 3, halfOpen: 1, newFlowsPerSecond: 8 });
  const { ct, table } = make({}, budgets);
  const open = (srcPort: number, ingress = 1, at = 1000): PacketView => {
    const view = tcp({ flags: 'S', seq: 1, srcPort, dstPort: 80, ingress, at });
    ct.lookup(view);
    ct.commit(view);
    return view;
  };
  t.true(open(1).flowId >= 0);
  const second = open(2);
  t.is(second.flowId, -1);
  t.is(second.reason, DropReason.flow_half_open_budget);
  t.is(open(3, 5).reason, DropReason.flow_half_open_budget, 'another port of the same VM');
  t.true(open(4, 6).flowId >= 0, 'another VM');
  ct.lookup(tcp({ dir: 1, flags: 'SA', seq: 9, ack: 2, srcPort: 80, dstPort: 1 }));
  ct.lookup(tcp({ flags: 'A', seq: 2, ack: 10, srcPort: 1, dstPort: 80 }));
  t.is(table.halfOpenByPort[1], 0);
  t.true(open(2).flowId >= 0);
  ct.lookup(tcp({ dir: 1, flags: 'SA', seq: 9, ack: 2, srcPort: 80, dstPort: 2 }));
  ct.lookup(tcp({ flags: 'A', seq: 2, ack: 10, srcPort: 2, dstPort: 80 }));
  t.true(open(7).flowId >= 0);
  ct.lookup(tcp({ dir: 1, flags: 'SA', seq: 9, ack: 2, srcPort: 80, dstPort: 7 }));
  ct.lookup(tcp({ flags: 'A', seq: 2, ack: 10, srcPort: 7, dstPort: 80 }));
  t.is(table.byPort[1], 3);
  t.is(open(8).reason, DropReason.flow_budget, 'three live flows, none of which may be evicted');
  t.is(open(9).reason, DropReason.flow_rate_budget, 'the burst is used up');
  t.is(open(9, 1, 1001).reason, DropReason.flow_budget, 'a second later only the flows are too many');
});

test('stream events carry Suricata names and are cleared by the next lookup', (t) => {
  const { ct, table } = make({ strict: false });
  run(ct, table, handshake);
  ct.lookup(tcp({ flags: 'A', seq: C + 1, ack: S + 500 }));
  t.deepEqual([...ct.events.ids.subarray(0, ct.events.count)].map((id) => STREAM_EVENTS[id]), ['pkt_invalid_ack', 'est_invalid_ack']);
  ct.lookup(tcp({ flags: 'A', seq: C + 1, ack: S + 1 }));
  t.is(ct.events.count, 0);
});
