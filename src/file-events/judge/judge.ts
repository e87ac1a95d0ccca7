/**
 * The verdict path as the driver server calls it. An event whose file is known by identity is answered at once, from two table
 * look-ups; everything else goes on asynchronously: shared identity (descriptor of this host), claimed hash, content.
 */
import { hostIdentity, isLocal, type HostIdentity } from '../cache/host-identity.js';
import { IdentityTable } from '../cache/identity-table.js';
import type { ContentRecord, VerdictCache } from '../cache/verdict-cache.js';
import { failed, reasonOf, type ScanOutcome, type ScanResult } from '../engines/engine.js';
import type { EngineSet } from '../engines/engine-set.js';
import type { Disposition, DriverSession, FileChange, FileEvent, FileEventHandler } from '../handler.js';
import { DeliveryJournal } from '../flow-files/journal.js';
import { describeIdentity } from '../protocol/identity.js';
import { EVENT_KIND_NAMES, FileVerdict, type ChangeKind } from '../protocol/limits.js';
import type { ProcessInfo } from '../protocol/messages.js';
import type { QuarantineStore } from '../quarantine/store.js';
import { Priority } from '../queue/scan-queue.js';
import type { FileScanner, Judgement } from '../scan/file-scanner.js';
import type { FileTree, TreeFile, Walked } from '../scan/tree.js';
import type { Report, Trigger } from './finding.js';
import { allows, type FilePolicy } from './policy.js';
import { remedy, type Remedied } from './remedy.js';
import { Repeats } from './repeats.js';
import { VmDirectory, type VmState } from './vms.js';

export interface JudgeParts {
  readonly cache: VerdictCache;
  readonly engines: EngineSet;
  readonly scanner: FileScanner;
  readonly store: QuarantineStore;
  /** Policy of a VM by name. */
  readonly policy: (vm: string) => FilePolicy;
  readonly report: Report;
  /** Monotonic clock, ms: that of FileEvent.deadlineMs. */
  readonly now: () => number;
  /** Wall clock, ms since 1970. */
  readonly wall: () => number;
  /** Two random words for the identity tables. */
  readonly seed: readonly [number, number];
  /** Identities remembered per VM. */
  readonly maxIdentities: number;
}

/**
 * A file changed less than this before it was read may change again without its times telling: timestamps move with the
 * kernel's tick (10 ms at most); the rest is for a guest whose clock is slightly off. Its identity is not trusted yet.
 */
const SETTLED_MS = 1000;
/** A remedy of the same file is not tried more often. */
const REMEDY_PAUSE_MS = 10_000;

const ALLOW: Disposition = { verdict: FileVerdict.ALLOW, remember: true, reason: 'clean' };

export class FileJudge implements FileEventHandler {
  readonly vms: VmDirectory;
  /** What flows delivered. */
  readonly deliveries = new DeliveryJournal();
  /** Answers by how they were found. */
  readonly counts = { events: 0, byIdentity: 0, byHostIdentity: 0, byClaim: 0, bySlowPath: 0, allowed: 0, denied: 0, cancelled: 0, savedBytes: 0, remedied: 0, remedyFailed: 0 };
  /** Sees the time from the event's arrival to its answer (ms); 0 for those answered at once. */
  onAnswer: ((ms: number) => void) | null = null;
  /** Who follows changes: directory entries as the driver tells them, and kind 0 for a file that was written. */
  onChange: ((change: Pick<FileChange, 'path' | 'process' | 'session'> & { readonly kind: ChangeKind | 0 }) => void) | null = null;
  readonly #p: JudgeParts;
  /** Identities of files of this host, seen through passed descriptors: what fstat says here no guest can forge. */
  readonly #host: IdentityTable;
  readonly #repeats: Repeats;
  readonly #remedies = new Map<string, number>();

  constructor(parts: JudgeParts) {
    this.#p = parts;
    this.vms = new VmDirectory(parts.seed, parts.maxIdentities);
    this.#host = new IdentityTable(parts.seed, parts.maxIdentities * 8);
    this.#repeats = new Repeats(parts.now);
  }

  get hostIdentities(): number {
    return this.#host.size;
  }

  connected(session: DriverSession): void {
    this.vms.connected(session);
  }

  disconnected(session: DriverSession): void {
    this.vms.disconnected(session);
  }

  changed(change: FileChange): void {
    this.onChange?.(change);
  }

  judge(event: FileEvent): Disposition | Promise<Disposition> {
    const { counts } = this;
    counts.events++;
    // Somebody wrote the file: what changed is for others to find out.
    if (!event.permission) this.onChange?.({ kind: 0, path: event.path, process: event.process, session: event.session });
    const vm = this.vms.of(event.session);
    const serial = vm.identities.get(event.meta.identity);
    if (serial !== 0) {
      const record = this.#p.cache.bySerial(serial, this.#p.engines.epoch);
      if (record !== undefined) {
        counts.byIdentity++;
        this.onAnswer?.(0);
        return this.#fromRecord(vm, event, record);
      }
    }
    return this.#slow(vm, event);
  }

