/** Numbers out of bytes, 64 bits wide as two unsigned 32-bit halves. */
import type { InspectContext } from './context.js';
import type { NumberFormat } from './step.js';

/**
 * Read `count` bytes at `at` (absolute index, already bounds-checked) into ctx.valueHi/valueLo.
 * @returns false when a text number has no digit (binary numbers: when count is above 8)
 */
export function readNumber(ctx: InspectContext, format: NumberFormat, at: number, count: number): boolean {
  const { buf } = ctx;
  if (format.radix !== 0) return readText(ctx, format.radix, at, count);
  if (count > 8) return false;
  let hi = 0;
  let lo = 0;
  const little = format.dce ? ctx.dceLittleEndian : format.little;
  for (let i = 0; i < count; i++) {
    const byte = little ? buf[at + count - 1 - i]! : buf[at + i]!;
    hi = ((hi << 8) | (lo >>> 24)) >>> 0;
    lo = ((lo << 8) | byte) >>> 0;
  }
  ctx.valueHi = hi;
  ctx.valueLo = lo;
  return true;
}

/** strtoull's reading: leading blanks, a sign, `0x` for radix 16, digits up to the first other byte; saturates at 2^64-1. */
function readText(ctx: InspectContext, radix: number, at: number, count: number): boolean {
  const { buf } = ctx;
  const end = at + count;
  let i = at;
  while (i < end && (buf[i] === 0x20 || (buf[i]! >= 9 && buf[i]! <= 13))) i++;
  let negative = false;
  if (i < end && (buf[i] === 0x2b || buf[i] === 0x2d)) negative = buf[i++] === 0x2d;
  if (radix === 16 && i + 2 < end && buf[i] === 0x30 && (buf[i + 1]! | 0x20) === 0x78) i += 2;
  let hi = 0;
  let lo = 0;
  let digits = 0;
  for (; i < end; i++, digits++) {
    const digit = digitOf(buf[i]!);
    if (digit >= radix) break;
    const low = lo * radix + digit;
    hi = hi * radix + Math.floor(low / 0x1_0000_0000);
    lo = low >>> 0;
    if (hi > 0xffff_ffff) {
      hi = 0xffff_ffff;
      lo = 0xffff_ffff;
    }
  }
  if (digits === 0) return false;
  if (negative) {
    lo = (~lo + 1) >>> 0;
    hi = (~hi + (lo === 0 ? 1 : 0)) >>> 0;
  }
  ctx.valueHi = hi;
  ctx.valueLo = lo;
  return true;
}

function digitOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : 99;
}

/** Apply a bit mask and shift the result down by the mask's trailing zeroes, as `bitmask` of byte_test and others does. */
export function applyMask(ctx: InspectContext, maskHi: number, maskLo: number): void {
  let hi = (ctx.valueHi & maskHi) >>> 0;
  let lo = (ctx.valueLo & maskLo) >>> 0;
  let shift = maskLo !== 0 ? trailingZeroes(maskLo) : 32 + trailingZeroes(maskHi);
  if (shift >= 32) {
    lo = hi;
    hi = 0;
    shift -= 32;
  }
  if (shift > 0 && shift < 32) {
    lo = ((lo >>> shift) | (hi << (32 - shift))) >>> 0;
    hi >>>= shift;
  }
  ctx.valueHi = hi;
  ctx.valueLo = lo;
}

function trailingZeroes(word: number): number {
  return word === 0 ? 32 : 31 - Math.clz32(word & -word);
}
