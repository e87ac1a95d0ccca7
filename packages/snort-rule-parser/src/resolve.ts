/**
 * Address and port expressions to sets of numbers, variables resolved. A list is the union of its positive items
 * (everything, when it has none) without the union of its negated items; `!` before a list or variable is the
 * complement of what it stands for. So `[10.0.0.0/8,!10.1.0.0/16]` and `!$HOME_NET` mean what they say at any depth.
 */
import { MAX_PORT, parseAddressExpr, parseAddressRange, parsePortExpr, type ExprResult } from './address.js';
import type { AddressExpr, AddressLiteral, ListExpr, PortExpr, PortLiteral, Rule, SourceText } from './ast.js';
import { clipToken, type RuleError, type RuleErrorKind } from './errors.js';
import { locate } from './lexer.js';

/** Value of a variable (name without `$`): text, a tree, or undefined when there is no such variable. */
export type VariableLookup<Expr> = (name: string) => string | Expr | undefined;

/** Inclusive range of IPv4 addresses, as unsigned 32-bit numbers. */
export interface Ipv4Range {
  readonly first: number;
  readonly last: number;
}

/** Inclusive range of IPv6 addresses, as 128-bit integers. */
export interface Ipv6Range {
  readonly first: bigint;
  readonly last: bigint;
}

/** Inclusive range of ports. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Canonical: sorted, disjoint and never adjacent ranges; negations are already carried out. Never empty. */
export interface AddressSet {
  readonly v4: readonly Ipv4Range[];
  readonly v6: readonly Ipv6Range[];
  /** True when the set is every address of both families. */
  readonly any: boolean;
  /** True when a `!` occurs in the expression or in a variable it uses. */
  readonly negated: boolean;
}

/** As {@link AddressSet}, for ports. */
export interface PortSet {
  readonly ranges: readonly PortRange[];
  readonly any: boolean;
  readonly negated: boolean;
}

/** Where an expression stood, for errors: its text begins at `source.text[at]`. See {@link placeOf}. */
export interface ExprPlace {
  readonly source: SourceText;
  readonly at: number;
}

export type ResolveResult<Set> = { readonly set: Set; readonly error: null } | {
  readonly set: null;
  readonly error: RuleError;
};

/** Variables inside variables; the longest chain that is followed. */
export const MAX_VARIABLE_DEPTH = 64;
/** List items plus ranges under them that one expression may come to, all its variables included. */
export const MAX_EXPR_ITEMS = 65_536;

const NOWHERE: ExprPlace = { source: { file: '', text: '', line: 1, column: 1, offset: 0, continuations: [] }, at: 0 };
const V4_MAX = (1n << 32n) - 1n;
const V6_MAX = (1n << 128n) - 1n;

/** Resolves one address expression. For many of them use {@link AddressResolver}, which remembers the variables. */
export function resolveAddress(
  expr: AddressExpr, lookup: VariableLookup<AddressExpr>, place: ExprPlace = NOWHERE,
): ResolveResult<AddressSet> {
  return new AddressResolver(lookup).resolve(expr, place);
}

/** Resolves one port expression. For many of them use {@link PortResolver}, which remembers the variables. */
export function resolvePorts(
  expr: PortExpr, lookup: VariableLookup<PortExpr>, place: ExprPlace = NOWHERE,
): ResolveResult<PortSet> {
  return new PortResolver(lookup).resolve(expr, place);
}

/** Resolves address expressions against one set of variables. */
export class AddressResolver {
  readonly #resolver: SetResolver<AddressLiteral, AddressSet>;

  constructor(lookup: VariableLookup<AddressExpr>) {
    this.#resolver = new SetResolver('address', lookup, parseAddressExpr, ADDRESS_SPACE, toAddressSet);
  }

  /** Equal trees of one file are one object, so a resolver sees each only once. */
  resolve(expr: AddressExpr, place: ExprPlace = NOWHERE): ResolveResult<AddressSet> {
    return this.#resolver.resolve(expr, place);
  }
}

