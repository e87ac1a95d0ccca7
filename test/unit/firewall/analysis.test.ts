/** Findings about rules, and brute force: what is called dead never decides. */
import test from 'ava';
import * as fc from 'fast-check';
import { analyse, Classifier, decisionRule, parseFirewall, type Finding } from '../../../src/firewall/index.js';
import { packet, type FrameSpec } from './frames.js';

const quiet = { path_mtu: false, neighbor_discovery: false, arp: false, dns: false, dhcp: false };
function findings(rules: Record<string, object>, section: object = {}): Finding[] {
  const { policy, problems } = parseFirewall({ rules, policies: { p: { rules: Object.keys(rules), implicit: quiet } }, ...section });
  if (problems.some((p) => p.severity === 'error')) throw new Error(JSON.stringify(problems));
  return analyse(policy);
}
const short = (list: Finding[]): string[] => list.map((f) => `${f.kind} ${f.rule}${f.by === '' ? '' : ` by ${f.by}`}`);

const allow = { action: 'allow', direction: 'in' };
const deny = { action: 'deny', direction: 'in' };

test('an allow under a deny that covers it', (t) => {
  const found = findings({ web: { ...allow, protocol: 'tcp', destination: { port: 80 } }, lock: { ...deny, protocol: 'tcp+udp', destination: { port: '1-1023' } } });
  t.deepEqual(short(found), ['allow-denied web by lock']);
  t.regex(found[0]!.message, /rule "web" \(allow\) of policy "p": it permits nothing: rule "lock" \(deny, priority 0\)/);
  t.deepEqual(found[0]!.path, ['firewall', 'rules', 'web']);
  t.deepEqual(findings({ web: { ...allow, protocol: 'tcp', destination: { port: 80 } }, lock: { ...deny, protocol: 'tcp', destination: { port: '81-1023' } } }), []);
});

test('a deny that force-allow or bypass defeats, wholly or in part', (t) => {
  t.deepEqual(short(findings({ d: { ...deny, source: '10.1.0.0/16' }, f: { action: 'force-allow', direction: 'in', source: '10.0.0.0/8' } })), ['deny-defeated d by f']);
  t.deepEqual(short(findings({ d: { ...deny, source: '10.0.0.0/8' }, f: { action: 'force-allow', direction: 'in', source: '10.1.0.0/16' } })), ['deny-weakened d by f']);
  t.deepEqual(short(findings({ d: { ...deny, priority: 1, source: '10.0.0.0/8' }, f: { action: 'force-allow', direction: 'in', source: '10.1.0.0/16' } })), ['shadowed f by d'], 'the deny of higher priority wins');
});

test('bypass without its mirror', (t) => {
  const bypass = { action: 'bypass', direction: 'in', protocol: 'tcp', destination: { port: 3260 } };
  t.deepEqual(short(findings({ b: bypass })), ['bypass-without-mirror b']);
  t.deepEqual(findings({ b: bypass, m: { action: 'bypass', direction: 'out', protocol: 'tcp', source: { port: 3260 } } }), []);
  t.deepEqual(short(findings({ b: bypass, m: { action: 'bypass', direction: 'out', protocol: 'tcp', source: { port: 3260 }, destination: '10.0.0.0/8' } })), ['bypass-without-mirror b']);
});

test('conditions that contradict one another, inactive and unused rules', (t) => {
  t.deepEqual(short(findings({ x: { ...deny, source: '10.0.0.1', destination: '2001:db8::1' } })), ['never-matches x']);
  t.deepEqual(short(findings({ x: { ...deny, frame: 'ipv6', source: '10.0.0.1' } })), ['never-matches x']);
  t.deepEqual(short(findings({ x: { ...deny, source: { not: ['0.0.0.0/0', '::/0'] } } })), ['never-matches x']);
  t.deepEqual(short(findings({ x: { ...deny, schedule: 's' } }, { schedules: { s: Array.from({ length: 168 }, () => false) } })), ['never-matches x']);
  t.deepEqual(short(findings({ x: { ...deny, context: 'remote' } })), ['inactive x']);
  t.deepEqual(short(findings({ x: deny }, { policies: {} })), ['unused-rule x']);
});

