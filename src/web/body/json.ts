/**
 * JSON bodies as parameters: {"a":{"b":[1,"x"]}} gives json.a.b.array_0 = 1 and json.a.b.array_1 = x. One pass with a stack of
 * its own, so depth costs no call stack; linear in the body.
 */
import type { EntryList } from '../engine/entry-list.js';
import type { ByteString } from '../value.js';
import { hexDigit } from './urlencoded.js';

/**
 * Names grow with the depth, and a body of nested long keys would make them quadratic: from this length on the front is kept
 * as it is and the keys on the way become parameters of their own, so that every key is still seen by the rules.
 */
const MAX_PREFIX = 2048;

class JsonError extends Error {}

interface Frame {
  readonly isArray: boolean;
  readonly prefix: ByteString;
  /** Elements seen so far. */
  count: number;
  key: ByteString;
}

/** @returns why the body is refused, '' when it was read to its end */
export function parseJson(text: ByteString, depthLimit: number, argumentsLimit: number, out: EntryList): string {
  try {
    new Reader(text, depthLimit, argumentsLimit, out).read();
    return '';
  } catch (error) {
    if (error instanceof JsonError) return error.message;
    throw error;
  }
}

class Reader {
  readonly #text: ByteString;
  readonly #depthLimit: number;
  readonly #argumentsLimit: number;
  readonly #out: EntryList;
  readonly #stack: Frame[] = [];
  #pos = 0;

  constructor(text: ByteString, depthLimit: number, argumentsLimit: number, out: EntryList) {
    this.#text = text;
    this.#depthLimit = depthLimit;
    this.#argumentsLimit = argumentsLimit;
    this.#out = out;
  }

  read(): void {
    this.#space();
    if (this.#pos >= this.#text.length) this.#fail('the body is empty');
    this.#value('json');
    while (this.#stack.length > 0) this.#next(this.#stack[this.#stack.length - 1]!);
    this.#space();
    if (this.#pos < this.#text.length) this.#fail('data after the end of the document');
  }

  /** Continue the innermost container by one element, or close it. */
  #next(frame: Frame): void {
    this.#space();
    const close = frame.isArray ? ']' : '}';
    if (this.#text[this.#pos] === close) {
      this.#pos++;
      this.#stack.pop();
      if (frame.count === 0) this.#add(frame.prefix, '');
      return;
    }
    if (frame.count > 0) {
      this.#expect(',');
      this.#space();
    }
    if (frame.isArray) frame.key = `array_${frame.count}`;
    else {
      if (this.#text[this.#pos] !== '"') this.#fail('an object key is expected');
      frame.key = this.#string();
      this.#space();
      this.#expect(':');
      this.#space();
    }
    frame.count++;
    let name = `${frame.prefix}.${frame.key}`;
    const c = this.#text[this.#pos];
    if (name.length > MAX_PREFIX && (c === '{' || c === '[')) {
      this.#add(frame.key, '');
      name = frame.prefix;
    }
    this.#value(name);
  }

  #value(name: ByteString): void {
    const c = this.#text[this.#pos];
    if (c === '{' || c === '[') {
      this.#pos++;
      if (this.#stack.length >= this.#depthLimit) this.#fail('JSON depth limit exceeded');
      this.#stack.push({ isArray: c === '[', prefix: name, count: 0, key: '' });
    } else if (c === '"') this.#add(name, this.#string());
    else this.#add(name, this.#literal());
  }

  #literal(): ByteString {
    LITERAL.lastIndex = this.#pos;
    const match = LITERAL.exec(this.#text);
    if (match === null) this.#fail('a value is expected');
    this.#pos = LITERAL.lastIndex;
    return match[0] === 'null' ? '' : match[0];
  }

  /** At a quote: the decoded string; stands behind it afterwards. */
  #string(): ByteString {
    const text = this.#text;
    let pos = this.#pos + 1;
    let from = pos;
    let decoded = '';
    for (;;) {
      if (pos >= text.length) this.#fail('a string is not closed');
      const c = text.charCodeAt(pos);
      if (c === 0x22) break;
      if (c < 0x20) this.#fail('a control character stands in a string');
      if (c !== 0x5c) {
        pos++;
        continue;
      }
      decoded += text.slice(from, pos);
      const escape = text[pos + 1] ?? '';
      if (escape === 'u') {
        this.#pos = pos;
        let unit = this.#unit(pos + 2);
        pos += 6;
        if (unit >= 0xd800 && unit < 0xdc00 && text[pos] === '\\' && text[pos + 1] === 'u') {
          const low = this.#unit(pos + 2);
          if (low >= 0xdc00 && low < 0xe000) {
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            pos += 6;
          }
        }
        decoded += utf8(unit);
      } else {
        const plain = ESCAPES[escape];
        if (plain === undefined) this.#fail('an escape in a string is invalid');
        decoded += plain;
        pos += 2;
      }
      from = pos;
    }
    this.#pos = pos + 1;
    return decoded === '' ? text.slice(from, pos) : decoded + text.slice(from, pos);
  }

  #unit(at: number): number {
    let unit = 0;
    for (let i = 0; i < 4; i++) {
      const digit = at + i < this.#text.length ? hexDigit(this.#text.charCodeAt(at + i)) : -1;
      if (digit < 0) this.#fail('an escape in a string is invalid');
      unit = unit * 16 + digit;
    }
    return unit;
  }

  #add(name: ByteString, value: ByteString): void {
    if (this.#out.size >= this.#argumentsLimit) this.#fail('more values than SecArgumentsLimit');
    this.#out.add(name, value);
  }

  #expect(c: string): void {
    if (this.#text[this.#pos] !== c) this.#fail(`'${c}' is expected`);
    this.#pos++;
  }

  #space(): void {
    const text = this.#text;
    let pos = this.#pos;
    for (;;) {
      const c = text.charCodeAt(pos);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) break;
      pos++;
    }
    this.#pos = pos;
  }

  #fail(message: string): never {
    throw new JsonError(`JSON: ${message} (byte ${this.#pos})`);
  }
}

const LITERAL = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y;
const ESCAPES: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** UTF-8 bytes of a code point; lone surrogates are encoded like any other unit, so that nothing is lost. */
export function utf8(point: number): ByteString {
  if (point < 0x80) return String.fromCharCode(point);
  if (point < 0x800) return String.fromCharCode(0xc0 | (point >> 6), 0x80 | (point & 63));
  if (point < 0x10000) return String.fromCharCode(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
  return String.fromCharCode(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
}
