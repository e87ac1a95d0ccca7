import test from 'ava';
import fc from 'fast-check';
import { splitActions } from '../../../src/web/seclang/action-list.js';
import { logicalLines } from '../../../src/web/seclang/lines.js';
import { parseTargetList } from '../../../src/web/seclang/targets.js';
import { splitWords } from '../../../src/web/seclang/words.js';
import { load } from '../../helpers/web-rules.js';

function words(text: string): string[][] {
  return [...logicalLines(text, 'f')].map((line) => splitWords(line).map((word) => word.text));
}

test('lines: continuation, comments, line ends', (t) => {
  t.deepEqual(words('# a comment\n\n  SecRule A \\\r\n   "@rx b" \\\n  "id:1"\nSecMarker x'), [['SecRule', 'A', '@rx b', 'id:1'], ['SecMarker', 'x']]);
  t.deepEqual(words('# goes on \\\nSecMarker hidden\nSecMarker seen'), [['SecMarker', 'seen']], 'a backslash continues a comment as well');
});

test('words: quotes and escapes', (t) => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    [String.raw`A "b \" c" d`, ['A', 'b " c', 'd']],
    [String.raw`A 'b " c' "d ' e"`, ['A', 'b " c', "d ' e"]],
    [String.raw`A "\d\\x"`, ['A', String.raw`\d\x`]],
    ['A ""', ['A', '']],
    ['A\tb\t', ['A', 'b']],
  ];
  for (const [text, expected] of cases) t.deepEqual(words(text), [expected]);
});

test('targets: names, patterns, counts, exclusions', (t) => {
  const [args, excluded, count, pattern, path] = parseTargetList(String.raw`ARGS|!ARGS_NAMES:/^a|b\/[x]$/|&REQUEST_HEADERS:Host|TX:'/^p_/',XML://@*`);
  t.like(args, { name: null, count: false, negated: false });
  t.is(excluded!.pattern!.text, String.raw`^a|b\/[x]$`);
  t.true(excluded!.negated);
  t.like(count, { name: 'host', count: true });
  t.is(pattern!.pattern!.text, '^p_');
  t.is(path!.expression, '//@*');
});

test('targets: what is refused', (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['ARGZ', /unknown variable 'ARGZ'/],
    ['ARGS|', /^$/],
    ['ARGS||X', /a variable is expected/],
    ['REQUEST_METHOD:x', /is no collection/],
    ['&REQUEST_METHOD', /cannot be counted/],
    ['!&ARGS', /both counts and excludes/],
    ['ARGS:', /a name is expected/],
    ['ARGS:/(/', /regular expression|parenthes/i],
    ['XML', /needs a path/],
    ['XML:/a[1]', /accepted are steps/],
    ['SCRIPT_UID', /not available/],
  ];
  for (const [text, expected] of cases) {
    if (expected.source === '^$') t.is(parseTargetList(text).length, 1);
    else t.throws(() => parseTargetList(text), { message: expected }, text);
  }
});

test('actions: values with commas, quotes and blanks', (t) => {
  const items = splitActions(String.raw`id:1, msg:'a, b \'c\'' ,nolog,setvar:'tx.x=1',t : lowercase`).map(({ name, argument }) => [name, argument]);
  t.deepEqual(items, [['id', '1'], ['msg', "a, b 'c'"], ['nolog', undefined], ['setvar', 'tx.x=1'], ['t', 'lowercase']]);
});

