/** Every kind of mistake in a configuration file is reported where it stands. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { compileFirewall } from '../../../src/appliance/build.js';
import { parseConfig } from '../../../src/appliance/config/load.js';
import { formatProblem } from '../../../src/appliance/config/problem.js';
import { parseSize } from '../../../src/appliance/config/size.js';

const PORTS = 'ports:\n  - { name: a, type: tap, device: t0 }\n';

/** [what is wrong, file, line:column, words of the message] */
const MISTAKES: readonly (readonly [string, string, string, RegExp])[] = [
  ['syntax', 'ports: [', '1:9', /./],
  ['a key twice', `${PORTS}name: x\nname: y\n`, '4:1', /unique/],
  ['empty file', '', '1:1', /no settings/],
  ['a list instead of settings', '- a\n', '1:1', /object|settings/],
  ['missing section', 'name: x\n', '1:1', /"ports" is missing/],
  ['unknown section', `${PORTS}nmae: x\n`, '3:1', /unknown setting "nmae"; known here: .*name/],
  ['unknown setting of a port', 'ports:\n  - { name: a, type: tap, device: t0, colour: red }\n', '2:39', /unknown setting "colour"/],
  ['unknown port type', 'ports:\n  - { name: a, type: tpa, device: t0 }\n', '2:22', /tpa.*|one of/],
  ['missing setting of a type', 'ports:\n  - { name: a, type: tap }\n', '2:5', /"device" is missing/],
  ['wrong type', `${PORTS}switch: { mac_table_size: many }\n`, '3:27', /must be integer, not "many"/],
  ['out of range', `${PORTS}switch: { mac_table_size: 1 }\n`, '3:27', />= 10/],
  ['not one of the values', `${PORTS}stream:\n  overlap: ignore\n`, '4:12', /"ignore" is not one of: rewrite, drop/],
  ['wrong form', `${PORTS}metrics: { listen: nowhere }\n`, '3:20', /"nowhere" has the wrong form.*host:port/],
  ['no size', `${PORTS}stream: { memcap: 12 apples }\n`, '3:19', /"12 apples" has the wrong form/],
  ['size beyond every memory', `${PORTS}stream: { memcap: 99999999999999999 GiB }\n`, '3:19', /not a size/],
  ['port name twice', `${PORTS}  - { name: a, type: tap, device: t1 }\n`, '3:13', /already used by ports\[0\]/],
  ['no such VM', 'ports:\n  - { name: a, type: tap, device: t0, vm: b }\n', '2:43', /no VM "b"/],
  ['no such policy', 'vms: { v: { firewall: strict } }\nports:\n  - { name: a, type: tap, device: t0, vm: v }\n', '1:23', /no firewall policy "strict"/],
  ['no such rule file', `${PORTS}ips:\n  rules:\n    - none.rules\n`, '5:7', /no such file/],
  ['mirror of no port', `${PORTS}mirrors:\n  - { name: m, file: m.pcap, ports: [a, b] }\n`, '4:41', /no port "b"; known: a/],
  ['two mirrors in one file', `${PORTS}mirrors:\n  - { name: m, file: m.pcap }\n  - { name: n, file: m.pcap }\n`, '5:22', /mirrors\[0\] writes to this file/],
  ['mirror file too small', `${PORTS}mirrors: [{ name: m, file: m.pcap, max_file_size: 1 KiB }]\n`, '3:51', /at least 4096/],
  ['SpoofGuard without a MAC', 'ports:\n  - { name: a, type: tap, device: t0, security: { spoof_guard: { mode: auto } } }\n', '2:64', /needs the mac/],
  ['no address', 'ports:\n  - { name: a, type: tap, device: t0, ips: [10.0.0.300] }\n', '2:45', /"10.0.0.300" is not an IP address/],
  ['no subnet', 'ports:\n  - { name: a, type: tap, device: t0, mac: "02:00:00:00:00:01", security: { spoof_guard: { authorised: [10.0.0.0/40] } } }\n', '2:105', /prefix length/],
  ['wire to nowhere', 'ports:\n  - { name: a, type: tap, device: t0, forward_to: b }\n', '2:51', /no port "b"; known: a/],
  ['VLAN range the wrong way round', 'ports:\n  - { name: a, type: tap, device: t0, vlan: { mode: trunk, allowed: ["20-10"] } }\n', '2:5', /ends before it starts/],
  ['no filter', `${PORTS}mirrors: [{ name: m, file: m.pcap, filter: "tcp porz 1" }]\n`, '3:44', /column 5: "porz"/],
  ['mirror that stays empty', `${PORTS}mirrors: [{ name: m, file: m.pcap, dropped_only: true, direction: out }]\n`, '3:67', /would stay empty/],
];

