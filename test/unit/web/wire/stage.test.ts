import test from 'ava';
import { gzipSync } from 'node:zlib';
import { ACK, FIN, RST } from '../../../helpers/wire.js';
import { TinyEngine } from '../../../helpers/tiny-web-engine.js';
import { WebLab, type WebLabOptions } from '../../../helpers/web-lab.js';
import { WebMode } from '../../../../src/web/index.js';

function lab(o: Partial<WebLabOptions> = {}): { lab: WebLab; engine: TinyEngine } {
  const engine = new TinyEngine();
  return { lab: new WebLab({ engine, ...o }), engine };
}

const GET = 'GET /shop?q=1 HTTP/1.1\r\nHost: Shop.Example:80\r\nX-One: a\r\nx-one:  b \r\nX_Odd.Name: c\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello';

test('an exchange goes through all phases, heads as sent', (t) => {
  const { lab: l, engine } = lab();
  l.client(GET);
  l.server(OK);
  const [tx] = engine.made;
  t.deepEqual(tx!.phases, [1, 2, 3, 4, 5]);
  t.deepEqual(tx!.request, { line: 'GET /shop?q=1 HTTP/1.1', method: 'GET', target: '/shop?q=1', protocol: 'HTTP/1.1', fields: ['Host', 'Shop.Example:80', 'X-One', 'a', 'x-one', 'b', 'X_Odd.Name', 'c'] });
  t.deepEqual(tx!.response, { line: 'HTTP/1.1 200 OK', protocol: 'HTTP/1.1', status: 200, reason: 'OK', fields: ['Content-Length', '5', 'Set-Cookie', 'a', 'Set-Cookie', 'b'] });
  t.deepEqual(tx!.connection, { clientAddress: '10.0.0.1', clientPort: 40000, serverAddress: '10.0.0.2', serverPort: 80 });
  t.is(tx!.responseText, 'hello');
  t.is(l.served, GET);
  t.is(l.seen, OK);
  t.deepEqual(l.events, []);
  t.is(l.errors, 0);
});

test('spaces within the target belong to it, as for servers that take such lines', (t) => {
  for (const [line, target, protocol] of [
    ['GET /a?q=1 or 2 HTTP/1.1', '/a?q=1 or 2', 'HTTP/1.1'],
    ['GET /a  b  HTTP/1.0', '/a  b', 'HTTP/1.0'],
    ['GET /a JUNK/1.0', '/a', 'JUNK/1.0'],
    ['GET /a b JUNK', '/a', 'b JUNK'],
  ] as const) {
    const { lab: l, engine } = lab();
    l.client(`${line}\r\nHost: a\r\n\r\n`);
    t.like(engine.made[0]?.request, { line, target, protocol });
  }
});

