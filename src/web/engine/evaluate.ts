/**
 * Judging one rule against a transaction. The order of questions is that of their cost: may any value that the rule looks at
 * match (one bit per group of rules), may this value match (one bit), is its name excluded, does the operator match.
 */
import { MatchState, type CompiledOperator } from '../operators/operator.js';
import { ScanPlace } from '../prefilter.js';
import { hasBit, selects, type OperatorUse, type Rule, type ScanGroup, type Target } from '../rule.js';
import { UnionArena, type EntryList } from './entry-list.js';
import type { Transaction } from './transaction.js';
import type { Scanner, TransformTree, ValueCache, ValueInfo, Variant } from './value-cache.js';

export class Evaluator {
  readonly #tree: TransformTree;
  readonly #cache: ValueCache;
  readonly #scanner: Scanner;
  readonly #match = new MatchState();
  readonly #arena: UnionArena;
  /** Per scan group the slots that may match, as an offset into the arena; -1 = not known yet in this run. Phases run to their end, one at a time. */
  readonly #unions: Int32Array;

  constructor(tree: TransformTree, cache: ValueCache, scanner: Scanner, groups: number) {
    this.#tree = tree;
    this.#cache = cache;
    this.#scanner = scanner;
    this.#arena = new UnionArena(scanner.words);
    this.#unions = new Int32Array(groups);
  }

  /** A phase begins: what was known of the values is void. */
  begin(): void {
    this.#arena.begin();
    this.#unions.fill(-1);
  }

  /** May the operator of the rule's slot match any of the values that its group looks at in this phase? */
  mayMatch(rule: Rule, group: ScanGroup, tx: Transaction): boolean {
    let at = this.#unions[group.id]!;
    if (at < 0) {
      at = this.#unite(group, tx);
      this.#unions[group.id] = at;
    }
    return (this.#arena.words[at + rule.word]! & rule.bit) !== 0;
  }

  /** To be asked of rules with a group only when mayMatch says so. @returns the rule (this one link) matched; its effects have been run, once per matching value */
  judge(rule: Rule, tx: Transaction): boolean {
    const use = rule.operator;
    if (use === null) {
      // ModSecurity makes an unconditional rule on REMOTE_ADDR of a SecAction
      tx.matched(rule, 'REMOTE_ADDR', tx.state.connection.clientAddress, null);
      return true;
    }
    const txName = rule.txName;
    const txValue = txName === null ? undefined : tx.state.tx.get(txName);
    if (txName !== null && txValue === undefined) return false;
    let operator = use.compiled;
    if (operator === null) {
      operator = use.expand!(use.argument.expand(tx.state));
      if (operator === null) return false;
    }
    if (txName !== null && rule.path === null && rule.node === 0) return this.#plain(rule, use, operator, rule.targets[0]!, txName, txValue!, tx);
    if (txName !== null) return this.#value(rule, use, operator, rule.targets[0]!, txName, txName, this.#cache.info(txValue!), tx);
    let any = false;
    for (const target of rule.targets) {
      if (target.count) any = this.#count(rule, use, operator, target, tx) || any;
      else if (target.name !== null && target.variable.lookup !== null) {
        const value = target.variable.lookup(tx.state, target.name);
        if (value !== undefined) any = this.#value(rule, use, operator, target, target.name, target.name, this.#cache.info(value), tx) || any;
      } else any = this.#list(rule, use, operator, target, tx) || any;
      if (tx.stopped) return any;
    }
    return any;
  }

  #unite(group: ScanGroup, tx: Transaction): number {
    const arena = this.#arena;
    const at = arena.take();
    for (const target of group.targets) {
      const list = listOf(target, tx);
      const size = list.size;
      if (size === 0) continue;
      const { place } = target.variable;
      if (size > 1 && target.name === null && target.pattern === null && target.exclusions === null) {
        for (const node of group.nodes) arena.orOwn(at, list.union(node, place, arena, this.#cache, this.#tree, this.#scanner));
        continue;
      }
      for (let i = 0; i < size; i++) {
        if (!selects(target, list.lowerName(i)) || excluded(target, list.lowerName(i))) continue;
        for (const node of group.nodes) arena.or(at, this.#scanner.hits(this.#tree.variant(list.info(i, this.#cache), node), place));
      }
    }
    return at;
  }

  #count(rule: Rule, use: OperatorUse, operator: CompiledOperator, target: Target, tx: Transaction): boolean {
    let n = 0;
    if (target.name !== null && target.variable.lookup !== null) n = target.variable.lookup(tx.state, target.name) === undefined ? 0 : 1;
    else {
      const list = listOf(target, tx);
      if (target.name === null && target.pattern === null) n = list.size;
      else for (let i = 0; i < list.size; i++) if (selects(target, list.lowerName(i))) n++;
    }
    return this.#value(rule, use, operator, target, '', '', this.#cache.info(String(n)), tx);
  }

  #list(rule: Rule, use: OperatorUse, operator: CompiledOperator, target: Target, tx: Transaction): boolean {
    const list = listOf(target, tx);
    const size = list.size;
    if (size === 0) return false;
    const name = target.name;
    const pattern = target.pattern;
    let any = false;
    for (let i = 0; i < size; i++) {
      if (name !== null) {
        if (list.lowerName(i) !== name) continue;
      } else if (pattern !== null && !pattern.test(list.lowerName(i))) continue;
      if (this.#value(rule, use, operator, target, list.lowerName(i), list.names[i]!, list.info(i, this.#cache), tx)) {
        any = true;
        if (tx.stopped) return true;
      }
    }
    return any;
  }

  #value(rule: Rule, use: OperatorUse, operator: CompiledOperator, target: Target, lowerName: string, name: string, info: ValueInfo, tx: Transaction): boolean {
    if (rule.path === null) return this.#variant(rule, use, operator, target, lowerName, name, this.#tree.variant(info, rule.node), tx);
    // multiMatch: the bare value, then every form that differs from the one before
    let any = false;
    let last: Variant | null = null;
    for (const node of rule.path) {
      const variant = this.#tree.variant(info, node);
      if (variant === last) continue;
      last = variant;
      any = this.#variant(rule, use, operator, target, lowerName, name, variant, tx) || any;
      if (tx.stopped) return any;
    }
    return any;
  }