test('schedules and emergency rules', (t) => {
  const schedules = { work: ['mon-fri 8-18'], monday: ['mon 9-10'] };
  t.deepEqual(short(findings({ d: { ...deny, schedule: 'work' }, a: { ...allow, schedule: 'monday' } }, { schedules })), ['allow-denied a by d']);
  t.deepEqual(findings({ d: { ...deny, schedule: 'work' }, a: allow }, { schedules }), []);
  t.deepEqual(short(findings({ a: { ...allow, source: '10.0.0.0/8' } }, { emergency: [{ name: 'e', action: 'drop' }] })), ['allow-denied a by e']);
  t.deepEqual(findings({ a: { ...allow, source: '10.0.0.0/8' }, l: { action: 'log-only', direction: 'in' } }), [], 'log only hides nothing');
});

test('rules of a policy it extends are compared too', (t) => {
  const { policy } = parseFirewall({ policies: { base: { implicit: quiet, rules: [{ name: 'd', ...deny }] }, vm: { extends: 'base', rules: [{ name: 'a', ...allow }] } } });
  t.deepEqual(analyse(policy).map((f) => [f.policy, f.kind, f.rule]), [['vm', 'allow-denied', 'a']]);
});

// ---- brute force ---------------------------------------------------------------------------------------------------

const ADDRESS = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '2001:db8::1'];
const end = fc.record({
  address: fc.option(fc.constantFrom<unknown>('10.0.0.0/24', '10.0.0.0/16', '10.0.0.1', { not: '10.0.0.1' }, '2001:db8::/32', ['10.0.0.1', '2001:db8::1']), { nil: undefined }),
  port: fc.option(fc.constantFrom<unknown>(80, '80-81', { not: 80 }, [80, 81, 82]), { nil: undefined }),
});
const rule = fc.record({
  action: fc.constantFrom('allow', 'deny', 'force-allow', 'bypass'), direction: fc.constant('in'), source: fc.option(end, { nil: undefined }), destination: fc.option(end, { nil: undefined }),
  protocol: fc.constantFrom<unknown>('any', 'tcp', 'tcp+udp', { not: 'udp' }), frame: fc.constantFrom<unknown>('any', 'ip', 'ipv4', '!ipv6'), tcp_flags: fc.option(fc.constantFrom('syn', 'syn/syn,ack', '!ack'), { nil: undefined }),
});

/** Every combination of the values that the rules above tell apart. */
const ALL_PACKETS: FrameSpec[] = ADDRESS.flatMap((src) => ADDRESS.filter((dst) => dst.includes(':') === src.includes(':')).flatMap((dst) =>
  [80, 81, 82, 83].flatMap((sport) => [80, 81, 82, 83].flatMap((dport) => [
    ...[0, 2, 0x12, 0x10].map((flags): FrameSpec => ({ src, dst, sport, dport, proto: 'tcp', flags })),
    { src, dst, sport, dport, proto: 'udp' } satisfies FrameSpec,
  ]))));

test('brute force: dead rules never decide', (t) => {
  const views = [...ALL_PACKETS.map((spec) => packet(spec)), packet({ etherType: 0x0806 }), packet({ src: '10.0.0.1', dst: '10.0.0.2', proto: 47 })];
  let dead = 0;
  let alive = 0;
  let missed = 0;
  fc.assert(fc.property(fc.array(rule, { minLength: 2, maxLength: 5 }), (list) => {
    const rules = Object.fromEntries(list.map((r, i) => [`r${i}`, JSON.parse(JSON.stringify(r)) as object]));
    const parsed = parseFirewall({ rules, policies: { p: { rules: Object.keys(rules), implicit: quiet } } });
    if (parsed.problems.some((p) => p.severity === 'error')) return;
    const classifier = new Classifier(parsed.policy.policies.get('p')!.rules);
    const deciders = new Set(views.map((v) => decisionRule(classifier.evaluate(v, 0))));
    const called = new Set(analyse(parsed.policy).filter((f) => ['shadowed', 'allow-denied', 'deny-defeated', 'never-matches'].includes(f.kind)).map((f) => f.rule));
    for (const r of parsed.policy.rules) {
      const decides = deciders.has(r.index + 1);
      if (called.has(r.name) && decides) throw new Error(`${r.name} is called dead but decides: ${JSON.stringify(rules)}`);
      if (called.has(r.name)) dead++;
      else if (decides) alive++;
      else missed++;
    }
  }), { numRuns: 120 });
  t.true(dead > 50 && alive > 50, `${dead} dead, ${alive} alive`);
  t.true(missed < dead, `${missed} dead rules were not found (covered only by several together)`);
});
