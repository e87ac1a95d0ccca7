/**
 * Why a rule was not loaded. A refused rule is never half-loaded: the first fault found ends its compilation.
 */
import { formatError, locate, type Rule, type RuleError, type RuleOption } from 'snort-rule-parser';

/** Groups refusals in reports; stable names. */
export const REFUSAL_REASONS = [
  'syntax',
  'unknown-keyword',
  'unknown-protocol',
  'unknown-buffer',
  'unknown-variable',
  'bad-header',
  'bad-value',
  'bad-pattern',
  'conflict',
  'limit',
  'not-supported',
  'duplicate',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** One refused rule, with the place of the fault. `line` and `column` count from 1. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly gid: number;
  readonly sid: number;
  /** Keyword the fault is in, '' for the header. */
  readonly keyword: string;
  readonly token: string;
  readonly message: string;
  /** What would have been accepted; empty when there is no useful list. */
  readonly accepted: readonly string[];
}

/** Thrown inside the compiler only; `compileRule` turns it into a Refusal. */
export class RuleRefused extends Error {
  constructor(
    readonly reason: RefusalReason,
    /** Option at fault, null for the rule header. */
    readonly option: RuleOption | null,
    /** Offset of the token in the value of the option (header: in `Rule.source.text`); -1 = the keyword itself. */
    readonly at: number,
    readonly token: string,
    message: string,
    readonly accepted: readonly string[] = [],
  ) {
    super(message);
  }
}

/** Index of an option's name in the rule's logical text. */
function optionIndex(rule: Rule, option: RuleOption): number {
  const { source } = rule;
  let at = option.offset - source.offset;
  for (const start of source.continuations) if (start.offset <= option.offset) at = start.at + option.offset - start.offset;
  return at;
}

/** Where the fault stands, as a refusal that reports can print. */
export function toRefusal(rule: Rule, fault: RuleRefused): Refusal {
  let line = rule.line;
  let column = rule.column;
  const { option } = fault;
  if (option !== null) {
    ({ line, column } = option);
    if (fault.at >= 0 && option.value !== null) {
      const valueAt = rule.source.text.indexOf(option.value, optionIndex(rule, option) + option.name.length);
      if (valueAt >= 0) ({ line, column } = locate(rule.source, valueAt + fault.at));
    }
  } else if (fault.at >= 0) {
    ({ line, column } = locate(rule.source, fault.at));
  }
  return {
    reason: fault.reason,
    file: rule.source.file,
    line,
    column,
    gid: rule.gid,
    sid: rule.sid,
    keyword: option === null ? '' : option.name,
    token: fault.token.length > 80 ? `${fault.token.slice(0, 77)}...` : fault.token,
    message: fault.message,
    accepted: fault.accepted,
  };
}

/** A fault the parser found, in the same shape. */
export function syntaxRefusal(error: RuleError): Refusal {
  const { file, line, column, token, message, accepted } = error;
  return { reason: 'syntax', file, line, column, gid: 1, sid: 0, keyword: '', token, message, accepted };
}

/** `file:line:column: message (token "x"; accepted: a, b)`. */
export function formatRefusal(refusal: Refusal): string {
  const { file, line, column, token, accepted } = refusal;
  const prefix = refusal.sid > 0 ? `sid ${refusal.sid}: ` : '';
  const message = `${prefix}${refusal.keyword === '' ? '' : `${refusal.keyword}: `}${refusal.message}`;
  return formatError({ kind: 'bad-value', file, line, column, offset: 0, token, message, accepted });
}
