import test from 'ava';
import { TinyEngine } from '../../../helpers/tiny-web-engine.js';
import { WebLab } from '../../../helpers/web-lab.js';
import { WebMode } from '../../../../src/web/index.js';

const HOLD = { requestBytes: 4096, memcap: 1 << 20, timeoutMs: 400 };

function lab(hold = HOLD, mode: WebMode = WebMode.ON): WebLab {
  return new WebLab({ engine: new TinyEngine(), hold, mode });
}

function post(body: string, field = 'X: y'): string {
  return `POST /form HTTP/1.1\r\nHost: a\r\n${field}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

test('the server sees no byte of a blocked request from its head on, however it is cut', (t) => {
  const request = post('some evil-body');
  const head = request.length - 14;
  for (const sizes of [[head], [head, 5], [head + 3, 1, 1, 1], Array<number>(request.length).fill(1)]) {
    const l = lab();
    l.client(request, ...sizes);
    t.is(l.events.length, 1);
    // What came before the head was complete is of no use to a server.
    t.true(l.served.length < head, `${l.served.length} of ${head} bytes of the head`);
    t.true(l.serverWasReset);
    t.true(l.clientWasReset);
    t.is(l.unaccounted, 0);
    t.is(l.errors, 0);
  }
});

test('a harmless request arrives whole and in order once it is complete', (t) => {
  const request = post('some words of a form');
  const head = request.length - 20;
  const l = lab();
  l.client(request.slice(0, head + 4), head);
  t.is(l.served, '');
  l.client(request.slice(head + 4), 3);
  t.is(l.served, request);
  l.server('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  t.true(l.seen.endsWith('ok'));
  l.client('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  t.true(l.served.endsWith('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
  t.is(l.unaccounted, 0);
});

test('what will not fit, or waits for the server, is not held; nor is anything where only detection is on', (t) => {
  const long = lab();
  long.client(post('x'.repeat(5000)), 200);
  t.true(long.served.length >= 200);
  const expecting = lab();
  expecting.client(post('x'.repeat(10), 'Expect: 100-continue'), 80);
  t.true(expecting.served.length >= 80);
  const detecting = lab(HOLD, WebMode.DETECT);
  detecting.client(post('x'.repeat(10)).slice(0, -1));
  t.true(detecting.served.length > 50);
});

test('a chunked request longer than what is held goes on piece by piece, and its last packet still waits', (t) => {
  const l = lab();
  l.client('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  t.is(l.served, '');
  for (let i = 0; i < 5; i++) l.client(`3e8\r\n${'x'.repeat(1000)}\r\n`);
  t.true(l.served.length > 4000);
  const before = l.served;
  l.client('9\r\nevil-body\r\n');
  l.client('0\r\n\r\n');
  t.is(l.events.length, 1);
  t.false(l.served.endsWith('0\r\n\r\n'));
  t.true(l.served.length >= before.length);
  t.is((l.session.statistics()['web'] as { holdsGivenUp: number }).holdsGivenUp, 1);
});

test('a repetition is swallowed while the request waits, and lets it go when it waited too long', (t) => {
  const l = lab();
  const request = post('some words');
  const first = request.slice(0, -4);
  l.client(first);
  l.put(0, l.frame(0, first));
  t.is(l.served, '');
  l.now += 1;
  l.put(0, l.frame(0, first));
  t.is(l.served, first);
  l.client(request.slice(-4));
  t.is(l.served, request);
});

test('the reset for the server carries the number it waits for, not that of what was held', (t) => {
  const l = lab();
  l.client('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const served = l.served.length;
  const request = post('evil-body');
  l.client(request, request.length - 9);
  t.is(l.toServer.at(-1)!.seq, (l.isn + 1 + served) | 0);
});
