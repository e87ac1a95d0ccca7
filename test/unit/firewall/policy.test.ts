/** Judgement of packets: precedence, both ends, states, modes, limits, reloads. */
import test from 'ava';
import { Firewall, FIREWALL_GID, FirewallState, parseFirewall, type FirewallLog } from '../../../src/firewall/index.js';
import { ConnTrack, FlowTable } from '../../../src/flow/index.js';
import type { PacketView } from '../../../src/packet/index.js';
import { CtState, DropReason, DROP_REASONS, Verdict } from '../../../src/pipeline/index.js';
import { packet, type FrameSpec } from './frames.js';

const VM_A = 0;
const VM_B = 1;
const UPLINK = -1;
const A = '10.0.0.1';
const B = '10.0.0.2';

/** A firewall over a real flow table, with the packet loop of the data plane in small. */
class Bench {
  readonly flows = new FlowTable({ capacity: 1024, seed: 1 });
  readonly track = new ConnTrack(this.flows);
  readonly state = new FirewallState(this.flows, 1);
  readonly events: string[] = [];
  readonly log: FirewallLog = {
    logged: (_view, vm, direction, sid) => this.events.push(`logged ${vm} ${direction} ${this.firewall.rule(sid)?.name}`),
    wouldDrop: (_view, vm, direction, reason, sid) => this.events.push(`would-drop ${vm} ${direction} ${DROP_REASONS[reason]!.name} ${this.firewall.rule(sid)?.name ?? '-'}`),
  };
  firewall: Firewall;
  #generation = 1;

  constructor(section: unknown, vms: (string | null)[] = ['p', null]) {
    this.flows.onEnd = (id) => this.state.closed(id);
    this.firewall = this.#compile(section, vms);
  }

  reload(section: unknown, vms: (string | null)[] = ['p', null]): void {
    this.#generation++;
    this.firewall = this.#compile(section, vms);
  }

  #compile(section: unknown, vms: (string | null)[]): Firewall {
    const { policy, problems } = parseFirewall(section);
    if (problems.some((p) => p.severity === 'error')) throw new Error(JSON.stringify(problems));
    return new Firewall(policy, vms, this.#generation, this.state, this.log);
  }

  /** Judge as the data plane does; `flow` continues the flow of an earlier packet. */
  send(spec: FrameSpec, src = UPLINK, dst = VM_A): PacketView {
    const view = packet(spec);
    const ct = this.track.lookup(view);
    view.verdict = this.firewall.judge(view, ct, src, dst);
    if (ct === CtState.NEW && view.verdict < Verdict.DROP && view.verdict !== Verdict.BYPASS && view.flowId < 0) {
      this.track.commit(view);
      this.firewall.opened(view, src, dst);
    }
    return view;
  }
}

const noImplicit = { path_mtu: false, neighbor_discovery: false, arp: false, dns: false, dhcp: false };
const one = (rules: unknown[], more: object = {}): object => ({ policies: { p: { rules, implicit: noImplicit, ...more } } });
const toA: FrameSpec = { src: '192.0.2.7', dst: A, dport: 80 };
const reason = (v: PacketView): string => DROP_REASONS[v.reason]!.name;

test('precedence: every pair of action and priority', (t) => {
  const actions = ['bypass', 'force-allow', 'deny', 'allow'];
  const range: Record<string, number[]> = { allow: [0], deny: [0, 1, 2, 3, 4], 'force-allow': [0, 1, 2, 3, 4], bypass: [0, 1, 2, 3, 4] };
  const wanted: Record<string, number> = { bypass: Verdict.BYPASS, 'force-allow': Verdict.PASS, allow: Verdict.PASS, deny: Verdict.DROP };
  let pairs = 0;
  for (const first of actions) for (const p of range[first]!) for (const second of actions) for (const q of range[second]!) {
    const rules = [{ name: 'one', action: first, priority: p, direction: 'in' }, { name: 'two', action: second, priority: q, direction: 'in' }];
    const winner = p > q || (p === q && actions.indexOf(first) <= actions.indexOf(second)) ? first : second;
    const view = new Bench(one(rules)).send(toA);
    t.is(view.verdict, wanted[winner]!, `${first}@${p} against ${second}@${q}`);
    pairs++;
  }
  t.is(pairs, 256);
});

