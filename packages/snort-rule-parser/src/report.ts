/** Collects the errors of one logical line and turns offsets in it into places in the file. */
import type { SourceText } from './ast.js';
import { clipToken, type RuleError, type RuleErrorKind } from './errors.js';
import { locate } from './lexer.js';

/** A rule has at most this many errors reported; one is already enough to refuse it. */
const MAX_ERRORS_PER_RULE = 16;

const NOTHING: readonly string[] = [];

export class ErrorReport {
  readonly errors: RuleError[] = [];

  constructor(readonly source: SourceText) {}

  /** Adds an error about `source.text[at, at + token.length)`. */
  add(kind: RuleErrorKind, at: number, token: string, message: string, accepted: readonly string[] = NOTHING): void {
    if (this.errors.length >= MAX_ERRORS_PER_RULE) return;
    const { line, column, offset } = locate(this.source, at);
    this.errors.push({
      kind, message, file: this.source.file, line, column, offset, token: clipToken(token), accepted,
    });
  }
}
