/**
 * The `ports` section: the switch's own schema with two things the appliance adds - the VM a port belongs to, and settings
 * spelled in snake_case as everywhere else in the file (code has camelCase).
 */
import { portSchema } from '../../vswitch/index.js';
import type { JsonSchema } from './validate.js';

type Json = Readonly<Record<string, unknown>>;

export function snake(name: string): string {
  return name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
}

export function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase());
}

/** Rename the settings a schema declares; values (enums, constants) stay. */
function snakeSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(snakeSchema);
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === 'properties') return [key, Object.fromEntries(Object.entries(value as Json).map(([name, s]) => [snake(name), snakeSchema(s)]))];
      if (key === 'required') return [key, (value as string[]).map(snake)];
      return [key, ['enum', 'const', 'default', 'description'].includes(key) ? value : snakeSchema(value)];
    }),
  );
}

const vm = { type: 'string', description: 'The VM (of the vms section) whose adapter this is.' };

/** Schema of one entry of `ports` as it is written in the file. */
export const portSection: JsonSchema = (() => {
  const own = snakeSchema(portSchema) as Json & { oneOf: (Json & { properties: Json })[] };
  return {
    ...own,
    discriminator: { propertyName: 'type' },
    oneOf: own.oneOf.map((branch) => ({ ...branch, properties: { ...branch.properties, vm } })),
  };
})();

/** An entry of the file as the switch and its port types want it. */
export function portDefinition(entry: unknown): unknown {
  if (Array.isArray(entry)) return entry.map(portDefinition);
  if (typeof entry !== 'object' || entry === null) return entry;
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [camel(key), portDefinition(value)]));
}
