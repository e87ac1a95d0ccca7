/** The table of transformations. Adding one: its file in this folder, one import and one row here. */
import type { Transformation } from './transformation.js';

export const TRANSFORMATIONS: readonly Transformation[] = [];

const BY_NAME = new Map<string, Transformation>();
for (const row of TRANSFORMATIONS) {
  for (const name of [row.name, ...(row.aliases ?? [])]) {
    if (BY_NAME.has(name.toLowerCase())) throw new Error(`transformation ${name} is registered twice`);
    BY_NAME.set(name.toLowerCase(), row);
  }
}

/** The transformation of this name or alias, in any case. `none` is no transformation: the rule parser handles it. */
export function findTransformation(name: string): Transformation | undefined {
  return BY_NAME.get(name.toLowerCase());
}

/** Names for messages and documentation. */
export function transformationNames(): string[] {
  return TRANSFORMATIONS.map((row) => row.name);
}
