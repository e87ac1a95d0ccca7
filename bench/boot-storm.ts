/**
 * Many VMs boot from the same image at once: simulated drivers over the driver protocol open the same real files of /usr.
 *
 *   node dist/bench/boot-storm.js [--vms 200] [--files 5000] [--rate 30] [--parallel 4] [--engine clamd|yara-x] [--json OUT]
 *
 * Three appliances in turn, each a process of its own, the guests in another: `one` VM with a cold cache; all VMs with a cold
 * cache; all VMs again, with every content known and no identity (they reconnect). --rate: opens per second and VM. Latency is measured by the guests, from sending the event to reading the
 * disposition, the exchange about the hash included. --parallel: files a VM waits for at a time; as with real processes, further
 * ones are opened when these are answered. Scan CPU is that of clamd's process (or of the engine's own clock).
 */
import { fork, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, mkdtempSync, openSync, readFileSync, readSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseConfig } from '../src/appliance/config/load.js';
import { createFileService } from '../src/appliance/file-scanning.js';
import { SHIPPED_FILE_RULES } from '../src/appliance/file-rules.js';
import { DriverServer, MessageType, identityKey, type ApplianceMessage, type DriverPolicy } from '../src/file-events/index.js';
import { PrivateClamd, clamdMissing } from '../test/helpers/clamd.js';
import { SimDriver } from '../test/helpers/sim-driver.js';

const TOKEN = 'boot storm';
const POLICY: DriverPolicy = {
  heartbeatMs: 20_000, maxOutstanding: 4096, passDescriptors: false, kernelCache: true, mounts: [{ path: '/', scope: 2, events: 3, failure: 1, timeoutMs: 60_000, maxSize: 0 }], filters: [],
};
const LARGEST = 10 * 1024 * 1024;

interface Target {
  readonly path: string;
  readonly size: number;
  readonly sha256: Uint8Array;
  readonly identity: string;
}

/** Every n-th regular file of /usr, so that libraries, programs, documents and images are among them. */
function targets(count: number): string[] {
  const all: string[] = [];
  (function walk(directory: string): void {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      // What scanners are tested with is no part of a healthy image.
      if (entry.name === 'clamav-testfiles') continue;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && lstatSync(path).size <= LARGEST) all.push(path);
    }
  })('/usr');
  all.sort();
  if (all.length < count) throw new Error(`/usr has ${all.length} files, ${count} wanted`);
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);
}

// ---- appliance process

interface Report {
  readonly requests: number;
  readonly scanned: number;
  readonly cpuSeconds: number;
  readonly memory: number;
  readonly rss: number;
  readonly engineMs: number;
  readonly counts: object;
}

async function appliance(directory: string, vms: number, engine: string): Promise<void> {
  const { config } = parseConfig('bench.yaml', `ports: [{ name: n, type: tap, device: n }]\nfiles: { engines: [${engine}] }\n`);
  const service = createFileService({ ...config!.files, state: join(directory, 'state') }, { vms: {}, base: directory, onFinding: () => undefined, onScan: () => undefined, onIntegrity: () => undefined, onLog: () => undefined, log: (text) => process.stderr.write(`${text}\n`) });
  await service.start();
  const table = new Map(Array.from({ length: vms }, (_, i) => [`vm${i}`, { token: TOKEN, uids: [process.getuid!()], policy: POLICY }]));
  const server = new DriverServer({ vms: table, maxConnections: vms + 64, nowMs: () => performance.now(), log: (text) => (/connected/.test(text) ? undefined : process.stderr.write(`${text}\n`)) }, service.handler);
  server.listenUnix(join(directory, 's'));
  const cpu = process.cpuUsage();
  process.on('message', (what: string) => {
    if (what === 'stop') {
      void server.close().then(() => service.close()).then(() => process.exit(0));
      return;
    }
    global.gc?.();
    const m = process.memoryUsage();
    const used = process.cpuUsage(cpu);
    const report: Report = {
      requests: service.judge.counts.events,
      scanned: service.scanner.counts.scanned,
      cpuSeconds: (used.user + used.system) / 1e6,
      memory: m.heapUsed + m.external,
      rss: m.rss,
      engineMs: [...service.engines.stats.values()].reduce((sum, s) => sum + s.ms, 0),
      counts: { ...service.judge.counts, ...service.scanner.counts },
    };
    process.send!(report);
  });
  process.send!('ready');
}

// ---- guests process

interface Storm {
  readonly seconds: number;
  readonly answered: number;
  readonly denied: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

class Guest {
  readonly driver: SimDriver;
  readonly #files: readonly Target[];
  readonly #latencies: Float64Array;
  readonly #device: bigint;
  sent = 0;
  answered = 0;
  denied = 0;
  readonly #sentAt = new Map<number, number>();

