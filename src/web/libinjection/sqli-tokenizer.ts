/**
 * SQL as an attacker's fragment of it, for no database in particular: a tokeniser that never fails. It reads what ANSI SQL,
 * MySQL, PostgreSQL, SQL Server and Oracle accept between them; where they contradict each other the mode decides.
 */
import { lookupWord } from './sqli-words.js';
import { MAX_TOKEN_TEXT, SqlType, type SqlToken } from './sqli-token.js';

/** In which quotes the input is thought to begin. */
export const Quote = { NONE: '', SINGLE: "'", DOUBLE: '"' } as const;
export type QuoteContext = (typeof Quote)[keyof typeof Quote];

const C = {
  SPACE: 0x20, BANG: 0x21, HASH: 0x23, STAR: 0x2a, MINUS: 0x2d, DOT: 0x2e, SLASH: 0x2f, ZERO: 0x30, COLON: 0x3a, LESS: 0x3c, EQUALS: 0x3d,
  GREATER: 0x3e, AT: 0x40, BACKSLASH: 0x5c, BACKTICK: 0x60, SINGLE: 0x27, DOUBLE: 0x22, DOLLAR: 0x24, AMPERSAND: 0x26,
} as const;

/** What a token that starts with this byte is. */
const Start = {
  WORD: 0, WHITE: 1, OPERATOR: 2, OPERATOR2: 3, PUNCTUATION: 4, OTHER: 5, DASH: 6, HASH: 7, SLASH: 8, BACKSLASH: 9, STRING: 10, NUMBER: 11,
  MONEY: 12, VARIABLE: 13, BACKTICK: 14, BRACKET: 15, B_STRING: 16, E_STRING: 17, N_STRING: 18, Q_STRING: 19, U_STRING: 20, X_STRING: 21,
} as const;

function startTable(): Uint8Array {
  const table = new Uint8Array(256);
  const set = (characters: string, start: number): void => {
    for (const c of characters) table[c.charCodeAt(0)] = start;
  };
  table.fill(Start.WHITE, 0, 0x21);
  table[0x7f] = Start.WHITE;
  table[0xa0] = Start.WHITE;
  set('%+^~', Start.OPERATOR);
  set('!&*:<=>|', Start.OPERATOR2);
  set('(),;{}', Start.PUNCTUATION);
  set('?]', Start.OTHER);
  set('-', Start.DASH);
  set('#', Start.HASH);
  set('/', Start.SLASH);
  set('\\', Start.BACKSLASH);
  set('"\'', Start.STRING);
  set('.0123456789', Start.NUMBER);
  set('$', Start.MONEY);
  set('@', Start.VARIABLE);
  set('`', Start.BACKTICK);
  set('[', Start.BRACKET);
  set('bB', Start.B_STRING);
  set('eE', Start.E_STRING);
  set('nN', Start.N_STRING);
  set('qQ', Start.Q_STRING);
  set('uU', Start.U_STRING);
  set('xX', Start.X_STRING);
  return table;
}

const START = startTable();

/** Classes of bytes that runs are made of, as bits. */
const DIGIT = 1;
const HEX = 2;
const BINARY = 4;
const LETTER = 8;
const AMOUNT = 16;
const WORD_END = 32;
const VARIABLE_END = 64;
const BLANK = 128;

function classTable(): Uint8Array {
  const table = new Uint8Array(256);
  const add = (characters: string, bit: number): void => {
    for (const c of characters) table[c.charCodeAt(0)]! |= bit;
  };
  add('0123456789', DIGIT);
  add('0123456789abcdefABCDEF', HEX);
  add('01', BINARY);
  add('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', LETTER);
  add('0123456789.,', AMOUNT);
  add(' []{}<>:\\?=@!#~+-*/&|^%(),\';\t\n\v\f\r"\xa0\0', WORD_END);
  add(' <>:\\?=@!#~+-*/&|^%(),\';\t\n\v\f\r`"\0', VARIABLE_END);
  add(' \t\n\v\f\r\xa0\0', BLANK);
  return table;
}

const CLASS = classTable();

/** End of the run of bytes from `at` that have one of the bits. */
function runOf(bits: number, value: string, at: number): number {
  let i = at;
  while (i < value.length && (CLASS[value.charCodeAt(i)]! & bits) !== 0) i++;
  return i;
}

/** First byte from `at` that has one of the bits, the length when there is none. */
function runUntil(bits: number, value: string, at: number): number {
  let i = at;
  while (i < value.length && (CLASS[value.charCodeAt(i)]! & bits) === 0) i++;
  return i;
}

function isBlank(value: string, at: number): boolean {
  return (CLASS[value.charCodeAt(at)]! & BLANK) !== 0;
}

