/** Configuration: what is accepted, what each bad value is told, and that the schema agrees. */
import test from 'ava';
import { Ajv } from 'ajv';
import { parse as parseYaml } from 'yaml';
import { firewallSchema, parseFirewall, type FirewallProblem, type FirewallRule } from '../../../src/firewall/index.js';

const validate = new Ajv({ allErrors: true, useDefaults: true, strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true }).compile(firewallSchema);

/** Rule `r` of a configuration that only has it, with the problems found. */
function ruleOf(rule: object, section: object = {}): { rule: FirewallRule | undefined; problems: readonly FirewallProblem[] } {
  const { policy, problems } = parseFirewall({ ...section, rules: { r: { action: 'deny', direction: 'in', ...rule } } });
  return { rule: policy.rules.find((r) => r.name === 'r'), problems };
}

const FULL = `
lists:
  addresses:
    office: [10.0.0.0/8, "192.168.1.1-192.168.1.20"]
    all: ["$office", "2001:db8::/32"]
  macs: { printer: "02:00:00:00:00:09" }
  ports: { web: [80, 443, "8000-8100"] }
schedules:
  work: { hours: ["mon-fri 8-18"], utc_offset: "+02:00" }
  night: "mon-sun 22-6"
active_contexts: [remote]
rules:
  web:
    action: allow
    direction: in
    frame: ip
    protocol: tcp
    source: { address: $all, mac: { not: $printer }, port: "1024-65535" }
    destination: { port: $web }
    tcp_flags: syn/syn,ack
    schedule: work
    context: remote
  ping: { action: force-allow, priority: 2, direction: in, protocol: icmp, icmp: [echo-request, 3/4], source: "!10.9.0.0/255.255.0.0" }
policies:
  base: { mode: tap, rules: [web], stateful: { max_incoming_per_peer: 10 }, implicit: { dns: false } }
  vm1: { extends: base, mode: inline, rules: [ping, { name: quiet, action: log-only, direction: out, log: false }] }
emergency:
  - { name: stop, action: reject, source: 198.51.100.0/24, direction: in, policies: [vm1] }
recon: { block_seconds: 300, allow: [10.0.0.5] }
`;

test('a full configuration passes schema and parser', (t) => {
  const section: unknown = parseYaml(FULL);
  t.true(validate(section), JSON.stringify(validate.errors));
  const { policy, problems } = parseFirewall(section);
  t.deepEqual(problems, []);
  const web = policy.rules.find((r) => r.name === 'web')!;
  t.true(web.source.address!.set.has6(0x20010db8, 0, 0, 9));
  t.true(web.source.address!.set.has4(0xc0a80114 | 0));
  t.false(web.source.address!.set.has4(0xc0a80115 | 0));
  t.true(web.source.mac!.not);
  t.deepEqual(web.destination.port!.set.ranges(), [[80, 80], [443, 443], [8000, 8100]]);
  t.deepEqual(web.tcpFlags, { value: 2, mask: 0x12, not: false });
  t.is(web.schedule!.utcOffset, 7200);
  t.is(web.schedule!.hours.reduce((n, h) => n + h, 0), 50);
  const ping = policy.rules.find((r) => r.name === 'ping')!;
  t.is(ping.priority, 2);
  t.true(ping.source.address!.not);
  t.deepEqual(ping.icmp!.set.ranges(), [[0x304, 0x304], [0x800, 0x8ff]]);
  const vm1 = policy.policies.get('vm1')!;
  t.is(vm1.mode, 'inline');
  t.is(vm1.stateful.maxIncomingPerPeer, 10, 'inherited');
  const names = vm1.rules.filter((r) => !r.implicit).map((r) => r.name);
  t.deepEqual(names, ['stop', 'web', 'ping', 'quiet']);
  t.false(vm1.rules.some((r) => r.name === 'implicit dns'), 'implicit switches are inherited');
  t.true(vm1.rules.some((r) => r.name === 'implicit arp'));
  t.deepEqual(policy.policies.get('base')!.rules.filter((r) => !r.implicit).map((r) => r.name), ['web']);
  t.is(policy.rules.find((r) => r.name === 'quiet')!.log, false);
  t.is(policy.recon.blockSeconds, 300);
  t.true(policy.recon.allow!.has4(0x0a000005));
});

test('an empty section is valid', (t) => {
  for (const value of [undefined, {}, null]) {
    const { policy, problems } = parseFirewall(value);
    t.deepEqual(problems, []);
    t.is(policy.rules.length, 0);
    t.true(policy.recon.enabled);
  }
  t.true(validate({}));
});

