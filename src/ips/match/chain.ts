/**
 * Runs an inspection chain over one buffer: contents, pcres and byte keywords with their relations to each other.
 * When a step fails that is relative to its predecessor, the predecessor is tried at its next occurrence (backtracking);
 * a failure that no other occurrence can mend ends the chain. The number of steps tried is limited: chains with several
 * short relative contents are exponential otherwise, and the bytes belong to the attacker.
 */
import { findsBadElement } from './asn1.js';
import { decodeBase64 } from './base64.js';
import type { InspectContext } from './context.js';
import { applyMask, readNumber } from './number.js';
import {
  ByteOp, DatasetCommand, MathOp, OP_ASN1, OP_BASE64, OP_BYTE_EXTRACT, OP_BYTE_JUMP, OP_BYTE_MATH, OP_BYTE_TEST, OP_CONTENT, OP_DATASET, OP_ISDATAAT, OP_PCRE, OP_SIZE,
  type Base64Step,
  type Asn1Step, type ByteExtractStep, type ByteJumpStep, type ByteMathStep, type ByteTestStep, type ContentStep, type DatasetStep, type IsDataAtStep,
  type PcreStep, type SizeStep, type Step,
} from './step.js';

/** Steps tried per buffer before the chain is given up (Suricata: detect.inspection-recursion-limit). */
export const RECURSION_LIMIT = 3000;

const MATCH = 1;
const NO_MATCH = 0;
/** No occurrence of an earlier step can change this failure. */
const GIVE_UP = -1;
/**
 * A content that may lie anywhere behind its predecessor, and what follows it, failed: occurrences of the predecessor
 * further on leave a part of what was searched, so trying them is in vain. Without this a pattern that is frequent in the
 * bytes makes the search quadratic.
 */
const EXHAUSTED = -2;

const PCRE_NOMATCH = -1;
const PCRE_LIMIT = -47;

const MASK32 = 0xffff_ffffn;
/** Largest base64 text taken by one base64_decode. */
const BASE64_LIMIT = 65_536;

export class ChainInspector {
  #steps = 0;
  /** Start and end of the last pcre match, relative to where the pcre was applied. */
  readonly #ovector = new Int32Array(2);
  #base64: Uint8Array | null = null;

  /** Does the whole chain match ctx's buffer? */
  matches(ctx: InspectContext, chain: readonly Step[]): boolean {
    this.#steps = 0;
    ctx.cursor = 0;
    return this.#run(ctx, chain, 0) === MATCH;
  }

