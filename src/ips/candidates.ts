/** A set of rule indexes that is filled, put in order and walked for each packet; nothing is allocated after construction. */

export class Candidates {
  readonly ids: Int32Array;
  count = 0;
  /** Round in which a rule was added last. */
  readonly #stamps: Uint32Array;
  #round = 1;

  constructor(rules: number) {
    this.ids = new Int32Array(rules);
    this.#stamps = new Uint32Array(rules);
  }

  clear(): void {
    this.count = 0;
    if (this.#round === 0xffff_ffff) {
      this.#stamps.fill(0);
      this.#round = 0;
    }
    this.#round++;
  }

  add(rule: number): void {
    if (this.#stamps[rule] === this.#round) return;
    this.#stamps[rule] = this.#round;
    this.ids[this.count++] = rule;
  }

  addAll(rules: Int32Array): void {
    for (let i = 0; i < rules.length; i++) this.add(rules[i]!);
  }

  /** Ascending order: the order rules are judged in. Shell sort, in place. */
  sort(): void {
    const { ids, count } = this;
    let gap = 1;
    while (gap < count / 3) gap = gap * 3 + 1;
    for (; gap > 0; gap = (gap / 3) | 0) {
      for (let i = gap; i < count; i++) {
        const id = ids[i]!;
        let j = i;
        for (; j >= gap && ids[j - gap]! > id; j -= gap) ids[j] = ids[j - gap]!;
        ids[j] = id;
      }
    }
  }
}
