/** One HTTP exchange judged by the rules: phases, what matches do, decisions, the report. */
import { pcreTime } from '@drawbridge/native';
import { MatchError, type MatchErrorCode, type MatchState } from '../operators/operator.js';
import { Disruptive, hasBit, type Rule, type RuleBits, type Selector } from '../rule.js';
import {
  InterventionAction,
  type Intervention,
  type InterventionActionName,
  type RequestHead,
  type ResponseHead,
  type RuleMatch,
  type WebConnection,
  type WebPolicy,
  type WebReport,
  type WebTransaction,
} from '../transaction.js';
import { byteString, lowerAscii, type ByteString } from '../value.js';
import { CHANGES_AT } from '../variables/registry.js';
import type { PhaseNumber } from '../variables/variable.js';
import type { WritableCollection } from '../actions/writable.js';
import type { WebEngine } from './engine.js';
import { Exclusion } from './exclusion.js';
import { MAX_MATCHES, recordMatch } from './matches.js';
import type { PersistentName } from './persistent-store.js';
import { processRequestBody } from './request-body.js';
import { readRequestHead } from './request-parts.js';
import { AuditEngine, EngineMode, LimitAction, type AuditEngineCode, type EngineModeCode } from './settings.js';
import { TransactionState } from './state.js';

const NO_SCORES: Readonly<Record<string, number>> = Object.freeze({});
const CAPTURE_NAMES = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'] as const;
const POLICY_MODES = { off: EngineMode.OFF, 'detection-only': EngineMode.DETECTION_ONLY, on: EngineMode.ON } as const;
/** Request body larger than the limit, RFC 9110 section 15.5.14. */
const CONTENT_TOO_LARGE = 413;
/**
 * Milliseconds that regular expressions may take over one exchange, all phases together. An honest one needs less than one;
 * bytes chosen to make them slow are refused, or a single request could stop the data plane for seconds.
 */
const REGEX_TIME = 250;

interface RemovedTarget {
  readonly bits: RuleBits;
  readonly selector: Selector;
}

export class Transaction implements WebTransaction {
  readonly state: TransactionState;
  /** Judging of the current phase has ended: an intervention, an allow, or the engine was switched off. */
  stopped = false;
  /** Targets taken out of rules for this transaction. */
  readonly removedTargets: RemovedTarget[] = [];
  requestBodyAccess: boolean;
  requestBodyLimit: number;
  responseBodyAccess: boolean;
  responseBodyLimit: number;
  auditEngine: AuditEngineCode;
  readonly #engine: WebEngine;
  readonly #policy: WebPolicy;
  #mode: EngineModeCode;
  #removed: RuleBits | null = null;
  #intervention: Intervention | null = null;
  #wouldIntervene: Intervention | null = null;
  /** Phases from this one up to `#allowedTo` are not judged. */
  #allowedTo = 0;
  /** Milliseconds left of REGEX_TIME; they have run out, and that was decided on. */
  #regexTime = REGEX_TIME;
  #outOfTime = false;
  #body: ByteString = '';
  #responseBody: ByteString = '';
  #requestSkipped = 0;
  #responseSkipped = 0;
  #inspectResponse = false;
  readonly #matches: RuleMatch[] = [];
  #dropped = 0;
  #scores: Record<string, number> | null = null;
  #relevant = false;
  #auditParts: string;
  #masked: string[] | null = null;
  #ended = false;

  constructor(engine: WebEngine, connection: WebConnection, uniqueId: string, policy: WebPolicy) {
    const { settings } = engine;
    this.#engine = engine;
    this.#policy = policy;
    this.state = new TransactionState(settings, connection, uniqueId, engine.clock);
    this.#mode = policy.mode === undefined ? settings.ruleEngine : POLICY_MODES[policy.mode];
    this.requestBodyAccess = settings.requestBodyAccess;
    this.requestBodyLimit = settings.requestBodyLimit;
    this.responseBodyAccess = settings.responseBodyAccess;
    this.responseBodyLimit = settings.responseBodyLimit;
    this.auditEngine = settings.auditEngine;
    this.#auditParts = settings.auditParts;
    if (policy.variables !== undefined) for (const [name, value] of policy.variables) this.state.tx.set(name, value);
  }

  get uniqueId(): string {
    return this.state.uniqueId;
  }

