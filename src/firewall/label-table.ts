/** Immutable hash tables from address words to a small positive label; 0 = not in the table. */
import { fmix32, mix32 } from '../util/index.js';
import { HashFilter } from './hash-filter.js';

export interface LabelEntry {
  readonly words: readonly number[];
  readonly label: number;
}

/** Rows of a table that is at most half full. */
function tableRows(entries: number): number {
  let rows = 8;
  while (rows < entries * 2) rows *= 2;
  return rows;
}

/** One key word: IPv4 prefixes. */
export class WordLabels {
  readonly #filter: HashFilter;
  readonly #cells: Int32Array;
  readonly #mask: number;

  /** @param entries labels > 0, no key twice */
  constructor(entries: readonly LabelEntry[]) {
    const rows = tableRows(entries.length);
    this.#mask = rows - 1;
    this.#cells = new Int32Array(rows * 2);
    this.#filter = new HashFilter(entries.length);
    for (const { words, label } of entries) {
      const hash = fmix32(words[0]!);
      this.#filter.add(hash);
      let row = hash & this.#mask;
      while (this.#cells[row * 2 + 1] !== 0) row = (row + 1) & this.#mask;
      this.#cells[row * 2] = words[0]!;
      this.#cells[row * 2 + 1] = label;
    }
  }

  get(word: number): number {
    const hash = fmix32(word);
    if (!this.#filter.mayHave(hash)) return 0;
    const cells = this.#cells;
    let row = hash & this.#mask;
    for (;;) {
      const label = cells[row * 2 + 1];
      if (label === 0 || cells[row * 2] === word) return label;
      row = (row + 1) & this.#mask;
    }
  }
}

const STRIDE = 8;

/** Four key words: IPv6 prefixes; MACs use two. */
export class QuadLabels {
  readonly #filter: HashFilter;
  readonly #cells: Int32Array;
  readonly #mask: number;

  /** @param entries labels > 0, no key twice; missing words are 0 */
  constructor(entries: readonly LabelEntry[]) {
    const rows = tableRows(entries.length);
    this.#mask = rows - 1;
    this.#cells = new Int32Array(rows * STRIDE);
    this.#filter = new HashFilter(entries.length);
    for (const { words, label } of entries) {
      const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = words;
      const hash = hashWords(w0, w1, w2, w3);
      this.#filter.add(hash);
      let row = hash & this.#mask;
      while (this.#cells[row * STRIDE + 4] !== 0) row = (row + 1) & this.#mask;
      this.#cells.set([w0, w1, w2, w3, label], row * STRIDE);
    }
  }

  get(w0: number, w1: number, w2: number, w3: number): number {
    const hash = hashWords(w0, w1, w2, w3);
    if (!this.#filter.mayHave(hash)) return 0;
    const cells = this.#cells;
    let row = hash & this.#mask;
    for (;;) {
      const at = row * STRIDE;
      const label = cells[at + 4];
      if (label === 0 || (cells[at] === w0 && cells[at + 1] === w1 && cells[at + 2] === w2 && cells[at + 3] === w3)) return label;
      row = (row + 1) & this.#mask;
    }
  }
}

function hashWords(w0: number, w1: number, w2: number, w3: number): number {
  return fmix32(mix32(mix32(mix32(mix32(0, w0), w1), w2), w3));
}
