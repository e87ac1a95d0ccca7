/** `policy reach` against what the firewall does to the real packets, and against the naive evaluator. */
import test from 'ava';
import * as fc from 'fast-check';
import { Firewall, FirewallState, parseFirewall, Reachability, type FirewallPolicy } from '../../../src/firewall/index.js';
import { ConnTrack, FlowTable } from '../../../src/flow/index.js';
import { parseIp } from '../../../src/packet/index.js';
import { CtState, Verdict } from '../../../src/pipeline/index.js';
import { packet, type FrameSpec } from './frames.js';
import { naiveEvaluate, type RuleText } from './naive.js';

const log = { logged: () => undefined, wouldDrop: () => undefined };
const PROTO = { tcp: 6, udp: 17, icmp: 1 } as const;
const noImplicit = { path_mtu: false, neighbor_discovery: false, arp: false, dns: false, dhcp: false };

interface Asked {
  readonly src: string;
  readonly dst: string;
  readonly proto: 'tcp' | 'udp' | 'icmp';
  readonly sport: number;
  readonly dport: number;
}

function compile(a: object, b: object): FirewallPolicy {
  const { policy, problems } = parseFirewall({ policies: { a, b } });
  const errors = problems.filter((p) => p.severity === 'error');
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return policy;
}

function reach(policy: FirewallPolicy, q: Asked): ReturnType<Reachability['ask']> {
  return new Reachability(policy).ask({
    source: parseIp(q.src), destination: parseIp(q.dst), proto: PROTO[q.proto], sourcePort: q.sport, destinationPort: q.dport, icmp: 0x0800, sourcePolicy: 'a', destinationPolicy: 'b', seconds: 0,
  });
}

/** Send request and answer through connection tracking and firewall. */
function onTheWire(policy: FirewallPolicy, q: Asked): boolean {
  const flows = new FlowTable({ capacity: 1024, seed: 1 });
  const track = new ConnTrack(flows);
  const firewall = new Firewall(policy, ['a', 'b'], 1, new FirewallState(flows, 1), log);
  const send = (spec: FrameSpec, from: number, to: number): boolean => {
    const view = packet(spec);
    const ct = track.lookup(view);
    const verdict = firewall.judge(view, ct, from, to);
    if (verdict >= Verdict.DROP || (ct === CtState.INVALID && verdict === Verdict.NONE)) return false;
    if (ct === CtState.NEW && view.flowId < 0 && verdict !== Verdict.BYPASS) {
      track.commit(view);
      firewall.opened(view, from, to);
    }
    return true;
  };
  const request: FrameSpec = { src: q.src, dst: q.dst, proto: q.proto, sport: q.sport, dport: q.dport, flags: 2, icmp: [8, 0] };
  const answer: FrameSpec = { src: q.dst, dst: q.src, proto: q.proto, sport: q.dport, dport: q.sport, flags: 0x12, seq: 7, ack: 1001, icmp: [0, 0] };
  return send(request, 0, 1) && send(answer, 1, 0);
}

const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.0/24', '10.0.1.0/24', '10.0.0.0/8', '!10.0.0.1');
const port = fc.constantFrom<unknown>(22, 80, 443, '1-1023', '40000-50000', { not: [80] });
const end = fc.record({ address: fc.option(address, { nil: undefined }), port: fc.option(port, { nil: undefined }) });
const rule = fc
  .tuple(
    fc.constantFrom('allow', 'allow', 'deny', 'force-allow', 'bypass').chain((action) => fc.record({ action: fc.constant(action), priority: action === 'allow' ? fc.constant(0) : fc.integer({ min: 0, max: 4 }) })),
    fc.constantFrom('in', 'out'),
    fc.oneof(
      fc.record({ protocol: fc.constantFrom('tcp', 'udp', 'tcp+udp'), source: fc.option(end, { nil: undefined }), destination: fc.option(end, { nil: undefined }) }),
      fc.record({ protocol: fc.constantFrom('icmp', 'any'), source: fc.option(address, { nil: undefined }) }),
    ),
  )
  .map(([a, direction, fields]) => JSON.parse(JSON.stringify({ ...a, direction, ...fields })) as RuleText);
