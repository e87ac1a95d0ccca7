/** Values of `pcre`: `!"/expression/modifiers, capture"`, or `"m#expression#modifiers"` with any delimiter. */
import { openingQuote, type ValueProblem } from './content.js';
import { isEscaped, skipBlanks, trimmed } from './lexer.js';

const SPACE = 0x20;
const BANG = 0x21;
const QUOTE = 0x22;
const COMMA = 0x2c;
const SLASH = 0x2f;
const LETTER_M = 0x6d;

export interface PcrePayload {
  readonly kind: 'pcre';
  readonly negated: boolean;
  /** Between the delimiters, untouched. */
  readonly expression: string;
  /** Letters after the closing delimiter. */
  readonly modifiers: string;
  /** What follows a comma after the modifiers: capture targets such as `flow:name`. */
  readonly captures: readonly string[];
}

const FORMS = ['"/expression/modifiers"', '!"/expression/modifiers"', '"m#expression#modifiers"'];

/** Checks a pcre value; null when it is well-formed. */
export function checkPcre(value: string): ValueProblem | null {
  const parts = splitPcre(value);
  return parts.kind === 'parts' ? null : parts;
}

/** Splits a pcre value. Cannot fail on the value of a parsed rule's `pcre`; on other text it returns the problem. */
export function decodePcre(value: string): PcrePayload | ValueProblem {
  const parts = splitPcre(value);
  if (parts.kind !== 'parts') return parts;
  const [modifiers = '', ...captures] = value.slice(parts.close + 1, parts.end).split(',').map((item) => trimmed(item));
  return {
    kind: 'pcre', negated: value.charCodeAt(0) === BANG, expression: value.slice(parts.start, parts.close), modifiers, captures,
  };
}

interface PcreParts {
  readonly kind: 'parts';
  /** First byte of the expression. */
  readonly start: number;
  /** The closing delimiter. */
  readonly close: number;
  /** One past the modifiers and captures. */
  readonly end: number;
}

/**
 * The closing quote is the last byte of the value and the closing delimiter the last unescaped one before it, since
 * both may occur unescaped within an expression (`"/a="b/c"/U"`), as Suricata reads it. The quotes may be left out.
 */
function splitPcre(value: string): PcreParts | ValueProblem {
  const open = openingQuote(value);
  let start = open + 1;
  let end = value.length;
  if (open < 0) {
    if (value.charCodeAt(0) === BANG) start = skipBlanks(value, 1, end);
  } else {
    end -= 1;
    if (end === open || value.charCodeAt(end) !== QUOTE) {
      return {
        kind: 'unbalanced-quote', at: open, token: value.slice(open),
        message: 'these quotes are not closed before the ";" (a ";" inside an expression is written "\\;")', accepted: ['"'],
      };
    }
  }
  const bodyAt = start;
  if (value.charCodeAt(start) === LETTER_M) start += 1;
  const delimiter = value.charCodeAt(start);
  if (start >= end || (delimiter !== SLASH && (start === bodyAt || !isPunctuation(delimiter)))) {
    return badPcre(bodyAt, value.slice(bodyAt, end), 'the expression has to start with "/"');
  }
  start += 1;
  let close = end - 1;
  while (close >= start && !(value.charCodeAt(close) === delimiter && !isEscaped(value, close, start))) close -= 1;
  if (close < start) return badPcre(start - 1, value.slice(start - 1, end), 'the closing delimiter is missing');
  for (let at = close + 1; at < end && value.charCodeAt(at) !== COMMA; at += 1) {
    const code = value.charCodeAt(at);
    if (!isLetter(code) && code !== SPACE) return badPcre(at, value.charAt(at), 'modifiers are letters');
  }
  return { kind: 'parts', start, close, end };
}

function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

function isPunctuation(code: number): boolean {
  return code > SPACE && code < 0x7f && !isLetter(code) && !(code >= 0x30 && code <= 0x39);
}

function badPcre(at: number, token: string, reason: string): ValueProblem {
  return { kind: 'bad-pcre', at, token, message: `bad regular expression: ${reason}`, accepted: FORMS };
}
