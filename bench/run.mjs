#!/usr/bin/env node
/**
 * Runs the short benchmarks one after the other and writes docs/benchmarks.md.
 *
 *   node bench/run.mjs [--date YYYY-MM-DD] [--out FILE] [--only NAME,...]
 *                      [--peers DIR [--runs N] [--secs N] [--pcaps mix,http,small] [--rules none,et-1000,et-open] [--many-rules FILE]]
 *
 * --peers: a directory with `suricata-pcap` and `inline-baselines`, which measure other engines and ours in one run on this
 * machine (root, minutes). Absolute figures of a shared machine say little; the ratios of one run do.
 * --many-rules: what Suricata calls et-open, for the inline run of both engines with it.
 * --only: decode, flow, switch, firewall, http1, replay, gc, driver (root, clamav-daemon), start, offline, inline, floods (root; only when
 * named). Sections left out are not in the file.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { values: o } = parseArgs({
  options: {
    date: { type: 'string' }, out: { type: 'string', default: path.join(root, 'docs/benchmarks.md') }, only: { type: 'string' }, peers: { type: 'string' },
    runs: { type: 'string', default: '3' }, secs: { type: 'string', default: '5' }, pcaps: { type: 'string', default: 'mix,http,small' }, rules: { type: 'string', default: 'none,et-1000,et-open' },
    'many-rules': { type: 'string' },
  },
});
const only = o.only?.split(',');
const wanted = (name) => only === undefined || only.includes(name);
const folder = mkdtempSync(path.join(os.tmpdir(), 'drawbridge-bench-'));
const shipped = ['malware', 'network-services', 'product-exploits', 'scanners', 'web-attacks'].map((name) => `rules/${name}.rules`);

/** @returns stdout; the benchmark is left out of the file when it fails, and the exit code says so */
function run(command, args) {
  process.stderr.write(`${command} ${args.join(' ')}\n`);
  const child = spawnSync(command === 'node' ? process.execPath : command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.status === 0) return child.stdout;
  process.stderr.write(`bench: failed (${child.error?.message ?? child.signal ?? child.status})\n`);
  process.exitCode = 1;
  return undefined;
}

/** A benchmark that prints lines: they are the figures. */
function lines(title, name, args) {
  if (!wanted(name)) return '';
  const out = run('node', args);
  return out === undefined ? '' : section(title, `node ${args.join(' ')}`, `\`\`\`text\n${out.trimEnd()}\n\`\`\``);
}

function section(title, command, body) {
  return `## ${title}\n\n    ${command}\n\n${body}\n`;
}

function table(head, rows) {
  return [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : sorted[Math.floor(sorted.length / 2)];
}

const fixed = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : '-');

function startTime() {
  if (!wanted('start')) return '';
  const command = ['bin/drawbridge', 'replay', 'pcaps/decode/ipv6-fragments.pcap', '-S', 'rules/web-attacks.rules'];
  const times = [];
  for (let i = 0; i < 7; i++) {
    const started = performance.now();
    if (run('node', command) === undefined) return '';
    times.push(performance.now() - started);
  }
  return section('Start: the whole command on a capture of a few frames', `node ${command.join(' ')}`, `Median of ${times.length}: ${fixed(median(times))} ms.`);
}

function offline() {
  if (o.peers === undefined || !wanted('offline')) return '';
  const json = path.join(folder, 'offline.json');
  const us = 'drawbridge=node bin/drawbridge replay {pcap} -S {rules}';
  const options = ['--modes', 'single', '--pcaps', o.pcaps, '--rules', o.rules, '--runs', o.runs];
  if (run(path.join(o.peers, 'suricata-pcap'), [...options, '--json', json, '--dut', us.replace('bin/', `${root}/bin/`)]) === undefined) return '';
  const cells = JSON.parse(readFileSync(json, 'utf8'));
  const cell = (mode, pcap, rules) => cells.find((c) => c.mode === mode && c.pcap === pcap && c.rules === rules)?.runs ?? [];
  const rows = [];
  for (const pcap of o.pcaps.split(',')) {
    for (const rules of o.rules.split(',')) {
      const [ours, theirs] = [cell('drawbridge', pcap, rules), cell('single', pcap, rules)];
      const of = (runs, key) => median(runs.map((r) => r[key]));
      const ratio = of(ours, 'pps') / of(theirs, 'pps');
      rows.push([`${pcap} / ${rules}`, fixed(of(ours, 'pps') / 1000), fixed(of(theirs, 'pps') / 1000), fixed(ratio, 2), `${fixed(of(ours, 'load'), 1)} / ${fixed(of(theirs, 'load'), 1)}`, `${fixed(of(ours, 'rss'))} / ${fixed(of(theirs, 'rss'))}`]);
    }
  }
  const head = ['capture / rules', 'Drawbridge kpps', 'Suricata kpps', 'ratio', 'load s, ours / theirs', 'peak MiB, ours / theirs'];
  return section('Captures, beside Suricata 7 (one packet thread)', `PEERS/suricata-pcap ${options.join(' ')} --dut '${us}'`, `Medians of ${o.runs}; loading is not part of the rate.\n\n${table(head, rows)}`);
}

