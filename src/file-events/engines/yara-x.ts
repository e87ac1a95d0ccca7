/**
 * Engine `yara-x`: YARA rules by VirusTotal's own build of YARA-X, as WebAssembly in worker threads. Sandboxed by its memory:
 * a rule or file that breaks the matcher costs one thread, which is replaced, and the file counts as not scanned.
 */
import { createHash } from 'node:crypto';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { bytesOf, type ScanContent } from './content.js';
import { CLEAN, failed, malicious, notFullyScanned, reasonOf, type Engine, type ScanResult } from './engine.js';
import type { YaraAnswer, YaraRequest, YaraWorkerData } from './yara-x-worker.js';

export interface YaraXOptions {
  /** Rule files; a directory means all its *.yar and *.yara files. */
  readonly rules: readonly string[];
  /** Larger files are not scanned by this engine. */
  readonly max_file_size: number;
  readonly timeout_seconds: number;
  readonly threads: number;
}

/** After the matcher's own limit, how long until the thread is taken for stuck. */
const GRACE_MS = 2000;
const START_MS = 60_000;

interface Slot {
  worker: Worker;
  /** Ends the scan under way; null = idle. */
  busy: ((answer: Extract<YaraAnswer, { id: number }> | string) => void) | null;
}

export class YaraXEngine implements Engine {
  readonly name = 'yara-x';
  epoch = '';
  /** Threads replaced because they died or were stuck. */
  restarts = 0;
  readonly #options: YaraXOptions;
  #data: YaraWorkerData = { sources: [], timeoutMs: 0 };
  #slots: Slot[] = [];
  #waiting: (() => void)[] = [];
  #next = 0;
  #closed = false;

  constructor(options: YaraXOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.refresh();
  }

  async scan(content: ScanContent, signal: AbortSignal): Promise<ScanResult> {
    if (content.size > this.#options.max_file_size) return notFullyScanned(this.name, `limit: larger than ${this.#options.max_file_size} bytes`);
    let slot = this.#slots.find((s) => s.busy === null);
    while (slot === undefined) {
      if (this.#closed || signal.aborted) return failed(this.name, this.#closed ? 'unavailable: closed' : 'timeout: no thread was free');
      await new Promise<void>((go) => {
        this.#waiting.push(go);
        signal.addEventListener('abort', () => go(), { once: true });
      });
      slot = this.#slots.find((s) => s.busy === null);
    }
    return this.#scanIn(slot, content, signal);
  }

  async #scanIn(slot: Slot, content: ScanContent, signal: AbortSignal): Promise<ScanResult> {
    const id = ++this.#next;
    let timer: NodeJS.Timeout | null = null;
    let abort: (() => void) | null = null;
    const answered = new Promise<Extract<YaraAnswer, { id: number }> | string>((settle) => {
      slot.busy = settle;
      timer = setTimeout(() => settle('timeout: the matcher is stuck'), this.#data.timeoutMs + GRACE_MS);
      abort = () => settle('timeout: time limit of the scan');
      signal.addEventListener('abort', abort, { once: true });
    });
    // A copy, handed over: the thread gets memory of its own and nothing is cloned a second time.
    const bytes = new Uint8Array(bytesOf(content));
    slot.worker.postMessage({ id, bytes } satisfies YaraRequest, [bytes.buffer]);
    const answer = await answered;
    if (timer !== null) clearTimeout(timer);
    if (abort !== null) signal.removeEventListener('abort', abort);
    if (typeof answer === 'string') {
      await this.#replace(slot);
      return failed(this.name, answer);
    }
    slot.busy = null;
    this.#waiting.shift()?.();
    if (answer.rules.length > 0) return malicious(this.name, answer.rules[0]!);
    if (answer.complete) return CLEAN;
    return /timeout/i.test(answer.problem) ? notFullyScanned(this.name, 'limit: time') : failed(this.name, `engine-error: ${answer.problem.slice(0, 200)}`);
  }

  async refresh(): Promise<boolean> {
    const sources = await readRules(this.#options.rules);
    const stamp = createHash('sha256');
    for (const { file, text } of sources) stamp.update(`${file}\0${text}\0`);
    const epoch = stamp.digest('hex').slice(0, 16);
    if (epoch === this.epoch) return false;
    const data = { sources, timeoutMs: this.#options.timeout_seconds * 1000 };
    const fresh: Slot[] = [];
    try {
      for (let i = 0; i < this.#options.threads; i++) fresh.push(await this.#spawn(data));
    } catch (error) {
      await Promise.all(fresh.map((s) => s.worker.terminate()));
      throw error;
    }
    const old = this.#slots;
    this.#slots = fresh;
    this.#data = data;
    this.epoch = epoch;
    for (const slot of old) {
      slot.busy?.('unavailable: rules were replaced');
      await slot.worker.terminate();
    }
    for (const go of this.#waiting.splice(0)) go();
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const slots = this.#slots.splice(0);
    for (const go of this.#waiting.splice(0)) go();
    for (const slot of slots) {
      slot.busy?.('unavailable: closed');
      await slot.worker.terminate();
    }
  }

  async #replace(slot: Slot): Promise<void> {
    const at = this.#slots.indexOf(slot);
    await slot.worker.terminate();
    if (at < 0 || this.#closed) return;
    this.restarts++;
    try {
      this.#slots[at] = await this.#spawn(this.#data);
    } catch {
      // The thread limit or memory is exhausted: the engine goes on with one thread fewer, its scans fail when none is left.
      this.#slots.splice(this.#slots.indexOf(slot), 1);
    }
    this.#waiting.shift()?.();
  }

  async #spawn(data: YaraWorkerData): Promise<Slot> {
    const worker = new Worker(new URL('./yara-x-worker.js', import.meta.url), { workerData: data, resourceLimits: { maxOldGenerationSizeMb: 256 } });
    worker.unref();
    const slot: Slot = { worker, busy: null };
    await new Promise<void>((settle, reject) => {
      const late = setTimeout(() => reject(new Error('yara-x: the rules do not compile in time')), START_MS);
      worker.once('message', (m: YaraAnswer) => {
        clearTimeout(late);
        if ('error' in m) reject(new Error(`yara-x: ${m.error}`));
        else settle();
      });
      worker.once('error', (error) => {
        clearTimeout(late);
        reject(new Error(`yara-x: ${reasonOf(error)}`));
      });
    });
    worker.on('message', (m: YaraAnswer) => {
      if ('id' in m) slot.busy?.(m);
    });
    worker.on('error', (error) => slot.busy?.(`engine-error: ${reasonOf(error)}`));
    worker.on('exit', () => slot.busy?.('engine-error: the thread ended'));
    return slot;
  }
}

async function readRules(paths: readonly string[]): Promise<{ file: string; text: string }[]> {
  const files: string[] = [];
  for (const path of paths) {
    if ((await stat(path)).isDirectory()) files.push(...(await readdir(path)).filter((f) => /\.yara?$/.test(f)).toSorted().map((f) => join(path, f)));
    else files.push(path);
  }
  return Promise.all(files.map(async (file) => ({ file, text: await readFile(file, 'utf8') })));
}
