#!/usr/bin/env node
/**
 * Compares our alerts on a capture with those of real Suricata, alert by alert: signature, addresses and ports, with the number
 * of times each occurred. For captures and rule sets larger than the conformance suite's tests. Needs a build.
 *
 *   node scripts/agreement.mjs --rules FILE --eve SURICATA_EVE [--min PERCENT] [--pcap-cnt] PCAP
 *       SURICATA_EVE: what `suricata -k none -S FILE -r PCAP` wrote
 *   node scripts/agreement.mjs --rules FILE --suricata COMMAND [--min PERCENT] PCAP
 *       COMMAND: runs Suricata; {rules}, {pcap} and {dir} (where eve.json has to be) are filled in
 *
 * Prints recall, precision and the signatures that differ. Exit code 1 when recall or precision is below --min (97).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rules: { type: 'string' }, eve: { type: 'string' }, suricata: { type: 'string' }, min: { type: 'string', default: '97' }, 'pcap-cnt': { type: 'boolean', default: false } },
});
const [pcap] = positionals;
if (pcap === undefined || values.rules === undefined || (values.eve === undefined) === (values.suricata === undefined)) {
  console.error('usage: agreement.mjs --rules FILE (--eve SURICATA_EVE | --suricata COMMAND) [--min PERCENT] [--pcap-cnt] PCAP');
  process.exit(2);
}

/** Alerts of an EVE file: how often each occurred. */
function alerts(file) {
  const counts = new Map();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (!line.includes('"event_type":"alert"')) continue;
    const e = JSON.parse(line);
    const packet = values['pcap-cnt'] ? [e.pcap_cnt ?? ''] : [];
    const key = [e.alert.gid, e.alert.signature_id, e.proto, e.src_ip, e.src_port ?? 0, e.dest_ip, e.dest_port ?? 0, ...packet].join(' ');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function run(command, args) {
  const done = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'], maxBuffer: 1 << 26 });
  if (done.status !== 0) throw new Error(`${command} ended with ${done.status ?? done.signal}`);
}

/** Of `a` what `b` has not, by signature. */
function difference(a, b) {
  const bySid = new Map();
  for (const [key, n] of a) {
    const more = n - Math.min(n, b.get(key) ?? 0);
    if (more > 0) bySid.set(key.split(' ')[1], (bySid.get(key.split(' ')[1]) ?? 0) + more);
  }
  return [...bySid].sort((x, y) => y[1] - x[1]);
}

const dir = mkdtempSync(join(tmpdir(), 'agreement-'));
try {
  let theirs = values.eve;
  if (values.suricata !== undefined) {
    run('sh', ['-c', values.suricata.replaceAll('{rules}', values.rules).replaceAll('{pcap}', pcap).replaceAll('{dir}', dir)]);
    theirs = join(dir, 'eve.json');
  }
  const ours = join(dir, 'ours.json');
  run(process.execPath, [join(root, 'bin/drawbridge'), 'replay', pcap, '-S', values.rules, '--events', 'alert', '--eve', ours]);
  const a = alerts(theirs);
  const b = alerts(ours);
  const sum = (counts) => [...counts.values()].reduce((n, k) => n + k, 0);
  const both = [...a].reduce((n, [key, k]) => n + Math.min(k, b.get(key) ?? 0), 0);
  const recall = (100 * both) / Math.max(1, sum(a));
  const precision = (100 * both) / Math.max(1, sum(b));
  console.log(`Suricata ${sum(a)} alerts, ours ${sum(b)}, the same ${both}: recall ${recall.toFixed(2)} %, precision ${precision.toFixed(2)} %`);
  for (const [name, list] of [['missing', difference(a, b)], ['extra', difference(b, a)]]) {
    for (const [sid, n] of list.slice(0, 40)) console.log(`${name.padEnd(8)} ${String(n).padStart(6)} x sid ${sid}`);
  }
  process.exitCode = Math.min(recall, precision) < Number(values.min) ? 1 : 0;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