/** Resolves port expressions against one set of variables. */
export class PortResolver {
  readonly #resolver: SetResolver<PortLiteral, PortSet>;

  constructor(lookup: VariableLookup<PortExpr>) {
    this.#resolver = new SetResolver('port', lookup, parsePortExpr, PORT_SPACE, toPortSet);
  }

  resolve(expr: PortExpr, place: ExprPlace = NOWHERE): ResolveResult<PortSet> {
    return this.#resolver.resolve(expr, place);
  }
}

export type HeaderField = 'sourceAddress' | 'sourcePort' | 'destinationAddress' | 'destinationPort';

/** Where a header expression of a rule stands in its file, for {@link resolveAddress} and its siblings. */
export function placeOf(rule: Rule, field: HeaderField): ExprPlace {
  return { source: rule.source, at: rule[`${field}At`] };
}

/** Prefixes that cover an IPv4 range exactly, in order. At most 62. */
export function ipv4Cidrs(range: Ipv4Range): { readonly address: number; readonly prefix: number }[] {
  return cidrs(BigInt(range.first), BigInt(range.last), 32).map(({ address, prefix }) => ({ address: Number(address), prefix }));
}

/** Prefixes that cover an IPv6 range exactly, in order. At most 254. */
export function ipv6Cidrs(range: Ipv6Range): { readonly address: bigint; readonly prefix: number }[] {
  return cidrs(range.first, range.last, 128);
}

function cidrs(first: bigint, last: bigint, bits: number): { readonly address: bigint; readonly prefix: number }[] {
  const blocks: { address: bigint; prefix: number }[] = [];
  while (first <= last) {
    let host = 0;
    while (host < bits) {
      const mask = (1n << BigInt(host + 1)) - 1n;
      if ((first & mask) !== 0n || (first | mask) > last) break;
      host += 1;
    }
    blocks.push({ address: first, prefix: bits - host });
    first += 1n << BigInt(host);
  }
  return blocks;
}

/** Sorted disjoint ranges on one axis. All arithmetic is on bigint, so that one code serves ports and both families. */
type Ranges = readonly Ipv6Range[];

/** One `Ranges` per axis: IPv4 and IPv6 for addresses, one for ports. */
type Point = readonly Ranges[];

interface Space<Literal> {
  readonly maxima: readonly bigint[];
  axisOf(literal: Literal): number;
  rangeOf(literal: Literal): Ipv6Range;
}

const ADDRESS_SPACE: Space<AddressLiteral> = {
  maxima: [V4_MAX, V6_MAX],
  axisOf: (literal) => (literal.family === 4 ? 0 : 1),
  rangeOf: (literal) => {
    const range = parseAddressRange(literal.text);
    // Only a tree that this package did not build can get here; an inverted range is an empty one.
    return typeof range === 'string' ? { first: 1n, last: 0n } : range;
  },
};

const PORT_SPACE: Space<PortLiteral> = {
  maxima: [BigInt(MAX_PORT)],
  axisOf: () => 0,
  rangeOf: ({ first, last }) => ({ first: BigInt(first), last: BigInt(last) }),
};

interface Resolved {
  readonly point: Point;
  readonly negated: boolean;
}

interface Failure {
  readonly kind: RuleErrorKind;
  readonly token: string;
  readonly message: string;
  readonly accepted: readonly string[];
  /** Offset in the outermost expression. */
  readonly at: number;
}

type Variable = { readonly resolved: Resolved; readonly failure: null } | {
  readonly resolved: null;
  readonly failure: Omit<Failure, 'at'>;
};

type Tree<Literal> = Exclude<AddressExpr, AddressLiteral | ListExpr<AddressExpr>> | Literal | ListExpr<Tree<Literal>>;

class SetResolver<Literal extends AddressLiteral | PortLiteral, Set> {
  readonly #results = new WeakMap<object, { readonly set: Set } | Failure>();
  readonly #variables = new Map<string, Variable>();
  /** Names being resolved, outermost first. */
  readonly #chain: string[] = [];
  #items = 0;
  #failure: Failure | null = null;

