import test from 'ava';
import fc from 'fast-check';
import {
  decodeContent, decodePcre, displayText, encodeContent, metadataOf, parseRule, payloadOf, referencesOf, splitList, unquote,
} from '../src/index.js';

const CONTENTS: readonly (readonly [string, string, boolean])[] = [
  ['"abc"', 'abc', false],
  ['!"abc"', 'abc', true],
  ['! "abc"', 'abc', true],
  ['"a|41 42|b|43|"', 'aABbC', false],
  ['"|4142 43|"', 'ABC', false],
  ['"|| x"', ' x', false],
  ['"\\"\\;\\:\\\\"', '";:\\', false],
  ['"|22|:;|7C|"', '":;|', false],
  ['"\xff\xa0"', '\xff\xa0', false],
];

for (const [value, text, negated] of CONTENTS) {
  test(`content ${value}`, (t) => {
    const payload = decodeContent(value);
    if (payload.kind !== 'content') return t.fail(payload.message);
    t.is(Buffer.from(payload.bytes).toString('latin1'), text);
    t.is(payload.negated, negated);
    return t.deepEqual(payload.modifiers, []);
  });
}

test('content with the modifiers of Snort 3', (t) => {
  t.like(payloadOf({ name: 'content', value: '"a,b" , nocase,depth  5 , fast_pattern' }), {
    kind: 'content', bytes: Uint8Array.of(97, 44, 98),
    modifiers: [{ name: 'nocase', value: null }, { name: 'depth', value: '5' }, { name: 'fast_pattern', value: null }],
  });
});

test('any bytes can be written as content and read back', (t) => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
    const payload = decodeContent(encodeContent(bytes));
    return payload.kind === 'content' && Buffer.compare(payload.bytes, bytes) === 0;
  }));
  t.pass();
});

const PCRES: readonly (readonly [string, string, string, readonly string[], boolean])[] = [
  ['"/a\\/b/Ri"', 'a\\/b', 'Ri', [], false],
  ['!"/a/"', 'a', '', [], true],
  ['"/a/b/U"', 'a/b', 'U', [], false],
  ['"/a\\\\/U"', 'a\\\\', 'U', [], false],
  ['"/x="y"/"', 'x="y"', '', [], false],
  ['"m#/a#i"', '/a', 'i', [], false],
  ['/a/I', 'a', 'I', [], false],
  ['"/(?<n>.)/R, flow:n,pkt:m"', '(?<n>.)', 'R', ['flow:n', 'pkt:m'], false],
];

for (const [value, expression, modifiers, captures, negated] of PCRES) {
  test(`pcre ${value}`, (t) => {
    t.deepEqual(decodePcre(value), { kind: 'pcre', negated, expression, modifiers, captures });
  });
}

test('other payloads by shape', (t) => {
  t.deepEqual(payloadOf({ name: 'nocase', value: null }), { kind: 'flag' });
  t.deepEqual(payloadOf({ name: 'flow', value: 'established, to_server' }), {
    kind: 'list', negated: false, items: ['established', 'to_server'],
  });
  t.deepEqual(payloadOf({ name: 'isdataat', value: '!10,relative' }), { kind: 'list', negated: true, items: ['10', 'relative'] });
  t.deepEqual(payloadOf({ name: 'msg', value: '"a\\;,b"' }), { kind: 'text', negated: false, text: 'a;,b', items: [] });
  t.deepEqual(payloadOf({ name: 'x', value: '!"a", b' }), { kind: 'text', negated: true, text: 'a', items: ['b'] });
  t.is(payloadOf({ name: 'Content', value: '"a"' }).kind, 'content');
});

test('metadata and references', (t) => {
  const { rule } = parseRule(
    'alert ip any any -> any any (metadata:a b c, d; reference:url,x.example/a,b; sid:1; metadata:a e; reference:cve,1;)',
  );
  t.deepEqual(metadataOf(rule!), [{ key: 'a', value: 'b c' }, { key: 'd', value: '' }, { key: 'a', value: 'e' }]);
  t.deepEqual(referencesOf(rule!), [{ type: 'url', id: 'x.example/a,b' }, { type: 'cve', id: '1' }]);
});

test('splitList and unquote', (t) => {
  t.deepEqual(splitList('a, "b,c" ,d\\,e,'), ['a', '"b,c"', 'd\\,e', '']);
  t.is(unquote('"a\\\\b"'), 'a\\b');
  t.is(unquote('plain'), 'plain');
});

test('displayText reads UTF-8 where it is, latin-1 elsewhere', (t) => {
  t.is(displayText('\xe2\x82\xac'), '\u20ac');
  t.is(displayText('\xe9t\xe9'), '\xe9t\xe9');
  t.is(displayText('plain'), 'plain');
});
