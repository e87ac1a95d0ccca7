/** Typed views of option values. They are computed on demand: a loaded rule file keeps the text only. */
import type { MetadataEntry, Reference, RuleOption } from './ast.js';
import { decodeContent, openingQuote, splitQuoted, type ContentPayload } from './content.js';
import { trimmed } from './lexer.js';
import { splitList, unquote } from './options.js';
import { decodePcre, type PcrePayload } from './pcre.js';

/** A keyword without value. */
export interface FlagPayload {
  readonly kind: 'flag';
}

/** `"text"`, perhaps negated, perhaps followed by a comma list. */
export interface TextPayload {
  readonly kind: 'text';
  readonly negated: boolean;
  /** Without quotes, escapes resolved. */
  readonly text: string;
  /** What follows the quotes. */
  readonly items: readonly string[];
}

/** Anything else: a comma list of one item or more, perhaps with a `!` before it. */
export interface ListPayload {
  readonly kind: 'list';
  readonly negated: boolean;
  readonly items: readonly string[];
}

export type OptionPayload = FlagPayload | ContentPayload | PcrePayload | TextPayload | ListPayload;

const CONTENT_KEYWORDS: ReadonlySet<string> = new Set(['content', 'uricontent']);

type NameAndValue = Pick<RuleOption, 'name' | 'value'>;

/** The value of a parsed option by its shape: which keyword it is matters for `content` and `pcre` only. */
export function payloadOf(option: NameAndValue): OptionPayload {
  const { value } = option;
  if (value === null) return { kind: 'flag' };
  const name = option.name.toLowerCase();
  if (CONTENT_KEYWORDS.has(name)) {
    const content = decodeContent(value);
    if (content.kind === 'content') return content;
  } else if (name === 'pcre') {
    const pcre = decodePcre(value);
    if (pcre.kind === 'pcre') return pcre;
  }
  if (openingQuote(value) >= 0) {
    const parts = splitQuoted(value);
    if (!('kind' in parts)) {
      const rest = trimmed(value, parts.end + 1);
      return {
        kind: 'text', negated: parts.negated, text: unquote(value), items: rest === '' ? [] : splitList(rest.slice(1)),
      };
    }
  }
  const negated = value.startsWith('!');
  return { kind: 'list', negated, items: splitList(negated ? value.slice(1) : value) };
}

/** All `reference` options in order. */
export function referencesOf(rule: { readonly options: readonly NameAndValue[] }): Reference[] {
  const references: Reference[] = [];
  for (const { name, value } of rule.options) {
    if (value === null || name.toLowerCase() !== 'reference') continue;
    const comma = value.indexOf(',');
    if (comma < 0) continue;
    references.push({ type: trimmed(value, 0, comma), id: trimmed(value, comma + 1) });
  }
  return references;
}

/** All `metadata` entries in order; keys may repeat. */
export function metadataOf(rule: { readonly options: readonly NameAndValue[] }): MetadataEntry[] {
  const entries: MetadataEntry[] = [];
  for (const { name, value } of rule.options) {
    if (value === null || name.toLowerCase() !== 'metadata') continue;
    for (const item of splitList(value)) {
      if (item === '') continue;
      const gap = item.search(/[ \t]/);
      entries.push(gap < 0 ? { key: item, value: '' } : { key: item.slice(0, gap), value: trimmed(item, gap) });
    }
  }
  return entries;
}
