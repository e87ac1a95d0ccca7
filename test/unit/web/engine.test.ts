import test from 'ava';
import { engineOf, exchange, FORM, type TestExchange } from '../../helpers/web-rules.js';

/** Ids that match in one exchange under the rules. */
function ids(rules: string, e: TestExchange = {}, detect = false): readonly number[] {
  return exchange(engineOf(rules, { detect }), e).ids;
}

test('phases see what has arrived', (t) => {
  const rules = [1, 2, 3, 4, 5].map((p) => `SecRule ARGS|REQUEST_BODY|RESPONSE_STATUS|RESPONSE_BODY "@rx ." "id:${p},phase:${p},pass,log,logdata:'%{MATCHED_VAR_NAME}'"`).join('\n');
  const { report } = exchange(engineOf(rules), { target: '/?q=1', headers: FORM, body: 'b=2', responseBody: 'page' });
  const seen = (phase: number): string[] => report.matches.filter((m) => m.phase === phase).map((m) => m.data);
  t.deepEqual(seen(1), ['ARGS:q']);
  t.deepEqual(seen(2), ['ARGS:q', 'ARGS:b', 'REQUEST_BODY']);
  t.deepEqual(seen(3), ['ARGS:q', 'ARGS:b', 'REQUEST_BODY', 'RESPONSE_STATUS']);
  t.deepEqual(seen(4), ['ARGS:q', 'ARGS:b', 'REQUEST_BODY', 'RESPONSE_STATUS', 'RESPONSE_BODY']);
  t.deepEqual(seen(5), seen(4));
});

test('selectors, patterns, counts and exclusions', (t) => {
  const target = '/?Aa=x&b=x&c_1=x&c_2=y';
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ['ARGS:aA', 'x', ['ARGS:Aa']],
    ['ARGS:/^C_/', '.', ['ARGS:c_1', 'ARGS:c_2']],
    ['ARGS|!ARGS:b|!ARGS:/_/', 'x', ['ARGS:Aa']],
    ['!ARGS:b|ARGS', 'x', ['ARGS:Aa', 'ARGS:c_1']],
    ['ARGS_NAMES', '^b$', ['ARGS_NAMES:b']],
    ['&ARGS', '^4$', ['&ARGS']],
    ['&ARGS:/^c/', '^2$', ['&ARGS:/^c/']],
    ['&ARGS:none', '^0$', ['&ARGS:none']],
    ['ARGS:none', '', []],
    ['!ARGS|ARGS', '.', []],
  ];
  for (const [targets, pattern, expected] of cases) {
    const { report } = exchange(engineOf(`SecRule ${targets} "@rx ${pattern}" "id:1,phase:1,pass"`), { target });
    t.deepEqual(report.matches.map((m) => m.variable), expected, targets);
  }
});

test('negated operators match what is there and does not match', (t) => {
  t.deepEqual(ids('SecRule ARGS "!@streq x" "id:1,phase:1,pass"', { target: '/?a=x&b=y' }), [1]);
  t.deepEqual(ids('SecRule ARGS:none "!@streq x" "id:1,phase:1,pass"', { target: '/?a=x' }), []);
});

test('transformations in order, t:none, multiMatch', (t) => {
  t.deepEqual(ids('SecRule ARGS "@streq abc" "id:1,phase:1,pass,t:urlDecode,t:lowercase"', { target: '/?a=%2541BC' }), [1]);
  t.deepEqual(ids('SecRule ARGS "@streq abc" "id:1,phase:1,pass,t:lowercase,t:none"', { target: '/?a=ABC' }), []);
  const multi = 'SecRule ARGS "@rx ^(?:A%2542c|ABc|abc)$" "id:1,phase:1,pass,multiMatch,t:none,t:urlDecode,t:urlDecode,t:lowercase,logdata:\'%{MATCHED_VAR}\'"';
  const { report } = exchange(engineOf(multi), { target: '/?a=A%252542c' });
  t.deepEqual(report.matches.map((m) => m.data), ['A%2542c', 'ABc', 'abc']);
});

