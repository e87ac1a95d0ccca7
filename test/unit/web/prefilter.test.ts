import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import { PCRE_CASELESS, PCRE_DOLLAR_ENDONLY, PCRE_DOTALL, Pcre } from '@drawbridge/native';
import { webRuleFiles } from '../../../src/appliance/web-rule-files.js';
import { loadRules } from '../../../src/web/index.js';
import { ScanPlace, type PrefilterCache, type PrefilterPattern } from '../../../src/web/prefilter.js';
import { neededBytes } from '../../../src/web/prefilter/needed-bytes.js';
import { parseRegex } from '../../../src/web/prefilter/regex-tree.js';
import { createPrefilter } from '../../../src/web/prefilter/vectorscan.js';

const OPTIONS = PCRE_DOTALL | PCRE_DOLLAR_ENDONLY;

function setOf(expression: string, caseless = false): string | null {
  const tree = parseRegex(expression, caseless);
  const need = tree === null ? null : neededBytes(tree);
  if (need === null) return null;
  return Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => need.has(byte)).map((byte) => String.fromCharCode(byte)).join('');
}

test('needed bytes', (t) => {
  const cases: readonly (readonly [string, string | null])[] = [
    ['abc<def', '<'],
    ['(?i)x', 'Xx'],
    ['(?:<a|"b)', '"<'],
    ['<?a', 'a'],
    ['(?:<|x)*;', ';'],
    ['a{0,3}', null],
    ['[<>]+x', '<>'],
    ['<{2}', '<'],
    ['x|', null],
    ['(?=<)a', 'a'],
    ['(?!<)a', 'a'],
    ['\\d\\x3c', '<'],
    ['\\x{3c}', '<'],
    ['a{b', '{'],
    ['^$\\b', null],
    ['(?i:a)(?-i:B)"', '"'],
    ['(a)\\1<', null],
    ['[[:punct:]a]<', '<'],
    ['[^\\x00-\\xfe]', '\xff'],
    ['(?|a|b)<', null],
    ['[]x]', ']x'],
  ];
  for (const [expression, expected] of cases) t.is(setOf(expression), expected, expression);
  t.is(setOf('a', true), 'Aa');
});

test('an expression never matches without its needed bytes', (t) => {
  const atom = fc.constantFrom('a', 'b', '<', '"', '\\s', '[<;]', '[^a]', '.', '\\x3c', '(?:a|<b)', '(?i:q)', '\\d', '"?', '(?:<|a)+');
  const expression = fc.array(fc.tuple(atom, fc.constantFrom('', '', '*', '+', '?', '{2}', '|')), { minLength: 1, maxLength: 6 }).map((parts) => parts.map((part) => part.join('')).join(''));
  const value = fc.array(fc.constantFrom('a', 'b', '<', '"', ';', ' ', 'q', 'Q', '1', '\n'), { maxLength: 8 }).map((parts) => parts.join(''));
  const groups = new Int32Array(2);
  fc.assert(fc.property(expression, fc.boolean(), fc.array(value, { maxLength: 10 }), (text, caseless, values) => {
    const tree = parseRegex(text, caseless);
    const need = tree === null ? null : neededBytes(tree);
    if (need === null) return;
    let regex: Pcre;
    try {
      regex = new Pcre(text, OPTIONS | (caseless ? PCRE_CASELESS : 0));
    } catch {
      // two quantifiers in a row and the like
      return;
    }
    for (const one of values) {
      const buf = Buffer.from(one, 'latin1');
      if (regex.exec(buf, 0, buf.length, 0, groups) > 0) t.true([...buf].some((byte) => need.has(byte)), `${text} on ${JSON.stringify(one)}`);
    }
  }), { numRuns: 1500 });
});

/** Expressions and phrases of the Core Rule Set that compile within a second or two: the whole set takes long. */
function samplePatterns(): PrefilterPattern[] {
  const rules = join(fileURLToPath(new URL('../../../..', import.meta.url)), 'rules/crs/rules');
  const files = readdirSync(rules).filter((name) => name.endsWith('.conf')).map((name) => ({ file: join(rules, name) }));
  const all = loadRules(files, { files: webRuleFiles }).patterns;
  const small = all.filter(({ hint }) => (hint.kind === 'words' ? hint.words.length < 300 : hint.expression.length < 250));
  return small.filter((_, i) => i % 2 === 0).map((pattern) => ({ ...pattern, places: 1 << ScanPlace.PARAMETER }));
}

