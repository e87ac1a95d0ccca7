#!/usr/bin/env node
/**
 * Compares Drawbridge's connection tracking with the Linux kernel's, packet by packet: captures and generated TCP conversations
 * go through a bridge of a network namespace, where nftables reports the state of each packet, and through ours. What differs
 * and why is in docs/conntrack-parity.md.
 *
 *   node scripts/conntrack-parity.mjs [--loose] [--list N]     print the comparison; --list: packets shown of each difference
 *   node scripts/conntrack-parity.mjs --check                  exit 1 when a share is below test/conformance/conntrack.json (CI)
 *   node scripts/conntrack-parity.mjs --raise                  write the shares there where they are higher
 *
 * Needs root, python3, nft and a kernel with br_netfilter and nfnetlink_log; without them nothing is compared, and it says why.
 * Captures: pcaps/ and, where it is there, the conformance set (DRAWBRIDGE_CONFORMANCE, by default ../shared/conformance).
 * Two passes: connections whose beginning was not seen are invalid (strict), or picked up (loose, nf_conntrack_tcp_loose).
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { numbered, packetsOf } from './conntrack/frames.mjs';
import { Ours } from './conntrack/ours.mjs';
import { disturbed, honest } from './conntrack/scenarios.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const suite = join(process.env.DRAWBRIDGE_CONFORMANCE ?? join(root, '../shared/conformance'), 'suricata');
const baselineFile = join(root, 'test/conformance/conntrack.json');
const { values: o } = parseArgs({ options: { loose: { type: 'boolean' }, check: { type: 'boolean' }, raise: { type: 'boolean' }, list: { type: 'string', default: '0' } } });
const KERNEL = ['--net', 'python3', join(root, 'scripts/conntrack/kernel.py')];
const HONEST = 2000;
const DISTURBED = 500;
/** Packets of one capture that are compared at most: no single one shall decide the figure. */
const MOST = 5000;
const WORDS = { N: 'new', E: 'established', R: 'related', I: 'invalid', U: 'untracked', M: 'malformed', '-': 'no answer' };

/** @returns why nothing can be compared, or undefined */
function unable() {
  if (process.getuid() !== 0) return 'not root';
  const r = spawnSync('unshare', KERNEL, { input: '', encoding: 'utf8' });
  if (r.error) return r.error.message;
  return r.status === 0 ? undefined : r.stderr.trim().split('\n').at(-1);
}

/** Groups of conversations: [group, name, packets]; connections are forgotten between conversations of captures. */
function* material() {
  const shipped = readdirSync(join(root, 'pcaps'), { recursive: true }).filter((f) => /\.pcap(\.gz)?$/.test(f)).map((f) => join(root, 'pcaps', f));
  for (const file of shipped.toSorted()) yield ['captures', basename(file), packetsOf(file)];
  if (existsSync(suite)) {
    for (const name of readdirSync(suite).toSorted()) {
      const file = join(suite, name, 'input.pcap');
      if (existsSync(file)) yield ['captures', name, packetsOf(file)];
    }
  }
  yield ['honest', 'honest', honest(HONEST).flat()];
  yield ['disturbed', 'disturbed', disturbed(DISTURBED).flat()];
}

/** One pass over everything. @returns rows { group, where, kernel, ours } of every packet that either side looked at */
async function compare(loose) {
  const kernel = spawn('unshare', [...KERNEL, ...(loose ? ['loose'] : [])], { stdio: ['pipe', 'pipe', 'inherit'] });
  let answers = '';
  kernel.stdout.setEncoding('utf8');
  kernel.stdout.on('data', (text) => (answers += text));
  const ended = new Promise((resolve) => kernel.on('close', resolve));
  const ours = new Ours({ loose });
  const sent = [];
  for (const [group, name, packets] of material()) {
    const records = [Buffer.alloc(4)];
    ours.forget();
    let k = 0;
    for (const packet of packets) {
      if (++k > MOST && group === 'captures') break;
      const frame = numbered(packet, sent.length);
      const head = Buffer.alloc(4);
      head.writeUInt32BE(frame.length);
      records.push(head, frame);
      ours.frame(frame, sent.length);
      sent.push({ group, where: `${name}:${k}` });
    }
    await new Promise((resolve) => kernel.stdin.write(Buffer.concat(records), resolve));
  }
  kernel.stdin.end();
  const status = await ended;
  if (status !== 0) throw new Error(`kernel.py ended with ${status}`);
  const theirs = new Map(answers.trim().split('\n').map((line) => [Number(line.slice(0, line.indexOf(' '))), line.at(-1)]));
  return sent.map((s, n) => ({ ...s, kernel: theirs.get(n) ?? '-', ours: ours.states.get(n) ?? '-' })).filter((s) => s.kernel !== '-' || s.ours !== '-');
}

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

/** @returns share of equal answers, by group and together */
function report(title, rows) {
  const shares = {};
  const groups = new Set(rows.map((r) => r.group));
  for (const group of [...groups, 'all']) {
    // A packet the kernel threw away unjudged (a header it does not like) is not a judgement to compare with.
    const judged = rows.filter((r) => (group === 'all' || r.group === group) && r.kernel !== '-');
    const same = judged.filter((r) => r.kernel === r.ours).length;
    shares[group] = same / judged.length;
    console.log(`${title.padEnd(7)} ${group.padEnd(10)} ${String(judged.length).padStart(7)} packets  ${(100 * shares[group]).toFixed(3)} % the same`);
  }
  const classes = groupBy(rows.filter((r) => r.kernel !== r.ours), (r) => `kernel ${WORDS[r.kernel]}, ours ${WORDS[r.ours]}`);
  for (const [name, list] of [...classes].toSorted((a, b) => b[1].length - a[1].length)) {
    const counts = [...groupBy(list, (r) => r.group)].map(([group, l]) => `${group} ${l.length}`).join(', ');
    console.log(`        ${name}: ${list.length} (${counts})`);
    const shown = list.slice(0, Number(o.list)).map((r) => r.where);
    if (shown.length > 0) console.log(`            ${shown.join(' ')}`);
  }
  return shares;
}

const why = unable();
if (why !== undefined) {
  console.log(`conntrack parity: skipped, this kernel or user cannot be compared with (${why})`);
  process.exit(0);
}
const baseline = JSON.parse(readFileSync(baselineFile, 'utf8'));
const found = {};
for (const pass of o.loose ? ['loose'] : ['strict', 'loose']) found[pass] = report(pass, await compare(pass === 'loose'));
// Without the conformance set only the generated conversations are the same everywhere.
const binding = existsSync(suite) ? ['captures', 'honest', 'disturbed', 'all'] : ['honest', 'disturbed'];
for (const [pass, shares] of Object.entries(found)) {
  for (const group of binding) {
    const share = Math.floor(shares[group] * 1e5) / 1e5;
    const floor = baseline[pass]?.[group] ?? 0;
    if (o.check && share < floor) {
      console.error(`conntrack parity: ${pass} ${group} is ${share}, the baseline is ${floor}`);
      process.exitCode = 1;
    }
    if (o.raise && share > floor) (baseline[pass] ??= {})[group] = share;
  }
}
if (o.raise) writeFileSync(baselineFile, `${JSON.stringify(baseline, null, 2)}\n`);
