/** The table of directives besides SecRule, SecAction and Include, and the lists of those without effect and those refused. */
import { parseIdRanges } from '../rule-selection.js';
import { NamePattern } from '../name-pattern.js';
import { RuleDraft } from '../rule-draft.js';
import type { CompileContext } from '../operators/operator.js';
import { readActions } from './action-list.js';
import type { SourcePosition } from './error.js';
import type { RuleSetBuilder, SourceRule } from './rule-set-builder.js';
import { SETTING_DIRECTIVES } from './setting-directives.js';
import { parseTargetList, type ParsedTarget } from './targets.js';

export interface DirectiveContext {
  readonly builder: RuleSetBuilder;
  readonly position: SourcePosition;
  readonly compile: CompileContext;
  note(text: string): void;
}

export interface Directive {
  readonly name: string;
  /** Fewest and most words behind the name. */
  readonly words: readonly [number, number];
  /** What it takes, for messages. */
  readonly usage: string;
  /** One sentence for the directive reference. */
  readonly help: string;
  /** @throws Error or ArgumentError (place within the last word) */
  apply(words: readonly string[], context: DirectiveContext): void;
}

const byId = (text: string): ((rule: SourceRule) => boolean) => {
  const contains = parseIdRanges(text);
  return (rule) => contains(rule.draft.id ?? 0);
};
const byTag = (text: string): ((rule: SourceRule) => boolean) => {
  const pattern = new NamePattern(text, false);
  return (rule) => rule.draft.tags.some((tag) => pattern.test(tag));
};
const byMessage = (text: string): ((rule: SourceRule) => boolean) => {
  const pattern = new NamePattern(text, false);
  return (rule) => rule.draft.message !== undefined && pattern.test(rule.draft.message);
};

function removal(name: string, what: string, test: (text: string) => (rule: SourceRule) => boolean): Directive {
  return {
    name,
    words: [1, 1000],
    usage: what,
    help: `Remove the rules read so far that are named by ${what}.`,
    apply(words, context) {
      let removed = 0;
      for (const word of words) removed += context.builder.removeRules(test(word));
      if (removed === 0) context.note(`${name} ${words.join(' ')}: no such rule before this line`);
    },
  };
}

function targetUpdate(name: string, what: string, test: (text: string) => (rule: SourceRule) => boolean): Directive {
  return {
    name,
    words: [2, 3],
    usage: `${what}, targets and optionally the target to replace`,
    help: `Add targets or exclusions (!) to the rules read so far that are named by ${what}.`,
    apply(words, context) {
      const targets = parseTargetList(words[1]!);
      const replaced = words[2] === undefined ? null : new Set(words[2].split(/[|,]/).map((label) => label.trim().toLowerCase()));
      const rules = context.builder.rules().filter(test(words[0]!));
      if (rules.length === 0) context.note(`${name} ${words[0]}: no such rule before this line`);
      for (const rule of rules) rule.targets = updatedTargets(rule.targets, targets, replaced);
    },
  };
}

function updatedTargets(old: ParsedTarget[], added: readonly ParsedTarget[], replaced: ReadonlySet<string> | null): ParsedTarget[] {
  if (replaced === null) return [...old, ...added];
  const kept = old.filter((target) => !replaced.has(target.label.toLowerCase()));
  return kept.length === old.length ? kept : [...kept, ...added];
}

/** Fields of a draft that SecRuleUpdateActionById may change. */
const UPDATABLE = ['disruptive', 'status', 'redirect', 'log', 'audit', 'message', 'data', 'severity', 'version', 'revision', 'maturity', 'accuracy'] as const;

