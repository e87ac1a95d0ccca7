/**
 * Is a value part of an SQL injection? It is read as SQL in each context in which it may have been put (bare, in single
 * quotes, in double quotes), folded to a fingerprint, and the fingerprint looked up among those of known attacks.
 * Behaves as libinjection (https://github.com/libinjection/libinjection) does; written from its data and test vectors.
 */
import { SqlFolder } from './sqli-folder.js';
import { SqlType as T, type SqlToken } from './sqli-token.js';
import { Quote, SqlTokenizer, type QuoteContext } from './sqli-tokenizer.js';
import { isKnownFingerprint } from './sqli-words.js';

const tokenizer = new SqlTokenizer();
const folder = new SqlFolder(tokenizer);

/** No fingerprint of an attack has one word or number alone. */
const ONE_WORD = /^[A-Za-z0-9_]*$/;

/** @returns the fingerprint of the injection, '' when `value` is none */
export function sqlInjection(value: string): string {
  if (ONE_WORD.test(value)) return '';
  const bare = inContext(value, Quote.NONE);
  if (bare !== '') return bare;
  if (value.includes("'")) {
    const single = inContext(value, Quote.SINGLE);
    if (single !== '') return single;
  }
  return value.includes('"') ? judged(value, Quote.DOUBLE, true) : '';
}

/** As ANSI SQL and, when that makes a difference, as MySQL. */
function inContext(value: string, quote: QuoteContext): string {
  const ansi = judged(value, quote, false);
  return ansi === '' && tokenizer.sawOtherDialect ? judged(value, quote, true) : ansi;
}

function judged(value: string, quote: QuoteContext, mysql: boolean): string {
  const fingerprint = fingerprintOf(value, quote, mysql);
  return isKnownFingerprint(fingerprint) && isAttack(value, fingerprint) ? fingerprint : '';
}

/** Types of the folded tokens, one letter each. */
export function fingerprintOf(value: string, quote: QuoteContext, mysql: boolean): string {
  tokenizer.start(value, quote, mysql);
  const count = folder.fold();
  const last = folder.tokens[count - 1];
  // PHP's backtick at the very end works as a comment
  if (count > 2 && last!.type === T.BAREWORD && last!.open === '`' && last!.close === '' && last!.text.length === 0) last!.type = T.COMMENT;
  let fingerprint = '';
  for (let i = 0; i < count; i++) {
    const type = folder.tokens[i]!.type;
    // no two databases agree on what this is: the whole value counts as unreadable
    if (type === T.EVIL) return 'X';
    fingerprint += String.fromCharCode(type);
  }
  return fingerprint;
}

/** Tells short fingerprints of attacks from the same ones in ordinary text. */
function isAttack(value: string, fingerprint: string): boolean {
  const [a, b, c] = folder.tokens as [SqlToken, SqlToken, SqlToken];
  // SQL Server leaves statements that mention sp_password out of its log
  if (fingerprint.length > 1 && fingerprint.endsWith('c') && value.includes('sp_password')) return true;
  if (fingerprint.length === 2) return isShortAttack(value, a, b);
  if (fingerprint.length !== 3) return true;
  switch (fingerprint) {
    case 'sos':
    case 's&s':
      // foo' + 'bar: cut out of the middle of a statement, quotes open on both sides
      return a.open === '' && c.close === '' && a.close === c.open;
    case 's&n':
    case 'n&1':
    case '1&1':
    case '1&v':
    case '1&s':
      // "sexy and 17" is text; folding took place when there was more
      return tokenizer.tokens !== 3;
    default:
      // of the keywords only INTO OUTFILE and INTO DUMPFILE
      return b.type !== T.KEYWORD || (b.text.length >= 5 && b.text.slice(0, 4).toUpperCase() === 'INTO');
  }
}

function isShortAttack(value: string, a: SqlToken, b: SqlToken): boolean {
  // "1 union" alone is text
  if (b.type === T.UNION) return tokenizer.tokens !== 2;
  const comment = b.text[0];
  if (comment === '#') return false;
  if (a.type === T.BAREWORD && b.type === T.COMMENT && comment !== '/') return false;
  if (a.type === T.NUMBER && b.type === T.COMMENT) {
    if (comment === '/' || tokenizer.tokens > 2) return true;
    return endsNumber(value, a.text.length);
  }
  // "--" inside text is common, at its end it is not
  return !(b.text.length > 2 && comment === '-');
}

/** What stands behind the number is a blank or a comment: it is not the beginning of something like 1234-ABCDEF--. */
function endsNumber(value: string, at: number): boolean {
  const c = value.charCodeAt(at);
  if (c <= 0x20 || c > 0x7f) return true;
  return value.startsWith('/*', at) || value.startsWith('--', at);
}
