/** Rule headers: `action protocol address port direction address port`, or Snort 3's `action protocol`. */
import { parseAddressExpr, parsePortExpr, type ExprResult } from './address.js';
import {
  ACTIONS, DIRECTIONS,
  type Action, type AddressExpr, type AnyExpr, type Dialect, type Direction, type PortExpr,
} from './ast.js';
import { isBlank, skipBlanks, trimEnd } from './lexer.js';
import type { ErrorReport } from './report.js';

const OPEN_PAREN = 0x28;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

export interface Header {
  readonly dialect: Dialect;
  readonly action: Action;
  readonly protocol: string;
  readonly sourceAddress: AddressExpr;
  readonly sourcePort: PortExpr;
  readonly direction: Direction;
  readonly destinationAddress: AddressExpr;
  readonly destinationPort: PortExpr;
  readonly sourceAddressAt: number;
  readonly sourcePortAt: number;
  readonly destinationAddressAt: number;
  readonly destinationPortAt: number;
  /** Where the action starts. */
  readonly start: number;
  /** The `(`. */
  readonly optionsAt: number;
}

/** Trees of the expressions seen so far; a rule file has few distinct ones. Bounded. */
export class ExprCache<Expr> {
  static readonly #CAPACITY = 4096;
  readonly #results = new Map<string, ExprResult<Expr>>();

  constructor(readonly parse: (text: string) => ExprResult<Expr>) {}

  get(text: string): ExprResult<Expr> {
    let result = this.#results.get(text);
    if (result === undefined) {
      result = this.parse(text);
      if (this.#results.size < ExprCache.#CAPACITY) this.#results.set(text, result);
    }
    return result;
  }
}

export class HeaderCaches {
  readonly addresses = new ExprCache(parseAddressExpr);
  readonly ports = new ExprCache(parsePortExpr);
}

/** What a rule without addresses and ports means. */
const IMPLIED_ANY: AnyExpr = { kind: 'any', negated: false, at: 0, length: 0 };

const ACTION_BY_NAME: ReadonlyMap<string, Action> = new Map(ACTIONS.map((action) => [action, action]));
const PROTOCOL_FORM = ['a name of letters, digits, "-", "_" and "."'];

/** The action that starts `text` at `at`, whatever its case. */
export function actionAt(text: string, at: number): Action | undefined {
  return actionNamed(text.slice(at, tokenEnd(text, at, Math.min(text.length, at + 16))));
}

function actionNamed(token: string): Action | undefined {
  return ACTION_BY_NAME.get(token) ?? ACTION_BY_NAME.get(token.toLowerCase());
}

/** Parses the header; null when it has errors, all of which are then in the report. */
export function parseHeader(report: ErrorReport, caches: HeaderCaches): Header | null {
  const { text } = report.source;
  const end = trimEnd(text, 0, text.length);
  const errorsBefore = report.errors.length;
  const start = skipBlanks(text, 0, end);
  let at = tokenEnd(text, start, end);
  const actionToken = text.slice(start, at);
  const action = actionNamed(actionToken);
  if (action === undefined) {
    // What follows is probably no rule at all: more errors about it would only hide this one.
    report.add('unknown-action', start, actionToken, 'unknown action', ACTIONS);
    return null;
  }

  const protocolAt = skipBlanks(text, at, end);
  at = tokenEnd(text, protocolAt, end);
  const protocol = text.slice(protocolAt, at).toLowerCase();
  if (protocol === '') {
    report.add('missing-header-field', protocolAt, '', 'the protocol is missing', PROTOCOL_FORM);
    return null;
  }
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(protocol)) {
    report.add('bad-protocol', protocolAt, protocol, 'not a protocol name', PROTOCOL_FORM);
  }

