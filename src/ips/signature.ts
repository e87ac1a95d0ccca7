/**
 * What an alert says about its rule. Metadata and references are kept as text and taken apart when the first alert asks:
 * most of tens of thousands of rules never alert.
 */
import { metadataOf, referencesOf, type Rule } from 'snort-rule-parser';
import type { SignatureInfo } from '../pipeline/index.js';
import { DEFAULT_PRIORITY, type Classification } from './classification.js';

type OptionLike = { readonly name: string; readonly value: string | null };

/** A copy that does not keep the text of the whole rule file alive, as a slice of it would. */
function detached(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

export class Signature implements SignatureInfo {
  readonly gid: number;
  readonly sid: number;
  readonly rev: number;
  readonly msg: string;
  readonly category: string;
  readonly severity: number;
  readonly #options: readonly OptionLike[];
  #metadata: Readonly<Record<string, readonly string[]>> | null = null;
  #references: readonly string[] | null = null;

  constructor(rule: Rule, classification: Classification | undefined) {
    this.gid = rule.gid;
    this.sid = rule.sid;
    this.rev = rule.rev;
    this.msg = detached(rule.msg);
    this.category = classification?.text ?? '';
    this.severity = rule.priority ?? classification?.priority ?? DEFAULT_PRIORITY;
    this.#options = rule.options
      .filter(({ name }) => name === 'metadata' || name === 'reference')
      .map(({ name, value }) => ({ name, value: value === null ? null : detached(value) }));
  }

  get metadata(): Readonly<Record<string, readonly string[]>> {
    return (this.#metadata ??= this.readMetadata());
  }

  /** The same for whoever looks at all rules once: nothing is kept. */
  readMetadata(): Readonly<Record<string, readonly string[]>> {
    const all: Record<string, string[]> = {};
    for (const { key, value } of metadataOf({ options: this.#options })) (all[key] ??= []).push(value);
    return all;
  }

  get references(): readonly string[] {
    return (this.#references ??= referencesOf({ options: this.#options }).map(({ type, id }) => `${type},${id}`));
  }
}
