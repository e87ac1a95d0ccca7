/** Turns rules into the hash tables of tuple-space.ts: which fields of a rule become its key, and under how many keys it is filed. */
import { prefixMask } from '../packet/index.js';
import { fmix32, mix32 } from '../util/index.js';
import { HashFilter } from './hash-filter.js';
import type { LabelEntry } from './label-table.js';
import type { EndMatch, FirewallRule } from './model.js';

/** No rule matched. */
export const NO_RANK = 0x7fffffff;

/** Which packets a TupleSpace is for: IPv4, IPv6, or frames without IP header. */
export type Family = 4 | 6 | 0;

/** Prefix lengths that are looked up; a rule's prefix is filed under the longest that is not longer. */
export const CLASSES_4: readonly number[] = [32, 28, 24, 20, 16, 12, 8, 4];
export const CLASSES_6: readonly number[] = [128, 112, 96, 80, 64, 56, 48, 32];
const CLASSES: Readonly<Record<Family, readonly number[]>> = { 4: CLASSES_4, 6: CLASSES_6, 0: [] };
/** Keys one rule may be filed under; fields that would need more are left to the exact test. */
const MAX_KEYS = 64;
/** As MAX_KEYS when a single address field is all that selects the rule. */
const MAX_LONE_KEYS = 4096;
/** Most values of one port field that are filed one by one. */
const MAX_PORTS = 16;

/** Bits of a tuple's `need`: fields 0-7 and 8-15 are the prefix classes of source and destination. */
export const NEED_DST = 8;
export const NEED_SPORT = 1 << 16;
export const NEED_DPORT = 1 << 17;
export const NEED_PROTO = 1 << 18;
export const NEED_SMAC = 1 << 19;
export const NEED_DMAC = 1 << 20;

export const ENTRY_STRIDE = 8;
export const ENTRY_HEAD = 6;

/** One hash table. `head` of an entry is the first cell of its rule list in `chain`, plus 1; 0 = empty. */
export interface Tuple {
  readonly need: number;
  /** Prefix class of source and destination, -1 = any. */
  readonly src: number;
  readonly dst: number;
  readonly best: number;
  readonly filter: HashFilter;
  readonly cells: Int32Array;
}

/** Hash of the six cells of a key. */
export function hashKey(k0: number, k1: number, k2: number, k3: number, k4: number, k5: number): number {
  return fmix32(mix32(mix32(mix32(mix32(0, k0), k1), k2), k3 ^ (k4 << 8) ^ (k5 << 16)));
}

/** Gives each distinct value of one field a number. */
class Labels {
  readonly #known = new Map<string, { words: readonly number[]; label: number }>();

  of(words: readonly number[]): number {
    const name = words.join();
    let entry = this.#known.get(name);
    if (entry === undefined) this.#known.set(name, (entry = { words, label: this.#known.size + 1 }));
    return entry.label;
  }

  get size(): number {
    return this.#known.size;
  }

  entries(): LabelEntry[] {
    return [...this.#known.values()];
  }
}

/** Labels of prefixes, by class. */
export class PrefixLabels {
  readonly #byClass: readonly Labels[] = CLASSES_4.map(() => new Labels());

  of(prefixClass: number, words: readonly number[]): number {
    return this.#byClass[prefixClass]!.of(words);
  }

  /** A table per class in use, null for the others. */
  tables<T>(make: (entries: readonly LabelEntry[]) => T): (T | null)[] {
    const tables = this.#byClass.map((labels) => (labels.size === 0 ? null : make(labels.entries())));
    return tables.slice(0, tables.findLastIndex((t) => t !== null) + 1);
  }
}

/** One value of a field as part of a key: what it needs of the packet, and its label. */
interface Part {
  readonly need: number;
  readonly cell: number;
  readonly value: number;
}

const ANY: readonly Part[] = [];

export class TupleBuilder {
  readonly srcLabels = new PrefixLabels();
  readonly dstLabels = new PrefixLabels();
  readonly smacLabels = new Labels();
  readonly dmacLabels = new Labels();
  readonly #family: Family;
  /** need -> key cells as text -> ranks. */
  readonly #tables = new Map<number, Map<string, { cells: Int32Array; ranks: number[] }>>();

  constructor(family: Family) {
    this.#family = family;
  }

  get usesMacs(): boolean {
    return this.smacLabels.size + this.dmacLabels.size > 0;
  }

