/** One rule of the configuration -> typed rule. */
import { ACTION_NAMES, Direction, PRIORITY_RANGE, RuleAction, type EndMatch, type FirewallRule, type Match, type Schedule, type TcpFlagMatch } from '../model.js';
import { NumberSet } from '../number-set.js';
import { asMap, show, type Path, type Problems } from './problems.js';
import { ADDRESS, FRAME, ICMP, MAC, PORT, PROTOCOL, parseMatch, parseTcpFlags, type Kind, type NamedLists } from './values.js';

/** What rules may refer to. */
export interface RuleScope {
  readonly lists: NamedLists;
  readonly schedules: ReadonlyMap<string, Schedule>;
  readonly problems: Problems;
}

export type DraftRule = Omit<FirewallRule, 'index'>;

const RULE_KEYS = ['name', 'action', 'priority', 'direction', 'frame', 'protocol', 'source', 'destination', 'tcp_flags', 'icmp', 'schedule', 'context', 'log', 'alert', 'packet_data', 'policies'];
const END_KEYS = ['address', 'mac', 'port'];
const ACTIONS: Readonly<Record<string, RuleAction>> = {
  allow: RuleAction.ALLOW,
  deny: RuleAction.DENY,
  'force-allow': RuleAction.FORCE_ALLOW,
  'log-only': RuleAction.LOG_ONLY,
  bypass: RuleAction.BYPASS,
};
const EMERGENCY_ACTIONS: Readonly<Record<string, RuleAction>> = { allow: RuleAction.ALLOW, drop: RuleAction.DENY, reject: RuleAction.REJECT };
const NO_END: EndMatch = { address: null, mac: null, port: null };
const PORT_PROTOCOLS = new NumberSet([[6, 6], [17, 17], [132, 132]]);
const IP_FRAMES = NumberSet.of(0x0800, 0x86dd);

/**
 * @param emergency position in the emergency list, -1 for an ordinary rule
 * @returns undefined when a problem was reported
 */
export function parseRule(value: unknown, name: string, emergency: number, scope: RuleScope, path: Path): DraftRule | undefined {
  const { problems } = scope;
  const map = asMap(value);
  if (map === undefined) {
    problems.error(path, `${show(value)} is not a rule; a rule is a mapping with at least "action" and "direction"`);
    return undefined;
  }
  const before = problems.list.length;
  rejectUnknownKeys(map, RULE_KEYS, path, problems);
  const action = parseAction(map['action'], emergency >= 0 ? EMERGENCY_ACTIONS : ACTIONS, [...path, 'action'], problems);
  const directions = parseDirection(map['direction'], emergency >= 0, [...path, 'direction'], problems);
  const match = parseMatchFields(map, scope, path);
  const rule: DraftRule = {
    name,
    action: action ?? RuleAction.DENY,
    priority: parsePriority(map['priority'], action, emergency, [...path, 'priority'], problems),
    emergency,
    directions,
    ...match,
    schedule: lookup(map['schedule'], scope.schedules, 'schedule', [...path, 'schedule'], problems),
    context: typeof map['context'] === 'string' ? map['context'] : null,
    log: flag(map['log'], true, [...path, 'log'], problems),
    alert: flag(map['alert'], false, [...path, 'alert'], problems),
    packetData: flag(map['packet_data'], false, [...path, 'packet_data'], problems),
    implicit: false,
    path,
  };
  if (!rule.log && action !== undefined && !writesEvents(action)) {
    problems.warn([...path, 'log'], `"log: false" has no effect on ${ACTION_NAMES[action]}: only deny, log-only, drop and reject write events`);
  }
  if ((rule.alert || rule.packetData) && (!rule.log || !writesEvents(action))) {
    const key = rule.alert ? 'alert' : 'packet_data';
    problems.error([...path, key], `"${key}" needs a rule that writes events: deny, log-only, drop or reject, without "log: false"`);
  }
  if (hasErrorSince(problems, before)) return undefined;
  checkFieldsFit(rule, path, problems);
  return hasErrorSince(problems, before) ? undefined : rule;
}

function writesEvents(action: RuleAction | undefined): boolean {
  return action === RuleAction.DENY || action === RuleAction.LOG_ONLY || action === RuleAction.REJECT;
}

type MatchFields = Pick<DraftRule, 'frame' | 'protocol' | 'source' | 'destination' | 'tcpFlags' | 'icmp'>;

function parseMatchFields(map: Record<string, unknown>, scope: RuleScope, path: Path): MatchFields {
  const read = <T, S>(key: string, kind: Kind<T, S>): Match<S> | null => parseMatch(map[key], kind, scope.lists, [...path, key], scope.problems) ?? null;
  const tcpFlags: TcpFlagMatch | null = parseTcpFlags(map['tcp_flags'], [...path, 'tcp_flags'], scope.problems) ?? null;
  return {
    frame: read('frame', FRAME),
    protocol: read('protocol', PROTOCOL),
    source: parseEnd(map['source'], scope, [...path, 'source']),
    destination: parseEnd(map['destination'], scope, [...path, 'destination']),
    tcpFlags,
    icmp: read('icmp', ICMP),
  };
}

