/** Look-up of SQL words and fingerprints in the published data. */
import { SQLI_FINGERPRINTS, SQL_WORDS } from './sqli-data.js';
import { SqlType } from './sqli-token.js';

const WORDS = new Map<string, number>();
let longest = 0;
for (const [type, words] of Object.entries(SQL_WORDS)) {
  for (const word of words.split(',')) {
    WORDS.set(word, type.charCodeAt(0));
    longest = Math.max(longest, word.length);
  }
}
const FINGERPRINTS: ReadonlySet<string> = new Set(SQLI_FINGERPRINTS.split(' '));

/** Token type of a word or operator in any case, SqlType.NONE when no dialect knows it. */
export function lookupWord(word: string): number {
  if (word.length > longest) return SqlType.NONE;
  const upper = word.toUpperCase();
  // A byte such as 0xdf becomes two letters in upper case: then it is no word of SQL, whatever it looks like now.
  return upper.length === word.length ? (WORDS.get(upper) ?? SqlType.NONE) : SqlType.NONE;
}

export function isKnownFingerprint(fingerprint: string): boolean {
  return FINGERPRINTS.has(fingerprint.toUpperCase());
}
