/**
 * Helper thread of a reload: compiles the rule files as the data plane will, and hands over what took long - the pattern
 * databases - and every refusal. The compiled rules themselves are objects of this thread and end with it.
 */
import { dirname, resolve } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { Refusal } from '../ips/index.js';
import { registryOf } from './build.js';
import { parseConfig } from './config/load.js';
import { formatProblem } from './config/problem.js';
import { settingsOf } from './engine-settings.js';
import { installNativeParts } from './native-parts.js';
import { FilePatternCache } from './pattern-cache.js';
import type { SharedSource } from './reload.js';
import { compileRules } from './rule-files.js';
import { SharedDatabases } from './shared-databases.js';
import { compileWeb, webCache, webFingerprint, webIsOn, webRefusals } from './web-rules.js';

export interface CompilerInput {
  readonly file: string;
  readonly text: string;
  readonly sources: readonly SharedSource[];
}

export interface CompilerOutput {
  readonly refusals: readonly Refusal[];
  readonly databases: ReadonlyMap<string, Uint8Array<SharedArrayBuffer>>;
  readonly web: WebCandidate | null;
}

/** What came of the web rules; null where there is no web protection. */
export interface WebCandidate {
  readonly fingerprint: string;
  /** What its section names that is not there, and lines of rule files that cannot be used. */
  readonly problems: readonly string[];
  readonly refusals: readonly string[];
}

function main(input: CompilerInput): void {
  installNativeParts();
  const { config, yaml, webFiles } = parseConfig(input.file, input.text);
  if (config === undefined) throw new Error(`${input.file} is not valid any more`);
  const settings = settingsOf(config);
  const problems: string[] = [];
  const disk = config.ips.cache === '' ? null : new FilePatternCache(resolve(dirname(resolve(input.file)), config.ips.cache), (text) => problems.push(text));
  const databases = new SharedDatabases(disk);
  const rules = compileRules(input.sources, registryOf(settings), settings, databases);
  const webDatabases = new SharedDatabases(webIsOn(config) ? (webCache(config, input.file, (text) => problems.push(text)) ?? null) : null, 0);
  const web = webIsOn(config) ? compileWeb(config, webFiles, yaml, { cache: webDatabases }) : null;
  parentPort!.postMessage({
    refusals: rules.refusals,
    databases: new Map([...databases.found, ...webDatabases.found]),
    web: web === null ? null : { fingerprint: webFingerprint(config, web.engine), problems: web.problems.map(formatProblem), refusals: webRefusals(web.engine.ruleSet) },
  } satisfies CompilerOutput);
}

if (parentPort !== null) main(workerData as CompilerInput);