  get active(): boolean {
    return this.#mode !== EngineMode.OFF;
  }

  get wantsRequestBody(): boolean {
    return this.active && this.requestBodyAccess && this.#intervention === null;
  }

  get wantsResponseBody(): boolean {
    return this.active && this.#inspectResponse && this.#intervention === null;
  }

  // ---- the wire ----

  requestHeaders(head: RequestHead): Intervention | null {
    if (!this.active) return null;
    readRequestHead(this.state, head);
    for (const exclusion of this.#policy.exclusions ?? []) {
      if (!(exclusion instanceof Exclusion) || !exclusion.applies(this.state.path, this.state.started)) continue;
      if (exclusion.target === null) this.removeRules(exclusion.bits);
      else this.removeTarget(exclusion.bits, exclusion.target);
    }
    return this.#run(1);
  }

  requestBody(buf: Uint8Array, off: number, len: number): Intervention | null {
    if (!this.wantsRequestBody) return null;
    const room = this.requestBodyLimit - this.#body.length;
    this.#body += byteString(buf, off, Math.min(len, room));
    if (len <= room) return null;
    this.#requestSkipped += len - room;
    if (this.state.inboundDataError) return null;
    this.state.inboundDataError = true;
    if (this.state.settings.requestBodyLimitAction === LimitAction.PROCESS_PARTIAL) return null;
    return this.#limitReached(1, CONTENT_TOO_LARGE, `Request body is larger than the limit of ${this.requestBodyLimit} bytes`);
  }