/** `{ address, mac, port }`, or an address value by itself. */
function parseEnd(value: unknown, scope: RuleScope, path: Path): EndMatch {
  if (value === undefined || value === null) return NO_END;
  const map = asMap(value);
  if (map === undefined || 'not' in map) return { ...NO_END, address: parseMatch(value, ADDRESS, scope.lists, path, scope.problems) ?? null };
  rejectUnknownKeys(map, END_KEYS, path, scope.problems);
  return {
    address: parseMatch(map['address'], ADDRESS, scope.lists, [...path, 'address'], scope.problems) ?? null,
    mac: parseMatch(map['mac'], MAC, scope.lists, [...path, 'mac'], scope.problems) ?? null,
    port: parseMatch(map['port'], PORT, scope.lists, [...path, 'port'], scope.problems) ?? null,
  };
}

function parseAction(value: unknown, actions: Readonly<Record<string, RuleAction>>, path: Path, problems: Problems): RuleAction | undefined {
  if (typeof value === 'string' && Object.hasOwn(actions, value)) return actions[value];
  problems.error(path, `${show(value)} is not an action; accepted: ${Object.keys(actions).join(', ')}`);
  return undefined;
}

function parseDirection(value: unknown, optional: boolean, path: Path, problems: Problems): number {
  if (value === 'in') return 1 << Direction.INCOMING;
  if (value === 'out') return 1 << Direction.OUTGOING;
  if (optional && (value === undefined || value === 'both')) return 3;
  problems.error(path, `${show(value)} is not a direction; accepted: in, out${optional ? ', both' : ''} (seen from the VM)`);
  return 0;
}

function parsePriority(value: unknown, action: RuleAction | undefined, emergency: number, path: Path, problems: Problems): number {
  if (emergency >= 0) {
    if (value !== undefined) problems.error(path, 'emergency rules have no priority: the first match decides');
    return 0;
  }
  const [low, high] = PRIORITY_RANGE[action ?? RuleAction.DENY]!;
  if (value === undefined) return low;
  if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return value;
  const accepted = low === high ? `only ${low}` : `${low} to ${high}`;
  problems.error(path, `priority ${show(value)} is not possible for ${ACTION_NAMES[action ?? RuleAction.DENY]}; accepted: ${accepted}`);
  return low;
}

/** Combinations of fields that no packet can have are errors: such a rule silently does nothing. */
function checkFieldsFit(rule: DraftRule, path: Path, problems: Problems): void {
  const ends = [['source', rule.source], ['destination', rule.destination]] as const;
  const { protocol, frame } = rule;
  const mayBe = (numbers: NumberSet): boolean => protocol === null || (protocol.not ? !protocol.set.covers(numbers) : protocol.set.intersects(numbers));
  for (const [key, end] of ends) {
    if (end.port !== null && !mayBe(PORT_PROTOCOLS)) problems.error([...path, key, 'port'], 'the protocol of this rule has no ports; accepted protocols with ports: tcp, udp, tcp+udp, sctp');
  }
  if (rule.tcpFlags !== null && !mayBe(NumberSet.of(6))) problems.error([...path, 'tcp_flags'], 'TCP flags need protocol tcp (or any)');
  if (rule.icmp !== null && !mayBe(NumberSet.of(1, 58))) problems.error([...path, 'icmp'], 'ICMP types need protocol icmp or icmpv6 (or any)');
  if (frame !== null && (frame.not ? frame.set.covers(IP_FRAMES) : !frame.set.intersects(IP_FRAMES))) {
    const needsIp = protocol !== null || rule.tcpFlags !== null || rule.icmp !== null || ends.some(([, end]) => end.address !== null || end.port !== null);
    if (needsIp) problems.error([...path, 'frame'], 'addresses, protocol, ports, TCP flags and ICMP types need IP frames; accepted: ip, ipv4, ipv6, any');
  }
}

function lookup<T>(value: unknown, known: ReadonlyMap<string, T>, what: string, path: Path, problems: Problems): T | null {
  if (value === undefined || value === null) return null;
  const found = typeof value === 'string' ? known.get(value) : undefined;
  if (found === undefined) problems.error(path, `there is no ${what} ${show(value)}; known: ${[...known.keys()].join(', ') || 'none'}`);
  return found ?? null;
}

/** A boolean setting with its default. */
export function flag(value: unknown, byDefault: boolean, path: Path, problems: Problems): boolean {
  if (value === undefined) return byDefault;
  if (typeof value === 'boolean') return value;
  problems.error(path, `${show(value)} is not accepted; accepted: true, false`);
  return byDefault;
}

export function rejectUnknownKeys(map: Record<string, unknown>, known: readonly string[], path: Path, problems: Problems): void {
  for (const key of Object.keys(map)) {
    if (!known.includes(key)) problems.error([...path, key], `unknown setting "${key}"; known here: ${known.join(', ')}`);
  }
}

function hasErrorSince(problems: Problems, from: number): boolean {
  return problems.list.slice(from).some((p) => p.severity === 'error');
}
