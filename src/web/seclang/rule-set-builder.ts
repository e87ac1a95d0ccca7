/**
 * Collects what the directives say and makes the rule set of it. Rules stay drafts until the end, since later directives may
 * change them (SecRuleUpdateTargetById and its kin) or remove them.
 */
import { defaultSettings, type EngineSettings } from '../engine/settings.js';
import { TransformTree } from '../engine/value-cache.js';
import { Macro } from '../macro.js';
import type { CompileContext, CompiledOperator } from '../operators/operator.js';
import type { PrefilterPattern } from '../prefilter.js';
import { Disruptive, Rule, type OperatorUse } from '../rule.js';
import { RuleDraft } from '../rule-draft.js';
import type { RuleNote, RuleRefusal, RuleSet } from '../rule-set.js';
import { findTransformation } from '../transformations/registry.js';
import type { PhaseNumber } from '../variables/variable.js';
import type { SourcePosition } from './error.js';
import { parseOperator, type ParsedOperator } from './operator-argument.js';
import { scanGroups, scanPlaces } from './scan-groups.js';
import { combineTargets, type ParsedTarget } from './targets.js';

/** Compiled forms of an operator argument with macros that are kept. */
const EXPANSIONS_KEPT = 16;

export interface SourceRule {
  readonly position: SourcePosition;
  draft: RuleDraft;
  targets: ParsedTarget[];
  readonly operator: ParsedOperator | null;
  readonly defaults: RuleDraft;
  readonly context: CompileContext;
  /** Later links of the chain; only on starters. */
  readonly links: SourceRule[];
}

interface Marker {
  readonly label: string;
}

export class RuleSetBuilder {
  readonly settings: EngineSettings = defaultSettings();
  readonly refusals: RuleRefusal[] = [];
  readonly notes: RuleNote[] = [];
  readonly files: string[] = [];
  #items: (SourceRule | Marker)[] = [];
  readonly #ids = new Map<number, SourcePosition>();
  readonly #defaults = new Map<PhaseNumber, RuleDraft>();
  /** Chain that waits for its next link. */
  #open: SourceRule | null = null;
  /** Links of a chain that was refused are swallowed with it. */
  #swallow = false;
  readonly #tree = new TransformTree();
  readonly #slots = new Map<string, { readonly slot: number; readonly compiled: CompiledOperator }>();

  /** @throws Error */
  setDefaults(draft: RuleDraft): void {
    if (draft.phase === undefined) throw new Error('SecDefaultAction needs a phase');
    if (draft.disruptive === undefined) throw new Error('SecDefaultAction needs a disruptive action (pass, deny, drop, redirect)');
    if (draft.disruptive === Disruptive.BLOCK) throw new Error('SecDefaultAction cannot be block: it is what block stands for');
    if (draft.chain || draft.skip > 0 || draft.skipAfter !== '' || draft.id !== undefined) throw new Error('id, chain, skip and skipAfter have no place in SecDefaultAction');
    this.#defaults.set(draft.phase, draft);
  }

  /** The next rule is a link of a chain (possibly of a refused one). */
  get inChain(): boolean {
    return this.#open !== null || this.#swallow;
  }

  /** The rule read last was refused: with it goes its chain. */
  refuseChain(continues: boolean): void {
    if (this.#open !== null) {
      this.#drop(this.#open);
      this.#open = null;
    }
    this.#swallow = continues;
  }