test('log only reports what passes and never decides', (t) => {
  const log = { name: 'log', action: 'log-only', direction: 'in' };
  const allowed = new Bench(one([log, { name: 'a', action: 'allow', direction: 'in' }]));
  t.is(allowed.send(toA).verdict, Verdict.PASS);
  t.deepEqual(allowed.events, ['logged 0 0 log']);
  const denied = new Bench(one([log, { name: 'd', action: 'deny', direction: 'in' }]));
  t.is(denied.send(toA).verdict, Verdict.DROP);
  t.deepEqual(denied.events, []);
  const bypassed = new Bench(one([log, { name: 'b', action: 'bypass', priority: 4, direction: 'in' }]));
  bypassed.send(toA);
  t.deepEqual(bypassed.events, [], 'bypass of priority 4 comes first');
  const lower = new Bench(one([log, { name: 'b', action: 'bypass', priority: 3, direction: 'in' }]));
  lower.send(toA);
  t.deepEqual(lower.events, ['logged 0 0 log']);
});

test('default of a direction: none allows all, only deny allows the rest, one allow closes', (t) => {
  t.is(new Bench(one([])).send(toA).verdict, Verdict.NONE);
  t.is(new Bench(one([{ name: 'd', action: 'deny', direction: 'in', protocol: 'udp' }])).send(toA).verdict, Verdict.NONE);
  const closed = new Bench(one([{ name: 'a', action: 'allow', direction: 'in', protocol: 'udp' }]));
  const view = closed.send(toA);
  t.is(view.verdict, Verdict.DROP);
  t.is(reason(view), 'firewall_out_of_allowed');
  t.is(view.ruleSid, 0);
  t.is(closed.send({ src: A, dst: '192.0.2.7', dport: 80 }, VM_A, UPLINK).verdict, Verdict.NONE, 'the other direction stays open');
});

test('both ends count', (t) => {
  const section = { policies: { open: { implicit: noImplicit }, web: { implicit: noImplicit, rules: [{ name: 'web', action: 'allow', direction: 'in', protocol: 'tcp', destination: { port: 80 } }] }, mute: { implicit: noImplicit, rules: [{ name: 'mute', action: 'deny', direction: 'out', source: A }] } } };
  const spec = { src: A, dst: B, dport: 80 };
  t.is(new Bench(section, ['open', 'web']).send(spec, VM_A, VM_B).verdict, Verdict.PASS);
  const refused = new Bench(section, ['mute', 'web']).send(spec, VM_A, VM_B);
  t.is(refused.verdict, Verdict.DROP);
  t.is(refused.ruleGid, FIREWALL_GID);
  t.is(new Bench(section, ['open', 'web']).send({ ...spec, dport: 81 }, VM_A, VM_B).verdict, Verdict.DROP);
  t.is(new Bench(section, [null, null]).send(spec, VM_A, VM_B).verdict, Verdict.NONE);
  const bench = new Bench(section, ['mute', 'web']);
  t.is(bench.firewall.rule(bench.send(spec, VM_A, VM_B).ruleSid)!.name, 'mute');
});

test('established connections follow their opening, replies need no rule', (t) => {
  const bench = new Bench(one([{ name: 'web', action: 'allow', direction: 'in', protocol: 'tcp', destination: { port: 80 }, tcp_flags: 'syn' }, { name: 'none', action: 'deny', direction: 'out' }]));
  t.is(bench.send({ ...toA, sport: 5000, flags: 2 }).verdict, Verdict.PASS);
  const reply = bench.send({ src: A, dst: '192.0.2.7', sport: 80, dport: 5000, flags: 0x12, ack: 1001, seq: 9 }, VM_A, UPLINK);
  t.is(reply.ctState, CtState.ESTABLISHED);
  t.is(reply.verdict, Verdict.PASS);
  t.is(bench.send({ ...toA, sport: 5000, flags: 0x10, seq: 1001, ack: 10 }).verdict, Verdict.PASS);
});

test('a new generation judges established flows again by their opening packet', (t) => {
  const allow = [{ name: 'web', action: 'allow', direction: 'in', protocol: 'tcp', destination: { port: 80 }, tcp_flags: 'syn/syn,ack' }];
  const bench = new Bench(one(allow));
  bench.send({ ...toA, sport: 5000 });
  const reply = { src: A, dst: '192.0.2.7', sport: 80, dport: 5000, flags: 0x12, ack: 1001, seq: 9 };
  t.is(bench.send(reply, VM_A, UPLINK).verdict, Verdict.PASS);
  bench.reload(one(allow));
  t.is(bench.send(reply, VM_A, UPLINK).verdict, Verdict.PASS, 'the reply is judged as the SYN it answers');
  bench.reload({ ...one(allow), emergency: [{ name: 'stop', action: 'drop', source: '192.0.2.7' }] });
  const stopped = bench.send({ ...toA, sport: 5000, flags: 0x10, seq: 1001, ack: 10 });
  t.is(stopped.verdict, Verdict.DROP);
  t.is(reason(stopped), 'firewall_deny');
  t.is(bench.send(reply, VM_A, UPLINK).verdict, Verdict.DROP);
  bench.reload(one(allow));
  t.is(bench.send({ ...toA, sport: 5000, flags: 0x10, seq: 1001, ack: 10 }).verdict, Verdict.PASS, 'the connection survived');
});

