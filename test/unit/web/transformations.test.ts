import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { TRANSFORMATIONS, findTransformation } from '../../../src/web/transformations/registry.js';

const run = (name: string, value: string, unicodeMap: Int16Array | null = null): string => findTransformation(name)!.create({ unicodeMap })(value);

const CASES: readonly (readonly [string, string, string])[] = [
  ['base64Decode', 'SGVsbG8=', 'Hello'],
  ['base64Decode', 'SGVs bG8=', 'Hel'],
  ['base64Decode', 'SGVsbG', 'Hell'],
  ['base64DecodeExt', 'SG.Vs-bG8', 'Hello'],
  ['base64Encode', '\0\xff', 'AP8='],
  ['cmdLine', 'C^:\\"Win" , ;dir /S (x)', 'c:win dir/s(x)'],
  ['cmdLine', 'plain', 'plain'],
  ['compressWhitespace', ' a \t\n b\xa0\xa0c', ' a b c'],
  ['cssDecode', 'ja\\76 asc\\0072ipt', 'javascript'],
  ['cssDecode', '\\ff1cx\\zq\\', '<xzq'],
  ['escapeSeqDecode', '\\x41\\102\\n\\q\\\\', 'AB\nq\\'],
  ['hexDecode', '4142a', 'AB'],
  ['hexEncode', '\0Az', '00417a'],
  ['htmlEntityDecode', '&lt;&#97;&#x62;&AMP;&nbsp&copy;&', '<ab&\xa0&copy;&'],
  ['htmlEntityDecode', '&#99999999999999999999999;', '\xff'],
  ['htmlEntityDecode', '&#x;&#;&#xg', '&#x;&#;&#xg'],
  ['jsDecode', '\\u003c\\x3e\\74\\uff1c\\n\\q', '<><<\nq'],
  ['jsDecode', '\\477\\u12\\', "'7u12\\"],
  ['length', 'abc', '3'],
  ['lowercase', 'ABC\xc0', 'abc\xc0'],
  ['normalizePath', '/a/./b//../c/', '/a/c/'],
  ['normalizePath', '../a/../../b', '../../b'],
  ['normalizePath', '/../../etc/passwd', '/etc/passwd'],
  ['normalizePathWin', 'a\\..\\b', 'b'],
  ['parityEven7bit', 'ab\xe2', '\xe1\xe2b'],
  ['parityOdd7bit', 'ac', 'a\xe3'],
  ['parityZero7bit', '\xe1b', 'ab'],
  ['phpArgsNames', ' a.b[c d][ ]e', 'a_b[c d][]'],
  ['removeComments', 'a/*b*/c<!--d-->e', 'ace'],
  ['removeComments', 'a--b', 'a'],
  ['removeComments', 'a/*b', 'a '],
  ['removeCommentsChar', '/*a*/<!--b-->--c#', 'abc'],
  ['removeNulls', '\0a\0', 'a'],
  ['removeWhitespace', ' a\t\n\xa0b\0', 'ab\0'],
  ['replaceComments', 'a/*b*/c/*d', 'a c '],
  ['replaceNulls', 'a\0b', 'a b'],
  ['sqlHexDecode', 'x0x4142 0xg', 'xAB 0xg'],
  ['trim', '\t a b \n', 'a b'],
  ['trim', ' \t ', ''],
  ['trimLeft', ' a ', 'a '],
  ['trimRight', ' a ', ' a'],
  ['uppercase', 'aZ\xe0', 'AZ\xe0'],
  ['urlDecode', '%41+%zz%4', 'A %zz%4'],
  ['urlDecodeUni', '%u0041%uff1c%41+%u12', 'A<A %u12'],
  ['urlEncode', 'a b*-\xff', 'a+b*%2d%ff'],
  ['utf8toUnicode', 'a\xc3\xa9\xe2\x82\xac', 'a%u00e9%u20ac'],
  ['utf8toUnicode', '\xc0\xaf', '%u002f\xc0'],
  ['utf8toUnicode', 'a\xe9b\xff', 'ab\xff'],
];

test('tables', (t) => {
  for (const [name, value, expected] of CASES) t.is(run(name, value), expected, `${name} ${JSON.stringify(value)}`);
  t.is(run('md5', 'a\xff'), createHash('md5').update(Buffer.from('a\xff', 'latin1')).digest().toString('latin1'));
  t.is(run('sha1', ''), createHash('sha1').digest().toString('latin1'));
});

test('every transformation has a case', (t) => {
  const tested = new Set([...CASES.map(([name]) => name), 'md5', 'sha1']);
  t.deepEqual(TRANSFORMATIONS.map(({ name }) => name).filter((name) => !tested.has(name)), []);
});

test('names and aliases compare without case', (t) => {
  t.is(findTransformation('NORMALISEPATH')?.name, 'normalizePath');
  t.is(findTransformation('cmd_line')?.name, 'cmdLine');
  t.is(findTransformation('none'), undefined);
});

test('urlDecodeUni asks the unicode map first', (t) => {
  const map = new Int16Array(65536).fill(-1);
  map[0x2039] = 0x3c;
  t.is(run('urlDecodeUni', '%u2039%u0041', map), '<A');
});

const PIECES = ['%', '%u', '\\', '\\x', '&#', '&#x', '&lt', ';', '/*', '*/', '--', '<!--', '-->', '#', '/', '..', '.', ' ', '\t', '\xa0', '\0', '0x', '4', '1', 'a', 'F', '[', ']', '=', '+', '\xc3', '\xa9', '\xf0', '\x80'];
const value = fc.array(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...PIECES) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)) }), { maxLength: 30 }).map((parts) => parts.join(''));
const BYTES = /^[\0-\xff]*$/;

test('bytes in, bytes out, and no more of them than each allows', (t) => {
  const functions = TRANSFORMATIONS.map(({ name, create }) => ({ name, fn: create({ unicodeMap: null }) }));
  fc.assert(fc.property(value, (text) => {
    for (const { name, fn } of functions) {
      const out = fn(text);
      t.true(BYTES.test(out), name);
      t.true(out.length <= Math.max(40, 3 * text.length + 8), name);
      t.is(fn(text), out, name);
    }
  }), { numRuns: 500 });
});

test('decoding undoes encoding', (t) => {
  fc.assert(fc.property(value, (text) => {
    t.is(run('hexDecode', run('hexEncode', text)), text);
    t.is(run('base64Decode', run('base64Encode', text)), text);
    t.is(run('urlDecode', run('urlEncode', text)), text);
  }));
});

test('long repetitions come out whole', (t) => {
  for (const { name, create } of TRANSFORMATIONS) {
    const fn = create({ unicodeMap: null });
    for (const piece of PIECES) t.true(BYTES.test(fn(piece.repeat(30_000))), `${name} ${piece}`);
  }
});
