/** Posture and hygiene: each check in each mode, on the packet it is about and on one that must pass. */
import test from 'ava';
import { Firewall, FirewallState, parseFirewall, PostureCheck } from '../../../src/firewall/index.js';
import { POSTURE_CHECKS, type PostureCheckName } from '../../../src/firewall/posture.js';
import { ConnTrack, FlowTable } from '../../../src/flow/index.js';
import { TCP_OPT_TIMESTAMP, type PacketView } from '../../../src/packet/index.js';
import { CtState, DROP_REASONS, Verdict } from '../../../src/pipeline/index.js';
import { packet, type FrameSpec } from './frames.js';

const A = '10.0.0.1';
const PEER = '192.0.2.7';
const toA: FrameSpec = { src: PEER, dst: A, sport: 5000, dport: 80 };
const fromA: FrameSpec = { src: A, dst: PEER, sport: 80, dport: 5000 };
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const URG = 32;
const ECE = 64;

class Bench {
  readonly flows = new FlowTable({ capacity: 1024, seed: 1 });
  readonly track = new ConnTrack(this.flows);
  readonly state = new FirewallState(this.flows, 1);
  readonly reports: string[] = [];
  readonly firewall: Firewall;

  constructor(policy: object) {
    const { policy: parsed, problems } = parseFirewall({ policies: { p: policy } });
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    this.firewall = new Firewall(parsed, ['p'], 1, this.state, { logged: () => undefined, wouldDrop: (_v, _vm, _d, reason) => this.reports.push(DROP_REASONS[reason]!.name) });
  }

  judge(view: PacketView, outgoing = false): string {
    this.firewall.silent = false;
    const [src, dst] = outgoing ? [0, -1] : [-1, 0];
    if (view.fragment) view.verdict = this.firewall.judgeFragment(view, src, dst);
    else {
      const ct = this.track.lookup(view);
      view.verdict = this.firewall.judge(view, ct, src, dst);
      // As the data plane: what nobody with a policy let pass is dropped when it is invalid.
      if (ct === CtState.INVALID && view.verdict === Verdict.NONE) view.verdict = Verdict.DROP;
      if (ct === CtState.NEW && view.flowId < 0 && view.verdict < Verdict.DROP) {
        this.track.commit(view);
        this.firewall.opened(view, src, dst);
      }
    }
    return view.verdict < Verdict.DROP ? 'pass' : `${DROP_REASONS[view.reason]!.name}${this.firewall.silent ? ' silent' : ''}`;
  }

  handshake(): void {
    this.judge(packet(toA));
    this.judge(packet({ ...fromA, flags: SYN | ACK, seq: 9, ack: 1001 }), true);
    this.judge(packet({ ...toA, flags: ACK, seq: 1001, ack: 10 }));
  }
}

function stamped(spec: FrameSpec, tsVal: number): PacketView {
  const view = packet(spec);
  view.tcpOptions |= TCP_OPT_TIMESTAMP;
  view.tsVal = tsVal;
  return view;
}

const ACK_SPEC: FrameSpec = { ...toA, flags: ACK, seq: 1001, ack: 10 };

/** Packets that each check is about, after what has to come before. Outgoing ones say so. */
const ODD: Readonly<Partial<Record<PostureCheckName, (b: Bench) => string>>> = {
  invalid_timestamp: (b) => (b.handshake(), b.judge(stamped(ACK_SPEC, 5000)), b.judge(stamped(ACK_SPEC, 4000))),
  timestamp_zero: (b) => (b.handshake(), b.judge(stamped(ACK_SPEC, 0))),
  fragment: (b) => b.judge(packet({ ...toA, proto: 'udp', fragment: { offset: 64, more: true } })),
  zero_flags: (b) => b.judge(packet({ ...toA, flags: 0 })),
  congestion_flags: (b) => b.judge(packet({ ...toA, flags: SYN | ECE })),
  urgent_flags: (b) => (b.handshake(), b.judge(packet({ ...ACK_SPEC, flags: ACK | URG }))),
  syn_data: (b) => b.judge(packet({ ...toA, payload: 10 })),
  split_handshake: (b) => (b.judge(packet(toA)), b.judge(packet({ ...fromA, flags: SYN, seq: 9 }), true)),
  rst_out_of_connection: (b) => b.judge(packet({ ...toA, flags: RST })),
  fin_out_of_connection: (b) => b.judge(packet({ ...toA, flags: FIN | ACK })),
  out_of_connection: (b) => b.judge(packet({ ...fromA, flags: ACK }), true),
  syn_fin: (b) => b.judge(packet({ ...toA, flags: SYN | FIN })),
  syn_rst: (b) => b.judge(packet({ ...toA, flags: SYN | RST })),
  rst_fin: (b) => b.judge(packet({ ...toA, flags: RST | FIN })),
};

