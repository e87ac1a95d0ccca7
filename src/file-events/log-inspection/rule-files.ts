/** Rule files of log inspection: YAML with `decoders` and `rules`. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { LogEngine, type LogRuleFile } from './engine.js';

/**
 * @param paths files; a directory means all its *.yaml files
 * @throws Error with file and what is wrong, the system error when one cannot be read
 */
export function loadLogEngine(paths: readonly string[]): LogEngine {
  const files = paths.flatMap((path) => (statSync(path).isDirectory() ? readdirSync(path).filter((f) => f.endsWith('.yaml')).toSorted().map((f) => join(path, f)) : [path]));
  return new LogEngine(files.map((file) => {
    let value: unknown;
    try {
      value = parse(readFileSync(file, 'utf8'));
    } catch (error) {
      throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    if (!isRuleFile(value)) throw new Error(`${file}: expected a mapping with lists "decoders" and "rules", each rule with id, level and description`);
    return value;
  }));
}

function isRuleFile(value: unknown): value is LogRuleFile {
  if (typeof value !== 'object' || value === null || Object.keys(value).some((key) => key !== 'decoders' && key !== 'rules')) return false;
  const { decoders = [], rules = [] } = value as { decoders?: unknown; rules?: unknown };
  if (!Array.isArray(decoders) || !Array.isArray(rules)) return false;
  const all = (list: readonly unknown[], test: (entry: Record<string, unknown>) => boolean): boolean => list.every((e) => typeof e === 'object' && e !== null && test(e as Record<string, unknown>));
  return (
    all(decoders, (d) => typeof d['name'] === 'string' && typeof d['program'] === 'string' && typeof d['regex'] === 'string') &&
    all(rules, (r) => typeof r['id'] === 'number' && typeof r['level'] === 'number' && typeof r['description'] === 'string')
  );
}
