/** A rule while its actions are read: what it says itself, undefined where SecDefaultAction decides. */
import type { AllowScope, DisruptiveName, Effect } from './rule.js';
import type { PhaseNumber } from './variables/variable.js';

export class RuleDraft {
  id: number | undefined;
  phase: PhaseNumber | undefined;
  disruptive: DisruptiveName | undefined;
  allowScope: AllowScope = 'transaction';
  status: number | undefined;
  redirect: string | undefined;
  log: boolean | undefined;
  audit: boolean | undefined;
  message: string | undefined;
  data: string | undefined;
  severity: number | undefined;
  readonly tags: string[] = [];
  version: string | undefined;
  revision: string | undefined;
  maturity: number | undefined;
  accuracy: number | undefined;
  chain = false;
  capture = false;
  multiMatch = false;
  skip = 0;
  skipAfter = '';
  /** `none` empties what came before it, defaults included. */
  readonly transformations: string[] = [];
  readonly effects: Effect[] = [];
  /** Findings that do not refuse the rule. */
  readonly notes: string[] = [];
}
