/**
 * Folding: reduces a stream of SQL tokens to the first five that matter. Constant expressions, lists, unary operators, type
 * names and empty nesting disappear, so that the infinitely many ways to write one injection share few fingerprints.
 */
import { MAX_TOKEN_TEXT, SqlToken, SqlType as T } from './sqli-token.js';
import type { SqlTokenizer } from './sqli-tokenizer.js';
import { lookupWord } from './sqli-words.js';

/** Longest fingerprint. */
export const MAX_TOKENS = 5;

/** Names that are columns or variables by themselves and functions before a parenthesis. */
const CALLABLE_NAMES: ReadonlySet<string> = new Set([
  'USER_ID', 'USER_NAME', 'DATABASE', 'PASSWORD', 'USER', 'CURRENT_USER', 'CURRENT_DATE', 'CURRENT_TIME', 'CURRENT_TIMESTAMP', 'LOCALTIME',
  'LOCALTIMESTAMP',
]);

/** First words of phrases such as "UNION ALL". */
function beginsPhrase(type: number): boolean {
  switch (type) {
    case T.KEYWORD:
    case T.BAREWORD:
    case T.OPERATOR:
    case T.UNION:
    case T.FUNCTION:
    case T.EXPRESSION:
    case T.TSQL:
    case T.SQLTYPE:
      return true;
    default:
      return false;
  }
}

function isWordOrNumber(type: number): boolean {
  return type === T.BAREWORD || type === T.NUMBER;
}

/** Word, number, variable or string: a value as far as one token can show. */
function isValue(type: number): boolean {
  return isWordOrNumber(type) || type === T.VARIABLE || type === T.STRING;
}

export class SqlFolder {
  /** One more than needed for five, since the token after the fifth can still change it, and one to read into. */
  readonly tokens: readonly SqlToken[];
  readonly #slots: SqlToken[];
  #comment = new SqlToken();
  #hasComment = false;
  #source: SqlTokenizer;
  #more = true;
  /** Tokens held. */
  #held = 0;
  /** Tokens before this one are settled. */
  #left = 0;

  constructor(source: SqlTokenizer) {
    this.#source = source;
    this.#slots = Array.from({ length: MAX_TOKENS + 3 }, () => new SqlToken());
    this.tokens = this.#slots;
  }

