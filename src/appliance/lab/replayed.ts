/** The lab without privileges: the same story from the shipped captures, through the same pipeline, with enforcement. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Counters, DropReason, P_DROPS, P_FORWARDED, P_RX_FRAMES } from '../../pipeline/index.js';
import { loadConfig } from '../config/load.js';
import { formatProblem } from '../config/problem.js';
import { EVENT_TYPES } from '../events/eve.js';
import { replaySession, resolveReplay, type ReplaySession, type ReplaySetup } from '../replay-session.js';
import { Evidence } from './evidence.js';
import { DRAWBRIDGE, LAB_CONFIG, LAB_PCAPS } from './paths.js';
import { decision, print, printAccounts, printHeader, printResult, printSummary, shown, type StepResult } from './report.js';
import { SCAN_MAY_LEARN, STORY, type StoryStep } from './story.js';

const TYPES = new Set<string>(EVENT_TYPES);

function labSetup(): ReplaySetup {
  const setup = resolveReplay({ rules: [], config: loadConfig(LAB_CONFIG), simulateIps: true, set: [] });
  if (setup.failed) throw new Error(setup.problems.map(formatProblem).join('\n'));
  return setup;
}

function collect(setup: ReplaySetup, pcap: string, evidence: Evidence): ReplaySession {
  const session = replaySession(setup, { pcap, types: TYPES, sink: { write: (line) => evidence.add(line), flush: () => undefined, close: () => undefined } });
  session.drain();
  session.close();
  return session;
}

/** Frame of a capture on which signature `sid` blocked the attacker's flow from `clientPort`; 0 = none (yet). */
export function findFrame(capture: string, sid: number, clientPort: number): number {
  const evidence = new Evidence('attacker');
  collect(labSetup(), capture, evidence);
  const block = evidence.blocks.get(sid);
  return block !== undefined && block.clientPort === clientPort ? block.frame : 0;
}

/** @returns exit code: 0 when everything went as it must */
export function replayedLab(why: string): number {
  print(`Drawbridge lab, replayed from captures: ${why}.`);
  const missing = STORY.flatMap((s) => (s.pcap === null || existsSync(join(LAB_PCAPS, s.pcap)) ? [] : [s.pcap]));
  if (missing.length > 0) {
    process.stderr.write(`drawbridge: missing in ${LAB_PCAPS}: ${missing.join(', ')} (made by: node scripts/make-pcaps.mjs)\n`);
    return 1;
  }
  const setup = labSetup();
  print(`${setup.rules.rules.length} IPS rules; configuration ${shown(LAB_CONFIG)}`);
  print();
  printHeader();
  const results: StepResult[] = [];
  const totals: Counters[] = [];
  let explain = '';
  for (const step of STORY) {
    if (step.pcap === null) continue;
    const evidence = new Evidence(step.from);
    const session = collect(setup, join(LAB_PCAPS, step.pcap), evidence);
    const result = { step, ...judge(step, evidence, session), decidedBy: decision(step, evidence) };
    results.push(result);
    totals.push(session.counters);
    printResult(result);
    const block = step.sid === undefined ? undefined : evidence.blocks.get(step.sid);
    if (explain === '' && block !== undefined) explain = `${shown(DRAWBRIDGE)} explain ${shown(join(LAB_PCAPS, step.pcap))} --frame ${block.frame} -c ${shown(LAB_CONFIG)}`;
  }
  print();
  const good = printSummary(results, printAccounts(sum(totals)));
  if (explain !== '') {
    print();
    print(`What every stage did with the first blocked packet:\n  ${explain}`);
  }
  return good ? 0 : 1;
}

function judge(step: StoryStep, evidence: Evidence, session: ReplaySession): { ok: boolean; observed: string } {
  const { counters } = session;
  let received = 0;
  let passed = 0;
  let scanDrops = 0;
  for (let port = 0; port < counters.ports; port++) {
    received += counters.port(port, P_RX_FRAMES);
    passed += counters.port(port, P_FORWARDED);
    scanDrops += counters.port(port, P_DROPS + DropReason.firewall_recon) + counters.port(port, P_DROPS + DropReason.firewall_out_of_allowed);
  }
  const observed = `${passed} of ${received} packets passed`;
  if (step.expect === 'allowed') return { ok: received > 0 && passed === received && evidence.alerts === 0, observed };
  if (step.sid !== undefined) return { ok: evidence.blocks.has(step.sid) && passed < received, observed };
  // The handshake with a public port that the scan finds takes three packets each.
  return { ok: evidence.recon !== null && scanDrops > 0 && passed <= 3 * SCAN_MAY_LEARN, observed };
}

function sum(all: readonly Counters[]): Counters {
  const total = new Counters(all[0]!.ports);
  for (const counters of all) counters.cells.forEach((value, i) => (total.cells[i]! += value));
  return total;
}
