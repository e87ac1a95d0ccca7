/**
 * The running appliance as the main thread sees it: starts the data-plane worker, drains its events into the event file,
 * serves metrics and health, and stops everything in order. `run` and the lab are thin shells around it.
 */
import { dirname, resolve } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { wakeFd } from '@drawbridge/native';
import type { Refusal } from '../ips/index.js';
import type { FileService } from '../file-events/index.js';
import { Counters, G_RELOADS, G_RELOAD_FAILURES } from '../pipeline/index.js';
import { SpscRing } from '../util/index.js';
import type { Config, LoadedConfig } from './config/load.js';
import { collectGarbage } from './collect-garbage.js';
import { FileSink } from './events/sink.js';
import { DriverServing, servesDrivers } from './driver-serving.js';
import { FileScanning } from './file-scanning.js';
import { FlowFileWindow } from './flow-files.js';
import { createRegistry } from './metrics/metrics.js';
import { serveMetrics, type MetricsServer } from './metrics/server.js';
import { prepareReload, refusalKey, ReloadRefused } from './reload.js';
import { VERSION } from './version.js';
import { keepApproval } from './approvals.js';
import type { SwitchAnswer, SwitchRequest } from './switch-control.js';
import type { WorkerInput, WorkerMessage, WorkerOrder } from './worker.js';

const EVENT_RING_BYTES = 8 * 1024 * 1024;
const DRAIN_MS = 20;
const COLLECT_AFTER_MS = 2000;

export interface ApplianceOptions {
  readonly log: (text: string) => void;
  /** Sees every event line as it is written. */
  readonly onEvent?: (line: string) => void;
  /** Stay as privileged as the process is, whatever the configuration says. */
  readonly keepPrivileges?: boolean;
}

export class Appliance {
  /** In force: a reload replaces it. */
  config: Config;
  readonly counters: Counters;
  readonly eventFile: string;
  /** Rules loaded and refused, once started. */
  rules = 0;
  refusals: readonly Refusal[] = [];
  generation = 1;
  /** Metrics address, '' without a listener. */
  metricsUrl = '';
  /** Settles when the data plane ended by itself; with what went wrong. */
  readonly failed: Promise<string>;
  readonly #input: WorkerInput;
  readonly #channel = new MessageChannel();
  readonly #ring: SpscRing;
  readonly #sink: FileSink | null;
  readonly #log: (text: string) => void;
  readonly #onEvent: ((line: string) => void) | null;
  readonly #file: string;
  readonly #flowFiles = FlowFileWindow.shared();
  #files: FileScanning | null = null;
  #drivers: DriverServing | null = null;
  #worker: Worker | null = null;
  #metrics: MetricsServer | null = null;
  #drainTimer: NodeJS.Timeout | null = null;
  #wakeFd = -1;
  #reloads: Promise<void> = Promise.resolve();
  #reloading: { readonly settle: (rules: number) => void; readonly reject: (error: Error) => void } | null = null;
  /** Questions to the switch that wait for their answer, by number. */
  readonly #asked = new Map<number, (answer: SwitchAnswer) => void>();
  #questions = 0;
  #state: 'new' | 'running' | 'stopping' | 'dead' = 'new';
  #scratch = new Uint8Array(1024 * 1024);
  #fail: (text: string) => void = () => undefined;

  /**
   * @param file where `text` was read; relative paths in it are meant from there
   * @throws the system error when the event file cannot be opened
   */
  constructor(file: string, loaded: LoadedConfig & { readonly config: Config }, text: string, options: ApplianceOptions) {
    this.config = loaded.config;
    this.#file = file;
    this.#log = options.log;
    this.#onEvent = options.onEvent ?? null;
    this.counters = new Counters(this.config.ports.length);
    this.#ring = new SpscRing(EVENT_RING_BYTES);
    const { events } = this.config;
    this.eventFile = events.file === '' ? '' : resolve(dirname(resolve(file)), events.file);
    this.#sink = events.file === '' ? null : new FileSink(this.eventFile, { append: true, maxBytes: events.rotate, keep: events.keep });
    this.#input = { file, text, counters: this.counters.buffer, events: this.#ring.buffer, control: this.#channel.port2, flowFiles: this.#flowFiles, keepPrivileges: options.keepPrivileges ?? false, eventsRead: events.file !== '' || this.#onEvent !== null };
    this.failed = new Promise((settle) => {
      this.#fail = settle;
    });
  }

