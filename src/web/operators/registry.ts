/** The table of operators. Adding one: its file in this folder, one import and one row here. */
import { beginsWith } from './begins-with.js';
import { contains } from './contains.js';
import { containsWord } from './contains-word.js';
import { detectSQLi } from './detect-sqli.js';
import { detectXSS } from './detect-xss.js';
import { endsWith } from './ends-with.js';
import { eq } from './eq.js';
import { ge } from './ge.js';
import { geoLookup } from './geo-lookup.js';
import { gt } from './gt.js';
import { ipMatch, ipMatchFromFile } from './ip-match.js';
import { le } from './le.js';
import { lt } from './lt.js';
import { noMatch } from './no-match.js';
import type { Operator } from './operator.js';
import { pm, pmFromFile } from './pm.js';
import { REFUSED_OPERATORS } from './refused.js';
import { rx } from './rx.js';
import { rxGlobal } from './rx-global.js';
import { streq } from './streq.js';
import { strmatch } from './strmatch.js';
import { unconditionalMatch } from './unconditional-match.js';
import { validateByteRange } from './validate-byte-range.js';
import { validateUrlEncoding } from './validate-url-encoding.js';
import { validateUtf8Encoding } from './validate-utf8-encoding.js';
import { verifyCC, verifyCPF, verifySSN, verifySVNR } from './verify-numbers.js';
import { within } from './within.js';

export const OPERATORS: readonly Operator[] = [
  beginsWith,
  contains,
  containsWord,
  detectSQLi,
  detectXSS,
  endsWith,
  eq,
  ge,
  geoLookup,
  gt,
  ipMatch,
  ipMatchFromFile,
  le,
  lt,
  noMatch,
  pm,
  pmFromFile,
  rx,
  rxGlobal,
  streq,
  strmatch,
  unconditionalMatch,
  validateByteRange,
  validateUrlEncoding,
  validateUtf8Encoding,
  verifyCC,
  verifyCPF,
  verifySSN,
  verifySVNR,
  within,
  ...REFUSED_OPERATORS,
];

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
