/**
 * ips: the rule engine. In: rule texts, decoded packets, flows with reassembled streams and application transactions.
 * Out: a verdict per packet and alerts to an EventOutput. Rules are compiled once into a RuleSet (immutable, shared by all
 * ports of the host); an Ips judges packets by it and holds the scratch memory of one worker.
 * May import: util, packet, pipeline, flow, protocols, and the packages snort-rule-parser and @drawbridge/native.
 */
export { Ips, type IpsOptions } from './engine.js';
export { IpsCounters } from './counters.js';
export { STREAM_WINDOW } from './stream-search.js';
export { RuleSet, isSynAlone, type RuleSetOptions, type RuleSource } from './rule-set.js';
export { PortPolicies } from './port-policies.js';
export { POLICY_STEPS, selectRules, selectRulesSteps, sidRange, type RuleBitmaps, type RulePolicy, type RulePolicyStep, type RuleSelector } from './rule-policy.js';
export { finish, type Steps } from './rule-index.js';
export type { RuleNames } from './draft.js';
export type { PatternCache } from './pattern-group.js';
export { CompiledRule, RuleAction, RuleKind, type RejectSides } from './rule.js';
export { REFUSAL_REASONS, formatRefusal, type Refusal, type RefusalReason } from './refusal.js';
export { KEYWORDS, findKeyword, keywordNames, type KeywordName } from './registry.js';
export { anchorOf, KEYWORD_KINDS, type Keyword, type KeywordKind } from './keyword.js';
export { DEFAULT_VARS, type RuleVars } from './vars.js';
export { DEFAULT_CLASSES, type Classification } from './classification.js';
export { SharedState, type SharedStateOptions } from './state/shared-state.js';
export { RuleProfile } from './rule-profile.js';
export { explainRule, type RuleExplanation } from './explain.js';
export { DatasetStore, type Dataset, type DatasetType } from './state/dataset.js';
export { datasetLine } from './keywords/dataset.js';