  /** Drivers of VMs; null when none may connect. */
  get drivers(): DriverServing | null {
    return this.#drivers;
  }

  /** File scanning; null while it is off. */
  get files(): FileService | null {
    return this.#files?.service ?? null;
  }

  /** Open the ports and start judging. @throws Error with what went wrong; nothing is left running then */
  async start(): Promise<void> {
    try {
      // Before the data plane, which gives up privileges.
      if (this.config.files.enabled) {
        this.#files = new FileScanning({
          config: this.config,
          file: this.#file,
          write: (line) => this.#event(line),
          log: this.#log,
          flowFiles: this.#flowFiles,
          block: (words, seconds) => this.#channel.port1.postMessage({ type: 'block-source', words, seconds } satisfies WorkerOrder),
        });
        await this.#files.start();
        if (servesDrivers(this.config)) {
          this.#drivers = new DriverServing(this.config, this.#file, this.#files.service.handler, this.#log);
          const { server } = this.#drivers;
          const { service } = this.#files;
          service.onEpoch = (epoch) => server.setEpoch(epoch);
          server.setEpoch(service.engines.epochNumber);
          await this.#drivers.start();
        }
      }
      await this.#startWorker();
      const { listen } = this.config.metrics;
      if (listen !== '') {
        const registry = createRegistry({
          counters: this.counters,
          portNames: this.config.ports.map((p) => p.name),
          vmNames: this.config.ports.map((p) => p.vm ?? ''),
          flowCapacity: this.config.flow.max,
          macCapacity: this.config.switch.mac_table_size,
          version: VERSION,
          files: this.files,
          flowFilesDropped: () => this.#files?.window.dropped ?? 0,
          drivers: this.#drivers?.server ?? null,
        });
        this.#metrics = await serveMetrics(listen, registry, () => (this.#state === 'running' ? undefined : `data plane is ${this.#state}`));
        this.metricsUrl = this.#metrics.url;
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #startWorker(): Promise<void> {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: this.#input,
      transferList: [this.#channel.port2],
      // Short-lived garbage (alerts, log records) dies young: a larger nursery keeps pauses short and rare.
      resourceLimits: { maxYoungGenerationSizeMb: 64, maxOldGenerationSizeMb: 4096 },
    });
    this.#worker = worker;
    this.#drainTimer = setInterval(() => this.#drain(), DRAIN_MS);
    await new Promise<void>((settle, reject) => {
      worker.on('message', (m: WorkerMessage) => {
        if (m.type === 'ready') {
          this.rules = m.rules;
          this.refusals = m.refusals;
          this.#wakeFd = m.wakeFd;
          this.#state = 'running';
          settle();
        } else if (m.type === 'reloaded') this.#reloading?.settle(m.rules);
        else if (m.type === 'reload-failed') this.#reloading?.reject(new ReloadRefused([m.text]));
        else if (m.type === 'switch-answer') {
          this.#asked.get(m.id)?.(m.answer);
          this.#asked.delete(m.id);
        } else if (m.type === 'file') void this.#files?.flowFile(m);
        else if (m.type === 'log') this.#log(m.text);
        else if (m.type === 'failed') {
          this.#died(m.text);
          reject(new Error(m.text));
        }
      });
      worker.on('error', (error) => {
        this.#died(error.stack ?? error.message);
        reject(error);
      });
      worker.on('exit', () => {
        if (this.#state !== 'stopping') this.#died('the data plane ended');
      });
    });
  }

  #died(text: string): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#reloading?.reject(new ReloadRefused([text]));
    for (const answer of this.#asked.values()) answer({ ok: false, lines: [text] });
    this.#asked.clear();
    this.#fail(text);
  }