test('captures, macros and matched variables', (t) => {
  const rules = String.raw`SecRule ARGS "@rx (a)(b)?(c)" "id:1,phase:1,pass,capture,logdata:'%{TX.0}|%{tx.1}|%{TX.2}|%{TX.3}|%{MATCHED_VAR_NAME}|%{MATCHED_VAR}|%{REQUEST_HEADERS.host}|%{nothing}|%{ARGS.none}'"
SecRule ARGS "@rx (z)" "id:2,phase:1,pass,capture"
SecRule TX:1 "@streq z" "id:3,phase:1,pass"
SecRule &TX:3 "@eq 0" "id:4,phase:1,pass"
SecRule RULE:id "@streq 5" "id:5,phase:1,pass"`;
  const { report, ids: found } = exchange(engineOf(rules), { target: '/?q=xacx&r=z' });
  t.is(report.matches[0]!.data, 'ac|a||c|ARGS:q|xacx|www.example.org|%{nothing}|');
  t.deepEqual(found, [1, 2, 3, 4, 5]);
});

test('macros in operators and in names of variables', (t) => {
  const rules = `SecAction "id:1,phase:1,pass,nolog,setvar:'tx.allowed=GET HEAD',setvar:'tx.n_%{REQUEST_METHOD}=7',setvar:tx.limit=5"
SecRule REQUEST_METHOD "!@within %{tx.allowed}" "id:2,phase:1,pass"
SecRule TX:n_get "@gt %{tx.limit}" "id:3,phase:1,pass,msg:'%{TX.N_GET} over %{tx.limit}'"`;
  t.is(exchange(engineOf(rules)).report.matches[0]!.message, '7 over 5');
  t.deepEqual(ids(rules, { method: 'PUT' }), [2]);
});

test('setvar: set, add, subtract, remove; scores of the report', (t) => {
  const rules = `SecAction "id:1,phase:1,pass,nolog,setvar:tx.a,setvar:tx.score=+3,setvar:tx.b=5,setvar:tx.b=-7,setvar:tx.c=1,setvar:!tx.C"
SecRule TX:a "@streq 1" "id:2,phase:1,pass,setvar:'tx.score=+%{tx.step}',setvar:tx.score=+4"
SecRule TX:b "@streq 0" "id:3,phase:1,pass"
SecRule &TX:c "@eq 0" "id:4,phase:1,pass"`;
  const { report, ids: found } = exchange(engineOf(rules));
  t.deepEqual(found, [2, 3, 4]);
  t.deepEqual(report.matches.map((m) => m.scores), [{ score: 4 }, {}, {}]);
  t.deepEqual(report.scores, { score: 7 });
});

test('a match per value: effects run and events are written for each', (t) => {
  const { report } = exchange(engineOf('SecRule ARGS "@rx x" "id:1,phase:1,pass,setvar:tx.score=+5"'), { target: '/?a=x&b=y&c=x' });
  t.deepEqual(report.matches.map((m) => [m.variable, m.scores['score']]), [['ARGS:a', 5], ['ARGS:c', 5]]);
  t.deepEqual(report.scores, { score: 10 });
});

test('chains: logged when whole, effects of a link at once, MATCHED_VARS of the links before', (t) => {
  const rules = `SecRule ARGS "@rx ^x" "id:1,phase:1,pass,msg:'%{MATCHED_VAR}',setvar:tx.first=+1,chain"
  SecRule MATCHED_VARS "@rx y$" "setvar:tx.second=+1,chain"
    SecRule REQUEST_METHOD "@streq GET" "t:none,setvar:tx.third=+1"
SecRule TX:first "@eq 2" "id:2,phase:1,pass"
SecRule TX:second "@eq 1" "id:3,phase:1,pass"`;
  const { report, ids: found } = exchange(engineOf(rules), { target: '/?a=x&b=xy' });
  t.deepEqual(found, [1, 2, 3]);
  t.like(report.matches[0], { message: 'GET', variable: 'REQUEST_METHOD' });
  t.deepEqual(ids(rules, { target: '/?a=x&b=x' }), [2]);
});

