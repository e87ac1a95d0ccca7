/**
 * `drawbridge web tune`: from the event of a false block to the narrowest exclusion that undoes it, and what that costs, found by
 * sending known attacks through the rules with and without it.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import {
  WebMode, exclusionId, exclusionText, exclusionsFor, pathOf, rehearse, type Attack, type BlockedTransaction, type Coverage, type Exclusion, type RequestPolicy, type WebEngine,
} from '../../web/index.js';
import { loadConfig, type LoadedConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { ATTACKS_FILE, compileWebEngine, policiesOf, webRefusals, webSources } from '../web-rules.js';

export interface TuneOptions {
  readonly config: string;
  readonly out: string;
  readonly days: number;
  readonly prefix: boolean;
  readonly dryRun: boolean;
}

/** What is read of a `web` event. */
interface WebEventLine {
  readonly event_type?: string;
  readonly dest_vm?: string;
  readonly web?: { readonly transaction_id?: string; readonly host?: string; readonly method?: string; readonly url?: string; readonly rule_id?: number; readonly action?: string; readonly reason?: string };
  readonly rules?: readonly { readonly id: number; readonly msg?: string; readonly variable?: string; readonly scores?: object }[];
}

const DAY = 86_400;
const HEADER = '# Exclusions made by `drawbridge web tune`. Loaded before the rule set: name this file in web.rules_before.\n';
/** Lost attacks that are printed. */
const LOST_SHOWN = 12;

const print = (text = ''): void => void process.stdout.write(`${text}\n`);

function fail(text: string): number {
  process.stderr.write(`drawbridge: ${text}\n`);
  return 1;
}