test('errors name the place and what is accepted', (t) => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['SecRule ARGS|ARGZ "@rx a" "id:1"', '1:14', /unknown variable 'ARGZ'/],
    ['SecRule ARGS \\\n  "@nope a" "id:1"', '2:4', /unknown operator '@nope'; there are .*rx/],
    ['SecRule ARGS "@rx (" "id:1"', '1:19', /@rx: .*parenthesis/],
    ['SecRule ARGS "a" \\\n "id:1,\\\n  t:lowercaze"', '3:5', /'lowercaze' is no transformation; there are .*lowercase/],
    ['SecRule ARGS "a" "id:1,phase:6"', '1:30', /'6' is no phase; accepted are 1 to 5/],
    ['SecRule ARGS "a" "id:1,severity:LOUD"', '1:33', /no severity; accepted are/],
    ['SecRule ARGS "a" "id:1,frobnicate"', '1:24', /unknown action 'frobnicate'/],
    ['SecRule ARGS "a" "id:1,deny:403"', '1:29', /deny takes no value/],
    ['SecRule ARGS "a" "id:1,ctl:nope=1"', '1:28', /'nope' is no ctl option; there are/],
    ['SecRule ARGS "a" "id:1,ctl:ruleRemoveById=x"', '1:28', /'x' is no rule number or range/],
    ['SecRule ARGS "a" "id:1,setvar:foo.x=1"', '1:31', /'foo.x' is no writable variable/],
    ['SecRule ARGS "a" "phase:1"', '1:1', /has no id/],
    ['SecRule ARGS "a', '1:14', /not closed/],
    ['SecRule ARGS', '1:1', /SecRule takes VARIABLES "operator" "actions"/],
    ['SecRuleEngine Maybe', '1:1', /'Maybe' is not accepted; accepted are On, Off, DetectionOnly/],
    ['SecRequestBodyLimit many', '1:1', /not a number/],
    ['SecNoSuchThing x', '1:1', /unknown directive/],
    ['SecRuleScript x.lua', '1:1', /not supported: /],
    ['Include nowhere.conf', '1:1', /no such file/],
    ['SecDefaultAction "phase:1,log"', '1:1', /needs a disruptive action/],
  ];
  for (const [text, place, reason] of cases) {
    const { refusals } = load(text);
    t.is(refusals.length, 1, text);
    const { position } = refusals[0]!;
    t.regex(refusals[0]!.reason, reason, text);
    t.is(`${position.line}:${position.column}`, place, `${text}: ${refusals[0]!.reason}`);
  }
});

test('a refused link takes its chain with it, a refused rule nothing else', (t) => {
  const set = load(`SecRule ARGS "a" "id:1,phase:2,pass,chain"
  SecRule ARGZ "b" "chain"
    SecRule ARGS "c"
SecRule ARGS "d" "id:2,phase:2,pass"
SecRule ARGZ "e" "id:3,phase:2,pass,chain"
  SecRule ARGS "f"
SecRule ARGS "g" "id:4,phase:2,pass,chain"`);
  t.deepEqual(set.rules.map((rule) => rule.id), [2]);
  t.is(set.refusals.filter((r) => /chain it belongs to/.test(r.reason)).length, 2);
  t.regex(set.refusals[set.refusals.length - 1]!.reason, /chain has no end/);
});

test('an id is used once, and free again when its rule was refused', (t) => {
  const set = load('SecRule ARGS "a" "id:1"\nSecRule ARGS "b" "id:1"\nSecRule ARGZ "b" "id:2"\nSecRule ARGS "b" "id:2"');
  t.deepEqual(set.rules.map((rule) => rule.id), [1, 2]);
  t.regex(set.refusals[0]!.reason, /the id 1 is taken by the rule at \/test.conf:1/);
});

test('Include: patterns, relative paths, loops end', (t) => {
  const files = { '/rules/b.conf': 'SecAction "id:2"', '/rules/a.conf': 'SecAction "id:1"\nInclude /more.conf', '/more.conf': 'SecAction "id:3"', '/loop.conf': 'Include loop.conf' };
  const set = load('Include rules/*.conf\nInclude loop.conf\nIncludeOptional none.conf', files);
  t.deepEqual(set.rules.map((rule) => rule.id), [1, 3, 2]);
  t.is(set.refusals.length, 1);
  t.regex(set.refusals[0]!.reason, /more than 16 levels/);
});

