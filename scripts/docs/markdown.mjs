/** Small helpers for generated Markdown. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** A module of the build. */
export function built(path) {
  return import(join(root, 'dist/src', path));
}

/** Text for a table cell. */
export function cell(text) {
  return String(text).replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');
}

export function code(text) {
  return `\`${String(text).replaceAll('|', '\\|')}\``;
}

/** @param rows cells that are Markdown already */
export function table(head, rows) {
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows.map((r) => `| ${r.join(' | ')} |`)].join('\n');
}
