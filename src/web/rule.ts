/** A compiled rule: everything resolved that does not depend on the transaction. Immutable but for what linking fills in. */
import type { Transaction } from './engine/transaction.js';
import type { Macro } from './macro.js';
import type { NamePattern } from './name-pattern.js';
import type { CompiledOperator } from './operators/operator.js';
import type { ByteString } from './value.js';
import type { PhaseNumber, Variable } from './variables/variable.js';

/** Part of a variable: all of it, one name, the names a pattern matches. */
export interface Selector {
  readonly variable: Variable;
  /** Lower case; null = no fixed name. */
  readonly name: ByteString | null;
  readonly pattern: NamePattern | null;
  /** Selector of an expression variable (XPath), null otherwise. */
  readonly expression: string | null;
}

export interface Target extends Selector {
  /** `&`: how many there are. */
  readonly count: boolean;
  /** Text for MATCHED_VAR_NAME of counts. */
  readonly label: string;
  /** `!` targets of the rule that take names out of this one; null = none. */
  exclusions: readonly Selector[] | null;
}

export const Disruptive = { PASS: 'pass', DENY: 'deny', DROP: 'drop', REDIRECT: 'redirect', ALLOW: 'allow', BLOCK: 'block' } as const;
export type DisruptiveName = (typeof Disruptive)[keyof typeof Disruptive];
export type AllowScope = 'transaction' | 'phase' | 'request';

/** Something a match does besides being logged. */
export interface Effect {
  run(tx: Transaction): void;
  /** Called once all rules are known. */
  link?(rules: readonly Rule[]): void;
}

/** Bits over the indexes of chain starters. */
export type RuleBits = Uint32Array;

export interface OperatorUse {
  readonly name: string;
  readonly negated: boolean;
  /** Compiled, unless the argument has macros. */
  readonly compiled: CompiledOperator | null;
  /** Compiles the expanded argument of a macro, remembering the last few. */
  readonly expand: ((argument: ByteString) => CompiledOperator | null) | null;
  readonly argument: Macro;
  /** Slot of the prefilter, -1 = judged every time. */
  readonly slot: number;
}

/**
 * The targets of a rule together with what its operator sees of them: rules that look at the same things in the same way share
 * one. While a phase runs, one union of hit bits per group tells for each of its rules whether any value may match at all.
 */
export interface ScanGroup {
  readonly id: number;
  readonly targets: readonly Target[];
  /** Forms of the values that are judged. */
  readonly nodes: readonly number[];
}

export interface RuleFields {
  readonly id: number;
  readonly phase: PhaseNumber;
  readonly file: string;
  readonly line: number;
  readonly targets: readonly Target[];
  /** Null for SecAction. */
  readonly operator: OperatorUse | null;
  /** Node of the transformation tree, and with multiMatch every node on the way to it from the bare value on. */
  readonly node: number;
  readonly path: readonly number[] | null;
  readonly capture: boolean;
  readonly effects: readonly Effect[];
  readonly disruptive: DisruptiveName;
  readonly allowScope: AllowScope;
  readonly status: number;
  readonly redirect: Macro | null;
  readonly log: boolean;
  readonly audit: boolean;
  readonly message: Macro | null;
  readonly data: Macro | null;
  /** 0..7, -1 = none. */
  readonly severity: number;
  readonly tags: readonly Macro[];
  readonly version: string;
  readonly revision: string;
  readonly maturity: number;
  readonly accuracy: number;
  /** Rules to skip after a match. */
  readonly skip: number;
  /** Marker to go on behind after a match, '' = none. */
  readonly skipAfter: string;
}

export class Rule {
  readonly id: number;
  readonly phase: PhaseNumber;
  readonly file: string;
  readonly line: number;
  targets: readonly Target[];
  readonly operator: OperatorUse | null;
  readonly node: number;
  readonly path: readonly number[] | null;
  readonly capture: boolean;
  readonly effects: readonly Effect[];
  readonly disruptive: DisruptiveName;
  readonly allowScope: AllowScope;
  readonly status: number;
  readonly redirect: Macro | null;
  readonly log: boolean;
  readonly audit: boolean;
  readonly message: Macro | null;
  readonly data: Macro | null;
  readonly severity: number;
  readonly tags: readonly Macro[];
  readonly version: string;
  readonly revision: string;
  readonly maturity: number;
  readonly accuracy: number;
  readonly skip: number;
  readonly skipAfter: string;
  /** Index among all chain starters: its bit in RuleBits. */
  index = -1;
  /** Next link of the chain. */
  next: Rule | null = null;
  /** First rule of the chain; itself for starters. */
  starter: Rule;
  /**
   * Set when the union of a group decides whether the rule has to be looked at: all targets hold still during a phase, and the
   * operator has a slot and is not negated.
   */
  group: ScanGroup | null = null;
  /** Word and bit of the operator's slot. */
  readonly word: number;
  readonly bit: number;
  /** Name of the TX variable when that is all the rule looks at. */
  readonly txName: ByteString | null;
  /** Where to go on in the phase's list after a match with skip or skipAfter; -1 = with the next rule. */
  jump = -1;

  constructor(fields: RuleFields, starter: Rule | null) {
    this.id = fields.id;
    this.phase = fields.phase;
    this.file = fields.file;
    this.line = fields.line;
    this.targets = fields.targets;
    this.operator = fields.operator;
    this.node = fields.node;
    this.path = fields.path;
    this.capture = fields.capture;
    this.effects = fields.effects;
    this.disruptive = fields.disruptive;
    this.allowScope = fields.allowScope;
    this.status = fields.status;
    this.redirect = fields.redirect;
    this.log = fields.log;
    this.audit = fields.audit;
    this.message = fields.message;
    this.data = fields.data;
    this.severity = fields.severity;
    this.tags = fields.tags;
    this.version = fields.version;
    this.revision = fields.revision;
    this.maturity = fields.maturity;
    this.accuracy = fields.accuracy;
    this.skip = fields.skip;
    this.skipAfter = fields.skipAfter;
    this.starter = starter ?? this;
    const slot = fields.operator?.slot ?? -1;
    this.word = slot >>> 5;
    this.bit = 1 << (slot & 31);
    const only = fields.targets.length === 1 ? fields.targets[0]! : null;
    this.txName = only !== null && only.variable.name === 'TX' && !only.count ? only.name : null;
  }
}

/** Bits of the rules for which `test` holds. */
export function ruleBits(rules: readonly Rule[], test: (rule: Rule) => boolean): RuleBits {
  const bits = new Uint32Array((rules.length + 31) >>> 5);
  for (const rule of rules) if (test(rule)) bits[rule.index >>> 5]! |= 1 << (rule.index & 31);
  return bits;
}

export function hasBit(bits: RuleBits, index: number): boolean {
  return (bits[index >>> 5]! & (1 << (index & 31))) !== 0;
}

/** Does the selector cover this name of its variable? */
export function selects(selector: Selector, lowerName: ByteString): boolean {
  if (selector.name !== null) return selector.name === lowerName;
  return selector.pattern === null || selector.pattern.test(lowerName);
}