test('one-way UDP is judged once, also before it is answered', (t) => {
  const bench = new Bench(one([{ name: 'log', action: 'log-only', direction: 'in' }]));
  const spec: FrameSpec = { ...toA, proto: 'udp', sport: 7000 };
  for (let i = 0; i < 5; i++) t.not(bench.send(spec).verdict, Verdict.DROP);
  t.is(bench.events.length, 1);
});

test('emergency list: first match is final, above bypass of priority 4', (t) => {
  const section = {
    ...one([{ name: 'b', action: 'bypass', priority: 4, direction: 'in' }, { name: 'd', action: 'deny', priority: 4, direction: 'out' }]),
    emergency: [
      { name: 'let', action: 'allow', source: '192.0.2.7', protocol: 'tcp', destination: { port: 22 } },
      { name: 'stop', action: 'reject', source: '192.0.2.0/24', direction: 'in' },
      { name: 'late', action: 'allow', source: '192.0.2.0/24' },
    ],
  };
  const bench = new Bench(section);
  const stopped = bench.send(toA);
  t.is(stopped.verdict, Verdict.REJECT);
  t.is(reason(stopped), 'firewall_reject');
  t.is(bench.send({ ...toA, dport: 22 }).verdict, Verdict.PASS);
  t.is(bench.send({ ...toA, src: '198.51.100.1' }).verdict, Verdict.BYPASS);
  const open = new Bench({ ...one([]), emergency: [{ name: 'let', action: 'allow', source: '192.0.2.7' }] });
  t.is(open.send({ ...toA, src: '198.51.100.1' }).verdict, Verdict.NONE, 'an emergency allow does not close the direction');
  const scoped = new Bench({ policies: { p: {}, q: {} }, emergency: [{ action: 'drop', policies: ['q'] }] }, ['p', 'q']);
  t.is(scoped.send(toA, UPLINK, VM_A).verdict, Verdict.NONE);
  t.is(scoped.send({ ...toA, sport: 41000 }, UPLINK, VM_B).verdict, Verdict.DROP);
});

test('bypass is stateless, needs its mirror, and both ends have to agree', (t) => {
  const bypass = { name: 'b', action: 'bypass', direction: 'in', protocol: 'tcp', destination: { port: 80 } };
  const mirror = { name: 'm', action: 'bypass', direction: 'out', protocol: 'tcp', source: { port: 80 } };
  const reply = { src: A, dst: '192.0.2.7', sport: 80, dport: 5000, flags: 0x12 };
  const without = new Bench(one([bypass]));
  t.is(without.send({ ...toA, sport: 5000 }).verdict, Verdict.BYPASS);
  const refused = without.send(reply, VM_A, UPLINK);
  t.is(refused.verdict, Verdict.DROP);
  t.is(reason(refused), 'ct_invalid');
  const both = new Bench(one([bypass, mirror]));
  both.send({ ...toA, sport: 5000 });
  const passed = both.send(reply, VM_A, UPLINK);
  t.is(passed.verdict, Verdict.BYPASS);
  t.is(passed.reason, DropReason.none);
  const section = { policies: { p: { rules: [bypass] }, q: {} } };
  t.is(new Bench(section, ['p', 'q']).send({ ...toA, src: B }, VM_B, VM_A).verdict, Verdict.PASS, 'the other VM wants its traffic inspected');
});

