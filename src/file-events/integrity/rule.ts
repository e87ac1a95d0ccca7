/** Integrity rules: which files and directories, and which of their attributes, are compared with the baseline. */
import { compilePattern, fixedPart } from './pattern.js';

/** `created` and `deleted` are changes, the others attributes of what is there. */
export const ATTRIBUTES = ['created', 'deleted', 'contents', 'size', 'permissions', 'owner', 'group', 'modified', 'symlink'] as const;
export type Attribute = (typeof ATTRIBUTES)[number];
/** What the shorthand STANDARD stands for. */
export const STANDARD: readonly Attribute[] = ATTRIBUTES;

export interface IntegrityRuleConfig {
  readonly name: string;
  readonly severity: 'low' | 'medium' | 'high' | 'critical';
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly attributes: readonly (Attribute | 'STANDARD')[];
  readonly on_change: boolean;
  readonly diff: boolean;
  readonly no_diff: readonly string[];
  readonly vms?: readonly string[];
}

export class IntegrityRule {
  readonly config: IntegrityRuleConfig;
  readonly attributes: ReadonlySet<Attribute>;
  /** Where a walk has to look. */
  readonly roots: readonly string[];
  readonly #include: readonly RegExp[];
  readonly #exclude: readonly RegExp[];
  readonly #noDiff: readonly RegExp[];

  /** @throws Error that names the pattern */
  constructor(config: IntegrityRuleConfig) {
    this.config = config;
    this.attributes = new Set(config.attributes.flatMap((a) => (a === 'STANDARD' ? STANDARD : [a])));
    this.roots = config.include.map(fixedPart);
    this.#include = config.include.map(compilePattern);
    this.#exclude = config.exclude.map(compilePattern);
    this.#noDiff = config.no_diff.map(compilePattern);
  }

  appliesTo(vm: string): boolean {
    return this.config.vms === undefined || this.config.vms.includes(vm);
  }

  matches(path: string): boolean {
    return this.#include.some((p) => p.test(path)) && !this.#exclude.some((p) => p.test(path));
  }

  /** May the text of this file be kept and shown? */
  shows(path: string): boolean {
    return this.config.diff && !this.#noDiff.some((p) => p.test(path));
  }
}

/** Roots of several rules without those that lie below another. */
export function walkRoots(rules: readonly IntegrityRule[]): string[] {
  const roots = [...new Set(rules.flatMap((r) => r.roots))].toSorted();
  return roots.filter((root) => !roots.some((other) => other !== root && (other === '/' || root.startsWith(`${other}/`))));
}