const RULE_DIRECTIVES: readonly Directive[] = [
  {
    name: 'SecMarker',
    words: [1, 1],
    usage: 'a name',
    help: 'A place that skipAfter jumps to.',
    apply([label], { builder }) {
      builder.addMarker(label!);
    },
  },
  {
    name: 'SecDefaultAction',
    words: [1, 1],
    usage: '"actions"',
    help: 'Actions of the rules of a phase that say nothing else, and what block means there.',
    apply([text], { builder }) {
      const draft = new RuleDraft();
      readActions(text!, draft, false);
      builder.setDefaults(draft);
    },
  },
  removal('SecRuleRemoveById', 'numbers or ranges', byId),
  removal('SecRuleRemoveByTag', 'a pattern on their tags', byTag),
  removal('SecRuleRemoveByMsg', 'a pattern on their message', byMessage),
  targetUpdate('SecRuleUpdateTargetById', 'numbers or ranges', byId),
  targetUpdate('SecRuleUpdateTargetByTag', 'a pattern on their tags', byTag),
  targetUpdate('SecRuleUpdateTargetByMsg', 'a pattern on their message', byMessage),
  {
    name: 'SecRuleUpdateActionById',
    words: [2, 2],
    usage: 'a number (with :offset for a link of its chain) and "actions"',
    help: 'Change the actions of a rule read before; its number, phase and place in a chain stay.',
    apply([id, text], context) {
      const match = /^(\d+)(?::(\d+))?$/.exec(id!);
      if (match === null) throw new Error(`'${id}' is no rule number`);
      const starter = context.builder.rules().find((rule) => rule.draft.id === Number(match[1]));
      const offset = Number(match[2] ?? 0);
      const rule = offset === 0 ? starter : starter?.links[offset - 1];
      if (rule === undefined) {
        context.note(`SecRuleUpdateActionById ${id}: no such rule before this line`);
        return;
      }
      const change = new RuleDraft();
      readActions(text!, change, offset > 0);
      if (change.id !== undefined || change.phase !== undefined || change.chain) throw new Error('id, phase and chain of a rule cannot be changed');
      for (const field of UPDATABLE) if (change[field] !== undefined) Object.assign(rule.draft, { [field]: change[field] });
      rule.draft.tags.push(...change.tags);
      rule.draft.transformations.push(...change.transformations);
      rule.draft.effects.push(...change.effects);
      rule.draft.capture ||= change.capture;
      rule.draft.multiMatch ||= change.multiMatch;
    },
  },
];

export const DIRECTIVES: ReadonlyMap<string, Directive> = new Map([...RULE_DIRECTIVES, ...SETTING_DIRECTIVES].map((row) => [row.name.toLowerCase(), row]));

/** Lower-case name -> name as it is written, of the directives below. */
export const DIRECTIVE_NAMES = new Map<string, string>();

function table(rows: Readonly<Record<string, readonly string[]>>): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>();
  for (const [reason, names] of Object.entries(rows)) {
    for (const name of names) {
      DIRECTIVE_NAMES.set(name.toLowerCase(), name);
      reasons.set(name.toLowerCase(), reason);
    }
  }
  return reasons;
}

/** Directives of ModSecurity that are read and change nothing, with the reason. */
export const DIRECTIVES_WITHOUT_EFFECT = table({
  'transactions are reported as events; their file and form are the appliance\'s': [
    'SecAuditLog', 'SecAuditLog2', 'SecAuditLogType', 'SecAuditLogFormat', 'SecAuditLogStorageDir', 'SecAuditLogDirMode', 'SecAuditLogFileMode',
    'SecGuardianLog', 'SecAuditLogPrefix',
  ],
  'the appliance has its own log': ['SecDebugLog', 'SecDebugLogLevel', 'SecStatusEngine', 'SecRulePerfTime', 'SecSensorId'],
  'bodies and uploads stay in memory': [
    'SecTmpDir', 'SecDataDir', 'SecUploadDir', 'SecUploadKeepFiles', 'SecUploadFileMode', 'SecRequestBodyInMemoryLimit', 'SecTmpSaveUploadedFiles',
    'SecStreamInBodyInspection', 'SecStreamOutBodyInspection',
  ],
  'the appliance is no web server': [
    'SecServerSignature', 'SecChrootDir', 'SecInterceptOnError', 'SecConnEngine', 'SecConnReadStateLimit', 'SecConnWriteStateLimit',
    'SecReadStateLimit', 'SecWriteStateLimit', 'SecDisableBackendCompression',
  ],
  'values are always cached': ['SecCacheTransformations'],
  'there is one set of rules': ['SecRuleInheritance'],
  'external entities are never fetched': ['SecXmlExternalEntity'],
});

/** Directives of ModSecurity whose meaning cannot be had, with the reason. */
export const REFUSED_DIRECTIVES = table({
  'responses are not rewritten': ['SecContentInjection', 'SecEncryptionEngine', 'SecHashEngine', 'SecHashKey', 'SecHashParam', 'SecHashMethodRx', 'SecHashMethodPm'],
  'rules are files; no program is run': ['SecRuleScript'],
  'rules are not fetched from other hosts by the data plane': ['SecRemoteRules', 'SecRemoteRulesFailAction'],
  'addresses are not looked up in databases or black lists': ['SecGeoLookupDb', 'SecGsbLookupDb', 'SecHttpBlKey', 'SecGuessLocation'],
  'character sets are not converted': ['SecRequestEncoding'],
});