test('every check but those of other stages has a packet here', (t) => {
  t.deepEqual(POSTURE_CHECKS.map(([name]) => name).filter((name) => ODD[name] === undefined), ['evasive_retransmit', 'checksum']);
});

for (const [name, normal, custom, reason] of POSTURE_CHECKS) {
  const odd = ODD[name];
  if (odd === undefined) continue;
  test(`posture: ${name}`, (t) => {
    const of = (posture: unknown): [string, string[]] => {
      const bench = new Bench({ posture });
      return [odd(bench), bench.reports];
    };
    t.is(of('strict')[0], reason);
    t.is(of('normal')[0], normal === 0 ? 'pass' : reason);
    t.is(of({})[0], custom === 0 ? 'pass' : reason, 'custom as it comes');
    t.is(of({ checks: { [name]: 'deny-silent' } })[0], `${reason} silent`);
    t.deepEqual(of({ checks: { [name]: 'log-only' } }), ['pass', [reason]]);
    t.deepEqual(of({ checks: { [name]: 'allow' } }), ['pass', []]);
    const tap = new Bench({ posture: 'strict', mode: 'tap' });
    t.is(odd(tap), 'pass');
    t.deepEqual(tap.reports, [reason]);
  });
}

test('faults that other stages found follow the posture, and are nobody\'s where no VM has one', (t) => {
  for (const check of [PostureCheck.checksum, PostureCheck.evasive_retransmit]) {
    const verdict = (posture: unknown, dst = 0): number => new Bench({ posture }).firewall.judgeFault(packet(toA), check, -1, dst);
    t.is(verdict('strict'), Verdict.DROP);
    t.is(verdict({}), Verdict.PASS);
    t.is(verdict('normal'), check === PostureCheck.checksum ? Verdict.DROP : Verdict.PASS);
    t.is(verdict('strict', -1), Verdict.NONE);
  }
});

test('what a posture lets pass out of connection still needs its rule', (t) => {
  const bench = new Bench({ posture: { checks: { rst_out_of_connection: 'allow' } }, rules: [{ action: 'allow', direction: 'in', protocol: 'tcp', destination: { port: 443 } }] });
  t.is(bench.judge(packet({ ...toA, flags: RST })), 'firewall_out_of_allowed');
  t.is(bench.judge(packet({ ...toA, dport: 443, flags: RST })), 'pass');
});

test('strict leaves an ordinary connection alone', (t) => {
  const bench = new Bench({ posture: { mode: 'strict', paws_window: 1000 } });
  t.is(bench.judge(stamped(toA, 7000)), 'pass');
  t.is(bench.judge(stamped({ ...fromA, flags: SYN | ACK, seq: 9, ack: 1001 }, 99), true), 'pass');
  t.is(bench.judge(stamped(ACK_SPEC, 7100)), 'pass');
  t.is(bench.judge(stamped({ ...ACK_SPEC, payload: 50 }, 6500)), 'pass', 'reordered, inside the window');
  t.is(bench.judge(stamped({ ...ACK_SPEC, payload: 50 }, 5900)), 'firewall_timestamp');
  t.is(bench.judge(stamped({ ...ACK_SPEC, payload: 50 }, 7100)), 'pass');
});