  /** Read the whole source. @returns how many of `tokens` are valid, at most MAX_TOKENS */
  fold(): number {
    this.#hasComment = false;
    this.#more = true;
    this.#held = 0;
    this.#left = 0;
    if (!this.#skipPrefix()) return 0;
    for (;;) {
      if (this.#held >= MAX_TOKENS) this.#restartKnownPattern();
      if (!this.#more || this.#left >= MAX_TOKENS) {
        this.#left = this.#held;
        break;
      }
      if (!this.#fill(2)) {
        this.#left = this.#held;
        continue;
      }
      if (this.#emptyNameInBraces()) {
        this.#slots[this.#left + 1]!.type = T.EVIL;
        return this.#left + 2;
      }
      if (this.#foldPair()) continue;
      if (!this.#fill(3)) {
        this.#left = this.#held;
        continue;
      }
      if (!this.#foldTriple()) this.#left++;
    }
    if (this.#left < MAX_TOKENS && this.#hasComment) {
      const slot = this.#slots[this.#left]!;
      this.#slots[this.#left] = this.#comment;
      this.#comment = slot;
      this.#left++;
    }
    return Math.min(this.#left, MAX_TOKENS);
  }

  /** Comments, opening parentheses, type names and unary operators at the beginning say nothing. */
  #skipPrefix(): boolean {
    const first = this.#slots[0]!;
    while (this.#source.next(first)) {
      if (first.type === T.COMMENT || first.type === T.LEFT_PARENTHESIS || first.type === T.SQLTYPE || first.isUnary) continue;
      this.#held = 1;
      return true;
    }
    return false;
  }

  /** Hold `wanted` tokens from #left on, as far as there are any and room for them. */
  #fill(wanted: number): boolean {
    while (this.#more && this.#held <= MAX_TOKENS && this.#held - this.#left < wanted) {
      const token = this.#slots[this.#held]!;
      this.#more = this.#source.next(token);
      if (!this.#more) break;
      if (token.type === T.COMMENT) {
        this.#slots[this.#held] = this.#comment;
        this.#comment = token;
        this.#hasComment = true;
      } else {
        this.#hasComment = false;
        this.#held++;
      }
    }
    return this.#held - this.#left >= wanted;
  }

  /** Five tokens that are themselves an expression, such as 1+(2): begin again from its first token. */
  #restartKnownPattern(): void {
    const [a, b, c, d, e] = this.#slots as [SqlToken, SqlToken, SqlToken, SqlToken, SqlToken];
    const isExpression =
      (a.type === T.NUMBER && (b.type === T.OPERATOR || b.type === T.COMMA) && c.type === T.LEFT_PARENTHESIS && d.type === T.NUMBER && e.type === T.RIGHT_PARENTHESIS) ||
      (a.type === T.BAREWORD && b.type === T.OPERATOR && c.type === T.LEFT_PARENTHESIS && isWordOrNumber(d.type) && e.type === T.RIGHT_PARENTHESIS) ||
      (a.type === T.NUMBER && b.type === T.RIGHT_PARENTHESIS && c.type === T.COMMA && d.type === T.LEFT_PARENTHESIS && e.type === T.NUMBER) ||
      (a.type === T.BAREWORD && b.type === T.RIGHT_PARENTHESIS && c.type === T.OPERATOR && d.type === T.LEFT_PARENTHESIS && e.type === T.BAREWORD);
    if (!isExpression) return;
    if (this.#held > MAX_TOKENS) {
      this.#swap(1, MAX_TOKENS);
      this.#held = 2;
    } else {
      this.#held = 1;
    }
    this.#left = 0;
  }

  /** {``.``.id}: valid in MySQL, and nothing but an attempt to hide. */
  #emptyNameInBraces(): boolean {
    const b = this.#slots[this.#left + 1]!;
    return this.#slots[this.#left]!.type === T.LEFT_BRACE && b.type === T.BAREWORD && b.text.length === 0;
  }

  /** @returns true when something changed: look at the tokens again */
  #foldPair(): boolean {
    const a = this.#slots[this.#left]!;
    const b = this.#slots[this.#left + 1]!;
    if ((a.type === T.STRING && b.type === T.STRING) || (a.type === T.SEMICOLON && b.type === T.SEMICOLON)) return this.#drop(1, this.#left);
    if ((a.type === T.OPERATOR || a.type === T.LOGIC) && (b.isUnary || b.type === T.SQLTYPE)) return this.#drop(1, 0);
    if (a.type === T.LEFT_PARENTHESIS && b.isUnary) return this.#drop(1, Math.max(0, this.#left - 1));
    if (mergeWords(a, b)) return this.#drop(1, Math.max(0, this.#left - 1));
    if (a.type === T.SEMICOLON && b.type === T.FUNCTION && isIf(b.text)) {
      b.type = T.TSQL;
      return true;
    }
    if ((a.type === T.BAREWORD || a.type === T.VARIABLE) && b.type === T.LEFT_PARENTHESIS && CALLABLE_NAMES.has(a.text.toUpperCase())) {
      a.type = T.FUNCTION;
      return true;
    }
    if (a.type === T.KEYWORD && isInOrNotIn(a.text)) {
      a.type = b.type === T.LEFT_PARENTHESIS ? T.OPERATOR : T.BAREWORD;
      return true;
    }
    if (a.type === T.OPERATOR && isLike(a.text)) {
      // "x LIKE y" is an operator, "LIKE(x, y)" a function
      if (b.type === T.LEFT_PARENTHESIS) a.type = T.FUNCTION;
      return false;
    }
    if (a.type === T.SQLTYPE && (isValue(b.type) || b.type === T.SQLTYPE || b.type === T.LEFT_PARENTHESIS || b.type === T.FUNCTION)) {
      this.#swap(this.#left, this.#left + 1);
      return this.#drop(1, 0);
    }
    if (a.type === T.COLLATE && b.type === T.BAREWORD) {
      // names of collations are too many to list, but have an underscore
      if (b.text.includes('_')) {
        b.type = T.SQLTYPE;
        this.#left = 0;
      }
      return false;
    }
    if (a.type === T.BACKSLASH) {
      // SQL Server reads "\%1" as 0%1 and "\1" as 1
      if (b.isArithmetic) {
        a.type = T.NUMBER;
        this.#left = 0;
        return true;
      }
      this.#swap(this.#left, this.#left + 1);
      return this.#drop(1, 0);
    }
    if ((a.type === T.LEFT_PARENTHESIS && b.type === T.LEFT_PARENTHESIS) || (a.type === T.RIGHT_PARENTHESIS && b.type === T.RIGHT_PARENTHESIS)) return this.#drop(1, 0);
    // {name expression} of ODBC is the expression
    if (a.type === T.LEFT_BRACE && b.type === T.BAREWORD) return this.#drop(2, 0);
    if (b.type === T.RIGHT_BRACE) return this.#drop(1, 0);
    return false;
  }

  /** @returns true when something changed: look at the tokens again */
  #foldTriple(): boolean {
    const left = this.#left;
    const a = this.#slots[left]!;
    const b = this.#slots[left + 1]!;
    const c = this.#slots[left + 2]!;
    if (a.type === T.NUMBER && b.type === T.OPERATOR && c.type === T.NUMBER) return this.#drop(2, 0);
    if (a.type === T.OPERATOR && b.type !== T.LEFT_PARENTHESIS && c.type === T.OPERATOR) return this.#drop(2, 0);
    if (a.type === T.LOGIC && c.type === T.LOGIC) return this.#drop(2, 0);
    if (a.type === T.VARIABLE && b.type === T.OPERATOR && (c.type === T.VARIABLE || isWordOrNumber(c.type))) return this.#drop(2, 0);
    if (isWordOrNumber(a.type) && b.type === T.OPERATOR && isWordOrNumber(c.type)) return this.#drop(2, 0);
    if (isValue(a.type) && b.type === T.OPERATOR && b.text === '::' && c.type === T.SQLTYPE) return this.#drop(2, 0);
    if (isValue(a.type) && b.type === T.COMMA && isValue(c.type)) return this.#drop(2, 0);
    if (b.isUnary) {
      const opensExpression = a.type === T.EXPRESSION || a.type === T.GROUP;
      if ((opensExpression || a.type === T.COMMA) && c.type === T.LEFT_PARENTHESIS) return this.#dropSecond(1);
      if ((opensExpression || a.type === T.KEYWORD) && (isValue(c.type) || c.type === T.FUNCTION)) return this.#dropSecond(1);
      // "1,-1": the comma goes as well, since "1,1" is a list
      if (a.type === T.COMMA && isValue(c.type)) return this.#dropSecond(3);
      if (a.type === T.COMMA && c.type === T.FUNCTION) return this.#dropSecond(1);
    }
    if (a.type === T.BAREWORD && b.type === T.DOT && c.type === T.BAREWORD) return this.#drop(2, 0);
    if (a.type === T.EXPRESSION && b.type === T.DOT && c.type === T.BAREWORD) return this.#dropSecond(1);
    // USER() takes no argument: with one it is somebody's own word
    if (a.type === T.FUNCTION && b.type === T.LEFT_PARENTHESIS && c.type !== T.RIGHT_PARENTHESIS && a.text.toUpperCase() === 'USER') a.type = T.BAREWORD;
    return false;
  }

