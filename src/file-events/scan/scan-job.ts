/** One scan of a tree: counts what there is, then looks at file after file, remembers how far it came, can pause and go on. */
import type { ScanOutcome } from '../engines/engine.js';
import type { FileTree, Walked } from './tree.js';
import { walk } from './tree.js';

/** `waiting`: for the VM's driver to come back. */
export type ScanState = 'running' | 'paused' | 'waiting' | 'done' | 'cancelled' | 'failed';

/** Progress and result; a row of the state database. */
export interface ScanRecord {
  readonly id: number;
  readonly trigger: 'on-demand' | 'scheduled' | 'offline';
  readonly name: string;
  readonly vm: string;
  readonly paths: readonly string[];
  readonly exclude: readonly string[];
  state: ScanState;
  /** Everything up to this path (in walking order) was looked at. */
  cursor: string;
  /** -1 = not counted yet. */
  files_total: number;
  bytes_total: number;
  files: number;
  bytes: number;
  clean: number;
  malicious: number;
  not_fully_scanned: number;
  failed: number;
  unreadable: number;
  /** Time spent scanning, pauses not counted. */
  active_ms: number;
  readonly created: string;
  ended: string;
  error: string;
}

export interface ScanRate {
  readonly files_per_second: number;
  readonly bytes_per_second: number;
  /** Seconds left at this rate; -1 = not known. */
  readonly eta_seconds: number;
}

/** @returns the outcome of one file */
export type LookAt = (tree: FileTree, walked: Walked) => Promise<ScanOutcome | 'unreadable'>;

const COLUMN = { clean: 'clean', malicious: 'malicious', 'not-fully-scanned': 'not_fully_scanned', failed: 'failed', unreadable: 'unreadable' } as const;
/** How often progress is written down at most, ms. */
const SAVE_MS = 1000;

export class ScanJob {
  readonly record: ScanRecord;
  /** Settles when it ended or paused. */
  ended: Promise<void> = Promise.resolve();
  readonly #tree: () => Promise<FileTree>;
  readonly #look: LookAt;
  readonly #save: (record: ScanRecord) => void;
  readonly #window: number;
  readonly #now: () => number;
  #stop: 'paused' | 'cancelled' | 'waiting' | null = null;
  #since = 0;
  #lastSave = 0;

  /**
   * @param tree opens what is to be scanned
   * @param window files looked at at the same time
   * @param now monotonic clock, ms
   */
  constructor(record: ScanRecord, parts: { tree: () => Promise<FileTree>; look: LookAt; save: (record: ScanRecord) => void; window: number; now: () => number }) {
    this.record = record;
    this.#tree = parts.tree;
    this.#look = parts.look;
    this.#save = parts.save;
    this.#window = parts.window;
    this.#now = parts.now;
  }

  /** Start, or go on where it stopped. */
  start(): void {
    this.#stop = null;
    this.record.state = 'running';
    this.record.ended = '';
    this.record.error = '';
    this.#since = this.#now();
    this.ended = this.#run();
  }

  /** Stop after the files under way. */
  async halt(as: 'paused' | 'cancelled'): Promise<void> {
    if (this.record.state === 'running') {
      this.#stop = as;
      await this.ended;
    } else if (this.record.state === 'waiting' || (as === 'cancelled' && this.record.state === 'paused')) this.#end(as);
  }

  rate(): ScanRate {
    const r = this.record;
    const seconds = (r.active_ms + (r.state === 'running' ? this.#now() - this.#since : 0)) / 1000;
    const files = seconds > 0 ? r.files / seconds : 0;
    const bytes = seconds > 0 ? r.bytes / seconds : 0;
    // Large files take as long as their bytes, small ones as long as a file takes: whichever is further behind decides.
    const left = r.files_total < 0 || seconds < 0.5 || files === 0 ? -1 : Math.max((r.files_total - r.files) / files, bytes > 0 ? (r.bytes_total - r.bytes) / bytes : 0, 0);
    return { files_per_second: Math.round(files * 10) / 10, bytes_per_second: Math.round(bytes), eta_seconds: r.state === 'running' && left >= 0 ? Math.ceil(left) : -1 };
  }

  async #run(): Promise<void> {
    const { record } = this;
    let tree: FileTree | null = null;
    try {
      tree = await this.#tree();
      if (record.files_total < 0) await this.#count(tree);
      if (this.#stop === null) await this.#scan(tree);
      this.#end(this.#stop ?? 'done');
    } catch (error) {
      record.error = error instanceof Error ? error.message : String(error);
      this.#end('failed');
    } finally {
      await tree?.close();
    }
  }

  #end(state: ScanState): void {
    const { record } = this;
    if (record.state === 'running') record.active_ms += Math.round(this.#now() - this.#since);
    record.state = state;
    this.#save(record);
  }

  async #count(tree: FileTree): Promise<void> {
    const { record } = this;
    let files = 0;
    let bytes = 0;
    const unreadable = (): void => {
      if (tree.lost) this.#stop ??= 'waiting';
    };
    for await (const { entry } of walk(tree, { paths: record.paths, exclude: record.exclude, after: '', unreadable })) {
      if (this.#stop !== null) return;
      files++;
      bytes += entry.size;
    }
    if (this.#stop !== null) return;
    record.files_total = files;
    record.bytes_total = bytes;
    this.#save(record);
  }

  async #scan(tree: FileTree): Promise<void> {
    const { record } = this;
    const under: { walked: Walked; outcome: Promise<ScanOutcome | 'unreadable'> }[] = [];
    const finish = async (): Promise<void> => {
      const { walked, outcome } = under.shift()!;
      const found = await outcome;
      if (tree.lost && (found === 'failed' || found === 'unreadable')) this.#stop ??= 'waiting';
      // What is behind the first file that could not be asked about is looked at again.
      if (this.#stop === 'waiting') return;
      record[COLUMN[found]]++;
      record.files++;
      record.bytes += walked.entry.size;
      // In walking order, so whatever is before it has been looked at too.
      record.cursor = walked.path;
      const now = this.#now();
      if (now - this.#lastSave < SAVE_MS) return;
      this.#lastSave = now;
      record.active_ms += Math.round(now - this.#since);
      this.#since = now;
      this.#save(record);
    };
    const unreadable = (): void => {
      if (tree.lost) this.#stop ??= 'waiting';
      else record.unreadable++;
    };
    for await (const walked of walk(tree, { paths: record.paths, exclude: record.exclude, after: record.cursor, unreadable })) {
      if (this.#stop !== null) break;
      under.push({ walked, outcome: this.#look(tree, walked) });
      if (under.length >= this.#window) await finish();
    }
    while (under.length > 0) await finish();
  }
}