test('skip and skipAfter: rules, chains, markers, labels that never come', (t) => {
  const action = (id: number, more = ''): string => `SecAction "id:${id},phase:1,pass${more}"`;
  t.deepEqual(ids([action(1, ',skip:2'), action(2), `SecRule ARGS "a" "id:3,phase:1,pass,chain"\n SecRule ARGS "b"`, action(4)].join('\n')), [1, 4]);
  t.deepEqual(ids([action(1, ',skipAfter:END'), action(2), 'SecMarker END', action(3)].join('\n')), [1, 3]);
  t.deepEqual(ids([action(1, ',skipAfter:3'), action(2), action(3), action(4)].join('\n')), [1, 4]);
  t.deepEqual(ids([action(1, ',skipAfter:NEVER'), action(2), 'SecAction "id:3,phase:2,pass"'].join('\n')), [1, 3]);
  t.deepEqual(ids(['SecMarker BACK', action(1, ',skipAfter:BACK'), action(2)].join('\n')), [1], 'jumps go forward only');
  t.deepEqual(ids([`SecRule REQUEST_METHOD "GET" "id:1,phase:1,pass,skipAfter:E,chain"\n SecRule ARGS:a "1"`, action(2), 'SecMarker E', action(3)].join('\n'), { target: '/?a=2' }), [2, 3]);
});

test('ctl: rules and targets are taken out by number, range, tag, message', (t) => {
  const later = `SecRule ARGS "x" "id:10,phase:2,pass,tag:'attack/a',msg:'one thing'"
SecRule ARGS|REQUEST_URI "x" "id:20,phase:2,pass,tag:'attack/b',msg:'other thing'"`;
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['ruleRemoveById=10', ['ARGS:a', 'ARGS:b', 'REQUEST_URI']],
    ['ruleRemoveById=1-15', ['ARGS:a', 'ARGS:b', 'REQUEST_URI']],
    ['ruleRemoveByTag=^attack/b$', ['ARGS:a', 'ARGS:b']],
    ['ruleRemoveByTag=attack', []],
    ['ruleRemoveByMsg=thing', []],
    ['ruleRemoveTargetById=20;ARGS', ['ARGS:a', 'ARGS:b', 'REQUEST_URI']],
    ['ruleRemoveTargetById=20;ARGS:B', ['ARGS:a', 'ARGS:b', 'ARGS:a', 'REQUEST_URI']],
    ['ruleRemoveTargetByTag=attack;ARGS:/^a$/', ['ARGS:b', 'ARGS:b', 'REQUEST_URI']],
    ['ruleRemoveTargetByMsg=one;ARGS:a', ['ARGS:b', 'ARGS:a', 'ARGS:b', 'REQUEST_URI']],
  ];
  for (const [option, expected] of cases) {
    const { report } = exchange(engineOf(`SecAction "id:1,phase:1,pass,nolog,ctl:${option}"\n${later}`), { target: '/?a=x&b=x' });
    t.deepEqual(report.matches.map((m) => m.variable), expected, option);
  }
});

test('ctl: engine mode, bodies, audit', (t) => {
  const later = 'SecRule REQUEST_BODY|ARGS "x" "id:9,phase:2,deny,auditlog"';
  const run = (option: string, e: TestExchange = { headers: FORM, body: 'a=x' }) => exchange(engineOf(`SecAuditEngine RelevantOnly\nSecAction "id:1,phase:1,pass,nolog,ctl:${option}"\n${later}`), e);
  t.is(run('debugLogLevel=1').intervention!.ruleId, 9);
  t.deepEqual(run('ruleEngine=Off').ids, []);
  const detected = run('ruleEngine=DetectionOnly');
  t.is(detected.intervention, null);
  t.is(detected.report.wouldIntervene!.ruleId, 9);
  t.deepEqual(run('requestBodyAccess=Off').ids, []);
  t.deepEqual(run('requestBodyProcessor=JSON', { body: '{"k":"x"}' }).report.matches.map((m) => m.variable), ['ARGS:json.k']);
  t.deepEqual(run('forceRequestBodyVariable=On', { body: 'x' }).report.matches.map((m) => m.variable), ['REQUEST_BODY']);
  t.true(run('auditLogParts=+E').report.auditParts.includes('E'));
  t.false(run('auditLogParts=-C').report.auditParts.includes('C'));
  t.true(run('debugLogLevel=1').report.audit);
  t.false(run('auditEngine=Off').report.audit);
  t.false(run('debugLogLevel=1', {}).report.audit);
});

