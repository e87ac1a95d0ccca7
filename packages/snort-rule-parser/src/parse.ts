/** Rule text to rules and errors. */
import { Rule, type SourceText } from './ast.js';
import type { RuleError } from './errors.js';
import { actionAt, HeaderCaches, parseHeader } from './header.js';
import { decodeRuleText, locate, logicalLines, skipBlanks, trimmed, type LogicalLine } from './lexer.js';
import { OptionCaches, parseOptions } from './options.js';
import { ErrorReport } from './report.js';

/** Longest logical line by default, in bytes. The longest rules in public use have about 8 KiB. */
export const DEFAULT_MAX_RULE_LENGTH = 65_536;
/** Most errors kept by default. */
export const DEFAULT_MAX_ERRORS = 10_000;

export interface ParseOptions {
  /** Name for messages, default `''`. */
  readonly file?: string;
  /** Number of the first line, default 1. */
  readonly line?: number;
  /** Also yields rules that are commented out (`# alert ...`), with `enabled: false`. Default false. */
  readonly includeDisabled?: boolean;
  /** Accepts rules without `sid`; they get sid 0. Default false: such a rule is the error `missing-sid`. */
  readonly allowMissingSid?: boolean;
  /** Default {@link DEFAULT_MAX_RULE_LENGTH}. */
  readonly maxRuleLength?: number;
}

export interface ParseRulesOptions extends ParseOptions {
  /** Bound of `errors`; what is beyond it is only counted. Default {@link DEFAULT_MAX_ERRORS}. */
  readonly maxErrors?: number;
}

/** Either a rule and no errors, or errors and no rule. */
export type ParseRuleResult = { readonly rule: Rule; readonly errors: readonly [] } | {
  readonly rule: null;
  readonly errors: readonly RuleError[];
};

export interface ParseRulesResult {
  /** Rules without any error, in file order. */
  readonly rules: readonly Rule[];
  readonly errors: readonly RuleError[];
  /** How many rules were refused. */
  readonly refused: number;
}

/** Receives the rules of a file one at a time, so that the caller decides what stays in memory. */
export interface RuleVisitor {
  rule(rule: Rule): void;
  /** All errors of one refused rule, at least one. */
  refused(errors: readonly RuleError[]): void;
}

/**
 * Parses one rule. The text may hold comments, blank lines and continuations, but only one rule.
 * Never throws on any text; time and memory are linear in its length.
 */
export function parseRule(text: string | Uint8Array, options: ParseOptions = {}): ParseRuleResult {
  let rule: Rule | null = null;
  const errors: RuleError[] = [];
  const refused = (found: readonly RuleError[]): void => {
    for (const error of found) errors.push(error);
  };
  const decoded = decodeRuleText(text);
  const parser = new LineParser(options);
  let seen = 0;
  for (const line of logicalLines(decoded.text, decoded.start, parser.lineOptions)) {
    const result = parser.parse(line);
    if (result === null) continue;
    seen += 1;
    if (seen > 1) {
      const report = new ErrorReport(line.source);
      report.add('trailing-text', skipBlanks(line.source.text, 0, line.source.text.length), trimmed(line.source.text),
        'only one rule is expected', ['end of text']);
      refused(report.errors);
      break;
    }
    if (result instanceof Rule) rule = result;
    else refused(result);
  }
  if (seen === 0) {
    const source: SourceText = {
      file: options.file ?? '', text: '', line: options.line ?? 1, column: 1, offset: decoded.start, continuations: [],
    };
    const report = new ErrorReport(source);
    report.add('missing-header-field', 0, '', 'there is no rule in this text', ['a rule']);
    refused(report.errors);
  }
  if (rule !== null && errors.length === 0) return { rule, errors: [] };
  return { rule: null, errors };
}

/** Parses a whole rule file. See {@link forEachRule}. */
export function parseRules(text: string | Uint8Array, options: ParseRulesOptions = {}): ParseRulesResult {
  const maxErrors = options.maxErrors ?? DEFAULT_MAX_ERRORS;
  const rules: Rule[] = [];
  const errors: RuleError[] = [];
  let refused = 0;
  forEachRule(text, options, {
    rule: (rule) => {
      rules.push(rule);
    },
    refused: (found) => {
      refused += 1;
      for (const error of found) {
        if (errors.length < maxErrors) errors.push(error);
      }
    },
  });
  return { rules, errors, refused };
}

/**
 * Parses a rule file and hands over each rule as it is read. A rule with an error is refused as a whole; the next line
 * starts afresh. Strings of a rule may share memory with the whole text: copy what is kept for long.
 * Never throws on any text; time is linear in its length.
 */
export function forEachRule(text: string | Uint8Array, options: ParseOptions, visitor: RuleVisitor): void {
  for (const result of readRules(text, options)) {
    if (result instanceof Rule) visitor.rule(result);
    else visitor.refused(result);
  }
}

/**
 * The rules of a file one at a time, each read when it is asked for, so that the caller may do other work in between; in
 * place of a refused rule all its errors, at least one. Otherwise as {@link forEachRule}.
 */
export function* readRules(text: string | Uint8Array, options: ParseOptions = {}): Generator<Rule | readonly RuleError[], undefined> {
  const decoded = decodeRuleText(text);
  const parser = new LineParser(options);
  for (const line of logicalLines(decoded.text, decoded.start, parser.lineOptions)) {
    const result = parser.parse(line);
    if (result !== null) yield result;
  }
}

class LineParser {
  readonly lineOptions: { readonly file: string; readonly firstLine: number; readonly comments: boolean };
  readonly #allowMissingSid: boolean;
  readonly #maxRuleLength: number;
  readonly #headerCaches = new HeaderCaches();
  readonly #optionCaches = new OptionCaches();

  constructor(options: ParseOptions) {
    this.lineOptions = {
      file: options.file ?? '', firstLine: options.line ?? 1, comments: options.includeDisabled ?? false,
    };
    this.#allowMissingSid = options.allowMissingSid ?? false;
    this.#maxRuleLength = options.maxRuleLength ?? DEFAULT_MAX_RULE_LENGTH;
  }

  /** The rule, its errors, or null for a comment that is no rule: prose is nobody's mistake. */
  parse(line: LogicalLine): Rule | readonly RuleError[] | null {
    const { source, enabled } = line;
    if (!enabled && actionAt(source.text, 0) === undefined) return null;
    const report = new ErrorReport(source);
    const rule = this.#parseRule(report, enabled);
    if (rule !== null) return rule;
    return enabled ? report.errors : null;
  }

  #parseRule(report: ErrorReport, enabled: boolean): Rule | null {
    const { source } = report;
    if (source.text.length > this.#maxRuleLength) {
      report.add('limit', 0, source.text, `the rule is longer than ${this.#maxRuleLength} bytes`);
      return null;
    }
    const header = parseHeader(report, this.#headerCaches);
    if (header === null) return null;
    const { options, identity, hasSid } = parseOptions(report, header.optionsAt, this.#optionCaches);
    if (!hasSid && !this.#allowMissingSid && report.errors.length === 0) {
      report.add('missing-sid', header.start, '', 'the rule has no sid', ['sid:<number>;']);
    }
    if (report.errors.length > 0) return null;
    const { line, column, offset } = locate(source, header.start);
    return new Rule(
      enabled, header.dialect, header.action, header.protocol,
      header.sourceAddress, header.sourcePort, header.direction, header.destinationAddress, header.destinationPort,
      options, identity, line, column, offset, source,
      header.sourceAddressAt, header.sourcePortAt, header.destinationAddressAt, header.destinationPortAt,
    );
  }
}
