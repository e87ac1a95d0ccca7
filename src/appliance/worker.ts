/**
 * The data-plane worker thread: opens the ports, says so, then runs receive - judge - send around the blocking native poll
 * until it is told to stop. Never awaits. Messages to the main thread: WorkerMessage, from it: WorkerOrder.
 */
import { randomInt } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { Worker, parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { dropPrivileges } from '@drawbridge/native';
import { D_STRIDE, D_TS_SEC } from '../packet/index.js';
import { Counters, G_EVENTS_LOST, G_EVENT_RING_FILL } from '../pipeline/index.js';
import { SpscRing } from '../util/index.js';
import { MirrorPort, createPort, switchPortConfig, type PcapMirrorOptions, type PortDefinition } from '../vswitch/index.js';
import { finish, type Refusal, type RuleSet, type RuleSource, type Steps } from '../ips/index.js';
import type { ProtocolRegistry } from '../protocols/index.js';
import { budgetOf, compileFirewall, registryOf } from './build.js';
import { formatProblem } from './config/problem.js';
import { parseConfig, type Config, type LoadedConfig } from './config/load.js';
import type { LocatedYaml } from './config/located-yaml.js';
import { collectGarbage } from './collect-garbage.js';
import { settingsOf, type EngineSettings } from './engine-settings.js';
import { FlowFileWindow, originOf, type FlowFileMessage } from './flow-files.js';
import { installNativeParts } from './native-parts.js';
import { RingSink } from './events/sink.js';
import { FilePatternCache } from './pattern-cache.js';
import { compileRules, compileRulesInSteps, readRuleFiles, saveDatasets } from './rule-files.js';
import { Session, type PolicySnapshot, type SessionPort } from './session.js';
import { readApprovals } from './approvals.js';
import { SwitchControl, type SwitchAnswer, type SwitchRequest } from './switch-control.js';
import { firewallPolicies, portPolicy, rulePolicySteps } from './snapshot.js';
import type { WebCompilerInput, WebCompilerOutput } from './web-compiler.js';
import { compileWeb, compileWebFromCache, webCache, webFingerprint, webIsOn, webRefusals, type CompiledWeb } from './web-rules.js';

export interface WorkerInput {
  /** The configuration file again: text, so that a file edited meanwhile cannot split the two halves. */
  readonly file: string;
  readonly text: string;
  readonly counters: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  /** Of the FlowFileWindow. */
  readonly flowFiles: SharedArrayBuffer;
  readonly control: MessagePort;
  /** Somebody reads the events; otherwise none are made. */
  readonly eventsRead: boolean;
  /** Overrides `privileges.drop`: the process has other work that needs them (lab). */
  readonly keepPrivileges: boolean;
}

/** What the main thread asks for. */
export type WorkerOrder =
  | { readonly type: 'stop' }
  | { readonly type: 'switch'; readonly id: number; readonly request: SwitchRequest }
  | { readonly type: 'block-source'; readonly words: readonly [number, number, number, number]; readonly seconds: number }
  | { readonly type: 'reload'; readonly generation: number; readonly text: string; readonly sources: readonly RuleSource[]; readonly databases: ReadonlyMap<string, Uint8Array>; readonly web: string };

export type WorkerMessage =
  | { readonly type: 'ready'; readonly rules: number; readonly refusals: readonly Refusal[]; readonly wakeFd: number; readonly ports: readonly string[] }
  | { readonly type: 'reloaded'; readonly generation: number; readonly rules: number }
  | { readonly type: 'reload-failed'; readonly text: string }
  | { readonly type: 'switch-answer'; readonly id: number; readonly answer: SwitchAnswer }
  | FlowFileMessage
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
    return {
      config: switchPortConfig(definition),
      port: createPort(definition),
      ...portPolicy(config, entry.vm),
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
    ...(m.filter === undefined ? {} : { filter: m.filter }),
    ...(m.vlans === undefined ? {} : { vlans: m.vlans }),
    ...(m.ports === undefined ? {} : { ports: m.ports.map((name) => config.ports.findIndex((p) => p.name === name)) }),
  }));
}

