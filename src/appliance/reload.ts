/**
 * Reload, the part of the main thread: reads configuration and rule files again, has a helper thread compile them - so that
 * mistakes show and the pattern databases are ready before the data plane hears of it - and says what changed. The data plane
 * then builds the same rules between its batches, with nothing left to compile that takes long.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { formatRefusal, type Refusal } from '../ips/index.js';
import { compileFirewall } from './build.js';
import { parseConfig, type Config } from './config/load.js';
import { formatProblem } from './config/problem.js';
import type { CompilerInput, CompilerOutput } from './rule-compiler.js';
import { webIsOn } from './web-rules.js';

/** Sections that a running data plane can change. All others need a restart. */
const RELOADED = new Set(['firewall', 'ips', 'vms', 'web']);
const RELOADED_VM = new Set(['tenant', 'firewall', 'ips', 'ips_policy', 'web', 'failure', 'driver']);
/** Settings of these that it cannot. */
const FIXED_WEB = ['hold', 'hold_bytes', 'hold_timeout_ms'] as const;
const FIXED_IPS = ['enabled', 'max_alerts_per_packet', 'cache'] as const;

/** A rule file as both threads see it. */
export interface SharedSource {
  readonly file: string;
  readonly text: Uint8Array<SharedArrayBuffer>;
}

/** What a data plane needs for its next generation. */
export interface Candidate {
  readonly text: string;
  readonly config: Config;
  readonly sources: readonly SharedSource[];
  readonly databases: ReadonlyMap<string, Uint8Array<SharedArrayBuffer>>;
  readonly refusals: readonly Refusal[];
  /** See webFingerprint; '' without web protection. */
  readonly web: string;
}

/** Why nothing was changed: lines for people. */
export class ReloadRefused extends Error {
  constructor(readonly reasons: readonly string[]) {
    super(reasons.join('\n'));
  }
}

/**
 * Read and compile what the files say now.
 * @param current what is in force
 * @param known refusals that are in force, see `refusalKey`
 * @throws ReloadRefused with every reason
 */
export async function prepareReload(file: string, current: Config, known: ReadonlySet<string>): Promise<Candidate> {
  const text = readText(file);
  const loaded = parseConfig(file, text);
  const problems = [...loaded.problems, ...(loaded.config === undefined ? [] : compileFirewall(loaded.config, loaded.yaml).problems)].filter((p) => p.severity === 'error');
  if (loaded.config === undefined || problems.length > 0) throw new ReloadRefused(problems.map(formatProblem));
  const { config } = loaded;
  const fixed = changesThatNeedARestart(current, config);
  if (fixed.length > 0) throw new ReloadRefused([`${file}: a change of ${fixed.join(', ')} needs a restart`]);
  const sources = config.ips.enabled ? loaded.ruleFiles.map((path): SharedSource => ({ file: path, text: shared(readBytes(path)) })) : [];
  const { refusals, databases, web } = await compileBeside({ file, text, sources });
  if (web !== null && web.problems.length > 0) throw new ReloadRefused(web.problems);
  if (web !== null && web.refusals.length > 0 && config.ips.reload === 'all-or-nothing') throw new ReloadRefused(web.refusals);
  const fresh = refusals.filter((refusal) => !known.has(refusalKey(refusal)));
  if (fresh.length > 0 && config.ips.reload === 'all-or-nothing') {
    throw new ReloadRefused([...fresh.map(formatRefusal), `${fresh.length} rules are refused that were not before (ips.reload: skip-refused loads the others)`]);
  }
  return { text, config, sources, databases, refusals, web: web?.fingerprint ?? '' };
}

/** What makes a refusal the same as one before, wherever the rule has moved in its file. */
export function refusalKey({ file, gid, sid, reason, token, message }: Refusal): string {
  return [file, gid, sid, reason, token, message].join('\0');
}

function changesThatNeedARestart(before: Config, after: Config): string[] {
  const differ = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);
  const sections = Object.keys(after).filter((key) => !RELOADED.has(key) && differ(before[key as keyof Config], after[key as keyof Config]));
  const ips = FIXED_IPS.filter((key) => differ(before.ips[key], after.ips[key])).map((key) => `ips.${key}`);
  const names = Object.keys(after.vms);
  const vms = differ(Object.keys(before.vms), names) ? ['the list of vms'] : names.flatMap((name) => (differ(fixedVm(before, name), fixedVm(after, name)) ? [`vms.${name}`] : []));
  const web = webIsOn(before) !== webIsOn(after) ? ['web protection as a whole'] : FIXED_WEB.filter((key) => differ(before.web[key], after.web[key])).map((key) => `web.${key}`);
  return [...sections, ...web, ...ips, ...vms];
}

/** The settings of a VM beside those that a reload changes. */
function fixedVm({ vms }: Config, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(vms[name]!).filter(([key]) => !RELOADED_VM.has(key)));
}

function readText(file: string): string {
  return Buffer.from(readBytes(file)).toString('utf8');
}

function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ReloadRefused([error instanceof Error ? error.message : String(error)]);
  }
}

export function shared(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

/** Compile in a thread of its own, which ends with its memory before the data plane starts. */
function compileBeside(input: CompilerInput): Promise<CompilerOutput> {
  return new Promise((settle, reject) => {
    const worker = new Worker(new URL('./rule-compiler.js', import.meta.url), { workerData: input, resourceLimits: { maxOldGenerationSizeMb: 4096 } });
    let output: CompilerOutput | null = null;
    worker.on('message', (message: CompilerOutput) => {
      output = message;
    });
    worker.on('error', (error) => reject(new ReloadRefused([`compiling the rules: ${error.message}`])));
    worker.on('exit', (code) => (output === null ? reject(new ReloadRefused([`compiling the rules: the thread ended with ${code}`])) : settle(output)));
  });
}
