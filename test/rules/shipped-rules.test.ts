/**
 * The shipped rules against their captures (rules/README.md): every attack raises its own signature and nothing else, and
 * what the rule says is done to it; every near-miss passes whole and raises nothing.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { metadataOf, parseRules, referencesOf, type Rule } from 'snort-rule-parser';
import { parse } from 'yaml';
import { replaySession, resolveReplay } from '../../src/appliance/replay-session.js';
import { formatRefusal } from '../../src/ips/index.js';
import { DROP_REASONS, DropReason, P_DROPS } from '../../src/pipeline/index.js';

const root = join(import.meta.dirname, '../../..');
const inRules = (name: string): string => join(root, 'rules', name);
const inPcaps = (name: string): string => join(root, 'pcaps', name);

const ruleFiles = readdirSync(inRules('')).filter((name) => name.endsWith('.rules')).sort();

/** Signature range of each file, as rules/README.md has it. */
const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  'web-attacks.rules': [9_000_001, 9_000_199],
  'product-exploits.rules': [9_000_200, 9_000_399],
  'network-services.rules': [9_000_400, 9_000_599],
  'malware.rules': [9_000_600, 9_000_799],
  'scanners.rules': [9_000_800, 9_000_899],
};

interface CaseEntry {
  readonly sid: number;
}

const rules = new Map<number, Rule>();
for (const file of ruleFiles) {
  const parsed = parseRules(readFileSync(inRules(file)), { file });
  for (const rule of parsed.rules) rules.set(rule.sid!, rule);
}
const sidsWithCase = readdirSync(inRules('cases'))
  .filter((name) => name.endsWith('.yaml'))
  .flatMap((name) => (parse(readFileSync(inRules(`cases/${name}`), 'utf8')) as CaseEntry[]).map((entry) => entry.sid));

/** A rule that only sets a flowbit for another one. */
function isSilent(rule: Rule): boolean {
  return rule.options.some((option) => option.name === 'noalert' || (option.name === 'flowbits' && option.value === 'noalert'));
}

const setup = resolveReplay({ rules: ruleFiles.map(inRules), simulateIps: true, set: [] });

interface Outcome {
  /** Signature -> what was done, as EVE says it. */
  readonly alerts: ReadonlyMap<number, string>;
  readonly frames: number;
  /** Frames dropped by a rule, and for any reason but that a lone capture port has nowhere to send to. */
  readonly byRule: number;
  readonly dropped: number;
}

interface AlertEvent {
  readonly alert: { readonly signature_id: number; readonly action: string };
}

function replay(name: string): Outcome {
  const alerts = new Map<number, string>();
  const write = (line: string): void => {
    const { alert } = JSON.parse(line) as AlertEvent;
    alerts.set(alert.signature_id, alert.action);
  };
  const nothing = (): void => undefined;
  const session = replaySession(setup, { pcap: inPcaps(name), types: new Set(['alert']), sink: { write, flush: nothing, close: nothing } });
  session.drain();
  session.close();
  const drops = (reason: number): number => session.counters.port(0, P_DROPS + reason);
  const dropped = DROP_REASONS.reduce((sum, { stage }, reason) => (stage === 'switch' ? sum : sum + drops(reason)), 0);
  return { alerts, frames: session.framesRead, byRule: drops(DropReason.ips_rule), dropped };
}

test('all rules load, with the classes of rules/classification.config', (t) => {
  t.false(setup.failed);
  t.deepEqual(setup.rules.refusals.map(formatRefusal), []);
  t.is(setup.rules.rules.length, rules.size);
  t.true(rules.size >= 60);
});

test('every rule says what it is, and its class has a text', (t) => {
  const classes = new Set(Array.from(readFileSync(inRules('classification.config'), 'utf8').matchAll(/^config classification: ([\w-]+),/gm), (m) => m[1]));
  for (const file of ruleFiles) {
    const [first, last] = RANGES[file]!;
    const parsed = parseRules(readFileSync(inRules(file)), { file });
    t.deepEqual(parsed.errors, []);
    for (const rule of parsed.rules) {
      const option = (name: string): string | null => rule.options.find((o) => o.name === name)?.value ?? null;
      t.true(rule.sid! >= first && rule.sid! <= last, `${file}: sid ${rule.sid}`);
      t.truthy(rule.msg, `sid ${rule.sid}: msg`);
      t.true(Number(option('rev')) >= 1, `sid ${rule.sid}: rev`);
      t.true(classes.has(option('classtype') ?? ''), `sid ${rule.sid}: classtype ${option('classtype')}`);
      t.true(referencesOf(rule).length > 0, `sid ${rule.sid}: reference`);
      const keys = metadataOf(rule).map(({ key }) => key);
      t.deepEqual(keys, ['affected_product', 'created_at'], `sid ${rule.sid}: metadata`);
    }
  }
});

test('every rule has a case and every case a rule', (t) => {
  t.deepEqual([...sidsWithCase].sort(), [...rules.keys()].sort());
});

for (const rule of [...rules.values()].sort((a, b) => a.sid! - b.sid!)) {
  const blocks = rule.action !== 'alert';
  test(`${rule.sid} ${rule.msg}: attack`, (t) => {
    const { alerts, byRule, dropped } = replay(`${rule.sid}-attack.pcap`);
    t.deepEqual([...alerts], isSilent(rule) ? [] : [[rule.sid!, blocks ? 'blocked' : 'allowed']]);
    if (blocks) t.true(byRule > 0);
    else t.is(dropped, 0);
  });
  test(`${rule.sid} ${rule.msg}: near-miss`, (t) => {
    const { alerts, frames, dropped } = replay(`${rule.sid}-near-miss.pcap`);
    t.deepEqual([...alerts], []);
    t.true(frames > 0);
    t.is(dropped, 0);
  });
}

test('an ordinary visit passes all rules', (t) => {
  const { alerts, frames, dropped } = replay('lab-browse.pcap');
  t.deepEqual([...alerts], []);
  t.true(frames > 0);
  t.is(dropped, 0);
});

for (const [name, sid] of [['lab-log4shell', 9_000_001], ['lab-shellshock', 9_000_010], ['lab-sqli', 9_000_020]] as const) {
  test(`${name} is blocked by ${sid}`, (t) => {
    t.deepEqual([...replay(`${name}.pcap`).alerts], [[sid, 'blocked']]);
  });
}
