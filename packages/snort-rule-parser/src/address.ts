/** Address and port expressions of rule headers and variables: text to tree. */
import type { AddressExpr, AddressLiteral, ListExpr, PortExpr, PortLiteral } from './ast.js';
import type { RuleErrorKind } from './errors.js';
import { isBlank, skipBlanks, trimEnd } from './lexer.js';

const BANG = 0x21;
const DOLLAR = 0x24;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;

/** Brackets inside brackets: Suricata stops at 64 as well. */
export const MAX_LIST_DEPTH = 64;

export const MAX_PORT = 65_535;

/** Why an expression was refused; `at` counts from the start of its text. */
export interface ExprProblem {
  readonly kind: RuleErrorKind;
  readonly at: number;
  readonly token: string;
  readonly message: string;
  readonly accepted: readonly string[];
}

export type ExprResult<Expr> = { readonly expr: Expr; readonly problem: null } | {
  readonly expr: null;
  readonly problem: ExprProblem;
};

const ADDRESS_FORMS = [
  'any', '$VARIABLE', 'a.b.c.d', 'a.b.c.d/bits', 'a.b.c.d/netmask', 'first-last', 'IPv6', 'IPv6/bits', '[list]', '!item',
];
const PORT_FORMS = ['any', '$VARIABLE', '0..65535', 'low:high', 'low:', ':high', '[list]', '!item'];

/** Address range as numbers; IPv4 in the low 32 bits. Both ends are inclusive. */
export interface AddressRange {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly last: bigint;
}

/** Parses `any`, `$X`, literals, `!` and lists; a list may stand without its outer brackets, as in Suricata. */
export function parseAddressExpr(text: string): ExprResult<AddressExpr> {
  return new ExprParser<AddressLiteral>(text, 'bad-address', ADDRESS_FORMS, addressLiteral).parse();
}

/** Parses `any`, `$X`, `80`, `1:1024`, `:1024`, `1024:`, `!` and lists. */
export function parsePortExpr(text: string): ExprResult<PortExpr> {
  return new ExprParser<PortLiteral>(text, 'bad-port', PORT_FORMS, portLiteral).parse();
}

type LiteralParser<Literal> = (token: string, negated: boolean, at: number, length: number) => Literal | string;
type Expr<Literal> = Exclude<AddressExpr, AddressLiteral | ListExpr<AddressExpr>> | Literal | ListExpr<Expr<Literal>>;

/** Recursive descent over one expression; depth is bounded, every byte is looked at once. */
class ExprParser<Literal extends AddressLiteral | PortLiteral> {
  #at = 0;
  #problem: ExprProblem | null = null;
  readonly #end: number;

  constructor(
    readonly text: string,
    readonly kind: 'bad-address' | 'bad-port',
    readonly forms: readonly string[],
    readonly literal: LiteralParser<Literal>,
  ) {
    this.#end = trimEnd(text, 0, text.length);
  }