export class SqlTokenizer {
  #value = '';
  #quote: QuoteContext = Quote.NONE;
  #mysql = false;
  #at = 0;
  /** Tokens read, comments included. */
  tokens = 0;
  /** Something was read that MySQL would read otherwise: "--" without a blank after it, or '#'. */
  sawOtherDialect = false;

  /** Begin anew. @param mysql '#' is a comment and "--" needs a blank behind it; otherwise as ANSI has it */
  start(value: string, quote: QuoteContext, mysql: boolean): void {
    this.#value = value;
    this.#quote = quote;
    this.#mysql = mysql;
    this.#at = 0;
    this.tokens = 0;
    this.sawOtherDialect = false;
  }

  /** Read the next token. @returns false at the end of the input; `token` then has type NONE */
  next(token: SqlToken): boolean {
    token.clear();
    const value = this.#value;
    if (value.length === 0) return false;
    if (this.#at === 0 && this.#quote !== Quote.NONE) {
      this.#at = this.#string(token, 0, this.#quote, 0);
      this.tokens++;
      return true;
    }
    while (this.#at < value.length) {
      this.#at = this.#read(token, START[value.charCodeAt(this.#at)]!, this.#at);
      if (token.type === SqlType.NONE) continue;
      this.tokens++;
      return true;
    }
    return false;
  }