function start(): void {
  installNativeParts();
  const { config, yaml, ruleFiles, webFiles } = parseConfig(input.file, input.text);
  if (config === undefined) throw new Error(`${input.file} is not valid any more`);
  const settings = settingsOf(config);
  const registry = registryOf(settings);
  const cache = config.ips.cache === '' ? undefined : new FilePatternCache(resolve(dirname(resolve(input.file)), config.ips.cache), (text) => post({ type: 'log', text }));
  const rules = config.ips.enabled ? compileRules(readRuleFiles(ruleFiles), registry, settings, cache) : null;
  const web = webIsOn(config) ? compileWebNow(config, webFiles, yaml) : null;
  if (web !== null && web.problems.length > 0) throw Object.assign(new Error(web.problems.map(formatProblem).join('\n')), { code: 'EINVAL' });
  if (web !== null) {
    sayWebRules(web);
    webInForce = webFingerprint(config, web.engine);
  }
  const ring = new SpscRing(input.events);
  const sink = new RingSink(ring, sleeper());
  const counters = new Counters(config.ports.length, input.counters);
  const session = new Session({
    settings,
    ports: sessionPorts(config, input.file),
    vmNames: Object.keys(config.vms),
    vmPolicies: firewallPolicies(config),
    firewall: compileFirewall(config, yaml).policy,
    rules,
    rulePolicies: finish(rulePolicySteps(config, rules)),
    web: web?.session ?? null,
    registry,
    events: { sink, types: new Set(input.eventsRead ? config.events.types : []), packetSource: 'wire', host: config.name, dropsPerSecond: config.events.drops_per_second },
    counters,
    mirrors: mirrorOptions(config, input.file),
    macTable: { size: config.switch.mac_table_size, ageSeconds: config.switch.mac_ageing_seconds },
    seed: randomInt(2 ** 31),
    clock: () => performance.now(),
    ...(config.files.enabled && config.files.flows.enabled ? { files: flowFiles(config) } : {}),
    onEngineError: (text) => post({ type: 'log', text: `engine error: ${text}` }),
  });
  const control = new SwitchControl(session, config.ports.map((p) => p.name), config.ports.map((p) => p.vm ?? ''));
  if (config.switch.approvals !== '') {
    const lost = control.restore(readApprovals(resolve(dirname(resolve(input.file)), config.switch.approvals)), Math.floor(Date.now() / 1000));
    for (const text of lost) post({ type: 'log', text });
  }
  if (!input.keepPrivileges) reducePrivileges(config);
  const wakeFd = session.ports.needLoop();
  if (web?.cold === true) warmWeb(session, config, webFiles, yaml);
  post({ type: 'ready', rules: rules?.rules.length ?? 0, refusals: rules?.refusals ?? [], wakeFd, ports: config.ports.map((p) => p.name) });
  const reloader = new Reloader(session, registry, settings, rules);
  new Loop(session, sink, ring, counters, config, reloader, control).run(() => {
    control.close();
    session.close();
    sink.close();
    if (reloader.rules !== null) saveDatasets(reloader.rules, (text) => post({ type: 'log', text }));
    post({ type: 'stopped' });
  });
}

/** Web rules for an immediate start: with pattern databases when they lie ready, else without. */
function compileWebNow(config: Config, webFiles: LoadedConfig['webFiles'], yaml: LocatedYaml): CompiledWeb & { readonly cold: boolean } {
  const cache = webCache(config, input.file, (text) => post({ type: 'log', text }));
  const ready = cache === undefined ? null : compileWebFromCache(config, webFiles, yaml, cache);
  return ready === null ? { ...compileWeb(config, webFiles, yaml, 'none'), cold: true } : { ...ready, cold: false };
}

/** Fingerprint of the web rules in force, '' without web protection. */
let webInForce = '';

/** Have the pattern databases compiled beside the traffic, and take them up when they are there. */
function warmWeb(session: Session, config: Config, webFiles: LoadedConfig['webFiles'], yaml: LocatedYaml): void {
  post({ type: 'log', text: 'pattern databases of the web rules are being compiled; until then each rule is searched for by itself' });
  const compiledFor = webInForce;
  const helper = new Worker(new URL('./web-compiler.js', import.meta.url), { workerData: { file: input.file, text: input.text } satisfies WebCompilerInput });
  helper.unref();
  helper.on('message', (databases: WebCompilerOutput) => {
    // A reload brought other rules, and their databases.
    if (webInForce !== compiledFor) return;
    const ready = compileWebFromCache(config, webFiles, yaml, { load: (key) => databases.get(key) ?? null, store: () => undefined });
    if (ready !== null) session.replaceWeb(ready.session);
    post({ type: 'log', text: `pattern databases of the web rules are ${ready === null ? 'incomplete' : 'in use'}` });
  });
  helper.on('error', (error) => post({ type: 'log', text: `compiling the pattern databases of the web rules: ${error.message}` }));
}