  at = skipBlanks(text, at, end);
  if (at < end && text.charCodeAt(at) === OPEN_PAREN) {
    if (report.errors.length > errorsBefore) return null;
    return {
      dialect: 'snort3', action, protocol,
      sourceAddress: IMPLIED_ANY, sourcePort: IMPLIED_ANY, direction: '->',
      destinationAddress: IMPLIED_ANY, destinationPort: IMPLIED_ANY,
      sourceAddressAt: 0, sourcePortAt: 0, destinationAddressAt: 0, destinationPortAt: 0,
      start, optionsAt: at,
    };
  }

  const sourceAddressAt = at;
  at = exprEnd(text, at, end);
  const sourceAddress = expression(report, sourceAddressAt, at, 'source address', caches.addresses);
  const sourcePortAt = skipBlanks(text, at, end);
  at = exprEnd(text, sourcePortAt, end);
  const sourcePort = expression(report, sourcePortAt, at, 'source port', caches.ports);

  const directionAt = skipBlanks(text, at, end);
  at = tokenEnd(text, directionAt, end);
  const direction = parseDirection(report, directionAt, text.slice(directionAt, at));

  const destinationAddressAt = skipBlanks(text, at, end);
  at = exprEnd(text, destinationAddressAt, end);
  const destinationAddress = expression(report, destinationAddressAt, at, 'destination address', caches.addresses);
  const destinationPortAt = skipBlanks(text, at, end);
  at = exprEnd(text, destinationPortAt, end);
  const destinationPort = expression(report, destinationPortAt, at, 'destination port', caches.ports);

  const optionsAt = skipBlanks(text, at, end);
  if (report.errors.length === errorsBefore && (optionsAt >= end || text.charCodeAt(optionsAt) !== OPEN_PAREN)) {
    report.add('missing-options', optionsAt, text.slice(optionsAt, tokenEnd(text, optionsAt, end)),
      'the options in parentheses are missing', ['(']);
  }
  if (
    sourceAddress === null || sourcePort === null || direction === null || destinationAddress === null
    || destinationPort === null || report.errors.length > errorsBefore
  ) return null;
  return {
    dialect: 'suricata', action, protocol, sourceAddress, sourcePort, direction, destinationAddress, destinationPort,
    sourceAddressAt, sourcePortAt, destinationAddressAt, destinationPortAt, start, optionsAt,
  };
}

function parseDirection(report: ErrorReport, at: number, token: string): Direction | null {
  if (token === '->' || token === '<>') return token;
  if (token === '') {
    // Everything after it is missing too; the first missing field has been reported already.
    if (report.errors.length === 0) report.add('missing-header-field', at, '', 'the direction is missing', DIRECTIONS);
    return null;
  }
  report.add('bad-direction', at, token,
    token === '<-' ? 'there is no "<-": exchange the two ends' : 'unknown direction', DIRECTIONS);
  return null;
}

function expression<Expr>(
  report: ErrorReport, at: number, end: number, field: string, cache: ExprCache<Expr>,
): Expr | null {
  if (at >= end) {
    if (report.errors.length === 0) report.add('missing-header-field', at, '', `the ${field} is missing`);
    return null;
  }
  const { expr, problem } = cache.get(report.source.text.slice(at, end));
  if (problem !== null) {
    report.add(problem.kind, at + problem.at, problem.token, `${field}: ${problem.message}`, problem.accepted);
    return null;
  }
  return expr;
}

/** End of a word: a blank, a `(` or the end of the rule. */
function tokenEnd(text: string, at: number, end: number): number {
  while (at < end && !isBlank(text.charCodeAt(at)) && text.charCodeAt(at) !== OPEN_PAREN) at += 1;
  return at;
}

/** End of an expression: as a word, but blanks inside brackets belong to it. */
function exprEnd(text: string, at: number, end: number): number {
  let depth = 0;
  for (; at < end; at += 1) {
    const code = text.charCodeAt(at);
    if (code === OPEN_PAREN) break;
    if (code === OPEN_BRACKET) depth += 1;
    else if (code === CLOSE_BRACKET) depth -= 1;
    else if (depth <= 0 && isBlank(code)) break;
  }
  return at;
}