  constructor(
    readonly what: 'address' | 'port',
    readonly lookup: VariableLookup<Tree<Literal>>,
    readonly parse: (text: string) => ExprResult<Tree<Literal>>,
    readonly space: Space<Literal>,
    readonly finish: (resolved: Resolved, full: boolean) => Set,
  ) {}

  resolve(expr: Tree<Literal>, place: ExprPlace): ResolveResult<Set> {
    let result = this.#results.get(expr);
    if (result === undefined) {
      this.#items = 0;
      this.#failure = null;
      const resolved = this.#evaluate(expr, expr.at);
      if (resolved !== null && resolved.point.every((ranges) => ranges.length === 0)) {
        this.#fail('empty-set', expr.at, '', `this ${this.what} expression excludes everything`);
      }
      result = this.#failure ?? { set: this.finish(resolved!, this.#isFull(resolved!.point)) };
      this.#results.set(expr, result);
    }
    if ('set' in result) return { set: result.set, error: null };
    const { kind, message, token, accepted, at } = result;
    const { line, column, offset } = locate(place.source, place.at + at);
    return {
      set: null,
      error: { kind, message, accepted, token: clipToken(token), file: place.source.file, line, column, offset },
    };
  }

  /** `at`: where in the outermost expression an error of this node is to be shown. Null after a failure. */
  #evaluate(expr: Tree<Literal>, at: number): Resolved | null {
    const inner = this.#evaluatePositive(expr, at);
    if (inner === null || !expr.negated) return inner;
    return { point: inner.point.map((ranges, axis) => complement(ranges, this.space.maxima[axis]!)), negated: true };
  }

  /** The node without the `!` before it. */
  #evaluatePositive(expr: Tree<Literal>, at: number): Resolved | null {
    switch (expr.kind) {
      case 'any':
        return { point: this.#full(), negated: false };
      case 'variable':
        return this.#variable(expr.name, at);
      case 'list':
        return this.#list(expr, at);
      default: {
        const axis = this.space.axisOf(expr);
        const range = this.space.rangeOf(expr);
        return { point: this.space.maxima.map((_, index) => (index === axis ? [range] : [])), negated: false };
      }
    }
  }

  #list(expr: ListExpr<Tree<Literal>>, at: number): Resolved | null {
    const included: Ipv6Range[][] = this.space.maxima.map(() => []);
    const excluded: Ipv6Range[][] = this.space.maxima.map(() => []);
    let anyPositive = false;
    let negated = false;
    for (const item of expr.items) {
      const itemAt = this.#chain.length === 0 ? item.at : at;
      const resolved = item.negated ? this.#evaluatePositive(item, itemAt) : this.#evaluate(item, itemAt);
      if (resolved === null) return null;
      negated ||= item.negated || resolved.negated;
      anyPositive ||= !item.negated;
      this.#items += 1 + resolved.point.reduce((sum, ranges) => sum + ranges.length, 0);
      if (this.#items > MAX_EXPR_ITEMS) {
        return this.#fail('limit', itemAt, '', `the expression comes to more than ${MAX_EXPR_ITEMS} items and ranges`);
      }
      const target = item.negated ? excluded : included;
      resolved.point.forEach((ranges, axis) => {
        for (const range of ranges) target[axis]!.push(range);
      });
    }
    const point = this.space.maxima.map((max, axis) => {
      const base = anyPositive ? normalise(included[axis]!) : [{ first: 0n, last: max }];
      return excluded[axis]!.length === 0 ? base : subtract(base, normalise(excluded[axis]!));
    });
    return { point, negated };
  }

  #variable(name: string, at: number): Resolved | null {
    let variable = this.#variables.get(name);
    if (variable === undefined) {
      if (this.#chain.includes(name)) {
        const loop = [...this.#chain.slice(this.#chain.indexOf(name)), name].map((part) => `$${part}`).join(' -> ');
        return this.#fail('variable-cycle', at, `$${name}`, `the variable is defined by itself: ${loop}`);
      }
      if (this.#chain.length >= MAX_VARIABLE_DEPTH) {
        return this.#fail('limit', at, `$${name}`, `variables are nested deeper than ${MAX_VARIABLE_DEPTH}`);
      }
      this.#chain.push(name);
      const resolved = this.#define(name, at);
      this.#chain.pop();
      if (resolved !== null) {
        variable = { resolved, failure: null };
      } else {
        // The limit and a cycle depend on where the walk started, so only the outermost verdict is remembered.
        if (this.#chain.length > 0) return null;
        variable = { resolved: null, failure: this.#failure! };
      }
      this.#variables.set(name, variable);
    }
    if (variable.failure !== null) {
      this.#failure ??= { ...variable.failure, at };
      return null;
    }
    return variable.resolved;
  }

  #define(name: string, at: number): Resolved | null {
    const value = this.lookup(name);
    if (value === undefined) {
      return this.#fail('unknown-variable', at, `$${name}`, `there is no ${this.what} variable $${name}${this.#via()}`);
    }
    if (typeof value !== 'string') return this.#evaluate(value, at);
    const { expr, problem } = this.parse(value);
    if (problem === null) return this.#evaluate(expr, at);
    const where = `in the value of $${name} at column ${problem.at + 1}`;
    return this.#fail(problem.kind, at, problem.token, `${where}: ${problem.message}`, problem.accepted);
  }

  #via(): string {
    return this.#chain.length < 2 ? '' : ` (used by ${this.#chain.slice(0, -1).map((part) => `$${part}`).join(' -> ')})`;
  }

  #full(): Point {
    return this.space.maxima.map((last) => [{ first: 0n, last }]);
  }

  #isFull(point: Point): boolean {
    return point.every((ranges, axis) => ranges.length === 1 && ranges[0]!.first === 0n && ranges[0]!.last === this.space.maxima[axis]);
  }

  #fail(kind: RuleErrorKind, at: number, token: string, message: string, accepted: readonly string[] = []): null {
    this.#failure ??= { kind, at, token, message, accepted };
    return null;
  }
}

