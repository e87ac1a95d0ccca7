/** Regular expressions on names, tags and messages: short texts of rules and requests, never bodies. */
import { PCRE_CASELESS, PCRE_DOLLAR_ENDONLY, PCRE_DOTALL, Pcre } from '@drawbridge/native';
import { detached, toScratch, type ByteString } from './value.js';

const ovector = new Int32Array(2);

/** Answers kept per pattern: the same names come again and again. */
const KEPT = 2048;
/** Longer names are not kept. */
const KEPT_LENGTH = 64;

export class NamePattern {
  readonly text: string;
  readonly #regex: Pcre;
  readonly #known = new Map<ByteString, boolean>();

  /** @throws Error with the compiler's message */
  constructor(text: string, caseless: boolean) {
    this.text = text;
    this.#regex = new Pcre(text, PCRE_DOTALL | PCRE_DOLLAR_ENDONLY | (caseless ? PCRE_CASELESS : 0));
  }

  test(name: ByteString): boolean {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const matches = this.#regex.exec(toScratch(name), 0, name.length, 0, ovector) > 0;
    if (name.length <= KEPT_LENGTH) {
      if (this.#known.size >= KEPT) this.#known.clear();
      this.#known.set(detached(name), matches);
    }
    return matches;
  }
}