test('a new connection in an old record does not inherit its timestamps', (t) => {
  const bench = new Bench({ posture: 'strict' });
  bench.handshake();
  t.is(bench.judge(stamped(ACK_SPEC, 9000)), 'pass');
  bench.flows.removeAll(3);
  t.is(bench.judge(stamped(toA, 100)), 'pass');
});

const HYGIENE: readonly (readonly [string, string, FrameSpec, string])[] = [
  ['bogon', 'multicast source', { ...toA, src: '224.0.0.1' }, 'firewall_bogon'],
  ['bogon', 'loopback source', { ...toA, src: '127.0.0.1' }, 'firewall_bogon'],
  ['bogon', 'loopback destination', { ...toA, dst: '127.0.0.1' }, 'firewall_bogon'],
  ['bogon', 'class E source', { ...toA, src: '250.1.2.3' }, 'firewall_bogon'],
  ['bogon', 'IPv4-mapped source', { src: '::ffff:10.0.0.9', dst: '2001:db8::1' }, 'firewall_bogon'],
  ['bogon', 'IPv6 loopback', { src: '::1', dst: '2001:db8::1' }, 'firewall_bogon'],
  ['reserved', 'unassigned block', { src: '4000::1', dst: '2001:db8::1' }, 'firewall_bogon'],
  ['six_to_four_bogon', '6to4 around a private address', { src: '2002:0a00:0001::1', dst: '2001:db8::1' }, 'firewall_bogon'],
  ['site_local', 'site-local', { src: 'fec0::1', dst: '2001:db8::1' }, 'firewall_bogon'],
  ['null_address', 'no source address', { ...toA, src: '0.0.0.0', proto: 'udp' }, 'firewall_bogon'],
  ['null_address', 'no IPv6 source address', { src: '::', dst: '2001:db8::1', proto: 'udp' }, 'firewall_bogon'],
  ['small_fragment', 'IPv6 fragment of 64 bytes', { src: '2001:db8::2', dst: '2001:db8::1', proto: 'udp', fragment: { offset: 64, more: true } }, 'firewall_small_fragment'],
  ['zero_payload', 'nothing behind the header', { ...toA, proto: 59 }, 'firewall_zero_payload'],
  ['teredo', 'something else on port 3544', { ...toA, proto: 'udp', dport: 3544, payload: 30 }, 'firewall_teredo'],
];

for (const [name, what, spec, reason] of HYGIENE) {
  test(`hygiene: ${name}, ${what}`, (t) => {
    t.is(new Bench({ hygiene: { [name]: true } }).judge(packet(spec)), reason);
    t.is(new Bench({ hygiene: { [name]: false } }).judge(packet(spec)), 'pass');
    const off = name === 'site_local' || name === 'null_address';
    t.is(new Bench({}).judge(packet(spec)), off ? 'pass' : reason, 'by default');
  });
}

test('hygiene: honest packets pass', (t) => {
  const bench = new Bench({ hygiene: { site_local: true, null_address: true } });
  const honest: FrameSpec[] = [
    toA,
    { ...toA, src: '10.0.0.9' },
    { src: '2001:db8::2', dst: '2001:db8::1' },
    { src: 'fe80::1', dst: 'ff02::1', proto: 'udp' },
    { src: 'fd00::1', dst: '2002:c000:0204::1' },
    { src: '64:ff9b::c000:204', dst: '2001:db8::1' },
    { ...toA, dst: '255.255.255.255', proto: 'udp' },
    { src: '2001:db8::2', dst: '2001:db8::1', proto: 'udp', fragment: { offset: 64, more: false } },
  ];
  for (const spec of honest) t.is(bench.judge(packet(spec)), 'pass', JSON.stringify(spec));
});

test('hygiene: the floor of the maximum segment size is about SYNs', (t) => {
  const bench = new Bench({ hygiene: { min_mss: 128 } });
  const syn = packet(toA);
  syn.mss = 48;
  t.is(bench.judge(syn), 'firewall_small_mss');
  const fair = packet(toA);
  fair.mss = 536;
  t.is(bench.judge(fair), 'pass');
});
