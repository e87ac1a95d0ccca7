/** The table of operators. Adding one: its file in this folder, one import and one row here. */
import type { Operator } from './operator.js';

export const OPERATORS: readonly Operator[] = [];

const BY_NAME = new Map<string, Operator>();
for (const row of OPERATORS) {
  for (const name of [row.name, ...(row.aliases ?? [])]) {
    if (BY_NAME.has(name.toLowerCase())) throw new Error(`operator ${name} is registered twice`);
    BY_NAME.set(name.toLowerCase(), row);
  }
}

/** The operator of this name (without '@') or alias, in any case. */
export function findOperator(name: string): Operator | undefined {
  return BY_NAME.get(name.toLowerCase());
}

/** Names for messages and documentation. */
export function operatorNames(): string[] {
  return OPERATORS.map((row) => row.name);
}
