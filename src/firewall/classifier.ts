/**
 * A VM's rules, compiled. Immutable; cost of a lookup does not grow with the number of rules (bench/firewall.ts).
 * The outcome is a decision code: what decided in the low bits, the rule's index + 1 above.
 */
import type { PacketView } from '../packet/index.js';
import { compareRules, Direction, RuleAction, type FirewallRule } from './model.js';
import { PacketKey } from './packet-key.js';
import { NO_RANK } from './tuple-builder.js';
import { TupleSpace } from './tuple-space.js';

/** What decided. 1 to 6 are the RuleAction of the rule. */
export const Decision = {
  /** No rule matched and the direction has no Allow rule. */
  DEFAULT_ALLOW: 0,
  ALLOW: RuleAction.ALLOW,
  DENY: RuleAction.DENY,
  FORCE_ALLOW: RuleAction.FORCE_ALLOW,
  LOG_ONLY: RuleAction.LOG_ONLY,
  BYPASS: RuleAction.BYPASS,
  REJECT: RuleAction.REJECT,
  /** No rule matched and the direction has an Allow rule. */
  OUT_OF_ALLOWED: 7,
} as const;

const DECISION_BITS = 3;

/** What decided: a value of Decision. */
export function decisionOf(code: number): number {
  return code & ((1 << DECISION_BITS) - 1);
}

/** Rule that decided: its index + 1 (`ruleSid`), 0 = the default of the direction. */
export function decisionRule(code: number): number {
  return code >>> DECISION_BITS;
}

/** True when the packet may go on. */
export function isPermitted(decision: number): boolean {
  return decision !== Decision.DENY && decision !== Decision.REJECT && decision !== Decision.OUT_OF_ALLOWED;
}

/** The rules of one direction. */
class DirectionRules {
  readonly #deciding: RuleTable;
  readonly #logging: RuleTable | null;
  readonly #default: number;
  readonly hasBypass: boolean;

  constructor(rules: readonly FirewallRule[], activeContexts: ReadonlySet<string>) {
    // Allow rules that are off by schedule or context keep the direction closed: "allow 9 to 17" must not open it at night.
    this.#default = rules.some((r) => r.action === RuleAction.ALLOW && r.emergency < 0) ? Decision.OUT_OF_ALLOWED : Decision.DEFAULT_ALLOW;
    const active = rules.filter((r) => r.context === null || activeContexts.has(r.context)).toSorted(compareRules);
    this.#deciding = new RuleTable(active.filter((r) => r.action !== RuleAction.LOG_ONLY));
    const logging = active.filter((r) => r.action === RuleAction.LOG_ONLY);
    this.#logging = logging.length === 0 ? null : new RuleTable(logging);
    this.hasBypass = active.some((r) => r.action === RuleAction.BYPASS);
  }

  evaluate(key: PacketKey): number {
    const rule = this.#deciding.find(key);
    return rule === null ? this.#default : ((rule.index + 1) << DECISION_BITS) | rule.action;
  }

  loggingRule(key: PacketKey, decided: number): number {
    if (this.#logging === null) return 0;
    const rule = this.#logging.find(key);
    if (rule === null) return 0;
    // A Bypass of the same priority and every emergency rule come before Log Only.
    const by = this.#deciding.byIndex(decisionRule(decided) - 1);
    if (by !== undefined && compareRules(by, rule) < 0) return 0;
    return rule.index + 1;
  }

  shapes(): { readonly tuples: number; readonly longestChain: number }[] {
    return this.#deciding.shapes();
  }
}

/** Rules in order of evaluation, filed by address family. */
class RuleTable {
  readonly #rules: readonly FirewallRule[];
  readonly #byIndex: ReadonlyMap<number, FirewallRule>;
  readonly #ipv4: TupleSpace;
  readonly #ipv6: TupleSpace;
  readonly #other: TupleSpace;

  constructor(rules: readonly FirewallRule[]) {
    this.#rules = rules;
    this.#byIndex = new Map(rules.map((r) => [r.index, r]));
    this.#ipv4 = new TupleSpace(rules, 4);
    this.#ipv6 = new TupleSpace(rules, 6);
    this.#other = new TupleSpace(rules, 0);
  }

  find(key: PacketKey): FirewallRule | null {
    const space = key.ipVersion === 4 ? this.#ipv4 : key.ipVersion === 6 ? this.#ipv6 : this.#other;
    const rank = space.find(key);
    return rank === NO_RANK ? null : this.#rules[rank]!;
  }

  byIndex(index: number): FirewallRule | undefined {
    return this.#byIndex.get(index);
  }

  shapes(): { readonly tuples: number; readonly longestChain: number }[] {
    return [this.#ipv4.shape, this.#ipv6.shape, this.#other.shape];
  }
}

export class Classifier {
  readonly #incoming: DirectionRules;
  readonly #outgoing: DirectionRules;
  readonly #key = new PacketKey();

  constructor(rules: readonly FirewallRule[], activeContexts: ReadonlySet<string> = new Set()) {
    const towards = (direction: number): FirewallRule[] => rules.filter((r) => (r.directions & (1 << direction)) !== 0);
    this.#incoming = new DirectionRules(towards(Direction.INCOMING), activeContexts);
    this.#outgoing = new DirectionRules(towards(Direction.OUTGOING), activeContexts);
  }

  /** @returns decision code for the packet as seen from the VM (decisionOf, decisionRule) */
  evaluate(view: PacketView, direction: Direction): number {
    this.#key.load(view);
    return this.evaluateKey(this.#key, direction);
  }

  evaluateKey(key: PacketKey, direction: Direction): number {
    return direction === Direction.INCOMING ? this.#incoming.evaluate(key) : this.#outgoing.evaluate(key);
  }

  /**
   * Log Only rule that has something to say about a packet that may pass.
   * @param decided the decision code of the packet: rules that come before Log Only silence it
   * @returns the rule's index + 1, 0 = none
   */
  loggingRule(key: PacketKey, direction: Direction, decided: number): number {
    return direction === Direction.INCOMING ? this.#incoming.loggingRule(key, decided) : this.#outgoing.loggingRule(key, decided);
  }

  /** True when a Bypass rule exists in either direction: invalid packets have to be asked about too. */
  get hasBypass(): boolean {
    return this.#incoming.hasBypass || this.#outgoing.hasBypass;
  }

  /** Tuples and longest candidate list per direction and address family (incoming IPv4, IPv6, other, then outgoing). */
  shapes(): { readonly tuples: number; readonly longestChain: number }[] {
    return [...this.#incoming.shapes(), ...this.#outgoing.shapes()];
  }
}
