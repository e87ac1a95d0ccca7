/** Values of `pcre`: `!"/expression/modifiers, capture"`, or `"m#expression#modifiers"` with any delimiter. */
import { openingQuote, type ValueProblem } from './content.js';
import { isEscaped } from './lexer.js';

const BANG = 0x21;
const QUOTE = 0x22;
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

const FORMS = ['"/expression/modifiers"', '!"/expression/modifiers"'];

/** Checks a pcre value; null when it is well-formed. */
export function checkPcre(value: string): ValueProblem | null {
  const parts = splitPcre(value);
  return parts.kind === 'parts' ? null : parts;
}

/** Splits a pcre value. Cannot fail on the value of a parsed rule's `pcre`; on other text it returns the problem. */
export function decodePcre(value: string): PcrePayload | ValueProblem {
  const parts = splitPcre(value);
  if (parts.kind !== 'parts') return parts;
  const [modifiers = '', ...captures] = value.slice(parts.close + 1, value.length - 1).split(',').map((item) => item.trim());
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
}

/**
 * The closing quote is the last byte of the value and the closing delimiter the last unescaped one before it, since
 * both may occur unescaped within an expression (`"/a="b/c"/U"`), as Suricata reads it.
 */
function splitPcre(value: string): PcreParts | ValueProblem {
  const open = openingQuote(value);
  if (open < 0) return badPcre(0, value, 'the expression has to be quoted');
  const last = value.length - 1;
  if (last === open || value.charCodeAt(last) !== QUOTE) {
    return {
      kind: 'unbalanced-quote', at: open, token: value.slice(open),
      message: 'these quotes are not closed before the ";" (a ";" inside an expression is written "\\;")', accepted: ['"'],
    };
  }
  let start = open + 1;
  let delimiter = value.charCodeAt(start);
  if (delimiter === LETTER_M) {
    start += 1;
    delimiter = value.charCodeAt(start);
  }
  const plain = (delimiter | 0x20) < 0x61 || (delimiter | 0x20) > 0x7a;
  if (start >= last || !(delimiter === SLASH || (value.charCodeAt(start - 1) === LETTER_M && plain && delimiter > 0x20))) {
    return badPcre(open + 1, value.slice(open + 1, last), 'the expression has to start with "/"');
  }
  start += 1;
  let close = last - 1;
  while (close >= start && !(value.charCodeAt(close) === delimiter && !isEscaped(value, close, start))) close -= 1;
  if (close < start) return badPcre(start - 1, value.slice(start - 1, last), 'the closing delimiter is missing');
  for (let at = close + 1; at < last; at += 1) {
    const code = value.charCodeAt(at);
    if (code === 0x2c) break;
    const letter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
    if (!letter && code !== 0x20) return badPcre(at, value.charAt(at), 'modifiers are letters');
  }
  return { kind: 'parts', start, close };
}

function badPcre(at: number, token: string, reason: string): ValueProblem {
  return { kind: 'bad-pcre', at, token, message: `bad regular expression: ${reason}`, accepted: FORMS };
}
