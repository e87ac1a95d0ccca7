/**
 * The data-plane worker thread: opens the ports, says so, then runs receive - judge - send around the blocking native poll
 * until it is told to stop. Never awaits. Messages to the main thread: `ready`, `log`, `failed`, `stopped`.
 */
import { randomInt } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { dropPrivileges } from '@drawbridge/native';
import { D_STRIDE, D_TS_SEC } from '../packet/index.js';
import { Counters, G_EVENTS_LOST, G_EVENT_RING_FILL } from '../pipeline/index.js';
import { SpscRing } from '../util/index.js';
import { createPort } from '../vswitch/index.js';
import { compileFirewall, registryOf, vmIndex } from './build.js';
import { parseConfig, type Config } from './config/load.js';
import { settingsOf } from './engine-settings.js';
import { installNativeParts } from './native-parts.js';
import { RingSink } from './events/sink.js';
import { FilePatternCache } from './pattern-cache.js';
import { compileRules, readRuleFiles } from './rule-files.js';
import { Session, type SessionPort } from './session.js';

export interface WorkerInput {
  /** The configuration file again: text, so that a file edited meanwhile cannot split the two halves. */
  readonly file: string;
  readonly text: string;
  readonly counters: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly control: MessagePort;
}

export type WorkerMessage =
  | { readonly type: 'ready'; readonly rules: number; readonly refused: readonly string[]; readonly wakeFd: number; readonly ports: readonly string[] }
  | { readonly type: 'log'; readonly text: string }
  | { readonly type: 'failed'; readonly text: string }
  | { readonly type: 'stopped' };

/** How long a poll waits when nothing happens: bounds the lateness of timers and of the stop message. */
const POLL_MS = 200;

const input = workerData as WorkerInput;
const main = parentPort!;
const post = (message: WorkerMessage): void => main.postMessage(message);

function sleeper(): (ms: number) => void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  return (ms) => void Atomics.wait(cell, 0, 0, ms);
}

function sessionPorts(config: Config): SessionPort[] {
  return config.ports.map((definition) => {
    const vm = definition.vm === undefined ? undefined : config.vms[definition.vm];
    return {
      config: definition as SessionPort['config'],
      port: createPort(definition as unknown as Parameters<typeof createPort>[0]),
      vm: vmIndex(config, definition.vm),
      ips: vm?.ips ?? 'prevent',
      failOpenEngine: vm?.failure.engine === 'open',
      failOpenSanity: vm?.failure.sanity === 'open',
    };
  });
}

function start(): void {
  installNativeParts();
  const { config, yaml, ruleFiles } = parseConfig(input.file, input.text);
  if (config === undefined) throw new Error(`${input.file} is not valid any more`);
  const settings = settingsOf(config);
  const registry = registryOf(settings);
  const cache = config.ips.cache === '' ? undefined : new FilePatternCache(resolve(dirname(resolve(input.file)), config.ips.cache), (text) => post({ type: 'log', text }));
  const rules = config.ips.enabled ? compileRules(readRuleFiles(ruleFiles), registry, settings, cache) : null;
  const ring = new SpscRing(input.events);
  const sink = new RingSink(ring, sleeper());
  const counters = new Counters(config.ports.length, input.counters);
  const vms = Object.values(config.vms);
  const session = new Session({
    settings,
    ports: sessionPorts(config),
    vmNames: Object.keys(config.vms),
    vmPolicies: vms.map((vm) => vm.firewall ?? null),
    firewall: compileFirewall(config, yaml).policy,
    rules,
    registry,
    events: { sink, types: new Set(config.events.types), packetSource: 'wire', host: config.name, dropsPerSecond: config.events.drops_per_second },
    counters,
    macTable: { size: config.switch.mac_table_size, ageSeconds: config.switch.mac_ageing_seconds },
    seed: randomInt(2 ** 31),
    onEngineError: (text) => post({ type: 'log', text: `engine error: ${text}` }),
  });
  reducePrivileges(config.privileges);
  const wakeFd = session.ports.needLoop();
  post({ type: 'ready', rules: rules?.rules.length ?? 0, refused: (rules?.refusals ?? []).map((r) => `${r.file}:${r.line}:${r.column}: ${r.message}`), wakeFd, ports: config.ports.map((p) => p.name) });
  loop(session, sink, ring, counters, config.events.stats_seconds);
  session.close();
  sink.close();
  post({ type: 'stopped' });
}

/**
 * Give up what open ports no longer need, whoever started us: root, or a user with ambient capabilities. This thread keeps
 * what packet I/O may still ask for; the others keep no more than that, and after a change of user nothing at all.
 * @throws Error when the change of user is refused
 */
function reducePrivileges({ user, drop }: Config['privileges']): void {
  if (user === '' && !drop) return;
  const [uid, gid] = user === '' ? [] : user.split(':').map(Number);
  const same = uid === undefined || (uid === process.getuid?.() && gid === process.getgid?.());
  try {
    dropPrivileges({ ...(same ? {} : { uid: uid!, gid: gid! }), keep: ['cap_net_admin', 'cap_net_raw'] });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const text = same ? `dropping privileges: ${why}` : `privileges.user ${user}: ${why}; changing the user takes root with CAP_SETUID and CAP_SETGID`;
    throw Object.assign(new Error(text, { cause: error }), { code: 'EPERM' });
  }
}

function loop(session: Session, sink: RingSink, ring: SpscRing, counters: Counters, statsSeconds: number): void {
  const desc = session.batch.desc;
  let nextHousekeeping = 0;
  let nextStats = Math.floor(Date.now() / 1000) + statsSeconds;
  for (;;) {
    const n = session.step(POLL_MS);
    if (n > 0) {
      const sec = desc[(n - 1) * D_STRIDE + D_TS_SEC]!;
      session.maintain(sec);
    }
    const nowMs = performance.now();
    if (n > 0 && n < session.batch.batchSize && nowMs < nextHousekeeping) continue;
    if (nowMs < nextHousekeeping) continue;
    nextHousekeeping = nowMs + POLL_MS / 2;
    const now = Math.floor(Date.now() / 1000);
    if (n === 0) session.maintain(now);
    session.eve.flush();
    counters.set(G_EVENTS_LOST, sink.lost);
    counters.set(G_EVENT_RING_FILL, ring.used / ring.capacity);
    if (now >= nextStats) {
      nextStats = now + statsSeconds;
      session.eve.stats(now, 0, session.statistics());
    }
    if (receiveMessageOnPort(input.control) !== undefined) return;
  }
}

try {
  start();
} catch (error) {
  post({ type: 'failed', text: error instanceof Error && 'code' in error ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error) });
}
