/** The first argument of SecRule: `ARGS|!ARGS:password|&REQUEST_HEADERS:Host|TX:/^x_/`. */
import { NamePattern } from '../name-pattern.js';
import type { Selector, Target } from '../rule.js';
import { lowerAscii } from '../value.js';
import { findVariable, REFUSED_VARIABLES } from '../variables/registry.js';

/** An error inside an argument, at a character of it. */
export class ArgumentError extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

export interface ParsedTarget extends Selector {
  readonly count: boolean;
  readonly negated: boolean;
  readonly label: string;
}

/** @throws ArgumentError */
export function parseTargetList(text: string): ParsedTarget[] {
  const targets: ParsedTarget[] = [];
  let pos = 0;
  while (pos < text.length) {
    while (pos < text.length && (text[pos] === ' ' || text[pos] === '\t')) pos++;
    const end = targetEnd(text, pos);
    const item = text.slice(pos, end).trim();
    if (item === '') throw new ArgumentError('a variable is expected', pos);
    try {
      targets.push(parseTarget(item));
    } catch (error) {
      throw new ArgumentError(error instanceof Error ? error.message : String(error), pos);
    }
    pos = end + 1;
  }
  if (targets.length === 0) throw new ArgumentError('a variable is expected', 0);
  return targets;
}

/** Behind the last character of the target that begins at `pos`: separators inside a regular expression or quotes do not count. */
function targetEnd(text: string, pos: number): number {
  let i = pos;
  while (i < text.length && text[i] !== '|' && text[i] !== ',' && text[i] !== ':') i++;
  if (text[i] !== ':') return i;
  i++;
  const quoted = text[i] === "'";
  if (quoted) i++;
  if (text[i] === '/' && text[i + 1] !== '*' && text[i + 1] !== '/') {
    for (i++; i < text.length; i++) {
      if (text[i] === '\\') i++;
      else if (text[i] === '/') break;
    }
    i++;
  }
  if (quoted) {
    while (i < text.length && text[i] !== "'") i++;
    i++;
  }
  while (i < text.length && text[i] !== '|' && text[i] !== ',') i++;
  return Math.min(i, text.length);
}

function parseTarget(item: string): ParsedTarget {
  let text = item;
  let negated = false;
  let count = false;
  if (text.startsWith('!')) {
    negated = true;
    text = text.slice(1).trimStart();
  }
  if (text.startsWith('&')) {
    count = true;
    text = text.slice(1).trimStart();
  }
  if (negated && count) throw new Error(`'${item}' both counts and excludes`);
  const selector = parseSelector(text);
  if (count && !selector.variable.collection) throw new Error(`${selector.variable.name} is no collection: it cannot be counted`);
  return { ...selector, count, negated, label: `${count ? '&' : ''}${text}` };
}

/**
 * `NAME`, `NAME:name` or `NAME:/regex/`.
 * @throws Error naming what is unknown and what is accepted
 */
export function parseSelector(text: string): Selector {
  const colon = text.search(/[:.]/);
  const name = (colon < 0 ? text : text.slice(0, colon)).trim();
  const variable = findVariable(name);
  if (variable === undefined) {
    const reason = REFUSED_VARIABLES[name.toUpperCase()];
    throw new Error(reason === undefined ? `unknown variable '${name}'` : `variable ${name} is not available: ${reason}`);
  }
  if (colon < 0) {
    if (variable.expression !== null) throw new Error(`${variable.name} needs a path, such as ${variable.name}:/*`);
    return { variable, name: null, pattern: null, expression: null };
  }
  let selector = text.slice(colon + 1).trim();
  if (!variable.collection) throw new Error(`${variable.name} is no collection: it takes no ':${selector}'`);
  if (selector.length >= 2 && selector.startsWith("'") && selector.endsWith("'")) selector = selector.slice(1, -1);
  if (selector === '') throw new Error(`a name is expected after ${variable.name}:`);
  if (variable.expression !== null) {
    variable.expression.check(selector);
    return { variable, name: null, pattern: null, expression: selector };
  }
  if (selector.length >= 2 && selector.startsWith('/') && selector.endsWith('/')) {
    return { variable, name: null, pattern: new NamePattern(selector.slice(1, -1), true), expression: null };
  }
  return { variable, name: lowerAscii(selector), pattern: null, expression: null };
}

/** The targets to judge, each with the exclusions that concern it. Wholly excluded variables are left out. */
export function combineTargets(parsed: readonly ParsedTarget[]): Target[] {
  const targets: Target[] = [];
  for (const { negated, ...target } of parsed) {
    if (negated) continue;
    const exclusions = parsed.filter((p) => p.negated && p.variable === target.variable && (p.expression === null || p.expression === target.expression));
    if (!target.count && exclusions.some((p) => p.name === null && p.pattern === null)) continue;
    targets.push({ ...target, exclusions: target.count || exclusions.length === 0 ? null : exclusions });
  }
  return targets;
}
