/** The classifier against a slow evaluator that reads the same configuration its own way. */
import test from 'ava';
import * as fc from 'fast-check';
import { Classifier, decisionOf, decisionRule, Direction, parseFirewall, RuleAction } from '../../../src/firewall/index.js';
import { frame, packet, type FrameSpec } from './frames.js';
import { naiveEvaluate, type NaivePacket, type RuleText } from './naive.js';

const ADDRESSES = ['10.0.0.1', '10.0.0.9', '10.0.1.1', '10.1.0.1', '192.168.7.7', '2001:db8::1', '2001:db8::2', '2001:db8:1::1', 'fe80::1', 'fd00:1:2:3::4'];
const NETWORKS = [...ADDRESSES, '10.0.0.0/30', '10.0.0.0/24', '10.0.0.0/8', '0.0.0.0/0', '10.0.0.5-10.0.1.7', '192.168.0.0/22', '2001:db8::/32', '2001:db8::/49', 'fd00::/8', 'fe80::1-fe80::ff', '::/0'];
const PORTS = [22, 53, 80, 443, 8080, 40000];
const MACS = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'];

const inverted = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | T[] | { not: T[] }> =>
  fc.oneof({ weight: 4, arbitrary: item }, { weight: 2, arbitrary: fc.array(item, { minLength: 1, maxLength: 4 }) }, { weight: 1, arbitrary: fc.array(item, { minLength: 1, maxLength: 3 }).map((not) => ({ not })) });
const sometimes = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(item, { nil: undefined, freq: 2 });

const address = inverted(fc.constantFrom(...NETWORKS));
const port = inverted(fc.oneof(fc.constantFrom<string | number>(...PORTS), fc.constant('1-1023'), fc.constant('8000-8100')));
const mac = inverted(fc.constantFrom(...MACS));
const portEnd = fc.record({ address: sometimes(address), mac: sometimes(mac), port: sometimes(port) });
const ipEnd = fc.record({ address: sometimes(address), mac: sometimes(mac) });
const action = fc.constantFrom('allow', 'deny', 'force-allow', 'bypass').chain((a) =>
  fc.record({ action: fc.constant(a), priority: a === 'allow' ? fc.constant(0) : fc.integer({ min: 0, max: 4 }) }));
const direction = fc.constantFrom('in', 'out');
const ports = fc.record({ protocol: fc.constantFrom<unknown>('tcp', 'udp', 'tcp+udp', 'any', { not: [1] }), source: sometimes(portEnd), destination: sometimes(portEnd) });
const flags = fc.record({ protocol: fc.constant('tcp'), tcp_flags: fc.constantFrom('syn', 'syn/syn,ack', '!ack', 'none', 'fin,psh,urg'), source: sometimes(portEnd) });
const icmp = fc.record({ protocol: fc.constantFrom('icmp', 'icmpv6', 'any'), icmp: inverted(fc.constantFrom<string | number>(8, '3/4', 128, '2')), destination: sometimes(ipEnd) });
const ipOnly = fc.record({ frame: fc.constantFrom<unknown>('ip', 'ipv4', 'ipv6', 'any', '!ipv6'), protocol: sometimes(inverted(fc.constantFrom<unknown>('tcp', 'udp', 47, 'sctp'))), source: sometimes(ipEnd), destination: sometimes(ipEnd) });
const frames = fc.record({ frame: fc.constantFrom<unknown>('arp', '0x88cc', '!ip', { not: ['arp'] }, 'any'), source: sometimes(fc.record({ mac: sometimes(mac) })) });
const scheduled = fc.record({ schedule: sometimes(fc.constant('office')) });
const rule = fc
  .tuple(action, direction, fc.oneof(ports, flags, icmp, ipOnly, frames), scheduled)
  .map(([a, d, fields, s]) => JSON.parse(JSON.stringify({ ...a, direction: d, ...fields, ...s })) as RuleText);

const seconds = fc.constantFrom(4 * 86400 + 10 * 3600, 4 * 86400 + 20 * 3600, 3 * 86400 + 10 * 3600); // Mon 10:00, Mon 20:00, Sun 10:00
const macs = { smac: fc.constantFrom(...MACS), dmac: fc.constantFrom(...MACS) };
const ends = fc.constantFrom(4, 6).chain((version) => {
  const pool = ADDRESSES.filter((a) => a.includes(':') === (version === 6));
  return fc.record({ src: fc.constantFrom(...pool), dst: fc.constantFrom(...pool) });
});
const portPacket = fc.record({ proto: fc.constantFrom('tcp' as const, 'udp' as const), sport: fc.constantFrom(...PORTS), dport: fc.constantFrom(...PORTS), flags: fc.constantFrom(0, 2, 0x12, 0x10, 0x29) });
const icmpPacket = fc.record({ proto: fc.constantFrom('icmp' as const, 'icmpv6' as const), icmp: fc.constantFrom([8, 0] as const, [3, 4] as const, [3, 1] as const, [128, 0] as const, [2, 0] as const) });
const otherPacket = fc.record({ proto: fc.constantFrom(47, 89), payload: fc.constant(32) });
const fragments = fc.record({ fragment: fc.constantFrom({ offset: 0, more: true }, { offset: 64, more: true }, { offset: 128, more: false }) });
const ipPacket = fc.tuple(ends, fc.oneof(portPacket, icmpPacket, otherPacket), fc.oneof({ weight: 5, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: fragments }), fc.record({ ...macs, seconds }));
const packets = fc.oneof(
  { weight: 8, arbitrary: ipPacket.map(([e, p, f, m]): FrameSpec => ({ ...e, ...p, ...f, ...m })) },
  { weight: 1, arbitrary: fc.record({ etherType: fc.constantFrom(0x0806, 0x88cc, 0x8035), ...macs, seconds }) },
);