/** @returns 0 = an exclusion was made, 1 = none could be */
export async function webTune(eventFile: string, transactionId: string, options: TuneOptions): Promise<number> {
  const loaded = loadConfig(options.config);
  for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`);
  if (loaded.config === undefined) return 1;
  const event = findEvent(eventFile, transactionId);
  if (event === null) return fail(`${eventFile} has no web event of transaction ${transactionId}`);
  const tx = transactionOf(event, transactionId);
  const now = Math.floor(Date.now() / 1000);
  // Whole days: the rule is back at the beginning of one.
  const expires = Math.ceil(now / DAY + options.days) * DAY;
  const exclusions = exclusionsFor(tx, { expires, prefix: options.prefix });
  if (exclusions.length === 0) return fail(`no rule of transaction ${transactionId} scored or decided: there is nothing to exclude`);
  printTransaction(tx, event, exclusions);

  const { web } = loaded.config;
  const before = compileWebEngine(webSources(web, loaded.webFiles), () => now * 1000, 'none');
  const file = resolve(dirname(resolve(options.config)), options.out);
  const text = textOf(exclusions, before, file, transactionId);
  const after = compileWebEngine(webSources(web, loaded.webFiles, [{ name: 'the exclusion', text }]), () => now * 1000, 'none');
  const refused = webRefusals(after.ruleSet).filter((line) => line.startsWith('the exclusion:'));
  if (refused.length > 0) return fail(refused.join('\n'));

  print();
  print(text.trimEnd());
  printCoverage(before, after, policiesOf(web, before, () => undefined).of(event.dest_vm ?? '', tx.host, WebMode.ON, true), exclusions, tx.method);
  if (options.dryRun) return 0;
  appendFileSync(file, existsSync(file) ? `\n${text}` : `${HEADER}\n${text}`);
  print();
  print(`Written to ${options.out}. ${whatNext(loaded, file, options)}`);
  return 0;
}

/** The last event of the transaction: a file may hold several runs. */
function findEvent(file: string, id: string): WebEventLine | null {
  const lines = readFileSync(file, 'utf8').split('\n');
  for (let i = lines.length - 1; i >= 0; i--) {
    if (!lines[i]!.includes(id)) continue;
    const event = parse(lines[i]!);
    if (event?.event_type === 'web' && event.web?.transaction_id === id) return event;
  }
  return null;
}

function parse(line: string): WebEventLine | null {
  try {
    return JSON.parse(line) as WebEventLine;
  } catch {
    return null; // the last line of a file that is being written
  }
}

function transactionOf({ web = {}, rules = [] }: WebEventLine, transactionId: string): BlockedTransaction {
  return {
    transactionId,
    host: (web.host ?? '').toLowerCase(),
    method: web.method ?? 'GET',
    url: web.url ?? '/',
    decidedBy: web.rule_id ?? 0,
    rules: rules.map((r) => ({ id: r.id, message: r.msg ?? '', variable: r.variable ?? '', scored: r.scores !== undefined && Object.keys(r.scores).length > 0 })),
  };
}

function printTransaction(tx: BlockedTransaction, { web = {} }: WebEventLine, exclusions: readonly Exclusion[]): void {
  print(`${tx.method} ${tx.host}${pathOf(tx.url)}: ${(web.action ?? '').replace('_', ' ')}${tx.decidedBy === 0 ? '' : ` by rule ${tx.decidedBy}`} (${web.reason ?? ''})`);
  for (const e of exclusions) print(`  ${e.ruleId} ${e.target === null ? '' : `in ${e.target}`}  ${e.message}`);
}

function textOf(exclusions: readonly Exclusion[], engine: WebEngine, file: string, transactionId: string): string {
  const taken = new Set(engine.ruleSet.rules.map((rule) => rule.id));
  if (existsSync(file)) for (const [, id] of readFileSync(file, 'utf8').matchAll(/\bid:(\d+)/g)) taken.add(Number(id));
  return exclusions
    .map((e) => {
      const id = exclusionId(e, taken);
      taken.add(id);
      return exclusionText(e, id, `From transaction ${transactionId}.`);
    })
    .join('\n');
}

function printCoverage(before: WebEngine, after: WebEngine, { policy }: RequestPolicy, exclusions: readonly Exclusion[], method: string): void {
  const attacks = JSON.parse(readFileSync(ATTACKS_FILE, 'utf8')) as Attack[];
  for (const e of new Map(exclusions.map((x) => [x.target, x])).values()) {
    const { exempted, elsewhere } = rehearse(before, after, policy, e, method, attacks);
    const place = `${e.target ?? 'this path'} of ${e.host}${e.path}${e.prefix ? '*' : ''}`;
    print();
    print(`${attacks.length} known attacks, blocked before -> after:`);
    print(`  ${''.padEnd(22)}${(exempted === null ? '' : 'there').padEnd(20)}elsewhere`);
    elsewhere.forEach((row, i) => print(`  ${row.class.padEnd(22)}${(exempted === null ? '' : count(exempted[i]!)).padEnd(20)}${count(row)}`));
    const lost = exempted?.flatMap((row) => row.lost) ?? [];
    if (exempted === null) print(`  (no attack can be put into ${place} by itself)`);
    else if (lost.length === 0) print(`Nothing of them is lost in ${place}.`);
    else {
      print(`Not blocked any more in ${place}:`);
      for (const payload of lost.slice(0, LOST_SHOWN)) print(`  ${JSON.stringify(payload)}`);
      if (lost.length > LOST_SHOWN) print(`  ... and ${lost.length - LOST_SHOWN} more`);
    }
    const widened = elsewhere.flatMap((row) => row.lost);
    if (widened.length > 0) print(`Not blocked any more elsewhere: ${widened.map((p) => JSON.stringify(p)).join(', ')}`);
  }
}

function count({ before, after, attacks }: Coverage): string {
  return `${before}/${attacks} -> ${after}/${attacks}`;
}

function whatNext(loaded: LoadedConfig, file: string, options: TuneOptions): string {
  if (loaded.webFiles.before.includes(file)) return 'drawbridge reload loads it.';
  return `Name it in web.rules_before of ${options.config} (${relative(dirname(resolve(options.config)), file)}), then: drawbridge reload`;
}
