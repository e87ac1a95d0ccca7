/**
 * A session whose traffic is a capture file. Used by `replay`, `explain`, the lab without privileges and the tests: same
 * switch, same engines, same events as live; time comes from the capture, seeds are fixed, so output never changes.
 */
import { NullSink, type EventSink } from './events/sink.js';
import type { CaptureError } from '../packet/index.js';
import { P_RX_FRAMES } from '../pipeline/index.js';
import { finish, type PatternCache, type RuleBitmaps, type RuleProfile, type RuleSet } from '../ips/index.js';
import { ProtocolRegistry } from '../protocols/index.js';
import type { PortDefinition } from '../vswitch/index.js';
import { CapturePort, PassedFrames, SinkPort, type MacOwner } from './capture-ports.js';
import type { Config, LoadedConfig } from './config/load.js';
import type { ConfigProblem } from './config/problem.js';
import { applySetting, replaySettings, settingsOf, type EngineSettings } from './engine-settings.js';
import { budgetOf, compileFirewall, registryOf } from './build.js';
import type { FirewallPolicy } from '../firewall/index.js';
import { compileRules, readRuleFiles } from './rule-files.js';
import { installNativeParts } from './native-parts.js';
import { Session, type SessionPort, type SessionWeb } from './session.js';
import { WEB_MODES, compileWeb, webIsOn } from './web-rules.js';
import { firewallPolicies, portPolicy, rulePolicySteps } from './snapshot.js';
import type { WebMode } from '../web/index.js';
import { drainSession, explainNotable } from './drain.js';
import type { Tracer } from './trace.js';

export interface ReplayRequest {
  /** Where compiled pattern databases are kept between runs; none = compiled each time. */
  readonly cache?: PatternCache | undefined;
  readonly rules: readonly string[];
  readonly config?: LoadedConfig | undefined;
  readonly simulateIps: boolean;
  readonly set: readonly (readonly [string, string])[];
}

/** VMs and their ports, from a configuration that names MAC addresses. */
interface ReplayPorts {
  readonly ports: readonly SessionPort[];
  readonly owners: readonly MacOwner[];
  readonly vmNames: readonly string[];
  readonly vmPolicies: readonly (string | null)[];
}

/** Everything that does not depend on the capture; made once for many captures. */
export interface ReplaySetup {
  readonly settings: EngineSettings;
  readonly registry: ProtocolRegistry;
  readonly rules: RuleSet;
  readonly rulePolicies: ReadonlyMap<string, RuleBitmaps>;
  readonly firewall: FirewallPolicy | null;
  /** null = no web protection. */
  readonly web: SessionWeb | null;
  /** For frames that are not told apart by VM. */
  readonly webMode: WebMode;
  /** null: no configuration, or one without MAC addresses; all frames are then judged alike. */
  readonly network: ReplayPorts | null;
  readonly problems: readonly ConfigProblem[];
  readonly badSettings: readonly string[];
  readonly failed: boolean;
}

/** @throws the system error when a file cannot be read */
export function resolveReplay(request: ReplayRequest): ReplaySetup {
  installNativeParts();
  let settings = replaySettings();
  let files = [...request.rules];
  let firewall: FirewallPolicy | null = null;
  let network: ReplayPorts | null = null;
  let web: SessionWeb | null = null;
  let webMode: WebMode = WEB_MODES.off;
  const problems: ConfigProblem[] = [];
  if (request.config !== undefined) {
    const loaded = request.config;
    problems.push(...loaded.problems);
    if (loaded.config !== undefined) {
      const compiled = compileFirewall(loaded.config, loaded.yaml);
      problems.push(...compiled.problems);
      firewall = compiled.policy;
      network = replayPorts(loaded.config);
      if (webIsOn(loaded.config)) {
        const compiledWeb = compileWeb(loaded.config, loaded.webFiles, loaded.yaml, 'none');
        problems.push(...compiledWeb.problems);
        web = compiledWeb.session;
        webMode = WEB_MODES[loaded.config.web.engine];
      }
      // Frames that cannot be told apart by VM are judged, not policed: strictness about their VM would be made up.
      const base = settingsOf(loaded.config);
      settings = { ...base, enforce: false, strict: base.strict && network !== null, verifyChecksums: false, streamInline: false };
      files = [...loaded.ruleFiles, ...files];
    }
  }
  settings.enforce = request.simulateIps;
  if (request.simulateIps) settings.streamInline = true;
  const badSettings = request.set.map(([key, value]) => applySetting(settings, key, value)).filter((text) => text !== undefined);
  const registry = registryOf(settings);
  const failed = badSettings.length > 0 || problems.some((p) => p.severity === 'error');
  const rules = compileRules(failed ? [] : readRuleFiles(files), registry, settings, request.cache);
  const rulePolicies = request.config?.config === undefined ? new Map<string, RuleBitmaps>() : finish(rulePolicySteps(request.config.config, rules));
  return { settings, registry, rules, rulePolicies, firewall, web, webMode, network, problems, badSettings, failed };
}

