/**
 * Tuple-space search (Srinivasan, Suri, Varghese 1999) over labels. A tuple is a combination of fields that some rules fix
 * exactly (source prefix class, destination prefix class, ports, protocol, MACs); all rules of one tuple sit in one hash
 * table. A lookup first turns each field of the packet into the label of the rule value it equals, which also tells which
 * tuples cannot match; the others are probed in order of their best rule until none can beat the best match found.
 *
 * The key of a rule only selects candidates: prefix lengths are rounded down to a class, ranges and inverted fields are left
 * out. The exact test is ruleMatches, so rounding costs time, never correctness.
 */
import { Ipv4Labels, Ipv6Labels, type AddressLabels } from './address-labels.js';
import { FLAT_MAYBE, FLAT_NO, FlatRules } from './flat-rules.js';
import { QuadLabels } from './label-table.js';
import type { FirewallRule } from './model.js';
import type { PacketKey } from './packet-key.js';
import { ruleMatches } from './rule-matcher.js';
import {
  ENTRY_HEAD, ENTRY_STRIDE, hashKey, NEED_DMAC, NEED_DPORT, NEED_PROTO, NEED_SMAC, NEED_SPORT, NO_RANK, TupleBuilder, type Family, type Tuple,
} from './tuple-builder.js';

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
        tuple, src, dst, (sport << 16) | dport, (need & NEED_PROTO) === 0 ? 0 : proto,
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

/** @returns head of the entry with this key, 0 = none */
function probe(tuple: Tuple, k0: number, k1: number, k2: number, k3: number, k4: number, k5: number): number {
  const hash = hashKey(k0, k1, k2, k3, k4, k5);
  if (!tuple.filter.mayHave(hash)) return 0;
  const cells = tuple.cells;
  let at = (hash & (cells.length / ENTRY_STRIDE - 1)) * ENTRY_STRIDE;
  for (;;) {
    const head = cells[at + ENTRY_HEAD]!;
    if (head === 0) return 0;
    if (cells[at] === k0 && cells[at + 1] === k1 && cells[at + 2] === k2 && cells[at + 3] === k3 && cells[at + 4] === k4 && cells[at + 5] === k5) return head;
    at += ENTRY_STRIDE;
    if (at === cells.length) at = 0;
  }
}
