/** Which literal a rule is looked for by. */
import { FastPattern, type ContentStep, type Step, OP_CONTENT } from './match/step.js';
import { LOWER } from './match/search.js';
import type { FastPatternChoice } from './rule.js';

/** Longer literals make the database larger and the search no more selective. Of longer ones the end is taken: rules begin alike. */
const MAX_PATTERN = 64;

/** Buffers whose contents are much alike in all traffic: a pattern there is worth little. */
const COMMON_BUFFERS = new Set(['http.method', 'http.stat_code', 'http.stat_msg', 'http.protocol', 'http.connection', 'http.accept', 'http.accept_enc', 'http.accept_lang', 'http.content_type', 'http.content_len', 'http.header_names']);
const COMMON_PENALTY = 0.3;

/** One place contents may stand, by the key of its bytes. */
export interface PatternPlace {
  readonly key: string;
  readonly buffer: string;
  readonly steps: readonly Step[];
}

/** How rare a byte string is likely to be: length and variety count, zeroes and blanks little. */
export function strength(bytes: Uint8Array): number {
  let score = 0;
  const seen = new Set<number>();
  for (const raw of bytes) {
    const byte = LOWER[raw]!;
    if (seen.has(byte)) score += 1;
    else if (byte === 0 || byte === 1 || byte === 0xff || byte === 0x20 || byte === 0x0d || byte === 0x0a) score += 2;
    else if (byte >= 0x61 && byte <= 0x7a) score += 3;
    else if (byte < 0x7f) score += 4;
    else score += 6;
    seen.add(byte);
  }
  return score;
}

function usable(step: Step): step is ContentStep {
  return step.op === OP_CONTENT && !(step as ContentStep).negated;
}

/** The content the rule asks for, else the strongest; null when there is none. */
export function chooseFastPattern(places: readonly PatternPlace[]): FastPatternChoice | null {
  let best: FastPatternChoice | null = null;
  let bestScore = -1;
  for (const { key, buffer, steps } of places) {
    for (const step of steps) {
      if (!usable(step)) continue;
      const explicit = step.fastPattern !== FastPattern.NONE;
      const all = step.bytes;
      const bytes = step.chopLength >= 0 ? all.subarray(step.chopOffset, step.chopOffset + step.chopLength) : all.subarray(Math.max(0, all.length - MAX_PATTERN));
      const score = explicit ? Number.MAX_VALUE : strength(bytes) * (COMMON_BUFFERS.has(buffer) ? COMMON_PENALTY : 1);
      if (score > bestScore) {
        bestScore = score;
        best = { buffer: key, bytes, nocase: step.nocase, explicit };
      }
    }
  }
  return best;
}