const ATTACKS = [
  "1' or '1'='1", '<script>alert(1)</script>', '../../etc/passwd', ';cat /etc/passwd', '${jndi:ldap://x}', 'union select 1,2 from dual', '<img src=x onerror=a>', 'php://input', "{{7*7}}",
  '|| sleep(5)--', '%0d%0aSet-Cookie: a=b', '<!--#exec cmd="ls"-->', 'javascript:alert(1)', 'file:///etc/hosts', '() { :;}; echo', 'Runtime.getRuntime().exec', '\\x3cscript', 'select @@version', 'rO0ABQ',
  'http://127.0.0.1/', 'eval(base64_decode("x"))', '__proto__[a]=b', 'ls -la /tmp', '&#x3c;svg/onload=x', 'HTTP/1.1', 'bytes=0-,1-', 'text/html; charset=utf-8',
];

test('what the prefilter leaves out does not match, with and without its cache', (t) => {
  const patterns = samplePatterns();
  t.true(patterns.length > 100);
  const slots = Math.max(...patterns.map(({ slot }) => slot)) + 1;
  const stored = new Map<string, Uint8Array>();
  const cache: PrefilterCache = { load: (key) => stored.get(key) ?? null, store: (key, database) => stored.set(key, database) };
  const first = createPrefilter(patterns, slots, cache);
  t.true(stored.size > 0);
  const again = createPrefilter(patterns, slots, cache);
  const broken = createPrefilter(patterns.slice(0, 5), slots, { load: () => Buffer.from('no database'), store: () => undefined });
  const matchers = patterns.map(({ slot, hint }) => {
    if (hint.kind === 'words') return { slot, matches: (value: string) => hint.words.some((word) => value.toLowerCase().includes(word.toLowerCase())) };
    const regex = new Pcre(hint.expression, hint.options, 100_000, 100_000);
    const groups = new Int32Array(2);
    return { slot, matches: (value: string) => regex.exec(Buffer.from(value, 'latin1'), 0, value.length, 0, groups) > 0 };
  });
  const has = (words: Uint32Array, slot: number): boolean => ((words[slot >>> 5]! >>> (slot & 31)) & 1) === 1;
  const covered = first.covered[ScanPlace.PARAMETER]!;
  t.deepEqual(again.covered, first.covered);
  t.true(matchers.filter(({ slot }) => has(covered, slot)).length > 0.8 * matchers.length);
  t.true(first.covered[ScanPlace.HEADER]!.every((word) => word === 0));
  let hits = 0;
  const check = (value: string): void => {
    const [one, two] = [new Uint32Array((slots + 31) >>> 5), new Uint32Array((slots + 31) >>> 5)];
    first.scan(value, ScanPlace.PARAMETER, one);
    again.scan(value, ScanPlace.PARAMETER, two);
    broken.scan(value, ScanPlace.PARAMETER, new Uint32Array(two.length));
    t.deepEqual(one, two);
    for (const { slot, matches } of matchers) {
      if (has(one, slot)) hits++;
      else if (has(covered, slot)) t.false(matches(value), `slot ${slot} on ${JSON.stringify(value)}`);
    }
  };
  for (const value of ['', 'a', ...ATTACKS]) check(value);
  t.true(hits > ATTACKS.length);
  const piece = fc.oneof(fc.constantFrom(...ATTACKS.flatMap((attack) => attack.split(/(?<=\W)/))), fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)));
  fc.assert(fc.property(fc.array(piece, { maxLength: 8 }).map((parts) => parts.join('')), (value) => check(value)), { numRuns: 200 });
});

test('what cannot be compiled is not covered; by its needed bytes it may be', (t) => {
  const regex = (slot: number, expression: string): PrefilterPattern => ({ slot, hint: { kind: 'regex', expression, options: OPTIONS }, places: 1 << ScanPlace.HEADER });
  const prefilter = createPrefilter([regex(0, '^.*$'), regex(1, '(?<=x)<'), regex(2, '(?=y)z'), regex(3, 'needle')], 4, null);
  // 0 occurs everywhere; 1 and 2 look around, of which Vectorscan knows nothing
  t.is(prefilter.covered[ScanPlace.HEADER]![0], 0b1110);
  const out = new Uint32Array(1);
  prefilter.scan('a needle', ScanPlace.HEADER, out);
  t.is(out[0], 0b1000);
  out.fill(0);
  prefilter.scan('x<z', ScanPlace.HEADER, out);
  t.is(out[0], 0b0110);
});
