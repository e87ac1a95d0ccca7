/** Mutated requests and responses through web protection with the shipped rules: whatever comes, nothing throws and nothing is left over. */
import test from 'ava';
import fc from 'fast-check';
import { crsEngine } from '../helpers/crs-engine.js';
import { WebLab } from '../helpers/web-lab.js';
import { WebMode } from '../../src/web/index.js';

const CASES = Number(process.env['FUZZ_CASES'] ?? 250);

const SEEDS: readonly string[] = [
  'GET /a/b.php?x=1&y[]=%20%u0041 HTTP/1.1\r\nHost: a.example\r\nCookie: s=1; t="2"\r\nX: y\r\n z\r\n\r\n',
  'POST /f HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 23\r\n\r\na=1&b=%27%20or%201%3D1&c',
  'POST /j HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"a":[1,{"b":"c"\r\n4\r\n}],"\r\n5\r\nd":2}\r\n0\r\nT: u\r\n\r\n',
  'POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\nContent-Length: 40\r\n\r\n<?xml version="1.0"?><a b="c">d<e/></a>\n',
  'POST /m HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=zz\r\nContent-Length: 116\r\n\r\n--zz\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--zz--\r\n',
  'OPTIONS * HTTP/1.0\r\n\r\n',
  'GET /old\r\n',
];
const ANSWERS: readonly string[] = [
  'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<h1>ok</h1>\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x01\x02',
  'nonsense\r\n\r\n',
];

interface Edit {
  readonly at: number;
  readonly kind: number;
  readonly text: string;
}

const edit = fc.record({
  at: fc.nat(400),
  kind: fc.integer({ min: 0, max: 3 }),
  text: fc.oneof(fc.constantFrom('\r\n', '\0', '\r', '\n\n', ':', '%', '%00', '--zz', '{{{{', '<', '"', 'chunked', 'Content-Length: 5\r\n', '\xff\xfe'), fc.string({ maxLength: 8 })),
});

/** Replace, insert, delete or double a piece. */
function mutate(text: string, edits: readonly Edit[]): string {
  let out = text;
  for (const { at, kind, text: piece } of edits) {
    const i = at % (out.length + 1);
    const bytes = Buffer.from(piece, 'utf8').toString('latin1');
    if (kind === 0) out = out.slice(0, i) + bytes + out.slice(i + bytes.length);
    else if (kind === 1) out = out.slice(0, i) + bytes + out.slice(i);
    else if (kind === 2) out = out.slice(0, i) + out.slice(i + bytes.length);
    else out = out.slice(0, i) + out.slice(Math.max(0, i - 20));
  }
  return out;
}

test(`${CASES} mutated conversations`, (t) => {
  t.timeout(60_000 + CASES * 100);
  const hold = { requestBytes: 4096, memcap: 1 << 20, timeoutMs: 400 };
  const labs = [WebMode.ON, WebMode.DETECT].map((mode) => new WebLab({ engine: crsEngine(), noRules: true, mode, block: 'page', hold, unparsable: 'pass', maxPipelined: 2, flowMemcap: 2000 }));
  fc.assert(
    fc.property(fc.nat(1), fc.array(fc.constantFrom(...SEEDS), { minLength: 1, maxLength: 3 }), fc.constantFrom(...ANSWERS), fc.array(edit, { maxLength: 5 }), fc.array(edit, { maxLength: 3 }), fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 6 }), (which, requests, answer, edits, answerEdits, sizes) => {
      const l = labs[which]!.reconnect();
      l.client(mutate(requests.join(''), edits), ...sizes);
      l.server(mutate(answer, answerEdits), ...sizes);
      l.clientCloses();
      return l.errors === 0 && l.unaccounted === 0;
    }),
    { numRuns: CASES },
  );
  for (const l of labs) {
    l.close();
    const web = l.session.statistics()['web'] as { open: number; bytes: number };
    t.is(web.open, 0);
    t.is(web.bytes, 0);
    t.is(l.errors, 0);
  }
});
