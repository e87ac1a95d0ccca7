/** Finds the labels of a packet's addresses in every prefix class that the rules use. */
import { prefixMask } from '../packet/index.js';
import { QuadLabels, WordLabels } from './label-table.js';
import type { PacketKey } from './packet-key.js';
import { CLASSES_4, CLASSES_6, NEED_DST, type PrefixLabels } from './tuple-builder.js';

/** Labels of the addresses of the packet at hand. */
export interface AddressLabels {
  /** By prefix class; only those of the bits `look` returned are valid. */
  readonly src: Int32Array;
  readonly dst: Int32Array;
  /** Look the addresses up in every class in use. @returns NEED bits of the classes that know them */
  look(key: PacketKey): number;
}

export class Ipv4Labels implements AddressLabels {
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

export class Ipv6Labels implements AddressLabels {
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
