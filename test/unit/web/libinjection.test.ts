import test from 'ava';
import fc from 'fast-check';
import { HtmlToken, HtmlTokenizer } from '../../../src/web/libinjection/html5.js';
import { fingerprintOf, isXss, sqlInjection } from '../../../src/web/libinjection/index.js';
import { SqlFolder } from '../../../src/web/libinjection/sqli-folder.js';
import { SqlToken, SqlType } from '../../../src/web/libinjection/sqli-token.js';
import { Quote, SqlTokenizer, type QuoteContext } from '../../../src/web/libinjection/sqli-tokenizer.js';

function tokens(value: string, quote: QuoteContext = Quote.NONE, mysql = false): string {
  const tokenizer = new SqlTokenizer();
  tokenizer.start(value, quote, mysql);
  const out: string[] = [];
  for (let token = new SqlToken(); tokenizer.next(token); token = new SqlToken()) out.push(`${String.fromCharCode(token.type)}<${token.text}>`);
  return out.join(' ');
}

function folded(value: string): string {
  const tokenizer = new SqlTokenizer();
  tokenizer.start(value, Quote.NONE, false);
  const folder = new SqlFolder(tokenizer);
  return folder.tokens.slice(0, folder.fold()).map((token) => String.fromCharCode(token.type)).join('');
}

test('tokens of SQL', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['select a.b from t', 'E<select> n<a.b> k<from> n<t>'],
    ['union`x`', 'U<union> n<x>'],
    ["'it''s' \"x\\\"y\"", "s<it''s> s<x\\\"y>"],
    ["q'[a'b]' nq'(c)'", "s<a'b> s<c>"],
    ["U&'x' E'y' N'z'", 's<x> s<y> s<z>'],
    ['$tag$a$b$tag$ $1,000.00 $x', 's<a$b> 1<$1,000.00> n<$> n<x>'],
    ['1.5e-3 0x1F 0b01 .5 1e 0x', '1<1.5e-3> 1<0x1F> 1<0b01> 1<.5> n<1e> n<0x>'],
    ['@a @@b @`c d` @\'e\'', 'v<a> v<b> v<c d> v<e>'],
    ['a<=>b a!=b a||b a:=b', 'n<a> o<<=>> n<b> n<a> o<!=> n<b> n<a> &<||> n<b> n<a> o<:=> n<b>'],
    ['1 /* a */ 2 /* b /* c */ 3', '1<1> c</* a */> 1<2> X</* b /* c */> 1<3>'],
    ['1 -- x\n2 --x', '1<1> c<-- x> 1<2> c<--x>'],
    ['[a b] {c}', 'n<[a b]> {<{> n<c> }<}>'],
    ["x'zz' b'2'", "n<x> s<zz> n<b> s<2>"],
  ];
  for (const [value, expected] of cases) t.is(tokens(value), expected, value);
  t.is(tokens('1#x', Quote.NONE, true), '1<1> c<#x>');
  t.is(tokens('1 --x', Quote.NONE, true), '1<1> o<-> o<-> n<x>');
  t.is(tokens("a' or 1", Quote.SINGLE), 's<a> &<or> 1<1>');
});

test('folding leaves what matters', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['1 + 2 * 3 - 4', '1'],
    ['((((select', 'E'],
    ['1, 2, 3, 4', '1'],
    ["'a' 'b' 'c'", 's'],
    ['1 union all select 2', '1UE1'],
    ['a in (1)', 'n'],
    ['a like (1)', 'nf(1)'],
    ['select - - 1 from x', 'E1kn'],
    ['1;;;;select', '1;E'],
    ['{``.``.x}', '{X'],
    ['select user()', 'Ef()'],
    ['select user(1)', 'En(1)'],
    ['binary binary 1', '1'],
    ['1 /* only comment */', '1c'],
    ['', ''],
  ];
  for (const [value, expected] of cases) t.is(folded(value), expected, value);
});

test('injections and ordinary text', (t) => {
  for (const value of [
    "1' or '1'='1", '1 or 1=1', "admin'--", '1 union select password from users', "' union all select null,null--", '1; drop table users',
    "x' and sleep(5)#", '1) or (1=1', "1'/**/or/**/1=1", '-1 union select 1,@@version', "' or 1=1 limit 1 -- -", '"or""="', "1' and extractvalue(1,concat(0x5c,version()))-- ",
  ]) t.not(sqlInjection(value), '', value);
  for (const value of [
    '', 'hello', '12345', "it's a nice day", 'select a colour from the list', 'The quick brown fox jumps over the lazy dog', 'john.doe@example.com',
    '2024-05-01T12:00:00Z', 'a1b2c3d4-e5f6', 'rock and roll', "O'Brien", 'C++ & C#', 'price: $5.00', 'union', '/path/to/file.html?x=1', 'x--', '50% off!',
  ]) t.is(sqlInjection(value), '', value);
  t.is(fingerprintOf("' or 1=1", Quote.SINGLE, false), 's&1');
});