  add(rule: FirewallRule, rank: number): void {
    if (!this.#possible(rule)) return;
    const fields: (readonly Part[])[] = [];
    let keys = 1;
    // Most selective fields first: they get the keys that are to be had.
    const take = (parts: readonly Part[], limit: number): void => {
      if (parts.length === 0 || keys * parts.length > limit) return;
      keys *= parts.length;
      fields.push(parts);
    };
    const dst = this.#addressParts(rule.destination, this.dstLabels, NEED_DST, 1);
    const src = this.#addressParts(rule.source, this.srcLabels, 0, 0);
    take(dst.length <= src.length ? dst : src, MAX_KEYS);
    take(dst.length <= src.length ? src : dst, MAX_KEYS);
    take(portParts(rule.destination, NEED_DPORT, 0), MAX_KEYS);
    take(portParts(rule.source, NEED_SPORT, 16), MAX_KEYS);
    take(this.#macParts(rule.source, this.smacLabels, NEED_SMAC, 4), MAX_KEYS);
    take(this.#macParts(rule.destination, this.dmacLabels, NEED_DMAC, 5), MAX_KEYS);
    if (fields.length === 0) take(dst.length > 0 ? dst : src, MAX_LONE_KEYS);
    take(this.#protocolParts(rule), MAX_LONE_KEYS);
    this.#expand(fields, 0, 0, new Int32Array(6), rank);
  }

  tuples(): { tuples: Tuple[]; chain: Int32Array } {
    const chain: number[] = [];
    const tuples: Tuple[] = [];
    for (const [need, entries] of this.#tables) {
      let rows = 4;
      while (rows < entries.size * 2) rows *= 2;
      const cells = new Int32Array(rows * ENTRY_STRIDE);
      const filter = new HashFilter(entries.size);
      let best = NO_RANK;
      for (const { cells: k, ranks } of entries.values()) {
        best = Math.min(best, ranks[0]!);
        const hash = hashKey(k[0]!, k[1]!, k[2]!, k[3]!, k[4]!, k[5]!);
        filter.add(hash);
        let at = (hash & (rows - 1)) * ENTRY_STRIDE;
        while (cells[at + ENTRY_HEAD] !== 0) at = (at + ENTRY_STRIDE) % cells.length;
        cells.set(k, at);
        cells[at + ENTRY_HEAD] = chain.length + 1;
        for (const rank of ranks) chain.push(rank);
        chain.push(-1);
      }
      tuples.push({ need, src: classOf(need), dst: classOf(need >> NEED_DST), best, filter, cells });
    }
    return { tuples: tuples.sort((a, b) => a.best - b.best), chain: Int32Array.from(chain) };
  }

  /** False when no packet of the family can match the rule. */
  #possible(rule: FirewallRule): boolean {
    const { frame, source, destination } = rule;
    if (this.#family === 0) {
      const needsIp = rule.protocol ?? rule.tcpFlags ?? rule.icmp ?? source.address ?? destination.address ?? source.port ?? destination.port;
      return needsIp === null;
    }
    const version = this.#family;
    if (frame !== null && frame.set.has(version === 4 ? 0x0800 : 0x86dd) === frame.not) return false;
    return [source.address, destination.address].every((a) => a === null || a.not || a.set.hasVersion(version));
  }

  #addressParts(end: EndMatch, labels: PrefixLabels, needShift: number, cell: number): readonly Part[] {
    if (this.#family === 0 || end.address === null || end.address.not) return ANY;
    const prefixes = end.address.set.prefixes(this.#family, MAX_LONE_KEYS);
    if (prefixes === null) return ANY;
    const classes = CLASSES[this.#family];
    const parts = new Map<string, Part>();
    for (const prefix of prefixes) {
      const c = classes.findIndex((length) => length <= prefix.length);
      // Shorter than the shortest class: as good as any.
      if (c < 0) return ANY;
      const words = prefix.words.map((word, i) => word & prefixMask(classes[c]! - i * 32));
      const value = labels.of(c, words);
      parts.set(`${c}:${value}`, { need: 1 << (c + needShift), cell, value });
    }
    return [...parts.values()];
  }

  #macParts(end: EndMatch, labels: Labels, need: number, cell: number): readonly Part[] {
    if (end.mac === null || end.mac.not || end.mac.set.size > MAX_KEYS) return ANY;
    return end.mac.set.macs().map((mac) => ({ need, cell, value: labels.of([mac.hi, mac.lo]) }));
  }

  #protocolParts(rule: FirewallRule): readonly Part[] {
    const match = this.#family === 0 ? rule.frame : rule.protocol;
    if (match === null || match.not || match.set.size > MAX_PORTS) return ANY;
    return match.set.values().map((value) => ({ need: NEED_PROTO, cell: 3, value }));
  }

  #expand(fields: readonly (readonly Part[])[], at: number, need: number, cells: Int32Array, rank: number): void {
    if (at === fields.length) {
      this.#insert(need, cells, rank);
      return;
    }
    for (const part of fields[at]!) {
      const before = cells[part.cell]!;
      cells[part.cell] = before | part.value;
      this.#expand(fields, at + 1, need | part.need, cells, rank);
      cells[part.cell] = before;
    }
  }

  #insert(need: number, cells: Int32Array, rank: number): void {
    let table = this.#tables.get(need);
    if (table === undefined) this.#tables.set(need, (table = new Map()));
    const name = cells.join();
    const entry = table.get(name);
    if (entry === undefined) table.set(name, { cells: cells.slice(), ranks: [rank] });
    else entry.ranks.push(rank);
  }
}

/** Ports are shifted into one cell: source in the upper half. */
function portParts(end: EndMatch, need: number, shift: number): readonly Part[] {
  if (end.port === null || end.port.not || end.port.set.size > MAX_PORTS) return ANY;
  return end.port.set.values().map((value) => ({ need, cell: 2, value: value << shift }));
}

/** Lowest prefix-class bit of a tuple's need, -1 = none. */
function classOf(need: number): number {
  const bits = need & 0xff;
  return bits === 0 ? -1 : 31 - Math.clz32(bits & -bits);
}