test('decisions: deny, drop, redirect, status; the first one ends it, phase 5 still runs', (t) => {
  const rules = (action: string): string => `SecRule ARGS "x" "id:1,phase:1,${action},msg:'no %{MATCHED_VAR}'"\nSecRule ARGS "x" "id:2,phase:1,deny"\nSecRule ARGS "x" "id:3,phase:2,deny"\nSecAction "id:4,phase:5,deny"`;
  const run = (action: string) => exchange(engineOf(rules(action)), { target: '/?a=x' });
  t.like(run('deny').intervention, { action: 'deny', status: 403, ruleId: 1, phase: 1, message: 'no x' });
  t.deepEqual(run('deny').ids, [1, 4]);
  t.like(run('deny,status:418').intervention, { status: 418 });
  t.like(run('drop').intervention, { action: 'drop' });
  t.like(run('redirect:http://e.org/%{ARGS.a}').intervention, { action: 'redirect', status: 302, url: 'http://e.org/x' });
  t.deepEqual(run('deny,nolog').ids, [4]);
  t.like(run('deny,nolog').intervention, { ruleId: 1 });
  t.like(run('pass').intervention, { ruleId: 2 });
  const denied = run('deny');
  t.is(denied.report.intervention, denied.intervention);
});

test('allow: for the phase, the request, the transaction', (t) => {
  const later = 'SecAction "id:2,phase:1,pass"\nSecAction "id:3,phase:2,pass"\nSecAction "id:4,phase:3,pass"\nSecAction "id:5,phase:4,pass"\nSecAction "id:6,phase:5,pass"';
  t.deepEqual(ids(`SecAction "id:1,phase:1,allow:phase"\n${later}`), [1, 3, 4, 5, 6]);
  t.deepEqual(ids(`SecAction "id:1,phase:1,allow:request"\n${later}`), [1, 4, 5, 6]);
  t.deepEqual(ids(`SecAction "id:1,phase:1,allow"\n${later}`), [1, 6]);
  t.deepEqual(ids(`SecAction "id:1,phase:1,allow"\n${later}`, {}, true), [1, 2, 3, 4, 5, 6], 'detection only: nothing is decided, allow included');
});

test('engine off and policies laid over the rules', (t) => {
  const engine = engineOf('SecRule ARGS:a "x" "id:1,phase:1,deny"\nSecRule TX:level "@ge 3" "id:2,phase:1,pass"');
  t.deepEqual(exchange(engine, { target: '/?a=x', policy: { mode: 'off' } }).ids, []);
  t.is(exchange(engine, { target: '/?a=x', policy: { mode: 'detection-only' } }).report.wouldIntervene!.ruleId, 1);
  t.deepEqual(exchange(engine, { policy: { variables: new Map([['level', '3']]) } }).ids, [2]);
  const excluded = engine.exclusion({ rules: '1', path: '/app/*', target: 'ARGS:a', expires: 1_700_000_000_001 });
  t.deepEqual(exchange(engine, { target: '/app/x?a=x', policy: { exclusions: [excluded] } }).ids, []);
  t.deepEqual(exchange(engine, { target: '/other?a=x', policy: { exclusions: [excluded] } }).ids, [1]);
  const old = engine.exclusion({ rules: '1', expires: 1_600_000_000_000 });
  t.deepEqual(exchange(engine, { target: '/?a=x', policy: { exclusions: [old] } }).ids, [1]);
  t.throws(() => engine.exclusion({ rules: '77' }), { message: /no rule is named/ });
  t.throws(() => engine.exclusion({ rules: '1', target: 'NOPE' }), { message: /unknown variable/ });
});

