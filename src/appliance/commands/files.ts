/** `drawbridge files`: scan directories and disk images here, or ask the running appliance about scans and its quarantine. */
import { createReadStream, createWriteStream, existsSync, lstatSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LineSplitter, MountedPartition, loadLogEngine, QuarantineStore, partitionsOf, verified, type BaselineInfo, type CheckResult, type Finding, type QuarantineEntry, type ScanRate, type ScanRecord } from '../../file-events/index.js';
import { loadConfig, parseConfig, type Config } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { control } from '../control.js';
import type { FileStatus } from '../file-control.js';
import { SHIPPED_LOG_RULES } from '../file-rules.js';
import { createFileService } from '../file-scanning.js';

/** Exit codes of a scan, beside 1 = it failed and 2 = bad usage. */
const FOUND = 3;
const NOT_ALL = 4;

export interface ScanHereOptions {
  readonly config?: string;
  readonly image: boolean;
  readonly exclude: readonly string[];
  readonly json: boolean;
}

/**
 * Scan directories, files or (with `image`) raw disk images in this process, without a running appliance.
 * @returns 0 all clean, 3 something was found, 4 not everything could be scanned, 1 it failed
 */
export async function scanHere(paths: readonly string[], options: ScanHereOptions): Promise<number> {
  const config = configOf(options.config);
  if (config === null) return 1;
  const state = mkdtempSync(join(tmpdir(), 'drawbridge-scan-'));
  let code = 0;
  try {
    for (const path of paths) {
      if (!existsSync(path)) throw Object.assign(new Error(`ENOENT: ${path}: no such file or directory`), { code: 'ENOENT' });
      code = worse(code, options.image ? await scanImage(path, config, state, options) : await scanTree(path, path, config, state, options));
    }
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
  return code;
}

/** Something found counts more than something left out. */
function worse(a: number, b: number): number {
  const order = [0, NOT_ALL, FOUND, 1];
  return order.indexOf(a) > order.indexOf(b) ? a : b;
}

async function scanImage(image: string, config: Loaded, state: string, options: ScanHereOptions): Promise<number> {
  let code = 0;
  let mounted = 0;
  for (const partition of partitionsOf(image)) {
    let mount: MountedPartition;
    try {
      mount = MountedPartition.mount(image, partition);
    } catch (error) {
      // Swap, boot loaders and encrypted partitions have no filesystem; the others must not suffer from it.
      process.stderr.write(`drawbridge: not scanned: ${error instanceof Error ? error.message : String(error)}\n`);
      code = worse(code, NOT_ALL);
      continue;
    }
    mounted++;
    try {
      code = worse(code, await scanTree(mount.directory, `${image}:${partition.number}`, config, state, options));
    } finally {
      mount.unmount();
    }
  }
  return mounted === 0 ? 1 : code;
}

async function scanTree(path: string, shown: string, loaded: Loaded, state: string, options: ScanHereOptions): Promise<number> {
  const single = !lstatSync(path).isDirectory() && !statSync(path).isDirectory();
  const root = single ? dirname(resolve(path)) : resolve(path);
  const findings: Finding[] = [];
  const tell = (f: Finding): void => {
    findings.push(f);
    if (options.json) return;
    const where = single ? path : `${shown === '/' ? '' : shown}${f.path}`;
    const what = f.result.outcome === 'malicious' ? `${f.result.signature} (${f.result.engine})` : `${f.result.outcome}: ${f.result.reason}`;
    process.stdout.write(`${where}: ${what}\n`);
  };
  const service = createFileService(
    { ...loaded.config.files, on_malicious: 'pass', state, schedules: [] },
    { vms: { here: { root } }, base: loaded.base, onFinding: tell, onScan: () => undefined, onIntegrity: () => undefined, onLog: () => undefined, log: (text) => process.stderr.write(`drawbridge: ${text}\n`) },
  );
  let record: ScanRecord;
  try {
    await service.start();
    record = service.scans.order({ trigger: 'offline', name: '', vm: 'here', paths: [single ? `/${basename(path)}` : '/'], exclude: options.exclude });
    const progress = process.stderr.isTTY ? setInterval(() => process.stderr.write(`\r${progressText({ ...service.scans.list().find((r) => r.id === record.id)! })}\x1b[K`), 500) : null;
    await service.scans.settled(record.id);
    if (progress !== null) {
      clearInterval(progress);
      process.stderr.write('\r\x1b[K');
    }
  } finally {
    await service.close();
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ path: shown, ...record, findings: findings.map((f) => ({ path: f.path, size: f.size, sha256: f.sha256, ...f.result })) })}\n`);
  else process.stdout.write(`${shown}: ${summary(record)}\n`);
  if (record.error !== '') process.stderr.write(`drawbridge: ${record.error}\n`);
  if (record.state !== 'done') return 1;
  if (record.malicious > 0) return FOUND;
  return record.not_fully_scanned + record.failed + record.unreadable > 0 ? NOT_ALL : 0;
}

function summary(r: ScanRecord): string {
  const seconds = r.active_ms / 1000;
  return `${r.files} files, ${size(r.bytes)} in ${seconds.toFixed(1)} s; ${r.malicious} malicious, ${r.clean} clean, ${r.not_fully_scanned} not fully scanned, ${r.failed} failed, ${r.unreadable} unreadable`;
}

function progressText(r: ScanRecord & ScanRate): string {
  if (r.files_total < 0) return 'counting files';
  const left = r.eta_seconds < 0 ? '' : `, ${r.eta_seconds} s left`;
  return `${r.files} of ${r.files_total} files, ${size(r.bytes)} of ${size(r.bytes_total)} (${r.files_per_second}/s, ${size(r.bytes_per_second)}/s${left}), ${r.malicious} malicious`;
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  let n = bytes;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${i === 0 ? n : n.toFixed(1)} ${units[i]}`;
}

