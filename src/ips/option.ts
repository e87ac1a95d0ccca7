/** The value of one rule option while a keyword reads it: pieces with their positions, numbers, faults. */
import type { RuleOption } from 'snort-rule-parser';
import { RuleRefused, type RefusalReason } from './refusal.js';

/** A piece of an option value; `at` is its offset in the value. */
export interface Arg {
  readonly text: string;
  readonly at: number;
}

export class OptionText {
  /** '' for a bare keyword. */
  readonly value: string;

  constructor(readonly option: RuleOption) {
    this.value = option.value ?? '';
  }

  get name(): string {
    return this.option.name;
  }

  /** Refuse the rule because of `arg` (null: because of the keyword itself). */
  fail(arg: Arg | null, message: string, accepted: readonly string[] = [], reason: RefusalReason = 'bad-value'): never {
    throw new RuleRefused(reason, this.option, arg === null ? -1 : arg.at, arg === null ? this.name : arg.text, message, accepted);
  }

  /** The whole value as one piece. */
  whole(): Arg {
    return { text: this.value, at: 0 };
  }

  /** Pieces between separators, blanks trimmed. An empty value gives no piece. */
  split(separator = ','): Arg[] {
    const out: Arg[] = [];
    if (this.value.trim() === '') return out;
    let start = 0;
    for (let i = 0; i <= this.value.length; i++) {
      if (i < this.value.length && this.value[i] !== separator) continue;
      out.push(trimArg({ text: this.value.slice(start, i), at: start }));
      start = i + 1;
    }
    return out;
  }

  /** Value without one pair of surrounding quotes. */
  unquoted(): Arg {
    const { value } = this;
    return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? { text: value.slice(1, -1), at: 1 } : this.whole();
  }

  /** Decimal, or hexadecimal with 0x; refused outside min..max. */
  integer(arg: Arg, min: number, max: number): number {
    const value = integerOf(arg.text);
    if (value === null || value < min || value > max) this.fail(arg, 'not a number in the accepted range', [`${min}..${max}`]);
    return value;
  }
}

/** Integer of a decimal or 0x text, null when it is none or not exact. */
export function integerOf(text: string): number | null {
  if (!/^[+-]?(?:\d+|0x[0-9a-f]+)$/i.test(text)) return null;
  const negative = text.startsWith('-');
  const value = Number(text.replace(/^[+-]/, ''));
  if (!Number.isSafeInteger(value)) return null;
  return negative ? -value : value;
}

export function trimArg(arg: Arg): Arg {
  const text = arg.text.trimStart();
  return { text: text.trimEnd(), at: arg.at + arg.text.length - text.length };
}

/** `word rest` split at the first blank. */
export function splitWord(arg: Arg): { word: string; rest: Arg } {
  const match = /^(\S+)\s*/.exec(arg.text);
  if (match === null) return { word: '', rest: arg };
  return { word: match[1]!, rest: { text: arg.text.slice(match[0].length), at: arg.at + match[0].length } };
}

/** How a number is compared; used by every keyword of the form `[op]n` or `n1<>n2`. */
export const Compare = { EQ: 0, NE: 1, LT: 2, LE: 3, GT: 4, GE: 5, RANGE: 6, NOT_RANGE: 7 } as const;

export class NumberTest {
  constructor(
    readonly mode: number,
    readonly a: number,
    readonly b: number,
  ) {}

  /** Is the answer already certain for a value that is at least `lower` and may still grow? Then `matches(lower)` gives it. */
  settledBelow(lower: number): boolean {
    switch (this.mode) {
      case Compare.GT:
        return lower > this.a;
      case Compare.GE:
        return lower >= this.a;
      case Compare.NE:
      case Compare.EQ:
      case Compare.LE:
        return lower > this.a;
      case Compare.LT:
        return lower >= this.a;
      case Compare.RANGE:
        return lower >= this.b;
      default:
        return lower > this.b;
    }
  }

  matches(value: number): boolean {
    switch (this.mode) {
      case Compare.EQ:
        return value === this.a;
      case Compare.NE:
        return value !== this.a;
      case Compare.LT:
        return value < this.a;
      case Compare.LE:
        return value <= this.a;
      case Compare.GT:
        return value > this.a;
      case Compare.GE:
        return value >= this.a;
      case Compare.RANGE:
        return value > this.a && value < this.b;
      default:
        return value < this.a || value > this.b;
    }
  }
}

const FORMS = ['n', '=n', '!n', '<n', '<=n', '>n', '>=n', 'n1<>n2'];

/**
 * `n`, `<n`, `>n`, `n1<>n2` (both ends exclusive, as Suricata compares), `!n`, ...
 * @param inclusive `n1<>n2` includes both ends (ttl and Snort's itype use `-`, which includes too)
 */
export function parseNumberTest(option: OptionText, arg: Arg, min: number, max: number, inclusive = false): NumberTest {
  const range = /^(\d+|0x[0-9a-f]+)\s*(<>|-)\s*(\d+|0x[0-9a-f]+)$/i.exec(arg.text);
  if (range !== null) {
    const a = option.integer({ text: range[1]!, at: arg.at }, min, max);
    const b = option.integer({ text: range[3]!, at: arg.at + arg.text.length - range[3]!.length }, min, max);
    if (a >= b) option.fail(arg, 'the range ends before it starts', ['low<>high']);
    return inclusive || range[2] === '-' ? new NumberTest(Compare.RANGE, a - 1, b + 1) : new NumberTest(Compare.RANGE, a, b);
  }
  const match = /^(<=|>=|!=|<|>|=|!)?\s*(.*)$/.exec(arg.text)!;
  const text = match[2]!;
  if (integerOf(text) === null) option.fail(arg, 'not a comparison with a number', FORMS);
  const n = option.integer({ text, at: arg.at + arg.text.length - text.length }, min, max);
  const modes: Readonly<Record<string, number>> = { '<': Compare.LT, '<=': Compare.LE, '>': Compare.GT, '>=': Compare.GE, '!': Compare.NE, '!=': Compare.NE, '=': Compare.EQ };
  return new NumberTest(modes[match[1] ?? '='] ?? Compare.EQ, n, 0);
}