test('bodies come without transfer and content coding', (t) => {
  const { lab: l, engine } = lab();
  l.client('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n');
  const packed = gzipSync('the answer'.repeat(20)).toString('latin1');
  l.server(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n${packed}`, 90, 20);
  t.is(engine.made[0]!.requestText, 'abcdefg');
  t.is(engine.made[0]!.responseText, 'the answer'.repeat(20));
});

for (const [what, request] of [
  ['the target', 'GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a field', 'GET / HTTP/1.1\r\nHost: a\r\nX: evil-head\r\n\r\n'],
  ['a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\nsome evil-body!'],
  ['a chunked body', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevil-\r\n4\r\nbody\r\n0\r\n\r\n'],
] as const) {
  test(`a request that is blocked for ${what} is never complete at the server`, (t) => {
    for (const sizes of [[], [1], [20, 1], [request.length - 1], Array<number>(request.length).fill(1)]) {
      const { lab: l } = lab();
      l.client(request, ...sizes);
      t.false(l.served.endsWith(request.slice(-1)) && l.served.length >= request.length);
      t.true(request.startsWith(l.served));
      t.true(l.served.length < request.length);
      t.true(l.clientWasReset);
      t.true(l.serverWasReset);
      t.is(l.events.length, 1);
      const [e] = l.events;
      t.is(e!.event_type, 'web');
      t.is(e!.event, 'transaction');
      t.is(e!.web.action, 'blocked');
      t.is(e!.src_port, 40000);
      t.is(e!.src_vm, 'client');
      t.is(e!.dest_vm, 'server');
      t.is(e!.rules[0]!.severity, 'CRITICAL');
      t.is(l.drops['web_rule'], 1);
      t.is(l.unaccounted, 0);
      t.is(l.errors, 0);
    }
  });
}

test('resets carry the numbers that each end waits for', (t) => {
  const { lab: l } = lab();
  l.client('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  l.server(OK);
  l.client('GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  const toClient = l.toClient.at(-1)!;
  t.is(toClient.seq, 0x1000 + 1 + OK.length);
  t.is(toClient.flags, RST | ACK);
  const toServer = l.toServer.at(-1)!;
  t.is(toServer.seq, (l.isn + 1 + 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.length) | 0);
});

test('the page takes the place of the response, and the client can close in order', (t) => {
  const { lab: l } = lab({ block: 'page' });
  const request = 'POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nevil-body';
  l.client(request);
  const page = l.toClient.at(-1)!;
  t.regex(page.data, /^HTTP\/1\.1 403 Forbidden\r\n/);
  t.true(page.data.includes(l.events[0]!.web.transaction_id));
  t.is(l.events[0]!.web.answer, 'page');
  t.is(Number(/Content-Length: (\d+)/.exec(page.data)![1]), page.data.split('\r\n\r\n')[1]!.length);
  t.is(page.seq, 0x1001);
  t.is(page.ack, (l.isn + 1 + request.length) | 0);
  t.truthy(page.flags & FIN);
  t.false(l.clientWasReset);
  t.true(l.serverWasReset);
  // The page was lost: the client repeats its request and gets it again.
  l.put(0, l.frame(0, request));
  t.is(l.toClient.at(-1)!.data, page.data);
  // It was read: the client's FIN is acknowledged.
  l.put(0, l.frame(request.length, '', { flags: ACK | FIN, ack: (0x1001 + page.data.length + 1) | 0 }));
  const last = l.toClient.at(-1)!;
  t.is(last.flags, ACK);
  t.is(last.ack, (l.isn + 1 + request.length + 1) | 0);
  t.is(l.served, '');
});

test('no page in the middle of a response, or before an earlier one', (t) => {
  const pipelined = lab({ block: 'page' }).lab;
  pipelined.client('GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  t.is(pipelined.events[0]!.web.answer, 'reset');
  t.true(pipelined.clientWasReset);
  const late = lab({ block: 'page' }).lab;
  late.client(GET);
  late.server('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nevil-page', 40);
  t.is(late.events[0]!.web.answer, 'reset');
  t.false(late.seen.includes('evil-page'));
});

test('a response is blocked before its head leaves', (t) => {
  const { lab: l } = lab({ block: 'page' });
  l.client(GET);
  l.server('HTTP/1.1 200 OK\r\nServer: evil-answer\r\nContent-Length: 5\r\n\r\nhello');
  t.regex(l.seen, /^HTTP\/1\.1 403 /);
  t.false(l.seen.includes('200 OK'));
  t.true(l.serverWasReset);
  t.is(l.events[0]!.web.phase, 3);
});

test('detection reports what it would have blocked and lets it pass', (t) => {
  const { lab: l } = lab({ mode: WebMode.DETECT });
  l.client('GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  l.server(OK);
  t.is(l.seen, OK);
  t.is(l.events[0]!.web.action, 'would_block');
  t.is(l.events[0]!.web.rule_id, 1001);
  t.is(l.events[0]!.web.status, 200);
});

test('pipelined requests are judged one by one; responses find theirs', (t) => {
  const { lab: l, engine } = lab({ mode: WebMode.DETECT });
  l.client('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /evil-head HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n');
  l.server('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 203 OK\r\nContent-Length: 0\r\n\r\n');
  t.deepEqual(engine.made.map((tx) => tx.response?.status), [201, 202, 203]);
  t.is(l.events.length, 1);
  t.is(l.events[0]!.web.status, 202);
});

test('more pipelined requests than are kept are judged all the same, their responses are not', (t) => {
  const { lab: l, engine } = lab({ maxPipelined: 2 });
  for (let i = 0; i < 4; i++) l.client(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
  t.deepEqual(engine.made.map((tx) => tx.phases), [[1, 2, 5], [1, 2, 5], [1, 2], [1, 2]]);
  l.client('GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  t.is(l.events.length, 1);
});

test('a method nobody has heard of on a kept-alive connection is a request, not a body', (t) => {
  const { lab: l, engine } = lab();
  l.client('GET / HTTP/1.1\r\nHost: a\r\n\r\nFOO /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  t.is(engine.made.length, 2);
  t.is(l.events[0]!.web.rule_id, 1001);
});

test('bodies beyond the memory of a flow: by policy', (t) => {
  const { lab: l } = lab({ flowMemcap: 100 });
  l.client(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n${'x'.repeat(300)}`, 60, 80);
  t.is(l.events[0]!.web.action, 'blocked');
  t.is(l.events[0]!.web.rule_id, undefined);
});

test('what stops being HTTP: blocked, or passed, by policy', (t) => {
  const request = `GET /${'x'.repeat(19_000)}`;
  for (const unparsable of ['block', 'pass'] as const) {
    const { lab: l } = lab({ unparsable });
    l.client(request, ...Array<number>(20).fill(1000));
    t.is(l.served === request, unparsable === 'pass');
    t.deepEqual(l.events.map((e) => e.web.action), unparsable === 'pass' ? [] : ['blocked']);
    t.is(l.session.statistics()['web'] === undefined, false);
    t.is((l.session.statistics()['web'] as { unparsable: number }).unparsable, 1);
  }
});

test('an upgrade ends judgement and is counted', (t) => {
  const { lab: l, engine } = lab();
  l.client('GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n');
  l.server('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
  l.client('\x81\x05hello');
  t.deepEqual(engine.made[0]!.phases, [1, 2, 3, 4, 5]);
  t.is((l.session.statistics()['web'] as { upgrades: number }).upgrades, 1);
});

test('a connection that ends early is logged with what was seen', (t) => {
  const { lab: l } = lab({ mode: WebMode.DETECT });
  l.client('GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  t.is(l.events.length, 0);
  l.close();
  t.is(l.events.length, 1);
  t.is(l.events[0]!.src_port, 40000);
});

test('nothing is judged for a server without web protection; without IPS rules web protection works alone', (t) => {
  const off = lab({ mode: WebMode.OFF });
  off.lab.client('GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  t.is(off.engine.made.length, 0);
  const alone = lab({ noRules: true });
  alone.lab.client('GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  t.is(alone.lab.events.length, 1);
  t.true(alone.lab.served.length === 0);
});

test('an attack far behind the depth of reassembly is still judged', (t) => {
  const { lab: l } = lab({ settings: { streamDepth: 4096 } });
  const filler = `GET /${'x'.repeat(900)} HTTP/1.1\r\nHost: a\r\n\r\n`;
  for (let i = 0; i < 8; i++) {
    l.client(filler);
    l.server(OK);
  }
  l.client('GET /evil-head HTTP/1.1\r\nHost: a\r\n\r\n');
  t.is(l.events.length, 1);
  t.true(l.clientWasReset);
});