  #drop(rule: SourceRule): void {
    this.#items = this.#items.filter((item) => item !== rule);
    if (rule.draft.id !== undefined) this.#ids.delete(rule.draft.id);
  }

  /** @throws Error why the rule is refused */
  addRule(position: SourcePosition, draft: RuleDraft, targets: ParsedTarget[], operatorText: string | null, context: CompileContext): void {
    if (this.#swallow) {
      this.#swallow = draft.chain;
      throw new Error('the chain it belongs to is refused');
    }
    const starter = this.#open;
    const phase = starter?.draft.phase ?? draft.phase ?? 2;
    draft.phase = phase;
    const rule: SourceRule = {
      position,
      draft,
      targets,
      operator: operatorText === null ? null : parseOperator(operatorText, context),
      defaults: this.#defaults.get(phase) ?? ENGINE_DEFAULTS,
      context,
      links: [],
    };
    if (starter === null) {
      if (draft.id === undefined) throw new Error('the rule has no id');
      const other = this.#ids.get(draft.id);
      if (other !== undefined) throw new Error(`the id ${draft.id} is taken by the rule at ${other.file}:${other.line}`);
      this.#ids.set(draft.id, position);
      this.#items.push(rule);
    } else starter.links.push(rule);
    for (const text of draft.notes) this.notes.push({ position, ruleId: (starter ?? rule).draft.id ?? 0, text });
    this.#open = draft.chain ? (starter ?? rule) : null;
  }

  addMarker(label: string): void {
    this.#items.push({ label });
  }

  /** Chain starters read so far. */
  rules(): SourceRule[] {
    return this.#items.filter((item): item is SourceRule => 'draft' in item);
  }

  removeRules(test: (rule: SourceRule) => boolean): number {
    const before = this.#items.length;
    this.#items = this.#items.filter((item) => !('draft' in item) || !test(item));
    return before - this.#items.length;
  }

  finish(): RuleSet {
    if (this.#open !== null) {
      const open = this.#open;
      this.refusals.push({ position: open.position, ruleId: open.draft.id ?? 0, directive: 'SecRule', reason: 'the chain has no end: its last rule says chain as well' });
      this.refuseChain(false);
    }
    const phases: Rule[][] = [[], [], [], [], [], []];
    const rules: Rule[] = [];
    const labels: { readonly label: string; readonly at: readonly number[] }[] = [];
    for (const item of this.#items) {
      if (!('draft' in item)) {
        labels.push({ label: item.label, at: phases.map((list) => list.length) });
        continue;
      }
      const starter = this.#compile(item, null);
      let last = starter;
      for (const link of item.links) {
        last.next = this.#compile(link, starter);
        last = last.next;
      }
      starter.index = rules.length;
      for (let link = starter.next; link !== null; link = link.next) link.index = starter.index;
      rules.push(starter);
      const list = phases[starter.phase]!;
      list.push(starter);
      labels.push({ label: String(starter.id), at: phases.map((l) => l.length) });
    }
    for (const list of phases) {
      list.forEach((rule, at) => {
        if (rule.skip > 0) rule.jump = Math.min(list.length, at + 1 + rule.skip);
        if (rule.skipAfter !== '') {
          const target = labels.find((l) => l.label === rule.skipAfter && l.at[rule.phase]! > at);
          // a label that never comes skips the rest of the phase
          rule.jump = target === undefined ? list.length : target.at[rule.phase]!;
        }
      });
    }
    for (const rule of rules) for (let link: Rule | null = rule; link !== null; link = link.next) for (const effect of link.effects) effect.link?.(rules);
    const groups = scanGroups(rules);
    const patterns: PrefilterPattern[] = [];
    const places = scanPlaces(rules, this.#slots.size);
    for (const { slot, compiled } of this.#slots.values()) if (compiled.hint !== undefined) patterns.push({ slot, hint: compiled.hint, places: places[slot]! });
    return { settings: this.settings, rules, phases, tree: this.#tree, slots: this.#slots.size, patterns, groups, refusals: this.refusals, notes: this.notes, files: this.files };
  }

  #compile(source: SourceRule, starter: Rule | null): Rule {
    const { draft, defaults } = source;
    const path = this.#path([...defaults.transformations, ...draft.transformations]);
    const log = draft.log ?? defaults.log ?? true;
    const own = draft.disruptive ?? Disruptive.BLOCK;
    const disruptive = own === Disruptive.BLOCK ? (defaults.disruptive ?? Disruptive.PASS) : own;
    const redirect = draft.redirect ?? (own === Disruptive.BLOCK ? defaults.redirect : undefined);
    return new Rule(
      {
        id: draft.id ?? starter?.id ?? 0,
        phase: draft.phase ?? 2,
        file: source.position.file,
        line: source.position.line,
        targets: combineTargets(source.targets),
        operator: source.operator === null ? null : this.#operator(source.operator, source),
        node: path[path.length - 1]!,
        path: draft.multiMatch ? path : null,
        capture: draft.capture,
        effects: draft.effects,
        disruptive,
        allowScope: draft.allowScope,
        status: draft.status ?? defaults.status ?? (disruptive === Disruptive.REDIRECT ? 302 : 403),
        redirect: redirect === undefined ? null : new Macro(redirect),
        log,
        audit: draft.audit ?? (draft.log === undefined ? (defaults.audit ?? log) : log),
        message: draft.message === undefined ? null : new Macro(draft.message),
        data: draft.data === undefined ? null : new Macro(draft.data),
        severity: draft.severity ?? defaults.severity ?? -1,
        tags: [...defaults.tags, ...draft.tags].map((tag) => new Macro(tag)),
        version: draft.version ?? '',
        revision: draft.revision ?? '',
        maturity: draft.maturity ?? 0,
        accuracy: draft.accuracy ?? 0,
        skip: draft.skip,
        skipAfter: draft.skipAfter,
      },
      starter,
    );
  }

  /** Nodes from the bare value to the end of the chain of transformations. */
  #path(names: readonly string[]): number[] {
    const path = [0];
    for (const name of names.slice(names.lastIndexOf('none') + 1)) {
      const transformation = findTransformation(name);
      if (transformation === undefined) continue;
      const fn = transformation.create({ unicodeMap: this.settings.unicodeMap });
      path.push(this.#tree.child(path[path.length - 1]!, transformation.name, fn));
    }
    return path;
  }

  #operator(parsed: ParsedOperator, { context, position }: SourceRule): OperatorUse {
    const { operator, negated, argument } = parsed;
    const common = { name: operator.name, negated, argument };
    if (parsed.compiled !== null) {
      let slot = -1;
      let compiled = parsed.compiled;
      if (compiled.pure) {
        // file names are relative to the rule file
        const key = `${operator.name} ${argument.text} ${/FromFile$/i.test(operator.name) ? position.file : ''}`;
        let shared = this.#slots.get(key);
        if (shared === undefined) {
          shared = { slot: this.#slots.size, compiled };
          this.#slots.set(key, shared);
        }
        ({ slot, compiled } = shared);
      }
      return { ...common, compiled, expand: null, slot };
    }
    const known = new Map<string, CompiledOperator | null>();
    const expand = (text: string): CompiledOperator | null => {
      let compiled = known.get(text);
      if (compiled === undefined) {
        try {
          compiled = operator.compile(text, context);
        } catch {
          // the expanded text is no argument of this operator: it matches nothing, as in ModSecurity
          compiled = null;
        }
        if (known.size >= EXPANSIONS_KEPT) known.clear();
        known.set(text, compiled);
      }
      return compiled;
    };
    return { ...common, compiled: null, expand, slot: -1 };
  }
}

/** What holds where no SecDefaultAction was given. */
const ENGINE_DEFAULTS: RuleDraft = Object.assign(new RuleDraft(), { disruptive: Disruptive.PASS, log: true, audit: true });
