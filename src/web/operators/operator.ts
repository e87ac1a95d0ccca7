/**
 * What an operator is. One object per operator in a file of its own (its name is what users write after '@'), one row in
 * registry.ts. At load time `compile` turns the argument into a Compiled operator or throws a RuleError text; at run time
 * `match` judges one transformed value. Operators know nothing of macros: an argument with %{...} is expanded by the engine,
 * which compiles the expanded text (and keeps the last few results).
 */
import type { ByteString } from '../value.js';

/** Groups 0..9, as TX:0..TX:9 hold them. */
export const MAX_CAPTURES = 10;

/** Why a match could not be finished; the engine sets the TX:MSC_* flag of the same name and goes on as "no match". */
export const MatchError = { NONE: 0, PCRE_LIMIT: 1, PCRE_ERROR: 2 } as const;
export type MatchErrorCode = (typeof MatchError)[keyof typeof MatchError];

/** What a match says besides yes or no. One object per engine, used over and over: never keep it. */
export class MatchState {
  /** The rule has `capture`: fill `captures`. Otherwise groups need not be extracted. */
  wantCaptures = false;
  /** captures[0..captureCount) are valid; '' stands for a group that did not take part. */
  captureCount = 0;
  readonly captures: ByteString[] = Array.from({ length: MAX_CAPTURES }, () => '');
  error: MatchErrorCode = MatchError.NONE;

  reset(wantCaptures: boolean): void {
    this.wantCaptures = wantCaptures;
    this.captureCount = 0;
    this.error = MatchError.NONE;
  }

  /** Group 0 alone: the phrase, pattern or fingerprint that matched. Nothing when the rule does not capture. */
  captureWhole(text: ByteString): void {
    if (!this.wantCaptures) return;
    this.captures[0] = text;
    this.captureCount = 1;
  }
}

/** A regular expression or a set of words that has to occur in a value for the operator to match it. */
export type PrefilterHint =
  /** PCRE text (latin1) under the given PCRE_* options of @drawbridge/native. */
  | { readonly kind: 'regex'; readonly expression: string; readonly options: number }
  /** At least one of these occurs; ASCII letters compare without case. */
  | { readonly kind: 'words'; readonly words: readonly ByteString[] };

/** An operator with its argument. Immutable; used by all transactions of a thread. */
export interface CompiledOperator {
  /**
   * Does the operator match this value? Linear in value.length or under limits; never throws, whatever the bytes.
   * @param state receives the captured groups and the error; the caller has reset it
   */
  match(value: ByteString, state: MatchState): boolean;
  /** A necessary condition that can be searched for together with those of all other rules. Absent: none known. */
  readonly hint?: PrefilterHint;
  /**
   * The result depends on the value alone and has no effect but captures, so that "does not match" may be remembered
   * beyond the transaction. False for operators that look things up outside.
   */
  readonly pure: boolean;
}

/** What compile() may use. I/O comes in from outside: this room opens no file. */
export interface CompileContext {
  /**
   * Bytes of a file that an operator names (@pmFromFile), relative to the rule file.
   * @throws Error whose message says which path was tried and why it failed
   */
  readFile(name: string): Uint8Array;
  /** SecPcreMatchLimit and SecPcreMatchLimitRecursion; 0 = the engine's default. */
  readonly pcreMatchLimit: number;
  readonly pcreRecursionLimit: number;
  /** Address databases, black lists and the like when the appliance offers them. */
  readonly lookups: OperatorLookups;
}

/** Knowledge from outside the rules. Every entry is optional; an operator that needs a missing one refuses to compile. */
export interface OperatorLookups {
  /** ISO country code and the like of an address, null when unknown (@geoLookup). */
  readonly geo?: (address: string) => Readonly<Record<string, string>> | null;
}

export interface Operator<Name extends string = string> {
  /** As users write it, without '@'. Compared without case. */
  readonly name: Name;
  /** Other spellings, such as `ipMatchF` for ipMatchFromFile. */
  readonly aliases?: readonly string[];
  readonly argument: 'none' | 'optional' | 'required';
  /** One sentence for the operator reference. */
  readonly help: string;
  /**
   * @param argument text after the operator's name, unquoted and trimmed as ModSecurity does; '' when absent
   * @throws Error with a message that names the offending part and what is accepted; the loader adds file, line and rule id
   */
  compile(argument: ByteString, context: CompileContext): CompiledOperator;
}

/** Keeps the literal name, from which the type OperatorName is made. */
export function operator<const Name extends string>(definition: Operator<Name>): Operator<Name> {
  return definition;
}
