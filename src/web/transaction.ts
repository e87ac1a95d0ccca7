/**
 * The face of a web transaction towards the wire: what the HTTP parsers put in, what they get back. Implemented by
 * engine/transaction.ts; created by WebEngine.transaction().
 *
 * Calls come in this order, each at most once but for the body pieces: requestHeaders, requestBody*, endRequestBody,
 * responseHeaders, responseBody*, endResponseBody, logging. Parts that never happen are left out (a request without body
 * still has endRequestBody; a transaction that the peer broke off goes straight to logging). The first intervention is final:
 * after it only logging() has an effect.
 */
import type { ByteString } from './value.js';

export interface WebConnection {
  /** Textual addresses as in REMOTE_ADDR / SERVER_ADDR. */
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly serverAddress: string;
  readonly serverPort: number;
}

/** Head of a request as it was on the wire. Names and values are byte strings; order and repetitions are kept. */
export interface RequestHead {
  /** Whole request line without its line end. */
  readonly line: ByteString;
  readonly method: ByteString;
  /** Request target as sent, with query and fragment. */
  readonly target: ByteString;
  /** `HTTP/1.1`, `HTTP/2.0`, or whatever stood there; '' for HTTP/0.9. */
  readonly protocol: ByteString;
  /** name0, value0, name1, value1 ...: values without surrounding white space. For HTTP/2 `:authority` comes as Host. */
  readonly fields: readonly ByteString[];
}

export interface ResponseHead {
  readonly line: ByteString;
  readonly protocol: ByteString;
  readonly status: number;
  /** Reason phrase; '' for HTTP/2. */
  readonly reason: ByteString;
  readonly fields: readonly ByteString[];
}

/** What to do with the connection or the message. */
export const InterventionAction = { DENY: 'deny', DROP: 'drop', REDIRECT: 'redirect' } as const;
export type InterventionActionName = (typeof InterventionAction)[keyof typeof InterventionAction];

/** A disruptive decision, already under the rule engine's mode: DetectionOnly never yields one. */
export interface Intervention {
  readonly action: InterventionActionName;
  /** HTTP status for the answer to the client (deny, redirect). */
  readonly status: number;
  /** Target of a redirect, '' otherwise. */
  readonly url: string;
  /** The rule that decided; 0 when a limit of the configuration did (SecRequestBodyLimitAction Reject). */
  readonly ruleId: number;
  /** 1..5 */
  readonly phase: number;
  /** Message of the rule with its macros expanded. */
  readonly message: string;
}

/** A rule that matched and is to be logged. */
export interface RuleMatch {
  readonly id: number;
  readonly phase: number;
  /** Macros expanded, bytes made printable. */
  readonly message: string;
  readonly data: string;
  /** 0 EMERGENCY .. 7 DEBUG, -1 when the rule has none. */
  readonly severity: number;
  readonly tags: readonly string[];
  readonly version: string;
  readonly revision: string;
  readonly maturity: number;
  readonly accuracy: number;
  /** Full name of the variable that matched, such as `ARGS:q`. */
  readonly variable: string;
  /** The (transformed) value that matched, cut to a bound. */
  readonly value: string;
  readonly file: string;
  readonly line: number;
  /** The rule's disruptive action (after SecDefaultAction): what it would do in blocking mode. */
  readonly disruptive: string;
  /** The rule also wants the transaction in the audit log. */
  readonly audit: boolean;
  /** How much this match raised every TX variable that it adds to: `inbound_anomaly_score_pl1` -> 5. */
  readonly scores: Readonly<Record<string, number>>;
}

/** What became of a transaction; made by logging(). */
export interface WebReport {
  readonly uniqueId: string;
  /** Matches in the order in which they happened, `nolog` ones left out. */
  readonly matches: readonly RuleMatch[];
  /** Matches beyond the number that is kept. */
  readonly matchesDropped: number;
  /** Decision that was returned, null when none. */
  readonly intervention: Intervention | null;
  /** In DetectionOnly: the first decision that On would have returned. */
  readonly wouldIntervene: Intervention | null;
  /** The transaction is to be written to the audit log (SecAuditEngine, status, matches). */
  readonly audit: boolean;
  /** Parts to write, such as `ABIJDEFHZ`. */
  readonly auditParts: string;
  /** Variables whose values are masked in the audit log, such as `ARGS:password`. */
  readonly masked: readonly string[];
  /** Anomaly scores and other numbers in TX at the end, by lower-case name. */
  readonly scores: Readonly<Record<string, number>>;
  /** Body bytes that limits kept out of inspection. */
  readonly requestBytesSkipped: number;
  readonly responseBytesSkipped: number;
  /** Text of the request body parser's error, '' when none. */
  readonly bodyError: string;
}

export interface WebTransaction {
  readonly uniqueId: string;
  /** The rule engine judges this transaction at all (SecRuleEngine is not Off). When false every call is a no-op. */
  readonly active: boolean;
  /** The engine wants the body bytes: without it pieces need not be handed over. Valid after the respective head. */
  readonly wantsRequestBody: boolean;
  readonly wantsResponseBody: boolean;
  /** Phase 1. */
  requestHeaders(head: RequestHead): Intervention | null;
  /** A piece of the decoded (de-chunked) body. Copied. The limit's action may intervene. */
  requestBody(buf: Uint8Array, off: number, len: number): Intervention | null;
  /** Body complete (or absent): phase 2. */
  endRequestBody(): Intervention | null;
  /** Phase 3. Interim responses (1xx) are not reported. */
  responseHeaders(head: ResponseHead): Intervention | null;
  /** A piece of the response body with transfer and content coding removed. Copied. */
  responseBody(buf: Uint8Array, off: number, len: number): Intervention | null;
  /** Phase 4. */
  endResponseBody(): Intervention | null;
  /** Phase 5; ends the transaction and gives its memory back to the engine. */
  logging(): WebReport;
}

/** Settings of one port, host or path laid over the common rule set. */
export interface WebPolicy {
  /** Overrides SecRuleEngine. */
  readonly mode?: 'on' | 'detection-only' | 'off';
  /** TX variables set before phase 1, such as blocking_paranoia_level -> '2' (crs-setup's names, lower case). */
  readonly variables?: ReadonlyMap<string, string>;
  /** Exclusions compiled by WebEngine.exclusion(). */
  readonly exclusions?: readonly CompiledExclusion[];
}

/** Made by the engine from an exclusion's text; opaque. */
export interface CompiledExclusion {
  readonly text: string;
}
