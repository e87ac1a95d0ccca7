/**
 * Tuple-space search (Srinivasan, Suri, Varghese 1999) over labels. A tuple is a combination of fields that some rules fix
 * exactly (source prefix class, destination prefix class, ports, protocol, MACs); all rules of one tuple sit in one hash
 * table. A lookup first turns each field of the packet into the label of the rule value it equals, which also tells which
 * tuples cannot match; the others are probed in order of their best rule until none can beat the best match found.
 *
 * The key of a rule only selects candidates: prefix lengths are rounded down to a class, ranges and inverted fields are left
 * out. The exact test is ruleMatches, so rounding costs time, never correctness.
 */
import { fmix32, mix32 } from '../util/index.js';
import { prefixMask } from '../packet/index.js';
import { FLAT_MAYBE, FLAT_NO, FlatRules } from './flat-rules.js';
import { QuadLabels, WordLabels, type LabelEntry } from './label-table.js';
import type { EndMatch, FirewallRule } from './model.js';
import type { PacketKey } from './packet-key.js';
import { ruleMatches } from './rule-matcher.js';

/** No rule matched. */
export const NO_RANK = 0x7fffffff;

/** Which packets a TupleSpace is for: IPv4, IPv6, or frames without IP header. */
export type Family = 4 | 6 | 0;

/** Prefix lengths that are looked up; a rule's prefix is filed under the longest that is not longer. */
const CLASSES_4: readonly number[] = [32, 28, 24, 20, 16, 12, 8, 4];
const CLASSES_6: readonly number[] = [128, 112, 96, 80, 64, 56, 48, 32];
const CLASSES: Readonly<Record<Family, readonly number[]>> = { 4: CLASSES_4, 6: CLASSES_6, 0: [] };
/** Keys one rule may be filed under; fields that would need more are left to the exact test. */
const MAX_KEYS = 64;
/** As MAX_KEYS when a single address field is all that selects the rule. */
const MAX_LONE_KEYS = 4096;
/** Most values of one port field that are filed one by one. */
const MAX_PORTS = 16;

/** Bits of a tuple's `need`: fields 0-7 and 8-15 are the prefix classes of source and destination. */
const NEED_DST = 8;
const NEED_SPORT = 1 << 16;
const NEED_DPORT = 1 << 17;
const NEED_PROTO = 1 << 18;
const NEED_SMAC = 1 << 19;
const NEED_DMAC = 1 << 20;

const STRIDE = 8;
const HEAD = 6;

/** One hash table. `head` of an entry is the first cell of its rule list in `chain`, plus 1; 0 = empty. */
interface Tuple {
  readonly need: number;
  /** Prefix class of source and destination, -1 = any. */
  readonly src: number;
  readonly dst: number;
  readonly best: number;
  readonly cells: Int32Array;
}

export class TupleSpace {
  readonly #rules: readonly FirewallRule[];
  readonly #flat: FlatRules;
  readonly #tuples: readonly Tuple[];
  /** Ranks of the rules of one entry, ascending, closed by -1. */
  readonly #chain: Int32Array;
  readonly #labels: AddressLabels;
  readonly #macTables: readonly [QuadLabels, QuadLabels] | null;

  /** @param rules in order of evaluation: the rank of a rule is its index here */
  constructor(rules: readonly FirewallRule[], family: Family) {
    const build = new TupleBuilder(family);
    rules.forEach((rule, rank) => build.add(rule, rank));
    this.#rules = rules;
    this.#flat = new FlatRules(rules, family);
    const { tuples, chain } = build.tuples();
    this.#tuples = tuples;
    this.#chain = chain;
    this.#labels = family === 6 ? new Ipv6Labels(build.srcLabels, build.dstLabels) : new Ipv4Labels(build.srcLabels, build.dstLabels);
    this.#macTables = build.usesMacs ? [new QuadLabels(build.smacLabels.entries()), new QuadLabels(build.dmacLabels.entries())] : null;
  }

  /** @returns rank of the first rule in order of evaluation that matches, or NO_RANK */
  find(key: PacketKey): number {
    const tuples = this.#tuples;
    if (tuples.length === 0) return NO_RANK;
    const { src: srcLabels, dst: dstLabels } = this.#labels;
    let have = this.#labels.look(key) | NEED_PROTO;
    if (key.dstPort >= 0) have |= NEED_SPORT | NEED_DPORT;
    let smac = 0;
    let dmac = 0;
    if (this.#macTables !== null) {
      smac = this.#macTables[0].get(key.srcMacHi, key.srcMacLo, 0, 0);
      dmac = this.#macTables[1].get(key.dstMacHi, key.dstMacLo, 0, 0);
      if (smac !== 0) have |= NEED_SMAC;
      if (dmac !== 0) have |= NEED_DMAC;
    }
    const proto = key.ipVersion === 0 ? key.etherType : key.proto;
    let best = NO_RANK;
    for (let i = 0; i < tuples.length; i++) {
      const tuple = tuples[i]!;
      if (tuple.best >= best) break;
      const need = tuple.need;
      if ((need & ~have) !== 0) continue;
      const src = tuple.src < 0 ? 0 : srcLabels[tuple.src]!;
      const dst = tuple.dst < 0 ? 0 : dstLabels[tuple.dst]!;
      const sport = (need & NEED_SPORT) === 0 ? 0 : key.srcPort;
      const dport = (need & NEED_DPORT) === 0 ? 0 : key.dstPort;
      const head = probe(
        tuple.cells, src, dst, (sport << 16) | dport, (need & NEED_PROTO) === 0 ? 0 : proto,
        (need & NEED_SMAC) === 0 ? 0 : smac, (need & NEED_DMAC) === 0 ? 0 : dmac,
      );
      if (head !== 0) best = this.#firstMatch(head - 1, key, best);
    }
    return best;
  }

