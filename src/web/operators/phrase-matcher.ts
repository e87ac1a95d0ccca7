/**
 * Many phrases at once in one pass (Aho and Corasick, 1975), ASCII letters without case. The automaton is built when it is
 * first asked: most lists are never reached, since the prefilter has answered for them.
 */
import { lowerAscii, type ByteString } from '../value.js';

/** Slots of the transition table per used one. */
const SPARENESS = 2;
const NONE = -1;
/** Odd multiplier that spreads keys over the upper bits. */
const HASH = 0x9e3779b1;

export class PhraseMatcher {
  readonly #phrases: readonly ByteString[];
  #built = false;
  /** Hash table of transitions: key = state << 8 | byte, value = next state. */
  #keys = new Int32Array(0);
  #targets = new Int32Array(0);
  #mask = 0;
  #fail = new Int32Array(0);
  /** Phrase that ends in a state, the longest one; NONE when none does. */
  #output = new Int32Array(0);

  constructor(phrases: readonly ByteString[]) {
    this.#phrases = phrases;
  }

  /** @returns the first phrase to end in `value` as it stands in the list, null when none occurs */
  find(value: ByteString): ByteString | null {
    if (!this.#built) this.#build();
    const text = lowerAscii(value);
    let state = 0;
    for (let i = 0; i < text.length; i++) {
      const byte = text.charCodeAt(i);
      let next = this.#step(state, byte);
      while (next === NONE && state !== 0) {
        state = this.#fail[state]!;
        next = this.#step(state, byte);
      }
      state = next === NONE ? 0 : next;
      const found = this.#output[state]!;
      if (found !== NONE) return this.#phrases[found]!;
    }
    return null;
  }

  #step(state: number, byte: number): number {
    const key = (state << 8) | byte;
    let slot = (Math.imul(key, HASH) >>> 7) & this.#mask;
    for (;;) {
      const held = this.#keys[slot]!;
      if (held === key) return this.#targets[slot]!;
      if (held === NONE) return NONE;
      slot = (slot + 1) & this.#mask;
    }
  }

  #add(state: number, byte: number, target: number): void {
    const key = (state << 8) | byte;
    let slot = (Math.imul(key, HASH) >>> 7) & this.#mask;
    while (this.#keys[slot] !== NONE) slot = (slot + 1) & this.#mask;
    this.#keys[slot] = key;
    this.#targets[slot] = target;
  }

  #build(): void {
    this.#built = true;
    const most = this.#phrases.reduce((sum, phrase) => sum + phrase.length, 1);
    let size = 64;
    while (size < SPARENESS * most) size *= 2;
    this.#mask = size - 1;
    this.#keys = new Int32Array(size).fill(NONE);
    this.#targets = new Int32Array(size);
    this.#fail = new Int32Array(most);
    this.#output = new Int32Array(most).fill(NONE);
    const parents = new Int32Array(most);
    const bytes = new Uint8Array(most);
    const depths = new Int32Array(most);
    let states = 1;
    this.#phrases.forEach((phrase, index) => {
      let state = 0;
      for (const c of lowerAscii(phrase)) {
        const byte = c.charCodeAt(0);
        let next = this.#step(state, byte);
        if (next === NONE) {
          next = states++;
          parents[next] = state;
          bytes[next] = byte;
          depths[next] = depths[state]! + 1;
          this.#add(state, byte, next);
        }
        state = next;
      }
      if (phrase !== '' && this.#output[state] === NONE) this.#output[state] = index;
    });
    // failure links need those of all shorter states
    const byDepth = Int32Array.from({ length: states - 1 }, (_, i) => i + 1).sort((a, b) => depths[a]! - depths[b]!);
    for (const state of byDepth) {
      const parent = parents[state]!;
      let link = parent === 0 ? 0 : this.#fail[parent]!;
      let next = parent === 0 ? NONE : this.#step(link, bytes[state]!);
      while (next === NONE && link !== 0) {
        link = this.#fail[link]!;
        next = this.#step(link, bytes[state]!);
      }
      this.#fail[state] = next === NONE ? 0 : next;
      if (this.#output[state] === NONE) this.#output[state] = this.#output[this.#fail[state]!]!;
    }
  }
}