/** field, bad value, end of the path, words of the message that name the value and what is accepted */
const BAD: [object, (string | number)[], RegExp][] = [
  [{ action: 'permit' }, ['action'], /"permit" is not an action; accepted: allow, deny/],
  [{ direction: 'sideways' }, ['direction'], /accepted: in, out/],
  [{ priority: 5 }, ['priority'], /accepted: 0 to 4/],
  [{ action: 'allow', priority: 1 }, ['priority'], /not possible for allow; accepted: only 0/],
  [{ action: 'log-only', priority: 0 }, ['priority'], /not possible for log-only; accepted: only 4/],
  [{ source: '10.0.0.300' }, ['source'], /"10.0.0.300" is not accepted.*192\.0\.2\.0\/24/],
  [{ source: '10.0.0.0/33' }, ['source'], /10\.0\.0\.0\/33/],
  [{ source: '10.0.0.0/255.0.255.0' }, ['source'], /255\.0\.255\.0/],
  [{ source: '10.0.0.9-10.0.0.1' }, ['source'], /10\.0\.0\.9-10\.0\.0\.1/],
  [{ source: '10.0.0.1-2001:db8::1' }, ['source'], /2001/],
  [{ source: { address: ['10.0.0.1', 'nonsense'] } }, ['source', 'address', 1], /"nonsense"/],
  [{ source: { address: [] } }, ['source', 'address'], /empty list/],
  [{ source: { address: ['!10.0.0.1'] } }, ['source', 'address', 0], /inverts a whole value/],
  [{ source: { not: 'any' } }, ['source', 'not'], /never match/],
  [{ source: { address: { nope: 1 } } }, ['source', 'address'], /one key "not"/],
  [{ source: '$missing' }, ['source'], /no list "missing".*known: none/],
  [{ source: { mac: '02:00' } }, ['source', 'mac'], /02:00:00:00:00:01/],
  [{ destination: { port: 70000 } }, ['destination', 'port'], /0 to 65535/],
  [{ destination: { port: '90-80' } }, ['destination', 'port'], /"90-80"/],
  [{ destination: { port: 80 }, protocol: 'icmp' }, ['destination', 'port'], /has no ports/],
  [{ protocol: 'tpc' }, ['protocol'], /accepted: icmp, igmp/],
  [{ protocol: 256 }, ['protocol'], /0 to 255/],
  [{ protocol: 'constructor' }, ['protocol'], /constructor/],
  [{ icmp: 'constructor', protocol: 'icmp' }, ['icmp'], /constructor/],
  [{ tcp_flags: 'constructor' }, ['tcp_flags'], /constructor/],
  [{ frame: '0x5ff' }, ['frame'], /0x0600 to 0xffff/],
  [{ frame: 'arp', protocol: 'tcp' }, ['frame'], /need IP frames/],
  [{ tcp_flags: 'syn,xyz' }, ['tcp_flags'], /accepted: fin, syn/],
  [{ tcp_flags: 'syn/ack' }, ['tcp_flags'], /behind "\/"/],
  [{ tcp_flags: 'syn', protocol: 'udp' }, ['tcp_flags'], /need protocol tcp/],
  [{ icmp: '8', protocol: 'tcp' }, ['icmp'], /need protocol icmp/],
  [{ icmp: '300' }, ['icmp'], /"300"/],
  [{ schedule: 'later' }, ['schedule'], /no schedule "later"/],
  [{ log: 'yes' }, ['log'], /true, false/],
  [{ proto: 'tcp' }, ['proto'], /unknown setting "proto"; known here: name, action/],
  [{ action: 'allow', alert: true }, ['alert'], /writes events/],
  [{ action: 'deny', log: false, packet_data: true }, ['packet_data'], /writes events/],
  [{ source: { adress: '10.0.0.1' } }, ['source', 'adress'], /unknown setting "adress"/],
];

for (const [fields, path, message] of BAD) {
  test(`refused: ${JSON.stringify(fields)}`, (t) => {
    const { rule, problems } = ruleOf(fields);
    t.is(rule, undefined, 'never half accepted');
    t.is(problems.length, 1, JSON.stringify(problems));
    t.deepEqual(problems[0]!.path, ['firewall', 'rules', 'r', ...path]);
    t.regex(problems[0]!.message, message);
    t.is(problems[0]!.severity, 'error');
  });
}

