/** Rule files of the web engine on disk: reading, and finding by pattern. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { RuleFiles } from '../web/index.js';

/** Largest rule or data file, in bytes. */
const MAX_FILE = 16 * 1024 * 1024;

export const webRuleFiles: RuleFiles = {
  read(path) {
    const { size } = statSync(path);
    if (size > MAX_FILE) throw new Error(`the file has ${size} bytes, at most ${MAX_FILE} are read`);
    return readFileSync(path);
  },
  find(pattern, from) {
    const full = isAbsolute(pattern) ? pattern : join(dirname(resolve(from)), pattern);
    if (!/[*?[]/.test(pattern)) return statSync(full, { throwIfNoEntry: false })?.isFile() === true ? [full] : [];
    return expand(full);
  },
};

/** Wildcards in any part of the path; names in byte order, as Apache includes them. */
function expand(pattern: string): string[] {
  const parts = pattern.split('/');
  let paths = [parts[0] === '' ? '/' : parts[0]!];
  for (const [i, part] of parts.entries()) {
    if (i === 0) continue;
    const last = i === parts.length - 1;
    if (!/[*?[]/.test(part)) {
      paths = paths.map((path) => join(path, part)).filter((path) => statSync(path, { throwIfNoEntry: false })?.[last ? 'isFile' : 'isDirectory']() === true);
      continue;
    }
    const test = wildcard(part);
    paths = paths.flatMap((path) =>
      readdirSync(path, { withFileTypes: true })
        .filter((entry) => test.test(entry.name) && (part.startsWith('.') || !entry.name.startsWith('.')))
        .map((entry) => join(path, entry.name))
        .filter((found) => statSync(found, { throwIfNoEntry: false })?.[last ? 'isFile' : 'isDirectory']() === true)
        .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)),
    );
  }
  return paths;
}

function wildcard(part: string): RegExp {
  const text = part.replace(/[.+^${}()|\\]/g, '\\$&').replaceAll('*', '[^/]*').replaceAll('?', '[^/]');
  return new RegExp(`^${text}$`);
}