  endRequestBody(): Intervention | null {
    if (!this.active || this.#intervention !== null) return null;
    const { settings } = this.state;
    if (this.requestBodyAccess) {
      const noFiles = processRequestBody(this.state, this.#body);
      if (noFiles > settings.requestBodyNoFilesLimit) {
        const message = `Request body without files is larger than the limit of ${settings.requestBodyNoFilesLimit} bytes`;
        this.state.inboundDataError = true;
        if (settings.requestBodyLimitAction === LimitAction.REJECT) {
          if (this.state.bodyError === '') this.state.bodyError = message;
          const decided = this.#limitReached(2, CONTENT_TOO_LARGE, message);
          if (decided !== null) return decided;
        }
      }
    }
    return this.#run(2);
  }

  responseHeaders(head: ResponseHead): Intervention | null {
    if (!this.active || this.#intervention !== null) return null;
    const { state } = this;
    state.status = head.status;
    state.statusLine = head.line;
    state.responseProtocol = head.protocol;
    for (let i = 0; i + 1 < head.fields.length; i += 2) {
      state.responseHeaders.add(head.fields[i]!, head.fields[i + 1]!);
      if (state.responseContentType === null && lowerAscii(head.fields[i]!) === 'content-type') state.responseContentType = head.fields[i + 1]!;
    }
    const decided = this.#run(3);
    if (decided === null) this.#inspectResponse = this.responseBodyAccess && this.#inspectedType();
    return decided;
  }

  #inspectedType(): boolean {
    const type = this.state.responseContentType;
    const name = type === null ? 'null' : lowerAscii(type.split(';', 1)[0]!.trim());
    return this.state.settings.responseBodyMimeTypes.has(name);
  }

  responseBody(buf: Uint8Array, off: number, len: number): Intervention | null {
    if (!this.wantsResponseBody) return null;
    const room = this.responseBodyLimit - this.#responseBody.length;
    this.#responseBody += byteString(buf, off, Math.min(len, room));
    if (len <= room) return null;
    this.#responseSkipped += len - room;
    if (this.state.outboundDataError) return null;
    this.state.outboundDataError = true;
    if (this.state.settings.responseBodyLimitAction === LimitAction.PROCESS_PARTIAL) return null;
    return this.#limitReached(4, 500, `Response body is larger than the limit of ${this.responseBodyLimit} bytes`);
  }

  endResponseBody(): Intervention | null {
    if (!this.active || this.#intervention !== null) return null;
    if (this.#inspectResponse) {
      this.state.responseBody = this.#responseBody;
      this.state.responseLength = this.#responseBody.length + this.#responseSkipped;
    }
    return this.#run(4);
  }

  logging(): WebReport {
    if (this.active && !this.#ended) {
      this.#allowedTo = 0;
      this.stopped = false;
      this.#runPhase(5);
    }
    this.#ended = true;
    this.#body = '';
    this.#responseBody = '';
    const { state } = this;
    return {
      uniqueId: state.uniqueId,
      matches: this.#matches,
      matchesDropped: this.#dropped,
      intervention: this.#intervention,
      wouldIntervene: this.#wouldIntervene,
      audit: this.#audited(),
      auditParts: this.#auditParts,
      masked: this.#masked ?? [],
      scores: this.#matches.length > 0 || this.#intervention !== null ? this.#scoreTable() : NO_SCORES,
      requestBytesSkipped: this.#requestSkipped,
      responseBytesSkipped: this.#responseSkipped,
      bodyError: state.bodyError,
    };
  }

  #audited(): boolean {
    if (this.auditEngine !== AuditEngine.RELEVANT_ONLY) return this.auditEngine === AuditEngine.ON;
    return this.#relevant || this.#engine.relevantStatus(this.#intervention?.status ?? this.state.status);
  }

  #scoreTable(): Record<string, number> {
    const scores: Record<string, number> = {};
    for (const { name, value } of this.state.tx.entries()) {
      const key = lowerAscii(name);
      if (key.includes('score') && /^\d{1,9}$/.test(value)) scores[key] = Number(value);
    }
    return scores;
  }

  // ---- phases ----

  #run(phase: PhaseNumber): Intervention | null {
    if (this.#intervention !== null) return null;
    this.state.phase = phase;
    if (phase <= this.#allowedTo) return null;
    this.stopped = false;
    this.#runPhase(phase);
    if (this.#regexTime > 0 || this.#intervention !== null || this.#outOfTime) return this.#intervention;
    this.#outOfTime = true;
    return this.#limitReached(phase, phase <= 2 ? 403 : 500, `Regular expressions took longer than ${REGEX_TIME} ms, not all of it was judged`);
  }

  #runPhase(phase: PhaseNumber): void {
    pcreTime(this.#regexTime);
    try {
      this.#judgePhase(phase);
    } finally {
      this.#regexTime = pcreTime(Number.POSITIVE_INFINITY);
    }
  }

  #judgePhase(phase: PhaseNumber): void {
    const { state } = this;
    const { evaluator, ruleSet } = this.#engine;
    evaluator.begin();
    state.phase = phase;
    state.forget(CHANGES_AT[phase]);
    const rules = ruleSet.phases[phase]!;
    let i = 0;
    while (i < rules.length) {
      const rule = rules[i]!;
      i++;
      if (rule.group !== null && !evaluator.mayMatch(rule, rule.group, this)) continue;
      if (this.#removed !== null && hasBit(this.#removed, rule.index)) continue;
      if (state.matchedVars.size > 0) state.matchedVars.clear();
      this.#scores = null;
      state.rule = rule;
      let link: Rule | null = rule;
      while (link !== null && evaluator.judge(link, this)) {
        if (this.stopped) return;
        link = link.next;
        if (link !== null && link.group !== null && !evaluator.mayMatch(link, link.group, this)) break;
      }
      if (this.stopped) return;
      if (link === null && rule.jump >= 0) i = rule.jump;
    }
  }

  /** One value matched one link of a chain. Called by the evaluator. */
  matched(rule: Rule, name: ByteString, value: ByteString, captured: MatchState | null): void {
    const { state } = this;
    state.matchedName = name;
    state.matchedValue = value;
    state.matchedVars.add(name, value);
    if (captured !== null && captured.captureCount > 0) {
      for (let i = 0; i < CAPTURE_NAMES.length; i++) {
        if (i < captured.captureCount) state.tx.set(CAPTURE_NAMES[i]!, captured.captures[i]!);
        else state.tx.delete(CAPTURE_NAMES[i]!);
      }
    }
    for (const effect of rule.effects) effect.run(this);
    if (rule.next === null) this.#conclude(rule);
  }

  /** A whole chain matched: log it and decide. */
  #conclude(rule: Rule): void {
    const { state } = this;
    const { starter } = rule;
    if (starter.severity >= 0 && starter.severity < state.highestSeverity) state.highestSeverity = starter.severity;
    if (starter.audit) this.#relevant = true;
    if (starter.log) {
      if (this.#matches.length < MAX_MATCHES) this.#matches.push(recordMatch(rule, state, this.#scores ?? NO_SCORES));
      else this.#dropped++;
      this.#scores = null;
    }
    if (starter.disruptive === Disruptive.PASS || state.phase === 5) return;
    if (starter.disruptive === Disruptive.ALLOW) {
      if (this.#mode !== EngineMode.ON) return;
      this.stopped = true;
      if (starter.allowScope === 'request') this.#allowedTo = 2;
      else if (starter.allowScope === 'transaction') this.#allowedTo = 4;
      return;
    }
    if (this.#mode === EngineMode.DETECTION_ONLY) {
      this.#wouldIntervene ??= this.#decision(rule);
      return;
    }
    this.#intervention = this.#decision(rule);
    this.stopped = true;
  }

  #decision(rule: Rule): Intervention {
    const { starter } = rule;
    return {
      action: ACTIONS[starter.disruptive] ?? InterventionAction.DENY,
      status: starter.status,
      url: starter.redirect?.expand(this.state) ?? '',
      ruleId: starter.id,
      phase: this.state.phase,
      message: (rule.message ?? starter.message)?.expand(this.state) ?? '',
    };
  }

  #limitReached(phase: PhaseNumber, status: number, message: string): Intervention | null {
    const decision: Intervention = { action: InterventionAction.DENY, status, url: '', ruleId: 0, phase, message };
    if (this.#mode === EngineMode.ON) this.#intervention = decision;
    else this.#wouldIntervene ??= decision;
    return this.#intervention;
  }

  // ---- what effects of rules do ----

  setMode(mode: EngineModeCode): void {
    this.#mode = mode;
    if (mode === EngineMode.OFF) this.stopped = true;
  }

  removeRules(bits: RuleBits): void {
    this.#removed ??= new Uint32Array(bits.length);
    for (let w = 0; w < bits.length; w++) this.#removed[w]! |= bits[w]!;
  }

  removeTarget(bits: RuleBits, selector: Selector): void {
    this.removedTargets.push({ bits, selector });
  }

  getVariable(collection: WritableCollection, lowerName: ByteString): ByteString | undefined {
    if (collection === 'tx') return this.state.tx.get(lowerName);
    return this.state.records.get(collection)?.get(lowerName, this.state.clock());
  }

  setVariable(collection: WritableCollection, name: ByteString, value: ByteString): void {
    if (collection === 'tx') {
      this.state.tx.set(name, value);
      return;
    }
    const record = this.state.records.get(collection);
    if (record === undefined) return;
    record.set(name, value);
    this.#engine.touch(record, this.state.clock());
  }

  unsetVariable(collection: WritableCollection, lowerName: ByteString): void {
    if (collection === 'tx') this.state.tx.delete(lowerName);
    else this.state.records.get(collection)?.delete(lowerName);
  }

  openRecord(collection: PersistentName, key: ByteString): void {
    if (key === '' || this.state.records.has(collection)) return;
    this.state.records.set(collection, this.#engine.openRecord(collection, key));
  }

  /** A rule added to a TX variable. */
  scored(name: ByteString, delta: number): void {
    if (delta === 0) return;
    this.#scores ??= {};
    const key = lowerAscii(name);
    this.#scores[key] = (this.#scores[key] ?? 0) + delta;
  }

  /** The operator gave up: later rules see it in TX. */
  operatorFailed(error: MatchErrorCode): void {
    this.state.tx.set(error === MatchError.PCRE_LIMIT ? 'MSC_PCRE_LIMITS_EXCEEDED' : 'MSC_PCRE_ERROR', '1');
  }

  changeAuditParts(sign: string, parts: string): void {
    if (sign === '') this.#auditParts = parts;
    else {
      const others = [...this.#auditParts].filter((part) => !parts.includes(part)).join('');
      this.#auditParts = sign === '+' ? others + parts : others;
    }
  }

  /** Name of a variable whose value does not go into the audit log. */
  mask(name: string): void {
    this.#masked ??= [];
    if (this.#masked.length < MAX_MATCHES && !this.#masked.includes(name)) this.#masked.push(name);
  }
}

const ACTIONS: Readonly<Partial<Record<string, InterventionActionName>>> = {
  [Disruptive.DENY]: InterventionAction.DENY,
  [Disruptive.DROP]: InterventionAction.DROP,
  [Disruptive.REDIRECT]: InterventionAction.REDIRECT,
};
