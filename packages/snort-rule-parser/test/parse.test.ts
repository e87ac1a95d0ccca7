import test from 'ava';
import { formatError, locate, parseRule, parseRules, placeOf, type Rule, type RuleErrorKind } from '../src/index.js';

function accept(text: string | Uint8Array): Rule {
  const { rule, errors } = parseRule(text, { file: 'x.rules' });
  if (rule === null) throw new Error(errors.map(formatError).join('\n'));
  return rule;
}

const HEAD = 'alert tcp any any -> any any ';

test('every part of a rule is exposed', (t) => {
  const rule = accept(
    'drop http [$HOME_NET,!10.1.2.0/24] any -> !2001:db8::/32 [80,8000:8010,!8005,:79] (msg:"Say \\"hi\\"\\; now"; '
    + 'flow:established,to_server; content:!"a|00 ff|"; depth:5; reference:cve,2021-44228; reference:url,a.example/x,y; '
    + 'classtype:web-application-attack; priority:1; target:dest_ip; metadata:created_at 2024_01_01, tag; gid:3; sid:4294967295; rev:7;)',
  );
  t.like(rule, {
    action: 'drop', protocol: 'http', direction: '->', dialect: 'suricata', enabled: true,
    sid: 4_294_967_295, gid: 3, rev: 7, msg: 'Say "hi"; now', classtype: 'web-application-attack', priority: 1, target: 'dest_ip',
  });
  t.deepEqual(rule.sourceAddress, {
    kind: 'list', negated: false, at: 0, length: 24,
    items: [
      { kind: 'variable', name: 'HOME_NET', negated: false, at: 1, length: 9 },
      { kind: 'address', family: 4, text: '10.1.2.0/24', negated: true, at: 11, length: 12 },
    ],
  });
  t.deepEqual(rule.destinationAddress, {
    kind: 'address', family: 6, text: '2001:db8::/32', negated: true, at: 0, length: 14,
  });
  t.is(rule.destinationPort.kind, 'list');
  t.deepEqual(rule.options.map(({ name }) => name), [
    'msg', 'flow', 'content', 'depth', 'reference', 'reference', 'classtype', 'priority', 'target', 'metadata', 'gid', 'sid', 'rev',
  ]);
  t.is(rule.options[0]!.value, '"Say \\"hi\\"\\; now"');
});

test('defaults of absent identity fields', (t) => {
  t.like(accept(`${HEAD}(sid:1;)`), { gid: 1, rev: 0, msg: '', classtype: '', priority: null, target: null });
});

test('a repeated priority counts once, the most urgent; equal targets are one', (t) => {
  t.like(accept(`${HEAD}(priority:3; priority:2; target:src_ip; target:src_ip; sid:1;)`), { priority: 2, target: 'src_ip' });
});

const ACCEPTED = [
  'ALERT TCP any any -> any any (sid:1;)',
  '\t alert tcp any any -> any any(sid:1;)  \t',
  'config dns any any -> any any (dns.query; content:"x"; config: logging disable, type tx, scope tx; sid:1;)',
  'alert ip any any <> any any (sid : 1 ; rev:2;)',
  'alert tcp [ 10.0.0.1 , ![ 10.0.0.2, 10.0.0.3 ] ] any -> any [ 1:2 , 4 ] (sid:1;)',
  'alert tcp 10.0.0.1,10.0.0.2 1,2 -> any any (sid:1;)',
  'alert tcp 10.0.0.0/255.0.0.0 any -> 10.0.0.1-10.0.0.9 any (sid:1;)',
  'alert tcp ::ffff:1.2.3.4 any -> [::,fe80::1-fe80::f] any (sid:1;)',
  `${HEAD}(pcre:"/a="b;\\;/U"; sid:1;)`.replace('b;', 'b'),
  `${HEAD}(pcre:/\\.\\/a/I; sid:1;)`,
  `${HEAD}(pcre:!"m#^/x#i"; sid:1;)`,
  `${HEAD}(pcre:"/(?<a>x)/R, flow:a, pkt:b"; sid:1;)`,
  `${HEAD}(content:"a\\\\"; content:"\\:\\;\\"|3a 3B3c|"; sid:1;)`,
  `${HEAD}(content:"GET",nocase,depth 5; sid:1;)`,
  `${HEAD}(content:"a\\\\;b"; sid:1;)`,
  `${HEAD}(pcrexform:"a"b"; sid:1;)`,
  'alert http (msg:"x"; sid:1;)',
];