  constructor(socket: string, index: number, files: readonly Target[], latencies: Float64Array) {
    this.driver = new SimDriver(socket);
    this.#files = files;
    this.#latencies = latencies;
    this.#device = BigInt(index + 1);
  }

  async login(vm: string): Promise<void> {
    await this.driver.login({ vm, token: TOKEN });
    this.driver.onMessage = (m) => this.#on(m);
  }

  open(): void {
    const id = ++this.sent;
    const file = this.#files[id - 1]!;
    this.#sentAt.set(id, performance.now());
    this.driver.send({
      type: MessageType.EVENT, id, kind: 1, permission: true, mount: 0, meta: { identity: file.identity, mode: 0o100644, uid: 0, gid: 0, nlink: 1 }, size: file.size,
      process: { pid: Number(this.#device), uid: 0, image: '/usr/bin/env' }, waitedUs: 0, path: file.path, descriptor: false,
    });
  }

  #on(m: ApplianceMessage): void {
    if (m.type === MessageType.DISPOSITION) {
      this.#latencies[m.id - 1] = performance.now() - this.#sentAt.get(m.id)!;
      this.#sentAt.delete(m.id);
      this.answered++;
      if (m.verdict !== 1) this.denied++;
    } else if (m.type === MessageType.HASH) {
      const file = this.#files[m.file - 1]!;
      this.driver.send({ type: MessageType.DIGEST, id: m.id, status: 0, identity: file.identity, sha256: file.sha256 });
    } else if (m.type === MessageType.READ) {
      const fd = openSync(this.#files[m.file - 1]!.path, 'r');
      const bytes = Buffer.allocUnsafe(m.length);
      const n = readSync(fd, bytes, 0, m.length, m.offset);
      closeSync(fd);
      this.driver.send({ type: MessageType.DATA, id: m.id, status: 0, bytes: bytes.subarray(0, n) });
    }
  }
}

async function guests(list: string): Promise<void> {
  const files: Target[] = (JSON.parse(readFileSync(list, 'utf8')) as string[]).map((path, i) => {
    const bytes = readFileSync(path);
    return { path, size: bytes.length, sha256: createHash('sha256').update(bytes).digest(), identity: identityKey({ device: 1n, inode: BigInt(i + 1), size: BigInt(bytes.length), mtimeNs: 1n, ctimeNs: 2n, change: 0n }) };
  });
  let connected: Guest[] = [];
  process.on('message', (order: { socket: string; vms: number; rate: number; parallel: number } | 'leave') => {
    if (order === 'leave') {
      for (const g of connected) g.driver.close();
      connected = [];
      process.send!('left');
    } else {
      void storm(files, order).then(({ result, guests: all }) => {
        connected = all;
        process.send!(result);
      });
    }
  });
  process.send!('ready');
}

async function storm(files: readonly Target[], { socket, vms, rate, parallel }: { socket: string; vms: number; rate: number; parallel: number }): Promise<{ result: Storm; guests: Guest[] }> {
  const latencies = Array.from({ length: vms }, () => new Float64Array(files.length));
  const all: Guest[] = [];
  for (const [i, l] of latencies.entries()) {
    const guest = new Guest(socket, i, files, l);
    await guest.login(`vm${i}`);
    all.push(guest);
  }
  const started = performance.now();
  while (all.some((g) => g.answered < files.length)) {
    const turns = ((performance.now() - started) / 1000) * rate;
    let behind = false;
    // Each VM has its own beat, so that what is measured is the appliance and not a burst of this loop.
    for (let i = 0; i < all.length; i++) {
      const g = all[i]!;
      const due = Math.min(files.length, Math.floor(turns + i / all.length));
      if (g.sent < due && g.sent - g.answered < parallel) g.open();
      behind ||= g.sent < due && g.sent - g.answered < parallel;
    }
    await new Promise((go) => (behind ? setImmediate(go) : setTimeout(go, 1)));
  }
  const seconds = (performance.now() - started) / 1000;
  const sorted = Float64Array.from(latencies.flatMap((l) => [...l])).sort();
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
  return { guests: all, result: { seconds, answered: sorted.length, denied: all.reduce((n, g) => n + g.denied, 0), p50: at(0.5), p99: at(0.99), max: at(1) } };
}

// ---- parent

function child(role: string, ...args: string[]): Promise<ChildProcess> {
  const process_ = fork(fileURLToPath(import.meta.url), [role, ...args], { execArgv: ['--expose-gc'] });
  return ask(process_, null).then(() => process_);
}

function ask<T>(process_: ChildProcess, message: unknown): Promise<T> {
  return new Promise((settle, reject) => {
    process_.once('exit', (code) => reject(new Error(`ended with ${code}`)));
    process_.once('message', (answer) => settle(answer as T));
    if (message !== null) process_.send(message as string);
  });
}

/** CPU seconds of a process (proc(5): fields 14 and 15 of stat, 100 ticks a second). */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function main(): Promise<void> {
  const { values: o } = parseArgs({ options: { vms: { type: 'string', default: '200' }, files: { type: 'string', default: '5000' }, rate: { type: 'string', default: '30' }, parallel: { type: 'string', default: '4' }, engine: { type: 'string' }, json: { type: 'string' } } });
  const [vms, count, rate, parallel] = [Number(o.vms), Number(o.files), Number(o.rate), Number(o.parallel)];
  const engine = o.engine ?? (clamdMissing() === '' ? 'clamd' : 'yara-x');
  const directory = mkdtempSync(join(tmpdir(), 'drawbridge-storm-'));
  const list = join(directory, 'files.json');
  const files = targets(count);
  writeFileSync(list, JSON.stringify(files));
  const distinct = new Map(files.map((path) => [createHash('sha256').update(readFileSync(path)).digest('hex'), path]));
  const bytes = [...distinct.values()].reduce((n, path) => n + lstatSync(path).size, 0);
  console.log(`${vms} VMs, ${count} files of /usr, ${distinct.size} distinct contents, ${(bytes / 1e6).toFixed(0)} MB; ${rate} opens per second and VM, ${parallel} at a time; engine ${engine}; load average ${loadavg()[0]!.toFixed(1)} on ${cpus().length} processors`);
  const crowd = await child('guests', list);
  const clamd = engine === 'clamd' ? new PrivateClamd() : null;
  const results: Record<string, Storm & Report & { scanCpu: number }> = {};
  try {
    let appliance_: ChildProcess | null = null;
    const stop = async (): Promise<void> => {
      if (appliance_ === null) return;
      const gone = new Promise((go) => appliance_!.once('exit', go));
      appliance_.send('stop');
      await gone;
      appliance_ = null;
      await clamd?.kill();
    };
    for (const [name, n, keep] of [['one', 1, false], ['cold', vms, false], ['known', vms, true]] as const) {
      if (!keep) {
        await stop();
        await clamd?.start();
        const place = mkdtempSync(join(directory, 'a-'));
        const yaml = clamd === null ? `{ type: yara-x, rules: [${SHIPPED_FILE_RULES}] }` : `{ type: clamd, socket: ${clamd.socket}, database: "" }`;
        appliance_ = await child('appliance', place, String(vms), yaml);
        (appliance_ as ChildProcess & { place?: string }).place = place;
      } else {
        await ask(crowd, 'leave');
        await sleep(500);
      }
      const running = appliance_! as ChildProcess & { place: string };
      const before = await ask<Report>(running, 'report');
      const clamdBefore = clamd === null ? 0 : cpuOf(clamd.pid);
      const result = await ask<Storm>(crowd, { socket: join(running.place, 's'), vms: n, rate, parallel });
      const after = await ask<Report>(running, 'report');
      if (!keep && n === 1) await ask(crowd, 'leave');
      const scanCpu = clamd === null ? (after.engineMs - before.engineMs) / 1000 : cpuOf(clamd.pid) - clamdBefore;
      const perVm = (after.memory - before.memory) / n;
      results[name] = { ...result, ...after, scanCpu };
      console.log(
        `${name.padEnd(6)} ${result.answered} opens in ${result.seconds.toFixed(1)} s: p50 ${result.p50.toFixed(2)} ms, p99 ${result.p99.toFixed(2)} ms, max ${result.max.toFixed(1)} ms; ` +
          `${after.scanned - before.scanned} scans, scan CPU ${scanCpu.toFixed(2)} s, appliance CPU ${(after.cpuSeconds - before.cpuSeconds).toFixed(1)} s; ${(perVm / 1000).toFixed(0)} KB per VM, RSS ${(after.rss / 1e6).toFixed(0)} MB; ${result.denied} denied`,
      );
    }
    await stop();
    const { one, cold, known } = results;
    console.log(`distinct contents scanned once: ${cold!.scanned === distinct.size && known!.scanned === cold!.scanned ? 'yes' : `no, ${known!.scanned} scans of ${distinct.size}`}`);
    console.log(`scan CPU of ${vms} VMs against one: ${(cold!.scanCpu / one!.scanCpu).toFixed(2)}x`);
    if (o.json !== undefined) writeFileSync(o.json, JSON.stringify({ vms, files: count, distinct: distinct.size, engine, results }, null, 2));
  } finally {
    crowd.kill();
    await clamd?.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

const [role, ...args] = process.argv.slice(2);
// Nobody is left who would end it.
if (role !== undefined) process.once('disconnect', () => process.exit(1));
if (role === 'appliance') await appliance(args[0]!, Number(args[1]), args[2]!);
else if (role === 'guests') await guests(args[0]!);
else await main();
