/** A growing set of small numbers (VMs that hold a content), one bit each. */
export class VmSet {
  #words = new Uint32Array(1);

  add(vm: number): void {
    const word = vm >>> 5;
    if (word >= this.#words.length) {
      const grown = new Uint32Array(Math.max(word + 1, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[word]! |= 1 << (vm & 31);
  }

  delete(vm: number): void {
    const word = vm >>> 5;
    if (word < this.#words.length) this.#words[word]! &= ~(1 << (vm & 31));
  }

  has(vm: number): boolean {
    const word = this.#words[vm >>> 5];
    return word !== undefined && (word & (1 << (vm & 31))) !== 0;
  }

  /** Ascending. */
  members(): number[] {
    const found: number[] = [];
    this.#words.forEach((word, i) => {
      for (let bits = word; bits !== 0; bits &= bits - 1) found.push(i * 32 + (31 - Math.clz32(bits & -bits)));
    });
    return found;
  }
}