  parse(): ExprResult<Expr<Literal>> {
    const start = skipBlanks(this.text, 0, this.#end);
    this.#at = start;
    const items = this.#items(0);
    if (items !== null && this.#at < this.#end) this.#fail(this.#at, this.text.slice(this.#at, this.#end), 'unexpected text');
    if (this.#problem !== null || items === null) {
      return { expr: null, problem: this.#problem ?? this.#problemAt(start, '', 'nothing here') };
    }
    if (items.length === 1) return { expr: items[0]!, problem: null };
    return { expr: { kind: 'list', negated: false, at: start, length: this.#end - start, items }, problem: null };
  }

  /** `item , item ...` up to `]` or the end. */
  #items(depth: number): Expr<Literal>[] | null {
    const items: Expr<Literal>[] = [];
    for (;;) {
      const item = this.#item(depth);
      if (item === null) return null;
      items.push(item);
      this.#at = skipBlanks(this.text, this.#at, this.#end);
      if (this.#at >= this.#end || this.text.charCodeAt(this.#at) !== COMMA) return items;
      this.#at += 1;
    }
  }

  #item(depth: number): Expr<Literal> | null {
    const { text } = this;
    const at = skipBlanks(text, this.#at, this.#end);
    this.#at = at;
    const negated = at < this.#end && text.charCodeAt(at) === BANG;
    if (negated) this.#at = skipBlanks(text, at + 1, this.#end);
    const code = this.#at < this.#end ? text.charCodeAt(this.#at) : -1;
    if (code === BANG) return this.#fail(this.#at, '!', 'a second negation');
    if (code === OPEN) return this.#list(at, negated, depth);

    const start = this.#at;
    while (this.#at < this.#end && !endsToken(text.charCodeAt(this.#at))) this.#at += 1;
    const token = text.slice(start, this.#at);
    const length = this.#at - at;
    if (token === '') {
      const next = this.#at < this.#end ? text.charAt(this.#at) : '';
      return this.#fail(this.#at, next, 'an item is missing');
    }
    if (token.length === 3 && token.toLowerCase() === 'any') return { kind: 'any', negated, at, length };
    if (token.charCodeAt(0) === DOLLAR) {
      if (!isVariableName(token)) return this.#fail(start, token, 'not a variable name');
      return { kind: 'variable', name: token.slice(1), negated, at, length };
    }
    const literal = this.literal(token, negated, at, length);
    return typeof literal === 'string' ? this.#fail(start, token, literal) : literal;
  }

  #list(at: number, negated: boolean, depth: number): ListExpr<Expr<Literal>> | null {
    const open = this.#at;
    if (depth >= MAX_LIST_DEPTH) {
      return this.#fail(open, '[', `lists are nested deeper than ${MAX_LIST_DEPTH}`);
    }
    this.#at = open + 1;
    const items = this.#items(depth + 1);
    if (items === null) return null;
    if (this.#at >= this.#end) return this.#fail(open, '[', 'this bracket is never closed');
    if (this.text.charCodeAt(this.#at) !== CLOSE) {
      return this.#fail(this.#at, this.text.slice(this.#at, this.#end), 'unexpected text in a list');
    }
    this.#at += 1;
    return { kind: 'list', negated, at, length: this.#at - at, items };
  }

  #fail(at: number, token: string, message: string): null {
    this.#problem ??= this.#problemAt(at, token, message);
    return null;
  }

  #problemAt(at: number, token: string, reason: string): ExprProblem {
    const what = this.kind === 'bad-address' ? 'address' : 'port';
    return { kind: this.kind, at, token, message: `not a valid ${what}: ${reason}`, accepted: this.forms };
  }
}

function endsToken(code: number): boolean {
  return code === COMMA || code === OPEN || code === CLOSE || code === BANG || isBlank(code);
}

function isVariableName(token: string): boolean {
  if (token.length < 2) return false;
  for (let at = 1; at < token.length; at += 1) {
    const code = token.charCodeAt(at) | 0x20;
    const raw = token.charCodeAt(at);
    const word = (code >= 0x61 && code <= 0x7a) || (raw >= 0x30 && raw <= 0x39) || raw === 0x5f || raw === 0x2d || raw === 0x2e;
    if (!word) return false;
  }
  return true;
}

function addressLiteral(token: string, negated: boolean, at: number, length: number): AddressLiteral | string {
  const range = parseAddressRange(token);
  if (typeof range === 'string') return range;
  return { kind: 'address', family: range.family, text: token, negated, at, length };
}

function portLiteral(token: string, negated: boolean, at: number, length: number): PortLiteral | string {
  const colon = token.indexOf(':');
  let first: number;
  let last: number;
  if (colon < 0) {
    first = portNumber(token);
    last = first;
  } else {
    if (token.length === 1) return 'a range needs at least one end';
    first = colon === 0 ? 0 : portNumber(token.slice(0, colon));
    last = colon === token.length - 1 ? MAX_PORT : portNumber(token.slice(colon + 1));
  }
  if (first < 0 || last < 0) return `ports are numbers from 0 to ${MAX_PORT}`;
  if (first > last) return 'the range ends before it starts';
  return { kind: 'port', first, last, negated, at, length };
}

function portNumber(text: string): number {
  const value = parseDecimal(text, 5);
  return value > MAX_PORT ? -1 : value;
}

/** Decimal digits only, at most `maxDigits` of them; -1 otherwise. */
export function parseDecimal(text: string, maxDigits: number): number {
  if (text.length === 0 || text.length > maxDigits) return -1;
  let value = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * An address literal as an inclusive range, or the reason why it is none. Host bits set beside a prefix length are
 * allowed and ignored (`10.1.2.3/8` is `10.0.0.0/8`), as everywhere in rule files.
 */
export function parseAddressRange(text: string): AddressRange | string {
  const dash = text.indexOf('-');
  if (dash >= 0) {
    const first = parseAddress(text.slice(0, dash));
    const last = parseAddress(text.slice(dash + 1));
    if (first === null || last === null) return 'an end of the range is no IP address';
    if (first.family !== last.family) return 'the ends of the range are of different families';
    if (first.value > last.value) return 'the range ends before it starts';
    return { family: first.family, first: first.value, last: last.value };
  }
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return 'no IP address';
  const { family, value } = address;
  const bits = family === 4 ? 32 : 128;
  if (slash < 0) return { family, first: value, last: value };
  const mask = text.slice(slash + 1);
  let prefix = parseDecimal(mask, 3);
  if (prefix < 0 && family === 4) prefix = netmaskBits(mask);
  if (prefix < 0 || prefix > bits) {
    return family === 4 ? 'the prefix is no number from 0 to 32 and no netmask' : 'the prefix is no number from 0 to 128';
  }
  const host = (1n << BigInt(bits - prefix)) - 1n;
  const last = value | host;
  return { family, first: last - host, last };
}

function parseAddress(text: string): { readonly family: 4 | 6; readonly value: bigint } | null {
  if (text.includes(':')) {
    const value = parseIpv6(text);
    return value === null ? null : { family: 6, value };
  }
  const value = parseIpv4(text);
  return value < 0 ? null : { family: 4, value: BigInt(value) };
}

/** Dotted quad as an unsigned 32-bit number, or -1. */
function parseIpv4(text: string): number {
  if (text.length > 15) return -1;
  const parts = text.split('.');
  if (parts.length !== 4) return -1;
  let value = 0;
  for (const part of parts) {
    const octet = parseDecimal(part, 3);
    if (octet < 0 || octet > 255) return -1;
    value = value * 256 + octet;
  }
  return value;
}

/** Prefix length of a contiguous dotted netmask, or -1. */
function netmaskBits(text: string): number {
  const mask = parseIpv4(text);
  if (mask < 0) return -1;
  const host = (~mask) >>> 0;
  if ((host & (host + 1)) !== 0) return -1;
  return Math.clz32(host);
}

/** RFC 4291 section 2.2 text forms, `::` and a trailing dotted quad included; null when it is none. */
function parseIpv6(text: string): bigint | null {
  if (text.length > 45) return null;
  const gap = text.indexOf('::');
  const head = ipv6Groups(gap < 0 ? text : text.slice(0, gap), gap < 0);
  const tail = gap < 0 ? [] : ipv6Groups(text.slice(gap + 2), true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (gap < 0 ? missing !== 0 : missing < 1) return null;
  let value = 0n;
  for (const group of head) value = (value << 16n) | BigInt(group);
  value <<= BigInt(16 * missing);
  for (const group of tail) value = (value << 16n) | BigInt(group);
  return value;
}

function ipv6Groups(text: string, mayEndInIpv4: boolean): number[] | null {
  const groups: number[] = [];
  if (text === '') return groups;
  const parts = text.split(':');
  if (parts.length > 8) return null;
  for (let index = 0; index < parts.length; index += 1) {
    const part = parts[index]!;
    if (mayEndInIpv4 && index === parts.length - 1 && part.includes('.')) {
      const ipv4 = parseIpv4(part);
      if (ipv4 < 0) return null;
      groups.push(ipv4 >>> 16, ipv4 & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return null;
    }
  }
  return groups;
}
