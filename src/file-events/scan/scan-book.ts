/** All scans of the appliance: kept in the state database, started on demand and by schedule, taken up again after a restart. */
import { DAYS, type ScheduleConfig } from '../config.js';
import { ScanJob, type LookAt, type ScanRate, type ScanRecord } from './scan-job.js';
import type { Database } from './state.js';
import type { FileTree } from './tree.js';

export interface ScanOrder {
  readonly trigger: ScanRecord['trigger'];
  readonly name: string;
  readonly vm: string;
  readonly paths: readonly string[];
  readonly exclude: readonly string[];
}

export interface ScanBookParts {
  readonly db: Database;
  /** @throws Error when the VM has neither driver nor root now */
  readonly tree: (record: ScanRecord) => Promise<FileTree>;
  readonly look: (record: ScanRecord) => LookAt;
  /** Files one scan looks at at the same time. */
  readonly window: number;
  readonly now: () => number;
  readonly wall: () => number;
  /** Told when a scan began, paused or ended. */
  readonly report: (record: ScanRecord) => void;
}

/** Ended scans kept for `drawbridge files status`. */
const KEEP = 200;

type Row = Omit<ScanRecord, 'paths' | 'exclude'> & { paths: string; exclude: string };

export class ScanBook {
  readonly #p: ScanBookParts;
  readonly #jobs = new Map<number, ScanJob>();
  readonly #lastRun = new Map<string, string>();

  constructor(parts: ScanBookParts) {
    this.#p = parts;
  }

  /** Take up what was running when the appliance stopped or died. */
  resumeAll(): void {
    for (const row of this.#p.db.prepare("SELECT * FROM scans WHERE state IN ('running', 'waiting', 'paused')").all() as Row[]) {
      const job = this.#job(fromRow(row));
      if (row.state !== 'paused') this.#start(job);
    }
  }

  /** @returns the number of the scan */
  order(order: ScanOrder): ScanRecord {
    const { db } = this.#p;
    const created = this.#iso();
    const { lastInsertRowid } = db
      .prepare("INSERT INTO scans (trigger, name, vm, paths, exclude, state, created) VALUES (?, ?, ?, ?, ?, 'running', ?)")
      .run(order.trigger, order.name, order.vm, JSON.stringify(order.paths), JSON.stringify(order.exclude), created);
    const job = this.#job(fromRow(db.prepare('SELECT * FROM scans WHERE id = ?').get(lastInsertRowid) as Row));
    this.#start(job);
    db.prepare("DELETE FROM scans WHERE ended <> '' AND id <= ?").run(Number(lastInsertRowid) - KEEP);
    return job.record;
  }

  /** Newest first. */
  list(): (ScanRecord & ScanRate)[] {
    const rows = this.#p.db.prepare('SELECT * FROM scans ORDER BY id DESC LIMIT ?').all(KEEP) as Row[];
    return rows.map((row) => {
      const job = this.#jobs.get(row.id);
      return job === undefined ? { ...fromRow(row), files_per_second: 0, bytes_per_second: 0, eta_seconds: -1 } : { ...job.record, ...job.rate() };
    });
  }

  /** @returns the record, undefined when there is no such scan under way or paused */
  async change(id: number, to: 'pause' | 'resume' | 'cancel'): Promise<ScanRecord | undefined> {
    const job = this.#jobs.get(id);
    if (job === undefined) return undefined;
    if (to === 'resume') {
      if (job.record.state === 'paused') this.#start(job);
    } else await job.halt(to === 'pause' ? 'paused' : 'cancelled');
    return job.record;
  }

  /** A VM's driver is back: go on with what waited for it. */
  connected(vm: string): void {
    for (const job of this.#jobs.values()) if (job.record.vm === vm && job.record.state === 'waiting') this.#start(job);
  }

  /** Settles when the scan paused or ended. */
  async settled(id: number): Promise<void> {
    await this.#jobs.get(id)?.ended;
  }

  /** Start what is due in this minute; call about every 20 seconds. @param vms names a schedule without `vms` means */
  tick(schedules: readonly ScheduleConfig[], vms: readonly string[]): void {
    const now = new Date(this.#p.wall());
    const minute = now.toISOString().slice(0, 16);
    for (const s of schedules) {
      if (minute.slice(11) !== s.at || this.#lastRun.get(s.name) === minute) continue;
      if (s.days !== undefined && !s.days.includes(DAYS[now.getUTCDay()]!)) continue;
      this.#lastRun.set(s.name, minute);
      for (const vm of s.vms ?? vms) {
        // The one of yesterday is still at it: a second one would only slow it down.
        if ([...this.#jobs.values()].some((j) => j.record.name === s.name && j.record.vm === vm)) continue;
        this.order({ trigger: 'scheduled', name: s.name, vm, paths: s.paths, exclude: s.exclude });
      }
    }
  }

  /** Stop all; they are taken up again by `resumeAll`. */
  async close(): Promise<void> {
    for (const job of [...this.#jobs.values()].filter((j) => j.record.state === 'running')) {
      await job.halt('paused');
      if (stateOf(job) === 'paused') this.#save({ ...job.record, state: 'running' });
    }
  }

  #job(record: ScanRecord): ScanJob {
    const job = new ScanJob(record, { tree: () => this.#p.tree(record), look: this.#p.look(record), save: (r) => this.#save(r), window: this.#p.window, now: this.#p.now });
    this.#jobs.set(record.id, job);
    return job;
  }

  #start(job: ScanJob): void {
    job.start();
    this.#p.report(job.record);
    void job.ended.then(() => {
      const { record } = job;
      if (record.state !== 'paused' && record.state !== 'waiting') {
        record.ended = this.#iso();
        this.#save(record);
        this.#jobs.delete(record.id);
      }
      this.#p.report(record);
    });
  }

  #save(r: ScanRecord): void {
    this.#p.db
      .prepare(
        'UPDATE scans SET state = ?, cursor = ?, files_total = ?, bytes_total = ?, files = ?, bytes = ?, clean = ?, malicious = ?, not_fully_scanned = ?, failed = ?, unreadable = ?, active_ms = ?, ended = ?, error = ? WHERE id = ?',
      )
      .run(r.state, r.cursor, r.files_total, r.bytes_total, r.files, r.bytes, r.clean, r.malicious, r.not_fully_scanned, r.failed, r.unreadable, r.active_ms, r.ended, r.error, r.id);
  }

  #iso(): string {
    return new Date(this.#p.wall()).toISOString();
  }
}

/** The state now, whatever it was when the compiler looked. */
function stateOf(job: ScanJob): ScanRecord['state'] {
  return job.record.state;
}

function fromRow(row: Row): ScanRecord {
  return { ...row, paths: JSON.parse(row.paths) as string[], exclude: JSON.parse(row.exclude) as string[] };
}
