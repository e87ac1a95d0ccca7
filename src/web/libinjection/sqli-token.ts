/** Tokens of the SQL tokeniser: types are the letters that fingerprints are made of. */

/** Type of a token as the character code of its letter in a fingerprint. */
export const SqlType = {
  NONE: 0,
  KEYWORD: 0x6b, // k
  UNION: 0x55, // U
  GROUP: 0x42, // B: GROUP BY, LIMIT, HAVING
  EXPRESSION: 0x45, // E: SELECT, INSERT, ...
  SQLTYPE: 0x74, // t
  FUNCTION: 0x66, // f
  BAREWORD: 0x6e, // n
  NUMBER: 0x31, // 1
  VARIABLE: 0x76, // v
  STRING: 0x73, // s
  OPERATOR: 0x6f, // o
  LOGIC: 0x26, // &
  COMMENT: 0x63, // c
  COLLATE: 0x41, // A
  LEFT_PARENTHESIS: 0x28,
  RIGHT_PARENTHESIS: 0x29,
  LEFT_BRACE: 0x7b,
  RIGHT_BRACE: 0x7d,
  DOT: 0x2e,
  COMMA: 0x2c,
  COLON: 0x3a,
  SEMICOLON: 0x3b,
  /** Transact-SQL statements that begin a new command. */
  TSQL: 0x54, // T
  UNKNOWN: 0x3f, // ?
  /** Cannot be parsed the same way by all databases: suspicious by itself. */
  EVIL: 0x58, // X
  BACKSLASH: 0x5c,
} as const;

/** Longest text kept of a token; the rest is read over. */
export const MAX_TOKEN_TEXT = 31;

export class SqlToken {
  /** A SqlType value; a plain number keeps the field monomorphic. */
  type: number = SqlType.NONE;
  /** At most MAX_TOKEN_TEXT characters. */
  text = '';
  /** Delimiters of a string as characters, '' where there is none (text that was cut out of a string, unfinished string). */
  open = '';
  close = '';
  /** Number of @ before a variable. */
  signs = 0;

  clear(): void {
    this.type = SqlType.NONE;
    this.text = '';
    this.open = '';
    this.close = '';
    this.signs = 0;
  }

  /** Take value[from, to) as text. */
  set(type: number, value: string, from: number, to: number): void {
    this.type = type;
    this.text = value.slice(from, Math.min(to, from + MAX_TOKEN_TEXT));
  }

  /** -, +, !, !!, ~ and NOT: what may stand before an expression. */
  get isUnary(): boolean {
    if (this.type !== SqlType.OPERATOR) return false;
    switch (this.text.length) {
      case 1:
        return this.text === '+' || this.text === '-' || this.text === '!' || this.text === '~';
      case 2:
        return this.text === '!!';
      case 3:
        return this.text.toUpperCase() === 'NOT';
      default:
        return false;
    }
  }

  get isArithmetic(): boolean {
    return this.type === SqlType.OPERATOR && this.text.length === 1 && '*/-+%'.includes(this.text);
  }
}
