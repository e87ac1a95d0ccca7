/**
 * A regular expression as a tree of what it matches, byte by byte: for questions about the expression itself. Captures, laziness
 * and possessiveness are forgotten, since they do not change whether something matches (possessive and atomic parts match less
 * than their plain form: the tree may match too much, never too little).
 */
import { ByteSet } from './byte-set.js';

/** Thrown inside for syntax this reader does not know; such an expression has no needed bytes. */
class UnknownSyntax extends Error {}

/** Option bits of an expression that change which bytes a part matches. */
interface Flags {
  readonly caseless: boolean;
}

/** A part of an expression. */
export type Node =
  /** One byte of the set. */
  | { readonly kind: 'set'; readonly set: ByteSet }
  /** Parts one after another; none: the empty text. */
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'alternatives'; readonly branches: readonly Node[] }
  /** `max` is Infinity when there is no limit. */
  | { readonly kind: 'repeat'; readonly part: Node; readonly min: number; readonly max: number }
  /** ^ $ \b and their kin, as written. */
  | { readonly kind: 'assertion'; readonly text: string }
  /** A look-around, of which only is known that it matches no bytes. */
  | { readonly kind: 'look' };

export const EMPTY: Node = { kind: 'sequence', parts: [] };

/** @returns null for syntax that this reader does not know */
export function parseRegex(expression: string, caseless = false): Node | null {
  try {
    const reader = new Reader(expression);
    const tree = reader.alternatives({ caseless });
    reader.expectEnd();
    return tree;
  } catch (error) {
    if (error instanceof UnknownSyntax) return null;
    throw error;
  }
}

