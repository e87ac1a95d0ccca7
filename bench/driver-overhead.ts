/**
 * What the driver costs real workloads: `tar` of files copied from /usr, and compiling the driver's own sources with the copied
 * headers (a build: many small files read, objects written). Page cache warm, on an ext4 filesystem of its own, as an ordinary user. Rounds are interleaved, so that a busy machine hits all alike. Beside it clamonacc (prevention, descriptors
 * passed) over the same tree; both ask the same clamd, with a database of one signature. Needs root, clamav-daemon, loop devices.
 *
 *   node dist/bench/driver-overhead.js [--files 6000] [--rounds 7] [--peer-rounds 2] [--work tar|build] [--json]
 *
 * Passes: "first" = nothing remembered in the guest, the appliance knows all contents; "again" = the same files once more;
 * "asked" = kernel_cache off, each open asks the appliance. CPU (median) of the workload alone, and with everybody who works for
 * it; wall time is the best round, which a busy machine disturbs least.
 */
import { execFileSync, fork, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createFileService } from '../src/appliance/file-scanning.js';
import { parseConfig } from '../src/appliance/config/load.js';
import { DriverServer, type DriverPolicy } from '../src/file-events/index.js';
import { PrivateClamd, clamdMissing } from '../test/helpers/clamd.js';

const DRIVER = fileURLToPath(new URL('../../guest/build/drawbridge-driver', import.meta.url));
const SOURCES = fileURLToPath(new URL('../../guest', import.meta.url));
const TOKEN = 'a token of the benchmark';
const NOBODY = 65_534;
const IMAGE_MB = 1536;

interface Cost {
  readonly wallMs: number;
  /** User and system time of the workload. */
  readonly cpuMs: number;
  /** User and system time of those who work for it: driver (or clamonacc), clamd, appliance. */
  readonly helpersMs: readonly number[];
}

interface Passes {
  readonly name: string;
  readonly costs: Cost[];
}

function policy(mount: string, kernelCache: boolean): DriverPolicy {
  return {
    heartbeatMs: 5000, maxOutstanding: 512, passDescriptors: true, kernelCache, filters: [],
    mounts: [{ path: mount, scope: 2, events: 1 | 2 | 8, failure: 2, timeoutMs: 30_000, maxSize: 0 }],
  };
}

/** The appliance: the whole verdict path behind the driver server, in a process of its own. */
async function serve(folder: string, clamd: string, database: string, mount: string, kernelCache: boolean): Promise<void> {
  const text = `ports: [{ name: a, type: tap, device: unused }]\nfiles: { enabled: true, state: ${folder}/state, engines: [{ type: clamd, socket: ${clamd}, database: ${database} }] }\n`;
  const { config, problems } = parseConfig(join(folder, 'bench.yaml'), text);
  if (config === undefined) throw new Error(JSON.stringify(problems));
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const service = createFileService(config.files, { vms: { vm: undefined }, base: folder, onFinding: () => undefined, onScan: () => undefined, onIntegrity: () => undefined, onLog: () => undefined, log });
  await service.start();
  const server = new DriverServer({ vms: new Map([['vm', { token: TOKEN, uids: [0], policy: policy(mount, kernelCache) }]]), maxConnections: 8, nowMs: () => performance.now(), log: () => undefined }, service.handler);
  server.listenUnix(join(folder, 's'));
  process.on('message', (kernel: boolean) => server.setPolicy('vm', policy(mount, kernel)));
  process.send!('ready');
}

/** Thousands of headers that no C program reads. */
const HUGE = new Set(['/usr/include/boost', '/usr/include/c++']);

/** Regular files below /usr, in a fixed order, small and large as they come. */
function copyTree(target: string, limit: number): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  const walk = (dir: string): void => {
    // Files before directories: the headers of /usr/include itself are never beyond the limit.
    const names = readdirSync(dir, { withFileTypes: true }).toSorted((a, b) => Number(a.isDirectory()) - Number(b.isDirectory()) || (a.name < b.name ? -1 : 1));
    for (const { name } of names) {
      if (files >= limit) return;
      const path = join(dir, name);
      const st = lstatSync(path);
      if (st.isDirectory() && !HUGE.has(path)) walk(path);
      else if (st.isFile() && st.size > 0 && st.size < 20_000_000) {
        const to = join(target, path);
        mkdirSync(dirname(to), { recursive: true });
        copyFileSync(path, to);
        chmodSync(to, 0o644);
        files++;
        bytes += st.size;
      }
    }
  };
  for (const dir of ['/usr/include/x86_64-linux-gnu', '/usr/include/asm-generic', '/usr/include/linux', '/usr/include', '/usr/share/perl', '/usr/lib/python3', '/usr/bin', '/usr/lib/x86_64-linux-gnu', '/usr/share']) if (existsSync(dir)) walk(dir);
  return { files, bytes };
}

