#!/usr/bin/env node
/**
 * Runs the conformance suites and compares the scores with test/conformance/baseline.json, which may only rise: captures, rules
 * and expected alerts of real Suricata against `drawbridge replay`; vectors of ModSecurity's operators and transformations and of
 * libinjection against the parts of the web engine (web-vectors.mjs); the regression tests of the OWASP Core Rule Set against
 * the rule engine alone (crs-offline.mjs).
 *
 *   node scripts/conformance.mjs            print the score
 *   node scripts/conformance.mjs --check    exit 1 when a figure is below the baseline (CI)
 *   node scripts/conformance.mjs --raise    write the figures to the baseline where they are higher
 *   ... --vectors                           the web engine only: seconds instead of minutes
 *   ... -- ARGS                             further arguments of the scorer (--filter REGEX, --list N)
 *
 * The suite lies in $DRAWBRIDGE_CONFORMANCE, by default ../shared/conformance beside the checkout; without it nothing is run.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crsFigures } from './crs-offline.mjs';
import { webFigures } from './web-vectors.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const suite = process.env.DRAWBRIDGE_CONFORMANCE ?? join(root, '../shared/conformance');
const baselineFile = join(root, 'test/conformance/baseline.json');
const args = process.argv.slice(2);
const split = args.indexOf('--');
const own = split < 0 ? args : args.slice(0, split);
const passOn = split < 0 ? [] : args.slice(split + 1);

if (!existsSync(join(suite, 'score'))) {
  console.log(`conformance: skipped, no suite at ${suite} (set DRAWBRIDGE_CONFORMANCE)`);
  process.exit(0);
}
const print = (text) => console.log(text);
const figures = { ...(await webFigures(suite, print)), ...(await crsFigures(suite, print)) };
let bad = 0;
if (!own.includes('--vectors')) {
  const dir = mkdtempSync(join(tmpdir(), 'conformance-'));
  try {
    const json = join(dir, 'score.json');
    const command = [process.execPath, join(root, 'bin/drawbridge'), 'replay', '{pcap}', '-S', '{rules}', '--eve', '{out}', '--events', 'alert,drop', '{args}'];
    const r = spawnSync('python3', [join(suite, 'score'), '--list', '25', '--json', json, ...passOn, '--', ...command], { stdio: ['ignore', 1, 2] });
    if (r.status !== 0) throw new Error(`the scorer ended with ${r.status ?? r.signal ?? r.error}`);
    const { total } = JSON.parse(readFileSync(json, 'utf8'));
    figures.suricata_pass = total.pass;
    figures.suricata_quiet = total.quiet_pass;
    bad = total.states.crash + total.states.timeout;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
const baseline = JSON.parse(readFileSync(baselineFile, 'utf8'));
if (own.includes('--raise')) {
  const raised = { ...baseline };
  for (const [k, v] of Object.entries(figures)) raised[k] = Math.max(baseline[k] ?? 0, v);
  writeFileSync(baselineFile, `${JSON.stringify(raised, null, 2)}\n`);
}
if (own.includes('--check')) {
  const below = Object.entries(figures).filter(([k, v]) => v < (baseline[k] ?? 0));
  for (const [k, v] of below) console.error(`conformance: ${k} is ${v}, the baseline is ${baseline[k]}`);
  if (bad > 0) console.error(`conformance: ${bad} run(s) crashed or timed out`);
  if (below.length > 0 || bad > 0) process.exitCode = 1;
  else console.log(`conformance: ${JSON.stringify(figures)}, at or above the baseline`);
}
