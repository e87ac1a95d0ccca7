/** What a keyword is. One object per keyword, listed in registry.ts; documentation and tests follow from the table. */
import type { RuleDraft } from './draft.js';
import type { OptionText } from './option.js';

export const KEYWORD_KINDS = ['meta', 'content', 'modifier', 'buffer', 'transform', 'packet', 'flow', 'transaction', 'post'] as const;
export type KeywordKind = (typeof KEYWORD_KINDS)[number];

export interface Keyword<Name extends string = string> {
  readonly name: Name;
  /** Other spellings rules use. */
  readonly aliases?: readonly string[];
  readonly kind: KeywordKind;
  /** One sentence for docs/rules.md. */
  readonly help: string;
  /** How the option is written; several forms each on their own. */
  readonly usage: readonly string[];
  /** Whether a value has to, may or must not follow. */
  readonly value: 'none' | 'required' | 'optional';
  /** Read the option into the draft, or refuse the rule through `option.fail`. */
  parse(draft: RuleDraft, option: OptionText): void;
}

/** Keeps the literal name, from which the type KeywordName is made. */
export function keyword<const Name extends string>(definition: Keyword<Name>): Keyword<Name> {
  return definition;
}

/** Anchor of a keyword in docs/rules.md. */
export function anchorOf(name: string): string {
  return `keyword-${name}`;
}