/** How many web rules are in force, and the first that are not. */
function sayWebRules({ engine }: CompiledWeb): void {
  const refusals = webRefusals(engine.ruleSet);
  for (const refusal of refusals.slice(0, REFUSALS_SHOWN)) post({ type: 'log', text: `web rule refused: ${refusal}` });
  if (refusals.length > REFUSALS_SHOWN) post({ type: 'log', text: `... and ${refusals.length - REFUSALS_SHOWN} more refused web rules (see: drawbridge check)` });
  post({ type: 'log', text: `${engine.ruleSet.rules.length} web rules` });
}

const REFUSALS_SHOWN = 20;

/** Complete files go to the main thread, as many as it keeps up with. */
function flowFiles({ files }: Config): NonNullable<ConstructorParameters<typeof Session>[0]['files']> {
  const { max_file_size, memory, max_files } = files.flows;
  const window = new FlowFileWindow(input.flowFiles, memory);
  return {
    limits: { maxFile: max_file_size, maxBytes: memory, maxFiles: max_files },
    emit: (file, flow) => {
      if (!window.enter(file)) return;
      const message: FlowFileMessage = { type: 'file', file, origin: originOf(flow), src: flow.src, dst: flow.dst };
      main.postMessage(message, file.bytes === null ? [] : [file.bytes.buffer]);
    },
  };
}

/**
 * Give up what open ports no longer need, whoever started us: root, or a user with ambient capabilities. This thread keeps
 * what packet I/O may still ask for; the others keep no more than that, and after a change of user nothing at all.
 * @throws Error when the change of user is refused
 */
