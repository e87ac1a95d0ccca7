/**
 * CPU time against body size, for bodies made to be expensive: time per byte must not grow with the size.
 *
 *   node dist/bench/web-linear.js [--json OUT] [--max BYTES]
 *
 * Every line is one kind of body; columns are sizes, values are nanoseconds per byte in the whole rule engine with the shipped
 * Core Rule Set at paranoia level 4. Exits 1 when a kind costs more than four times as much per byte at its largest size as at
 * the size before.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { userPatternCache } from '../src/appliance/pattern-cache.js';
import { webRuleFiles } from '../src/appliance/web-rule-files.js';
import { WebEngine } from '../src/web/index.js';

const crs = join(dirname(fileURLToPath(import.meta.url)), '../..', 'rules/crs');
const SETTINGS = `SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 1048576
SecRequestBodyJsonDepthLimit 512
SecResponseBodyAccess On
SecResponseBodyLimit 1048576
SecRule REQUEST_HEADERS:Content-Type "json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=4"`;

const FORM = 'application/x-www-form-urlencoded';
const MULTIPART = 'multipart/form-data; boundary=XX';
const fill = (unit: string, size: number): string => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
const part = (name: string, value: string): string => `--XX\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;

/** Kind -> content type and body of a size. */
const KINDS: Readonly<Record<string, (size: number) => readonly [string, string]>> = {
  'form, one long word': (n) => [FORM, `a=${fill('a', n)}`],
  'form, one long text': (n) => [FORM, `a=${fill('the+quick+brown+fox+', n)}`],
  'form, encoded twice': (n) => [FORM, `a=${fill('%2541', n)}`],
  'form, entities': (n) => [FORM, `a=${fill('%26%23x41%3b', n)}`],
  'form, quotes': (n) => [FORM, `a=${fill("'%20or%20", n)}`],
  'form, brackets': (n) => [FORM, `a=${fill('((((', n)}`],
  'form, open tags': (n) => [FORM, `a=${fill('<a%20', n)}`],
  'form, comments': (n) => [FORM, `a=${fill('/*/', n)}`],
  'form, path steps': (n) => [FORM, `a=${fill('../', n)}`],
  'form, dollars': (n) => [FORM, `a=${fill('$%7b', n)}`],
  'form, many parameters': (n) => [FORM, fill('a=1&', n)],
  'form, attacks': (n) => [FORM, fill("a=1'+or+1=1--<script>alert(1)</script>&", n)],
  'multipart, one field': (n) => [MULTIPART, `${part('a', fill('the quick\r\n', n))}--XX--\r\n`],
  'multipart, near boundaries': (n) => [MULTIPART, `${part('a', fill('--X\r\n', n))}--XX--\r\n`],
  'multipart, many fields': (n) => [MULTIPART, `${fill(part('a', '1'), n - (n % part('a', '1').length))}--XX--\r\n`],
  'JSON, long text': (n) => ['application/json', `{"a":"${fill('the quick ', n)}"}`],
  'JSON, many values': (n) => ['application/json', `[${fill('1,', n - (n % 2))}1]`],
  'JSON, deep': (n) => ['application/json', `${'{"a":'.repeat(500)}"${fill('x ', n)}"${'}'.repeat(500)}`],
  'XML, text': (n) => ['text/xml', `<a>${fill('the quick ', n)}</a>`],
  'XML, elements': (n) => ['text/xml', `<a>${fill('<b c="d"/>', n - (n % 10))}</a>`],
};

/** The last is the limit for what is no file. */
const max = Number(process.argv[process.argv.indexOf('--max') + 1] ?? '') || 131_072;
const SIZES = [2048, 8192, 32_768, 131_072, 524_288].filter((size) => size <= max);

const engine = WebEngine.compile(
  [
    { name: 'settings', text: SETTINGS },
    { file: join(crs, 'crs-setup.conf') },
    ...readdirSync(join(crs, 'rules')).filter((name) => name.endsWith('.conf')).toSorted().map((name) => ({ file: join(crs, 'rules', name) })),
  ],
  { files: webRuleFiles, clock: Date.now, prefilterCache: userPatternCache()! },
);

function exchange(type: string, body: Buffer): void {
  const tx = engine.transaction({ clientAddress: '10.1.2.3', clientPort: 40_123, serverAddress: '10.1.2.4', serverPort: 80 }, 'a0b1c2d3');
  const fields = ['Host', 'shop.example.org', 'User-Agent', 'Mozilla/5.0', 'Accept', '*/*', 'Content-Type', type, 'Content-Length', String(body.length)];
  tx.requestHeaders({ line: 'POST /submit HTTP/1.1', method: 'POST', target: '/submit', protocol: 'HTTP/1.1', fields });
  tx.requestBody(body, 0, body.length);
  tx.endRequestBody();
  tx.responseHeaders({ line: 'HTTP/1.1 200 OK', protocol: 'HTTP/1.1', status: 200, reason: 'OK', fields: ['Content-Type', 'text/html'] });
  tx.responseBody(body, 0, body.length);
  tx.endResponseBody();
  tx.logging();
}

/** Nanoseconds of the least disturbed of some runs, per byte. */
function cost(type: string, body: Buffer): number {
  let best = Infinity;
  for (let i = 0; i < 3; i++) {
    const before = process.cpuUsage();
    exchange(type, body);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, user + system);
  }
  return (1000 * best) / body.length;
}

const figures: Record<string, Record<number, number>> = {};
let failed = 0;
for (const [kind, make] of Object.entries(KINDS)) {
  const row: Record<number, number> = {};
  for (const size of SIZES) {
    const [type, text] = make(size);
    row[size] = cost(type, Buffer.from(text, 'latin1'));
  }
  const [before, last] = SIZES.slice(-2).map((size) => row[size]!);
  const steep = last !== undefined && before !== undefined && last > 4 * before;
  if (steep) failed++;
  console.log(`${kind.padEnd(28)}${SIZES.map((size) => `${row[size]!.toFixed(0)}`.padStart(9)).join('')}${steep ? '  STEEP' : ''}`);
  figures[kind] = row;
}
const out = process.argv.indexOf('--json');
if (out >= 0) writeFileSync(process.argv[out + 1]!, JSON.stringify(figures));
process.exitCode = failed > 0 ? 1 : 0;