interface Loaded {
  readonly config: Config;
  /** Directory relative paths are meant from. */
  readonly base: string;
}

/** A configuration that only has defaults: `ports` is the one thing that must be there, and nothing opens it here. */
const NO_CONFIG = 'ports: [{ name: none, type: tap, device: none }]\n';

function configOf(file: string | undefined): Loaded | null {
  const loaded = file === undefined ? parseConfig('(defaults)', NO_CONFIG) : loadConfig(file);
  // Warnings are for `drawbridge check`.
  for (const problem of loaded.problems) if (problem.severity === 'error') process.stderr.write(`${formatProblem(problem)}\n`);
  return loaded.config === undefined ? null : { config: loaded.config, base: dirname(resolve(file ?? 'drawbridge.yaml')) };
}

export interface AskOptions {
  readonly config: string;
}

/** Ask the appliance that runs with this configuration. @throws Error with what it answered, or that it does not run */
async function ask(options: AskOptions, op: string, more: object = {}): Promise<unknown> {
  const loaded = configOf(options.config);
  if (loaded === null) throw refusal(`${options.config} is not fit to use`);
  const { socket } = loaded.config.control;
  if (socket === '') throw refusal(`${options.config} sets no control.socket: the appliance cannot be asked`);
  const path = resolve(loaded.base, socket);
  const answer = await control(path, `files ${JSON.stringify({ op, ...more })}`).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' || error.code === 'ECONNREFUSED' ? refusal(`no appliance runs with ${options.config} (${path})`) : error;
  });
  if (!answer.ok) throw refusal(answer.lines.join('; '));
  return answer.value;
}

/** An error that is told in one line. */
function refusal(message: string): Error {
  return Object.assign(new Error(message), { code: 'REFUSED' });
}

/** Order a scan of a VM. @returns 0 */
export async function scanVm(vm: string, paths: readonly string[], options: AskOptions & { readonly exclude: readonly string[] }): Promise<number> {
  const record = (await ask(options, 'scan', { vm, ...(paths.length > 0 ? { paths } : {}), exclude: options.exclude })) as ScanRecord;
  process.stdout.write(`scan ${record.id} of ${record.vm} ${record.paths.join(' ')} has begun (drawbridge files status)\n`);
  return 0;
}

