import test from 'ava';
import * as fc from 'fast-check';
import {
  Pcre,
  PCRE_ANCHORED,
  PCRE_CASELESS,
  PCRE_DOLLAR_ENDONLY,
  PCRE_DOTALL,
  PCRE_EXTENDED,
  PCRE_LIMIT,
  PCRE_MULTILINE,
  PCRE_NOMATCH,
  PCRE_UNGREEDY,
  pcreTime,
} from '@drawbridge/native';

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** Pairs of a match, or the negative code. */
function run(p: Pcre, text: string, start = 0, room = 16): number[] | number {
  const ovector = new Int32Array(room).fill(-2);
  const bytes = latin1(text);
  const rc = p.exec(bytes, 0, bytes.length, start, ovector);
  return rc < 0 ? rc : Array.from(ovector.subarray(0, Math.min(room, (p.groups + 1) * 2)));
}

test('groups, unset groups, names', (t) => {
  const p = new Pcre('(?<key>\\w+)=(?:(\\d+)|(?<__proto__>\\w+))', 0);
  t.is(p.groups, 3);
  t.deepEqual({ ...p.names }, Object.defineProperty({ key: 1 }, '__proto__', { value: 3, enumerable: true }));
  t.true(Object.isFrozen(p.names));
  t.deepEqual(run(p, 'a: id=42'), [3, 8, 3, 5, 6, 8, -1, -1]);
  t.deepEqual(run(p, 'id=x'), [0, 4, 0, 2, -1, -1, 3, 4]);
  t.is(run(p, '?'), PCRE_NOMATCH);
  t.deepEqual(run(p, 'id=x', 0, 5), [0, 4, 0, 2, -2], 'an odd or short ovector takes the pairs that fit');
  t.deepEqual(run(p, 'id=x', 0, 0), []);
});

test('start leaves the bytes before it to look-behind', (t) => {
  const p = new Pcre('(?<=a)b', 0);
  t.deepEqual(run(p, 'ab ab', 1), [1, 2]);
  t.deepEqual(run(p, 'ab ab', 2), [4, 5]);
  t.is(run(new Pcre('^b', 0), 'ab', 1), PCRE_NOMATCH);
  const bytes = latin1('xaby');
  t.is(p.exec(bytes, 2, 1, 0, new Int32Array(2)), PCRE_NOMATCH, 'but not the bytes before the window');
  t.is(p.exec(bytes, 1, 2, 1, new Int32Array(2)), 1);
});

test('each option does what its letter says', (t) => {
  const cases: [string, number, string, number[] | number][] = [
    ['abc', PCRE_CASELESS, 'xABC', [1, 4]],
    ['abc', 0, 'xABC', PCRE_NOMATCH],
    ['a.b', PCRE_DOTALL, 'a\nb', [0, 3]],
    ['a.b', 0, 'a\nb', PCRE_NOMATCH],
    ['^b', PCRE_MULTILINE, 'a\nb', [2, 3]],
    ['a b # note', PCRE_EXTENDED, 'ab', [0, 2]],
    ['b', PCRE_ANCHORED, 'ab', PCRE_NOMATCH],
    ['a$', 0, 'a\n', [0, 1]],
    ['a$', PCRE_DOLLAR_ENDONLY, 'a\n', PCRE_NOMATCH],
    ['a+', PCRE_UNGREEDY, 'aaa', [0, 1]],
    ['\xe9', 0, 'caf\xe9', [3, 4]],
    ['a\0b', 0, 'xa\0b', [1, 4]],
  ];
  for (const [expression, options, text, expected] of cases) {
    t.deepEqual(run(new Pcre(expression, options), text), expected, `${JSON.stringify(expression)} ${options}`);
  }
});

test('catastrophic patterns stop at the limit', (t) => {
  for (const expression of ['^(a+)+$', '^(a|aa)+$', '(?:(?:a*)*)*b', '^(([a-z])+.)+[A-Z]([a-z])+$', '(x+x+)+y']) {
    const letter = expression.includes('x') ? 'x' : 'a';
    const rc = run(new Pcre(expression, 0), `${letter.repeat(60)}!`);
    t.true(rc === PCRE_LIMIT || rc === PCRE_NOMATCH, `${expression}: ${String(rc)}`);
  }
  t.is(run(new Pcre('^(a+)+$', 0), `${'a'.repeat(40)}!`), PCRE_LIMIT);
  t.is(run(new Pcre('^(a+)+$', 0, 10), 'aaaaaaaaaaaa!'), PCRE_LIMIT, 'a limit of one own choice');
});