  #run(ctx: InspectContext, chain: readonly Step[], index: number): number {
    // A jump goes where the bytes say, and variables change with what was extracted: what failed once may succeed further on.
    let erratic = false;
    for (let i = index; i < chain.length; i++) {
      if (++this.#steps >= RECURSION_LIMIT) {
        ctx.counters.recursionLimit++;
        return GIVE_UP;
      }
      const step = chain[i]!;
      let result: number;
      switch (step.op) {
        case OP_CONTENT: {
          const content = step as ContentStep;
          if (content.nextRelative && !content.negated) {
            result = this.#contentThenRest(ctx, content, chain, i);
            return result === EXHAUSTED && erratic ? NO_MATCH : result;
          }
          result = this.#content(ctx, content, ctx.cursor, 0);
          break;
        }
        case OP_PCRE: {
          const pcre = step as PcreStep;
          if (pcre.nextRelative && !pcre.negated) return this.#pcreThenRest(ctx, pcre, chain, i);
          result = this.#pcre(ctx, pcre, ctx.cursor, 0);
          break;
        }
        case OP_BYTE_TEST:
          result = byteTest(ctx, step as ByteTestStep);
          break;
        case OP_BYTE_JUMP:
          result = byteJump(ctx, step as ByteJumpStep);
          erratic = true;
          break;
        case OP_BYTE_EXTRACT:
          result = byteExtract(ctx, step as ByteExtractStep);
          erratic = true;
          break;
        case OP_BYTE_MATH:
          result = byteMath(ctx, step as ByteMathStep);
          erratic = true;
          break;
        case OP_ISDATAAT:
          result = isDataAt(ctx, step as IsDataAtStep);
          break;
        case OP_SIZE:
          result = size(ctx, step as SizeStep);
          break;
        case OP_DATASET:
          result = dataset(ctx, step as DatasetStep);
          break;
        case OP_ASN1:
          result = asn1(ctx, step as Asn1Step);
          break;
        case OP_BASE64:
          return this.#base64Then(ctx, step as Base64Step);
        default:
          return GIVE_UP;
      }
      if (result !== MATCH) return result === EXHAUSTED && erratic ? NO_MATCH : result;
    }
    return MATCH;
  }

  #contentThenRest(ctx: InspectContext, step: ContentStep, chain: readonly Step[], i: number): number {
    const cursor = ctx.cursor;
    let from = 0;
    for (;;) {
      const found = this.#content(ctx, step, cursor, from);
      if (found !== MATCH) return found;
      const end = ctx.cursor;
      const rest = this.#run(ctx, chain, i + 1);
      if (rest === EXHAUSTED) return !step.relative ? GIVE_UP : step.distanceVar < 0 ? EXHAUSTED : NO_MATCH;
      if (rest !== NO_MATCH) return rest;
      from = end - step.bytes.length + 1;
    }
  }

  /**
   * Search one content. `cursor` is where relative keywords start, `from` (when not 0) the earliest start of a further
   * occurrence. Leaves the end of the match in ctx.cursor.
   */
  #content(ctx: InspectContext, step: ContentStep, cursor: number, from: number): number {
    const len = ctx.len;
    let start = 0;
    let end = len;
    if (step.hasDistance || step.hasWithin) {
      const distance = step.distanceVar >= 0 ? ctx.variable(step.distanceVar) : step.distance;
      start = Math.max(0, cursor + distance);
      if (step.hasWithin) {
        const within = step.withinVar >= 0 ? ctx.variable(step.withinVar) : step.within;
        end = Math.min(end, cursor + within + distance);
        // A chain that starts relative counts from the start of the whole body, of which the buffer may hold a later part.
        if (ctx.position !== 0 && cursor === 0) end = windowEnd(ctx, end);
        if (end < 0) return step.negated ? MATCH : NO_MATCH;
      }
      if (step.hasDepth) end = Math.min(end, cursor + (step.depthVar >= 0 ? ctx.variable(step.depthVar) : step.depth));
      if (step.hasOffset) start = Math.max(start, step.offsetVar >= 0 ? ctx.variable(step.offsetVar) : step.offset);
    } else {
      start = step.offsetVar >= 0 ? ctx.variable(step.offsetVar) : step.offset;
      if (step.hasDepth) {
        let depth = step.depthVar >= 0 ? ctx.variable(step.depthVar) : step.depth;
        // A depth from a variable counts from the offset; one from the rule had the offset added when it was compiled.
        if (step.depthVar >= 0 || step.offsetVar >= 0) depth += start;
        if (ctx.position !== 0) {
          depth = windowEnd(ctx, depth);
          if (depth < 0) return NO_MATCH;
        }
        end = Math.min(end, depth);
      }
    }
    if (from !== 0) start = from;
    if (start > end || end <= 0) return step.negated ? MATCH : NO_MATCH;

    const m = step.bytes.length;
    let found = -1;
    if (step.endsWith) {
      // Only the occurrence at the very end counts, so look there and nowhere else.
      if (end === len && len - m >= start) {
        const at = step.needle!.find(ctx.buf, ctx.off + len - m, ctx.off + len);
        if (at >= 0) found = at - ctx.off;
      }
    } else if (end - start >= m) {
      const at = step.needle!.find(ctx.buf, ctx.off + start, ctx.off + end);
      if (at >= 0) found = at - ctx.off;
    }
    if (step.negated) {
      if (found < 0) return MATCH;
      return step.relative ? NO_MATCH : GIVE_UP;
    }
    if (found < 0) return step.unbounded ? EXHAUSTED : step.relative ? NO_MATCH : GIVE_UP;
    ctx.cursor = found + m;
    return MATCH;
  }

  #pcreThenRest(ctx: InspectContext, step: PcreStep, chain: readonly Step[], i: number): number {
    const cursor = ctx.cursor;
    let from = 0;
    for (;;) {
      if (this.#pcre(ctx, step, cursor, from) !== MATCH) return NO_MATCH;
      from = (step.relative ? cursor : 0) + this.#ovector[0]! + 1;
      const rest = this.#run(ctx, chain, i + 1);
      // A later match of an expression may end earlier, so nothing is ever exhausted here.
      if (rest !== NO_MATCH && rest !== EXHAUSTED) return rest;
      if (from > ctx.len) return NO_MATCH;
    }
  }

  /** A relative pcre sees only what follows the cursor: `^` is the cursor and look-behind ends there. */
  #pcre(ctx: InspectContext, step: PcreStep, cursor: number, from: number): number {
    const base = step.relative ? cursor : 0;
    if (base > ctx.len) return step.negated ? MATCH : NO_MATCH;
    const pairs = step.pcre.exec(ctx.buf, ctx.off + base, ctx.len - base, from === 0 ? 0 : from - base, this.#ovector);
    if (pairs === PCRE_LIMIT) ctx.counters.pcreLimit++;
    if (pairs < 0) return pairs === PCRE_NOMATCH && step.negated ? MATCH : NO_MATCH;
    if (step.negated) return NO_MATCH;
    ctx.cursor = base + this.#ovector[1]!;
    return MATCH;
  }

  /** base64_decode ends its chain: what follows in the rule looks at the decoded bytes. */
  #base64Then(ctx: InspectContext, step: Base64Step): number {
    const start = (step.relative ? ctx.cursor : 0) + step.offset;
    if (start >= ctx.len || step.data.length === 0) return NO_MATCH;
    const room = ctx.len - start;
    const take = Math.min(step.bytes === 0 ? room : Math.min(step.bytes, room), BASE64_LIMIT);
    const out = (this.#base64 ??= new Uint8Array(BASE64_LIMIT));
    const length = decodeBase64(ctx.buf, ctx.off + start, take, out);
    if (length === 0) return NO_MATCH;
    const { buf, off, len, position, complete } = ctx;
    ctx.setBuffer(out, 0, length, 0, true);
    ctx.cursor = 0;
    const result = this.#run(ctx, step.data, 0);
    ctx.setBuffer(buf, off, len, position, complete);
    return result === EXHAUSTED ? NO_MATCH : result;
  }
}