/** bench/inline.yaml with other rules. */
function inlineWith(rules) {
  const file = path.join(folder, 'inline-many.yaml');
  writeFileSync(file, readFileSync(path.join(root, 'bench/inline.yaml'), 'utf8').replace('rules: [../rules]', `rules: [${JSON.stringify(path.resolve(rules))}]`));
  return file;
}

function inline() {
  if (o.peers === undefined || !wanted('inline')) return '';
  const json = path.join(folder, 'inline.json');
  const us = 'drawbridge=tap:node bin/drawbridge run -c bench/inline.yaml';
  const many = o['many-rules'];
  const devices = ['tapfwd vnet', 'suricata none', 'drawbridge', ...(many === undefined ? [] : ['suricata et-open', 'drawbridge et-open'])];
  const options = ['--only', devices.join(','), '--tests', 'tcp1,udp,ping,cps,http', '--runs', o.runs, '--secs', o.secs];
  const here = (command) => command.replaceAll(/(bin|bench)\//g, `${root}/$1/`);
  const duts = [us, ...(many === undefined ? [] : [`drawbridge et-open=tap:node bin/drawbridge run -c ${inlineWith(many)}`])].flatMap((dut) => ['--dut', here(dut)]);
  if (run(path.join(o.peers, 'inline-baselines'), [...options, '--json', json, ...duts]) === undefined) return '';
  const figures = JSON.parse(readFileSync(json, 'utf8'));
  const columns = [['TCP x1 Gbit/s', 'tcp1', 2], ['UDP 64 B kpps, < 1 % loss', 'udp', 0], ['RTT p50 us', 'p50', 0], ['conn/s', 'cps', 0], ['HTTP req/s', 'http', 0], ['CPU cores, TCP x1', 'cores_tcp1', 2], ['peak MiB', 'rss', 0]];
  const rows = Object.keys(figures).map((name) => [name, ...columns.map(([, key, digits]) => fixed(median(figures[name][key] ?? []), digits))]);
  const ratio = (name, base) => [`${name} / ${base}`, ...columns.map(([, key]) => fixed(median(figures[name]?.[key] ?? []) / median(figures[base]?.[key] ?? []), 2))];
  const ratios = [ratio('drawbridge', 'tapfwd vnet'), ratio('drawbridge', 'suricata none'), ...(many === undefined ? [] : [ratio('drawbridge et-open', 'suricata et-open')])];
  const body = `Two network namespaces, everything on this machine's cores: the device under test, the client and the server. \`tapfwd vnet\` is a C program that copies frames between two TAPs with offloads: the floor of the port type. Medians of ${o.runs}.\n\n${table(['device', ...columns.map(([title]) => title)], [...rows, ...ratios])}`;
  return section('Inline through TAP ports: firewall and shipped rules', `PEERS/inline-baselines ${options.join(' ')} --dut '${us}' ...`, body);
}

try {
  const cpu = os.cpus();
  const machine = `${cpu.length} x ${cpu[0]?.model.trim() ?? 'unknown processor'}, ${fixed(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, Node ${process.version}, load average ${fixed(os.loadavg()[0], 1)} at the start`;
  const ruleArgs = shipped.flatMap((file) => ['--rules', file]);
  const parts = [
    `# Benchmarks\n\n<!-- Written by bench/run.mjs; run it again instead of editing. -->\n\n${o.date === undefined ? '' : `${o.date}. `}Machine: ${machine}.\n`,
    offline(),
    inline(),
    startTime(),
    lines('Replay of generated traffic', 'replay', ['dist/bench/replay.js']),
    lines('Replay of generated traffic, shipped rules', 'replay', ['dist/bench/replay.js', ...ruleArgs]),
    lines('Garbage collection under load', 'gc', ['dist/bench/gc.js', '--seconds', '60']),
    lines('Boot storm: many VMs, one image', 'storm', ['dist/bench/boot-storm.js']),
    lines('Integrity baseline and check', 'integrity', ['dist/bench/integrity.js']),
    lines('What the driver costs inside a VM: tar', 'driver', ['dist/bench/driver-overhead.js']),
    lines('What the driver costs inside a VM: a build', 'driver', ['dist/bench/driver-overhead.js', '--work', 'build']),
    lines('Decoding', 'decode', ['dist/bench/decode.js']),
    lines('Flow table, connection tracking, reassembly', 'flow', ['--expose-gc', 'dist/bench/flow.js']),
    lines('Switch alone', 'switch', ['dist/bench/switch.js']),
    only?.includes('floods') ? lines('Floods from one VM, a TCP transfer between two others', 'floods', ['bench/floods.mjs', '--runs', o.runs]) : '',
    lines('Firewall alone', 'firewall', ['dist/bench/firewall.js']),
    lines('HTTP/1 parser alone', 'http1', ['dist/bench/http1.js']),
  ];
  writeFileSync(o.out, parts.filter((part) => part !== '').join('\n'));
  process.stderr.write(`wrote ${o.out}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