  /** A value that nothing is remembered of: what rules wrote, untransformed. */
  #plain(rule: Rule, use: OperatorUse, operator: CompiledOperator, target: Target, name: string, value: string, tx: Transaction): boolean {
    if (excluded(target, name) || (tx.removedTargets.length > 0 && removed(tx, rule, target, name))) return false;
    const match = this.#match;
    match.reset(rule.capture);
    const found = operator.match(value, match);
    if (match.error !== 0) tx.operatorFailed(match.error);
    if (found === use.negated) return false;
    tx.matched(rule, label(target, name), value, found && rule.capture ? match : null);
    return true;
  }

  #variant(rule: Rule, use: OperatorUse, operator: CompiledOperator, target: Target, lowerName: string, name: string, variant: Variant, tx: Transaction): boolean {
    const match = this.#match;
    let found = true;
    let hits: Uint32Array | null = null;
    if (use.slot >= 0) {
      hits = this.#scanner.hits(variant, target.count ? ScanPlace.NONE : target.variable.place);
      found = (hits[rule.word]! & rule.bit) !== 0;
      if (!found && !use.negated) return false;
    }
    if (excluded(target, lowerName) || (tx.removedTargets.length > 0 && removed(tx, rule, target, lowerName))) return false;
    if (found) {
      match.reset(rule.capture);
      found = operator.match(variant.value, match);
      if (match.error !== 0) tx.operatorFailed(match.error);
      else if (!found && hits !== null) hits[rule.word]! &= ~rule.bit;
    }
    if (found === use.negated) return false;
    tx.matched(rule, label(target, name), variant.value, found && rule.capture ? match : null);
    return true;
  }
}

function listOf(target: Target, tx: Transaction): EntryList {
  const { variable } = target;
  if (target.expression !== null) return variable.expression!.select(tx.state, target.expression);
  return target.pattern !== null && variable.matching !== null ? variable.matching(tx.state, target.pattern) : tx.state.list(variable);
}

function excluded(target: Target, lowerName: string): boolean {
  if (target.exclusions === null) return false;
  for (const exclusion of target.exclusions) if (selects(exclusion, lowerName)) return true;
  return false;
}

/** Taken out of this rule at run time (ctl:ruleRemoveTargetBy..., exclusions of the policy)? */
function removed(tx: Transaction, rule: Rule, target: Target, lowerName: string): boolean {
  for (const { bits, selector } of tx.removedTargets) {
    if (selector.variable === target.variable && hasBit(bits, rule.index) && selects(selector, lowerName)) return true;
  }
  return false;
}

/** Name as in MATCHED_VAR_NAME. */
function label(target: Target, name: string): string {
  if (target.count) return target.label;
  if (target.expression !== null) return `${target.variable.name}:${target.expression}`;
  return target.variable.collection && name !== '' ? `${target.variable.name}:${name}` : target.variable.name;
}
