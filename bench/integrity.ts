/**
 * Integrity baseline of many files, and a check of them, on a warm cache.
 *
 *   node dist/bench/integrity.js [--files 200000] [--directory DIR] [--json OUT]
 *
 * Makes that many small files in 1000 directories of a temporary directory (DIR: an existing tree instead), takes the baseline,
 * checks it without and with changes. Files per second of wall clock and of processor time; peak resident memory.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { IntegrityMonitor, LocalTree } from '../src/file-events/index.js';
import { openState } from '../src/file-events/scan/state.js';

const { values: o } = parseArgs({ options: { files: { type: 'string', default: '200000' }, directory: { type: 'string' }, json: { type: 'string' } } });
const files = Number(o.files);
const place = mkdtempSync(join(tmpdir(), 'drawbridge-integrity-'));
const root = o.directory ?? join(place, 'tree');
const results: Record<string, object> = {};
try {
  if (o.directory === undefined) {
    for (let d = 0; d < 1000; d++) mkdirSync(join(root, `d${d % 50}`, `e${d}`), { recursive: true });
    for (let i = 0; i < files; i++) writeFileSync(join(root, `d${(i % 1000) % 50}`, `e${i % 1000}`, `file-${i}`), `content of file ${i}\n`.repeat(1 + (i % 40)));
  }
  let changes = 0;
  const monitor = new IntegrityMonitor({
    db: openState(join(place, 'state.db')),
    rules: [{ name: 'all', severity: 'low', include: ['/**'], exclude: [], attributes: ['STANDARD'], on_change: true, diff: false, no_diff: [] }],
    tree: () => new LocalTree(root), report: () => changes++, log: console.error, now: () => performance.now(), wall: Date.now, sleep: async (ms) => void (await sleep(ms)),
  });
  for (const [name, before] of [['baseline', null], ['check', null], ['check after 1000 changes', (): void => {
    for (let i = 0; i < 1000 && o.directory === undefined; i++) writeFileSync(join(root, `d${(i % 1000) % 50}`, `e${i % 1000}`, `file-${i}`), 'changed\n');
  }]] as const) {
    before?.();
    changes = 0;
    const cpu = process.cpuUsage();
    const r = await (name === 'baseline' ? monitor.baseline('vm') : monitor.check('vm'));
    const used = process.cpuUsage(cpu);
    const cpuSeconds = (used.user + used.system) / 1e6;
    const rss = process.resourceUsage().maxRSS / 1024;
    results[name] = { entities: r.entities, changes, seconds: r.seconds, cpuSeconds, perSecond: r.entities / r.seconds, perCpuSecond: r.entities / cpuSeconds, peakRssMiB: rss };
    console.log(`${name.padEnd(26)} ${r.entities} entities in ${r.seconds.toFixed(1)} s: ${Math.round(r.entities / r.seconds)}/s, ${Math.round(r.entities / cpuSeconds)} per CPU second; ${changes} changes; peak RSS ${rss.toFixed(0)} MiB`);
  }
  await monitor.close();
  if (o.json !== undefined) writeFileSync(o.json, JSON.stringify(results, null, 2));
} finally {
  rmSync(place, { recursive: true, force: true });
}