  #drop(count: number, left: number): true {
    this.#held -= count;
    this.#left = left;
    return true;
  }

  /** Take out the token between two others. */
  #dropSecond(count: number): true {
    this.#swap(this.#left + 1, this.#left + 2);
    return this.#drop(count, 0);
  }

  #swap(i: number, j: number): void {
    const kept = this.#slots[i]!;
    this.#slots[i] = this.#slots[j]!;
    this.#slots[j] = kept;
  }
}

/** "UNION" "ALL" -> "UNION ALL" in the first token when the phrase is known. */
function mergeWords(a: SqlToken, b: SqlToken): boolean {
  if (!beginsPhrase(a.type) || !(beginsPhrase(b.type) || b.type === T.LOGIC)) return false;
  if (a.text.length + 1 + b.text.length > MAX_TOKEN_TEXT) return false;
  const phrase = `${a.text} ${b.text}`;
  const type = lookupWord(phrase);
  if (type === T.NONE) return false;
  a.type = type;
  a.text = phrase;
  return true;
}

function isIf(text: string): boolean {
  return text.length >= 2 && text.slice(0, 2).toUpperCase() === 'IF';
}

function isInOrNotIn(text: string): boolean {
  const upper = text.toUpperCase();
  return upper === 'IN' || upper === 'NOT IN';
}

function isLike(text: string): boolean {
  const upper = text.toUpperCase();
  return upper === 'LIKE' || upper === 'NOT LIKE';
}
