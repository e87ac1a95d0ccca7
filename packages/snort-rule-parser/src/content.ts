/** Patterns of `content` and its kin: `!"abc|0d 0a|\"d"`, with Snort 3's trailing `,nocase,depth 5`. */
import { isBlank, skipBlanks, trimmed } from './lexer.js';

const BANG = 0x21;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;
const PIPE = 0x7c;

/** `depth 5` after a Snort 3 pattern; `value` is null for a bare word. */
export interface ContentModifier {
  readonly name: string;
  readonly value: string | null;
}

export interface ContentPayload {
  readonly kind: 'content';
  readonly negated: boolean;
  /** The pattern, at least one byte. */
  readonly bytes: Uint8Array;
  /** Empty unless the rule uses Snort 3's comma form. */
  readonly modifiers: readonly ContentModifier[];
}

/** Why a value is malformed; `at` counts from its start. */
export interface ValueProblem {
  readonly kind: 'bad-content' | 'bad-pcre' | 'unbalanced-quote' | 'missing-semicolon';
  readonly at: number;
  readonly token: string;
  readonly message: string;
  readonly accepted: readonly string[];
}

/** Where the parts of `!"body" rest` lie in a value. */
export interface QuotedParts {
  readonly negated: boolean;
  /** First byte inside the quotes. */
  readonly start: number;
  /** The closing quote. */
  readonly end: number;
}

const ESCAPES = ['\\"', '\\;', '\\:', '\\\\', '|7C| for a pipe'];
const HEX_PAIRS = ['pairs of hexadecimal digits, separated by spaces'];

/** Index of the opening quote of a value that is quoted text, perhaps after `!`; -1 when it is not. */
export function openingQuote(value: string): number {
  let at = 0;
  if (value.charCodeAt(0) === BANG) at = skipBlanks(value, 1, value.length);
  return value.charCodeAt(at) === QUOTE ? at : -1;
}

/** First `"` at or after `at` that no backslash escapes, or -1. */
export function closingQuote(value: string, at: number): number {
  for (; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code === BACKSLASH) at += 1;
    else if (code === QUOTE) return at;
  }
  return -1;
}

/**
 * Splits `!"body" , rest`. The quotes must close, and only a comma list may follow them: anything else means that a
 * `;` or a backslash was forgotten, which Suricata would silently take into the value.
 */
export function splitQuoted(value: string): QuotedParts | ValueProblem {
  const open = openingQuote(value);
  const close = closingQuote(value, open + 1);
  if (close < 0) {
    return {
      kind: 'unbalanced-quote', at: open, token: value.slice(open),
      message: 'these quotes are not closed before the ";" (a ";" inside quotes is written "\\;")', accepted: ['"'],
    };
  }
  const rest = skipBlanks(value, close + 1, value.length);
  if (rest < value.length && value.charCodeAt(rest) !== COMMA) {
    return {
      kind: 'missing-semicolon', at: rest, token: value.slice(rest),
      message: 'text after the closing quote: a ";" is missing, or a quote inside the value is not escaped',
      accepted: [';', ',', '\\"'],
    };
  }
  return { negated: value.charCodeAt(0) === BANG, start: open + 1, end: close };
}

/** Checks a content value; null when it is well-formed. Allocates nothing for good input but the parts. */
export function checkContent(value: string): ValueProblem | null {
  if (openingQuote(value) < 0) return notQuoted(value);
  const parts = splitQuoted(value);
  if ('kind' in parts) return parts;
  const length = scanPattern(value, parts.start, parts.end, null);
  if (typeof length !== 'number') return length;
  if (length === 0) return badContent(parts.start - 1, value, 'the pattern is empty', ['at least one byte']);
  return null;
}

/**
 * Decodes a content value, such as `!"a|00 01|b"`. Cannot fail on the value of a parsed rule's `content`; on other
 * text it returns the problem.
 */
export function decodeContent(value: string): ContentPayload | ValueProblem {
  if (openingQuote(value) < 0) return notQuoted(value);
  const parts = splitQuoted(value);
  if ('kind' in parts) return parts;
  const scratch = new Uint8Array(parts.end - parts.start);
  const length = scanPattern(value, parts.start, parts.end, scratch);
  if (typeof length !== 'number') return length;
  if (length === 0) return badContent(parts.start - 1, value, 'the pattern is empty', ['at least one byte']);
  return {
    kind: 'content',
    negated: parts.negated,
    bytes: length === scratch.length ? scratch : scratch.slice(0, length),
    modifiers: splitModifiers(value, parts.end + 1),
  };
}

/** Writes bytes as a quoted pattern that decodes to the same bytes; the printable stay, the rest go to hex. */
export function encodeContent(bytes: Uint8Array): string {
  let out = '"';
  let hex = false;
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== PIPE && byte !== QUOTE && byte !== SEMICOLON
      && byte !== COLON && byte !== BACKSLASH;
    if (plain) {
      out += (hex ? '|' : '') + String.fromCharCode(byte);
    } else {
      out += (hex ? ' ' : '|') + byte.toString(16).padStart(2, '0').toUpperCase();
    }
    hex = !plain;
  }
  return `${out}${hex ? '|' : ''}"`;
}

/** Decodes `value[start, end)` into `out` when there is one; the number of bytes, or the problem. */
function scanPattern(value: string, start: number, end: number, out: Uint8Array | null): number | ValueProblem {
  let length = 0;
  for (let at = start; at < end; at += 1) {
    let code = value.charCodeAt(at);
    if (code === PIPE) {
      const open = at;
      let high = -1;
      for (at += 1; ; at += 1) {
        if (at >= end) return badContent(open, value.slice(open, end), 'a "|" without its partner', ['|']);
        code = value.charCodeAt(at);
        if (code === PIPE) break;
        if (isBlank(code)) {
          if (high >= 0) return badContent(at - 1, value.slice(at - 1, at), 'a lone hex digit', HEX_PAIRS);
          continue;
        }
        const digit = hexDigit(code);
        if (digit < 0) return badContent(at, value.charAt(at), 'not a hex digit', HEX_PAIRS);
        if (high < 0) {
          high = digit;
        } else {
          if (out !== null) out[length] = high * 16 + digit;
          length += 1;
          high = -1;
        }
      }
      if (high >= 0) return badContent(at - 1, value.slice(at - 1, at), 'a lone hex digit', HEX_PAIRS);
      continue;
    }
    if (code === BACKSLASH) {
      at += 1;
      code = value.charCodeAt(at);
      if (code !== QUOTE && code !== SEMICOLON && code !== COLON && code !== BACKSLASH) {
        return badContent(at - 1, value.slice(at - 1, at + 1), 'this character cannot be escaped', ESCAPES);
      }
    }
    if (out !== null) out[length] = code;
    length += 1;
  }
  return length;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function splitModifiers(value: string, at: number): ContentModifier[] {
  const rest = trimmed(value, at);
  if (rest === '') return [];
  return rest.slice(1).split(',').map((item) => {
    const text = trimmed(item);
    const gap = text.search(/[ \t]/);
    return gap < 0 ? { name: text, value: null } : { name: text.slice(0, gap), value: trimmed(text, gap) };
  });
}

function notQuoted(value: string): ValueProblem {
  return badContent(0, value, 'the pattern has to be quoted', ['"pattern"', '!"pattern"']);
}

function badContent(at: number, token: string, reason: string, accepted: readonly string[]): ValueProblem {
  return { kind: 'bad-content', at, token, message: `bad content pattern: ${reason}`, accepted };
}
