/** Exclusions from outside the rule files: rules or targets that are not judged for certain paths, until a date. */
import type { Selector, Rule, RuleBits } from '../rule.js';
import { ruleBits } from '../rule.js';
import { byId, byTag } from '../rule-selection.js';
import { parseSelector } from '../seclang/targets.js';
import type { CompiledExclusion } from '../transaction.js';

export interface ExclusionSpec {
  /** Rules by number or range (`942100, 942130-942140`) or by tag (`tag:attack-sqli`, a regular expression). */
  readonly rules: string;
  /** Path of the request, `*` for any characters; absent = all paths. */
  readonly path?: string;
  /** Target left out, such as `ARGS:q`; absent = the whole rule. */
  readonly target?: string;
  /** Milliseconds since the epoch from which the exclusion no longer holds; absent = for good. */
  readonly expires?: number;
}

export class Exclusion implements CompiledExclusion {
  readonly text: string;
  readonly bits: RuleBits;
  readonly target: Selector | null;
  readonly #path: RegExp | null;
  readonly #expires: number;

  /** @throws Error naming what is wrong */
  constructor(spec: ExclusionSpec, rules: readonly Rule[]) {
    const test = spec.rules.startsWith('tag:') ? byTag(spec.rules.slice(4)) : byId(spec.rules);
    this.bits = ruleBits(rules, test);
    if (this.bits.every((word) => word === 0)) throw new Error(`no rule is named by '${spec.rules}'`);
    this.target = spec.target === undefined ? null : parseSelector(spec.target);
    this.#path = spec.path === undefined ? null : new RegExp(`^${spec.path.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 's');
    this.#expires = spec.expires ?? Infinity;
    this.text = [`rules ${spec.rules}`, spec.path === undefined ? '' : `path ${spec.path}`, spec.target === undefined ? '' : `target ${spec.target}`].filter((part) => part !== '').join(', ');
  }

  applies(path: string, now: number): boolean {
    return now < this.#expires && (this.#path === null || this.#path.test(path));
  }
}
