/**
 * Over every capture of the public conformance set, with its rules enforced: each received frame is accounted for with one
 * outcome, no engine throws, and a second replay writes the same bytes.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { EVENT_TYPES } from '../../src/appliance/events/eve.js';
import { replaySession, resolveReplay, type ReplaySetup } from '../../src/appliance/replay-session.js';
import { P_CONSUMED, P_FORWARDED, P_RX_FRAMES } from '../../src/pipeline/index.js';
import { conformanceCases } from '../helpers/conformance.js';

const TYPES = new Set<string>(EVENT_TYPES);
const cases = conformanceCases();
const present = typeof cases === 'string' ? test.skip : test;
if (typeof cases === 'string') console.log(`accounting over the conformance set skipped: ${cases}`);

interface Judged {
  readonly received: number;
  readonly accounted: number;
  readonly unaccounted: number;
  readonly engineErrors: number;
  readonly events: number;
  readonly digest: string;
}

function judge(setup: ReplaySetup, pcap: string): Judged {
  const digest = createHash('sha256');
  let events = 0;
  const sink = {
    write: (line: string) => {
      events++;
      digest.update(line).update('\n');
    },
    flush: () => undefined,
    close: () => undefined,
  };
  const session = replaySession(setup, { pcap, types: TYPES, sink });
  const read = session.drain();
  session.close();
  let accounted = 0;
  let unaccounted = 0;
  const { counters } = session;
  for (let port = 0; port < counters.ports; port++) {
    accounted += counters.port(port, P_FORWARDED) + counters.port(port, P_CONSUMED) + counters.dropTotal(port);
    unaccounted += Math.abs(counters.unaccounted(port));
  }
  if (read !== session.framesRead) throw new Error(`${read} frames read, ${session.framesRead} counted in column ${P_RX_FRAMES}`);
  return { received: read, accounted, unaccounted, engineErrors: session.engineErrors, events, digest: digest.digest('hex') };
}

present('received = forwarded + consumed + dropped, without engine errors, twice the same bytes', (t) => {
  t.timeout(600_000);
  let frames = 0;
  let events = 0;
  for (const c of cases as Exclude<typeof cases, string>) {
    const resolve = (): ReturnType<typeof resolveReplay> => {
      const made = resolveReplay({ rules: [c.rules], simulateIps: true, set: c.set });
      // The captures are small; a large table would only cost the time to clear it.
      made.settings.flowMax = 8192;
      return made;
    };
    const setup = resolve();
    const first = judge(setup, c.pcap);
    t.is(first.unaccounted, 0, c.name);
    t.is(first.accounted, first.received, c.name);
    t.is(first.engineErrors, 0, c.name);
    // Datasets belong to the rules and outlive a session on purpose: rules that fill one start anew.
    const again = /\bdataset\s*:/.test(readFileSync(c.rules, 'utf8')) ? resolve() : setup;
    t.deepEqual(judge(again, c.pcap), first, `${c.name}: the second replay differs`);
    frames += first.received;
    events += first.events;
  }
  t.log(`${(cases as readonly unknown[]).length} captures, ${frames} frames, ${events} events`);
  t.true(frames > 10_000 && events > 1000);
});
