/** All rules of an engine, compiled: per phase the chain starters in order, with the tables they share. */
import type { EngineSettings } from './engine/settings.js';
import type { TransformTree } from './engine/value-cache.js';
import type { PrefilterPattern } from './prefilter.js';
import type { Rule, ScanGroup } from './rule.js';
import type { SourcePosition } from './seclang/error.js';

/** Why something of the rule files is not in force. */
export interface RuleRefusal {
  readonly position: SourcePosition;
  /** 0 when it is no rule or the rule's number could not be read. */
  readonly ruleId: number;
  readonly directive: string;
  readonly reason: string;
}

/** Something that is in force, though not in every detail. */
export interface RuleNote {
  readonly position: SourcePosition;
  readonly ruleId: number;
  readonly text: string;
}

export interface RuleSet {
  readonly settings: EngineSettings;
  /** Chain starters by index. */
  readonly rules: readonly Rule[];
  /** [phase] for 1..5; [0] is empty. */
  readonly phases: readonly (readonly Rule[])[];
  readonly tree: TransformTree;
  /** One more than the highest operator slot. */
  readonly slots: number;
  readonly patterns: readonly PrefilterPattern[];
  readonly groups: readonly ScanGroup[];
  readonly refusals: readonly RuleRefusal[];
  readonly notes: readonly RuleNote[];
  /** Files read, in order. */
  readonly files: readonly string[];
}