/** Position of the capture's own port; those of the configuration follow. */
const CAPTURE = 0;
const OPEN_PORT = { vm: -1, ips: 'prevent', failOpenEngine: false, failOpenSanity: true } as const;

/** @returns null when no port has a MAC address: nothing could be attributed */
function replayPorts(config: Config): ReplayPorts | null {
  const owners: MacOwner[] = [];
  const ports = config.ports.map((entry, i): SessionPort => {
    const definition = entry as unknown as PortDefinition;
    const macs = [...(definition.mac === undefined ? [] : [definition.mac]), ...(definition.allowedMacs ?? [])];
    for (const mac of macs) owners.push({ mac, port: CAPTURE + 1 + i });
    return { config: definition, port: new SinkPort(), ...portPolicy(config, entry.vm), budget: budgetOf(config, entry) };
  });
  if (owners.length === 0) return null;
  return { ports, owners, vmNames: Object.keys(config.vms), vmPolicies: firewallPolicies(config) };
}

export interface ReplayTarget {
  readonly pcap: string;
  readonly sink?: EventSink;
  readonly types: ReadonlySet<string>;
  readonly profile?: RuleProfile;
  /** Capture file for the frames that pass. */
  readonly write?: string;
}

/** Without a sink nobody reads events, so none are made. */
const NO_EVENTS: ReadonlySet<string> = new Set();

export class ReplaySession extends Session {
  readonly #source: CapturePort;
  readonly #passed: PassedFrames | null;

  constructor(setup: ReplaySetup, target: ReplayTarget) {
    const { network } = setup;
    const source = new CapturePort(target.pcap, network?.owners ?? [], CAPTURE + 1 + (network?.ports.length ?? 0));
    const ports: SessionPort[] = [{ config: { name: 'pcap', role: 'uplink', passive: true }, port: source, ...OPEN_PORT, ...(network === null ? { web: setup.webMode } : {}) }];
    if (network !== null) ports.push(...network.ports, { config: { name: 'outside', role: 'uplink' }, port: new SinkPort(), ...OPEN_PORT });
    super({
      settings: setup.settings,
      ports,
      vmNames: network?.vmNames ?? [],
      vmPolicies: network?.vmPolicies ?? [],
      firewall: setup.firewall,
      rules: setup.rules,
      rulePolicies: setup.rulePolicies,
      ...(target.profile ? { profile: target.profile } : {}),
      web: setup.web,
      registry: setup.registry,
      events: { sink: target.sink ?? new NullSink(), types: target.sink === undefined ? NO_EVENTS : target.types, packetSource: 'wire/pcap', dropsPerSecond: Number.POSITIVE_INFINITY },
      seed: 0x9e3779b9,
      onEngineError: (text) => process.stderr.write(`drawbridge: engine error: ${text}\n`),
    });
    this.#source = source;
    this.#passed = target.write === undefined ? null : new PassedFrames(target.write);
    if (this.#passed !== null) this.switch.observers.push(this.#passed);
  }

  /** Judge everything. @returns frames */
  drain(): number {
    return drainSession(this);
  }

  override close(): void {
    super.close();
    this.#passed?.close();
  }

  get framesRead(): number {
    let frames = 0;
    for (let port = 0; port < this.counters.ports; port++) frames += this.counters.port(port, P_RX_FRAMES);
    return frames;
  }

  /** Frames that passed and could not be written to the capture asked for. */
  get unwritten(): number {
    return this.#passed?.failed ?? 0;
  }

  /** Why the capture ended before its time, null when it did not. */
  captureError(): CaptureError | null {
    return this.#source.error;
  }

  /** Print what every stage said about each frame that raised an alert or was dropped. */
  explainNotable(tracer: Tracer, print: (text: string) => void): void {
    explainNotable(this, tracer, print);
  }
}

/** @throws CaptureError when the file is no capture, or the system error */
export function replaySession(setup: ReplaySetup, target: ReplayTarget): ReplaySession {
  return new ReplaySession(setup, target);
}
