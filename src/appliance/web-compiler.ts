/**
 * Helper thread of a first start: compiles the pattern databases of the web rules, which takes many seconds, while the data plane
 * judges without them. Hands them over in shared memory and keeps them on disk for the next start.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { parseConfig } from './config/load.js';
import { SharedDatabases } from './shared-databases.js';
import { compileWeb, webCache } from './web-rules.js';

export interface WebCompilerInput {
  /** The configuration, as the data plane has read it. */
  readonly file: string;
  readonly text: string;
}

export type WebCompilerOutput = ReadonlyMap<string, Uint8Array<SharedArrayBuffer>>;

function main({ file, text }: WebCompilerInput): void {
  const { config, webFiles, yaml } = parseConfig(file, text);
  if (config === undefined) throw new Error(`${file} is not valid any more`);
  const databases = new SharedDatabases(webCache(config, file, () => undefined) ?? null, 0);
  compileWeb(config, webFiles, yaml, { cache: databases });
  parentPort!.postMessage(databases.found satisfies WebCompilerOutput);
}

if (parentPort !== null) main(workerData as WebCompilerInput);
