/** Records of matches for the report: texts expanded at the moment of the match, bounded in number and length. */
import type { Rule } from '../rule.js';
import type { RuleMatch } from '../transaction.js';
import { displayText, type ByteString } from '../value.js';
import type { TransactionState } from './state.js';

/** Matches of one transaction that are reported; the rest is counted. */
export const MAX_MATCHES = 512;
/** Bytes of a message, data or value in an event. */
const MAX_TEXT = 1024;

function bounded(text: ByteString): string {
  return displayText(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text);
}

/**
 * @param rule the link that matched last
 * @param scores what the chain added to TX variables since the record before
 */
export function recordMatch(rule: Rule, state: TransactionState, scores: Readonly<Record<string, number>>): RuleMatch {
  const { starter } = rule;
  const message = rule.message ?? starter.message;
  const data = rule.data ?? starter.data;
  return {
    id: starter.id,
    phase: starter.phase,
    message: message === null ? '' : bounded(message.expand(state)),
    data: data === null ? '' : bounded(data.expand(state)),
    severity: starter.severity,
    tags: starter.tags.map((tag) => displayText(tag.expand(state))),
    version: starter.version,
    revision: starter.revision,
    maturity: starter.maturity,
    accuracy: starter.accuracy,
    variable: bounded(state.matchedName),
    value: bounded(state.matchedValue),
    file: starter.file,
    line: starter.line,
    disruptive: starter.disruptive,
    audit: starter.audit,
    scores,
  };
}
