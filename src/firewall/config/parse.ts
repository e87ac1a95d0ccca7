/** The `firewall` section of the configuration -> FirewallPolicy. Shape is checked by the JSON Schema, meaning here. */
import type { AddressSet } from '../address-set.js';
import type { FirewallPolicy, FirewallRule, ModuleMode, ReconConfig, Schedule, StatefulConfig, VmPolicy } from '../model.js';
import { parseImplicit, type ImplicitConfig } from './implicit.js';
import { asMap, Problems, show, type FirewallProblem, type Path } from './problems.js';
import { parseHygiene, parsePosture } from './posture.js';
import { flag, parseRule, rejectUnknownKeys, type DraftRule, type RuleScope } from './rule.js';
import { parseSchedule } from './schedule.js';
import { ADDRESS, MAC, PORT, parseItems, parseMatch, type Kind, type NamedLists } from './values.js';

const SECTION_KEYS = ['lists', 'schedules', 'active_contexts', 'rules', 'policies', 'emergency', 'recon'];
const POLICY_KEYS = ['extends', 'mode', 'stateful', 'posture', 'hygiene', 'implicit', 'rules'];
const STATEFUL_KEYS = ['tcp', 'udp', 'icmp', 'deny_fragments', 'deny_congestion_flags', 'max_incoming_per_peer', 'max_outgoing_per_peer', 'max_half_open_per_peer'];
const RECON_KEYS = ['enabled', 'scan', 'tcp_null', 'tcp_syn_fin', 'tcp_xmas', 'os_probe', 'scan_targets', 'window_seconds', 'slow_window_seconds', 'block_seconds', 'allow', 'watch'];
const MAX_COUNT = 1_000_000;

export interface ParsedFirewall {
  readonly policy: FirewallPolicy;
  /** With any of severity "error" the policy must not be used. */
  readonly problems: readonly FirewallProblem[];
}

/**
 * @param config the section as plain data (undefined = empty)
 * @param where path of the section in the document, in front of every reported path
 */
export function parseFirewall(config: unknown, where: Path = ['firewall']): ParsedFirewall {
  return new FirewallParser(asMap(config) ?? {}, where).parse();
}

class FirewallParser {
  readonly #section: Record<string, unknown>;
  readonly #where: Path;
  readonly #problems = new Problems();
  readonly #rules: FirewallRule[] = [];
  /** Rule name -> rule, for policies that name rules; also catches names used twice. */
  readonly #named = new Map<string, FirewallRule>();
  readonly #policies = new Map<string, VmPolicy>();

  constructor(section: Record<string, unknown>, where: Path) {
    this.#section = section;
    this.#where = where;
  }

