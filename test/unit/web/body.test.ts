import test from 'ava';
import fc from 'fast-check';
import { parseCookies, parseCookiesV1 } from '../../../src/web/body/cookies.js';
import { parseJson } from '../../../src/web/body/json.js';
import { strictError, type MultipartFlags } from '../../../src/web/body/multipart-flags.js';
import { parseMultipart, type MultipartResult } from '../../../src/web/body/multipart.js';
import { parseUrlencoded } from '../../../src/web/body/urlencoded.js';
import { checkPath, parseXml, selectXml } from '../../../src/web/body/xml.js';
import { EntryList } from '../../../src/web/engine/entry-list.js';
import type { UploadedFile } from '../../../src/web/engine/state.js';

function pairs(list: EntryList): [string, string][] {
  return list.names.map((name, i) => [name, list.values[i]!]);
}

test('urlencoded', (t) => {
  const cases: readonly (readonly [string, readonly (readonly [string, string])[], boolean])[] = [
    ['a=1&b=2', [['a', '1'], ['b', '2']], false],
    ['a+b=c%20d%2b', [['a b', 'c d+']], false],
    ['a', [['a', '']], false],
    ['a&&b=', [['a', ''], ['', ''], ['b', '']], false],
    ['a=b=c', [['a', 'b=c']], false],
    ['a=%zz%4', [['a', '%zz%4']], true],
    ['%61%00=%ff', [['a\0', '\xff']], false],
    ['', [], false],
  ];
  for (const [text, expected, invalid] of cases) {
    const out = new EntryList();
    t.is(parseUrlencoded(text, '&', 100, out).invalidEncoding, invalid, text);
    t.deepEqual(pairs(out), expected.map(([n, v]) => [n, v]), text);
  }
  const out = new EntryList();
  t.true(parseUrlencoded('a=1;b=2;c=3', ';', 2, out).overLimit);
  t.is(out.size, 2);
});

test('cookies', (t) => {
  const v0 = new EntryList();
  parseCookies('a=1; b="x;y"; flag;; =z', ';', 100, v0);
  t.deepEqual(pairs(v0), [['a', '1'], ['b', '"x'], ['y"', ''], ['flag', ''], ['', 'z']]);
  const v1 = new EntryList();
  parseCookiesV1(String.raw`$Version=1; a="x;\"y", b=2`, 100, v1);
  t.deepEqual(pairs(v1), [['$Version', '1'], ['a', 'x;"y'], ['b', '2']]);
});

test('JSON: names and values', (t) => {
  const out = new EntryList();
  t.is(parseJson(String.raw`{"a":{"b":[1,"x",{"c":null}]},"e":{},"f":[],"t":true,"n":-1.5e3,"u":"\u00e9\ud83d\ude00\"","é":"\/"}`, 10, 100, out), '');
  t.deepEqual(pairs(out), [
    ['json.a.b.array_0', '1'], ['json.a.b.array_1', 'x'], ['json.a.b.array_2.c', ''], ['json.e', ''], ['json.f', ''], ['json.t', 'true'], ['json.n', '-1.5e3'],
    ['json.u', '\xc3\xa9\xf0\x9f\x98\x80"'], ['json.é', '/'],
  ]);
  const top = new EntryList();
  t.is(parseJson(' [ "a" , 2 ] ', 10, 100, top), '');
  t.deepEqual(pairs(top), [['json.array_0', 'a'], ['json.array_1', '2']]);
  const scalar = new EntryList();
  t.is(parseJson('"x"', 10, 100, scalar), '');
  t.deepEqual(pairs(scalar), [['json', 'x']]);
});

test('JSON: what is refused', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /empty/], ['{', /object key/], ['{"a"', /':' is expected/], ['{"a":1,}', /object key/], ['[1 2]', /',' is expected/], ['[01]', /value/], ['[1.]', /value/],
    ['nul', /value/], ['"a', /not closed/], [String.raw`"\q"`, /escape/], [String.raw`"\u12"`, /escape/], ['"\n"', /control/], ['{} x', /after the end/], ['[[[[1]]]]', /depth/],
    ['[1,2,3,4,5,6,7,8,9,10,11]', /SecArgumentsLimit/],
  ];
  for (const [text, expected] of cases) t.regex(parseJson(text, 3, 10, new EntryList()), expected, text);
});

test('JSON: deep nesting of long keys is read without quadratic names, and every key is seen', (t) => {
  const depth = 400;
  const key = (i: number): string => `${'k'.repeat(200)}${i}`;
  const text = Array.from({ length: depth }, (_, i) => `{"${key(i)}":`).join('') + '1' + '}'.repeat(depth);
  const out = new EntryList();
  t.is(parseJson(text, 512, 1000, out), '');
  t.true(out.names.reduce((sum, name) => sum + name.length, 0) < 5 * text.length);
  for (let i = 0; i < depth; i++) t.true(out.names.some((name) => name.includes(key(i))));
});

