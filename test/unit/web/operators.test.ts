import test from 'ava';
import fc from 'fast-check';
import { MatchError, MatchState, type CompileContext, type CompiledOperator } from '../../../src/web/operators/operator.js';
import { PhraseMatcher } from '../../../src/web/operators/phrase-matcher.js';
import { REFUSED_OPERATORS } from '../../../src/web/operators/refused.js';
import { OPERATORS, findOperator } from '../../../src/web/operators/registry.js';

const FILES: Readonly<Record<string, string>> = { 'words.data': '# comment\n\nalpha \r\nbeta gamma\n', 'nets.data': '10.0.0.0/8\n# none\n2001:db8::/32\n' };
const CONTEXT: CompileContext = {
  readFile(name) {
    const text = FILES[name];
    if (text === undefined) throw new Error(`${name}: no such file`);
    return Buffer.from(text, 'latin1');
  },
  pcreMatchLimit: 0,
  pcreRecursionLimit: 0,
  lookups: { geo: (address) => (address === '192.0.2.1' ? { country: 'ZZ' } : null) },
};

const compile = (name: string, argument: string, context = CONTEXT): CompiledOperator => findOperator(name)!.compile(argument, context);

/** Captured groups, null when it does not match. */
function match(name: string, argument: string, value: string): string[] | null {
  const state = new MatchState();
  state.reset(true);
  return compile(name, argument).match(value, state) ? state.captures.slice(0, state.captureCount) : null;
}

const CASES: readonly (readonly [string, string, string, readonly string[] | null])[] = [
  ['beginsWith', 'ab', 'abc', []],
  ['beginsWith', 'ab', 'xab', null],
  ['contains', 'b', 'abc', []],
  ['contains', 'B', 'abc', null],
  ['containsWord', 'cat', 'a cat.', []],
  ['containsWord', 'cat', 'concat cat_', null],
  ['endsWith', 'bc', 'abc', []],
  ['endsWith', 'bc', 'bcd', null],
  ['streq', 'a', 'a', []],
  ['streq', 'a', 'A', null],
  ['strmatch', 'b', 'abc', []],
  ['strmatch', 'd', 'abc', null],
  ['within', 'GET POST', 'POST', []],
  ['within', 'GET POST', 'PUT', null],
  ['eq', '5', ' 5 apples', []],
  ['eq', '5', '6', null],
  ['ge', '5', '5', []],
  ['ge', '5', '4', null],
  ['gt', '-1', 'x', []],
  ['gt', '5', '5', null],
  ['le', '5', '99999999999', null],
  ['le', '5', '', []],
  ['lt', '5', '-7', []],
  ['lt', '5', '5', null],
  ['unconditionalMatch', '', 'x', []],
  ['noMatch', '', 'x', null],
  ['pm', 'one two |74 68|ree', 'a Two b', ['two']],
  ['pm', 'one |74 68|ree', 'THREE', ['three']],
  ['pm', 'one two', 'on tw', null],
  ['pmFromFile', 'words.data', 'xBETA GAMMA', ['beta gamma']],
  ['pmFromFile', 'words.data', 'comment', null],
  ['ipMatch', '10.1.2.3/8, ::1', '10.200.0.1', []],
  ['ipMatch', '10.1.2.3/8, ::1', '0:0::1', []],
  ['ipMatch', '10.0.0.0/8', 'no address', null],
  ['ipMatchFromFile', 'nets.data', '2001:db8:1::2', []],
  ['ipMatchFromFile', 'nets.data', '11.0.0.1', null],
  ['validateByteRange', '9,32-126', 'a\0', []],
  ['validateByteRange', '9,32-126', 'a\t~', null],
  ['validateUrlEncoding', '', 'a%4', []],
  ['validateUrlEncoding', '', 'a%41', null],
  ['validateUtf8Encoding', '', '\xc0\xaf', []],
  ['validateUtf8Encoding', '', 'a\xed\xa0\x80', []],
  ['validateUtf8Encoding', '', '\xf4\x90\x80\x80', []],
  ['validateUtf8Encoding', '', '\xe2\x82', []],
  ['validateUtf8Encoding', '', '\xe2\x82\xac\xf0\x9f\x98\x80', null],
  ['detectSQLi', '', '1 or 1=1', ['1&1']],
  ['detectSQLi', '', 'hello', null],
  ['detectXSS', '', '<script>', ['<script>']],
  ['detectXSS', '', 'hello', null],
  ['rx', '(?i)(a)(x)?(b)', '..AB', ['AB', 'A', '', 'B']],
  ['rx', 'a.b$', 'a\nb', ['a\nb']],
  ['rx', 'b$', 'b\n', null],
  ['rx', '', '', ['']],
  ['rxGlobal', '(a)(\\d)', 'a1a2a3', ['a1', 'a', '1', 'a2', 'a', '2', 'a3', 'a', '3']],
  ['rxGlobal', 'x*', 'axx', ['', 'xx']],
  ['rxGlobal', 'q', 'a', null],
  ['verifyCC', '\\d{13,16}', 'card 4539-no 4024007182237.', ['4024007182237']],
  ['verifyCC', '\\d{13,16}', '4024007182238', null],
  ['verifyCPF', '[\\d.-]{11,14}', '010.817.514-60', ['010.817.514-60']],
  ['verifyCPF', '[\\d.-]{11,14}', '11111111111', null],
  ['verifySSN', '\\d{3}-?\\d{2}-?\\d{4}', '574-57-8065', ['574-57-8065']],
  ['verifySSN', '\\d{3}-?\\d{2}-?\\d{4}', '666-57-8065', null],
  ['verifySVNR', '\\d{4} ?\\d{6}', '1237 010180', ['1237 010180']],
  ['verifySVNR', '\\d{4} ?\\d{6}', '1236 010180', null],
  ['geoLookup', '', '192.0.2.1', []],
  ['geoLookup', '', '192.0.2.2', null],
];

