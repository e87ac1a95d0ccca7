#!/usr/bin/env node
/**
 * Runs the regression tests of the OWASP Core Rule Set against the appliance inline: a client and a reflecting origin in two
 * network namespaces, joined by nothing but `drawbridge run` on two TAP ports. Compares with test/conformance/baseline.json,
 * which may only rise.
 *
 *   node scripts/crs.mjs            print the score
 *   node scripts/crs.mjs --check    exit 1 when a figure is below the baseline, or below 99.5 % (CI)
 *   node scripts/crs.mjs --raise    write the figures to the baseline where they are higher
 *   node scripts/crs.mjs --keep     leave configuration and event log behind and say where
 *   ... -- ARGS                     further arguments of the runner (--include REGEX, --failures, --per-file)
 *
 * The tests lie in $DRAWBRIDGE_CONFORMANCE/crs, by default ../shared/conformance/crs beside the checkout. Needs root and
 * python3 with PyYAML; says why when it cannot run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const suite = join(process.env.DRAWBRIDGE_CONFORMANCE ?? join(root, '../shared/conformance'), 'crs');
const baselineFile = join(root, 'test/conformance/baseline.json');
const args = process.argv.slice(2);
const split = args.indexOf('--');
const own = split < 0 ? args : args.slice(0, split);
const passOn = split < 0 ? [] : args.slice(split + 1);
/** Of the tests that must fire, and of those that must not, in percent. */
const FLOOR = 99.5;
const PYTHON = ['/usr/bin/python3', 'python3'].find((python) => spawnSync(python, ['-c', 'import yaml']).status === 0);

const { LabNetwork, namespaceRefusal } = await import('../dist/src/appliance/lab/namespaces.js');

function refusal() {
  if (!existsSync(join(suite, 'ftw'))) return `no suite at ${suite} (set DRAWBRIDGE_CONFORMANCE)`;
  if (PYTHON === undefined) return 'needs python3 with PyYAML (Debian: python3-yaml)';
  return namespaceRefusal();
}

const why = refusal();
if (why !== undefined) {
  console.log(`crs: skipped, ${why}`);
  process.exit(0);
}

const dir = mkdtempSync(join(tmpdir(), 'crs-'));
const tag = (process.pid % 46_000).toString(36);
const vms = ['client', 'origin'].map((name, i) => {
  const id = `dbw-${name[0]}-${tag}`;
  return { name, namespace: id, tap: id, mac: `02:00:0a:4f:00:0${i + 1}`, ip: `10.79.0.${i + 1}` };
});
const port = 8088;

/** The loading order that the suite prescribes; nothing of ours among the rules. */
writeFileSync(join(dir, 'crs.yaml'), `
ports:
${vms.map((v) => `  - { name: ${v.name}, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}", ips: [${v.ip}] }`).join('\n')}
vms: { client: {}, origin: {} }
ips: { enabled: false }
web:
  engine: detect
  rule_set: none
  rules: ${JSON.stringify(['setup/engine.conf', 'crs-setup.conf.example', 'setup/crs-test.conf', 'rules'].map((f) => join(suite, f)))}
  response_body_limit: 1 MiB
events: { file: eve.json, types: [web] }
metrics: { listen: "" }
`);

const network = new LabNetwork(vms);
let appliance;
let code = 1;
try {
  network.create();
  appliance = spawn(process.execPath, [join(root, 'bin/drawbridge'), 'run', '-c', join(dir, 'crs.yaml')], { stdio: ['ignore', 'pipe', 'inherit'] });
  await started(appliance);
  network.attach();
  network.start(network.vm('origin'), process.execPath, [join(suite, 'backend/albedo.mjs'), '--host', vms[1].ip, '--port', String(port), '--quiet']);
  await reachable();
  code = await score();
} finally {
  network.destroy();
  if (appliance !== undefined) {
    appliance.kill('SIGTERM');
    await new Promise((done) => (appliance.exitCode === null ? appliance.once('exit', done) : done()));
  }
  if (own.includes('--keep')) console.log(`crs: kept ${dir}`);
  else rmSync(dir, { recursive: true, force: true });
}
process.exit(code);

function started(child) {
  return new Promise((done, failed) => {
    child.stdout.on('data', (text) => String(text).includes('READY') && done());
    child.once('exit', (status) => failed(new Error(`drawbridge run ended with ${status}`)));
  });
}

async function reachable() {
  for (let i = 0; i < 50; i++) {
    const o = await network.exec(network.vm('client'), 'curl', ['-s', '-o', '/dev/null', '--max-time', '2', `http://${vms[1].ip}:${port}/`], 5000);
    if (o.code === 0) return;
    await sleep(100);
  }
  throw new Error('the origin does not answer');
}

async function score() {
  const json = join(dir, 'results.jsonl');
  const command = [join(suite, 'ftw'), 'run', '--target', `${vms[1].ip}:${port}`, '--log', join(dir, 'eve.json'), '--overrides', join(suite, 'overrides/inline.yaml'), '--json', json, '--failures', ...passOn];
  const runner = spawn('ip', ['netns', 'exec', vms[0].namespace, PYTHON, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  runner.stdout.setEncoding('utf8').on('data', (text) => {
    said += text;
    process.stdout.write(text);
  });
  await new Promise((done) => runner.once('exit', done));
  const count = (what) => new RegExp(`${what} (\\d+)/(\\d+)`).exec(said)?.slice(1).map(Number) ?? [0, 0];
  const halves = { 'must fire': count('must fire'), 'must not fire': count('must not fire') };
  const passed = Number(/^(\d+) passed/m.exec(said)?.[1] ?? 0);
  const figures = { crs_inline_pass: passed, crs_inline_fire: halves['must fire'][0], crs_inline_quiet: halves['must not fire'][0] };
  const baseline = JSON.parse(readFileSync(baselineFile, 'utf8'));
  if (own.includes('--raise')) {
    for (const [k, v] of Object.entries(figures)) baseline[k] = Math.max(baseline[k] ?? 0, v);
    writeFileSync(baselineFile, `${JSON.stringify(baseline, null, 2)}\n`);
  }
  if (!own.includes('--check')) return 0;
  let bad = false;
  for (const [k, v] of Object.entries(figures)) {
    if (v >= (baseline[k] ?? 0)) continue;
    console.error(`crs: ${k} is ${v}, the baseline is ${baseline[k]}`);
    bad = true;
  }
  for (const [k, [good, all]] of Object.entries(halves)) {
    if (all > 0 && (100 * good) / all >= FLOOR) continue;
    console.error(`crs: ${k}: ${good} of ${all} is below ${FLOOR} %`);
    bad = true;
  }
  if (!bad) console.log(`crs: ${JSON.stringify(figures)}, at or above the baseline`);
  return bad ? 1 : 0;
}