for (const text of ACCEPTED) {
  test(`accepts ${text}`, (t) => {
    t.is(accept(text).sid, 1);
  });
}

/** Text, kind, column (line 1), token. */
const REJECTED: readonly (readonly [string, RuleErrorKind, number, string])[] = [
  ['accept tcp any any -> any any (sid:1;)', 'unknown-action', 1, 'accept'],
  ['  alerts tcp any any -> any any (sid:1;)', 'unknown-action', 3, 'alerts'],
  ['(sid:1;)', 'unknown-action', 1, ''],
  ['alert', 'missing-header-field', 6, ''],
  ['alert t/p any any -> any any (sid:1;)', 'bad-protocol', 7, 't/p'],
  ['alert tcp any any -> any (sid:1;)', 'missing-header-field', 26, ''],
  ['alert tcp any any', 'missing-header-field', 18, ''],
  ['alert tcp any any <- any any (sid:1;)', 'bad-direction', 19, '<-'],
  ['alert tcp any any => any any (sid:1;)', 'bad-direction', 19, '=>'],
  ['alert tcp 1.2.3.256 any -> any any (sid:1;)', 'bad-address', 11, '1.2.3.256'],
  ['alert tcp 1.2.3 any -> any any (sid:1;)', 'bad-address', 11, '1.2.3'],
  ['alert tcp 10.0.0.0/33 any -> any any (sid:1;)', 'bad-address', 11, '10.0.0.0/33'],
  ['alert tcp 10.0.0.0/255.0.255.0 any -> any any (sid:1;)', 'bad-address', 11, '10.0.0.0/255.0.255.0'],
  ['alert tcp 10.0.0.9-10.0.0.1 any -> any any (sid:1;)', 'bad-address', 11, '10.0.0.9-10.0.0.1'],
  ['alert tcp any any -> [1.1.1.1,fe80:::1] any (sid:1;)', 'bad-address', 31, 'fe80:::1'],
  ['alert tcp any any -> 1:2:3:4:5:6:7:8:9 any (sid:1;)', 'bad-address', 22, '1:2:3:4:5:6:7:8:9'],
  ['alert tcp [1.1.1.1 any -> any any (sid:1;)', 'bad-address', 20, 'any -> any any'],
  ['alert tcp [1.1.1.1,] any -> any any (sid:1;)', 'bad-address', 20, ']'],
  ['alert tcp [] any -> any any (sid:1;)', 'bad-address', 12, ']'],
  ['alert tcp !!1.1.1.1 any -> any any (sid:1;)', 'bad-address', 12, '!'],
  ['alert tcp $ any -> any any (sid:1;)', 'bad-address', 11, '$'],
  ['alert tcp any 65536 -> any any (sid:1;)', 'bad-port', 15, '65536'],
  ['alert tcp any 9:8 -> any any (sid:1;)', 'bad-port', 15, '9:8'],
  ['alert tcp any : -> any any (sid:1;)', 'bad-port', 15, ':'],
  ['alert tcp any [80,[81,x]] -> any any (sid:1;)', 'bad-port', 23, 'x'],
  ['alert tcp any any -> any any', 'missing-options', 29, ''],
  ['alert tcp any any -> any any sid:1;', 'missing-options', 30, 'sid:1;'],
  [`${HEAD}(sid:1;`, 'missing-parenthesis', 37, ''],
  [`${HEAD}(msg:"x"; sid:1)`, 'missing-semicolon', 45, 'sid:1'],
  [`${HEAD}(sid:1;) x`, 'trailing-text', 39, 'x'],
  [`${HEAD}(nocase sid:1;)`, 'missing-semicolon', 37, 'nocase sid:1'],
  [`${HEAD}(msg:"x" sid:1;)`, 'missing-semicolon', 39, 'sid:1'],
  [`${HEAD}(msg:"x; sid:1;)`, 'unbalanced-quote', 35, '"x'],
  [`${HEAD}(msg:"a"b"; sid:1;)`, 'missing-semicolon', 38, 'b"'],
  [`${HEAD}(; sid:1;)`, 'bad-option-name', 31, ';'],
  [`${HEAD}(a@b; sid:1;)`, 'bad-option-name', 32, '@'],
  [`${HEAD}(depth:; sid:1;)`, 'missing-value', 36, ':'],
  [`${HEAD}(content; sid:1;)`, 'missing-value', 31, 'content'],
  [`${HEAD}(content:abc; sid:1;)`, 'bad-content', 39, 'abc'],
  [`${HEAD}(content:""; sid:1;)`, 'bad-content', 39, '""'],
  [`${HEAD}(content:"|4|"; sid:1;)`, 'bad-content', 41, '4'],
  [`${HEAD}(content:"|41 4 1|"; sid:1;)`, 'bad-content', 44, '4'],
  [`${HEAD}(content:"|4g|"; sid:1;)`, 'bad-content', 42, 'g'],
  [`${HEAD}(content:"ab|41"; sid:1;)`, 'bad-content', 42, '|41'],
  [`${HEAD}(content:"a\\b"; sid:1;)`, 'bad-content', 41, '\\b'],
  [`${HEAD}(content: ! "a"x; sid:1;)`, 'missing-semicolon', 45, 'x'],
  [`${HEAD}(pcre:"a/"; sid:1;)`, 'bad-pcre', 37, 'a/'],
  [`${HEAD}(pcre:"/a"; sid:1;)`, 'bad-pcre', 37, '/a'],
  [`${HEAD}(pcre:"/a/R1"; sid:1;)`, 'bad-pcre', 41, '1'],
  [`${HEAD}(pcre:"/a/; sid:1;)`, 'unbalanced-quote', 36, '"/a/'],
  [`${HEAD}(sid:0;)`, 'bad-number', 35, '0'],
  [`${HEAD}(sid:4294967296;)`, 'bad-number', 35, '4294967296'],
  [`${HEAD}(sid:1 rev:2;)`, 'bad-number', 35, '1 rev:2'],
  [`${HEAD}(sid:1; rev:-1;)`, 'bad-number', 42, '-1'],
  [`${HEAD}(sid:1; sid:2;)`, 'duplicate-option', 38, 'sid'],
  [`${HEAD}(target:x; sid:2;)`, 'bad-value', 38, 'x'],
  [`${HEAD}(target:src_ip; target:dest_ip; sid:2;)`, 'bad-value', 53, 'dest_ip'],
  [`${HEAD}(reference:x; sid:2;)`, 'bad-value', 41, 'x'],
  [`${HEAD}(msg:"x";)`, 'missing-sid', 1, ''],
  ['', 'missing-header-field', 1, ''],
  ['# nothing here', 'missing-header-field', 1, ''],
];

