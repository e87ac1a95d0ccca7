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
import { MirrorPort, createPort, switchPortConfig, type PcapMirrorOptions, type PortDefinition } from '../vswitch/index.js';
import { budgetOf, compileFirewall, registryOf, vmIndex } from './build.js';
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
  /** Somebody reads the events; otherwise none are made. */
  readonly eventsRead: boolean;
  /** Overrides `privileges.drop`: the process has other work that needs them (lab). */
  readonly keepPrivileges: boolean;
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

/** Paths of sockets are relative to the configuration file, as all paths in it. */
function withPaths(definition: PortDefinition, file: string): PortDefinition {
  const from = (path: string): string => resolve(dirname(resolve(file)), path);
  if (definition.type === 'qemu-stream') return { ...definition, path: from(definition.path) };
  return definition.type === 'qemu-dgram' ? { ...definition, path: from(definition.path), remote: from(definition.remote) } : definition;
}

function sessionPorts(config: Config, file: string): SessionPort[] {
  return config.ports.map((entry) => {
    const definition = withPaths(entry as unknown as PortDefinition, file);
    const vm = entry.vm === undefined ? undefined : config.vms[entry.vm];
    return {
      config: switchPortConfig(definition),
      port: createPort(definition),
      vm: vmIndex(config, entry.vm),
      ips: vm?.ips ?? 'prevent',
      failOpenEngine: vm?.failure.engine === 'open',
      failOpenSanity: vm?.failure.sanity === 'open',
      budget: budgetOf(config, entry),
      answers: definition.type === 'mirror' && definition.activeResponse === true,
    };
  });
}

function mirrorOptions(config: Config, file: string): PcapMirrorOptions[] {
  return config.mirrors.map((m) => ({
    file: resolve(dirname(resolve(file)), m.file),
    maxFileBytes: m.max_file_size,
    maxFiles: m.max_files,
    direction: m.direction,
    droppedOnly: m.dropped_only,
    sample: m.sample,
    ...(m.frames_per_second === undefined ? {} : { framesPerSecond: m.frames_per_second }),
    ...(m.vlans === undefined ? {} : { vlans: m.vlans }),
    ...(m.ports === undefined ? {} : { ports: m.ports.map((name) => config.ports.findIndex((p) => p.name === name)) }),
  }));
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
    ports: sessionPorts(config, input.file),
    vmNames: Object.keys(config.vms),
    vmPolicies: vms.map((vm) => vm.firewall ?? null),
    firewall: compileFirewall(config, yaml).policy,
    rules,
    registry,
    events: { sink, types: new Set(input.eventsRead ? config.events.types : []), packetSource: 'wire', host: config.name, dropsPerSecond: config.events.drops_per_second },
    counters,
    mirrors: mirrorOptions(config, input.file),
    macTable: { size: config.switch.mac_table_size, ageSeconds: config.switch.mac_ageing_seconds },
    seed: randomInt(2 ** 31),
    clock: () => performance.now(),
    onEngineError: (text) => post({ type: 'log', text: `engine error: ${text}` }),
  });
  if (!input.keepPrivileges) reducePrivileges(config.privileges);
  const wakeFd = session.ports.needLoop();
  post({ type: 'ready', rules: rules?.rules.length ?? 0, refused: (rules?.refusals ?? []).map((r) => `${r.file}:${r.line}:${r.column}: ${r.message}`), wakeFd, ports: config.ports.map((p) => p.name) });
  loop(session, sink, ring, counters, config);
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

/** What reading a TAP or a packet socket fails with: EBADFD and ENODEV once the device is deleted, the others while it is down. */
const PORT_ERRORS: Readonly<Record<number, string>> = { 5: 'the device is down', 19: 'the device is gone', 77: 'the device is gone', 100: 'the device is down', 107: 'no guest is connected' };

/** Says once of each port and mirror that it stopped working. */
class PortHealth {
  readonly #session: Session;
  readonly #config: Config;
  readonly #told = new Map<string, string>();

  constructor(session: Session, config: Config) {
    this.#session = session;
    this.#config = config;
  }

  check(): void {
    this.#config.ports.forEach((entry, i) => this.#tell(`port ${entry.name}`, this.#portTrouble(i)));
    this.#session.mirrorErrors().forEach((error, i) => this.#tell(`mirror ${this.#config.mirrors[i]!.name} stopped`, error?.message ?? ''));
  }

  #portTrouble(index: number): string {
    const { ports } = this.#session;
    const errno = ports.portError(index);
    if (errno !== 0) return PORT_ERRORS[errno] ?? `errno ${errno}`;
    const port = ports.get(index);
    return port instanceof MirrorPort ? (port.error ?? '') : '';
  }

  #tell(what: string, trouble: string): void {
    if (trouble === '' || this.#told.get(what) === trouble) return;
    this.#told.set(what, trouble);
    post({ type: 'log', text: `${what}: ${trouble}` });
  }
}

function loop(session: Session, sink: RingSink, ring: SpscRing, counters: Counters, config: Config): void {
  const statsSeconds = config.events.stats_seconds;
  const health = new PortHealth(session, config);
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
    session.flush();
    health.check();
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