test('implicit rules: path MTU, neighbour discovery, ARP, DNS, DHCP hold against Allow and yield to Deny 1', (t) => {
  const closed = [{ name: 'in', action: 'allow', direction: 'in', source: '203.0.113.1' }, { name: 'out', action: 'allow', direction: 'out', destination: '203.0.113.1' }];
  const cases: [string, FrameSpec, number, number][] = [
    ['path_mtu', { src: '2001:db8::9', dst: '2001:db8::1', proto: 'icmpv6', icmp: [2, 0] }, UPLINK, VM_A],
    ['neighbor_discovery', { src: 'fe80::9', dst: 'fe80::1', proto: 'icmpv6', icmp: [135, 0], payload: 16 }, UPLINK, VM_A],
    ['arp', { etherType: 0x0806 }, UPLINK, VM_A],
    ['dns', { src: A, dst: '9.9.9.9', proto: 'udp', dport: 53 }, VM_A, UPLINK],
    ['dhcp', { src: '10.0.0.254', dst: A, proto: 'udp', sport: 67, dport: 68 }, UPLINK, VM_A],
  ];
  for (const [name, spec, src, dst] of cases) {
    const judge = (implicit: object, rules: unknown[] = closed): number => {
      const { policy } = parseFirewall({ policies: { p: { rules, implicit } } });
      const state = new FirewallState(new FlowTable({ capacity: 16, seed: 1 }), 1);
      const quiet: FirewallLog = { logged: () => undefined, wouldDrop: () => undefined };
      return new Firewall(policy, ['p'], 1, state, quiet).judge(packet(spec), CtState.NEW, src, dst);
    };
    t.is(judge({}), Verdict.PASS, name);
    t.is(judge({ [name]: false }), Verdict.DROP, `${name} off`);
    t.is(judge({}, [...closed, { name: 'd', action: 'deny', priority: 1, direction: dst === VM_A ? 'in' : 'out' }]), Verdict.DROP, `${name} denied`);
    t.is(judge({}, [...closed, { name: 'd', action: 'deny', priority: 0, direction: dst === VM_A ? 'in' : 'out' }]), Verdict.PASS, `${name} against deny 0`);
  }
});

test('same source and destination address', (t) => {
  const land = { src: A, dst: A, dport: 80 };
  t.is(reason(new Bench(one([])).send(land)), 'firewall_same_address');
  t.is(new Bench(one([], { implicit: { block_same_address: false } })).send(land).verdict, Verdict.NONE);
});

test('invalid packets: dropped with the reason of connection tracking, passed in tap mode', (t) => {
  const stray = { ...toA, flags: 0x10 };
  const inline = new Bench(one([])).send(stray);
  t.is(inline.verdict, Verdict.DROP);
  t.is(reason(inline), 'ct_invalid');
  const tap = new Bench(one([], { mode: 'tap' }));
  const passed = tap.send(stray);
  t.is(passed.verdict, Verdict.PASS);
  t.is(passed.reason, DropReason.none);
  t.deepEqual(tap.events, ['would-drop 0 0 ct_invalid -']);
  t.is(new Bench(one([], { mode: 'off' })).send(stray).verdict, Verdict.NONE);
});

test('tap reports denials and lets the inline end decide', (t) => {
  const deny = [{ name: 'd', action: 'deny', direction: 'in' }, { name: 'o', action: 'deny', direction: 'out' }];
  const bench = new Bench({ policies: { p: { mode: 'tap', rules: deny }, q: {} } }, ['p', 'q']);
  t.is(bench.send({ src: B, dst: A }, VM_B, VM_A).verdict, Verdict.NONE);
  t.deepEqual(bench.events, ['would-drop 0 0 firewall_deny d']);
});

test('a flow permitted towards one VM, or flooded, is judged again towards another', (t) => {
  const section = { policies: { open: {}, closed: { rules: [{ name: 'd', action: 'deny', direction: 'in' }] } } };
  const bench = new Bench(section, ['open', 'closed']);
  const spec: FrameSpec = { ...toA, proto: 'udp', sport: 7000 };
  t.not(bench.send(spec, UPLINK, UPLINK).verdict, Verdict.DROP, 'flooded: nobody to ask');
  t.is(bench.send(spec, UPLINK, VM_B).verdict, Verdict.DROP);
  t.not(bench.send(spec, UPLINK, VM_A).verdict, Verdict.DROP);
  t.is(bench.send(spec, UPLINK, VM_B).verdict, Verdict.DROP);
});

test('stateful inspection off: replies need their own rule', (t) => {
  const rules = [{ name: 'in', action: 'allow', direction: 'in', protocol: 'udp', destination: { port: 53 } }, { name: 'out', action: 'deny', direction: 'out', protocol: 'udp' }];
  const ask: FrameSpec = { src: '192.0.2.7', dst: A, proto: 'udp', sport: 999, dport: 53 };
  const answer: FrameSpec = { src: A, dst: '192.0.2.7', proto: 'udp', sport: 53, dport: 999 };
  const stateful = new Bench(one(rules));
  stateful.send(ask);
  t.is(stateful.send(answer, VM_A, UPLINK).verdict, Verdict.PASS);
  const stateless = new Bench(one(rules, { stateful: { udp: false } }));
  stateless.send(ask);
  t.is(stateless.send(answer, VM_A, UPLINK).verdict, Verdict.DROP);
  const stray = new Bench(one([], { stateful: { tcp: false } })).send({ ...toA, flags: 0x10 });
  t.is(stray.verdict, Verdict.PASS, 'what connection tracking thinks does not matter');
});