for (const [text, kind, column, token] of REJECTED) {
  test(`rejects ${text} as ${kind}`, (t) => {
    const { rule, errors } = parseRule(text, { file: 'x.rules' });
    t.is(rule, null);
    t.is(errors.length, 1, errors.map(formatError).join('\n'));
    t.like(errors[0], { kind, line: 1, column, token, file: 'x.rules', offset: column - 1 });
    t.not(errors[0]!.message, '');
  });
}

test('the accepted values are listed', (t) => {
  t.true(parseRule('accept ip any any -> any any (sid:1;)').errors[0]!.accepted.includes('rejectboth'));
  t.deepEqual(parseRule('alert ip any any >> any any (sid:1;)').errors[0]!.accepted, ['->', '<>']);
  t.is(
    formatError(parseRule('alert ip any any >> any any (sid:1;)', { file: 'a.rules', line: 7 }).errors[0]!),
    'a.rules:7:18: unknown direction (token ">>"; accepted: ->, <>)',
  );
});

test('independent mistakes of one rule are all reported', (t) => {
  const { errors } = parseRule(`${HEAD}(content:"|zz|"; pcre:"x"; depth:; sid:1;)`);
  t.deepEqual(errors.map(({ kind }) => kind), ['bad-content', 'bad-pcre', 'missing-value']);
  const header = parseRule('alert ip 1.2.3 any >> any 70000 (sid:1;)');
  t.deepEqual(header.errors.map(({ kind }) => kind), ['bad-address', 'bad-direction', 'bad-port']);
});

test('a rule without sid can be allowed', (t) => {
  t.is(parseRule(`${HEAD}(msg:"x";)`, { allowMissingSid: true }).rule?.sid, 0);
});

test('parseRule takes exactly one rule', (t) => {
  const two = parseRule(`${HEAD}(sid:1;)\n\n  ${HEAD}(sid:2;)`);
  t.is(two.rule, null);
  t.like(two.errors[0], { kind: 'trailing-text', line: 3, column: 3 });
});

test('headerless rules are Snort 3', (t) => {
  t.like(accept('alert http ( msg:"x"; sid:1; )'), { dialect: 'snort3', direction: '->' });
  t.is(accept('alert http (sid:1;)').sourceAddress.kind, 'any');
});