const stateful = fc.constantFrom({}, {}, { tcp: false }, { udp: false }, { icmp: false });
const policy = fc.record({ rules: fc.array(rule, { maxLength: 12 }), stateful, mode: fc.constantFrom('inline', 'inline', 'tap'), posture: fc.constantFrom('normal', 'strict', {}) });
const asked = fc.record({
  src: fc.constantFrom('10.0.0.1', '10.0.1.9'), dst: fc.constantFrom('10.0.0.2', '10.0.1.7', '127.0.0.1'), proto: fc.constantFrom('tcp' as const, 'udp' as const, 'icmp' as const),
  sport: fc.constantFrom(45_000, 1000), dport: fc.constantFrom(22, 80, 443, 41_000),
});

test('says what the firewall does to the packets, and the naive evaluator of the request', (t) => {
  let yes = 0;
  let no = 0;
  fc.assert(
    fc.property(policy, policy, fc.array(asked, { minLength: 4, maxLength: 8 }), (a, b, questions) => {
      const compiled = compile({ ...a, implicit: noImplicit }, { ...b, implicit: noImplicit });
      for (const q of questions) {
        const said = reach(compiled, q);
        const context = JSON.stringify({ a, b, q, said: said.steps.map((s) => s.why) });
        if (said.reachable !== onTheWire(compiled, q)) throw new Error(`reach says ${said.reachable}: ${context}`);
        for (const [end_, direction] of [[a, 'out'], [b, 'in']] as const) {
          const s = said.steps.find((x) => x.what === 'request' && x.direction === (direction === 'out' ? 1 : 0));
          if (s === undefined || s.decision < 0) continue;
          const naive = naiveEvaluate(end_.rules, {
            etherType: 0x800, src: q.src, dst: q.dst, proto: PROTO[q.proto], smac: '', dmac: '', seconds: 0,
            ports: q.proto === 'icmp' ? undefined : [q.sport, q.dport], flags: q.proto === 'tcp' ? 2 : undefined, icmp: q.proto === 'icmp' ? [8, 0] : undefined,
          }, direction);
          const permitted = end_.mode === 'tap' || !['deny', 'out-of-allowed'].includes(naive.outcome);
          if (s.permitted !== permitted) throw new Error(`naive says ${naive.outcome}: ${context}`);
        }
        if (said.reachable) yes++;
        else no++;
      }
    }),
    { numRuns: 400, seed: 20 },
  );
  t.true(yes > 200 && no > 200, `${yes} reachable, ${no} not`);
});

test('names the rule at the end that stops it', (t) => {
  const compiled = compile({}, { rules: [{ name: 'web', action: 'allow', direction: 'in', protocol: 'tcp', destination: { port: 443 } }, { name: 'no guests', action: 'deny', direction: 'in', source: '10.9.0.0/16' }] });
  const ask = (src: string, dport: number): string[] => reach(compiled, { src, dst: '10.0.0.2', proto: 'tcp', sport: 50_000, dport }).steps.map((s) => `${s.policy} ${s.permitted} ${s.rule?.name ?? '-'}`);
  t.deepEqual(ask('10.0.0.1', 443), ['a true -', 'b true web', 'b true -', 'a true -']);
  t.deepEqual(ask('10.0.0.1', 80), ['a true -', 'b false -']);
  t.deepEqual(ask('10.9.0.1', 443), ['a true -', 'b false no guests']);
});

test('bypass without a mirror rule lets the request through and not the answer', (t) => {
  const there = { action: 'bypass', direction: 'in', protocol: 'tcp', destination: { port: 80 } };
  const back = { action: 'bypass', direction: 'out', protocol: 'tcp', source: { port: 80 } };
  const q: Asked = { src: '10.0.0.1', dst: '10.0.0.2', proto: 'tcp', sport: 50_000, dport: 80 };
  const one = new Reachability(compile({}, { rules: [there] }));
  const ask = (r: Reachability): boolean => r.ask({ source: parseIp(q.src), destination: parseIp(q.dst), proto: 6, sourcePort: 50_000, destinationPort: 80, icmp: 0, sourcePolicy: null, destinationPolicy: 'b', seconds: 0 }).reachable;
  t.false(ask(one));
  t.true(ask(new Reachability(compile({}, { rules: [there, back] }))));
});