test('HTML tokens', (t) => {
  const read = (value: string): string => {
    const html = new HtmlTokenizer();
    html.reset(value, 0);
    const out: string[] = [];
    while (html.next()) out.push(`${html.type}:${html.text()}`);
    return out.join(' ');
  };
  const T = HtmlToken;
  const cases: readonly (readonly [string, string])[] = [
    ['a<b>c', `${T.TEXT}:a ${T.TAG_OPEN}:b ${T.TAG_OPEN_END}:> ${T.TEXT}:c`],
    ['<a href=x y>', `${T.TAG_OPEN}:a ${T.ATTRIBUTE_NAME}:href ${T.ATTRIBUTE_VALUE}:x ${T.ATTRIBUTE_NAME}:y ${T.TAG_OPEN_END}:>`],
    ['<a/b=`c d`/>', `${T.TAG_OPEN}:a ${T.ATTRIBUTE_NAME}:b ${T.ATTRIBUTE_VALUE}:c d ${T.SELF_CLOSE}:/>`],
    ['<!--x--!>y', `${T.COMMENT}:x-- ${T.TEXT}:y`.replace('x--', 'x-')],
    ['<!-- a -\0-\0> b', `${T.COMMENT}: a  ${T.TEXT}: b`],
    ['<![CDATA[x]]]>y', `${T.TEXT}:x] ${T.TEXT}:y`],
    ['<%x%>y', `${T.COMMENT}:x ${T.TEXT}:y`],
    ['</a ><b', `${T.TAG_OPEN}:a ${T.TAG_OPEN_END}:> ${T.TAG_OPEN}:b`],
    ['<1 <', `${T.TEXT}:< ${T.TEXT}:1 `],
    ['<!doctype html>', `${T.DOCTYPE}:doctype html`],
  ];
  for (const [value, expected] of cases) t.is(read(value), expected, value);
});

test('scripts and ordinary text', (t) => {
  for (const value of [
    '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '" onmouseover="alert(1)', "' style='x:expression(1)", '<a href="javascript:alert(1)">',
    '<a href="&#106;avascript:x">', '<a href=" \x01java\nscript:x">', '<svg/onload=x>', '<sc\0ript>', '<!--[if IE]>', '<xml>', '<?import x>', 'x onclick=1',
    '<animate attributename=href values=x>', '<!DOCTYPE x>', '`onload=x',
  ]) t.true(isXss(value), value);
  for (const value of ['', 'hello', 'a < b and c > d', '1 = 1', '<b>bold</b>', '<a href="/index.html">', 'x=1&y=2', '<p class="x">', 'if (a<b) c=d', 'https://example.com/?a=b'])
    t.false(isXss(value), value);
});

const PIECES = ["'", '"', '`', ' ', '(', ')', ',', ';', '--', '#', '/*', '*/', '1', '0x', '@', '$', '$$', "q'(", ")'", '\\', '{', '}', '[', '.', ':', '<', '>', '=', '<!--', '-->', '<a ', 'on', 'select', 'union', 'x', '\0', '\xff'];

test('any bytes are read to the end, with no more tokens than bytes', (t) => {
  const value = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...PIECES) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)) }), { maxLength: 40 }).map((parts) => parts.join(''));
  const html = new HtmlTokenizer();
  fc.assert(fc.property(value, fc.constantFrom(...Object.values(Quote)), fc.boolean(), fc.integer({ min: 0, max: 4 }), (text, quote, mysql, context) => {
    const tokenizer = new SqlTokenizer();
    tokenizer.start(text, quote, mysql);
    const token = new SqlToken();
    let count = 0;
    while (tokenizer.next(token)) {
      t.not(token.type, SqlType.NONE);
      count++;
    }
    t.true(count <= text.length);
    html.reset(text, context as 0);
    for (count = 0; html.next(); count++) t.true(html.start <= html.end && html.end <= text.length);
    t.true(count <= 2 * text.length + 1);
    t.true(fingerprintOf(text, quote, mysql).length <= 5);
    sqlInjection(text);
    isXss(text);
  }), { numRuns: 2000 });
});

test('hostile repetitions give tokens in proportion to their length', (t) => {
  for (const piece of ['/*', "'\\'", '$a', "q'!", '<!-', '<a b="', '--', '{`', '0x', '((', '<![CDATA[]', '-\0']) {
    const value = piece.repeat(20_000);
    const tokenizer = new SqlTokenizer();
    tokenizer.start(value, Quote.NONE, false);
    const token = new SqlToken();
    let count = 0;
    while (tokenizer.next(token)) count++;
    t.true(count <= value.length, piece);
    sqlInjection(value);
    isXss(value);
  }
});
