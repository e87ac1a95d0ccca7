/** The second argument of SecRule: `@rx ^a`, `!@streq b`, or a bare regular expression. */
import { Macro } from '../macro.js';
import type { CompileContext, CompiledOperator, Operator } from '../operators/operator.js';
import { findOperator, operatorNames } from '../operators/registry.js';
import { ArgumentError } from './targets.js';

export interface ParsedOperator {
  readonly operator: Operator;
  readonly negated: boolean;
  readonly argument: Macro;
  /** Null when the argument has macros. */
  readonly compiled: CompiledOperator | null;
}

/** @throws ArgumentError */
export function parseOperator(text: string, context: CompileContext): ParsedOperator {
  let pos = 0;
  const skip = (): void => {
    while (pos < text.length && /\s/.test(text[pos]!)) pos++;
  };
  skip();
  let negated = false;
  if (text[pos] === '!') {
    negated = true;
    pos++;
    skip();
  }
  let name = 'rx';
  const at = pos;
  if (text[pos] === '@') {
    const match = /^@(\S*)\s*/.exec(text.slice(pos))!;
    name = match[1]!;
    pos += match[0].length;
  }
  const operator = findOperator(name);
  if (operator === undefined) throw new ArgumentError(`unknown operator '@${name}'; there are ${operatorNames().join(', ')}`, at);
  const argument = new Macro(text.slice(pos));
  if (operator.argument === 'required' && argument.text === '' && operator.name !== 'rx') throw new ArgumentError(`@${operator.name} needs an argument`, at);
  if (!argument.constant) return { operator, negated, argument, compiled: null };
  try {
    return { operator, negated, argument, compiled: operator.compile(argument.text, context) };
  } catch (error) {
    throw new ArgumentError(`@${operator.name}: ${error instanceof Error ? error.message : String(error)}`, pos);
  }
}
