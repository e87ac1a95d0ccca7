import test from 'ava';
import fc from 'fast-check';
import {
  decodeContent, decodePcre, metadataOf, parseAddressExpr, parsePortExpr, parseRule, parseRules, payloadOf, printRule,
  referencesOf, resolveAddress, resolvePorts, RULE_ERROR_KINDS, type RuleError,
} from '../src/index.js';
import { ruleText } from './arbitraries.js';

/** Rules in the style of public sets, written for this test. */
const SEEDS = [
  'alert http $HOME_NET any -> $EXTERNAL_NET $HTTP_PORTS (msg:"Checkin"; flow:established,to_server; http.method; content:"POST"; '
    + 'http.uri; content:"/gate.php|3f|"; fast_pattern; pcre:"/\\/gate\\.php\\?[a-z]{4}=\\d+$/U"; reference:url,example.com; sid:1; rev:1;)',
  'drop tcp [10.0.0.0/8,!10.1.0.0/16] 1024: <> !2001:db8::/32 [80,!81,8000:8010] (msg:"a\\;b\\"c"; content:!"|00 ff|"; offset:3; '
    + 'byte_test:4,>,0x10,0,relative,little; metadata:a b, c d; target:src_ip; sid:2;)',
  'alert http (msg:"three"; content:"x",nocase,depth 5; sid:3;)',
  'config dns any any -> any any (dns.query; content:"x"; config:logging disable, type tx, scope tx; sid:4;)',
];

/** Whatever the input: no exception, rules that can be used, errors that point into the text. */
function exercise(t: { true(value: boolean, message?: string): void }, input: Uint8Array | string): void {
  const { rules, errors } = parseRules(input, { includeDisabled: true });
  const text = typeof input === 'string' ? input : Buffer.from(input).toString('latin1');
  checkErrors(t, errors, text);
  for (const rule of rules) {
    for (const option of rule.options) payloadOf(option);
    metadataOf(rule);
    referencesOf(rule);
    resolveAddress(rule.sourceAddress, () => '[$A]');
    resolvePorts(rule.destinationPort, () => '80');
    const printed = parseRules(printRule(rule), { includeDisabled: true });
    t.true(printed.rules.length === 1 && printed.rules[0]!.sid === rule.sid, printRule(rule));
  }
  parseRule(input);
}

function checkErrors(t: { true(value: boolean, message?: string): void }, errors: readonly RuleError[], text: string): void {
  const lines = text.split('\n');
  for (const error of errors) {
    t.true(RULE_ERROR_KINDS.includes(error.kind) && error.message !== '' && error.token.length <= 80);
    t.true(error.line >= 1 && error.line <= lines.length && error.offset <= text.length, JSON.stringify(error));
    t.true(error.column >= 1 && error.column <= lines[error.line - 1]!.length + 1, JSON.stringify(error));
  }
}

test('random bytes', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => exercise(t, bytes)), { numRuns: 500 });
});

test('random text, any Unicode', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
    parseRules(text, { includeDisabled: true });
    parseRule(text);
  }), { numRuns: 300 });
  t.pass();
});

const TOKENS = ['alert', ' ', 'tcp', 'any', '->', '(', ')', ';', ':', '"', '\\', '|', '!', '[', ']', ',', '$X', '/', '\n', '#', 'sid:1;', 'content', 'pcre', '\r\n', '\\\n', '\xff'];

test('random token soup', (t) => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...TOKENS), { maxLength: 60 }), (tokens) => {
    exercise(t, tokens.join(''));
    exercise(t, `alert tcp any any -> any any (${tokens.join('')}`);
  }), { numRuns: 500 });
});

test('mutated rules', (t) => {
  const mutation = fc.record({
    at: fc.nat(), remove: fc.nat({ max: 3 }),
    insert: fc.oneof(fc.constantFrom(...TOKENS, ''), fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))),
  });
  fc.assert(fc.property(fc.oneof(fc.constantFrom(...SEEDS), ruleText), fc.array(mutation, { minLength: 1, maxLength: 4 }), (seed, mutations) => {
    let text = seed;
    for (const { at, remove, insert } of mutations) {
      const place = at % (text.length + 1);
      text = text.slice(0, place) + insert + text.slice(place + remove);
    }
    exercise(t, Buffer.from(text, 'latin1'));
  }), { numRuns: 1500 });
});

test('value decoders and expression parsers take any text', (t) => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...TOKENS, '1.2.3.4', '::1', '80'), { maxLength: 20 }), (tokens) => {
    const text = tokens.join('');
    for (const result of [decodeContent(text), decodePcre(text)]) {
      if ('message' in result) t.true(result.at >= 0 && result.at <= text.length);
    }
    for (const { problem } of [parseAddressExpr(text), parsePortExpr(text)]) {
      if (problem !== null) t.true(problem.at >= 0 && problem.at <= text.length);
    }
  }), { numRuns: 500 });
});

test('hostile shapes stay linear: each is refused or read at 1 MiB without a stack overflow', (t) => {
  const size = 1 << 20;
  const head = 'alert tcp any any -> any any ';
  const shapes = [
    '['.repeat(size), `alert tcp ${'['.repeat(size)}`, `alert tcp ${'!'.repeat(size)}`, `${head}(${'\\;'.repeat(size / 2)}`,
    `${head}(a:${'"'.repeat(size)};sid:1;)`, `${head}(pcre:"${'/'.repeat(size)}";sid:1;)`, `${head}(pcre:"/${'\\'.repeat(size)}/";sid:1;)`,
    `${head}(content:"${'|'.repeat(size)}";sid:1;)`, `${head}(${';'.repeat(size)})`, `${head}(${'a;'.repeat(size / 2)}sid:1;)`,
    '\\\n'.repeat(size / 2), `${head}${' '.repeat(size)}(sid:1;)`, `alert tcp ${'1.1.1.1,'.repeat(size / 8)}any any -> any any (sid:1;)`,
    '#'.repeat(size), `# ${'alert '.repeat(size / 6)}`, `${head}(${'a:'.repeat(size / 2)};sid:1;)`,
  ];
  for (const text of shapes) {
    const { rules, refused } = parseRules(text, { includeDisabled: true, maxRuleLength: 4 * size });
    t.true(rules.length + refused <= 1);
  }
});
