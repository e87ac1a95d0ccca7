/** Reads rules/cases/*.yaml. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';

/** @typedef {{sid: number, attack: object, near_miss: object, file: string}} Case */

/**
 * All cases of a folder, by sid.
 * @param {string} folder
 * @returns {Case[]}
 * @throws SyntaxError naming the file on what is not a case, and on a sid that has two
 */
export function readCases(folder) {
  /** @type {Map<number, Case>} */
  const cases = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.yaml')).sort()) {
    const document = parseDocument(readFileSync(join(folder, file), 'utf8'));
    if (document.errors.length > 0) throw new SyntaxError(`${file}: ${document.errors[0].message}`);
    for (const entry of document.toJS()) {
      const place = `${file}: sid ${entry?.sid}`;
      if (!Number.isInteger(entry?.sid)) throw new SyntaxError(`${place}: not a number`);
      const unknown = Object.keys(entry).filter((key) => !['sid', 'attack', 'near_miss'].includes(key));
      if (unknown.length > 0) throw new SyntaxError(`${place}: unknown ${unknown.join(', ')}`);
      for (const name of ['attack', 'near_miss']) {
        if (typeof entry[name] !== 'object' || entry[name] === null) throw new SyntaxError(`${place}: no ${name}`);
      }
      if (cases.has(entry.sid)) throw new SyntaxError(`${place}: has a case in ${cases.get(entry.sid).file} too`);
      cases.set(entry.sid, { ...entry, file });
    }
  }
  return [...cases.values()].sort((a, b) => a.sid - b.sid);
}
