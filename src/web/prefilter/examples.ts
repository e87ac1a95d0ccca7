/**
 * Texts that an expression matches, made from its tree: to try a compiled database on. Vectorscan 5.4.9 is known to miss some
 * matches whose parts lie far apart, depending on expression and processor; what it misses here is left to PCRE2.
 */
import type { ByteSet } from './byte-set.js';
import type { Node } from './regex-tree.js';

/** Repetitions beyond the least number: within and across the blocks of 16, 32 and 64 bytes that searches work in. */
const REPETITIONS = [0, 1, 3, 19, 40, 75] as const;
/** Longest example, bytes. */
const MAX_LENGTH = 2000;

export class ExampleMaker {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2 + 1) | 0;
  }

  /** Bytes around the example come from `filler`. @returns null when the example would be too long */
  make(node: Node, filler: ByteSet): string | null {
    const before = this.#run(filler, this.#below(2) * this.#below(70));
    const text = this.#text(node);
    const example = before + text + this.#run(filler, this.#below(2) * this.#below(70));
    return example.length > MAX_LENGTH ? null : example;
  }

  #text(node: Node): string {
    switch (node.kind) {
      case 'set':
        return this.#byte(node.set);
      case 'sequence':
        return node.parts.map((part) => this.#text(part)).join('');
      case 'alternatives':
        return this.#text(node.branches[this.#below(node.branches.length)]!);
      case 'repeat': {
        const count = Math.min(node.max, node.min + REPETITIONS[this.#below(REPETITIONS.length)]!);
        let text = '';
        for (let i = 0; i < count && text.length <= MAX_LENGTH; i++) text += this.#text(node.part);
        return text;
      }
      default:
        return '';
    }
  }

  #run(set: ByteSet, length: number): string {
    return Array.from({ length }, () => this.#byte(set)).join('');
  }

  #byte(set: ByteSet): string {
    const members = set.members;
    return String.fromCharCode(members[this.#below(members.length)]!);
  }

  /** xorshift32 */
  #below(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % n;
  }
}
