/**
 * Reads rule files: from the text of a configuration, through Include, to a rule set. A line that cannot be used is refused
 * with its place and reason; the rest is loaded.
 */
import type { CompileContext, OperatorLookups } from '../operators/operator.js';
import { RuleDraft } from '../rule-draft.js';
import type { RuleSet } from '../rule-set.js';
import { byteString } from '../value.js';
import { readActions } from './action-list.js';
import { DIRECTIVES, DIRECTIVES_WITHOUT_EFFECT, REFUSED_DIRECTIVES, type DirectiveContext } from './directives.js';
import { messageOf, SeclangError, type SourcePosition } from './error.js';
import { logicalLines, type LogicalLine } from './lines.js';
import { RuleSetBuilder } from './rule-set-builder.js';
import { ArgumentError, parseTargetList } from './targets.js';
import { positionIn, splitWords, type Word } from './words.js';

/** Access to files, given by whoever may touch them. */
export interface RuleFiles {
  /** @throws Error whose message says why */
  read(path: string): Uint8Array;
  /** Paths that match `pattern` (wildcards `*` and `?` in file names), in order; relative to the folder of `from`. */
  find(pattern: string, from: string): readonly string[];
}

/** Files that include each other end somewhere. */
const MAX_INCLUDE_DEPTH = 16;

export interface LoadOptions {
  readonly files: RuleFiles;
  readonly lookups?: OperatorLookups;
}

/** A piece of configuration: a file (text read by the loader) or given text under a name for messages. */
export type RuleSource = { readonly file: string } | { readonly name: string; readonly text: string };

export function loadRules(sources: readonly RuleSource[], options: LoadOptions): RuleSet {
  const loader = new Loader(options);
  for (const source of sources) {
    if ('text' in source) loader.text(Buffer.from(source.text, 'utf8').toString('latin1'), source.name, 0);
    else loader.file(source.file, { file: source.file, line: 0, column: 0 }, 0);
  }
  return loader.builder.finish();
}

class Loader {
  readonly builder = new RuleSetBuilder();
  readonly #options: LoadOptions;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  file(path: string, from: SourcePosition, depth: number): void {
    let text: string;
    try {
      const bytes = this.#options.files.read(path);
      text = byteString(bytes, 0, bytes.length);
    } catch (error) {
      this.#refuse(from, 'Include', `${path}: ${messageOf(error)}`);
      return;
    }
    this.builder.files.push(path);
    this.text(text, path, depth);
  }

  text(text: string, file: string, depth: number): void {
    for (const line of logicalLines(text, file)) this.#directive(line, file, depth);
  }

  #directive(line: LogicalLine, file: string, depth: number): void {
    let words: Word[];
    try {
      words = splitWords(line);
    } catch (error) {
      if (!(error instanceof SeclangError)) throw error;
      this.#refuse(error.position, line.text.split(/\s/, 1)[0]!, error.message);
      if (/^Sec(Rule|Action)\b/i.test(line.text)) this.builder.refuseChain(/\bchain\b/.test(line.text));
      return;
    }
    const name = words[0]!.text;
    const key = name.toLowerCase();
    const rest = words.slice(1);
    const position = line.at(0);
    if (key === 'secrule' || key === 'secaction') this.#rule(line, name, rest, file);
    else if (key === 'include' || key === 'includeoptional') this.#include(position, rest, file, depth, key === 'includeoptional');
    else if (/^<\/?ifmodule/.test(key)) return;
    else {
      const directive = DIRECTIVES.get(key);
      if (directive !== undefined) {
        this.#guard(line, rest, name, () => {
          if (rest.length < directive.words[0] || rest.length > directive.words[1]) throw new Error(`${directive.name} takes ${directive.usage}`);
          directive.apply(rest.map((word) => word.text), this.#context(position, file));
        });
      } else if (DIRECTIVES_WITHOUT_EFFECT.has(key)) {
        this.builder.notes.push({ position, ruleId: 0, text: `${name} has no effect: ${DIRECTIVES_WITHOUT_EFFECT.get(key)}` });
      } else {
        const reason = REFUSED_DIRECTIVES.get(key);
        this.#refuse(position, name, reason === undefined ? `unknown directive '${name}'` : `not supported: ${reason}`);
      }
    }
  }

  #rule(line: LogicalLine, name: string, words: readonly Word[], file: string): void {
    const isAction = name.toLowerCase() === 'secaction';
    const link = this.builder.inChain;
    const draft = new RuleDraft();
    const position = line.at(0);
    let word: Word | undefined;
    try {
      if (words.length < (isAction ? 1 : 2) || words.length > (isAction ? 1 : 3)) throw new Error(isAction ? 'SecAction takes "actions"' : 'SecRule takes VARIABLES "operator" "actions"');
      const actions = isAction ? words[0] : words[2];
      word = actions;
      if (actions !== undefined) readActions(actions.text, draft, link);
      word = isAction ? undefined : words[0];
      const targets = word === undefined ? [] : parseTargetList(word.text);
      word = isAction ? undefined : words[1];
      this.builder.addRule(position, draft, targets, isAction ? null : words[1]!.text, this.#compileContext(file));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const at = error instanceof ArgumentError && word !== undefined ? positionIn(line, word, error.at) : position;
      this.builder.refusals.push({ position: at, ruleId: draft.id ?? 0, directive: name, reason: error.message });
      // the action list may not have been read to its `chain`
      this.builder.refuseChain(draft.chain || /(?:^|[,\s])chain\s*(?:,|$)/i.test(words[isAction ? 0 : 2]?.text ?? ''));
    }
  }

  #include(position: SourcePosition, words: readonly Word[], file: string, depth: number, optional: boolean): void {
    if (words.length !== 1) return this.#refuse(position, 'Include', 'Include takes one path');
    if (depth >= MAX_INCLUDE_DEPTH) return this.#refuse(position, 'Include', `files include each other more than ${MAX_INCLUDE_DEPTH} levels deep`);
    const pattern = words[0]!.text;
    let paths: readonly string[];
    try {
      paths = this.#options.files.find(pattern, file);
    } catch (error) {
      return this.#refuse(position, 'Include', `${pattern}: ${messageOf(error)}`);
    }
    if (paths.length === 0 && !optional) return this.#refuse(position, 'Include', `${pattern}: no such file`);
    for (const path of paths) this.file(path, position, depth + 1);
  }

  #guard(line: LogicalLine, words: readonly Word[], name: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const last = words[words.length - 1];
      const at = error instanceof ArgumentError && last !== undefined ? positionIn(line, last, error.at) : line.at(0);
      this.#refuse(at, name, error.message);
    }
  }

  #refuse(position: SourcePosition, directive: string, reason: string): void {
    this.builder.refusals.push({ position, ruleId: 0, directive, reason });
  }

  #context(position: SourcePosition, file: string): DirectiveContext {
    return { builder: this.builder, position, compile: this.#compileContext(file), note: (text) => this.builder.notes.push({ position, ruleId: 0, text }) };
  }

  #compileContext(file: string): CompileContext {
    const { files, lookups } = this.#options;
    const { settings } = this.builder;
    return {
      readFile(name) {
        const [path] = files.find(name, file);
        if (path === undefined) throw new Error(`${name}: no such file beside ${file}`);
        return files.read(path);
      },
      pcreMatchLimit: settings.pcreMatchLimit,
      pcreRecursionLimit: settings.pcreRecursionLimit,
      lookups: lookups ?? {},
    };
  }
}
