/**
 * The rule model: Deep Security's firewall rules (actions, priorities, precedence, fields) plus an ordered emergency list
 * above them. Everything here is immutable and built once per policy generation by `parseFirewall`.
 */
import type { AddressSet } from './address-set.js';
import type { HygieneConfig } from './hygiene.js';
import type { MacSet } from './mac-set.js';
import type { NumberSet } from './number-set.js';
import type { PostureConfig } from './posture.js';

/** `ruleGid` of a packet that a firewall rule decided; `ruleSid` is then the rule's index + 1. */
export const FIREWALL_GID = 3;

/** What a rule does. Values are the precedence inside one priority: the highest wins (Bypass first, Allow last). */
export const RuleAction = {
  /** Permits, and makes everything else in its direction denied. */
  ALLOW: 1,
  DENY: 2,
  /** Permits in spite of Deny and of missing Allow; still inspected by the IPS. */
  FORCE_ALLOW: 3,
  /** Reports, never decides. */
  LOG_ONLY: 4,
  /** Permits without connection tracking and without inspection; stateless, so replies need a mirror rule. */
  BYPASS: 5,
  /** Emergency list only: deny and answer with a TCP RST or ICMP unreachable. */
  REJECT: 6,
} as const;
export type RuleAction = (typeof RuleAction)[keyof typeof RuleAction];
export const ACTION_NAMES = ['', 'allow', 'deny', 'force-allow', 'log-only', 'bypass', 'reject'] as const;

/** Priorities a rule action may have: [lowest, highest]. */
export const PRIORITY_RANGE: Readonly<Record<number, readonly [number, number]>> = {
  [RuleAction.ALLOW]: [0, 0],
  [RuleAction.DENY]: [0, 4],
  [RuleAction.FORCE_ALLOW]: [0, 4],
  [RuleAction.LOG_ONLY]: [4, 4],
  [RuleAction.BYPASS]: [0, 4],
};

/** Seen from the VM the policy belongs to. */
export const Direction = { INCOMING: 0, OUTGOING: 1 } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];
export const DIRECTION_NAMES = ['in', 'out'] as const;

/** A set that a field must lie in, or (`not`) must not lie in. `null` in a rule means any value, field absent included. */
export interface Match<S> {
  readonly set: S;
  readonly not: boolean;
}

/** Bits of `mask` must read `value`; `not` inverts the outcome. A TCP header must be there either way. */
export interface TcpFlagMatch {
  readonly value: number;
  readonly mask: number;
  readonly not: boolean;
}

/** One side of a rule. An address or port constraint, inverted or not, needs the header it is about to be present. */
export interface EndMatch {
  readonly address: Match<AddressSet> | null;
  readonly mac: Match<MacSet> | null;
  readonly port: Match<NumberSet> | null;
}

/** Hours of the week in which a rule is in effect. */
export interface Schedule {
  readonly name: string;
  /** 168 cells, 1 = on, from Sunday 0:00. */
  readonly hours: Uint8Array;
  /** Seconds added to UTC before the hour is looked up. */
  readonly utcOffset: number;
}

export interface FirewallRule {
  /** Position in `FirewallPolicy.rules`; `ruleSid` is this + 1. */
  readonly index: number;
  readonly name: string;
  readonly action: RuleAction;
  /** 0 (lowest) to 4; ignored for emergency rules. */
  readonly priority: number;
  /** Position in the emergency list, -1 for an ordinary rule. */
  readonly emergency: number;
  /** Bit 0 = incoming, bit 1 = outgoing (ordinary rules have one of them). */
  readonly directions: number;
  /** EtherTypes; `ip` is 0x0800 and 0x86dd. */
  readonly frame: Match<NumberSet> | null;
  /** IP protocol numbers; needs an IP header. */
  readonly protocol: Match<NumberSet> | null;
  readonly source: EndMatch;
  readonly destination: EndMatch;
  readonly tcpFlags: TcpFlagMatch | null;
  /** ICMP and ICMPv6: type << 8 | code. */
  readonly icmp: Match<NumberSet> | null;
  readonly schedule: Schedule | null;
  /** Off outside these contexts; null = always on. */
  readonly context: string | null;
  /** False silences the events of the rule (Deny and Log Only). */
  readonly log: boolean;
  /** Raise an alert beside the event; on rules that write events (Deny, Log Only, Reject). */
  readonly alert: boolean;
  /** Put the packet into the event, as `alert`. */
  readonly packetData: boolean;
  /** True for rules that a policy's `implicit` switches stand for. */
  readonly implicit: boolean;
  /** Path of the rule in the configuration, for findings. */
  readonly path: readonly (string | number)[];
}

/** Stateful configuration of a policy. Limits are connections at one time; 0 = no limit. */
export interface StatefulConfig {
  readonly tcp: boolean;
  readonly udp: boolean;
  readonly icmp: boolean;
  readonly denyFragments: boolean;
  readonly denyCongestionFlags: boolean;
  readonly maxIncomingPerPeer: number;
  readonly maxOutgoingPerPeer: number;
  readonly maxHalfOpenPerPeer: number;
}

/** Inline enforces, tap reports what it would have dropped, off does neither. */
export type ModuleMode = 'inline' | 'tap' | 'off';

export interface VmPolicy {
  readonly name: string;
  readonly mode: ModuleMode;
  readonly stateful: StatefulConfig;
  readonly posture: PostureConfig;
  readonly hygiene: HygieneConfig;
  /** Drop IP packets whose source and destination address are the same (land attack). */
  readonly blockSameAddress: boolean;
  /** Rules in force, own and inherited, emergency rules included; order has no meaning but for the emergency list. */
  readonly rules: readonly FirewallRule[];
}

/** Reconnaissance detection (field guide: Deep Security's five detections). */
export interface ReconConfig {
  readonly enabled: boolean;
  readonly scan: boolean;
  readonly tcpNull: boolean;
  readonly tcpSynFin: boolean;
  readonly tcpXmas: boolean;
  readonly osProbe: boolean;
  /** Distinct host and port pairs that one source may fail or newly try within the window. */
  readonly scanTargets: number;
  readonly windowSeconds: number;
  /** As windowSeconds, for refused attempts of patient scanners. */
  readonly slowWindowSeconds: number;
  /** 0 = report only. */
  readonly blockSeconds: number;
  /** Sources never reported; null = none. */
  readonly allow: AddressSet | null;
  /** The only sources that are watched; null = all. */
  readonly watch: AddressSet | null;
}

/** Everything the `firewall` section of a configuration says. */
export interface FirewallPolicy {
  readonly rules: readonly FirewallRule[];
  readonly policies: ReadonlyMap<string, VmPolicy>;
  readonly activeContexts: ReadonlySet<string>;
  readonly recon: ReconConfig;
}

/**
 * Order of evaluation: emergency list first, then priority 4 to 0, inside one priority Bypass > Log Only > Force Allow >
 * Deny > Allow. Among equals the earlier rule is named in the event; the outcome is the same.
 * @returns negative when `a` is evaluated before `b`
 */
export function compareRules(a: FirewallRule, b: FirewallRule): number {
  if (a.emergency >= 0 || b.emergency >= 0) {
    if (a.emergency < 0) return 1;
    return b.emergency < 0 ? -1 : a.emergency - b.emergency;
  }
  return b.priority - a.priority || b.action - a.action || a.index - b.index;
}

/** True when the rule lets the packet go on. */
export function permits(action: RuleAction): boolean {
  return action === RuleAction.ALLOW || action === RuleAction.FORCE_ALLOW || action === RuleAction.BYPASS;
}