test('limits of bodies: refused or read in part', (t) => {
  const rules = (action: string): string => `SecRequestBodyLimit 10\nSecResponseBodyLimit 10\nSecRequestBodyLimitAction ${action}\nSecResponseBodyLimitAction ${action}
SecRule ARGS|RESPONSE_BODY "@rx [xy]" "id:1,phase:5,pass"\nSecRule INBOUND_DATA_ERROR|OUTBOUND_DATA_ERROR "@eq 1" "id:2,phase:5,pass"`;
  const e: TestExchange = { headers: FORM, body: 'a=x&b=1234567890y' };
  t.like(exchange(engineOf(rules('Reject')), e).intervention, { action: 'deny', status: 413, ruleId: 0 });
  const partial = exchange(engineOf(rules('ProcessPartial')), e);
  t.is(partial.intervention, null);
  t.deepEqual(partial.ids, [1, 2]);
  t.is(partial.report.requestBytesSkipped, 7);
  t.like(exchange(engineOf(rules('Reject')), { responseBody: 'x'.repeat(11) }).intervention, { status: 500, phase: 4 });
  t.is(exchange(engineOf(rules('ProcessPartial')), { responseBody: 'x'.repeat(11) }).report.responseBytesSkipped, 1);
  t.is(exchange(engineOf(rules('Reject'), { detect: true }), e).report.wouldIntervene!.status, 413);
  const noFiles = 'SecRequestBodyNoFilesLimit 20\nSecAction "id:1,phase:2,pass"';
  const part = (disposition: string): string => `--B\r\nContent-Disposition: form-data; name="a"${disposition}\r\n\r\n${'z'.repeat(50)}\r\n--B--\r\n`;
  const multipart = { 'Content-Type': 'multipart/form-data; boundary=B' };
  t.like(exchange(engineOf(noFiles), { headers: multipart, body: part('') }).intervention, { status: 413 });
});

test('response bodies of other types are not read', (t) => {
  const rules = 'SecRule RESPONSE_BODY "x" "id:1,phase:4,deny"';
  t.like(exchange(engineOf(rules), { responseBody: 'x' }).intervention, { ruleId: 1 });
  t.is(exchange(engineOf(rules), { responseBody: 'x', responseHeaders: { 'Content-Type': 'image/png' } }).intervention, null);
  t.like(exchange(engineOf(`SecResponseBodyMimeTypesClear\nSecResponseBodyMimeType image/png\n${rules}`), { responseBody: 'x', responseHeaders: { 'Content-Type': 'image/png; q=1' } }).intervention, { ruleId: 1 });
});

test('too many arguments and broken bodies are errors that rules see', (t) => {
  const rules = `SecArgumentsLimit 3\nSecRule REQBODY_ERROR "@eq 1" "id:1,phase:2,pass,logdata:'%{REQBODY_ERROR_MSG}'"\nSecRule &ARGS "@ge 3" "id:2,phase:2,pass"\nSecRule URLENCODED_ERROR "@eq 1" "id:3,phase:2,pass"`;
  t.deepEqual(ids(rules, { headers: FORM, body: 'a=1&b=2&c=3&d=4' }), [1, 2]);
  t.deepEqual(ids(rules, { headers: FORM, body: 'a=%zz' }), [3]);
  t.deepEqual(ids(rules, { target: '/?a=%' }), [3]);
  t.regex(exchange(engineOf(rules), { headers: { 'Content-Type': 'multipart/form-data; boundary=B' }, body: 'junk' }).report.bodyError, /No boundaries/);
});

