/** `drawbridge rules profile`: captures through the engines, and what each rule cost there. */
import { RuleProfile, type RuleSet } from '../../ips/index.js';
import { userPatternCache } from '../pattern-cache.js';
import { reportRefusals } from '../rule-files.js';
import { replaySession, resolveReplay } from '../replay-session.js';

export interface ProfileOptions {
  readonly rules: readonly string[];
  readonly sort: 'time' | 'checks' | 'matches';
  readonly top: number;
  readonly json: boolean;
  readonly simulateIps: boolean;
  readonly set: readonly (readonly [string, string])[];
}

interface Row {
  readonly gid: number;
  readonly sid: number;
  readonly checks: number;
  readonly matches: number;
  /** Milliseconds. */
  readonly time: number;
  readonly msg: string;
}

/** @returns 0, or 2 for a setting that is not understood */
export async function rulesProfile(pcaps: readonly string[], options: ProfileOptions): Promise<number> {
  const setup = resolveReplay({ rules: options.rules, simulateIps: options.simulateIps, set: options.set, cache: userPatternCache() });
  for (const wrong of setup.badSettings) process.stderr.write(`drawbridge: ${wrong}\n`);
  if (setup.failed) return 2;
  reportRefusals(setup.rules, 20);
  const profile = new RuleProfile(() => performance.now());
  const started = process.cpuUsage();
  let frames = 0;
  for (const pcap of pcaps) {
    const session = replaySession(setup, { pcap, types: new Set(), profile });
    frames += session.drain();
    session.close();
    const cut = session.captureError();
    if (cut !== null) process.stderr.write(`drawbridge: ${cut.message}\n`);
  }
  const { user, system } = process.cpuUsage(started);
  const rows = rowsOf(setup.rules, profile).sort((a, b) => b[options.sort] - a[options.sort] || b.time - a.time);
  if (options.json) {
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    return 0;
  }
  print(rows, options.top, frames, (user + system) / 1000);
  return 0;
}

/** The rules that were checked at all. */
function rowsOf(set: RuleSet, profile: RuleProfile): Row[] {
  return set.rules.flatMap(({ index, info }) =>
    (profile.checks[index] ?? 0) === 0 ? [] : [{ gid: info.gid, sid: info.sid, checks: profile.checks[index]!, matches: profile.matches[index]!, time: profile.time[index]!, msg: info.msg }],
  );
}

function print(rows: readonly Row[], top: number, frames: number, cpuMs: number): void {
  const all = rows.reduce((sum, row) => sum + row.time, 0);
  process.stdout.write(`${frames} frames, ${rows.length} rules checked, ${all.toFixed(1)} ms in rules of ${cpuMs.toFixed(0)} ms CPU\n`);
  process.stdout.write('       sid     checks    matches      ms   share  us/check  msg\n');
  for (const row of rows.slice(0, top)) {
    const sid = row.gid === 1 ? String(row.sid) : `${row.gid}:${row.sid}`;
    const share = `${((100 * row.time) / Math.max(all, 1e-9)).toFixed(1)}%`;
    const columns = [sid.padStart(10), String(row.checks).padStart(10), String(row.matches).padStart(10), row.time.toFixed(1).padStart(7), share.padStart(7), ((1000 * row.time) / row.checks).toFixed(2).padStart(9)];
    process.stdout.write(`${columns.join(' ')}  ${row.msg}\n`);
  }
}