test('deep recursion neither overflows the stack nor escapes the limits', (t) => {
  const nested = new Pcre('^(\\((?:[^()]|(?1))*\\))$', 0, 10_000_000, 1_000_000);
  const depth = 200_000;
  const rc = run(nested, '('.repeat(depth) + ')'.repeat(depth));
  t.true(rc === PCRE_LIMIT || Array.isArray(rc));
  t.true(Array.isArray(run(new Pcre('^(\\((?:[^()]|(?1))*\\))$', 0), '(()(()))')));
  const interpreted = new Pcre('(*NO_JIT)^(a+)+$', 0);
  t.is(run(interpreted, `${'a'.repeat(40)}!`), PCRE_LIMIT);
});

test('a pattern cannot raise its own limits or ask for UTF', (t) => {
  t.is(run(new Pcre('(*LIMIT_MATCH=999999999)^(a+)+$', 0), `${'a'.repeat(40)}!`), PCRE_LIMIT);
  t.throws(() => new Pcre('(*UTF)a', 0));
  t.throws(() => new Pcre('(*UCP)a', 0));
});

test('compile errors carry the offset', (t) => {
  const error = t.throws(() => new Pcre('ab(c', 0)) as Error & { offset: number };
  t.is(error.offset, 4);
  t.regex(error.message, /parenthesis at offset 4/);
  t.throws(() => new Pcre('a', 1 << 31), { instanceOf: RangeError });
  t.throws(() => new Pcre('a', 0x80000), { instanceOf: RangeError });
  t.throws(() => new Pcre('\u20ac', 0), { instanceOf: TypeError });
  t.throws(() => new Pcre('a', 0, 0), { instanceOf: RangeError });
  t.throws(() => (Pcre as unknown as (e: string, o: number) => void)('a', 0), { instanceOf: TypeError });
});

test('any text as a pattern compiles or throws; any match lies inside the window', (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'ab()[]{}*+?|\\^$.1,-<>=!:#kdwPR'), maxLength: 14 }),
      fc.string({ unit: fc.constantFrom(...'ab1-<=\n'), maxLength: 30 }),
      (expression, text) => {
        let p: Pcre;
        try {
          p = new Pcre(expression, 0);
        } catch (e) {
          return (e as { offset?: number }).offset !== undefined;
        }
        const found = run(p, text, 0, 64);
        if (typeof found === 'number') return found < 0;
        return found.every((v) => v >= -1 && v <= text.length);
      },
    ),
    { numRuns: 3000 },
  );
  t.pass();
});

test('simple patterns agree with JavaScript', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom('a+b', '(a|b)*c', '[^a]b{1,2}', 'a(b)?c', '\\bab\\b', '^a.*c$', '(a)(b)?(c)'),
      fc.string({ unit: fc.constantFrom(...'abc '), maxLength: 25 }),
      (expression, text) => {
        const js = new RegExp(expression, 'd').exec(text);
        const expected = js === null ? PCRE_NOMATCH : js.indices!.flatMap((pair) => pair ?? [-1, -1]);
        t.deepEqual(run(new Pcre(expression, 0), text), expected);
      },
    ),
    { numRuns: 400 },
  );
});

test('a time bound ends what match limits do not, and finds what an unbound search finds', (t) => {
  const slow = new Pcre('a(?:[^b]*e)?[^b]*bd', PCRE_DOTALL, 1_000_000, 1_000_000);
  t.is(pcreTime(30), Number.POSITIVE_INFINITY);
  t.is(run(slow, `${'a'.repeat(60_000)}d`), PCRE_LIMIT);
  t.is(run(slow, 'abd'), PCRE_LIMIT, 'the time of the thread is used up');
  t.is(pcreTime(Number.POSITIVE_INFINITY), 0);
  t.deepEqual(run(slow, 'abd'), [0, 3]);
  t.throws(() => pcreTime('1' as unknown as number), { instanceOf: TypeError });
  const expressions = ['b[a-z]{2}', '(?<=a)b', '^a', '.*b', 'b$', '\\Gb'].map((e) => new Pcre(e, PCRE_DOTALL));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1000, maxLength: 3000 }), fc.nat({ max: 500 }), (codes, start) => {
      const text = Buffer.from(codes.map((c) => 97 + (c === 3 ? 1 : c === 1 ? 25 : 0))).toString('latin1');
      for (const p of expressions) {
        const free = run(p, text, start);
        pcreTime(1e6);
        const bound = run(p, text, start);
        pcreTime(Number.POSITIVE_INFINITY);
        t.deepEqual(bound, free);
      }
    }),
    { numRuns: 60 },
  );
});
