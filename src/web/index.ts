/**
 * web: the web-application firewall. In: rule files in SecLang (ModSecurity's language), HTTP transactions from the wire as
 * heads and body pieces. Out: an intervention per step (none, deny, drop, redirect) with the rule that decided, and a report
 * per transaction. Rules are compiled once into a WebEngine (immutable, shared by all ports of a worker); a WebTransaction
 * judges one exchange by it. Bytes are byte strings (value.ts). Semantics where ModSecurity v2 and v3 differ: v2.
 * `wire/` is what stands between the packets and the engine. May import: util, packet, pipeline, flow, protocols, and the package
 * @drawbridge/native.
 */
export {
  InterventionAction,
  type CompiledExclusion,
  type Intervention,
  type InterventionActionName,
  type RequestHead,
  type ResponseHead,
  type RuleMatch,
  type WebConnection,
  type WebPolicy,
  type WebReport,
  type WebTransaction,
} from './transaction.js';
export { WebEngine, type WebEngineOptions, type WebEngineStats } from './engine/engine.js';
export type { ExclusionSpec } from './engine/exclusion.js';
export { DEFAULT_PERSISTENT_LIMITS, type PersistentLimits } from './engine/persistent-store.js';
export { loadRules, type RuleFiles, type RuleSource } from './seclang/loader.js';
export type { RuleNote, RuleRefusal, RuleSet } from './rule-set.js';
export type { OperatorLookups } from './operators/operator.js';
export type { PrefilterCache, PrefilterFactory } from './prefilter.js';
export { createPrefilter } from './prefilter/vectorscan.js';
export { byteString, displayText, type ByteString } from './value.js';
export { WebStage, type BlockMessage, type ExceptionPolicy, type TransactionSource, type WebStageOptions } from './wire/stage.js';
export { MAX_OVERRIDES, WebMode, WebPolicies, type BlockAnswer, type RequestPolicy, type WebOverride } from './wire/policies.js';
export { WebCounters } from './wire/counters.js';
export { engineDirectives, setupVariables, webSchema, type EngineSetting, type WebConfig, type WebOverrideConfig } from './wire/schema.js';
export { exclusionId, exclusionText, exclusionsFor, pathOf, type BlockedTransaction, type Exclusion } from './tuning/exclusion.js';
export { rehearse, type Attack, type Coverage, type Rehearsal } from './tuning/rehearsal.js';
