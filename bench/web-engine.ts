/**
 * CPU milliseconds that one HTTP exchange costs in the rule engine alone, with the shipped Core Rule Set.
 *
 *   node dist/bench/web-engine.js [--json OUT] [--rounds N] [--no-prefilter] [--each]
 *
 * Ten kinds of request with browser headers and three cookies: six GETs with 0 to 4 parameters, a form login, a form of 1 kB, a
 * JSON document of 160 bytes, an upload of 7 kB; every answer is 4 kB of HTML. Values that differ between visitors (cookies,
 * parameters, contents) differ here from request to request, so that caches meet what they would meet in traffic.
 */
import { writeFileSync } from 'node:fs';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { userPatternCache } from '../src/appliance/pattern-cache.js';
import { webRuleFiles } from '../src/appliance/web-rule-files.js';
import * as web from '../src/web/index.js';
import { Random, mix, type Exchange } from './web-mix.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const crs = join(root, 'rules/crs');

const CONNECTION = { clientAddress: '10.1.2.3', clientPort: 40_123, serverAddress: '10.1.2.4', serverPort: 80 };
const ANSWER = ['Content-Type', 'text/html; charset=utf-8', 'Content-Length', '4000', 'Server', 'nginx', 'Date', 'Mon, 01 Jan 2024 00:00:00 GMT'];

const unexpected = new Map<string, number>();

function exchange(engine: web.WebEngine, e: Exchange, id: string): void {
  const tx = engine.transaction(CONNECTION, id);
  tx.requestHeaders(e.head);
  if (e.body.length > 0 && tx.wantsRequestBody) tx.requestBody(e.body, 0, e.body.length);
  tx.endRequestBody();
  tx.responseHeaders({ line: 'HTTP/1.1 200 OK', protocol: 'HTTP/1.1', status: 200, reason: 'OK', fields: ANSWER });
  if (tx.wantsResponseBody) tx.responseBody(e.page, 0, e.page.length);
  tx.endResponseBody();
  for (const match of tx.logging().matches) unexpected.set(`${match.id} ${match.message}`, (unexpected.get(`${match.id} ${match.message}`) ?? 0) + 1);
}

const SETTINGS = `SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"`;

function compile(level: number, prefilter: boolean): web.WebEngine {
  const rules = readdirSync(join(crs, 'rules')).filter((name) => name.endsWith('.conf')).toSorted();
  return web.WebEngine.compile(
    [
      { name: 'settings', text: SETTINGS },
      { file: join(crs, 'crs-setup.conf') },
      { name: 'level', text: `SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=${level}"` },
      ...rules.map((name) => ({ file: join(crs, 'rules', name) })),
    ],
    { files: webRuleFiles, clock: Date.now, ...(prefilter ? { prefilterCache: userPatternCache()! } : { prefilter: null }) },
  );
}

function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const args = process.argv.slice(2);
const rounds = Number(args[args.indexOf('--rounds') + 1] ?? '') || 200;
const figures: Record<string, number> = {};
for (const level of [1, 4]) {
  let engine: web.WebEngine | null = null;
  figures[`load_ms_pl${level}`] = cpuMs(() => {
    engine = compile(level, !args.includes('--no-prefilter'));
  });
  const random = new Random(12_345);
  for (let i = 0; i < 50; i++) for (const e of mix(random)) exchange(engine!, e, random.hex(24));
  unexpected.clear();
  const batches = Array.from({ length: rounds }, () => mix(random));
  // on a shared machine others disturb many batches: the tenth part that was disturbed least tells the cost
  const spent = batches.map((batch) => cpuMs(() => {
    for (const e of batch) exchange(engine!, e, 'a0b1c2d3e4f5');
  }) / batch.length).toSorted((x, y) => x - y);
  const best = spent[Math.floor(spent.length / 10)]!;
  figures[`ms_per_request_pl${level}`] = best;
  console.log(`PL${level}: ${best.toFixed(3)} ms CPU per request (loaded in ${figures[`load_ms_pl${level}`]!.toFixed(0)} ms)`);
  if (args.includes('--each')) {
    for (let k = 0; k < 10; k++) {
      const ms = cpuMs(() => {
        for (const batch of batches) exchange(engine!, batch[k]!, 'a0b1c2d3e4f5');
      });
      console.log(`  ${batches[0]![k]!.kind.padEnd(8)} ${(ms / rounds).toFixed(3)} ms`);
    }
    for (const [rule, count] of unexpected) console.log(`  matched ${count} times: ${rule}`);
  }
}
const out = args.indexOf('--json');
if (out >= 0) writeFileSync(args[out + 1]!, JSON.stringify(figures));