test('rules are changed and removed by later directives', (t) => {
  const set = load(`SecRule ARGS "a" "id:1,phase:2,deny,tag:'x/y',msg:'first'"
SecRule ARGS "a" "id:2,phase:2,deny,tag:'z'"
SecRule ARGS "a" "id:13,phase:2,deny,msg:'third one'"
SecRule ARGS|REQUEST_URI "a" "id:4,phase:2,deny"
SecRuleRemoveById 10-20
SecRuleRemoveByTag ^x/
SecRuleUpdateTargetById 2 "!ARGS:/^_ga/"
SecRuleUpdateTargetById 4 REQUEST_BODY REQUEST_URI
SecRuleUpdateActionById 2 "pass,status:418,msg:'changed'"
SecRuleRemoveById 99`);
  t.deepEqual(set.refusals, []);
  t.deepEqual(set.rules.map((rule) => rule.id), [2, 4]);
  t.is(set.rules[0]!.targets[0]!.exclusions!.length, 1);
  t.like(set.rules[0], { disruptive: 'pass', status: 418 });
  t.is(set.rules[0]!.message!.text, 'changed');
  t.deepEqual(set.rules[1]!.targets.map((target) => target.variable.name), ['ARGS', 'REQUEST_BODY']);
  t.regex(set.notes[0]!.text, /no such rule/);
});

test('SecDefaultAction fills in what a rule leaves open, block stands for its decision', (t) => {
  const set = load(`SecDefaultAction "phase:2,deny,status:406,nolog,t:lowercase"
SecRule ARGS "a" "id:1,phase:2,block"
SecRule ARGS "a" "id:2,phase:2,pass,log,t:none"
SecRule ARGS "a" "id:3,phase:1,block"`);
  const [first, second, third] = set.rules;
  t.like(first, { disruptive: 'deny', status: 406, log: false });
  t.like(second, { disruptive: 'pass', log: true, node: 0 });
  t.not(first!.node, 0);
  t.like(third, { disruptive: 'pass', log: true });
});

test('everything that a recommended configuration sets is read', (t) => {
  const set = load(
    `SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "(?:application(?:/soap\\+|/)|text/)xml" "id:'200000',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRequestBodyInMemoryLimit 131072
SecRequestBodyLimitAction Reject
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecParseXmlIntoArgs Off
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:'200003',phase:2,t:none,log,deny,status:400, msg:'PE %{REQBODY_PROCESSOR_ERROR}, SM %{MULTIPART_MISSING_SEMICOLON}'"
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml
SecResponseBodyLimit 524288
SecResponseBodyLimitAction ProcessPartial
SecTmpDir /tmp/
SecDataDir /tmp/
SecUploadDir /opt/modsecurity/var/upload/
SecUploadKeepFiles RelevantOnly
SecUploadFileMode 0600
SecDebugLog /opt/modsecurity/var/log/debug.log
SecDebugLogLevel 3
SecAuditEngine RelevantOnly
SecAuditLogRelevantStatus "^(?:5|4(?!04))"
SecAuditLogParts ABIJDEFHZ
SecAuditLogType Serial
SecAuditLog /var/log/modsec_audit.log
SecArgumentSeparator &
SecCookieFormat 0
SecUnicodeMapFile unicode.mapping 20127
SecStatusEngine Off`,
    { '/unicode.mapping': '1250  (ANSI)\n00a1:21\n\n20127 (US-ASCII)\n00a0:20 00a1:21 2044:2f\n' },
  );
  t.deepEqual(set.refusals, []);
  t.like(set.settings, { requestBodyLimit: 13_107_200, jsonDepthLimit: 512, auditParts: 'ABIJDEFHZ', pcreMatchLimit: 100_000 });
  t.is(set.settings.unicodeMap![0x2044], 0x2f);
  t.is(set.settings.unicodeMap![0x41], -1);
  t.true(set.settings.responseBodyMimeTypes.has('text/xml'));
});

test('any text is read to its end: every line is in force, noted or refused at a place inside it', (t) => {
  const piece = fc.oneof(
    fc.constantFrom('SecRule', 'SecAction', 'ARGS', '"@rx a"', '"id:1,phase:1,chain"', '"', "'", '\\\n', '\n', ' ', ':', '!', '&', '|', '/', ',', 'Include x', 'SecMarker', 't:none', "msg:'", '%{TX.0}', '@pm', '#'),
    fc.string({ maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = pieces.join(' ');
      const lines = text.split('\n');
      for (const { position } of load(text).refusals) {
        if (position.line < 1 || position.line > lines.length || position.column < 1 || position.column > lines[position.line - 1]!.length + 2) return false;
      }
      return true;
    }),
    { numRuns: 1500 },
  );
  t.pass();
});
