/** fast-check arbitraries of rule text. */
import fc from 'fast-check';
import { ACTIONS, encodeContent } from '../src/index.js';

const word = fc.stringMatching(/^[a-z][a-z0-9_.]{0,11}$/);
const blank = fc.constantFrom(' ', '  ', '\t');
const gap = fc.constantFrom('', ' ', '\t ');

const ipv4 = fc.ipV4();
const ipv6 = fc.ipV6();
const addressLiteral = fc.oneof(
  ipv4, ipv6,
  fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([ip, bits]) => `${ip}/${bits}`),
  fc.tuple(ipv6, fc.integer({ min: 0, max: 128 })).map(([ip, bits]) => `${ip}/${bits}`),
  ipv4.map((ip) => `${ip}-255.255.255.255`),
  fc.constantFrom('any', '10.0.0.0/255.255.0.0', '$HOME_NET', '$DNS-SERVERS'),
);
const portLiteral = fc.oneof(
  fc.integer({ min: 0, max: 65_535 }).map(String),
  fc.tuple(fc.integer({ min: 0, max: 999 }), fc.integer({ min: 1000, max: 65_535 })).map(([low, high]) => `${low}:${high}`),
  fc.constantFrom('any', ':1024', '1024:', '$HTTP_PORTS'),
);

function expression(literal: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const { expr } = fc.letrec<{ expr: string }>((tie) => ({
    expr: fc.tuple(fc.constantFrom('', '!'), fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      literal,
      fc.tuple(fc.array(tie('expr'), { minLength: 1, maxLength: 4 }), gap).map(([items, space]) => `[${space}${items.join(`${space},${space}`)}]`),
    )).map(([sign, text]) => sign + text),
  }));
  return expr;
}

/** Any latin-1 byte that needs no escape in quotes. */
const plainText = fc.string({
  unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)).filter((char) => !'"\\;|'.includes(char)),
  maxLength: 20,
});
const quoted = fc.array(fc.oneof(plainText, fc.constantFrom('\\"', '\\;', '\\\\', '\\:')), { maxLength: 4 })
  .map((parts) => `"${parts.join('')}"`);
const content = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 16 }).map(encodeContent),
  fc.constantFrom('"a|00 0d0a|\\""', '"x",nocase,depth 5'),
).chain((text) => fc.constantFrom(text, `!${text}`));
const pcre = fc.tuple(fc.constantFrom('', '!'), fc.stringMatching(/^[a-z0-9.*+?()[\]^$"/ ]{1,16}$/), fc.stringMatching(/^[A-Za-z]{0,4}$/))
  .map(([sign, expr, modifiers]) => `${sign}"/${expr}/${modifiers}"`);
const list = fc.array(fc.oneof(word, fc.integer().map(String)), { minLength: 1, maxLength: 4 }).map((items) => items.join(', '));

const option = fc.oneof(
  word.filter((name) => !['sid', 'gid', 'rev', 'msg', 'pcre', 'content', 'target', 'priority', 'reference', 'classtype'].includes(name)),
  fc.tuple(fc.constantFrom('content', 'uricontent'), gap, content).map(([name, space, value]) => `${name}:${space}${value}`),
  pcre.map((value) => `pcre:${value}`),
  list.map((value) => `flow:${value}`),
  list.map((value) => `reference:url,${value}`),
  quoted.map((value) => `logto:${value}`),
);

/** Well-formed one-line rules. */
export const ruleText: fc.Arbitrary<string> = fc.record({
  comment: fc.constantFrom('', '', '# ', '#'),
  action: fc.constantFrom(...ACTIONS).chain((action) => fc.constantFrom(action, action.toUpperCase())),
  protocol: fc.constantFrom('tcp', 'UDP', 'http', 'tcp-pkt', 'ipv6', 'app_x.y'),
  ends: fc.option(fc.tuple(
    expression(addressLiteral), expression(portLiteral), fc.constantFrom('->', '<>'), expression(addressLiteral), expression(portLiteral),
  ), { freq: 8 }),
  blank,
  gap,
  msg: fc.option(quoted),
  options: fc.array(option, { maxLength: 8 }),
  sid: fc.integer({ min: 1, max: 0xffff_ffff }),
}).map(({ comment, action, protocol, ends, blank: space, gap: inner, msg, options, sid }) => {
  const head = [action, protocol, ...(ends ?? [])].join(space);
  const all = [...(msg === null ? [] : [`msg:${msg}`]), ...options, `sid:${sid}`, 'rev:1'];
  return `${comment}${head}${space}(${inner}${all.map((text) => `${text}${inner};`).join(inner)}${inner})`;
});
