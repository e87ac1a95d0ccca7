/** Set of MAC addresses; kept small and sorted, looked up by binary search over the 48-bit value. */
import type { MacAddress } from '../packet/index.js';

export class MacSet {
  /** 48-bit values as doubles (exact below 2^53), ascending, distinct. */
  readonly #values: Float64Array;

  constructor(macs: readonly MacAddress[]) {
    this.#values = Float64Array.from(new Set(macs.map((m) => macValue(m.hi, m.lo)))).sort();
  }

  has(hi: number, lo: number): boolean {
    const want = macValue(hi, lo);
    const v = this.#values;
    let low = 0;
    let high = v.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (v[mid]! < want) low = mid + 1;
      else high = mid;
    }
    return low < v.length && v[low] === want;
  }

  get size(): number {
    return this.#values.length;
  }

  /** Members as `hi, lo` words. */
  macs(): MacAddress[] {
    return [...this.#values].map((v) => ({ hi: Math.floor(v / 2 ** 32), lo: v | 0 }));
  }

  covers(other: MacSet): boolean {
    return other.macs().every((m) => this.has(m.hi, m.lo));
  }

  intersects(other: MacSet): boolean {
    return other.macs().some((m) => this.has(m.hi, m.lo));
  }
}

function macValue(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** 32 + (lo >>> 0);
}