  /** Tuples and longest rule list, for benchmarks and `explain`. */
  get shape(): { readonly tuples: number; readonly longestChain: number } {
    let longest = 0;
    let run = 0;
    for (const cell of this.#chain) {
      run = cell < 0 ? 0 : run + 1;
      longest = Math.max(longest, run);
    }
    return { tuples: this.#tuples.length, longestChain: longest };
  }

  #firstMatch(head: number, key: PacketKey, best: number): number {
    const chain = this.#chain;
    for (let at = head; ; at++) {
      const rank = chain[at]!;
      if (rank < 0 || rank >= best) return best;
      const flat = this.#flat.test(rank, key);
      if (flat !== FLAT_NO && (flat !== FLAT_MAYBE || ruleMatches(this.#rules[rank]!, key))) return rank;
    }
  }
}

/** Labels of the addresses of the packet at hand. */
interface AddressLabels {
  /** By prefix class; only those of the bits `look` returned are valid. */
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** Look the addresses up in every class in use. @returns NEED bits of the classes that know them */
  look(key: PacketKey): number;
}

class Ipv4Labels implements AddressLabels {
  readonly src = new Int32Array(8);
  readonly dst = new Int32Array(8);
  readonly #srcTables: readonly (WordLabels | null)[];
  readonly #dstTables: readonly (WordLabels | null)[];

  constructor(src: PrefixLabels, dst: PrefixLabels) {
    this.#srcTables = src.tables((entries) => new WordLabels(entries));
    this.#dstTables = dst.tables((entries) => new WordLabels(entries));
  }

  look(key: PacketKey): number {
    return look4(this.#srcTables, this.src, key.src0) | (look4(this.#dstTables, this.dst, key.dst0) << NEED_DST);
  }
}

function look4(tables: readonly (WordLabels | null)[], labels: Int32Array, word: number): number {
  let have = 0;
  for (let c = 0; c < tables.length; c++) {
    const table = tables[c]!;
    if (table === null) continue;
    const label = table.get(word & prefixMask(CLASSES_4[c]!));
    labels[c] = label;
    if (label !== 0) have |= 1 << c;
  }
  return have;
}

class Ipv6Labels implements AddressLabels {
  readonly src = new Int32Array(8);
  readonly dst = new Int32Array(8);
  readonly #srcTables: readonly (QuadLabels | null)[];
  readonly #dstTables: readonly (QuadLabels | null)[];

  constructor(src: PrefixLabels, dst: PrefixLabels) {
    this.#srcTables = src.tables((entries) => new QuadLabels(entries));
    this.#dstTables = dst.tables((entries) => new QuadLabels(entries));
  }

  look(key: PacketKey): number {
    const have = look6(this.#srcTables, this.src, key.src0, key.src1, key.src2, key.src3);
    return have | (look6(this.#dstTables, this.dst, key.dst0, key.dst1, key.dst2, key.dst3) << NEED_DST);
  }
}

function look6(tables: readonly (QuadLabels | null)[], labels: Int32Array, w0: number, w1: number, w2: number, w3: number): number {
  let have = 0;
  for (let c = 0; c < tables.length; c++) {
    const table = tables[c]!;
    if (table === null) continue;
    const length = CLASSES_6[c]!;
    const label = table.get(w0 & prefixMask(length), w1 & prefixMask(length - 32), w2 & prefixMask(length - 64), w3 & prefixMask(length - 96));
    labels[c] = label;
    if (label !== 0) have |= 1 << c;
  }
  return have;
}

function probe(cells: Int32Array, k0: number, k1: number, k2: number, k3: number, k4: number, k5: number): number {
  let at = (hashKey(k0, k1, k2, k3, k4, k5) & (cells.length / STRIDE - 1)) * STRIDE;
  for (;;) {
    const head = cells[at + HEAD]!;
    if (head === 0) return 0;
    if (cells[at] === k0 && cells[at + 1] === k1 && cells[at + 2] === k2 && cells[at + 3] === k3 && cells[at + 4] === k4 && cells[at + 5] === k5) return head;
    at += STRIDE;
    if (at === cells.length) at = 0;
  }
}

function hashKey(k0: number, k1: number, k2: number, k3: number, k4: number, k5: number): number {
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
class PrefixLabels {
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

class TupleBuilder {
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
      const cells = new Int32Array(rows * STRIDE);
      let best = NO_RANK;
      for (const { cells: k, ranks } of entries.values()) {
        best = Math.min(best, ranks[0]!);
        let at = (hashKey(k[0]!, k[1]!, k[2]!, k[3]!, k[4]!, k[5]!) & (rows - 1)) * STRIDE;
        while (cells[at + HEAD] !== 0) at = (at + STRIDE) % cells.length;
        cells.set(k, at);
        cells[at + HEAD] = chain.length + 1;
        for (const rank of ranks) chain.push(rank);
        chain.push(-1);
      }
      tuples.push({ need, src: classOf(need), dst: classOf(need >> NEED_DST), best, cells });
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
