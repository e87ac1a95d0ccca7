/** The verdict path put together from its configuration: what the appliance starts, the driver server calls and `drawbridge files` asks. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { VerdictCache } from './cache/verdict-cache.js';
import type { FilesConfig, VmFilesConfig } from './config.js';
import { ContentSpool } from './engines/content.js';
import { EngineSet } from './engines/engine-set.js';
import { createEngines, type EngineConfig } from './engines/registry.js';
import { notFullyScanned, reasonOf, type ScanResult } from './engines/engine.js';
import type { FlowFile } from './flow-files/collector.js';
import type { FlowOrigin } from './flow-files/journal.js';
import type { FileEventHandler } from './handler.js';
import { IntegrityMonitor, type IntegrityChange } from './integrity/monitor.js';
import type { Finding } from './judge/finding.js';
import { FileJudge } from './judge/judge.js';
import type { FilePolicy } from './judge/policy.js';
import { restore } from './judge/remedy.js';
import type { VmState } from './judge/vms.js';
import { loadLogEngine } from './log-inspection/rule-files.js';
import { LogWatcher, type LogFinding } from './log-inspection/watcher.js';
import { ChangeKind } from './protocol/limits.js';
import { QuarantineStore, type QuarantineEntry } from './quarantine/store.js';
import { Priority, ScanQueue } from './queue/scan-queue.js';
import { DriverTree } from './scan/driver-tree.js';
import { FileScanner } from './scan/file-scanner.js';
import { LocalTree } from './scan/local-tree.js';
import { ScanBook } from './scan/scan-book.js';
import type { ScanRecord } from './scan/scan-job.js';
import { openState, type Database } from './scan/state.js';
import type { FileTree } from './scan/tree.js';

export interface FileServiceOptions {
  readonly config: FilesConfig;
  /** `files` sections of the VMs, by name. */
  readonly vms: Readonly<Record<string, VmFilesConfig | undefined>>;
  /** Makes a path of the configuration absolute. */
  readonly resolve: (path: string) => string;
  /** Engines when the configuration names none. */
  readonly defaultEngines: readonly EngineConfig[];
  readonly onFinding: (finding: Finding) => void;
  readonly onScan: (record: ScanRecord) => void;
  readonly onIntegrity: (change: IntegrityChange) => void;
  readonly onLog: (finding: LogFinding) => void;
  /** Log rules when the configuration names none. */
  readonly defaultLogRules: readonly string[];
  /** Told what went wrong, in one line. */
  readonly log: (text: string) => void;
  /** Monotonic clock, ms; the driver server's. */
  readonly now: () => number;
  /** Wall clock, ms since 1970. */
  readonly wall: () => number;
  /** 32 random bits. */
  readonly random: () => number;
  /** Calls back every `ms` until the returned function is called. */
  readonly every: (ms: number, call: () => void) => () => void;
  readonly sleep: (ms: number) => Promise<void>;
}

/** How often schedules are looked at, ms: several times a minute, so that none is missed. */
const TICK_MS = 20_000;
/** How often logs below root directories are looked at. */
const POLL_MS = 1000;
/** Files read for each one that is scanned: reading waits for guests and disks, scanning for processors. */
const READ_AHEAD = 4;
/** Contents judged again at a time after new signatures. */
const REJUDGE_WINDOW = 4;

export class FileService {
  readonly judge: FileJudge;
  readonly cache: VerdictCache;
  readonly engines: EngineSet;
  readonly queue: ScanQueue;
  readonly scanner: FileScanner;
  readonly spool: ContentSpool;
  readonly store: QuarantineStore;
  readonly scans: ScanBook;
  readonly integrity: IntegrityMonitor;
  /** null = no log is inspected. */
  readonly logs: LogWatcher | null;
  /** Contents judged again after new signatures, and those of them that became malicious. */
  readonly rejudged = { done: 0, malicious: 0, unreachable: 0 };
  /** Told the number of each new signature epoch: the driver server has every driver forget what it remembers. */
  onEpoch: (epoch: number) => void;
  /** Files of flows that came to be judged, by outcome. */
  readonly flowFiles = { clean: 0, malicious: 0, 'not-fully-scanned': 0, failed: 0 };
  readonly #o: FileServiceOptions;
  readonly #db: Database;
  readonly #timers: (() => void)[] = [];
  #rejudging: Promise<void> = Promise.resolve();
  #polling: Promise<void> | null = null;
  #closed = false;

