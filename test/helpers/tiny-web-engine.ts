/**
 * A rule engine with one rule per phase: a part that holds the word of its phase is denied. Stands in for the real one where a
 * test is about the wire. Records every call.
 */
import type { Intervention, RequestHead, ResponseHead, RuleMatch, TransactionSource, WebConnection, WebPolicy, WebReport, WebTransaction } from '../../src/web/index.js';

const WORDS = ['', 'evil-head', 'evil-body', 'evil-answer', 'evil-page'] as const;

export class TinyEngine implements TransactionSource {
  readonly made: TinyTransaction[] = [];

  transaction(connection: WebConnection, uniqueId: string, policy: WebPolicy): WebTransaction {
    const made = new TinyTransaction(connection, uniqueId, policy);
    this.made.push(made);
    return made;
  }
}

export class TinyTransaction implements WebTransaction {
  readonly active = true;
  readonly wantsRequestBody = true;
  readonly wantsResponseBody = true;
  request: RequestHead | null = null;
  response: ResponseHead | null = null;
  /** Phases in the order in which they were judged, and bodies. */
  readonly phases: number[] = [];
  requestText = '';
  responseText = '';
  #intervention: Intervention | null = null;
  #would: Intervention | null = null;
  readonly #matches: RuleMatch[] = [];

  constructor(
    readonly connection: WebConnection,
    readonly uniqueId: string,
    readonly policy: WebPolicy,
  ) {}

  requestHeaders(head: RequestHead): Intervention | null {
    this.request = head;
    return this.#judge(1, [head.line, ...head.fields].join('\n'));
  }

  requestBody(buf: Uint8Array, off: number, len: number): Intervention | null {
    this.requestText += Buffer.from(buf.buffer, buf.byteOffset + off, len).toString('latin1');
    return null;
  }

  endRequestBody(): Intervention | null {
    return this.#judge(2, this.requestText);
  }

  responseHeaders(head: ResponseHead): Intervention | null {
    this.response = head;
    return this.#judge(3, [head.line, ...head.fields].join('\n'));
  }

  responseBody(buf: Uint8Array, off: number, len: number): Intervention | null {
    this.responseText += Buffer.from(buf.buffer, buf.byteOffset + off, len).toString('latin1');
    return null;
  }

  endResponseBody(): Intervention | null {
    return this.#judge(4, this.responseText);
  }

  logging(): WebReport {
    this.phases.push(5);
    return {
      uniqueId: this.uniqueId, matches: this.#matches, matchesDropped: 0, masked: [], intervention: this.#intervention, wouldIntervene: this.#would, audit: false, auditParts: '',
      scores: { inbound_anomaly_score: this.#matches.length * 5, critical_anomaly_score: 5 }, requestBytesSkipped: 0, responseBytesSkipped: 0, bodyError: '',
    };
  }

  #judge(phase: number, text: string): Intervention | null {
    this.phases.push(phase);
    if (!text.includes(WORDS[phase]!)) return null;
    const ruleId = 1000 + phase;
    this.#matches.push({
      id: ruleId, phase, message: `phase ${phase}`, data: WORDS[phase]!, severity: 2, tags: ['tiny'], version: '', revision: '', maturity: 0, accuracy: 0,
      variable: 'ARGS:q', value: WORDS[phase]!, file: 'tiny.conf', line: phase, disruptive: 'deny', audit: true, scores: { inbound_anomaly_score: 5 },
    });
    const decided: Intervention = { action: 'deny', status: 403, url: '', ruleId, phase, message: `phase ${phase}` };
    if (this.policy.mode === 'on') return (this.#intervention = decided);
    this.#would ??= decided;
    return null;
  }
}
