/**
 * Sets of IPv4 and IPv6 addresses as sorted disjoint ranges. Built from configuration with BigInt arithmetic, looked up
 * by the words of a packet without allocation.
 */
import type { IpAddress } from '../packet/index.js';

export interface AddressRange {
  readonly version: 4 | 6;
  /** First and last address, inclusive. */
  readonly low: bigint;
  readonly high: bigint;
}

/** A network that is part of a set: the words have no bits beyond the prefix length. */
export interface Prefix {
  readonly version: 4 | 6;
  readonly words: readonly number[];
  readonly length: number;
}

export class AddressSet {
  /** Merged ranges, IPv4 first, ascending. */
  readonly ranges: readonly AddressRange[];
  readonly #v4: Uint32Array;
  readonly #v6: Uint32Array;

  constructor(ranges: readonly AddressRange[]) {
    const v4 = mergeRanges(ranges.filter((r) => r.version === 4));
    const v6 = mergeRanges(ranges.filter((r) => r.version === 6));
    this.ranges = [...v4, ...v6];
    this.#v4 = Uint32Array.from(v4.flatMap((r) => [Number(r.low), Number(r.high)]));
    this.#v6 = Uint32Array.from(v6.flatMap((r) => [...unsignedWords(r.low), ...unsignedWords(r.high)]));
  }

  /** Is the IPv4 address (signed int32 word) in the set? */
  has4(word: number): boolean {
    const value = word >>> 0;
    const r = this.#v4;
    let low = 0;
    let high = r.length >> 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (r[mid * 2 + 1]! < value) low = mid + 1;
      else high = mid;
    }
    return low * 2 < r.length && r[low * 2]! <= value;
  }

  /** Is the IPv6 address (four signed int32 words) in the set? */
  has6(w0: number, w1: number, w2: number, w3: number): boolean {
    const r = this.#v6;
    let low = 0;
    let high = r.length >> 3;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (compare6(r, mid * 8 + 4, w0, w1, w2, w3) < 0) low = mid + 1;
      else high = mid;
    }
    return low * 8 < r.length && compare6(r, low * 8, w0, w1, w2, w3) <= 0;
  }

  /** True when the set holds addresses of this IP version. */
  hasVersion(version: 4 | 6): boolean {
    return (version === 4 ? this.#v4.length : this.#v6.length) > 0;
  }

  covers(other: AddressSet): boolean {
    return other.ranges.every((o) => this.ranges.some((r) => r.version === o.version && r.low <= o.low && o.high <= r.high));
  }

  intersects(other: AddressSet): boolean {
    return other.ranges.some((o) => this.ranges.some((r) => r.version === o.version && r.low <= o.high && o.low <= r.high));
  }

  /** The complement within both address families. */
  invert(): AddressSet {
    const out: AddressRange[] = [];
    for (const version of [4, 6] as const) {
      let next = 0n;
      for (const r of this.ranges) {
        if (r.version !== version) continue;
        if (r.low > next) out.push({ version, low: next, high: r.low - 1n });
        next = r.high + 1n;
      }
      if (next <= lastAddress(version)) out.push({ version, low: next, high: lastAddress(version) });
    }
    return new AddressSet(out);
  }

  /**
   * The set as networks of one version, at most `limit` of them.
   * @returns null when more are needed
   */
  prefixes(version: 4 | 6, limit: number): Prefix[] | null {
    const bits = version === 4 ? 32n : 128n;
    const out: Prefix[] = [];
    for (const r of this.ranges) {
      if (r.version !== version) continue;
      let low = r.low;
      while (low <= r.high) {
        // The largest aligned block that starts at `low` and ends inside the range.
        let size = 0n;
        while (size < bits && (low & ((1n << (size + 1n)) - 1n)) === 0n && low + (1n << (size + 1n)) - 1n <= r.high) size++;
        if (out.length === limit) return null;
        out.push({ version, words: wordsOf(version, low), length: Number(bits - size) });
        low += 1n << size;
      }
    }
    return out;
  }
}

/** Address as an unsigned integer. */
export function addressValue(address: IpAddress): bigint {
  return address.words.reduce((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
}

/** Highest address of a family. */
export function lastAddress(version: 4 | 6): bigint {
  return (1n << (version === 4 ? 32n : 128n)) - 1n;
}

function wordsOf(version: 4 | 6, value: bigint): number[] {
  return version === 4 ? [Number(value) | 0] : unsignedWords(value).map((w) => w | 0);
}

function unsignedWords(value: bigint): number[] {
  return [96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffffffffn));
}

function mergeRanges(ranges: readonly AddressRange[]): AddressRange[] {
  const sorted = ranges.toSorted((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
  const out: AddressRange[] = [];
  for (const r of sorted) {
    const last = out.at(-1);
    if (last !== undefined && r.low <= last.high + 1n) {
      if (r.high > last.high) out[out.length - 1] = { ...last, high: r.high };
    } else out.push(r);
  }
  return out;
}

/** Order of the stored address at `at` against the given words. */
function compare6(r: Uint32Array, at: number, w0: number, w1: number, w2: number, w3: number): number {
  return r[at]! - (w0 >>> 0) || r[at + 1]! - (w1 >>> 0) || r[at + 2]! - (w2 >>> 0) || r[at + 3]! - (w3 >>> 0);
}