test('persistent collections: counters live on, expire, and are bounded', (t) => {
  let now = 1_700_000_000_000;
  const rules = `SecAction "id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.seen=+1,expirevar:ip.seen=60"
SecRule IP:seen "@ge 3" "id:2,phase:1,pass,msg:'%{ip.seen} from %{ip.key}'"
SecRule IP:is_new "@eq 1" "id:3,phase:2,pass"
SecAction "id:4,phase:1,pass,nolog,setsid:abc,setvar:session.x=+1,setuid:joe,setvar:user.x=+1"`;
  const engine = engineOf(rules, { clock: () => now, persistent: { records: 2, variables: 2, valueLength: 8 } });
  exchange(engine);
  exchange(engine);
  t.is(exchange(engine).report.matches[0]!.message, '3 from 192.0.2.1');
  now += 61_000;
  t.deepEqual(exchange(engine).ids, []);
  exchange(engine, { client: '192.0.2.7' });
  exchange(engine, { client: '192.0.2.8' });
  t.is(engine.stats.persistent.evictedRecords, 1);
  now += 3_700_000;
  exchange(engine, { client: '192.0.2.8' });
  t.true(engine.stats.persistent.expiredRecords >= 1);
});

test('deprecatevar lets a counter fall', (t) => {
  let now = 1_700_000_000_000;
  const engine = engineOf('SecAction "id:1,phase:1,pass,nolog,initcol:ip=x,deprecatevar:ip.n=10/60"\nSecRule ARGS:add "1" "id:2,phase:1,pass,nolog,setvar:ip.n=+25"\nSecRule IP:n "@ge 1" "id:3,phase:2,pass,logdata:\'%{ip.n}\'"', { clock: () => now });
  t.is(exchange(engine, { target: '/?add=1' }).report.matches[0]!.data, '25');
  now += 125_000;
  t.is(exchange(engine).report.matches[0]!.data, '5');
});

test('severity, tags and the rest of a record', (t) => {
  const { report } = exchange(engineOf("SecRule ARGS \"x\" \"id:1,phase:1,deny,severity:'CRITICAL',tag:'a',tag:'b/%{REQUEST_METHOD}',ver:'v1',rev:'2',maturity:5,accuracy:6,sanitiseArg:a\"\nSecRule HIGHEST_SEVERITY \"@le 2\" \"id:2,phase:5,pass\""), { target: '/?a=x%00%ff' });
  t.like(report.matches[0], { severity: 2, tags: ['a', 'b/GET'], version: 'v1', revision: '2', maturity: 5, accuracy: 6, disruptive: 'deny', variable: 'ARGS:a', value: String.raw`x\x00\xff`, line: 1 });
  t.is(report.matches[1]!.id, 2);
  t.deepEqual(report.masked, ['ARGS:a']);
});

test('matches of a transaction are bounded and counted', (t) => {
  const { report } = exchange(engineOf('SecArgumentsLimit 10000\nSecRule ARGS "x" "id:1,phase:1,pass"'), { target: `/?${Array.from({ length: 600 }, (_, i) => `a${i}=x`).join('&')}` });
  t.is(report.matches.length, 512);
  t.is(report.matchesDropped, 88);
});

test('bytes chosen to make an expression slow are refused; time is bounded over all values together', (t) => {
  const rules = 'SecPcreMatchLimit 1000000\nSecRule ARGS "@rx a(?:[^b]*e)?[^b]*bd" "id:1,phase:2,deny"\nSecRule ARGS "@streq later" "id:2,phase:2,deny"';
  const slow = `${'a'.repeat(20_000)}d`;
  const body = [1, 2, 3, 4, 5, 6].map((n) => `p${n}=${slow.slice(n)}`).join('&');
  const { intervention } = exchange(engineOf(rules, { prefilter: null }), { headers: FORM, body });
  t.is(intervention?.ruleId, 0);
  t.is(intervention?.status, 403);
  t.regex(intervention?.message ?? '', /Regular expressions took longer/);
  t.is(exchange(engineOf(rules, { prefilter: null, detect: true }), { headers: FORM, body }).intervention, null, 'detection only tells');
  t.is(exchange(engineOf(rules, { prefilter: null }), { headers: FORM, body: 'q=later' }).intervention?.ruleId, 2, 'the next exchange has its own time');
});
