#!/usr/bin/env node
/**
 * Mutated request bodies and heads through the body processors of the web engine and through its rules; the companion of
 * test/unit/web/body.test.ts for long runs. Needs a build.
 *
 *   node scripts/fuzz-web.mjs [CASES] [SEED]     1 000 000 cases; every hundredth also through the Core Rule Set
 *
 * Ends with 1 at the first exception, or when a case takes longer than a second.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseCookies, parseCookiesV1 } from '../dist/src/web/body/cookies.js';
import { parseJson } from '../dist/src/web/body/json.js';
import { parseMultipart } from '../dist/src/web/body/multipart.js';
import { parseUrlencoded } from '../dist/src/web/body/urlencoded.js';
import { parseXml, selectXml } from '../dist/src/web/body/xml.js';
import { EntryList } from '../dist/src/web/engine/entry-list.js';
import { userPatternCache } from '../dist/src/appliance/pattern-cache.js';
import { webRuleFiles } from '../dist/src/appliance/web-rule-files.js';
import { WebEngine } from '../dist/src/web/index.js';

const cases = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Math.floor(Date.now() / 1000));
const crs = join(dirname(fileURLToPath(import.meta.url)), '../rules/crs');
const MULTIPART = 'multipart/form-data; boundary=XX';
const SEEDS = [
  ['application/x-www-form-urlencoded', 'user=joe&comment=it%27s+fine&id=1%20OR%201%3d1&x[]=1&x[]=2'],
  [MULTIPART, '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--XX\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\nContent-Type: text/plain\r\n\r\nfile\r\n--XX--\r\n'],
  ['application/json', '{"a":{"b":[1,"x",{"c":null}]},"t":true,"n":-1.5e3,"u":"\\u00e9\\ud83d\\ude00"}'],
  ['text/xml', '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e "x">]><r a="1&lt;"><x b=\'2\'>one<![CDATA[<two>]]></x>&e;<!-- c --></r>'],
];
const TOKENS = ['--XX', '\r\n', '\n', '"', "'", '<', '>', '&', ';', '%00', '%', '\\', '{', '}', '[', ']', ':', ',', '=', '/*', '*/', '${', '../', '\0', 'filename*=', '&#x41;', '\\u0000', '<!ENTITY'];

let state = seed | 1;
function below(n) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}

function mutate(text) {
  let out = text;
  for (let edits = 1 + below(6); edits > 0; edits--) {
    const at = below(out.length + 1);
    const kind = below(6);
    if (kind === 0) out = out.slice(0, at) + String.fromCharCode(below(256)) + out.slice(at + 1);
    else if (kind === 1) out = out.slice(0, at) + TOKENS[below(TOKENS.length)] + out.slice(at);
    else if (kind === 2) out = out.slice(0, at) + out.slice(at + 1 + below(8));
    else if (kind === 3) out = out.slice(0, at) + out.slice(below(out.length + 1)).slice(0, 200) + out.slice(at);
    else if (kind === 4) out = out.slice(0, at);
    else out += TOKENS[below(TOKENS.length)].repeat(below(40));
  }
  return out.slice(0, 4096);
}

const engine = WebEngine.compile(
  [
    { name: 'settings', text: 'SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecResponseBodyAccess On\nSecPcreMatchLimit 100000\nSecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=4"\nSecRule REQUEST_HEADERS:Content-Type "json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"\nSecRule REQUEST_HEADERS:Content-Type "xml" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"' },
    { file: join(crs, 'crs-setup.conf') },
    ...readdirSync(join(crs, 'rules')).filter((name) => name.endsWith('.conf')).toSorted().map((name) => ({ file: join(crs, 'rules', name) })),
  ],
  { files: webRuleFiles, clock: Date.now, prefilterCache: userPatternCache() },
);

function processors(type, text) {
  parseUrlencoded(text, '&', 1000, new EntryList());
  parseCookies(text, ';', 1000, new EntryList());
  parseCookiesV1(text, 1000, new EntryList());
  parseJson(text, 64, 1000, new EntryList());
  parseMultipart(text, type.startsWith('multipart') ? type : MULTIPART, 1000, 100, { args: new EntryList(), files: [], partHeaders: new EntryList() });
  const document = parseXml(text);
  if (typeof document !== 'string') for (const path of ['/*', '//@*', '//*', '//r/text()']) selectXml(document, path);
}

function rules(type, text) {
  const tx = engine.transaction({ clientAddress: '10.1.2.3', clientPort: 1, serverAddress: '10.1.2.4', serverPort: 80 }, 'f00d');
  const target = `/${text.slice(0, 100)}`;
  tx.requestHeaders({ line: `POST ${target} HTTP/1.1`, method: 'POST', target, protocol: 'HTTP/1.1', fields: ['Host', 'a', 'Content-Type', type, 'Cookie', text.slice(100, 300)] });
  const body = Buffer.from(text, 'latin1');
  tx.requestBody(body, 0, body.length);
  tx.endRequestBody();
  tx.responseHeaders({ line: 'HTTP/1.1 200 OK', protocol: 'HTTP/1.1', status: 200, reason: 'OK', fields: ['Content-Type', 'text/html'] });
  tx.responseBody(body, 0, body.length);
  tx.endResponseBody();
  tx.logging();
}

console.log(`fuzz-web: ${cases} cases from seed ${seed}`);
for (let i = 0; i < cases; i++) {
  const before = state;
  const [type, good] = SEEDS[below(SEEDS.length)];
  const text = mutate(good);
  const began = process.cpuUsage();
  try {
    processors(type, text);
    if (i % 100 === 0) rules(type, text);
  } catch (error) {
    console.error(`fuzz-web: case ${i} (state ${before}) ${JSON.stringify(text)}\n${error.stack}`);
    process.exit(1);
  }
  const { user } = process.cpuUsage(began);
  if (user > 1_000_000) {
    console.error(`fuzz-web: case ${i} took ${Math.round(user / 1000)} ms: ${JSON.stringify(text)}`);
    process.exit(1);
  }
  if (i > 0 && i % 100_000 === 0) console.log(`fuzz-web: ${i} cases, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB resident`);
}
console.log('fuzz-web: nothing found');