  /** @returns where reading goes on; white space leaves the token as it is */
  #read(token: SqlToken, start: number, at: number): number {
    switch (start) {
      case Start.WHITE:
        return at + 1;
      case Start.OPERATOR:
        return this.#single(token, SqlType.OPERATOR, at);
      case Start.OPERATOR2:
        return this.#operator(token, at);
      case Start.PUNCTUATION:
        return this.#single(token, this.#value.charCodeAt(at), at);
      case Start.OTHER:
        return this.#single(token, SqlType.UNKNOWN, at);
      case Start.DASH:
        return this.#dash(token, at);
      case Start.HASH:
        return this.#hash(token, at);
      case Start.SLASH:
        return this.#slash(token, at);
      case Start.BACKSLASH:
        return this.#backslash(token, at);
      case Start.STRING:
        return this.#string(token, at, this.#value[at]!, 1);
      case Start.NUMBER:
        return this.#number(token, at);
      case Start.MONEY:
        return this.#money(token, at);
      case Start.VARIABLE:
        return this.#variable(token, at);
      case Start.BACKTICK:
        return this.#backtick(token, at);
      case Start.BRACKET:
        return this.#bracket(token, at);
      case Start.B_STRING:
        return this.#digitString(token, at, BINARY);
      case Start.X_STRING:
        return this.#digitString(token, at, HEX);
      case Start.E_STRING:
        return this.#prefixedString(token, at);
      case Start.N_STRING:
        return this.#nationalString(token, at);
      case Start.Q_STRING:
        return this.#oracleString(token, at, at);
      case Start.U_STRING:
        return this.#unicodeString(token, at);
      default:
        return this.#word(token, at);
    }
  }

  #single(token: SqlToken, type: number, at: number): number {
    token.set(type, this.#value, at, at + 1);
    return at + 1;
  }

  /** Operators of one to three characters. */
  #operator(token: SqlToken, at: number): number {
    const value = this.#value;
    if (value.startsWith('<=>', at)) {
      token.set(SqlType.OPERATOR, value, at, at + 3);
      return at + 3;
    }
    const type = at + 1 < value.length ? lookupWord(value.slice(at, at + 2)) : SqlType.NONE;
    if (type !== SqlType.NONE) {
      token.set(type, value, at, at + 2);
      return at + 2;
    }
    return this.#single(token, at + 1 < value.length && value.charCodeAt(at) === C.COLON ? SqlType.COLON : SqlType.OPERATOR, at);
  }

  #lineComment(token: SqlToken, at: number): number {
    const end = this.#value.indexOf('\n', at);
    if (end < 0) {
      token.set(SqlType.COMMENT, this.#value, at, this.#value.length);
      return this.#value.length;
    }
    token.set(SqlType.COMMENT, this.#value, at, end);
    return end + 1;
  }

  /** "-- " begins a comment everywhere, "--x" not in MySQL. */
  #dash(token: SqlToken, at: number): number {
    const value = this.#value;
    if (value.charCodeAt(at + 1) !== C.MINUS) return this.#single(token, SqlType.OPERATOR, at);
    if (at + 2 === value.length || isBlank(value, at + 2)) return this.#lineComment(token, at);
    if (this.#mysql) return this.#single(token, SqlType.OPERATOR, at);
    this.sawOtherDialect = true;
    return this.#lineComment(token, at);
  }

  /** A comment in MySQL, an operator in PostgreSQL. */
  #hash(token: SqlToken, at: number): number {
    this.sawOtherDialect = true;
    return this.#mysql ? this.#lineComment(token, at) : this.#single(token, SqlType.OPERATOR, at);
  }

  /** Division or a comment; nested ones (PostgreSQL) and executed ones (MySQL, slash-star-bang) cannot be read for all databases. */
  #slash(token: SqlToken, at: number): number {
    const value = this.#value;
    if (value.charCodeAt(at + 1) !== C.STAR) return this.#single(token, SqlType.OPERATOR, at);
    const close = value.indexOf('*/', at + 2);
    const end = close < 0 ? value.length : close + 2;
    let type: number = SqlType.COMMENT;
    if (value.charCodeAt(at + 2) === C.BANG) type = SqlType.EVIL;
    else if (close >= 0) {
      // the star of the closing pair may belong to a "/*" as well: "/*/*/"
      const nested = value.indexOf('/*', at + 2);
      if (nested >= 0 && nested < close) type = SqlType.EVIL;
    }
    token.set(type, value, at, end);
    return end;
  }

  /** \N is NULL in MySQL. */
  #backslash(token: SqlToken, at: number): number {
    if (this.#value[at + 1] !== 'N') return this.#single(token, SqlType.BACKSLASH, at);
    token.set(SqlType.NUMBER, this.#value, at, at + 2);
    return at + 2;
  }

  /**
   * A string up to its delimiter: backslash and doubling escape it.
   * @param skip characters before the text (0: the input begins within the string)
   */
  #string(token: SqlToken, at: number, delimiter: string, skip: number): number {
    const value = this.#value;
    const from = at + skip;
    token.open = skip > 0 ? delimiter : '';
    let search = from;
    for (;;) {
      const end = value.indexOf(delimiter, search);
      if (end < 0) {
        token.set(SqlType.STRING, value, from, value.length);
        token.close = '';
        return value.length;
      }
      if (isEscaped(value, from, end)) search = end + 1;
      else if (value[end + 1] === delimiter) search = end + 2;
      else {
        token.set(SqlType.STRING, value, from, end);
        token.close = delimiter;
        return end + 1;
      }
    }
  }

  /** E'...' of PostgreSQL. */
  #prefixedString(token: SqlToken, at: number): number {
    if (at + 2 >= this.#value.length || this.#value.charCodeAt(at + 1) !== C.SINGLE) return this.#word(token, at);
    return this.#string(token, at, "'", 2);
  }

  /** N'...' and NQ'...'. */
  #nationalString(token: SqlToken, at: number): number {
    if (at + 2 < this.#value.length && this.#value.charCodeAt(at + 1) === C.SINGLE) return this.#prefixedString(token, at);
    return this.#oracleString(token, at, at + 1);
  }

  /** U&'...'. */
  #unicodeString(token: SqlToken, at: number): number {
    const value = this.#value;
    if (value.charCodeAt(at + 1) !== C.AMPERSAND || value.charCodeAt(at + 2) !== C.SINGLE) return this.#word(token, at);
    const end = this.#string(token, at + 2, "'", 1);
    token.open = 'u';
    if (token.close !== '') token.close = 'u';
    return end;
  }

  /** q'(...)': any character may be the delimiter, brackets close with their partner. @param q where the letter q has to be */
  #oracleString(token: SqlToken, at: number, q: number): number {
    const value = this.#value;
    const letter = value[q];
    if ((letter !== 'q' && letter !== 'Q') || q + 2 >= value.length || value.charCodeAt(q + 1) !== C.SINGLE) return this.#word(token, at);
    const delimiter = value.charCodeAt(q + 2);
    // control characters, blanks and bytes above ASCII are no delimiters
    if (delimiter <= C.SPACE || delimiter > 0x7f) return this.#word(token, at);
    const from = q + 3;
    token.open = 'q';
    const end = value.indexOf(`${closingOf(value[q + 2]!)}'`, from);
    if (end < 0) {
      token.set(SqlType.STRING, value, from, value.length);
      return value.length;
    }
    token.set(SqlType.STRING, value, from, end);
    token.close = 'q';
    return end + 2;
  }

  /** X'1f' and B'01' are numbers. */
  #digitString(token: SqlToken, at: number, digits: number): number {
    const value = this.#value;
    if (value.charCodeAt(at + 1) !== C.SINGLE) return this.#word(token, at);
    const end = runOf(digits, value, at + 2);
    if (value.charCodeAt(end) !== C.SINGLE) return this.#word(token, at);
    token.set(SqlType.NUMBER, value, at, end + 1);
    return end + 1;
  }

  /** [name] of SQL Server. */
  #bracket(token: SqlToken, at: number): number {
    const close = this.#value.indexOf(']', at);
    const end = close < 0 ? this.#value.length : close + 1;
    token.set(SqlType.BAREWORD, this.#value, at, end);
    return end;
  }

  #word(token: SqlToken, at: number): number {
    const value = this.#value;
    const end = runUntil(WORD_END, value, at);
    token.set(SqlType.BAREWORD, value, at, end);
    const text = token.text;
    // "select.x" and "union`x`": a keyword may end at a dot or backtick
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c !== C.DOT && c !== C.BACKTICK) continue;
      const type = lookupWord(text.slice(0, i));
      if (type !== SqlType.NONE && type !== SqlType.BAREWORD) {
        token.set(type, value, at, at + i);
        return at + i;
      }
    }
    if (end - at <= MAX_TOKEN_TEXT) {
      const type = lookupWord(text);
      if (type !== SqlType.NONE) token.type = type;
    }
    return end;
  }

  /** `name` of MySQL; a function's name in backticks is still callable. */
  #backtick(token: SqlToken, at: number): number {
    const end = this.#string(token, at, '`', 1);
    token.type = lookupWord(token.text) === SqlType.FUNCTION ? SqlType.FUNCTION : SqlType.BAREWORD;
    return end;
  }

  #variable(token: SqlToken, at: number): number {
    const value = this.#value;
    let from = at + 1;
    token.signs = 1;
    if (value.charCodeAt(from) === C.AT) {
      from++;
      token.signs = 2;
    }
    const first = value.charCodeAt(from);
    if (first === C.BACKTICK || first === C.SINGLE || first === C.DOUBLE) {
      const end = this.#string(token, from, value[from]!, 1);
      token.type = SqlType.VARIABLE;
      return end;
    }
    const end = runUntil(VARIABLE_END, value, from);
    token.set(SqlType.VARIABLE, value, from, end);
    return end;
  }

  /** $1.00 is money, $tag$...$tag$ a string of PostgreSQL. */
  #money(token: SqlToken, at: number): number {
    const value = this.#value;
    const amount = runOf(AMOUNT, value, at + 1);
    if (amount > at + 1) {
      if (amount === at + 2 && value.charCodeAt(at + 1) === C.DOT) return this.#word(token, at);
      token.set(SqlType.NUMBER, value, at, amount);
      return amount;
    }
    const tagEnd = runOf(LETTER, value, at + 1);
    if (value.charCodeAt(tagEnd) !== C.DOLLAR) {
      token.set(SqlType.BAREWORD, value, at, at + 1);
      return at + 1;
    }
    const from = tagEnd + 1;
    const tag = value.slice(at, from);
    const end = value.indexOf(tag, from);
    token.open = '$';
    if (end < 0) {
      token.set(SqlType.STRING, value, from, value.length);
      return value.length;
    }
    token.set(SqlType.STRING, value, from, end);
    token.close = '$';
    return end + tag.length;
  }

  #number(token: SqlToken, at: number): number {
    const value = this.#value;
    if (value.charCodeAt(at) === C.ZERO) {
      const radix = value.charCodeAt(at + 1) | 0x20;
      const digits = radix === 0x78 ? HEX : radix === 0x62 ? BINARY : 0;
      if (digits !== 0) {
        const end = runOf(digits, value, at + 2);
        token.set(end === at + 2 ? SqlType.BAREWORD : SqlType.NUMBER, value, at, end);
        return end;
      }
    }
    let end = runOf(DIGIT, value, at);
    if (value.charCodeAt(end) === C.DOT) {
      end = runOf(DIGIT, value, end + 1);
      if (end === at + 1) return this.#single(token, SqlType.DOT, at);
    }
    let complete = true;
    if ((value.charCodeAt(end) | 0x20) === 0x65) {
      end++;
      const sign = value[end];
      if (sign === '+' || sign === '-') end++;
      const exponent = end;
      end = runOf(DIGIT, value, end);
      complete = end > exponent;
    }
    end = floatSuffix(value, end);
    token.set(complete ? SqlType.NUMBER : SqlType.BAREWORD, value, at, end);
    return end;
  }
}

/** Oracle's 1d and 1f; not the first letter of a word that follows the number, but of UNION, which is accepted there. */
function floatSuffix(value: string, at: number): number {
  const letter = value.charCodeAt(at) | 0x20;
  if (letter !== 0x64 && letter !== 0x66) return at;
  if (at + 1 === value.length || isBlank(value, at + 1) || value[at + 1] === ';') return at + 1;
  return value[at + 1] === 'u' || value[at + 1] === 'U' ? at + 1 : at;
}

/** An odd number of backslashes stands before `at`. */
function isEscaped(value: string, from: number, at: number): boolean {
  let i = at - 1;
  while (i >= from && value.charCodeAt(i) === C.BACKSLASH) i--;
  return ((at - 1 - i) & 1) === 1;
}

function closingOf(open: string): string {
  switch (open) {
    case '(':
      return ')';
    case '[':
      return ']';
    case '{':
      return '}';
    case '<':
      return '>';
    default:
      return open;
  }
}