const ESCAPED_SETS: Readonly<Record<string, ByteSet>> = {
  d: ByteSet.of('0-9'),
  w: ByteSet.of('0-9A-Za-z_'),
  s: ByteSet.of('\t-\r '),
  h: ByteSet.of('\t \xa0'),
  v: ByteSet.of('\n-\r\x85'),
};
const CONTROL: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, e: 0x1b, a: 0x07 };
const POSIX: Readonly<Record<string, ByteSet>> = {
  alnum: ByteSet.of('0-9A-Za-z'),
  alpha: ByteSet.of('A-Za-z'),
  blank: ByteSet.of('\t '),
  cntrl: ByteSet.of('\0-\x1f\x7f'),
  digit: ByteSet.of('0-9'),
  graph: ByteSet.of('!-~'),
  lower: ByteSet.of('a-z'),
  print: ByteSet.of(' -~'),
  punct: ByteSet.of('!-/:-@[-`{-~'),
  space: ByteSet.of('\t-\r '),
  upper: ByteSet.of('A-Z'),
  word: ByteSet.of('0-9A-Za-z_'),
  xdigit: ByteSet.of('0-9A-Fa-f'),
};

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  expectEnd(): void {
    if (this.#at < this.#text.length) throw new UnknownSyntax();
  }

  /** a|b|c up to the end or a closing parenthesis. Flags set in a branch hold for those behind it as well. */
  alternatives(outer: Flags): Node {
    let flags = outer;
    const branches: Node[] = [];
    for (;;) {
      const branch = this.#sequence(flags);
      flags = branch.flags;
      branches.push(branch.node);
      if (this.#text[this.#at] !== '|') return branches.length === 1 ? branches[0]! : { kind: 'alternatives', branches };
      this.#at++;
    }
  }

  #sequence(outer: Flags): { readonly node: Node; readonly flags: Flags } {
    let flags = outer;
    const parts: Node[] = [];
    for (;;) {
      const c = this.#text[this.#at];
      if (c === undefined || c === '|' || c === ')') {
        return { node: parts.length === 0 ? EMPTY : parts.length === 1 ? parts[0]! : { kind: 'sequence', parts }, flags };
      }
      const set = this.#flagSetting(flags);
      if (set === null) parts.push(this.#quantified(this.#part(flags)));
      else flags = set;
    }
  }

  /** (?i) and the like in the middle. */
  #flagSetting(flags: Flags): Flags | null {
    const setting = /^\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?\)/.exec(this.#ahead());
    if (setting === null) return null;
    this.#at += setting[0].length;
    return withFlags(flags, setting[1]!, setting[2] ?? '');
  }

  #part(flags: Flags): Node {
    const c = this.#text[this.#at++]!;
    switch (c) {
      case '^':
      case '$':
        return { kind: 'assertion', text: c };
      case '.':
        return { kind: 'set', set: ByteSet.ALL };
      case '(':
        return this.#group(flags);
      case '[':
        return { kind: 'set', set: this.#class(flags) };
      case '\\':
        return this.#escape(flags);
      case '*':
      case '+':
      case '?':
        throw new UnknownSyntax();
      default:
        return { kind: 'set', set: literal(c.charCodeAt(0), flags) };
    }
  }

  /** Behind the opening parenthesis. */
  #group(flags: Flags): Node {
    const opening = /^(?:\?(?:([a-zA-Z]*)(?:-([a-zA-Z]+))?:|P?<([A-Za-z_]\w*)>|'\w+'|([=!>|#]|<[=!])))?/.exec(this.#ahead())!;
    const [text, on = '', off = '', , special] = opening;
    if (text === '' && /^[?*]/.test(this.#ahead())) throw new UnknownSyntax();
    // branch reset counts groups, a comment is no expression
    if (special === '|' || special === '#') throw new UnknownSyntax();
    this.#at += text.length;
    const node = this.alternatives(withFlags(flags, on, off));
    if (this.#text[this.#at++] !== ')') throw new UnknownSyntax();
    return special === undefined || special === '>' ? node : { kind: 'look' };
  }

  /** The part with the quantifier at this place, if there is one. */
  #quantified(part: Node): Node {
    const quantifier = /^(?:[*+?]|\{(\d*)(?:(,)(\d*))?\})[?+]?/.exec(this.#ahead());
    if (quantifier === null) return part;
    const [text, low, comma, high] = quantifier;
    if (low === '' && (high ?? '') === '') return part;
    // {,3} is text before PCRE2 10.43 and a quantifier since: nothing is known
    if (low === '') throw new UnknownSyntax();
    this.#at += text.length;
    switch (text[0]) {
      case '*':
        return { kind: 'repeat', part, min: 0, max: Infinity };
      case '+':
        return { kind: 'repeat', part, min: 1, max: Infinity };
      case '?':
        return { kind: 'repeat', part, min: 0, max: 1 };
      default:
        return { kind: 'repeat', part, min: Number(low), max: comma === undefined ? Number(low) : high === '' ? Infinity : Number(high) };
    }
  }

  /** Behind a backslash outside of a class. */
  #escape(flags: Flags): Node {
    const c = this.#text[this.#at];
    if (c === undefined || /[1-9CEGKQRXcgkopNPuUlL]/.test(c)) throw new UnknownSyntax();
    if (/[bBAzZ]/.test(c)) {
      this.#at++;
      return { kind: 'assertion', text: `\\${c}` };
    }
    return { kind: 'set', set: this.#escapedSet() ?? literal(this.#escapedByte(), flags) };
  }

  /** \d and the like, null when the escape is none of them. */
  #escapedSet(): ByteSet | null {
    const c = this.#text[this.#at]!;
    const set = ESCAPED_SETS[c.toLowerCase()];
    if (set === undefined || c === 'n') return null;
    this.#at++;
    return c === c.toLowerCase() ? set : set.complement();
  }

  /** An escape that stands for one byte. */
  #escapedByte(): number {
    const c = this.#text[this.#at++]!;
    if (c === 'x') {
      const digits = /^(?:\{([0-9a-fA-F]{1,2})\}|([0-9a-fA-F]{1,2}))/.exec(this.#ahead());
      if (digits === null) throw new UnknownSyntax();
      this.#at += digits[0].length;
      return Number.parseInt(digits[1] ?? digits[2]!, 16);
    }
    if (c === '0') {
      const digits = /^[0-7]{0,2}/.exec(this.#ahead())![0];
      this.#at += digits.length;
      return Number.parseInt(`0${digits}`, 8);
    }
    const control = CONTROL[c];
    if (control !== undefined) return control;
    if (/[0-9A-Za-z]/.test(c)) throw new UnknownSyntax();
    return c.charCodeAt(0);
  }

  /** Behind the opening bracket. */
  #class(flags: Flags): ByteSet {
    const negated = this.#text[this.#at] === '^';
    if (negated) this.#at++;
    let set = ByteSet.NONE;
    for (let first = true; ; first = false) {
      const c = this.#text[this.#at];
      if (c === undefined) throw new UnknownSyntax();
      if (c === ']' && !first) break;
      const low = this.#classItem();
      if (typeof low !== 'number') {
        set = set.union(low);
        continue;
      }
      const isRange = this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']' && this.#text[this.#at + 1] !== undefined;
      if (!isRange) {
        set = set.union(literal(low, flags));
        continue;
      }
      this.#at++;
      const high = this.#classItem();
      // "a-\d": the hyphen is itself
      if (typeof high !== 'number') set = set.union(literal(low, flags)).union(literal(0x2d, flags)).union(high);
      else for (let byte = low; byte <= high; byte++) set = set.union(literal(byte, flags));
    }
    this.#at++;
    return negated ? set.complement() : set;
  }

  /** One byte or a set inside a class. */
  #classItem(): number | ByteSet {
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(this.#ahead());
    if (posix !== null) {
      const set = POSIX[posix[2]!];
      if (set === undefined) throw new UnknownSyntax();
      this.#at += posix[0].length;
      return posix[1] === '^' ? set.complement() : set;
    }
    const c = this.#text[this.#at++]!;
    if (c !== '\\') return c.charCodeAt(0);
    if (this.#text[this.#at] === 'b') {
      this.#at++;
      return 0x08;
    }
    if (/[1-9CEGKQRXcgkopNPuUlL]/.test(this.#text[this.#at] ?? '1')) throw new UnknownSyntax();
    return this.#escapedSet() ?? this.#escapedByte();
  }

  /** Enough of what follows for the short lexical patterns above. */
  #ahead(): string {
    return this.#text.slice(this.#at, this.#at + 64);
  }
}

function withFlags(flags: Flags, on: string, off: string): Flags {
  // x changes what blanks mean, other letters nothing about bytes
  if (on.includes('x')) throw new UnknownSyntax();
  if (!on.includes('i') && !off.includes('i')) return flags;
  return { caseless: on.includes('i') };
}

function literal(byte: number, flags: Flags): ByteSet {
  const single = ByteSet.single(byte);
  const lower = byte | 0x20;
  return flags.caseless && lower >= 0x61 && lower <= 0x7a && byte < 0x80 ? single.union(ByteSet.single(byte ^ 0x20)) : single;
}
