/**
 * HTML as browsers read it: a tokeniser after the WHATWG standard's states, with the liberties old browsers take (NUL inside
 * names, backticks as quotes, <% comments). Never fails; every byte is looked at a bounded number of times.
 */

export const HtmlToken = {
  NONE: 0,
  TEXT: 1,
  TAG_OPEN: 2,
  TAG_OPEN_END: 3,
  SELF_CLOSE: 4,
  TAG_CLOSE: 5,
  ATTRIBUTE_NAME: 6,
  ATTRIBUTE_VALUE: 7,
  COMMENT: 8,
  DOCTYPE: 9,
} as const;

/** Where in a page the value was put. */
export const HtmlContext = { TEXT: 0, UNQUOTED_VALUE: 1, SINGLE_QUOTED: 2, DOUBLE_QUOTED: 3, BACKTICK_QUOTED: 4 } as const;
export type HtmlContextCode = (typeof HtmlContext)[keyof typeof HtmlContext];

const State = {
  TEXT: 0, BEFORE_NAME: 1, SINGLE: 2, DOUBLE: 3, BACKTICK: 4, TAG_OPEN: 5, TAG_END: 6, SELF_CLOSING: 7, AFTER_NAME: 8, BEFORE_VALUE: 9, AFTER_QUOTED: 10, END: 11,
} as const;

const C = {
  TAB: 0x09, SPACE: 0x20, BANG: 0x21, DOUBLE: 0x22, PERCENT: 0x25, SINGLE: 0x27, MINUS: 0x2d, SLASH: 0x2f, EQUALS: 0x3d, GREATER: 0x3e,
  QUESTION: 0x3f, BACKTICK: 0x60,
} as const;

/** NUL and the vertical tab are blanks in Internet Explorer only. */
function isBlank(c: number): boolean {
  return c === C.SPACE || (c >= C.TAB && c <= 0x0d) || c === 0;
}

