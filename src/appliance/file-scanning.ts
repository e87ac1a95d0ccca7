/** File scanning as the appliance runs it: the service with clocks, timers and randomness, its events. */
import { randomBytes } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FileService, type EngineConfig, type FilesConfig, type FlowOrigin } from '../file-events/index.js';
import type { Config } from './config/load.js';
import { antiMalwareEvent, fileScanEvent, integrityEvent, logEvent } from './events/file-events.js';
import { FlowFileWindow, kibOf, type FlowFileMessage } from './flow-files.js';
import { SHIPPED_FILE_RULES, SHIPPED_LOG_RULES } from './file-rules.js';

export interface FileScanningOptions {
  readonly config: Config;
  /** Configuration file, which relative paths are meant from. */
  readonly file: string;
  /** Takes finished event lines. */
  readonly write: (line: string) => void;
  readonly log: (text: string) => void;
  /** Shared with the data plane. */
  readonly flowFiles: SharedArrayBuffer;
  /** Refuse what an address sends; words as packets have them. */
  readonly block: (words: readonly [number, number, number, number], seconds: number) => void;
}

/** Engines of a configuration that names none. */
export const DEFAULT_ENGINES: readonly EngineConfig[] = [{ type: 'yara-x', rules: [SHIPPED_FILE_RULES] }];

export class FileScanning {
  readonly service: FileService;
  /** Files of flows between the threads. */
  readonly window: FlowFileWindow;
  readonly #o: FileScanningOptions;

  /** @throws Error that names what is wrong; nothing is left open then */
  constructor(options: FileScanningOptions) {
    const { config, write, log } = options;
    const base = dirname(resolve(options.file));
    const types = new Set(config.events.types);
    this.#o = options;
    this.window = new FlowFileWindow(options.flowFiles, config.files.flows.memory);
    this.service = createFileService(config.files, {
      vms: Object.fromEntries(Object.entries(config.vms).map(([name, vm]) => [name, vm.files])),
      base,
      onFinding: (finding) => {
        if (types.has('anti_malware')) write(antiMalwareEvent(finding, Date.now(), config.name));
      },
      onScan: (record) => {
        if (types.has('file_scan')) write(fileScanEvent(record, Date.now(), config.name));
      },
      onIntegrity: (change) => {
        if (types.has('integrity')) write(integrityEvent(change, Date.now(), config.name));
      },
      onLog: (finding) => {
        if (types.has('log_inspection')) write(logEvent(finding, Date.now(), config.name));
      },
      log,
    });
  }

  /** @throws Error that names the engine */
  async start(): Promise<void> {
    await this.service.start();
  }

  /** Judge a file that a flow has delivered. */
  async flowFile({ file, origin, src, dst }: FlowFileMessage): Promise<void> {
    const { config, block } = this.#o;
    const kib = kibOf(file);
    const seconds = config.files.flows.block_source_seconds;
    const cut = seconds === 0 ? null : (_: FlowOrigin, toServer: boolean): void => block(toServer ? src : dst, seconds);
    try {
      await this.service.judgeFlowFile(file, origin, cut);
    } finally {
      this.window.leave(kib);
    }
  }

  async close(): Promise<void> {
    await this.service.close();
  }
}

type Surroundings = Pick<ConstructorParameters<typeof FileService>[0], 'vms' | 'onFinding' | 'onScan' | 'onIntegrity' | 'onLog' | 'log'> & { readonly base: string };

/** The service with the clocks of this process. @param around `base` is the directory relative paths are meant from */
export function createFileService(config: FilesConfig, around: Surroundings): FileService {
  return new FileService({
    ...around,
    config,
    resolve: (path) => resolve(around.base, path),
    defaultEngines: DEFAULT_ENGINES,
    defaultLogRules: [SHIPPED_LOG_RULES],
    now: () => performance.now(),
    wall: () => Date.now(),
    random: () => randomBytes(4).readUInt32LE(),
    every: (ms, call) => {
      const timer = setInterval(call, ms);
      timer.unref();
      return () => clearInterval(timer);
    },
    sleep: async (ms) => {
      await sleep(ms);
    },
  });
}
