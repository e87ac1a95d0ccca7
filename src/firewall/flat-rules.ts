/**
 * The common part of each rule in one cache line: protocol, one prefix and one port range per side. With 100 000 rules the
 * memory a candidate touches is what it costs; walking the rule's objects takes 10 to 20 cache misses, this takes one.
 * Rules with more than that say so, and are then tested in full.
 */
import { prefixMask } from '../packet/index.js';
import type { AddressSet } from './address-set.js';
import type { FirewallRule, Match } from './model.js';
import type { NumberSet } from './number-set.js';
import type { PacketKey } from './packet-key.js';

const STRIDE = 16;
/** Protocol A | protocol B << 8 | bits below. */
const C_META = 0;
/** Source prefix length | destination prefix length << 8; 0 = any. */
const C_LENGTHS = 1;
/** Lowest port | highest port << 16. */
const C_SPORT = 2;
const C_DPORT = 3;
const C_SRC = 4;
const C_DST = 8;

const HAS_PROTOCOL = 1 << 16;
const HAS_SPORT = 1 << 17;
const HAS_DPORT = 1 << 18;
/** What is kept here is necessary but not sufficient. */
const PARTIAL = 1 << 19;

export const FLAT_NO = 0;
export const FLAT_YES = 1;
/** Not refuted; ask ruleMatches. */
export const FLAT_MAYBE = 2;

export class FlatRules {
  readonly #cells: Int32Array;
  readonly #v6: boolean;

  /** @param family packets that will be tested: their IP version is not compared again. 0 = frames without IP */
  constructor(rules: readonly FirewallRule[], family: 4 | 6 | 0) {
    this.#v6 = family === 6;
    this.#cells = new Int32Array(rules.length * STRIDE);
    rules.forEach((rule, i) => this.#fill(rule, i * STRIDE, family));
  }

  /** @returns FLAT_NO, FLAT_YES or FLAT_MAYBE */
  test(rule: number, key: PacketKey): number {
    const cells = this.#cells;
    const at = rule * STRIDE;
    const meta = cells[at + C_META];
    if ((meta & HAS_PROTOCOL) !== 0 && key.proto !== (meta & 0xff) && key.proto !== ((meta >>> 8) & 0xff)) return FLAT_NO;
    if ((meta & HAS_DPORT) !== 0 && (key.dstPort < (cells[at + C_DPORT] & 0xffff) || key.dstPort > cells[at + C_DPORT] >>> 16)) return FLAT_NO;
    if ((meta & HAS_SPORT) !== 0 && (key.srcPort < (cells[at + C_SPORT] & 0xffff) || key.srcPort > cells[at + C_SPORT] >>> 16)) return FLAT_NO;
    const src = cells[at + C_LENGTHS] & 0xff;
    const dst = cells[at + C_LENGTHS] >>> 8;
    let differs = ((key.src0 ^ cells[at + C_SRC]) & prefixMask(src)) | ((key.dst0 ^ cells[at + C_DST]) & prefixMask(dst));
    if (this.#v6) {
      for (let i = 1; i < 4; i++) {
        const s = i === 1 ? key.src1 : i === 2 ? key.src2 : key.src3;
        const d = i === 1 ? key.dst1 : i === 2 ? key.dst2 : key.dst3;
        differs |= ((s ^ cells[at + C_SRC + i]) & prefixMask(src - 32 * i)) | ((d ^ cells[at + C_DST + i]) & prefixMask(dst - 32 * i));
      }
    }
    if (differs !== 0) return FLAT_NO;
    return (meta & PARTIAL) === 0 ? FLAT_YES : FLAT_MAYBE;
  }

  #fill(rule: FirewallRule, at: number, family: 4 | 6 | 0): void {
    const cells = this.#cells;
    const { protocol, source, destination } = rule;
    if (family === 0) {
      cells[at + C_META] = PARTIAL;
      return;
    }
    // The frame type is settled: a rule is only filed under families it admits.
    let meta = rule.tcpFlags === null && rule.icmp === null && rule.schedule === null && source.mac === null && destination.mac === null ? 0 : PARTIAL;
    if (protocol !== null) {
      const values = protocol.not || protocol.set.size > 2 ? [] : protocol.set.values();
      if (values.length === 0) meta |= PARTIAL;
      else meta |= HAS_PROTOCOL | values[0]! | (values.at(-1)! << 8);
    }
    meta |= this.#fillPort(source.port, at + C_SPORT, HAS_SPORT) | this.#fillPort(destination.port, at + C_DPORT, HAS_DPORT);
    const src = this.#fillAddress(source.address, at + C_SRC, family);
    const dst = this.#fillAddress(destination.address, at + C_DST, family);
    if (src < 0 || dst < 0) meta |= PARTIAL;
    cells[at + C_LENGTHS] = Math.max(src, 0) | (Math.max(dst, 0) << 8);
    cells[at + C_META] = meta;
  }

  #fillPort(port: Match<NumberSet> | null, at: number, present: number): number {
    if (port === null) return 0;
    const ranges = port.set.ranges();
    if (port.not || ranges.length !== 1) return PARTIAL;
    this.#cells[at] = ranges[0]![0] | (ranges[0]![1] << 16);
    return present;
  }

  /** @returns prefix length, -1 when the constraint is not one prefix */
  #fillAddress(address: Match<AddressSet> | null, at: number, family: 4 | 6): number {
    if (address === null) return 0;
    const prefix = address.not ? undefined : address.set.prefixes(family, 1)?.[0];
    if (prefix === undefined) return -1;
    this.#cells.set(prefix.words, at);
    return prefix.length;
  }
}
