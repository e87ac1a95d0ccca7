/** Immutable hash table from four int32 words to a small positive label; 0 = not in the table. */
import { fmix32, mix32 } from '../util/index.js';

const STRIDE = 5;

export class LabelTable {
  readonly #cells: Int32Array;
  readonly #mask: number;

  /** @param labels key words to label (> 0), no key twice */
  constructor(labels: readonly { readonly words: readonly number[]; readonly label: number }[]) {
    let rows = 8;
    while (rows < labels.length * 2) rows *= 2;
    this.#mask = rows - 1;
    this.#cells = new Int32Array(rows * STRIDE);
    for (const { words, label } of labels) {
      let row = hashWords(words[0]!, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0) & this.#mask;
      while (this.#cells[row * STRIDE + 4] !== 0) row = (row + 1) & this.#mask;
      this.#cells.set([words[0]!, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0, label], row * STRIDE);
    }
  }

  get(w0: number, w1: number, w2: number, w3: number): number {
    const cells = this.#cells;
    let at = (hashWords(w0, w1, w2, w3) & this.#mask) * STRIDE;
    for (;;) {
      const label = cells[at + 4]!;
      if (label === 0 || (cells[at] === w0 && cells[at + 1] === w1 && cells[at + 2] === w2 && cells[at + 3] === w3)) return label;
      at += STRIDE;
      if (at === cells.length) at = 0;
    }
  }
}

function hashWords(w0: number, w1: number, w2: number, w3: number): number {
  return fmix32(mix32(mix32(mix32(mix32(0, w0), w1), w2), w3));
}