  /** Of a record: the common case without allocation. */
  #fromRecord(vm: VmState, event: FileEvent, record: ContentRecord): Disposition {
    record.hits++;
    record.holders.add(vm.number);
    this.counts.savedBytes += event.size;
    if (record.result.outcome === 'clean') {
      this.counts.allowed++;
      return ALLOW;
    }
    return this.#answer(vm, event, record.result, record.sha256, record);
  }

  async #slow(vm: VmState, event: FileEvent): Promise<Disposition> {
    const started = this.#p.now();
    const disposition = await this.#find(vm, event);
    this.onAnswer?.(this.#p.now() - started);
    return disposition;
  }

  async #find(vm: VmState, event: FileEvent): Promise<Disposition> {
    const { cache, engines, scanner } = this.#p;
    const { content } = event;
    const host = content.fd >= 0 ? hostIdentity(content.fd) : null;
    let claim = '';
    let settled = false;
    if (host !== null) {
      settled = this.#settled(host.ctimeMs);
      const record = cache.bySerial(this.#host.get(host.key), engines.epoch);
      if (record !== undefined) {
        this.counts.byHostIdentity++;
        // Within the guest the same state of the same file: what changed since changed its identity here too.
        if (settled) vm.identities.set(event.meta.identity, record.serial);
        return this.#fromRecord(vm, event, record);
      }
    } else {
      try {
        const digest = await content.sha256();
        claim = Buffer.from(digest.sha256).toString('hex');
        settled = digest.identity === event.meta.identity && this.#settled(Number(describeIdentity(event.meta.identity).ctimeNs / 1_000_000n));
      } catch (error) {
        return this.#answer(vm, event, failed('', `unreadable: ${reasonOf(error)}`), '', null);
      }
      const record = cache.get(claim, engines.epoch);
      if (record !== undefined) {
        this.counts.byClaim++;
        if (settled) vm.identities.set(event.meta.identity, record.serial);
        return this.#fromRecord(vm, event, record);
      }
    }
    this.counts.bySlowPath++;
    const judged = await scanner.judge({
      vm: vm.number,
      path: event.path,
      size: content.size,
      priority: event.permission ? Priority.ON_ACCESS : Priority.ON_DEMAND,
      deadlineMs: event.deadlineMs,
      key: host !== null ? `host:${host.key}` : `sha256:${claim}`,
      claim,
      read: (offset, length) => content.read(offset, length),
    });
    this.#learn(vm, event, judged, host, claim, settled);
    return this.#answer(vm, event, judged.result, judged.sha256, judged.record);
  }

  /** Tie the file's identity to what was found, when it is certain that it is the identity of those bytes. */
  #learn(vm: VmState, event: FileEvent, judged: Judgement, host: HostIdentity | null, claim: string, settled: boolean): void {
    const { record } = judged;
    if (record === null) return;
    record.holders.add(vm.number);
    if (!settled || event.cancelled) return;
    if (host !== null) {
      if (hostIdentity(event.content.fd)?.key !== host.key) return;
      if (isLocal(event.content.fd)) this.#host.set(host.key, record.serial);
    } else if (claim !== judged.sha256) return;
    vm.identities.set(event.meta.identity, record.serial);
  }

  #settled(ctimeMs: number): boolean {
    const age = this.#p.wall() - ctimeMs;
    return age >= SETTLED_MS;
  }

  #answer(vm: VmState, event: FileEvent, result: ScanResult, sha256: string, record: ContentRecord | null): Disposition {
    if (event.cancelled) this.counts.cancelled++;
    const policy = this.#p.policy(vm.name);
    const allowed = allows(policy, result.outcome);
    if (allowed) this.counts.allowed++;
    else this.counts.denied++;
    if (result.outcome !== 'clean') {
      const trigger = EVENT_KIND_NAMES[event.kind] as Trigger;
      void this.act(vm, { path: event.path, size: event.size, sha256, result, trigger, process: event.process, waits: event.permission, record });
    }
    return { verdict: allowed ? FileVerdict.ALLOW : FileVerdict.DENY, remember: record !== null, reason: result.outcome };
  }

  /**
   * Look at a file that a scan came to. What is known is not read again.
   * @returns its outcome; `unreadable` when it could not be opened
   */
  async look(vm: VmState, tree: FileTree, { path, entry }: Walked, trigger: Trigger): Promise<ScanOutcome | 'unreadable'> {
    const { cache, engines, scanner } = this.#p;
    const { identity } = entry.meta;
    let record = cache.bySerial(vm.identities.get(identity), engines.epoch) ?? (entry.claim === '' ? undefined : cache.get(entry.claim, engines.epoch));
    let result: ScanResult;
    let sha256: string;
    if (record !== undefined) {
      record.hits++;
      ({ result, sha256 } = record);
    } else {
      let file: TreeFile;
      try {
        file = await tree.open(path);
      } catch {
        return 'unreadable';
      }
      try {
        const settled = this.#settled(Number(describeIdentity(file.meta.identity).ctimeNs / 1_000_000n));
        const judged = await scanner.judge({
          vm: vm.number,
          path,
          size: file.size,
          priority: trigger === 'scheduled' ? Priority.SCHEDULED : Priority.ON_DEMAND,
          deadlineMs: Infinity,
          key: `file:${vm.number}:${file.meta.identity}`,
          claim: '',
          read: (offset, length) => file.read(offset, length),
        });
        ({ result, sha256 } = judged);
        record = judged.record ?? undefined;
        if (record !== undefined && settled && file.meta.identity === identity) vm.identities.set(identity, record.serial);
      } finally {
        await file.close().catch(() => undefined);
      }
    }
    record?.holders.add(vm.number);
    if (result.outcome !== 'clean') await this.act(vm, { path, size: entry.size, sha256, result, trigger, process: null, waits: false, record: record ?? null });
    return result.outcome;
  }

  /**
   * Judge a known content again, after new signatures, from a file that held it. Reports and acts when it is not clean any more.
   * @returns `moved` when the file holds something else now
   */
  async judgeAgain(vm: VmState, path: string, file: TreeFile, sha256: string): Promise<ScanOutcome | 'moved'> {
    const judged = await this.#p.scanner.judge({
      vm: vm.number, path, size: file.size, priority: Priority.REJUDGE, deadlineMs: Infinity, key: `again:${sha256}`, claim: '', read: (offset, length) => file.read(offset, length),
    });
    if (judged.sha256 !== '' && judged.sha256 !== sha256) return 'moved';
    const { result, record } = judged;
    if (result.outcome === 'malicious') await this.act(vm, { path, size: file.size, sha256, result, trigger: 're-judged', process: null, waits: false, record });
    return result.outcome;
  }

  /**
   * Do what the policy says about a file that is not clean, and report it. Never rejects.
   * @returns what was done
   */
  async act(
    vm: VmState,
    file: { readonly path: string; readonly size: number; readonly sha256: string; readonly result: ScanResult; readonly trigger: Trigger; readonly process: ProcessInfo | null; readonly waits: boolean; readonly record: ContentRecord | null },
  ): Promise<Remedied> {
    const policy = this.#p.policy(vm.name);
    const { result } = file;
    const allowed = allows(policy, result.outcome);
    let done: Remedied = { action: allowed ? (file.waits ? 'allowed' : 'none') : file.waits ? 'denied' : 'none', quarantine: '', error: '' };
    const removes = result.outcome === 'malicious' && (policy.on_malicious === 'quarantine' || policy.on_malicious === 'delete');
    const key = `${vm.number}\0${file.path}\0${file.sha256}`;
    if (removes && this.#due(key)) {
      const { session } = vm;
      if (session === null || !session.open) done = { ...done, error: 'the driver is not connected' };
      else {
        done = await remedy(session, { vm: vm.name, path: file.path, size: file.size, sha256: file.sha256, signature: result.signature, engine: result.engine }, policy, this.#p.store, new Date(this.#p.wall()).toISOString());
        // Nobody was denied anything when the file was only found by a scan.
        if (done.error !== '' && !file.waits) done = { ...done, action: 'none' };
      }
      if (done.error === '') this.counts.remedied++;
      else this.counts.remedyFailed++;
    }
    const repeats = this.#repeats.pass(key, done.action === 'quarantined' || done.action === 'deleted');
    if (repeats >= 0) {
      this.#p.report({
        trigger: file.trigger,
        vm: vm.name,
        path: file.path,
        size: file.size,
        sha256: file.sha256,
        result,
        action: done.action,
        remedyError: done.error,
        quarantine: done.quarantine,
        process: file.process,
        vms: file.record === null ? [vm.name] : this.vms.names(file.record.holders.members()),
        repeats,
        origin: null,
        delivered: file.sha256 === '' ? null : (this.deliveries.find(file.sha256, vm.name) ?? null),
      });
    }
    return done;
  }

  #due(key: string): boolean {
    const now = this.#p.now();
    if (this.#remedies.size > 4096) this.#remedies.clear();
    const last = this.#remedies.get(key);
    if (last !== undefined && now - last < REMEDY_PAUSE_MS) return false;
    this.#remedies.set(key, now);
    return true;
  }
}