  /**
   * Read configuration and rules again and judge by them, without losing a packet or a connection. Reloads run one after the
   * other.
   * @throws ReloadRefused when the old policy stays in force
   */
  reload(): Promise<void> {
    const next = this.#reloads.then(() => this.#reload());
    this.#reloads = next.catch(() => undefined);
    return next;
  }

  /** @throws ReloadRefused when a token cannot be read. @returns what puts the new settings of drivers in force */
  #prepareDrivers(config: Config): (() => void) | undefined {
    try {
      return this.#drivers?.prepare(config);
    } catch (error) {
      throw new ReloadRefused([(error as Error).message]);
    }
  }

  async #reload(): Promise<void> {
    try {
      if (this.#state !== 'running') throw new ReloadRefused([`the data plane is ${this.#state}`]);
      const candidate = await prepareReload(this.#input.file, this.config, new Set(this.refusals.map(refusalKey)));
      const takeDrivers = this.#prepareDrivers(candidate.config);
      const generation = this.generation + 1;
      const inForce = new Promise<number>((settle, reject) => {
        this.#reloading = { settle, reject };
      });
      this.#order({ type: 'reload', generation, text: candidate.text, sources: candidate.sources, databases: candidate.databases, web: candidate.web });
      this.rules = await inForce;
      this.generation = generation;
      this.config = candidate.config;
      takeDrivers?.();
      this.refusals = candidate.refusals;
      this.counters.add(G_RELOADS, 1);
      // Rule texts and databases in shared memory go when both threads have let go of them.
      setTimeout(collectGarbage, COLLECT_AFTER_MS).unref();
    } catch (error) {
      this.counters.add(G_RELOAD_FAILURES, 1);
      throw error;
    } finally {
      this.#reloading = null;
    }
  }

  /** Ask the running switch; approvals are kept in `switch.approvals`. Never throws. */
  async switch(request: SwitchRequest): Promise<SwitchAnswer> {
    if (this.#state !== 'running') return { ok: false, lines: [`the data plane is ${this.#state}`] };
    const id = ++this.#questions;
    const answered = new Promise<SwitchAnswer>((settle) => this.#asked.set(id, settle));
    this.#order({ type: 'switch', id, request });
    const answer = await answered;
    const { approvals } = this.config.switch;
    if (!answer.ok || answer.approval === undefined || approvals === '') return answer;
    try {
      keepApproval(resolve(dirname(resolve(this.#input.file)), approvals), answer.approval, request.op === 'approve');
      return answer;
    } catch (error) {
      return { ...answer, lines: [...answer.lines, `not kept for the next start: ${error instanceof Error ? error.message : String(error)}`] };
    }
  }

  #order(order: WorkerOrder): void {
    this.#channel.port1.postMessage(order);
    if (this.#wakeFd >= 0) wakeFd(this.#wakeFd);
  }

  /** Stop in order: data plane (its flows end and are logged), events, metrics. Safe to call more than once. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    if (worker !== null) {
      const ended = new Promise<void>((settle) => worker.once('exit', () => settle()));
      if (this.#state === 'running') {
        this.#state = 'stopping';
        this.#order({ type: 'stop' });
        const late = setTimeout(() => void worker.terminate(), 5000);
        await ended;
        clearTimeout(late);
      } else await worker.terminate();
    }
    this.#channel.port1.close();
    const drivers = this.#drivers;
    this.#drivers = null;
    await drivers?.close();
    const files = this.#files;
    this.#files = null;
    await files?.close();
    if (this.#drainTimer !== null) clearInterval(this.#drainTimer);
    this.#drainTimer = null;
    this.#drain();
    if (worker !== null) this.#sink?.close();
    const metrics = this.#metrics;
    this.#metrics = null;
    if (metrics !== null) await metrics.close();
  }

  #drain(): void {
    for (;;) {
      const n = this.#ring.pop(this.#scratch, 0);
      if (n === -1) break;
      if (n < -1) {
        this.#scratch = new Uint8Array((-2 - n) * 2);
        continue;
      }
      this.#event(Buffer.from(this.#scratch.buffer, 0, n).toString('utf8'));
    }
    this.#sink?.flush();
  }

  #event(line: string): void {
    this.#sink?.write(line, false);
    this.#onEvent?.(line);
  }
}
