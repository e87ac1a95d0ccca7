/** Regular expressions on names, tags and messages: short texts of rules and requests, never bodies. */
import { PCRE_CASELESS, PCRE_DOLLAR_ENDONLY, PCRE_DOTALL, Pcre } from '@drawbridge/native';
import { toScratch, type ByteString } from './value.js';

const ovector = new Int32Array(2);

export class NamePattern {
  readonly text: string;
  readonly #regex: Pcre;

  /** @throws Error with the compiler's message */
  constructor(text: string, caseless: boolean) {
    this.text = text;
    this.#regex = new Pcre(text, PCRE_DOTALL | PCRE_DOLLAR_ENDONLY | (caseless ? PCRE_CASELESS : 0));
  }

  test(name: ByteString): boolean {
    return this.#regex.exec(toScratch(name), 0, name.length, 0, ovector) > 0;
  }
}
