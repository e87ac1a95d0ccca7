/** JSON Schema validation whose errors an operator can act on: position, what was found, what is accepted. */
import { Ajv, type ErrorObject } from 'ajv';
import type { LocatedYaml, PathStep } from './located-yaml.js';
import type { ConfigProblem } from './problem.js';

export type JsonSchema = Readonly<Record<string, unknown>>;

export class SchemaValidator {
  readonly #validate: ReturnType<Ajv['compile']>;

  constructor(schema: JsonSchema) {
    // useDefaults fills the documented defaults in, so that the rest of the program sees complete values. strictSchema would
    // refuse defaults below oneOf, which are documentation there: the rooms apply them.
    const ajv = new Ajv({ allErrors: true, useDefaults: true, strict: true, strictTypes: false, strictRequired: false, strictSchema: false, allowUnionTypes: true, verbose: true, discriminator: true });
    this.#validate = ajv.compile(schema);
  }

  /** Fills defaults into `yaml.value` and returns what is wrong with it. */
  check(yaml: LocatedYaml): ConfigProblem[] {
    if (this.#validate(yaml.value)) return [];
    const errors = bestBranches(this.#validate.errors ?? []);
    const seen = new Set<string>();
    const problems: ConfigProblem[] = [];
    for (const e of errors) {
      // The enum of the same setting says it better.
      if (e.keyword === 'discriminator' && errors.some((o) => o.keyword === 'enum' && o.instancePath === `${e.instancePath}/${String((e.params as { tag?: unknown }).tag)}`)) continue;
      const path = toPath(e.instancePath);
      const { message, at, atKey } = explain(e, path);
      const problem = yaml.problem(at, message, 'error', atKey);
      const key = `${problem.line}:${problem.column}:${message}`;
      if (!seen.has(key)) {
        seen.add(key);
        problems.push(problem);
      }
    }
    return problems;
  }
}

/**
 * Of a failed oneOf or anyOf keep what the likeliest branch complains about: the one whose constants fit, then the one with the
 * fewest complaints. The summary itself goes, unless no branch said anything.
 */
function bestBranches(errors: readonly ErrorObject[]): ErrorObject[] {
  let kept = [...errors];
  for (const choice of errors) {
    if (choice.keyword !== 'oneOf' && choice.keyword !== 'anyOf') continue;
    const inside = kept.filter((e) => e !== choice && e.schemaPath.startsWith(`${choice.schemaPath}/`) && e.instancePath.startsWith(choice.instancePath));
    if (inside.length === 0) continue;
    const branches = new Map<string, ErrorObject[]>();
    for (const e of inside) {
      const branch = e.schemaPath.slice(choice.schemaPath.length + 1).split('/', 1)[0]!;
      branches.set(branch, [...(branches.get(branch) ?? []), e]);
    }
    const cost = (list: readonly ErrorObject[]): number => list.reduce((n, e) => n + (e.keyword === 'const' || e.keyword === 'type' ? 100 : 1), 0);
    const best = [...branches.values()].reduce((a, b) => (cost(b) < cost(a) ? b : a));
    kept = kept.filter((e) => e !== choice && (!inside.includes(e) || best.includes(e)));
  }
  return kept;
}

function toPath(pointer: string): PathStep[] {
  return pointer
    .split('/')
    .slice(1)
    .map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((s) => (/^\d+$/.test(s) ? Number(s) : s));
}

function explain(e: ErrorObject, path: PathStep[]): { message: string; at: PathStep[]; atKey: boolean } {
  const found = JSON.stringify(e.data);
  const short = found && found.length > 60 ? `${found.slice(0, 57)}...` : found;
  const p = e.params as Record<string, unknown>;
  switch (e.keyword) {
    case 'additionalProperties': {
      const known = Object.keys((e.parentSchema as { properties?: object }).properties ?? {});
      return { message: `unknown setting "${String(p['additionalProperty'])}"; known here: ${known.join(', ')}`, at: [...path, String(p['additionalProperty'])], atKey: true };
    }
    case 'required':
      return { message: `the setting "${String(p['missingProperty'])}" is missing`, at: path, atKey: false };
    case 'enum':
      return { message: `${short} is not one of: ${(p['allowedValues'] as unknown[]).map(String).join(', ')}`, at: path, atKey: false };
    case 'const':
      return { message: `must be ${JSON.stringify(p['allowedValue'])}, not ${short}`, at: path, atKey: false };
    case 'type':
      return { message: `must be ${[p['type']].flat().join(' or ')}, not ${short}`, at: path, atKey: false };
    case 'pattern': {
      const hint = (e.parentSchema as { description?: string }).description;
      return { message: `${short} has the wrong form${hint ? ` (${hint})` : ` (must match ${String(p['pattern'])})`}`, at: path, atKey: false };
    }
    case 'discriminator':
      return { message: `the setting "${String(p['tag'])}" has the unknown value ${JSON.stringify(p['tagValue'])}`, at: [...path, String(p['tag'])], atKey: false };
    default:
      return { message: `${e.message ?? e.keyword}${short === undefined ? '' : `, found ${short}`}`, at: path, atKey: false };
  }
}
