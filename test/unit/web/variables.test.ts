import test from 'ava';
import fc from 'fast-check';
import { readRequestHead } from '../../../src/web/engine/request-parts.js';
import { defaultSettings } from '../../../src/web/engine/settings.js';
import { TransactionState } from '../../../src/web/engine/state.js';
import { displayText, lowerAscii } from '../../../src/web/value.js';
import { findVariable, REFUSED_VARIABLES, VARIABLES } from '../../../src/web/variables/registry.js';
import { engineOf, exchange, type TestExchange } from '../../helpers/web-rules.js';

/** Values of a variable in a phase, as rules see them. */
function values(variable: string, e: TestExchange, phase = 5, setup = ''): string[] {
  const { report } = exchange(engineOf(`${setup}\nSecRule ${variable} "@unconditionalMatch" "id:9,phase:${phase},pass,t:none,logdata:'%{MATCHED_VAR}'"`), e);
  return report.matches.map((m) => m.data);
}

const UPLOAD: TestExchange = {
  headers: { 'Content-Type': 'multipart/form-data; boundary=B' },
  body: '--B\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--B--\r\n',
};
const REQUEST: TestExchange = {
  method: 'POST',
  target: '/dir/p%61ge.php?a=1&b=%32#frag',
  headers: { 'Content-Type': 'application/x-www-form-urlencoded', Cookie: 'k=v; l=w', Authorization: 'Basic am9lOnB3', 'X-A': '1' },
  body: 'c=3+3&a=4',
  status: 404,
  responseHeaders: { 'Content-Type': 'text/html; charset=utf-8' },
  responseBody: 'page',
};

test('what every variable holds', (t) => {
  const cases: readonly (readonly [string, TestExchange, readonly string[]])[] = [
    ['REQUEST_LINE', REQUEST, ['POST /dir/p%61ge.php?a=1&b=%32#frag HTTP/1.1']],
    ['REQUEST_METHOD', REQUEST, ['POST']],
    ['REQUEST_PROTOCOL', REQUEST, ['HTTP/1.1']],
    ['REQUEST_URI', REQUEST, ['/dir/p%61ge.php?a=1&b=%32']],
    ['REQUEST_URI_RAW', REQUEST, ['/dir/p%61ge.php?a=1&b=%32#frag']],
    ['REQUEST_FILENAME', REQUEST, ['/dir/page.php']],
    ['REQUEST_BASENAME', REQUEST, ['page.php']],
    ['QUERY_STRING', REQUEST, ['a=1&b=%32']],
    ['REQUEST_URI', { target: 'http://u@h.org:81/x?y' }, ['/x?y']],
    ['SERVER_NAME', { target: 'http://u@h.org:81/x?y' }, ['h.org']],
    ['SERVER_NAME', REQUEST, ['www.example.org']],
    ['REQUEST_FILENAME', { target: '/a+b%2Bc%zz' }, ['/a+b+c%zz']],
    ['REQUEST_FILENAME', { method: 'CONNECT', target: 'h.org:443' }, ['']],
    ['ARGS', REQUEST, ['1', '2', '3 3', '4']],
    ['ARGS_NAMES', REQUEST, ['a', 'b', 'c', 'a']],
    ['ARGS_GET', REQUEST, ['1', '2']],
    ['ARGS_GET_NAMES', REQUEST, ['a', 'b']],
    ['ARGS_POST', REQUEST, ['3 3', '4']],
    ['ARGS_POST_NAMES', REQUEST, ['c', 'a']],
    ['ARGS_COMBINED_SIZE', REQUEST, ['10']],
    ['REQUEST_HEADERS:x-a', REQUEST, ['1']],
    ['REQUEST_HEADERS_NAMES', { headers: { A: 'b' } }, ['Host', 'A']],
    ['REQUEST_COOKIES', REQUEST, ['v', 'w']],
    ['REQUEST_COOKIES_NAMES', REQUEST, ['k', 'l']],
    ['AUTH_TYPE', REQUEST, ['Basic']],
    ['REMOTE_USER', REQUEST, ['joe']],
    ['REQUEST_BODY', REQUEST, ['c=3+3&a=4']],
    ['REQUEST_BODY', UPLOAD, []],
    ['REQUEST_BODY_LENGTH', REQUEST, ['9']],
    ['REQBODY_PROCESSOR', REQUEST, ['URLENCODED']],
    ['REQBODY_PROCESSOR', UPLOAD, ['MULTIPART']],
    ['REQBODY_PROCESSOR', {}, ['']],
    ['REQBODY_ERROR', REQUEST, ['0']],
    ['REQBODY_PROCESSOR_ERROR', REQUEST, ['0']],
    ['FULL_REQUEST_LENGTH', { headers: {} }, [String('GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n'.length)]],
    ['FILES', UPLOAD, ['a.txt']],
    ['FILES_NAMES', UPLOAD, ['f']],
    ['FILES_SIZES', UPLOAD, ['5']],
    ['FILES_TMP_CONTENT', UPLOAD, ['hello']],
    ['FILES_COMBINED_SIZE', UPLOAD, ['5']],
    ['MULTIPART_FILENAME', UPLOAD, ['a.txt']],
    ['MULTIPART_PART_HEADERS:x', UPLOAD, ['Content-Disposition: form-data; name="x"']],
    ['MULTIPART_STRICT_ERROR', UPLOAD, ['0']],
    ['MULTIPART_CRLF_LF_LINES', UPLOAD, ['0']],
    ['RESPONSE_STATUS', REQUEST, ['404']],
    ['STATUS_LINE', REQUEST, ['HTTP/1.1 404 OK']],
    ['RESPONSE_PROTOCOL', REQUEST, ['HTTP/1.1']],
    ['RESPONSE_CONTENT_TYPE', REQUEST, ['text/html; charset=utf-8']],
    ['RESPONSE_CONTENT_LENGTH', REQUEST, ['4']],
    ['RESPONSE_HEADERS:content-type', REQUEST, ['text/html; charset=utf-8']],
    ['RESPONSE_HEADERS_NAMES', REQUEST, ['Content-Type']],
    ['RESPONSE_BODY', REQUEST, ['page']],
    ['REMOTE_ADDR', REQUEST, ['192.0.2.1']],
    ['REMOTE_PORT', REQUEST, ['40000']],
    ['SERVER_ADDR', REQUEST, ['192.0.2.2']],
    ['SERVER_PORT', REQUEST, ['80']],
    ['UNIQUE_ID', REQUEST, ['test-id']],
    ['TIME', REQUEST, ['22:13:20']],
    ['TIME_EPOCH', REQUEST, ['1700000000']],
    ['TIME_DAY', REQUEST, ['14']],
    ['TIME_MON', REQUEST, ['10']],
    ['TIME_YEAR', REQUEST, ['2023']],
    ['TIME_WDAY', REQUEST, ['2']],
    ['DURATION', REQUEST, ['0']],
    ['HIGHEST_SEVERITY', REQUEST, ['255']],
    ['WEBAPPID', REQUEST, ['default']],
  ];
  for (const [variable, e, expected] of cases) t.deepEqual(values(variable, e), expected, variable);
});

