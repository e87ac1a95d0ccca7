/**
 * Frames per second of `replay` over one capture, in this process: wall time, and CPU time for machines that are shared.
 *
 *   node dist/bench/replay.js [--json OUT] [--rules FILE]... [FILE.pcap]
 *
 * Without a capture, 400 000 generated frames (traffic.ts).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { replaySession, resolveReplay } from '../src/appliance/replay-session.js';
import { writeCapture } from './traffic.js';

const GENERATED = 400_000;

const { values, positionals } = parseArgs({ options: { json: { type: 'string' }, rules: { type: 'string', multiple: true, default: [] } }, allowPositionals: true });
const folder = mkdtempSync(join(tmpdir(), 'drawbridge-bench-'));
try {
  let pcap = positionals[0];
  if (pcap === undefined) {
    pcap = join(folder, 'generated.pcap');
    writeCapture(pcap, GENERATED);
  }
  const loading = process.cpuUsage();
  const setup = resolveReplay({ rules: values.rules, simulateIps: false, set: [] });
  const loadSeconds = process.cpuUsage(loading).user / 1e6;
  const session = replaySession(setup, { pcap, types: new Set() });
  const cpu = process.cpuUsage();
  const started = performance.now();
  const frames = session.drain();
  session.close();
  const seconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  const cpuSeconds = (used.user + used.system) / 1e6;
  const figures = { frames, rules: setup.rules.rules.length, loadSeconds, framesPerSecond: frames / seconds, framesPerCpuSecond: frames / cpuSeconds, peakMiB: process.resourceUsage().maxRSS / 1024 };
  console.log(`${frames} frames, ${figures.rules} rules: ${Math.round(figures.framesPerSecond / 1000)} kpps, ${Math.round(figures.framesPerCpuSecond / 1000)} kpps per CPU second, peak ${Math.round(figures.peakMiB)} MiB`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