/** What the packet shows, from the spec that built it and not from the decoder. */
function naivePacket(spec: FrameSpec): NaivePacket {
  const proto = spec.proto === undefined ? -1 : typeof spec.proto === 'number' ? spec.proto : { tcp: 6, udp: 17, icmp: 1, icmpv6: 58 }[spec.proto];
  const later = spec.fragment !== undefined && spec.fragment.offset > 0;
  // ICMPv6 inside IPv4 (and the reverse) is no transport the decoder reads further; ICMP of fragments is not looked at.
  const readsIcmp = (proto === 1 || proto === 58) && spec.fragment === undefined;
  return {
    etherType: spec.etherType ?? (spec.src!.includes(':') ? 0x86dd : 0x0800),
    src: spec.src, dst: spec.dst, proto, smac: spec.smac!, dmac: spec.dmac!, seconds: spec.seconds!,
    ports: (proto === 6 || proto === 17) && !later ? [spec.sport!, spec.dport!] : undefined,
    flags: proto === 6 && !later ? spec.flags : undefined,
    icmp: readsIcmp && packet(spec).l4Off >= 0 ? spec.icmp : undefined,
  };
}

test('classifier equals the naive evaluator', (t) => {
  let matched = 0;
  fc.assert(
    fc.property(fc.array(rule, { minLength: 1, maxLength: 40 }), fc.array(packets, { minLength: 10, maxLength: 30 }), (rules, specs) => {
      const parsed = parseFirewall({ schedules: { office: ['mon-fri 8-18'] }, policies: { p: { rules, implicit: { path_mtu: false, neighbor_discovery: false, arp: false, dns: false, dhcp: false } } } });
      if (parsed.problems.some((p) => p.severity === 'error')) throw new Error(JSON.stringify(parsed.problems));
      const policy = parsed.policy.policies.get('p')!;
      const classifier = new Classifier(policy.rules);
      for (const spec of specs) {
        const view = packet(spec);
        for (const dir of [Direction.INCOMING, Direction.OUTGOING] as const) {
          const code = classifier.evaluate(view, dir);
          const want = naiveEvaluate(rules, naivePacket(spec), dir === Direction.INCOMING ? 'in' : 'out');
          const got = decisionRule(code) === 0 ? (decisionOf(code) === 7 ? 'out-of-allowed' : 'default') : ['', 'allow', 'deny', 'force-allow', '', 'bypass'][decisionOf(code)]!;
          if (got !== want.outcome || (want.rule >= 0 && policy.rules[want.rule]!.index !== decisionRule(code) - 1)) {
            throw new Error(`${JSON.stringify(spec)} ${dir}: got ${got} by rule ${decisionRule(code) - 1}, want ${want.outcome} by rule ${want.rule}`);
          }
          if (want.rule >= 0) matched++;
        }
      }
    }),
    { numRuns: 250 },
  );
  t.true(matched > 1000, `rules matched only ${matched} times: the generator is too thin`);
});

test('a lookup with thousands of rules finds the one that matters', (t) => {
  const rules: RuleText[] = [];
  for (let i = 0; i < 5000; i++) rules.push({ action: 'allow', direction: 'in', protocol: 'tcp', source: `10.${i >> 8}.${i & 255}.0/24`, destination: { port: 1000 + (i % 50) } });
  rules.push({ action: 'deny', direction: 'in', priority: 3, protocol: 'tcp', source: '10.3.0.0/16', destination: { port: 1000 } });
  const policy = parseFirewall({ policies: { p: { rules } } }).policy.policies.get('p')!;
  const classifier = new Classifier(policy.rules);
  const ask = (src: string, dport: number): number => decisionOf(classifier.evaluate(packet({ src, dst: '192.0.2.1', dport }), Direction.INCOMING));
  t.is(ask('10.2.5.77', 1000 + ((2 * 256 + 5) % 50)), RuleAction.ALLOW);
  t.is(ask('10.2.5.77', 999), 7);
  t.is(ask('10.3.132.1', 1000), RuleAction.DENY);
  t.true(Math.max(...classifier.shapes().map((s) => s.longestChain)) < 20);
});

test('frames the tests build are what they say', (t) => {
  t.is(frame({ src: '10.0.0.1', dst: '10.0.0.2' }).length, 60);
  const fragment = packet({ src: '2001:db8::1', dst: '2001:db8::2', proto: 'udp', fragment: { offset: 64, more: false } });
  t.true(fragment.fragment);
  t.is(fragment.fragNext, 17);
});
