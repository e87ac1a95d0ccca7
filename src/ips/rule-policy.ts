/**
 * Which of the rules one policy wants: selectors over sid, gid, classtype, priority, file and metadata, applied in order, to
 * one bitmap. VMs with the same policy share it, so that cost grows with distinct policies, not with VMs.
 */
import type { CompiledRule } from './rule.js';
import { finish, type Steps } from './rule-index.js';
import type { RuleSet } from './rule-set.js';

/** A rule is selected when every property given here fits. An empty selector selects all rules. */
export interface RuleSelector {
  /** Numbers, or ranges as text: "2100000-2100999". */
  readonly sid?: readonly (number | string)[];
  readonly gid?: readonly number[];
  readonly classtype?: readonly string[];
  /** Most urgent (1) to least, as the classification or the rule gives it. */
  readonly priority?: readonly number[];
  /** Base names of rule files, `*` for any characters. */
  readonly file?: readonly string[];
  /** Words the rule's msg begins with: "ET MALWARE". */
  readonly group?: readonly string[];
  /** Key and one of its accepted values, in any case. */
  readonly metadata?: Readonly<Record<string, readonly string[]>>;
}

export const POLICY_STEPS = ['enable', 'disable', 'detect', 'prevent'] as const;

/** One step of a policy: exactly one of the actions with what it is done to. `detect` keeps a rule from dropping. */
export type RulePolicyStep = { readonly [action in (typeof POLICY_STEPS)[number]]?: RuleSelector };

export interface RulePolicy {
  /** Rules enabled before the first step. */
  readonly base: 'all' | 'none';
  readonly rules: readonly RulePolicyStep[];
}

/** One bit per rule index (RuleSet.rules). */
export interface RuleBitmaps {
  readonly enabled: Uint32Array;
  readonly detectOnly: Uint32Array;
  /** Rules enabled, for people. */
  readonly count: number;
}

/** Rules looked at between two pauses: about a millisecond. */
const STEP_RULES = 1000;

/** Apply a policy to a rule set. @throws RangeError when a sid is neither a number nor a range */
export function selectRules(set: RuleSet, policy: RulePolicy): RuleBitmaps {
  return finish(selectRulesSteps(set, policy));
}

/** The same in steps, for callers that judge packets meanwhile. */
export function* selectRulesSteps(set: RuleSet, policy: RulePolicy): Steps<RuleBitmaps> {
  const words = (set.rules.length + 31) >>> 5;
  const enabled = new Uint32Array(words);
  const detectOnly = new Uint32Array(words);
  const steps = policy.rules.map((step) => {
    const action = POLICY_STEPS.find((name) => step[name] !== undefined)!;
    return { action, selects: selector(step[action]!) };
  });
  let count = 0;
  for (const rule of set.rules) {
    let on = policy.base === 'all';
    let quiet = false;
    for (const { action, selects } of steps) {
      if (!selects(rule)) continue;
      if (action === 'detect' || action === 'prevent') quiet = action === 'detect';
      else on = action === 'enable';
    }
    const bit = 1 << (rule.index & 31);
    if (on) enabled[rule.index >>> 5]! |= bit;
    if (quiet) detectOnly[rule.index >>> 5]! |= bit;
    if (on) count++;
    if (rule.index % STEP_RULES === STEP_RULES - 1) yield;
  }
  return { enabled, detectOnly, count };
}

type Selects = (rule: CompiledRule) => boolean;

function selector(wanted: RuleSelector): Selects {
  const tests: Selects[] = [];
  if (wanted.sid !== undefined) tests.push(sidTest(wanted.sid));
  if (wanted.gid !== undefined) tests.push(oneOf(wanted.gid, (rule) => rule.info.gid));
  if (wanted.classtype !== undefined) tests.push(oneOf(wanted.classtype, (rule) => rule.classtype));
  if (wanted.priority !== undefined) tests.push(oneOf(wanted.priority, (rule) => rule.info.severity));
  if (wanted.file !== undefined) tests.push(fileTest(wanted.file));
  if (wanted.group !== undefined) {
    const groups = wanted.group.map((group) => `${group.toLowerCase()} `);
    tests.push((rule) => groups.some((group) => `${rule.info.msg.toLowerCase()} `.startsWith(group)));
  }
  for (const [key, values] of Object.entries(wanted.metadata ?? {})) {
    const accepted = new Set(values.map((value) => value.toLowerCase()));
    tests.push(({ info }) => {
      const metadata = info.readMetadata();
      return Object.hasOwn(metadata, key) && metadata[key]!.some((value) => accepted.has(value.toLowerCase()));
    });
  }
  return (rule) => tests.every((test) => test(rule));
}

function oneOf<T>(values: readonly T[], of: (rule: CompiledRule) => T): Selects {
  const set = new Set(values);
  return (rule) => set.has(of(rule));
}

/** A sid, or a range of them as text; null when it is neither. */
export function sidRange(item: number | string): { readonly first: number; readonly last: number } | null {
  const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(String(item));
  if (match === null) return null;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return last < first ? null : { first, last };
}

function sidTest(list: readonly (number | string)[]): Selects {
  const ranges = list.map((item) => {
    const range = sidRange(item);
    if (range === null) throw new RangeError(`"${item}" is neither a sid nor a range of sids`);
    return range;
  });
  return ({ info }) => ranges.some(({ first, last }) => info.sid >= first && info.sid <= last);
}

function fileTest(names: readonly string[]): Selects {
  const patterns = names.map((name) => new RegExp(`^${name.split('*').map((part) => part.replace(/[\\^$.+?()[\]{}|/-]/g, '\\$&')).join('.*')}$`, 'i'));
  const known = new Map<string, boolean>();
  return ({ file }) => {
    let fits = known.get(file);
    if (fits === undefined) {
      const base = file.slice(file.lastIndexOf('/') + 1);
      known.set(file, (fits = patterns.some((pattern) => pattern.test(base))));
    }
    return fits;
  };
}
