/** Sets of small integers (ports, protocols, EtherTypes, ICMP types) as sorted disjoint ranges. */
export class NumberSet {
  /** [low, high] pairs, ascending, disjoint and not adjacent. */
  readonly #ranges: Int32Array;

  /** @param ranges inclusive [low, high] pairs in any order, may overlap */
  constructor(ranges: readonly (readonly [number, number])[]) {
    const sorted = ranges.toSorted((a, b) => a[0] - b[0]);
    const flat: number[] = [];
    for (const [low, high] of sorted) {
      const last = flat.length - 1;
      if (last > 0 && low <= flat[last]! + 1) flat[last] = Math.max(flat[last]!, high);
      else flat.push(low, high);
    }
    this.#ranges = Int32Array.from(flat);
  }

  static of(...values: readonly number[]): NumberSet {
    return new NumberSet(values.map((v) => [v, v] as const));
  }

  has(value: number): boolean {
    const r = this.#ranges;
    let low = 0;
    let high = r.length >> 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (r[mid * 2 + 1]! < value) low = mid + 1;
      else high = mid;
    }
    return low * 2 < r.length && r[low * 2]! <= value;
  }

  /** How many numbers are in the set. */
  get size(): number {
    let n = 0;
    for (let i = 0; i < this.#ranges.length; i += 2) n += this.#ranges[i + 1]! - this.#ranges[i]! + 1;
    return n;
  }

  /** All members, ascending. Meant for small sets. */
  values(): number[] {
    const out: number[] = [];
    for (const [low, high] of this.ranges()) for (let v = low; v <= high; v++) out.push(v);
    return out;
  }

  /** Inclusive ranges, ascending. */
  ranges(): [number, number][] {
    const out: [number, number][] = [];
    for (let i = 0; i < this.#ranges.length; i += 2) out.push([this.#ranges[i]!, this.#ranges[i + 1]!]);
    return out;
  }

  /** True when every member of `other` is a member of this set. */
  covers(other: NumberSet): boolean {
    const mine = this.ranges();
    return other.ranges().every(([low, high]) => mine.some((r) => r[0] <= low && high <= r[1]));
  }

  intersects(other: NumberSet): boolean {
    const mine = this.ranges();
    return other.ranges().some(([low, high]) => mine.some((r) => r[0] <= high && low <= r[1]));
  }
}