/** whole sections: config, path, message */
const BAD_SECTIONS: [object, (string | number)[], RegExp][] = [
  [{ polices: {} }, ['polices'], /unknown setting "polices"/],
  [{ policies: { p: { extends: 'q' } } }, ['policies', 'p', 'extends'], /no policy "q"/],
  [{ policies: { p: { rules: ['ghost'] } } }, ['policies', 'p', 'rules', 0], /no rule "ghost"/],
  [{ policies: { p: { mode: 'loud' } } }, ['policies', 'p', 'mode'], /inline, tap, off/],
  [{ policies: { p: { stateful: { max_incoming_per_peer: -1 } } } }, ['policies', 'p', 'stateful', 'max_incoming_per_peer'], /0 to 1000000/],
  [{ policies: { p: { posture: 'lax' } } }, ['policies', 'p', 'posture'], /normal, strict, custom/],
  [{ policies: { p: { posture: { checks: { syn_data: 'drop' } } } } }, ['policies', 'p', 'posture', 'checks', 'syn_data'], /allow, log-only, deny, deny-silent/],
  [{ policies: { p: { posture: { checks: { syn: 'deny' } } } } }, ['policies', 'p', 'posture', 'checks', 'syn'], /unknown setting/],
  [{ policies: { p: { posture: { mode: 'strict', checks: { syn_data: 'allow' } } } } }, ['policies', 'p', 'posture', 'checks'], /fixed actions/],
  [{ policies: { p: { posture: { paws_window: -1 } } } }, ['policies', 'p', 'posture', 'paws_window'], /0 to/],
  [{ policies: { p: { hygiene: { bogons: true } } } }, ['policies', 'p', 'hygiene', 'bogons'], /unknown setting/],
  [{ policies: { p: { hygiene: { min_mss: 9000 } } } }, ['policies', 'p', 'hygiene', 'min_mss'], /0 to 1460/],
  [{ policies: { p: { implicit: { dsn: true } } } }, ['policies', 'p', 'implicit', 'dsn'], /unknown setting/],
  [{ emergency: [{ action: 'deny' }] }, ['emergency', 0, 'action'], /allow, drop, reject/],
  [{ emergency: [{ action: 'drop', priority: 1 }] }, ['emergency', 0, 'priority'], /no priority/],
  [{ emergency: [{ action: 'drop', policies: ['x'] }] }, ['emergency', 0, 'policies', 0], /no policy "x"/],
  [{ schedules: { s: ['mon 25-26'] } }, ['schedules', 's', 0], /168 booleans/],
  [{ schedules: { s: { hours: 'mon', utc_offset: '2h' } } }, ['schedules', 's', 'utc_offset'], /\+02:00/],
  [{ lists: { addresses: { a: ['$b'], b: ['10.0.0.1'] } } }, ['lists', 'addresses', 'a', 0], /no list "b"/],
  [{ recon: { scan_targets: 1000 } }, ['recon', 'scan_targets'], /5 to 60/],
];

for (const [section, path, message] of BAD_SECTIONS) {
  test(`refused section: ${JSON.stringify(section)}`, (t) => {
    const { problems } = parseFirewall(section, ['fw']);
    t.deepEqual(problems.map((p) => p.path), [['fw', ...path]], JSON.stringify(problems));
    t.regex(problems[0]!.message, message);
  });
}

test('circles and doubled names', (t) => {
  const circle = parseFirewall({ policies: { a: { extends: 'b' }, b: { extends: 'c' }, c: { extends: 'a' } } });
  t.true(circle.problems.some((p) => /circle: .*a -> b -> c -> a/.test(p.message)), JSON.stringify(circle.problems));
  const twice = parseFirewall({ rules: { r: { action: 'deny', direction: 'in' } }, policies: { p: { rules: [{ name: 'r', action: 'deny', direction: 'in' }] } } });
  t.regex(twice.problems[0]!.message, /already used/);
});

test('schedules: 168 booleans, spans over midnight and over the end of the week', (t) => {
  const hours = (value: unknown): number[] => {
    const { policy, problems } = parseFirewall({ schedules: { s: value }, rules: { r: { action: 'deny', direction: 'in', schedule: 's' } } });
    t.deepEqual(problems, []);
    return [...policy.rules[0]!.schedule!.hours].flatMap((on, i) => (on === 1 ? [i] : []));
  };
  t.deepEqual(hours(Array.from({ length: 168 }, (_, i) => i === 5)), [5]);
  t.deepEqual(hours('fri 22-6'), [...[22, 23].map((h) => 5 * 24 + h), ...[0, 1, 2, 3, 4, 5].map((h) => 6 * 24 + h)]);
  t.deepEqual(hours('sat 23-1'), [0, 167]);
  t.is(hours('sat-sun').length, 48);
  t.is(hours(['mon', 'tue 0-24']).length, 48);
});

test('a warning for settings without effect', (t) => {
  const { rule, problems } = ruleOf({ action: 'allow', log: false });
  t.not(rule, undefined);
  t.is(problems[0]!.severity, 'warning');
});