/** End of a depth or within that counts from the start of the whole body, as an offset in the buffer; -1 = lies before it. */
function windowEnd(ctx: InspectContext, end: number): number {
  if (end <= ctx.position) return -1;
  return end >= ctx.position + ctx.len ? ctx.len : end - ctx.position;
}

function byteTest(ctx: InspectContext, step: ByteTestStep): number {
  const offset = step.offsetVar >= 0 ? ctx.variable(step.offsetVar) : step.offset;
  const count = step.bytesVar >= 0 ? ctx.variable(step.bytesVar) : step.bytes;
  const at = (step.relative ? ctx.cursor : 0) + offset;
  if (at < 0 || at + count > ctx.len) return NO_MATCH;
  if (!readNumber(ctx, step.format, ctx.off + at, count)) return NO_MATCH;
  if (step.hasMask) applyMask(ctx, step.maskHi, step.maskLo);
  const hi = ctx.valueHi;
  const lo = ctx.valueLo;
  const wantHi = step.valueVar >= 0 ? ctx.varHi[step.valueVar]! : step.valueHi;
  const wantLo = step.valueVar >= 0 ? ctx.varLo[step.valueVar]! : step.valueLo;
  const order = hi !== wantHi ? (hi < wantHi ? -1 : 1) : lo === wantLo ? 0 : lo < wantLo ? -1 : 1;
  let yes: boolean;
  switch (step.operator) {
    case ByteOp.LT:
      yes = order < 0;
      break;
    case ByteOp.GT:
      yes = order > 0;
      break;
    case ByteOp.EQ:
      yes = order === 0;
      break;
    case ByteOp.LE:
      yes = order <= 0;
      break;
    case ByteOp.GE:
      yes = order >= 0;
      break;
    case ByteOp.AND:
      yes = (hi & wantHi) !== 0 || (lo & wantLo) !== 0;
      break;
    default:
      yes = order !== 0;
  }
  return yes !== step.negated ? MATCH : NO_MATCH;
}

function byteJump(ctx: InspectContext, step: ByteJumpStep): number {
  const offset = step.offsetVar >= 0 ? ctx.variable(step.offsetVar) : step.offset;
  const count = step.bytesVar >= 0 ? ctx.variable(step.bytesVar) : step.bytes;
  const at = (step.relative ? ctx.cursor : 0) + offset;
  if (at < 0 || at + count > ctx.len) return NO_MATCH;
  let value = 0;
  if (count > 0) {
    if (!readNumber(ctx, step.format, ctx.off + at, count)) return NO_MATCH;
    if (step.hasMask) applyMask(ctx, step.maskHi, step.maskLo);
    value = ctx.valueHi * 0x1_0000_0000 + ctx.valueLo;
  }
  value *= step.multiplier;
  if (step.align && value % 4 !== 0) value += 4 - (value % 4);
  value += step.postOffset;
  const base = step.fromBeginning ? 0 : step.fromEnd ? ctx.len : at + count;
  // A jump before the start of the buffer lands on it, as in Suricata; one behind its end is no match.
  const target = Math.max(0, base + value);
  if (target >= ctx.len) return NO_MATCH;
  ctx.cursor = target;
  return MATCH;
}