test('packet checks hold for established packets too', (t) => {
  const fragments = new Bench(one([], { stateful: { deny_fragments: true } })).send({ ...toA, proto: 'udp', fragment: { offset: 64, more: true } });
  t.is(reason(fragments), 'defrag_denied');
  const bench = new Bench(one([], { stateful: { deny_congestion_flags: true } }));
  bench.send({ ...toA, sport: 5000 });
  bench.send({ src: A, dst: '192.0.2.7', sport: 80, dport: 5000, flags: 0x12, ack: 1001, seq: 9 }, VM_A, UPLINK);
  t.is(reason(bench.send({ ...toA, sport: 5000, flags: 0x50, seq: 1001, ack: 10 })), 'firewall_congestion_flags');
  t.is(bench.send({ ...toA, sport: 5000, flags: 0x10, seq: 1001, ack: 10 }).verdict, Verdict.PASS);
});

test('schedule: packet time decides, an allow that is off keeps the direction closed', (t) => {
  const section = { schedules: { office: ['mon-fri 8-18'], paris: { hours: ['mon-fri 8-18'], utc_offset: '+02:00' } }, policies: { p: { rules: [{ name: 'a', action: 'allow', direction: 'in', schedule: 'office' }] }, q: { rules: [{ name: 'b', action: 'allow', direction: 'in', schedule: 'paris' }] } } };
  const monday = 4 * 86400;
  const at = (policy: string, hour: number): number => new Bench(section, [policy]).send({ ...toA, seconds: monday + hour * 3600 }).verdict;
  t.deepEqual([7, 8, 17, 18].map((h) => at('p', h)), [Verdict.DROP, Verdict.PASS, Verdict.PASS, Verdict.DROP]);
  t.deepEqual([5, 6, 15, 16].map((h) => at('q', h)), [Verdict.DROP, Verdict.PASS, Verdict.PASS, Verdict.DROP]);
});

test('context: off outside it', (t) => {
  const section = (active: string[]): object => ({ active_contexts: active, ...one([{ name: 'd', action: 'deny', direction: 'in', context: 'remote' }]) });
  t.is(new Bench(section([])).send(toA).verdict, Verdict.NONE);
  t.is(new Bench(section(['remote'])).send(toA).verdict, Verdict.DROP);
});

test('limits: connections and half-open ones per peer, given back at the end of the flow', (t) => {
  const bench = new Bench(one([], { stateful: { max_incoming_per_peer: 3, max_half_open_per_peer: 2 } }));
  const syn = (sport: number, src = '192.0.2.7'): PacketView => bench.send({ ...toA, src, sport });
  const first = syn(1);
  syn(2);
  t.is(reason(syn(3)), 'ct_limit', 'two are half-open');
  t.is(syn(1).verdict, Verdict.NONE, 'a retransmitted SYN is not a new connection');
  t.is(syn(3, '192.0.2.8').verdict, Verdict.NONE, 'another peer has its own count');
  const shake = (sport: number): void => {
    bench.send({ src: A, dst: '192.0.2.7', sport: 80, dport: sport, flags: 0x12, ack: 1001, seq: 9 }, VM_A, UPLINK);
    t.is(bench.send({ ...toA, sport, flags: 0x10, seq: 1001, ack: 10 }).verdict, Verdict.NONE);
  };
  shake(1);
  shake(2);
  t.is(syn(3).verdict, Verdict.NONE);
  t.is(reason(syn(4)), 'ct_limit', 'three connections');
  bench.flows.remove(first.flowId, 0 as never);
  t.is(syn(4).verdict, Verdict.NONE);
  bench.flows.forEach((id) => bench.flows.remove(id, 0 as never));
  t.is(bench.state.limits!.size, 0, 'nothing is left behind');
  const out = new Bench(one([], { stateful: { max_outgoing_per_peer: 1 } }));
  out.send({ src: A, dst: B, sport: 1 }, VM_A, UPLINK);
  t.is(reason(out.send({ src: A, dst: B, sport: 2 }, VM_A, UPLINK)), 'ct_limit');
});

test('unknown policy and bad generation are refused', (t) => {
  t.throws(() => new Bench({}, ['nope']), { instanceOf: RangeError, message: /"nope"/ });
  const { policy } = parseFirewall({});
  const state = new FirewallState(new FlowTable({ capacity: 16, seed: 1 }), 1);
  t.throws(() => new Firewall(policy, [], 0, state, { logged: () => undefined, wouldDrop: () => undefined }), { instanceOf: RangeError });
});
