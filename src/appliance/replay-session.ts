/**
 * A session whose only port is a capture file. Used by `replay`, `explain`, the lab without privileges and the tests: same
 * switch, same engines, same events as live; time comes from the capture, seeds are fixed, so output never changes.
 */
import { NullSink, type EventSink } from './events/sink.js';
import type { CaptureError } from '../packet/index.js';
import type { RuleSet } from '../ips/index.js';
import { ProtocolRegistry } from '../protocols/index.js';
import { PcapPort } from '../vswitch/index.js';
import { loadConfig } from './config/load.js';
import type { ConfigProblem } from './config/located-yaml.js';
import { applySetting, replaySettings, settingsOf, type EngineSettings } from './engine-settings.js';
import { compileFirewall, registryOf } from './build.js';
import type { FirewallPolicy } from '../firewall/index.js';
import { compileRules, readRuleFiles } from './rule-files.js';
import { installNativeParts } from './native-parts.js';
import { Session, type SessionPort } from './session.js';
import { drainSession, explainNotable } from './drain.js';
import type { Tracer } from './trace.js';

export interface ReplayRequest {
  readonly rules: readonly string[];
  readonly config?: string;
  readonly simulateIps: boolean;
  readonly set: readonly (readonly [string, string])[];
}

/** Everything that does not depend on the capture; made once for many captures. */
export interface ReplaySetup {
  readonly settings: EngineSettings;
  readonly registry: ProtocolRegistry;
  readonly rules: RuleSet;
  readonly firewall: FirewallPolicy | null;
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
  const problems: ConfigProblem[] = [];
  if (request.config !== undefined) {
    const loaded = loadConfig(request.config);
    problems.push(...loaded.problems);
    if (loaded.config !== undefined) {
      const compiled = compileFirewall(loaded.config, loaded.yaml);
      problems.push(...compiled.problems);
      firewall = compiled.policy;
      // What a capture holds is judged, not policed: the port is the capture, so strictness about its VM would be made up.
      settings = { ...settingsOf(loaded.config), enforce: false, strict: false, streamInline: false };
      files = [...loaded.ruleFiles, ...files];
    }
  }
  settings.enforce = request.simulateIps;
  if (request.simulateIps) settings.streamInline = true;
  const badSettings = request.set.map(([key, value]) => applySetting(settings, key, value)).filter((text) => text !== undefined);
  const registry = registryOf(settings);
  const failed = badSettings.length > 0 || problems.some((p) => p.severity === 'error');
  const rules = compileRules(failed ? [] : readRuleFiles(files), registry, settings);
  return { settings, registry, rules, firewall, problems, badSettings, failed };
}

export interface ReplayTarget {
  readonly pcap: string;
  readonly sink?: EventSink;
  readonly types: ReadonlySet<string>;
  /** Capture file for the frames that pass. */
  readonly write?: string;
}

/** Without a sink nobody reads events, so none are made. */
const NO_EVENTS: ReadonlySet<string> = new Set();

export class ReplaySession extends Session {
  readonly #source: PcapPort;

  constructor(setup: ReplaySetup, target: ReplayTarget) {
    const source = new PcapPort({ read: target.pcap });
    const common = { vm: -1, ips: 'prevent', failOpenEngine: false, failOpenSanity: true } as const;
    const out = target.write === undefined ? null : new PcapPort({ write: target.write });
    const ports: SessionPort[] = [{ config: { name: 'pcap', role: 'uplink', ...(out === null ? { passive: true } : { forwardTo: 'out' }) }, port: source, ...common }];
    if (out !== null) ports.push({ config: { name: 'out', role: 'uplink' }, port: out, ...common });
    super({
      settings: setup.settings,
      ports,
      vmNames: [],
      vmPolicies: [],
      firewall: setup.firewall,
      rules: setup.rules,
      registry: setup.registry,
      events: { sink: target.sink ?? new NullSink(), types: target.sink === undefined ? NO_EVENTS : target.types, packetSource: 'wire/pcap', dropsPerSecond: Number.POSITIVE_INFINITY },
      seed: 0x9e3779b9,
      onEngineError: (text) => process.stderr.write(`drawbridge: engine error: ${text}\n`),
    });
    this.#source = source;
  }

  /** Judge everything. @returns frames */
  drain(): number {
    return drainSession(this);
  }

  get framesRead(): number {
    return this.counters.port(0, 0);
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
