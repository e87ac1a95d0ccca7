/**
 * Everything that can be wrong with a rule, as values: the parser never throws on input. Each error carries the place
 * (file, line, column), the offending token and, where the grammar leaves a choice, the values it would have accepted.
 */

export const RULE_ERROR_KINDS = [
  'unknown-action',
  'bad-protocol',
  'bad-address',
  'bad-port',
  'bad-direction',
  'missing-header-field',
  'missing-options',
  'missing-parenthesis',
  'missing-semicolon',
  'trailing-text',
  'bad-option-name',
  'missing-value',
  'unbalanced-quote',
  'bad-content',
  'bad-pcre',
  'bad-number',
  'bad-value',
  'duplicate-option',
  'missing-sid',
  'limit',
  'unknown-variable',
  'variable-cycle',
  'empty-set',
] as const;

export type RuleErrorKind = (typeof RULE_ERROR_KINDS)[number];

/** A place in a rule file. `line` and `column` count from 1, `offset` from 0; columns and offsets count bytes. */
export interface Position {
  readonly line: number;
  readonly column: number;
  readonly offset: number;
}

export interface RuleError extends Position {
  readonly kind: RuleErrorKind;
  /** One sentence without position, fit for an operator. */
  readonly message: string;
  /** Name given by the caller, `''` when none was given. */
  readonly file: string;
  /** The text that was refused, shortened to {@link MAX_TOKEN_LENGTH}; `''` when something is absent. */
  readonly token: string;
  /** What would have been accepted here, in words or literal values; empty when there is no useful list. */
  readonly accepted: readonly string[];
}

/** Longest token quoted in an error, in bytes. */
export const MAX_TOKEN_LENGTH = 80;

/** Shortens a token for an error message. */
export function clipToken(token: string): string {
  return token.length <= MAX_TOKEN_LENGTH ? token : `${token.slice(0, MAX_TOKEN_LENGTH - 3)}...`;
}

/** `file:line:column: message (token "x"; accepted: a, b)`, the form editors and CI logs make clickable. */
export function formatError(error: RuleError): string {
  const where = `${error.file === '' ? '<rules>' : error.file}:${error.line}:${error.column}`;
  const details: string[] = [];
  if (error.token !== '') details.push(`token ${JSON.stringify(error.token)}`);
  if (error.accepted.length > 0) details.push(`accepted: ${error.accepted.join(', ')}`);
  return `${where}: ${error.message}${details.length > 0 ? ` (${details.join('; ')})` : ''}`;
}
