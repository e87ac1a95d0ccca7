/** ctl: settings of this one transaction, changed while it runs. Every option is a row of the table. */
import { AuditEngine, EngineMode } from '../engine/settings.js';
import type { Transaction } from '../engine/transaction.js';
import { byId, byMessage, byTag, type RuleTest } from '../rule-selection.js';
import { ruleBits, type Effect, type Rule, type RuleBits, type Selector } from '../rule.js';
import { parseSelector } from '../seclang/targets.js';
import { action, integerArgument, splitAssignment } from './action.js';

/** Effect on a set of rules that is known once all rules are read. */
class RuleSetEffect implements Effect {
  #bits: RuleBits = new Uint32Array(0);
  readonly #test: (rule: Rule) => boolean;
  readonly #apply: (tx: Transaction, bits: RuleBits) => void;

  constructor(test: (rule: Rule) => boolean, apply: (tx: Transaction, bits: RuleBits) => void) {
    this.#test = test;
    this.#apply = apply;
  }

  link(rules: readonly Rule[]): void {
    this.#bits = ruleBits(rules, this.#test);
  }

  run(tx: Transaction): void {
    this.#apply(tx, this.#bits);
  }
}

function effect(run: (tx: Transaction) => void): Effect {
  return { run };
}

const removeRules = (test: RuleTest) => (value: string) => new RuleSetEffect(test(value), (tx, bits) => tx.removeRules(bits));

const removeTarget = (test: RuleTest) => (value: string) => {
  const at = value.lastIndexOf(';');
  if (at <= 0) throw new Error(`'${value}' names no target; write rules;VARIABLE or rules;VARIABLE:name`);
  const selector: Selector = parseSelector(value.slice(at + 1).trim());
  return new RuleSetEffect(test(value.slice(0, at).trim()), (tx, bits) => tx.removeTarget(bits, selector));
};

function onOff(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower !== 'on' && lower !== 'off') throw new Error(`'${value}' is not accepted; write On or Off`);
  return lower === 'on';
}

function choice<T>(value: string, choices: Readonly<Record<string, T>>): T {
  const found = Object.entries(choices).find(([name]) => name.toLowerCase() === value.toLowerCase());
  if (found === undefined) throw new Error(`'${value}' is not accepted; accepted are ${Object.keys(choices).join(', ')}`);
  return found[1];
}

/** @returns the effect, null for options without one here */
const OPTIONS: Readonly<Record<string, (value: string) => Effect | null>> = {
  ruleEngine(value) {
    const mode = choice(value, { On: EngineMode.ON, Off: EngineMode.OFF, DetectionOnly: EngineMode.DETECTION_ONLY });
    return effect((tx) => tx.setMode(mode));
  },
  auditEngine(value) {
    const mode = choice(value, { On: AuditEngine.ON, Off: AuditEngine.OFF, RelevantOnly: AuditEngine.RELEVANT_ONLY });
    return effect((tx) => {
      tx.auditEngine = mode;
    });
  },
  auditLogParts(value) {
    const match = /^([+-]?)([A-KZ]+)$/i.exec(value);
    if (match === null) throw new Error(`'${value}' is not accepted; write parts A to K and Z, with + or - in front to change the set`);
    return effect((tx) => tx.changeAuditParts(match[1]!, match[2]!.toUpperCase()));
  },
  requestBodyAccess(value) {
    const on = onOff(value);
    return effect((tx) => {
      tx.requestBodyAccess = on;
    });
  },
  requestBodyLimit(value) {
    const limit = integerArgument(value, 1, 1_073_741_824);
    return effect((tx) => {
      tx.requestBodyLimit = limit;
    });
  },
  requestBodyProcessor(value) {
    const processor = value.toUpperCase();
    if (!['URLENCODED', 'MULTIPART', 'XML', 'JSON'].includes(processor)) throw new Error(`'${value}' is no body processor; accepted are URLENCODED, MULTIPART, XML and JSON`);
    return effect((tx) => {
      tx.state.bodyProcessor = processor;
    });
  },
  forceRequestBodyVariable(value) {
    const on = onOff(value);
    return effect((tx) => {
      tx.state.forceBody = on;
    });
  },
  responseBodyAccess(value) {
    const on = onOff(value);
    return effect((tx) => {
      tx.responseBodyAccess = on;
    });
  },
  responseBodyLimit(value) {
    const limit = integerArgument(value, 1, 1_073_741_824);
    return effect((tx) => {
      tx.responseBodyLimit = limit;
    });
  },
  ruleRemoveById: removeRules(byId),
  ruleRemoveByTag: removeRules(byTag),
  ruleRemoveByMsg: removeRules(byMessage),
  ruleRemoveTargetById: removeTarget(byId),
  ruleRemoveTargetByTag: removeTarget(byTag),
  ruleRemoveTargetByMsg: removeTarget(byMessage),
  debugLogLevel: () => null,
};

const REFUSED: Readonly<Record<string, string>> = {
  hashengine: 'links of responses are not signed',
  hashenforcement: 'links of responses are not signed',
  parsexmlintoargs: 'XML is judged through the variable XML',
};

export const ctl = action({
  name: 'ctl',
  kind: 'effect',
  argument: 'required',
  help: 'Change a setting or exclude rules or targets for this transaction.',
  read(draft, argument) {
    const { name, value = '' } = splitAssignment(argument);
    const option = Object.keys(OPTIONS).find((key) => key.toLowerCase() === name.toLowerCase());
    if (option === undefined) {
      const reason = REFUSED[name.toLowerCase()];
      throw new Error(reason === undefined ? `'${name}' is no ctl option; there are ${Object.keys(OPTIONS).join(', ')}` : `ctl:${name} is not supported: ${reason}`);
    }
    if (value === '') throw new Error(`ctl:${option} needs a value`);
    const made = OPTIONS[option]!(value);
    if (made === null) draft.notes.push(`ctl:${option} has no effect here`);
    else draft.effects.push(made);
  },
});