/** Sorts and merges; empty ranges vanish. */
function normalise(ranges: readonly Ipv6Range[]): Ipv6Range[] {
  const sorted = ranges.filter(({ first, last }) => first <= last);
  sorted.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const merged: { first: bigint; last: bigint }[] = [];
  for (const { first, last } of sorted) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous.last + 1n) {
      if (last > previous.last) previous.last = last;
    } else {
      merged.push({ first, last });
    }
  }
  return merged;
}

/** `[0, max]` without `ranges`, which are canonical. */
function complement(ranges: Ranges, max: bigint): Ipv6Range[] {
  const gaps: Ipv6Range[] = [];
  let next = 0n;
  for (const { first, last } of ranges) {
    if (first > next) gaps.push({ first: next, last: first - 1n });
    next = last + 1n;
  }
  if (next <= max) gaps.push({ first: next, last: max });
  return gaps;
}

/** `base` without `holes`, both canonical, in one pass. */
function subtract(base: Ranges, holes: Ranges): Ipv6Range[] {
  const rest: Ipv6Range[] = [];
  let hole = 0;
  for (const range of base) {
    let { first } = range;
    while (hole < holes.length && holes[hole]!.last < first) hole += 1;
    for (let index = hole; index < holes.length && holes[index]!.first <= range.last; index += 1) {
      if (holes[index]!.first > first) rest.push({ first, last: holes[index]!.first - 1n });
      first = holes[index]!.last + 1n;
    }
    if (first <= range.last) rest.push({ first, last: range.last });
  }
  return rest;
}

function toAddressSet({ point, negated }: Resolved, full: boolean): AddressSet {
  return {
    v4: point[0]!.map(({ first, last }) => ({ first: Number(first), last: Number(last) })),
    v6: point[1]!,
    any: full,
    negated,
  };
}

function toPortSet({ point, negated }: Resolved, full: boolean): PortSet {
  return { ranges: point[0]!.map(({ first, last }) => ({ first: Number(first), last: Number(last) })), any: full, negated };
}