function isLetter(c: number): boolean {
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

export class HtmlTokenizer {
  /** The current token: its type and value[start, end). */
  type: number = HtmlToken.NONE;
  start = 0;
  end = 0;
  #value = '';
  #at = 0;
  #state: number = State.TEXT;
  /** The tag being read is a closing one. */
  #closing = false;

  reset(value: string, context: HtmlContextCode): void {
    this.#value = value;
    this.#at = 0;
    // the contexts are numbered as the states they begin in
    this.#state = context;
    this.#closing = false;
    this.type = HtmlToken.NONE;
  }

  /** The current token's text. */
  text(): string {
    return this.#value.slice(this.start, this.end);
  }

  /** @returns false at the end of the value */
  next(): boolean {
    switch (this.#state) {
      case State.TEXT:
        return this.#text();
      case State.BEFORE_NAME:
        return this.#beforeName();
      case State.SINGLE:
        return this.#quoted("'");
      case State.DOUBLE:
        return this.#quoted('"');
      case State.BACKTICK:
        return this.#quoted('`');
      case State.TAG_OPEN:
        return this.#tagOpen();
      case State.TAG_END:
        return this.#tagEnd(this.#at + 1 < this.#value.length ? State.TEXT : State.END);
      case State.SELF_CLOSING:
        return this.#selfClosing();
      case State.AFTER_NAME:
        return this.#afterName();
      case State.BEFORE_VALUE:
        return this.#beforeValue();
      case State.AFTER_QUOTED:
        return this.#afterQuoted();
      default:
        return false;
    }
  }

  /** Report value[start, end) and go on at `at`. */
  #token(type: number, start: number, end: number, at: number, state: number): true {
    this.type = type;
    this.start = start;
    this.end = end;
    this.#at = at;
    this.#state = state;
    return true;
  }

  /** Report everything that is left. */
  #rest(type: number, start: number): true {
    return this.#token(type, start, this.#value.length, this.#value.length, State.END);
  }

  #skipBlanks(): number {
    const value = this.#value;
    let at = this.#at;
    while (at < value.length && isBlank(value.charCodeAt(at))) at++;
    this.#at = at;
    return at < value.length ? value.charCodeAt(at) : -1;
  }

  #text(): boolean {
    const from = this.#at;
    const tag = this.#value.indexOf('<', from);
    if (tag < 0) {
      this.#rest(HtmlToken.TEXT, from);
      return this.end > from;
    }
    if (tag > from) return this.#token(HtmlToken.TEXT, from, tag, tag + 1, State.TAG_OPEN);
    this.#at = tag + 1;
    return this.#tagOpen();
  }

  /** Behind '<'. */
  #tagOpen(): boolean {
    const at = this.#at;
    if (at >= this.#value.length) return false;
    const c = this.#value.charCodeAt(at);
    switch (c) {
      case C.BANG:
        return this.#declaration(at + 1);
      case C.SLASH:
        this.#closing = true;
        return this.#closingTag(at + 1);
      case C.QUESTION:
        return this.#bogusComment(at + 1);
      case C.PERCENT:
        return this.#percentComment(at + 1);
      default:
        if (isLetter(c) || c === 0) return this.#tagName(at);
        return this.#token(HtmlToken.TEXT, at - 1, at, at, State.TEXT);
    }
  }

  #closingTag(at: number): boolean {
    this.#at = at;
    if (at >= this.#value.length) return false;
    const c = this.#value.charCodeAt(at);
    if (c === C.GREATER) return this.#text();
    if (isLetter(c)) return this.#tagName(at);
    this.#closing = false;
    return this.#bogusComment(at);
  }

  #tagName(from: number): boolean {
    const value = this.#value;
    for (let at = from; at < value.length; at++) {
      const c = value.charCodeAt(at);
      if (c === 0) continue;
      if (isBlank(c)) return this.#token(HtmlToken.TAG_OPEN, from, at, at + 1, State.BEFORE_NAME);
      if (c === C.SLASH) return this.#token(HtmlToken.TAG_OPEN, from, at, at + 1, State.SELF_CLOSING);
      if (c !== C.GREATER) continue;
      if (!this.#closing) return this.#token(HtmlToken.TAG_OPEN, from, at, at, State.TAG_END);
      this.#closing = false;
      return this.#token(HtmlToken.TAG_CLOSE, from, at, at + 1, State.TEXT);
    }
    return this.#rest(HtmlToken.TAG_OPEN, from);
  }

  /** At '>'. */
  #tagEnd(state: number): boolean {
    this.#closing = false;
    return this.#token(HtmlToken.TAG_OPEN_END, this.#at, this.#at + 1, this.#at + 1, state);
  }

  /** Behind a '/' inside a tag. */
  #selfClosing(): boolean {
    const at = this.#at;
    if (at >= this.#value.length) return false;
    if (this.#value.charCodeAt(at) !== C.GREATER) return this.#beforeName();
    return this.#token(HtmlToken.SELF_CLOSE, Math.max(0, at - 1), at + 1, at + 1, State.TEXT);
  }

  #beforeName(): boolean {
    for (;;) {
      const c = this.#skipBlanks();
      if (c < 0) return false;
      if (c === C.GREATER) return this.#token(HtmlToken.TAG_OPEN_END, this.#at, this.#at + 1, this.#at + 1, State.TEXT);
      if (c !== C.SLASH) return this.#attributeName();
      this.#at++;
      if (this.#at >= this.#value.length) return false;
      if (this.#value.charCodeAt(this.#at) === C.GREATER) return this.#selfClosing();
    }
  }

  #attributeName(): boolean {
    const value = this.#value;
    const from = this.#at;
    // whatever the first byte is, it belongs to the name
    for (let at = from + 1; at < value.length; at++) {
      const c = value.charCodeAt(at);
      if (isBlank(c)) return this.#token(HtmlToken.ATTRIBUTE_NAME, from, at, at + 1, State.AFTER_NAME);
      if (c === C.SLASH) return this.#token(HtmlToken.ATTRIBUTE_NAME, from, at, at + 1, State.SELF_CLOSING);
      if (c === C.EQUALS) return this.#token(HtmlToken.ATTRIBUTE_NAME, from, at, at + 1, State.BEFORE_VALUE);
      if (c === C.GREATER) return this.#token(HtmlToken.ATTRIBUTE_NAME, from, at, at, State.TAG_END);
    }
    return this.#rest(HtmlToken.ATTRIBUTE_NAME, from);
  }

  #afterName(): boolean {
    const c = this.#skipBlanks();
    switch (c) {
      case -1:
        return false;
      case C.SLASH:
        this.#at++;
        return this.#selfClosing();
      case C.EQUALS:
        this.#at++;
        return this.#beforeValue();
      case C.GREATER:
        return this.#tagEnd(this.#at + 1 < this.#value.length ? State.TEXT : State.END);
      default:
        return this.#attributeName();
    }
  }

  #beforeValue(): boolean {
    switch (this.#skipBlanks()) {
      case -1:
        return false;
      case C.DOUBLE:
        return this.#quoted('"');
      case C.SINGLE:
        return this.#quoted("'");
      case C.BACKTICK:
        return this.#quoted('`');
      default:
        return this.#unquoted();
    }
  }

  #quoted(quote: string): boolean {
    // at the very beginning the opening quote is outside of the value
    const from = this.#at > 0 ? this.#at + 1 : 0;
    const end = this.#value.indexOf(quote, from);
    if (end < 0) return this.#rest(HtmlToken.ATTRIBUTE_VALUE, from);
    return this.#token(HtmlToken.ATTRIBUTE_VALUE, from, end, end + 1, State.AFTER_QUOTED);
  }

  #unquoted(): boolean {
    const value = this.#value;
    const from = this.#at;
    for (let at = from; at < value.length; at++) {
      const c = value.charCodeAt(at);
      if (isBlank(c)) return this.#token(HtmlToken.ATTRIBUTE_VALUE, from, at, at + 1, State.BEFORE_NAME);
      if (c === C.GREATER) return this.#token(HtmlToken.ATTRIBUTE_VALUE, from, at, at, State.TAG_END);
    }
    return this.#rest(HtmlToken.ATTRIBUTE_VALUE, from);
  }

  #afterQuoted(): boolean {
    if (this.#at >= this.#value.length) return false;
    const c = this.#value.charCodeAt(this.#at);
    if (c === C.GREATER) return this.#tagEnd(State.TEXT);
    if (c !== C.SLASH) return this.#beforeName();
    this.#at++;
    return this.#selfClosing();
  }

  /** Behind "<!". */
  #declaration(at: number): boolean {
    const value = this.#value;
    this.#at = at;
    if (value.slice(at, at + 7).toUpperCase() === 'DOCTYPE') {
      const end = value.indexOf('>', at);
      return end < 0 ? this.#rest(HtmlToken.DOCTYPE, at) : this.#token(HtmlToken.DOCTYPE, at, end, end + 1, State.TEXT);
    }
    if (value.startsWith('[CDATA[', at)) {
      const end = value.indexOf(']]>', at + 7);
      return end < 0 ? this.#rest(HtmlToken.TEXT, at + 7) : this.#token(HtmlToken.TEXT, at + 7, end, end + 3, State.TEXT);
    }
    return value.startsWith('--', at) ? this.#comment(at + 2) : this.#bogusComment(at);
  }

  #bogusComment(from: number): boolean {
    const end = this.#value.indexOf('>', from);
    return end < 0 ? this.#rest(HtmlToken.COMMENT, from) : this.#token(HtmlToken.COMMENT, from, end, end + 1, State.TEXT);
  }

  /** Behind "<%", a comment in Internet Explorer up to version 9. */
  #percentComment(from: number): boolean {
    const end = this.#value.indexOf('%>', from);
    return end < 0 ? this.#rest(HtmlToken.COMMENT, from) : this.#token(HtmlToken.COMMENT, from, end, end + 2, State.TEXT);
  }

  /** Ends at --> or -!>, with any number of NULs between the three. */
  #comment(from: number): boolean {
    const value = this.#value;
    for (let dash = value.indexOf('-', from); dash >= 0; dash = value.indexOf('-', dash + 1)) {
      const second = skipNuls(value, dash + 1);
      const c = value.charCodeAt(second);
      if (c === C.MINUS || c === C.BANG) {
        const third = skipNuls(value, second + 1);
        if (value.charCodeAt(third) === C.GREATER) return this.#token(HtmlToken.COMMENT, from, dash, third + 1, State.TEXT);
      }
    }
    return this.#rest(HtmlToken.COMMENT, from);
  }
}

function skipNuls(value: string, at: number): number {
  let i = at;
  while (i < value.length && value.charCodeAt(i) === 0) i++;
  return i;
}