  /** Opens state and quarantine. @throws Error or system error that names what is wrong */
  constructor(options: FileServiceOptions) {
    this.#o = options;
    const { config, now, wall } = options;
    this.onEpoch = (epoch) => {
      for (const { session } of this.judge.vms.all) if (session?.open === true) session.forget(epoch);
    };
    const state = options.resolve(config.state);
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const engines = createEngines(config.engines.length > 0 ? config.engines : options.defaultEngines, options.resolve, options.sleep);
    this.engines = new EngineSet(engines, config.scan_seconds * 1000, now);
    this.cache = new VerdictCache(config.cache.contents);
    this.queue = new ScanQueue({ concurrency: config.concurrency * READ_AHEAD, background: Math.max(1, (config.concurrency * READ_AHEAD) >> 1), maxWaiting: config.queue.max, maxWaitingPerVm: config.queue.max_per_vm }, now);
    this.spool = new ContentSpool(join(state, 'spool'), config.spool);
    this.store = new QuarantineStore(join(state, 'quarantine'), config.quarantine.max_bytes, config.quarantine.max_file);
    for (const text of this.store.damaged) options.log(`quarantine: ${text}`);
    this.scanner = new FileScanner({ cache: this.cache, engines: this.engines, queue: this.queue, spool: this.spool, maxFileSize: config.max_file_size, scans: config.concurrency, now });
    const policies = new Map<string, FilePolicy>();
    this.judge = new FileJudge({
      cache: this.cache,
      engines: this.engines,
      scanner: this.scanner,
      store: this.store,
      policy: (vm) => {
        let policy = policies.get(vm);
        if (policy === undefined) policies.set(vm, (policy = { ...config, ...options.vms[vm] }));
        return policy;
      },
      report: options.onFinding,
      now,
      wall,
      seed: [options.random(), options.random()],
      maxIdentities: config.cache.identities_per_vm,
    });
    this.#db = openState(join(state, 'state.db'));
    this.scans = new ScanBook({
      db: this.#db,
      tree: async (record) => this.#treeOf(record.vm),
      look: (record) => (tree, walked) => this.judge.look(this.judge.vms.named(record.vm), tree, walked, record.trigger),
      // Enough that one file is read while another is scanned.
      window: Math.max(2, config.concurrency),
      now,
      wall,
      report: options.onScan,
    });
    this.integrity = new IntegrityMonitor({
      db: this.#db, rules: config.integrity.rules, tree: (vm) => this.#treeOf(vm), report: options.onIntegrity, log: options.log, now, wall, sleep: options.sleep,
    });
    const { logs } = config;
    const roots = new Map(Object.entries(options.vms).flatMap(([vm, files]) => (files?.root === undefined ? [] : [[vm, options.resolve(files.root)] as const])));
    this.logs =
      logs.sources.length === 0
        ? null
        : new LogWatcher({
            engine: loadLogEngine(logs.rules.length > 0 ? logs.rules.map((path) => options.resolve(path)) : options.defaultLogRules),
            sources: logs.sources, minLevel: logs.min_level, roots, report: options.onLog, log: options.log, wall, sleep: options.sleep,
          });
    this.judge.onChange = ({ session, path, process, kind }) => this.integrity.changed(session.vm, kind === ChangeKind.LOST ? '' : path, process);
  }

  /** Compare every VM that has a baseline. */
  async #checkAll(): Promise<void> {
    for (const { vm } of this.integrity.list()) {
      await this.integrity.check(vm).catch((error: unknown) => this.#o.log(`integrity of ${vm}: ${reasonOf(error)}`));
    }
  }

  /** What the driver server calls. */
  get handler(): FileEventHandler {
    const { judge } = this;
    return {
      connected: (session) => {
        judge.connected(session);
        this.scans.connected(session.vm);
        this.logs?.connected(session);
      },
      disconnected: (session) => judge.disconnected(session),
      judge: (event) => judge.judge(event),
      changed: (change) => judge.changed(change),
    };
  }

  /** Engines ready, scans taken up again, timers running. @throws Error that names the engine that does not start */
  async start(): Promise<void> {
    await this.spool.open();
    await this.engines.start();
    this.scans.resumeAll();
    const { config, every } = this.#o;
    this.#timers.push(every(config.refresh_seconds * 1000, () => void this.refresh()));
    const { logs } = this;
    if (logs !== null) this.#timers.push(every(POLL_MS, () => void (this.#polling ??= logs.poll().finally(() => (this.#polling = null)))));
    const { check_hours } = config.integrity;
    if (check_hours > 0) this.#timers.push(every(check_hours * 3_600_000, () => void this.#checkAll()));
    this.#timers.push(every(TICK_MS, () => this.scans.tick(config.schedules, this.#scannable())));
  }

