/** The command line as a person meets it: exit codes, one clear line for each mistake, no stack traces. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { CHECKOUT } from '../../helpers/conformance.js';
import { drawbridge, folder } from '../../helpers/drawbridge.js';

const PCAP = join(CHECKOUT, 'pcaps/lab-log4shell.pcap');
const RULES = join(CHECKOUT, 'rules/web-attacks.rules');

const REFUSED: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  ['unknown command', ['fly'], 2, /unknown command/],
  ['unknown option', ['replay', PCAP, '--fast'], 2, /unknown option/],
  ['missing argument', ['replay'], 2, /missing required argument/],
  ['setting without value', ['replay', PCAP, '--set', 'stream.midstream'], 2, /KEY=VALUE/],
  ['unknown setting', ['replay', PCAP, '--set', 'a.b=c'], 2, /no such setting/],
  ['unknown event type', ['replay', PCAP, '--events', 'alert,nonsense'], 2, /unknown type "nonsense"/],
  ['frame zero', ['explain', PCAP, '--frame', '0'], 2, /whole number from 1/],
  ['explain of nothing', ['explain', PCAP], 2, /--frame or --flow/],
  ['frame beyond the end', ['explain', PCAP, '--frame', '99'], 1, /has 10 frames, no frame 99/],
  ['no such capture', ['replay', '/nowhere.pcap'], 1, /ENOENT.*nowhere\.pcap/],
  ['no such rules', ['replay', PCAP, '-S', '/nowhere.rules'], 1, /ENOENT.*nowhere\.rules/],
  ['no such configuration', ['run', '-c', '/nowhere.yaml'], 1, /ENOENT.*nowhere\.yaml/],
  ['no capture at all', ['replay', RULES], 1, /web-attacks\.rules/],
  ['nobody there', ['health', '--url', 'http://127.0.0.1:1/healthz'], 1, /ECONNREFUSED|bad port/],
];

for (const [what, args, code, words] of REFUSED) {
  test(`drawbridge: ${what}`, async (t) => {
    const r = await drawbridge(...args);
    t.is(r.code, code, r.stderr);
    t.regex(r.stderr, words);
    t.false(/\n\s+at /.test(r.stderr), r.stderr);
  });
}

test('drawbridge: a capture cut short is judged up to the cut, and told', async (t) => {
  const dir = folder(t, {});
  const whole = readFileSync(PCAP);
  writeFileSync(join(dir, 'cut.pcap'), whole.subarray(0, whole.length - 30));
  const r = await drawbridge('replay', join(dir, 'cut.pcap'), '-S', RULES, '--eve', join(dir, 'eve.json'));
  t.is(r.code, 0, r.stderr);
  t.regex(r.stderr, /cut\.pcap.*the 9 frames before it were judged/);
  t.regex(readFileSync(join(dir, 'eve.json'), 'utf8'), /"signature_id":9000001/);
});

test('drawbridge: replay with a configuration judges each VM by its policy, explain says why, --write keeps what passed', async (t) => {
  const dir = folder(t, {});
  const lab = join(CHECKOUT, 'examples/lab.yaml');
  const r = await drawbridge('replay', PCAP, '-c', lab, '--simulate-ips', '--eve', join(dir, 'eve.json'), '--write', join(dir, 'passed.pcap'));
  t.is(r.code, 0, r.stderr);
  const alert = readFileSync(join(dir, 'eve.json'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as { event_type: string; pcap_cnt: number; src_vm: string; dest_vm: string }).find((e) => e.event_type === 'alert');
  t.like(alert, { src_vm: 'attacker', dest_vm: 'web' });
  const told = await drawbridge('explain', PCAP, '--frame', String(alert!.pcap_cnt), '-c', lab);
  t.is(told.code, 0, told.stderr);
  t.regex(told.stdout, /signature 1:9000001 .*\(blocked\)/);
  t.regex(told.stdout, /verdict +is dropped with the rest of its flow/);
  const passed = await drawbridge('replay', join(dir, 'passed.pcap'));
  t.regex(passed.stdout, /DONE 3 frames/);
});

test('drawbridge: the lab without privileges tells its story from captures', async (t) => {
  const r = await drawbridge('lab', '--replay');
  t.is(r.code, 0, r.stdout + r.stderr);
  t.regex(r.stdout, /IPS rule 9000001/);
  t.regex(r.stdout, /port_scan detected/);
  t.regex(r.stdout, /Every attack was stopped, normal traffic was not\./);
});
