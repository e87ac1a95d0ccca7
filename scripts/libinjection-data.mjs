#!/usr/bin/env node
/**
 * Writes src/web/libinjection/sqli-data.ts from libinjection's published data (sqlparse_data.json and its licence).
 *
 *   node scripts/libinjection-data.mjs DIRECTORY    the directory with sqlparse_data.json and COPYING
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const from = process.argv[2];
if (from === undefined) throw new Error('usage: libinjection-data.mjs DIRECTORY');
const { keywords, fingerprints } = JSON.parse(readFileSync(join(from, 'sqlparse_data.json'), 'utf8'));
const licence = readFileSync(join(from, 'COPYING'), 'utf8').trimEnd();

/** Lines of at most 120 characters as the parts of a string concatenation. */
function stringLines(items, separator) {
  const lines = [];
  let line = '';
  for (const item of items) {
    if (item.includes(separator) || item.includes("'") || item.includes('\\')) throw new Error(`cannot encode ${item}`);
    if (line.length + item.length + 1 > 110) {
      lines.push(line);
      line = '';
    }
    line += item + separator;
  }
  lines.push(line.slice(0, -1));
  return lines.map((text) => `  '${text}'`).join(' +\n');
}

const byType = new Map();
for (const [word, type] of Object.entries(keywords)) byType.set(type, [...(byType.get(type) ?? []), word]);
const rows = [...byType].sort(([a], [b]) => (a < b ? -1 : 1)).map(([type, words]) => `  '${type}':\n${stringLines(words.sort(), ',').replaceAll(/^/gm, '  ')},`);

const text = `/**
 * Words of SQL dialects by token type, and the token sequences ("fingerprints") that are injections. Data of the project
 * libinjection, written by scripts/libinjection-data.mjs; not edited by hand. Licence of the data:
 *
${licence.split('\n').map((line) => ` * ${line}`.trimEnd()).join('\n')}
 */

/** Token type -> words, upper case, separated by commas. */
export const SQL_WORDS: Readonly<Record<string, string>> = {
${rows.join('\n')}
};

/** Fingerprints, upper case, separated by spaces. */
export const SQLI_FINGERPRINTS: string =
${stringLines([...new Set(fingerprints.map((f) => f.toUpperCase()))].sort(), ' ')};
`;
const target = join(dirname(fileURLToPath(import.meta.url)), '../src/web/libinjection/sqli-data.ts');
writeFileSync(target, text);
