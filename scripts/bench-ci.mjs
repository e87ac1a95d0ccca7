#!/usr/bin/env node
/**
 * The short benchmarks with floors far below what an ordinary machine reaches: they find a mistake that makes something
 * many times slower, not a change of some per cent. Exits 1 below a floor. About half a minute; figures are not kept
 * (bench/run.mjs writes docs/benchmarks.md).
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const folder = mkdtempSync(path.join(tmpdir(), 'drawbridge-bench-ci-'));
const rules = ['malware', 'network-services', 'product-exploits', 'scanners', 'web-attacks'].flatMap((name) => ['--rules', `rules/${name}.rules`]);
let failed = 0;

function run(name, args) {
  const json = path.join(folder, `${name}.json`);
  const child = spawnSync(process.execPath, [...args, '--json', json], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (child.status !== 0) {
    process.stderr.write(`bench-ci: ${args.join(' ')} failed (${child.signal ?? child.status})\n${child.stderr}`);
    process.exitCode = 1;
    return undefined;
  }
  return JSON.parse(readFileSync(json, 'utf8'));
}

/** @param atLeast the figure must not be below `floor`; otherwise not above it */
function hold(what, figure, floor, atLeast, unit) {
  const good = Number.isFinite(figure) && (atLeast ? figure >= floor : figure <= floor);
  if (!good) failed++;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${what}: ${figure.toFixed(figure < 10 ? 2 : 0)} ${unit} (${atLeast ? 'at least' : 'at most'} ${floor})`);
}

try {
  const plain = run('replay', ['dist/bench/replay.js']);
  if (plain) hold('replay, no rules', plain.framesPerCpuSecond / 1000, 100, true, 'kpps of CPU time');
  const ruled = run('replay-rules', ['dist/bench/replay.js', ...rules]);
  if (ruled) hold('replay, shipped rules', ruled.framesPerCpuSecond / 1000, 60, true, 'kpps of CPU time');
  const decode = run('decode', ['dist/bench/decode.js']);
  // The best case: a busy machine spoils some of them.
  if (decode) hold('decode, best synthetic frame', Math.min(...decode.map((f) => f.nsPerPacket)), 200, false, 'ns');
  const flow = run('flow', ['--expose-gc', 'dist/bench/flow.js', '--flows', '100000']);
  if (flow) {
    const row = flow.find((f) => f.name === '100k flows, IPv4: established packet');
    hold('flow, packet of one of 100k flows', row?.ns ?? Number.NaN, 1000, false, 'ns');
  }
  const gc = run('gc', ['dist/bench/gc.js', '--seconds', '3', '--case', 'established']);
  if (gc) hold('data plane in steady state, heap', gc[0].bytesPerFrame, 64, false, 'B per frame');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed > 0) process.exitCode = 1;