const FILE = [
  '\xef\xbb\xbf# a comment; alert me',
  '',
  `${HEAD}(msg:"one"; sid:1;)\r`,
  '  # alert udp any any -> any any (msg:"off"; sid:2;)',
  '#alert udp any any -> any (broken; sid:3;)',
  'alert tcp any any -> any any (msg:"four"; \\  ',
  '    content:"a \\\r',
  '  b"; sid:4;)',
  'nonsense',
  '; skipped, as Suricata does',
  `${HEAD}(sid:5;) \\`,
].join('\n');

test('files: comments, disabled rules, continuation, CRLF and byte order mark', (t) => {
  const { rules, errors, refused } = parseRules(FILE, { file: 'f' });
  t.deepEqual(rules.map(({ sid, line, column }) => [sid, line, column]), [[1, 3, 1], [4, 6, 1], [5, 11, 1]]);
  t.is(refused, 1);
  t.like(errors[0], { kind: 'unknown-action', line: 9, column: 1, token: 'nonsense' });

  const four = rules[1]!;
  t.deepEqual(four.options.map(({ name, value, line, column }) => [name, value, line, column]), [
    ['msg', '"four"', 6, 31],
    ['content', '"a   b"', 7, 5],
    ['sid', '4', 8, 7],
  ]);
  for (const rule of rules) {
    for (const option of rule.options) {
      t.true(FILE.startsWith(option.name, option.offset));
      t.is(FILE[option.offset + option.length - 1], ';');
    }
    t.true(FILE.startsWith(rule.action, rule.offset));
  }

  const all = parseRules(FILE, { includeDisabled: true });
  t.deepEqual(all.rules.map(({ sid, enabled }) => [sid, enabled]), [[1, true], [2, false], [4, true], [5, true]]);
  t.like(all.rules[1], { line: 4, column: 5, offset: FILE.indexOf('alert udp') });
  t.is(all.errors.length, 1);
});

test('errors after a continuation point into the file', (t) => {
  const { errors } = parseRule('alert tcp any any -> \\\n  [1.1.1.1,\\\n 1.1.1.300] any (sid:1;)');
  t.like(errors[0], { kind: 'bad-address', line: 3, column: 2, offset: 37, token: '1.1.1.300' });
  const end = parseRule(`${HEAD}(sid:1; \\\n nocase`);
  t.like(end.errors[0], { kind: 'missing-semicolon', line: 2, column: 8 });
});

test('locations of header expressions', (t) => {
  const rule = accept('alert tcp any 80 -> \\\n $X 90 (sid:1;)');
  t.is(placeOf(rule, 'sourcePort').at, 14);
  t.like(locate(rule.source, rule.sourcePortAt), { line: 1, column: 15, offset: 14 });
  t.like(locate(rule.source, rule.destinationAddressAt), { line: 2, column: 2, offset: 23 });
  t.like(locate(rule.source, 0), { line: 1, column: 1, offset: 0 });
});

test('bytes above 0x7f survive, whatever their charset', (t) => {
  const bytes = Buffer.from(`${HEAD}(msg:"\xa0\xff\xe9\xa0"; content:"\x80\xa0"; sid:1;)`, 'latin1');
  const rule = accept(bytes);
  t.is(rule.msg, '\xa0\xff\xe9\xa0');
  t.is(rule.options[1]!.value, '"\x80\xa0"');
  // A string that somebody decoded from UTF-8 becomes its bytes again.
  t.is(accept(`${HEAD}(msg:"\u20ac"; sid:1;)`).msg, '\xe2\x82\xac');
});

test('bounds', (t) => {
  const long = `${HEAD}(content:"${'a'.repeat(100)}"; sid:1;)`;
  t.is(parseRule(long, { maxRuleLength: 100 }).errors[0]!.kind, 'limit');
  t.true(parseRule(long, { maxRuleLength: 100 }).errors[0]!.token.length <= 80);
  const nested = `alert tcp ${'['.repeat(65)}any${']'.repeat(65)} any -> any any (sid:1;)`;
  t.like(parseRule(nested).errors[0], { kind: 'bad-address', column: 75 });
  t.is(accept(nested.replace('[', '').replace(']', '')).sid, 1);
  const { errors, refused } = parseRules('x\n'.repeat(50), { maxErrors: 10 });
  t.is(errors.length, 10);
  t.is(refused, 50);
  t.true(parseRule(`${HEAD}(${'a@; '.repeat(1000)})`).errors.length <= 16);
});
