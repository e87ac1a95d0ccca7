/** `drawbridge replay`: capture files through exactly the pipeline that live traffic takes. */
import { openSync, closeSync } from 'node:fs';
import { EVENT_TYPES } from '../events/eve.js';
import type { LoadedConfig } from '../config/load.js';
import { userPatternCache } from '../pattern-cache.js';
import { FileSink } from '../events/sink.js';
import { formatProblem } from '../config/problem.js';
import { reportRefusals, saveDatasets } from '../rule-files.js';
import { replaySession, resolveReplay, type ReplayRequest } from '../replay-session.js';
import { Tracer } from '../trace.js';

export interface ReplayOptions extends Omit<ReplayRequest, 'config' | 'cache'> {
  readonly config?: string;
  readonly eve?: string;
  readonly events: string;
  readonly write?: string;
  readonly explain: boolean;
  readonly stats: boolean;
  /** Write the files that `dataset` rules name with save or state. */
  readonly saveDatasets: boolean;
}

/** @returns exit code: 0 also when rules were refused or a capture was cut short (both are told), 1 on errors */
export async function replay(pcaps: readonly string[], options: ReplayOptions): Promise<number> {
  for (const pcap of pcaps) closeSync(openSync(pcap, 'r'));
  const types = eventTypes(options.events);
  if (typeof types === 'string') {
    process.stderr.write(`drawbridge: ${types}\n`);
    return 2;
  }
  const setup = resolveReplay({ ...options, ...(await configOf(options.config)), cache: userPatternCache() });
  for (const problem of setup.problems) process.stderr.write(`${formatProblem(problem)}\n`);
  for (const wrong of setup.badSettings) process.stderr.write(`drawbridge: ${wrong}\n`);
  if (setup.failed) return 2;
  reportRefusals(setup.rules, 20);
  process.stdout.write(`READY ${setup.rules.rules.length} rules loaded, ${setup.rules.refusals.length} refused\n`);

  const sink = options.eve === undefined ? null : new FileSink(options.eve, { append: false });
  let frames = 0;
  let code = 0;
  const started = process.hrtime.bigint();
  const totals: Record<string, unknown>[] = [];
  try {
    for (const pcap of pcaps) {
      const session = replaySession(setup, { pcap, ...(sink === null ? {} : { sink }), types, ...(options.write === undefined ? {} : { write: options.write }) });
      const tracer = options.explain ? new Tracer() : null;
      if (tracer !== null) session.explainNotable(tracer, (text) => process.stdout.write(`${text}\n`));
      frames += session.drain();
      totals.push(session.statistics());
      session.close();
      const cut = session.captureError();
      if (cut !== null) {
        process.stderr.write(`drawbridge: ${cut.message}; the ${session.framesRead} frames before it were judged\n`);
      }
      if (session.unwritten > 0) {
        process.stderr.write(`drawbridge: ${session.unwritten} frames could not be written to ${options.write}\n`);
        code = 1;
      }
    }
  } finally {
    sink?.close();
  }
  if (options.saveDatasets) saveDatasets(setup.rules, (text) => process.stderr.write(`drawbridge: ${text}\n`));
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (options.stats) process.stdout.write(`${JSON.stringify(totals.length === 1 ? totals[0] : totals, null, 2)}\n`);
  process.stdout.write(`DONE ${frames} frames in ${seconds.toFixed(3)} s (${Math.round(frames / Math.max(seconds, 1e-9))}/s)\n`);
  if (sink !== null && sink.failed > 0) {
    process.stderr.write(`drawbridge: ${sink.failed} events could not be written: ${sink.lastError}\n`);
    return 1;
  }
  return code;
}

/** @returns the set of types, or what is wrong with the list */
export function eventTypes(list: string): ReadonlySet<string> | string {
  if (list === 'all') return new Set(EVENT_TYPES);
  const names = list.split(',').map((n) => n.trim()).filter(Boolean);
  const unknown = names.find((n) => !(EVENT_TYPES as readonly string[]).includes(n));
  return unknown === undefined ? new Set(names) : `--events: unknown type "${unknown}"; known: all, ${EVENT_TYPES.join(', ')}`;
}

/** The configuration as `resolveReplay` takes it. Compiling its schema takes longer than a small capture, so only those who bring one wait for it. */
export async function configOf(file: string | undefined): Promise<{ config: LoadedConfig | undefined }> {
  if (file === undefined) return { config: undefined };
  const { loadConfig } = await import('../config/load.js');
  return { config: loadConfig(file) };
}
