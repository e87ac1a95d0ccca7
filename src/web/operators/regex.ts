/** Regular expressions as ModSecurity 2 compiles them, under limits. */
import { PCRE_DOLLAR_ENDONLY, PCRE_DOTALL, PCRE_LIMIT, PCRE_NOMATCH, Pcre } from '@drawbridge/native';
import { toScratch, type ByteString } from '../value.js';
import { MAX_CAPTURES, MatchError, type CompileContext, type MatchState } from './operator.js';

export const REGEX_OPTIONS: number = PCRE_DOTALL | PCRE_DOLLAR_ENDONLY;

/** For rule sets that name no SecPcreMatchLimit: some milliseconds at most. */
const DEFAULT_MATCH_LIMIT = 100_000;
const DEFAULT_DEPTH_LIMIT = 100_000;

/** Groups of the last match of any Regex: start and end of each. */
const ovector = new Int32Array(2 * MAX_CAPTURES);

export class Regex {
  readonly #pcre: Pcre;

  /** @throws Error that says where the expression is wrong */
  constructor(expression: ByteString, context: CompileContext) {
    try {
      this.#pcre = new Pcre(expression, REGEX_OPTIONS, context.pcreMatchLimit || DEFAULT_MATCH_LIMIT, context.pcreRecursionLimit || DEFAULT_DEPTH_LIMIT);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const offset = 'offset' in error ? ` at offset ${String(error.offset)}` : '';
      throw new Error(`regular expression: ${error.message}${offset}`, { cause: error });
    }
  }

  /**
   * Search from `start`.
   * @returns where the match begins, -1 when there is none or a limit ended the search (then state.error says so)
   */
  search(value: ByteString, start: number, state: MatchState): number {
    const found = this.#pcre.exec(toScratch(value), 0, value.length, start, ovector);
    this.groups = found;
    if (found > 0) return ovector[0]!;
    if (found !== PCRE_NOMATCH) state.error = found === PCRE_LIMIT ? MatchError.PCRE_LIMIT : MatchError.PCRE_ERROR;
    return -1;
  }

  /** Of the last successful search: where it ended, and its highest group + 1. */
  get end(): number {
    return ovector[1]!;
  }

  groups = 0;

  /** Append the groups of the last successful search as far as there is room. */
  capture(value: ByteString, state: MatchState): void {
    for (let group = 0; group < this.groups && state.captureCount < MAX_CAPTURES; group++) {
      const from = ovector[2 * group]!;
      state.captures[state.captureCount++] = from < 0 ? '' : value.slice(from, ovector[2 * group + 1]);
    }
  }
}