test('tables', (t) => {
  for (const [name, argument, value, expected] of CASES) t.deepEqual(match(name, argument, value), expected === null ? null : [...expected], `@${name} ${argument} on ${JSON.stringify(value)}`);
});

test('every operator has cases of both kinds', (t) => {
  const refused = new Set(REFUSED_OPERATORS.map(({ name }) => name));
  for (const { name } of OPERATORS) {
    if (refused.has(name)) continue;
    const own = CASES.filter(([tested]) => tested === name);
    t.true(own.some(([, , , expected]) => expected !== null) || name === 'noMatch', name);
    t.true(own.some(([, , , expected]) => expected === null) || name === 'unconditionalMatch', name);
  }
});

test('arguments that cannot be used are refused with what is wrong', (t) => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['rx', '(a', /regular expression: .*offset/],
    ['ipMatch', '10.0.0.0/100', /10\.0\.0\.0\/100.*0 to 32/],
    ['ipMatch', 'example.com', /example\.com/],
    ['pm', '  ', /no phrase/],
    ['pmFromFile', 'missing.data', /missing\.data/],
    ['pmFromFile', 'https://example.com/x', /not from the network/],
    ['validateByteRange', '5-3', /5-3/],
    ['validateByteRange', '256', /256/],
    ['validateDTD', 'x.dtd', /document type/],
    ['rbl', 'x.example', /name-server/],
  ];
  for (const [name, argument, message] of cases) t.throws(() => compile(name, argument), { message }, `@${name} ${argument}`);
  t.throws(() => compile('geoLookup', '', { ...CONTEXT, lookups: {} }), { message: /database/ });
});

test('a search that reaches its limit says so and does not match', (t) => {
  const state = new MatchState();
  state.reset(false);
  const operator = compile('rx', '^(a+)+$', { ...CONTEXT, pcreMatchLimit: 500, pcreRecursionLimit: 500 });
  t.false(operator.match(`${'a'.repeat(40)}b`, state));
  t.not(state.error, MatchError.NONE);
  state.reset(false);
  t.false(compile('verifyCC', '\\d').match('1'.repeat(5000), state));
  t.is(state.error, MatchError.PCRE_LIMIT);
});

test('aliases', (t) => {
  t.is(findOperator('PMF')?.name, 'pmFromFile');
  t.is(findOperator('ipmatchf')?.name, 'ipMatchFromFile');
});

test('the phrase matcher finds what a plain search finds', (t) => {
  const word = fc.array(fc.constantFrom('a', 'b', 'A', 'c', '\xe9'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
  fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 8 }), fc.array(word, { maxLength: 8 }).map((parts) => parts.join('')), (phrases, text) => {
    const found = new PhraseMatcher(phrases).find(text);
    const lower = (s: string): string => s.replace(/[A-Z]/g, (c) => c.toLowerCase());
    const plain = phrases.filter((phrase) => lower(text).includes(lower(phrase)));
    if (plain.length === 0) t.is(found, null);
    else t.true(found !== null && plain.includes(found));
  }), { numRuns: 500 });
});

test('no bytes make an operator throw', (t) => {
  const operators = CASES.map(([name, argument]) => compile(name, argument));
  const state = new MatchState();
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    const value = Buffer.from(bytes).toString('latin1');
    for (const operator of operators) {
      state.reset(true);
      t.is(typeof operator.match(value, state), 'boolean');
    }
  }), { numRuns: 200 });
});