  parse(): ParsedFirewall {
    rejectUnknownKeys(this.#section, SECTION_KEYS, this.#where, this.#problems);
    const lists = this.#parseLists();
    const scope: RuleScope = { lists, schedules: this.#parseSchedules(), problems: this.#problems };
    const rules = this.#map('rules');
    for (const [name, value] of Object.entries(rules)) this.#add(parseRule(value, name, -1, scope, [...this.#where, 'rules', name]), true);
    const emergency = this.#parseEmergency(scope);
    const policies = this.#map('policies');
    for (const name of Object.keys(policies)) this.#parsePolicy(name, policies, scope, emergency, []);
    const contexts = this.#section['active_contexts'];
    const policy: FirewallPolicy = {
      rules: this.#rules,
      policies: this.#policies,
      activeContexts: new Set(Array.isArray(contexts) ? contexts.map(String) : []),
      recon: this.#parseRecon(lists),
    };
    return { policy, problems: this.#problems.list };
  }

  #map(key: string): Record<string, unknown> {
    const value = this.#section[key];
    const map = asMap(value);
    if (value !== undefined && map === undefined) this.#problems.error([...this.#where, key], `${show(value)} is not a mapping of names`);
    return map ?? {};
  }

  #add(draft: DraftRule | undefined, named: boolean): FirewallRule | undefined {
    if (draft === undefined) return undefined;
    const rule: FirewallRule = { ...draft, index: this.#rules.length };
    if (named) {
      if (this.#named.has(rule.name)) this.#problems.error([...rule.path, 'name'], `rule name "${rule.name}" is already used; names appear in events, so each needs its own`);
      this.#named.set(rule.name, rule);
    }
    this.#rules.push(rule);
    return rule;
  }

  #parseLists(): NamedLists {
    const section = this.#map('lists');
    const at = [...this.#where, 'lists'];
    rejectUnknownKeys(section, ['addresses', 'macs', 'ports'], at, this.#problems);
    const out = new Map<string, Map<string, readonly unknown[]>>();
    const read = <T, S>(key: string, kind: Kind<T, S>): void => {
      const known = new Map<string, readonly unknown[]>();
      out.set(key, known);
      // Lists may name lists written above them, so a cycle cannot be written.
      for (const [name, value] of Object.entries(asMap(section[key]) ?? {})) {
        known.set(name, parseItems(value, kind, out, [...at, key, name], this.#problems) ?? []);
      }
    };
    read('addresses', ADDRESS);
    read('macs', MAC);
    read('ports', PORT);
    return out;
  }

  #parseSchedules(): Map<string, Schedule> {
    const out = new Map<string, Schedule>();
    for (const [name, value] of Object.entries(this.#map('schedules'))) {
      const schedule = parseSchedule(name, value, [...this.#where, 'schedules', name], this.#problems);
      if (schedule !== undefined) out.set(name, schedule);
    }
    return out;
  }

  /** Emergency rules with the policies each applies to (null = all). */
  #parseEmergency(scope: RuleScope): { rule: FirewallRule; policies: ReadonlySet<string> | null }[] {
    const list = this.#section['emergency'];
    const known = Object.keys(this.#map('policies'));
    const out: { rule: FirewallRule; policies: ReadonlySet<string> | null }[] = [];
    (Array.isArray(list) ? list : []).forEach((value: unknown, i) => {
      const path = [...this.#where, 'emergency', i];
      const map = asMap(value);
      const rule = this.#add(parseRule(value, this.#nameOf(map, `emergency ${i + 1}`), i, scope, path), true);
      const applied = map?.['policies'];
      const names = Array.isArray(applied) ? applied.map(String) : null;
      names?.forEach((name, n) => {
        if (!known.includes(name)) this.#problems.error([...path, 'policies', n], `there is no policy "${name}"; known: ${known.join(', ') || 'none'}`);
      });
      if (rule !== undefined) out.push({ rule, policies: names === null ? null : new Set(names) });
    });
    return out;
  }

  #nameOf(map: Record<string, unknown> | undefined, fallback: string): string {
    return typeof map?.['name'] === 'string' && map['name'] !== '' ? map['name'] : fallback;
  }

  #parsePolicy(name: string, all: Record<string, unknown>, scope: RuleScope, emergency: readonly { rule: FirewallRule; policies: ReadonlySet<string> | null }[], chain: readonly string[]): VmPolicy | undefined {
    const done = this.#policies.get(name);
    if (done !== undefined) return done;
    const path = [...this.#where, 'policies', name];
    const map = asMap(all[name]) ?? {};
    rejectUnknownKeys(map, POLICY_KEYS, path, this.#problems);
    const base = this.#resolveBase(map['extends'], name, all, scope, emergency, chain, path);
    const own = this.#parsePolicyRules(map['rules'], name, scope, [...path, 'rules']);
    const implicit = this.#parseImplicit(map['implicit'], base, [...path, 'implicit']);
    const inherited = (base?.rules ?? []).filter((r) => r.emergency < 0 && !(implicit !== undefined && r.implicit));
    const policy: VmPolicy = {
      name,
      mode: this.#parseMode(map['mode'], base, [...path, 'mode']),
      stateful: this.#parseStateful(asMap(map['stateful']) ?? {}, base?.stateful, [...path, 'stateful']),
      posture: parsePosture(map['posture'], base?.posture, [...path, 'posture'], this.#problems),
      hygiene: parseHygiene(map['hygiene'], base?.hygiene, [...path, 'hygiene'], this.#problems),
      blockSameAddress: implicit?.blockSameAddress ?? base?.blockSameAddress ?? true,
      rules: [
        ...emergency.filter((e) => e.policies === null || e.policies.has(name)).map((e) => e.rule),
        ...new Set([...inherited, ...own, ...(implicit?.rules ?? [])]),
      ],
    };
    this.#policies.set(name, policy);
    return policy;
  }

  #resolveBase(value: unknown, name: string, all: Record<string, unknown>, scope: RuleScope, emergency: readonly { rule: FirewallRule; policies: ReadonlySet<string> | null }[], chain: readonly string[], path: Path): VmPolicy | undefined {
    if (value === undefined) return undefined;
    const at = [...path, 'extends'];
    if (typeof value !== 'string' || !Object.hasOwn(all, value)) {
      this.#problems.error(at, `there is no policy ${show(value)} to extend; known: ${Object.keys(all).join(', ')}`);
      return undefined;
    }
    if (value === name || chain.includes(value)) {
      this.#problems.error(at, `policies extend one another in a circle: ${[...chain, name, value].join(' -> ')}`);
      return undefined;
    }
    return this.#parsePolicy(value, all, scope, emergency, [...chain, name]);
  }

  #parsePolicyRules(value: unknown, policy: string, scope: RuleScope, path: Path): FirewallRule[] {
    const out: FirewallRule[] = [];
    (Array.isArray(value) ? value : []).forEach((item: unknown, i) => {
      const at = [...path, i];
      if (typeof item === 'string') {
        const rule = this.#named.get(item);
        if (rule !== undefined) out.push(rule);
        else if (!Object.hasOwn(this.#map('rules'), item)) this.#problems.error(at, `there is no rule "${item}"; known: ${Object.keys(this.#map('rules')).join(', ') || 'none (add it under firewall.rules)'}`);
        return;
      }
      const map = asMap(item);
      const rule = this.#add(parseRule(item, this.#nameOf(map, `${policy} rule ${i + 1}`), -1, scope, at), true);
      if (rule !== undefined) out.push(rule);
    });
    return out;
  }

  /** undefined when the policy takes over the implicit rules of the one it extends. */
  #parseImplicit(value: unknown, base: VmPolicy | undefined, path: Path): { rules: FirewallRule[]; blockSameAddress: boolean } | undefined {
    if (value === undefined && base !== undefined) return undefined;
    const parsed: ImplicitConfig = parseImplicit(asMap(value) ?? {}, path, this.#problems);
    return { rules: parsed.rules.map((draft) => this.#add(draft, false)!), blockSameAddress: parsed.blockSameAddress };
  }

  #parseMode(value: unknown, base: VmPolicy | undefined, path: Path): ModuleMode {
    if (value === undefined) return base?.mode ?? 'inline';
    if (value === 'inline' || value === 'tap' || value === 'off') return value;
    this.#problems.error(path, `${show(value)} is not a mode; accepted: inline, tap, off`);
    return 'inline';
  }

  #parseStateful(map: Record<string, unknown>, base: StatefulConfig | undefined, path: Path): StatefulConfig {
    rejectUnknownKeys(map, STATEFUL_KEYS, path, this.#problems);
    const bool = (key: string, inherited: boolean): boolean => flag(map[key], inherited, [...path, key], this.#problems);
    const count = (key: string, inherited: number): number => this.#integer(map[key], inherited, 0, MAX_COUNT, [...path, key]);
    return {
      tcp: bool('tcp', base?.tcp ?? true),
      udp: bool('udp', base?.udp ?? true),
      icmp: bool('icmp', base?.icmp ?? true),
      denyFragments: bool('deny_fragments', base?.denyFragments ?? false),
      denyCongestionFlags: bool('deny_congestion_flags', base?.denyCongestionFlags ?? false),
      maxIncomingPerPeer: count('max_incoming_per_peer', base?.maxIncomingPerPeer ?? 0),
      maxOutgoingPerPeer: count('max_outgoing_per_peer', base?.maxOutgoingPerPeer ?? 0),
      maxHalfOpenPerPeer: count('max_half_open_per_peer', base?.maxHalfOpenPerPeer ?? 0),
    };
  }

  #parseRecon(lists: NamedLists): ReconConfig {
    const map = this.#map('recon');
    const path = [...this.#where, 'recon'];
    rejectUnknownKeys(map, RECON_KEYS, path, this.#problems);
    const bool = (key: string): boolean => flag(map[key], true, [...path, key], this.#problems);
    const set = (key: string): AddressSet | null => {
      const match = parseMatch<unknown, AddressSet>(map[key], ADDRESS as Kind<unknown, AddressSet>, lists, [...path, key], this.#problems);
      return match === null || match === undefined ? null : match.not ? match.set.invert() : match.set;
    };
    return {
      enabled: bool('enabled'),
      scan: bool('scan'),
      tcpNull: bool('tcp_null'),
      tcpSynFin: bool('tcp_syn_fin'),
      tcpXmas: bool('tcp_xmas'),
      osProbe: bool('os_probe'),
      scanTargets: this.#integer(map['scan_targets'], 25, 5, 60, [...path, 'scan_targets']),
      windowSeconds: this.#integer(map['window_seconds'], 60, 1, 3600, [...path, 'window_seconds']),
      blockSeconds: this.#integer(map['block_seconds'], 0, 0, 86_400, [...path, 'block_seconds']),
      slowWindowSeconds: this.#integer(map['slow_window_seconds'], 3600, 60, 86_400, [...path, 'slow_window_seconds']),
      allow: set('allow'),
      watch: set('watch'),
    };
  }

  #integer(value: unknown, byDefault: number, min: number, max: number, path: Path): number {
    if (value === undefined) return byDefault;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    this.#problems.error(path, `${show(value)} is not accepted; accepted: a whole number ${min} to ${max}`);
    return byDefault;
  }
}
