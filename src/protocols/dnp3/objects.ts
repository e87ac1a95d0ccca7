/** Objects of DNP3 application fragments (IEEE 1815 chapter 5 and annex A): which are there, and how many points they have. */
import { le16, le32 } from '../../util/index.js';

/** Limits of one message (Suricata: max-points, max-objects). */
const POINTS_MAX = 16384;
const OBJECTS_MAX = 2048;

export interface Dnp3Object {
  readonly group: number;
  readonly variation: number;
}

/** Bytes of a point by group, from variation 1 on; negative: bits of a point, packed; 0: not decoded here. */
const SIZES: Readonly<Record<number, readonly number[]>> = {
  1: [-1, 1],
  2: [1, 7, 3],
  3: [-2, 1],
  4: [1, 7, 3],
  10: [-1, 1],
  11: [1, 7],
  12: [11, 11, -1],
  13: [1, 7],
  20: [5, 3, 5, 3, 4, 2, 4, 2],
  21: [5, 3, 5, 3, 11, 9, 11, 9, 4, 2, 4, 2],
  22: [5, 3, 5, 3, 11, 9, 11, 9],
  23: [5, 3, 5, 3, 11, 9, 11, 9],
  30: [5, 3, 4, 2, 5, 9],
  31: [5, 3, 11, 9, 4, 2, 5, 9],
  32: [5, 3, 11, 9, 5, 9, 11, 15],
  33: [5, 3, 11, 9, 5, 9, 11, 15],
  34: [2, 4, 4],
  40: [5, 3, 5, 9],
  41: [5, 3, 5, 9],
  42: [5, 3, 11, 9, 5, 9, 11, 15],
  43: [5, 3, 11, 9, 5, 9, 11, 15],
  50: [6, 10, 6, 11],
  51: [6, 6],
  52: [2, 2],
  80: [-1],
  81: [3],
  101: [2, 4, 8],
  102: [1],
  121: [7],
  122: [13, 15],
};
/** Groups whose variation is the length of the point. */
const STRINGS: ReadonlySet<number> = new Set([110, 111, 112, 113]);

/** Size of a point: bytes, negative bits, or null when the object is not known. */
function sizeOf(group: number, variation: number): number | null {
  if (STRINGS.has(group)) return variation;
  return SIZES[group]?.[variation - 1] ?? null;
}

/**
 * Walk the objects of buf[off, end) and add them to `out`.
 * @param describesOnly the fragment asks for objects (READ): there are headers but no points
 * @returns the event that ended the walk, '' when all was read
 */
export function readObjects(buf: Uint8Array, off: number, end: number, out: Dnp3Object[], describesOnly: boolean): string {
  let pos = off;
  let points = 0;
  while (pos + 3 <= end) {
    const group = buf[pos]!;
    const variation = buf[pos + 1]!;
    const qualifier = buf[pos + 2]!;
    const prefix = (qualifier >> 4) & 7;
    pos += 3;
    if (out.length >= OBJECTS_MAX) return 'dnp3.too_many_objects';
    out.push({ group, variation });
    const range = qualifier & 15;
    const width = rangeWidth(range);
    if (width < 0) return 'dnp3.malformed';
    if (pos + width > end) return '';
    const count = countOf(buf, pos, range);
    pos += width;
    if (count < 0) return 'dnp3.malformed';
    if (variation === 0 || count === 0 || describesOnly) continue;
    points += count;
    if (points > POINTS_MAX) return 'dnp3.too_many_points';
    const size = sizeOf(group, variation);
    if (size === null) return 'dnp3.unknown_object';
    const length = prefix >= 4 ? sized(buf, pos, end, prefix, count) : size < 0 ? (count * -size + 7) >> 3 : count * (size + (prefix === 0 ? 0 : 1 << (prefix - 1)));
    if (length < 0 || pos + length > end) return '';
    pos += length;
  }
  return '';
}

/** Bytes of the range field, -1 for reserved codes. */
function rangeWidth(range: number): number {
  switch (range) {
    case 0:
    case 3:
      return 2;
    case 1:
    case 4:
      return 4;
    case 2:
    case 5:
      return 8;
    case 6:
      return 0;
    case 7:
    case 11:
      return 1;
    case 8:
      return 2;
    case 9:
      return 4;
    default:
      return -1;
  }
}

/** Number of points the range field announces; -1 when it ends before it starts. */
function countOf(buf: Uint8Array, pos: number, range: number): number {
  let from: number;
  let to: number;
  switch (range) {
    case 0:
    case 3:
      from = buf[pos]!;
      to = buf[pos + 1]!;
      break;
    case 1:
    case 4:
      from = le16(buf, pos);
      to = le16(buf, pos + 2);
      break;
    case 2:
    case 5:
      from = le32(buf, pos) >>> 0;
      to = le32(buf, pos + 4) >>> 0;
      break;
    case 6:
      return 0;
    case 8:
      return le16(buf, pos);
    case 9:
      return le32(buf, pos) >>> 0;
    default:
      return buf[pos]!;
  }
  return to < from ? -1 : to - from + 1;
}

/** Bytes of `count` points that each carry their size; -1 when they do not fit. */
function sized(buf: Uint8Array, off: number, end: number, prefix: number, count: number): number {
  const width = prefix === 4 ? 1 : prefix === 5 ? 2 : prefix === 6 ? 4 : 0;
  if (width === 0) return -1;
  let pos = off;
  for (let i = 0; i < count; i++) {
    if (pos + width > end) return -1;
    const size = width === 1 ? buf[pos]! : width === 2 ? le16(buf, pos) : le32(buf, pos) >>> 0;
    pos += width + size;
    if (pos > end) return -1;
  }
  return pos - off;
}