test('XML bodies', (t) => {
  const e = { headers: { 'Content-Type': 'text/xml' }, body: '<a b="1"><c>x</c>y</a>' };
  const setup = 'SecAction "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"';
  t.deepEqual(values('XML:/*', e, 2, setup), ['xy']);
  t.deepEqual(values('XML://@*', e, 2, setup), ['1']);
  t.deepEqual(values('XML:/a/c', e, 2, setup), ['x']);
  t.deepEqual(values('XML:/*', e), []);
});

test('variables of the environment and of rules', (t) => {
  t.deepEqual(values('ENV:seen', {}, 5, 'SecAction "id:1,phase:1,pass,nolog,setenv:seen=yes"'), ['yes']);
  t.deepEqual(values('SESSIONID|USERID', {}, 5, 'SecAction "id:1,phase:1,pass,nolog,setsid:s1,setuid:%{REQUEST_METHOD}"'), ['s1', 'GET']);
  t.deepEqual(values('MATCHED_VARS_NAMES', {}, 5), []);
});

test('the registry: names, help, and what is refused says why', (t) => {
  t.is(findVariable('args')!.name, 'ARGS');
  t.is(findVariable('nope'), undefined);
  for (const variable of VARIABLES) {
    t.regex(variable.name, /^[A-Z_]+$/);
    t.regex(variable.help, /\.$/, variable.name);
    t.false(variable.name in REFUSED_VARIABLES);
  }
});

test('request heads of any bytes are taken apart without an exception, and nothing is lost', (t) => {
  const text = fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b).toString('latin1'));
  fc.assert(
    fc.property(text, text, text, fc.array(text, { maxLength: 8 }), (method, target, protocol, fields) => {
      const state = new TransactionState(defaultSettings(), { clientAddress: '', clientPort: 0, serverAddress: '', serverPort: 0 }, 'x', () => 0);
      readRequestHead(state, { line: `${method} ${target} ${protocol}`, method, target, protocol, fields });
      for (const variable of VARIABLES) if (variable.expression === null) state.list(variable);
      return state.requestHeaders.size === fields.length >> 1 && state.argsGet.size <= target.length;
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

test('texts: only ASCII letters change case; bytes are shown readably', (t) => {
  t.is(lowerAscii('AbÀ\xdeZ'), 'abÀ\xdez');
  t.is(displayText('plain'), 'plain');
  t.is(displayText('\xc3\xa9\n\0'), String.raw`é\x0a\x00`);
  t.is(displayText('\xff\n'), String.raw`\xff\x0a`);
});