function multipart(body: string, contentType = 'multipart/form-data; boundary=XX', files = 100): { result: MultipartResult; args: EntryList; uploads: UploadedFile[]; headers: EntryList } {
  const target = { args: new EntryList(), files: [] as UploadedFile[], partHeaders: new EntryList() };
  return { result: parseMultipart(body, contentType, 100, files, target), args: target.args, uploads: target.files, headers: target.partHeaders };
}

const GOOD = '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n2\r\n--XX\r\nContent-Disposition: form-data; name="f"; filename="x \\"y\\".txt"\r\nContent-Type: text/plain\r\n\r\nfile\r\n--XX--\r\n';

test('multipart: fields, files, part headers', (t) => {
  const { result, args, uploads, headers } = multipart(GOOD);
  t.is(result.error, '');
  t.false(strictError(result.flags));
  t.deepEqual(pairs(args), [['a', '1\r\n2']]);
  t.deepEqual(uploads.map(({ field, name, size }) => [field, name, size]), [['f', 'x "y".txt', 4]]);
  t.deepEqual(pairs(headers), [['a', 'Content-Disposition: form-data; name="a"'], ['f', 'Content-Disposition: form-data; name="f"; filename="x \\"y\\".txt"'], ['f', 'Content-Type: text/plain']]);
  t.is(result.noFilesLength, GOOD.length - 'file\r\n'.length - 3 * '--XX\r\n'.length - '--'.length - '\r\n'.length);
});

test('multipart: findings', (t) => {
  const part = 'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n';
  const type = 'multipart/form-data; boundary=XX';
  const cases: readonly (readonly [string, string, keyof MultipartFlags])[] = [
    ['multipart/form-data; boundary="XX"', GOOD, 'boundaryQuoted'],
    ['multipart/form-data; boundary =XX', GOOD, 'boundaryWhitespace'],
    ['multipart/form-data boundary=XX', GOOD, 'missingSemicolon'],
    [type, `hello\r\n${GOOD}`, 'dataBefore'],
    [type, `${GOOD}more`, 'dataAfter'],
    [type, `--XX\r\nContent-Disposition: form-data;\r\n name="a"\r\n\r\n1\r\n--XX--\r\n`, 'headerFolding'],
    [type, `--XX\r\nContent-Disposition: form-data;\r\n\vname="a"\r\n\r\n1\r\n--XX--\r\n`, 'invalidHeaderFolding'],
    [type, GOOD.replaceAll('\r\n', '\n'), 'lfLine'],
    [type, `--XX\r\nContent-Disposition: form-data; name='a'\r\n\r\n1\r\n--XX--\r\n`, 'invalidQuoting'],
    [type, `--XX\r\nContent-Disposition: form-data; name="a"\r\n--XX--\r\n`, 'invalidPart'],
    [type, `--XX\r\n${part}--XX`, 'error'],
  ];
  for (const [contentType, body, flag] of cases) {
    const { flags } = multipart(body, contentType).result;
    t.truthy(flags[flag], flag);
    t.true(strictError(flags), flag);
  }
  t.true(multipart(GOOD, type, 0).result.flags.fileLimitExceeded);
  t.is(multipart(`--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n-----BEGIN KEY\r\n--XX--\r\n`).result.flags.unmatchedBoundary, 2);
  t.is(multipart(`--XY\r\n${part}--XY--\r\n`).result.flags.unmatchedBoundary, 1);
  t.is(multipart(`--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nx--XX\r\n--XX--\r\n`).result.flags.unmatchedBoundary, 2);
});

test('multipart: what is refused', (t) => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['text/plain', GOOD, /MIME type/], ['multipart/form-data', GOOD, /Boundary not found/], ['multipart/form-data; Boundary=XX', GOOD, /case/], ['multipart/form-data; boundary=XX; boundary=YY', GOOD, /Multiple/],
    ['multipart/form-data; boundary=', GOOD, /empty/], ['multipart/form-data; boundary="XX', GOOD, /quote/], ['multipart/form-data; boundary=a@b', GOOD, /characters/], ['multipart/form-data; x=y; boundary=XX', GOOD, /malformed/],
    ['multipart/form-data; boundary=XX', 'nothing', /No boundaries/], ['multipart/form-data; boundary=XX', '--XX\r\n\r\n', /missing Content-Disposition/],
    ['multipart/form-data; boundary=XX', '--XX\r\nno colon\r\n', /colon missing/], ['multipart/form-data; boundary=XX', '--XX\r\nA: b\r\na: c\r\n', /Duplicate/],
    ['multipart/form-data; boundary=XX', '--XX\r\nContent-Disposition: form-data; name="a"; name="b"\r\n\r\n', /name repeated/], ['multipart/form-data; boundary=XX', '--XX\r\nContent-Disposition: form-data; x="a"\r\n\r\n', /unknown parameter/],
    ['multipart/form-data; boundary=XX', '--XX\r\nContent-Disposition: form-data\r\n\r\n', /missing name/], ['multipart/form-data; boundary=XX', '--XXz\r\n', /Invalid boundary/], ['multipart/form-data; boundary=XX', '--XX\r\nA\0: b\r\n', /Nul byte/],
    ['multipart/form-data; boundary=XX', `--XX\r\nA: ${'b'.repeat(5000)}\r\n`, /over 4096/],
  ];
  for (const [contentType, body, expected] of cases) {
    const { result } = multipart(body, contentType);
    t.regex(result.error, expected, contentType + body.slice(0, 60));
    t.true(result.flags.error);
  }
});