/** Engines, queue, cache, drivers and scans. @returns 0 */
export async function status(options: AskOptions & { readonly json: boolean }): Promise<number> {
  const s = (await ask(options, 'status')) as FileStatus & { readonly scans: readonly (ScanRecord & ScanRate)[] };
  if (options.json) {
    process.stdout.write(`${JSON.stringify(s)}\n`);
    return 0;
  }
  const lines = s.engines.map((e) => `engine     ${e.name}: ${e.scans} scans, ${e.outcomes.malicious} malicious, ${e.outcomes['not-fully-scanned']} not fully scanned, ${e.outcomes.failed} failed; signatures ${e.epoch}`);
  lines.push(`queue      ${s.queue.waiting} waiting, ${s.queue.running} under way`);
  lines.push(`cache      ${s.cache.contents} contents`);
  lines.push(`quarantine ${s.quarantine.files} files, ${size(s.quarantine.bytes)}`);
  for (const vm of s.vms) lines.push(`vm         ${vm.name}: ${vm.connected ? `driver ${vm.driver} (${vm.peer})` : 'no driver'}, ${vm.identities} files known`);
  for (const r of s.scans) lines.push(`scan ${String(r.id).padEnd(5)} ${r.vm} ${r.name === '' ? r.trigger : r.name} ${r.paths.join(' ')}: ${r.state}, ${r.state === 'running' ? progressText(r) : summary(r)}`);
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

/** @param what pause, resume or cancel */
export async function changeScan(id: number, what: string, options: AskOptions): Promise<number> {
  const record = (await ask(options, what, { id })) as ScanRecord;
  process.stdout.write(`scan ${record.id}: ${record.state}, ${summary(record)}\n`);
  return 0;
}

/** Look for new signatures now. */
export async function refresh(options: AskOptions): Promise<number> {
  const { changed } = (await ask(options, 'refresh')) as { changed: boolean };
  process.stdout.write(changed ? 'new signatures: known files are judged again\n' : 'no new signatures\n');
  return 0;
}

/** Show log files to the rules, as if they were written now. @returns 3 when something of `level` or above matched */
export async function inspectLogs(files: readonly string[], options: { readonly rules: readonly string[]; readonly level: number }): Promise<number> {
  const engine = loadLogEngine(options.rules.length > 0 ? options.rules : [SHIPPED_LOG_RULES]);
  let found = 0;
  for (const file of files) {
    const splitter = new LineSplitter();
    const show = (bytes: Uint8Array): void => {
      for (const line of splitter.push(bytes)) {
        const match = engine.inspect(file, line, Date.now());
        if (match === null || match.rule.level < options.level) continue;
        found++;
        process.stdout.write(`${match.rule.level} ${match.rule.id} ${match.rule.description}${match.count > 1 ? ` (${match.count} lines)` : ''}: ${line}\n`);
      }
    };
    for await (const part of createReadStream(file) as AsyncIterable<Buffer>) show(part);
    show(Buffer.from('\n'));
  }
  process.stdout.write(`${engine.counts.lines} lines, ${engine.rules} rules, ${found} matches of level ${options.level} and above\n`);
  return found > 0 ? FOUND : 0;
}

/** Take the baseline of a VM, or compare with it. */
export async function integrity(what: 'baseline' | 'check', vm: string, options: AskOptions): Promise<number> {
  const r = (await ask(options, what, { vm })) as CheckResult;
  process.stdout.write(`${vm}: ${r.entities} files and directories in ${r.seconds.toFixed(1)} s${what === 'check' ? `, ${r.changes} changes` : ''}${r.unreadable > 0 ? `, ${r.unreadable} unreadable` : ''}\n`);
  return 0;
}

export async function integrityStatus(options: AskOptions): Promise<number> {
  for (const b of (await ask(options, 'integrity')) as BaselineInfo[]) {
    process.stdout.write(`${b.vm}: ${b.entities} files and directories; baseline of ${b.made}${b.outdated ? ' under other rules' : ''}, ${b.checked === '' ? 'never checked' : `checked ${b.checked}`}\n`);
  }
  return 0;
}

export async function quarantineList(options: AskOptions & { readonly json: boolean }): Promise<number> {
  const entries = (await ask(options, 'quarantine')) as QuarantineEntry[];
  if (options.json) process.stdout.write(`${JSON.stringify(entries)}\n`);
  else for (const e of entries) process.stdout.write(`${e.id}  ${e.quarantined.slice(0, 19)}Z  ${e.vm}  ${size(e.size)}  ${e.signature}  ${e.path}\n`);
  return 0;
}

/** Put a file back into its VM; or, with `to`, write its content to a file here and leave it in the quarantine. */
export async function quarantineRestore(id: string, options: AskOptions & { readonly to?: string }): Promise<number> {
  if (options.to === undefined) {
    const entry = (await ask(options, 'restore', { id })) as QuarantineEntry;
    process.stdout.write(`${entry.path} is back in ${entry.vm}\n`);
    return 0;
  }
  const loaded = configOf(options.config);
  if (loaded === null) return 1;
  const { files } = loaded.config;
  const store = new QuarantineStore(resolve(loaded.base, files.state, 'quarantine'), files.quarantine.max_bytes, files.quarantine.max_file);
  await verified(store, id);
  await pipeline(Readable.from(store.content(id)), createWriteStream(options.to, { flags: 'wx', mode: 0o600 }));
  process.stdout.write(`${store.get(id)!.path} of ${store.get(id)!.vm} is in ${options.to}: it is malicious\n`);
  return 0;
}

export async function quarantineRemove(id: string, options: AskOptions): Promise<number> {
  await ask(options, 'remove', { id });
  process.stdout.write(`${id} is gone for ever\n`);
  return 0;
}