function byteExtract(ctx: InspectContext, step: ByteExtractStep): number {
  const at = (step.relative ? ctx.cursor : 0) + step.offset;
  if (at < 0 || at + step.bytes > ctx.len) return NO_MATCH;
  if (!readNumber(ctx, step.format, ctx.off + at, step.bytes)) return NO_MATCH;
  let hi = ctx.valueHi;
  let lo = ctx.valueLo;
  if (step.multiplier !== 1) {
    const low = lo * step.multiplier;
    hi = (hi * step.multiplier + Math.floor(low / 0x1_0000_0000)) >>> 0;
    lo = low % 0x1_0000_0000;
  }
  if (step.align !== 0 && lo % step.align !== 0) {
    lo += step.align - (lo % step.align);
    if (lo >= 0x1_0000_0000) {
      lo = 0;
      hi = (hi + 1) >>> 0;
    }
  }
  ctx.varHi[step.variable] = hi;
  ctx.varLo[step.variable] = lo;
  ctx.cursor = at + step.bytes;
  return MATCH;
}

/** 64-bit arithmetic that wraps; rare enough for BigInt, which keeps it exact. */
function byteMath(ctx: InspectContext, step: ByteMathStep): number {
  const offset = step.offsetVar >= 0 ? ctx.variable(step.offsetVar) : step.offset;
  const count = step.bytesVar >= 0 ? ctx.variable(step.bytesVar) : step.bytes;
  const at = (step.relative ? ctx.cursor : 0) + offset;
  if (at < 0 || at + count > ctx.len) return NO_MATCH;
  if (!readNumber(ctx, step.format, ctx.off + at, count)) return NO_MATCH;
  if (step.hasMask && step.format.radix !== 0) applyMask(ctx, step.maskHi, step.maskLo);
  const left = (BigInt(ctx.valueHi) << 32n) | BigInt(ctx.valueLo);
  const right =
    step.operandVar >= 0 ? (BigInt(ctx.varHi[step.operandVar]!) << 32n) | BigInt(ctx.varLo[step.operandVar]!) : BigInt(step.operand);
  let value: bigint;
  switch (step.operator) {
    case MathOp.ADD:
      value = left + right;
      break;
    case MathOp.SUB:
      value = left - right;
      break;
    case MathOp.MUL:
      value = left * right;
      break;
    case MathOp.DIV:
      if (right === 0n) return NO_MATCH;
      value = left / right;
      break;
    case MathOp.SHL:
      value = right >= 64n ? 0n : left << right;
      break;
    default:
      value = right >= 64n ? 0n : left >> right;
  }
  value = BigInt.asUintN(64, value);
  ctx.valueHi = Number(value >> 32n);
  ctx.valueLo = Number(value & MASK32);
  if (step.hasMask && step.format.radix === 0) applyMask(ctx, step.maskHi, step.maskLo);
  ctx.varHi[step.variable] = ctx.valueHi;
  ctx.varLo[step.variable] = ctx.valueLo;
  ctx.cursor = at + count;
  return MATCH;
}

function isDataAt(ctx: InspectContext, step: IsDataAtStep): number {
  const at = step.atVar >= 0 ? ctx.variable(step.atVar) : step.at;
  const there = step.relative ? ctx.cursor + at <= ctx.len : at < ctx.len;
  if (there !== step.negated) return MATCH;
  return step.relative || step.atVar >= 0 ? NO_MATCH : GIVE_UP;
}

/** Size of the whole buffer: of one that still grows only a lower bound is known. */
function size(ctx: InspectContext, step: SizeStep): number {
  if (!ctx.complete && !step.test.settledBelow(ctx.position + ctx.len)) return NO_MATCH;
  return step.test.matches(ctx.position + ctx.len) ? MATCH : GIVE_UP;
}

function asn1(ctx: InspectContext, step: Asn1Step): number {
  const at = (step.relative ? ctx.cursor : 0) + step.offset;
  if (at >= ctx.len) return step.relative ? NO_MATCH : GIVE_UP;
  if (findsBadElement(ctx.buf, ctx.off + at, ctx.off + ctx.len, step)) return MATCH;
  return step.relative ? NO_MATCH : GIVE_UP;
}

/** A set keeps whole values: of a buffer that still grows nothing is asked. */
function dataset(ctx: InspectContext, step: DatasetStep): number {
  if (!ctx.complete || ctx.position !== 0) return NO_MATCH;
  const { set } = step;
  switch (step.command) {
    case DatasetCommand.SET:
      return set.add(ctx.buf, ctx.off, ctx.len, 0) ? MATCH : NO_MATCH;
    case DatasetCommand.UNSET:
      return set.remove(ctx.buf, ctx.off, ctx.len) ? MATCH : NO_MATCH;
    case DatasetCommand.ISSET:
      return set.find(ctx.buf, ctx.off, ctx.len) >= 0 ? MATCH : NO_MATCH;
    case DatasetCommand.ISNOTSET:
      return set.find(ctx.buf, ctx.off, ctx.len) < 0 ? MATCH : NO_MATCH;
    default: {
      const row = set.find(ctx.buf, ctx.off, ctx.len);
      return row >= 0 && step.reputation!.matches(set.reputation(row)) ? MATCH : NO_MATCH;
    }
  }
}