const TICK_MS = 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** User and system time of a process so far. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

const INCLUDE = execFileSync('gcc', ['-print-file-name=include'], { encoding: 'utf8' }).trim();
const WORK = {
  tar: 'time tar -cf - -C "$1" usr | cat > /dev/null; test "${PIPESTATUS[0]}" = 0',
  build: `cd "$1" && rm -rf out && mkdir out && time for f in source/*.c; do gcc -std=c11 -D_GNU_SOURCE -O1 -nostdinc -isystem ${INCLUDE} -isystem usr/include -isystem usr/include/x86_64-linux-gnu -c $f -o out/$(basename $f).o || exit 1; done`,
} as const;
let work: keyof typeof WORK = 'tar';

function workload(tree: string, helpers: readonly number[]): Cost {
  const before = helpers.map(cpuOf);
  const began = performance.now();
  const r = spawnSync('bash', ['-c', `TIMEFORMAT='%U %S'; ${WORK[work]}`, 'bash', tree], { uid: NOBODY, gid: NOBODY, encoding: 'utf8' });
  const wallMs = performance.now() - began;
  const [user, system] = r.stderr.trim().split('\n').at(-1)!.split(' ').map(Number);
  if (r.status !== 0 || !Number.isFinite(user)) throw new Error(`${work}: ${r.status} ${r.stderr}`);
  return { wallMs, cpuMs: (user! + system!) * 1000, helpersMs: helpers.map((pid, i) => cpuOf(pid) - before[i]!) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

async function line(child: ChildProcess, stream: 'stdout' | 'stderr', wanted: string): Promise<void> {
  let text = '';
  await new Promise<void>((settle, reject) => {
    const timer = setTimeout(() => reject(new Error(`"${wanted}" did not come: ${text}`)), 30_000);
    child[stream]!.on('data', (part: Buffer) => {
      text += part.toString();
      if (!text.includes(wanted)) return;
      clearTimeout(timer);
      settle();
    });
  });
}

async function ended(child: ChildProcess): Promise<void> {
  const gone = new Promise((settle) => child.once('exit', settle));
  child.kill('SIGTERM');
  await gone;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { files: { type: 'string', default: '6000' }, rounds: { type: 'string', default: '7' }, 'peer-rounds': { type: 'string', default: '2' }, work: { type: 'string', default: 'tar' }, json: { type: 'boolean', default: false } } });
  if (values.work !== 'tar' && values.work !== 'build') throw new Error(`--work ${values.work}: tar or build`);
  work = values.work;
  const why = process.getuid?.() !== 0 ? 'needs root' : clamdMissing();
  if (why !== '') {
    process.stderr.write(`driver-overhead: ${why}\n`);
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'drawbridge-overhead-'));
  chmodSync(folder, 0o755);
  const mount = join(folder, 'mnt');
  const tree = join(mount, 'tree');
  mkdirSync(mount);
  const children: ChildProcess[] = [];
  const clamd = new PrivateClamd(
    `AlertExceedsMax yes\nAlertEncrypted yes\nMaxFileSize 100M\nMaxScanSize 400M\nOnAccessIncludePath ${tree}\nOnAccessPrevention yes\nOnAccessExcludeRootUID yes\nOnAccessMaxFileSize 100M\nOnAccessMaxThreads 5\nOnAccessRetryAttempts 0\n`,
  );
  try {
    const image = join(folder, 'image');
    execFileSync('truncate', ['-s', `${IMAGE_MB}M`, image]);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    execFileSync('mount', ['-o', 'loop', image, mount]);
    const { files, bytes } = copyTree(tree, Number(values.files));
    chownSync(tree, NOBODY, NOBODY);
    mkdirSync(join(tree, 'source'));
    for (const name of readdirSync(SOURCES)) if (/\.[ch]$/.test(name)) copyFileSync(join(SOURCES, name), join(tree, 'source', name));
    writeFileSync(join(folder, 'token'), TOKEN, { mode: 0o600 });
    await clamd.start();
    const appliance = fork(fileURLToPath(import.meta.url), ['serve', folder, clamd.socket, clamd.database, mount]);
    children.push(appliance);
    await new Promise<void>((settle, reject) => {
      appliance.once('message', () => settle());
      appliance.once('exit', () => reject(new Error('the appliance of the benchmark ended')));
    });
    const driver = async (): Promise<ChildProcess> => {
      const child = spawn(DRIVER, ['--connect', `unix:${join(folder, 's')}`, '--vm', 'vm', '--token-file', join(folder, 'token')], { stdio: ['ignore', 'ignore', 'pipe'] });
      children.push(child);
      await line(child, 'stderr', ': watched');
      return child;
    };
    const passes: Passes[] = ['nothing', 'driver, first', 'driver, again', 'driver, asked', 'clamonacc, first', 'clamonacc, again'].map((name) => ({ name, costs: [] }));
    const into = (i: number, cost: Cost): void => void passes[i]!.costs.push(cost);
    workload(tree, []);
    // The appliance and clamd learn the contents once, outside what is measured: they serve many VMs.
    const teacher = await driver();
    workload(tree, []);
    await ended(teacher);
    for (let round = 0; round < Number(values.rounds); round++) {
      into(0, workload(tree, []));
      const child = await driver();
      const helpers = [child.pid!, clamd.pid, appliance.pid!];
      into(1, workload(tree, helpers));
      into(2, workload(tree, helpers));
      appliance.send(false);
      await new Promise((settle) => setTimeout(settle, 300));
      into(3, workload(tree, helpers));
      appliance.send(true);
      await ended(child);
      if (round >= Number(values['peer-rounds'])) continue;
      const onacc = spawn('clamonacc', ['--foreground', '--fdpass', `--config-file=${join(clamd.directory, 'clamd.conf')}`, `--log=${join(folder, 'onacc.log')}`], { stdio: ['ignore', 'pipe', 'pipe'] });
      children.push(onacc);
      // It tells the end of its set-up in its log only; marking the tree takes it a moment.
      await new Promise((settle) => setTimeout(settle, 4000));
      const others = [onacc.pid!, clamd.pid];
      into(4, workload(tree, others));
      into(5, workload(tree, others));
      await ended(onacc);
    }
    const best = (costs: readonly Cost[]): number => Math.min(...costs.map((c) => c.wallMs));
    const base = { wall: best(passes[0]!.costs), cpu: median(passes[0]!.costs.map((c) => c.cpuMs)) };
    const rows = passes.filter(({ costs }) => costs.length > 0).map(({ name, costs }) => {
      const wall = best(costs);
      const cpu = median(costs.map((c) => c.cpuMs));
      const helpers = costs[0]!.helpersMs.map((_, i) => Math.round(median(costs.map((c) => c.helpersMs[i]!))));
      const all = cpu + helpers.reduce((a, b) => a + b, 0);
      return { name, wallMs: Math.round(wall), cpuMs: Math.round(cpu), helpers, allMs: Math.round(all), wall: wall / base.wall - 1, cpu: cpu / base.cpu - 1, all: all / base.cpu - 1 };
    });
    if (values.json) process.stdout.write(`${JSON.stringify({ files, bytes, rows })}\n`);
    else {
      const percent = (n: number): string => `${n >= 0 ? '+' : ''}${(n * 100).toFixed(0)} %`.padStart(8);
      process.stdout.write(`${work}; ${files} files, ${(bytes / 1e6).toFixed(0)} MB, ${values.rounds} rounds (${values['peer-rounds']} of clamonacc)\n`);
      process.stdout.write(`${''.padEnd(18)}   wall ms            ${work.padStart(5)} cpu ms       all cpu ms           driver/clamonacc, clamd, appliance\n`);
      for (const r of rows) process.stdout.write(`${r.name.padEnd(18)} ${String(r.wallMs).padStart(8)} ${percent(r.wall)} ${String(r.cpuMs).padStart(8)} ${percent(r.cpu)} ${String(r.allMs).padStart(8)} ${percent(r.all)}   ${r.helpers.join(', ')}\n`);
    }
    return 0;
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await clamd.remove();
    spawnSync('umount', ['-l', mount]);
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[2] === 'serve') await serve(process.argv[3]!, process.argv[4]!, process.argv[5]!, process.argv[6]!, true);
else process.exitCode = await main();