test('XML: text, attributes, paths', (t) => {
  const document = parseXml('<?xml version="1.0"?>\n<!-- c --><!DOCTYPE r [<!ENTITY e "en&#116;ity">]>\n<r a="1&lt;"><x b=\'2\'>one<![CDATA[<two>]]></x>&e;<x><y c="3"/>four</x></r>');
  if (typeof document === 'string') return t.fail(document);
  const values = (path: string): string[] => [...selectXml(document, path).values];
  t.deepEqual(values('/*'), ['one<two>entityfour']);
  t.deepEqual(values('//@*'), ['1<', '2', '3']);
  t.deepEqual(values('/r/x'), ['one<two>', 'four']);
  t.deepEqual(values('//x/@b'), ['2']);
  t.deepEqual(values('/r/x/text()'), ['one', '<two>', 'four']);
  t.deepEqual(values('/nothing'), []);
  t.is(selectXml(document, '//@*').names[0], '//@*');
  t.throws(() => checkPath('/a[1]'), { message: /accepted are steps/ });
});

test('XML: what is refused', (t) => {
  const bomb = `<!DOCTYPE r [<!ENTITY a "${'x'.repeat(1000)}"><!ENTITY b "${'&a;'.repeat(10)}"><!ENTITY c "${'&b;'.repeat(10)}">]><r>${'&c;'.repeat(10)}</r>`;
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /no document element/], ['text', /outside/], ['<a>', /not closed/], ['<a></b>', /does not match/], ['<a/><b/>', /second document/], ['<a b=1/>', /not quoted/], ['<a b="1"c="2"/>', /white space/],
    ['<a>&nope;</a>', /not declared/], ['<a>&lt</a>', /semicolon/], ['<a b="<"/>', /contains </], ['<!DOCTYPE', /not closed/], ['<a>'.repeat(300), /too deeply/], [bomb, /expand to too much/],
  ];
  for (const [text, expected] of cases) {
    const result = parseXml(text);
    t.true(typeof result === 'string' && expected.test(result), `${text.slice(0, 40)}: ${String(result)}`);
  }
});

test('bodies of any bytes: no processor throws, what comes out is bounded by what went in', (t) => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b).toString('latin1'));
  const pieces = fc.array(fc.oneof(fc.constantFrom('--XX', '\r\n', '\n', 'Content-Disposition: form-data; name="a"', 'filename=', '{', '}', '[', ']', '"', ':', ',', '\\u00e9', '<a>', '</a>', '<![CDATA[', '&amp;', '<!DOCTYPE', '&', '=', '%41', '+', '--'), fc.string({ maxLength: 4 })), { maxLength: 40 }).map((p) => p.join(''));
  fc.assert(
    fc.property(fc.oneof(bytes, pieces), (raw) => {
      const text = Buffer.from(raw, 'utf8').toString('latin1');
      const out = new EntryList();
      parseUrlencoded(text, '&', 1000, out);
      parseCookies(text, ';', 1000, out);
      parseCookiesV1(text, 1000, out);
      parseJson(text, 50, 1000, out);
      const { args, uploads } = multipart(text);
      const document = parseXml(text);
      const xml = typeof document === 'string' ? 0 : selectXml(document, '//@*').size + selectXml(document, '//*').size;
      return out.size + args.size + uploads.length + xml <= 4 * text.length + 4;
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test('mutated good bodies: never an exception', (t) => {
  const seeds = [GOOD, '{"a":{"b":[1,"x",{"c":null}]},"t":true}', '<?xml version="1.0"?><r a="1"><x>&#65;</x></r>', 'a=1&b=%41&c=d+e'];
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(fc.record({ at: fc.nat(200), byte: fc.integer({ min: 0, max: 255 }), kind: fc.constantFrom('set', 'insert', 'delete') }), { maxLength: 6 }), (seed, edits) => {
      let text = seed;
      for (const { at, byte, kind } of edits) {
        const i = at % (text.length + 1);
        text = text.slice(0, i) + (kind === 'delete' ? '' : String.fromCharCode(byte)) + text.slice(kind === 'insert' ? i : i + 1);
      }
      multipart(text);
      parseJson(text, 50, 1000, new EntryList());
      const document = parseXml(text);
      if (typeof document !== 'string') selectXml(document, '/*');
      parseUrlencoded(text, '&', 1000, new EntryList());
    }),
    { numRuns: 3000 },
  );
  t.pass();
});
