/** What a person sees of the lab: one line a step with its reason below, then the sums and where to look. */
import { relative } from 'node:path';
import { Counters, DROP_REASONS, P_CONSUMED, P_FORWARDED, P_RX_FRAMES } from '../../pipeline/index.js';
import type { Evidence } from './evidence.js';
import type { StoryStep } from './story.js';

export interface StepResult {
  readonly step: StoryStep;
  readonly ok: boolean;
  readonly observed: string;
  /** Rule or reason that decided, '' when nothing objected. */
  readonly decidedBy: string;
}

const TITLE_WIDTH = 57;

export const print = (text = ''): void => void process.stdout.write(`${text}\n`);

export function printHeader(): void {
  print(`       ${'step'.padEnd(TITLE_WIDTH)}  expected  observed`);
}

export function printResult(r: StepResult): void {
  print(`  ${r.ok ? 'ok   ' : 'FAIL '}${r.step.title.padEnd(TITLE_WIDTH)}  ${r.step.expect.padEnd(8)}  ${r.observed}`);
  if (r.decidedBy !== '') print(`       by ${r.decidedBy}`);
}

/** Which rule or which part of the firewall stopped a step. */
export function decision(step: StoryStep, evidence: Evidence): string {
  const block = step.sid === undefined ? evidence.blocks.values().next().value : evidence.blocks.get(step.sid);
  if (block !== undefined) return `${block.by} rule ${block.sid} "${block.msg}"`;
  const said: string[] = [];
  if (evidence.recon !== null) said.push(`${evidence.recon.detection} detected, source cut off for ${evidence.recon.seconds} s`);
  for (const reason of evidence.reasons) said.push(reason);
  return said.length === 0 ? '' : `firewall: ${said.join(', ')}`;
}

/** The accounting of everything so far, with the drops by reason. */
export function printAccounts(counters: Counters): boolean {
  let received = 0;
  let forwarded = 0;
  let consumed = 0;
  let unaccounted = 0;
  const drops = new Map<string, number>();
  for (let port = 0; port < counters.ports; port++) {
    received += counters.port(port, P_RX_FRAMES);
    forwarded += counters.port(port, P_FORWARDED);
    consumed += counters.port(port, P_CONSUMED);
    unaccounted += Math.abs(counters.unaccounted(port));
    for (let r = 1; r < DROP_REASONS.length; r++) {
      const n = counters.dropped(port, r);
      if (n > 0) drops.set(DROP_REASONS[r]!.name, (drops.get(DROP_REASONS[r]!.name) ?? 0) + n);
    }
  }
  const dropped = [...drops.values()].reduce((a, b) => a + b, 0);
  const reasons = [...drops].toSorted((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${n}`);
  print(`${received} frames received = ${forwarded} forwarded + ${consumed === 0 ? '' : `${consumed} consumed + `}${dropped} dropped${unaccounted === 0 ? '' : `; ${unaccounted} UNACCOUNTED FOR`}`);
  if (dropped > 0) print(`dropped: ${reasons.join(', ')}`);
  return unaccounted === 0;
}

export function printSummary(results: readonly StepResult[], accounted: boolean): boolean {
  const failed = results.filter((r) => !r.ok).length;
  print();
  if (failed === 0 && accounted) print('Every attack was stopped, normal traffic was not.');
  else print(failed === 0 ? 'Some frames are unaccounted for: please report this.' : `${failed} of ${results.length} steps did not go as they must.`);
  return failed === 0 && accounted;
}

/** A path as one would type it here. */
export function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short === '' || short.startsWith('..') ? path : short;
}