for (const [what, text, position, words] of MISTAKES) {
  test(`configuration: ${what}`, (t) => {
    const { config, problems } = parseConfig('/nowhere/c.yaml', text);
    t.is(config, undefined);
    const errors = problems.filter((p) => p.severity === 'error').map(formatProblem);
    const there = errors.filter((line) => line.startsWith(`/nowhere/c.yaml:${position}: error: `));
    t.true(there.some((line) => words.test(line)), `expected ${words} at ${position}, got:\n${errors.join('\n')}`);
  });
}

test('configuration: mistakes of the firewall stand where its rules do', (t) => {
  const text = `vms: { v: { firewall: p } }\nports:\n  - { name: a, type: tap, device: t0, vm: v }\nfirewall:\n  policies:\n    p:\n      rules:\n        - { name: r, action: allow, direction: in, source: 10.0.0.300 }\n`;
  const { config, yaml } = parseConfig('c.yaml', text);
  const { policy, problems } = compileFirewall(config!, yaml);
  t.is(policy, null);
  t.is(problems[0]?.line, 8);
  t.regex(formatProblem(problems[0]!), /^c\.yaml:8:\d+: error: firewall\.policies\.p\.rules\[0\].*10\.0\.0\.300/);
});

test('configuration: warnings do not keep it from loading', (t) => {
  const { config, problems } = parseConfig('c.yaml', `vms: { lonely: {} }\n${PORTS}`);
  t.not(config, undefined);
  t.deepEqual(problems.map((p) => [p.severity, p.line, p.column]), [['warning', 1, 8]]);
});

test('configuration: defaults, sizes in bytes, names as code spells them', (t) => {
  const { config } = parseConfig(
    'c.yaml',
    `ports:\n  - { name: a, type: tap, device: t0, security: { forged_transmits: accept } }\nmirrors: [{ name: m, file: m.pcap, max_file_size: 1 MiB }]\nstream: { depth: 64kb }\n`,
  );
  t.like(config!, { name: 'drawbridge', stream: { depth: 65536, memcap: 256 * 2 ** 20, midstream: false }, flow: { max: 262_144, strict: true }, privileges: { drop: true } });
  t.like(config!.mirrors[0]!, { direction: 'both', dropped_only: false, sample: 1, max_file_size: 2 ** 20, max_files: 4 });
  t.like(config!.ports[0]!['security'] as object, { forgedTransmits: 'accept', macChanges: 'reject' });
});

test('configuration: a directory of rules means its .rules files, each once', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'drawbridge-config-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'r'));
  for (const name of ['b.rules', 'a.rules', 'notes.txt']) writeFileSync(join(dir, 'r', name), '');
  const { ruleFiles } = parseConfig(join(dir, 'c.yaml'), `${PORTS}ips: { rules: [r, r/b.rules] }\n`);
  t.deepEqual(ruleFiles, [join(dir, 'r/a.rules'), join(dir, 'r/b.rules')]);
  const empty = parseConfig(join(dir, 'c.yaml'), `${PORTS}ips: { rules: [.] }\n`);
  t.regex(formatProblem(empty.problems[0]!), /warning.*holds no \*\.rules file/);
});

const SIZES: readonly (readonly [string | number, number | undefined])[] = [
  [0, 0], [4096, 4096], ['65536', 65536], ['64 KiB', 65536], ['64kb', 65536], ['1mb', 2 ** 20], ['2 GiB', 2 ** 31], ['3B', 3], ['7 m', 7 * 2 ** 20],
  [-1, undefined], [1.5, undefined], ['', undefined], ['1.5 MiB', undefined], ['KiB', undefined], ['10 TiB', undefined], ['-1', undefined], ['99999999999999999', undefined],
];

for (const [text, bytes] of SIZES) {
  test(`size: ${JSON.stringify(text)}`, (t) => {
    t.is(parseSize(text), bytes);
  });
}