function reducePrivileges({ privileges: { user, drop }, files, vms }: Config): void {
  if (user === '' && !drop) return;
  const [uid, gid] = user === '' ? [] : user.split(':').map(Number);
  // Root directories of VMs hold files of any owner.
  const readsRoots = files.enabled && Object.values(vms).some((vm) => vm.files?.root !== undefined);
  const same = uid === undefined || (uid === process.getuid?.() && gid === process.getgid?.());
  try {
    dropPrivileges({ ...(same ? {} : { uid: uid!, gid: gid! }), keep: ['cap_net_admin', 'cap_net_raw', ...(readsRoots ? ['cap_dac_read_search'] : [])] });
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

/** Packets are judged this long before another millisecond is spent on the next policy: a fifth of the time at most. */
const RELOAD_EVERY_MS = 4;

/** Makes the next policy in the pauses of the data plane and puts it in force between two batches. */
class Reloader {
  readonly #session: Session;
  readonly #registry: ProtocolRegistry;
  readonly #settings: EngineSettings;
  #rules: RuleSet | null;
  #steps: Steps<PolicySnapshot> | null = null;
  #resumeAt = 0;
  /** The policy before was let go of, its memory was not collected yet. */
  #litter = false;

  constructor(session: Session, registry: ProtocolRegistry, settings: EngineSettings, rules: RuleSet | null) {
    this.#session = session;
    this.#registry = registry;
    this.#settings = settings;
    this.#rules = rules;
  }

  /** In force. */
  get rules(): RuleSet | null {
    return this.#rules;
  }

  get busy(): boolean {
    return this.#steps !== null;
  }

  /** Give back the memory of the policy before. Call when no frame came for a while. */
  tidy(): void {
    if (!this.#litter) return;
    this.#litter = false;
    collectGarbage();
  }

  begin(order: Extract<WorkerOrder, { type: 'reload' }>): void {
    this.#steps = this.#prepare(order);
  }

  /** Go on for a moment. @param idle no frame was waiting */
  advance(idle: boolean): void {
    if (this.#steps === null || (!idle && performance.now() < this.#resumeAt)) return;
    try {
      const step = this.#steps.next();
      if (step.done === true) {
        this.#steps = null;
        this.#session.replacePolicy(step.value);
        this.#rules = step.value.rules;
        this.#litter = true;
        post({ type: 'reloaded', generation: step.value.generation, rules: this.#rules?.rules.length ?? 0 });
      }
    } catch (error) {
      this.#steps = null;
      post({ type: 'reload-failed', text: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
    this.#resumeAt = performance.now() + RELOAD_EVERY_MS;
  }

  *#prepare({ generation, text, sources, databases, web: fingerprint }: Extract<WorkerOrder, { type: 'reload' }>): Steps<PolicySnapshot> {
    const { config, yaml, webFiles } = parseConfig(input.file, text);
    if (config === undefined) throw new Error(`${input.file} is not valid any more`);
    yield;
    const settings = { ...this.#settings, variables: settingsOf(config).variables };
    // What the helper thread compiled lies ready; what is missing would be compiled here.
    const cache = { smallest: 1, load: (key: string) => databases.get(key) ?? null, store: () => undefined };
    const rules = config.ips.enabled ? yield* compileRulesInSteps(sources, this.#registry, settings, { cache, generation, previous: this.#rules ?? undefined }) : null;
    const rulePolicies = yield* rulePolicySteps(config, rules);
    yield;
    // Only when something changed: this is one step of some tenths of a second.
    const web = fingerprint === webInForce ? null : (compileWebFromCache(config, webFiles, yaml, cache) ?? compileWeb(config, webFiles, yaml, 'none'));
    webInForce = fingerprint;
    return { web: web?.session ?? null, generation, rules, rulePolicies, firewall: compileFirewall(config, yaml).policy, vmPolicies: firewallPolicies(config), ports: config.ports.map((entry) => portPolicy(config, entry.vm)) };
  }
}

/** How often the thread returns to Node's event loop: there the native parts of collected objects are freed, and V8 does chores. */
const BREATH_MS = 1000;

class Loop {
  readonly #session: Session;
  readonly #sink: RingSink;
  readonly #ring: SpscRing;
  readonly #counters: Counters;
  readonly #health: PortHealth;
  readonly #reloader: Reloader;
  readonly #control: SwitchControl;
  readonly #statsSeconds: number;
  #nextHousekeeping = 0;
  #nextStats: number;

  constructor(session: Session, sink: RingSink, ring: SpscRing, counters: Counters, config: Config, reloader: Reloader, control: SwitchControl) {
    this.#session = session;
    this.#sink = sink;
    this.#ring = ring;
    this.#counters = counters;
    this.#health = new PortHealth(session, config);
    this.#reloader = reloader;
    this.#control = control;
    this.#statsSeconds = config.events.stats_seconds;
    this.#nextStats = Math.floor(Date.now() / 1000) + this.#statsSeconds;
  }

  /** Judge frames until told to stop; takes a breath now and then. @param ended called at the end */
  run(ended: () => void): void {
    if (this.#judge(performance.now() + BREATH_MS)) ended();
    else setImmediate(() => guarded(() => this.run(ended)));
  }

  /** @returns true when told to stop, false at `untilMs` */
  #judge(untilMs: number): boolean {
    const session = this.#session;
    const reloader = this.#reloader;
    const { desc, batchSize } = session.batch;
    for (;;) {
      const n = session.step(reloader.busy ? 0 : POLL_MS);
      if (reloader.busy) reloader.advance(n === 0);
      else if (n === 0) reloader.tidy();
      if (n > 0) {
        const sec = desc[(n - 1) * D_STRIDE + D_TS_SEC]!;
        session.maintain(sec);
      }
      const nowMs = performance.now();
      if (n > 0 && n < batchSize && nowMs < this.#nextHousekeeping) continue;
      if (nowMs < this.#nextHousekeeping) continue;
      this.#nextHousekeeping = nowMs + POLL_MS / 2;
      if (this.#keepHouse(n === 0)) return true;
      if (nowMs >= untilMs) return false;
    }
  }

  /** @returns true when told to stop */
  #keepHouse(idle: boolean): boolean {
    const session = this.#session;
    const now = Math.floor(Date.now() / 1000);
    if (idle) session.maintain(now);
    session.flush();
    this.#health.check();
    this.#control.maintain(now);
    this.#counters.set(G_EVENTS_LOST, this.#sink.lost);
    this.#counters.set(G_EVENT_RING_FILL, this.#ring.used / this.#ring.capacity);
    if (now >= this.#nextStats) {
      this.#nextStats = now + this.#statsSeconds;
      session.eve.stats(now, 0, session.statistics());
    }
    const order = receiveMessageOnPort(input.control)?.message as WorkerOrder | undefined;
    if (order?.type === 'reload') this.#reloader.begin(order);
    else if (order?.type === 'switch') post({ type: 'switch-answer', id: order.id, answer: this.#control.answer(order.request, now) });
    else if (order?.type === 'block-source') session.blockSource(order.words, now, order.seconds);
    return order?.type === 'stop';
  }
}

/** Whatever ends the thread is told to the main one. */
function guarded(work: () => void): void {
  try {
    work();
  } catch (error) {
    post({ type: 'failed', text: error instanceof Error && 'code' in error ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

guarded(start);
