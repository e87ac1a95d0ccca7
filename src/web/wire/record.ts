/** A report as the event log shows it (event_type `web`). */
import type { WebRecord } from '../../pipeline/index.js';
import type { Intervention, RuleMatch, WebReport } from '../transaction.js';
import { displayText } from '../value.js';
import type { WebExchange } from './exchange.js';

const SEVERITIES = ['EMERGENCY', 'ALERT', 'CRITICAL', 'ERROR', 'WARNING', 'NOTICE', 'INFO', 'DEBUG'] as const;
/** Longest target and value that are logged. */
const TEXT_MAX = 2048;

/** Sums and thresholds of anomaly scoring; the points that one severity is worth are settings, not scores. */
const SCORE = /score/;
const POINTS = /^(?:critical|error|warning|notice)_anomaly_score$/;

/**
 * @param blockedBy why the exchange was broken off, null when it was not
 * @param answer what the client got then: `page` or `reset`
 */
export function webRecord(exchange: WebExchange, report: WebReport, blockedBy: Intervention | null, answer: string): WebRecord {
  const decided = blockedBy ?? report.wouldIntervene;
  const body: Record<string, unknown> = {
    transaction_id: report.uniqueId,
    ...(exchange.host === '' ? {} : { host: displayText(exchange.host) }),
    method: displayText(exchange.method),
    url: cut(displayText(exchange.target)),
    ...(exchange.status > 0 ? { status: exchange.status } : {}),
    action: blockedBy !== null ? 'blocked' : decided !== null ? 'would_block' : 'allowed',
    ...(decided === null ? {} : decision(decided)),
    ...(answer === '' ? {} : { answer }),
    scores: Object.fromEntries(Object.entries(report.scores).filter(([name, n]) => SCORE.test(name) && !POINTS.test(name) && n !== 0)),
    ...(exchange.policyNames.length > 0 ? { overrides: exchange.policyNames } : {}),
    ...(report.bodyError === '' ? {} : { body_error: cut(report.bodyError) }),
    ...(report.requestBytesSkipped > 0 ? { request_bytes_uninspected: report.requestBytesSkipped } : {}),
    ...(report.responseBytesSkipped > 0 ? { response_bytes_uninspected: report.responseBytesSkipped } : {}),
  };
  return { body, rules: report.matches.map(rule), blocked: blockedBy !== null };
}

function decision(i: Intervention): Record<string, unknown> {
  return { phase: i.phase, ...(i.ruleId === 0 ? {} : { rule_id: i.ruleId }), reason: cut(i.message) };
}

function rule(m: RuleMatch): Record<string, unknown> {
  return {
    id: m.id,
    phase: m.phase,
    msg: cut(m.message),
    ...(m.data === '' ? {} : { data: cut(m.data) }),
    ...(m.severity >= 0 ? { severity: SEVERITIES[m.severity] ?? String(m.severity) } : {}),
    ...(m.tags.length > 0 ? { tags: m.tags } : {}),
    ...(m.variable === '' ? {} : { variable: displayText(m.variable), value: cut(displayText(m.value)) }),
    ...(Object.keys(m.scores).length > 0 ? { scores: m.scores } : {}),
    file: m.file.slice(m.file.lastIndexOf('/') + 1),
    line: m.line,
  };
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}...`;
}