  /** Take new signatures; when there are any, drivers forget and contents are judged again. @returns true when there were */
  async refresh(): Promise<boolean> {
    const changed = await this.engines.refresh(this.#o.log);
    if (!changed || this.#closed) return false;
    this.onEpoch(this.engines.epochNumber);
    await this.#rejudging;
    this.#rejudging = this.#rejudge();
    return true;
  }

  /** Settles when everything known has been judged by the signatures in force. */
  async settled(): Promise<void> {
    await this.#rejudging;
  }

  /**
   * Put a quarantined file back where it was, through its VM's driver.
   * @throws Error when the driver is not connected, something is at its place, or the file was altered
   */
  async restore(id: string): Promise<QuarantineEntry> {
    const entry = this.store.get(id);
    if (entry === undefined) throw new Error(`there is no file ${id} in the quarantine`);
    const session = this.judge.vms.get(entry.vm)?.session;
    if (session?.open !== true) throw new Error(`the driver of ${entry.vm} is not connected: take the file out with --to instead`);
    return restore(session, this.store, id);
  }

  /** Scan paths of a VM now. @throws Error when there is no such VM */
  scan(vm: string, paths: readonly string[], exclude: readonly string[]): ScanRecord {
    if (!(vm in this.#o.vms)) throw new Error(`there is no VM "${vm}"; known: ${Object.keys(this.#o.vms).join(', ') || 'none'}`);
    return this.scans.order({ trigger: 'on-demand', name: '', vm, paths, exclude });
  }

  /**
   * Judge a file that a flow has delivered; remembers the flow, reports what is not clean. Never rejects.
   * @param block cuts the sender off. @returns what was found
   */
  async judgeFlowFile(file: FlowFile, origin: FlowOrigin, block: ((origin: FlowOrigin, toServer: boolean) => void) | null): Promise<ScanResult> {
    const receiver = file.toServer ? origin.dest_vm : origin.src_vm;
    const vm = this.judge.vms.named(receiver);
    const { bytes, sha256, size } = file;
    const time = new Date(this.#o.wall()).toISOString();
    this.judge.deliveries.note(sha256, { origin, filename: file.name, time, receiver });
    const known = this.cache.get(sha256, this.engines.epoch);
    let result: ScanResult;
    if (known !== undefined) ({ result } = known);
    else if (bytes === null) result = (await this.engines.byHash(sha256)) ?? notFullyScanned('', 'limit: too large to be kept from the flow');
    else {
      const judged = await this.scanner.judge({
        vm: vm.number, path: file.name, size, priority: Priority.ON_DEMAND, deadlineMs: Infinity, key: `sha256:${sha256}`, claim: sha256,
        read: async (offset, length) => bytes.subarray(offset, offset + length),
      });
      ({ result } = judged);
    }
    this.flowFiles[result.outcome]++;
    if (result.outcome !== 'clean') {
      const cut = result.outcome === 'malicious' && block !== null;
      if (cut) block(origin, file.toServer);
      this.#o.onFinding({
        trigger: 'flow', vm: receiver, path: file.name, size, sha256, result, action: cut ? 'source-blocked' : 'none', remedyError: '', quarantine: '', process: null,
        vms: known === undefined ? [] : this.judge.vms.names(known.holders.members()), repeats: 0, origin, delivered: null,
      });
    }
    return result;
  }

  /** Stop in order; scans are taken up again at the next start. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#timers.splice(0)) stop();
    this.logs?.close();
    await this.scans.close();
    await this.integrity.close();
    this.queue.close();
    await this.#rejudging;
    await this.engines.close();
    this.#db.close();
  }

  #scannable(): string[] {
    return Object.keys(this.#o.vms).filter((name) => this.#o.vms[name]?.root !== undefined || this.judge.vms.get(name)?.session?.open === true);
  }

  #treeOf(vm: string): FileTree {
    const root = this.#o.vms[vm]?.root;
    if (root !== undefined) return new LocalTree(this.#o.resolve(root));
    return new DriverTree(this.judge.vms.get(vm)?.session ?? null, this.#o.config.max_file_size);
  }

  /** Most asked for first; each from where it was last seen. Others that hold it will ask again, since their drivers forgot. */
  async #rejudge(): Promise<void> {
    const { epoch } = this.engines;
    const stale = this.cache.stale(epoch);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < stale.length && !this.#closed && this.engines.epoch === epoch) {
        const record = stale[next++]!;
        const vm = record.seen === null ? undefined : this.judge.vms.all[record.seen.vm];
        if (vm === undefined || record.seen === null) continue;
        await this.#again(vm, record.seen.path, record.sha256);
      }
    };
    await Promise.all(Array.from({ length: REJUDGE_WINDOW }, worker));
  }

  async #again(vm: VmState, path: string, sha256: string): Promise<void> {
    const root = this.#o.vms[vm.name]?.root;
    const tree = root !== undefined ? new LocalTree(this.#o.resolve(root)) : vm.session?.open === true ? new DriverTree(vm.session, 0) : null;
    try {
      const file = await tree?.open(path);
      if (tree === null || file === undefined) throw new Error('not reachable');
      try {
        const found = await this.judge.judgeAgain(vm, path, file, sha256);
        if (found === 'moved') this.rejudged.unreachable++;
        else this.rejudged.done++;
        if (found === 'malicious') this.rejudged.malicious++;
      } finally {
        await file.close();
      }
    } catch (error) {
      // It is judged when somebody opens it: its old verdict does not count any more.
      this.rejudged.unreachable++;
      if (!/ENOENT|not reachable|ENOTCONN|ECANCELED/.test(reasonOf(error))) this.#o.log(`judging ${path} of ${vm.name} again: ${reasonOf(error)}`);
    } finally {
      await tree?.close();
    }
  }
}
