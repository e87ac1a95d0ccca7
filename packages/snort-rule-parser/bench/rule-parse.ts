/**
 * Rules per second and bytes of heap per rule: `node --expose-gc dist/bench/rule-parse.js [file.rules[.gz] ...]`.
 * Without files a synthetic set of the size of a large public one is used. Prints one JSON object per file.
 */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { gunzipSync } from 'node:zlib';
import { parseRules } from '../src/index.js';

const RULES = 32_000;
const REPEATS = 5;

function synthetic(): Uint8Array {
  let text = '';
  for (let sid = 1; sid <= RULES; sid += 1) {
    text += `alert http $HOME_NET any -> $EXTERNAL_NET [$HTTP_PORTS,!${sid}] (msg:"Synthetic download ${sid}"; `
      + `flow:established,to_server; http.method; content:"GET"; http.uri; content:"/gate${sid}.php|3f|id="; fast_pattern; `
      + `http.host; content:"host${sid}.example"; endswith; pcre:"/^\\/gate${sid}\\.php\\?id=[a-f0-9]{32}$/U"; `
      + `reference:url,example.com/${sid}; classtype:trojan-activity; sid:${sid}; rev:2; `
      + `metadata:created_at 2023_01_01, signature_severity Major, updated_at 2023_01_02;)\n`;
  }
  return Buffer.from(text, 'latin1');
}

function collect(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function measure(name: string, data: Uint8Array): void {
  let best = Number.POSITIVE_INFINITY;
  let first = 0;
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    const start = performance.now();
    parseRules(data);
    const elapsed = performance.now() - start;
    if (repeat === 0) first = elapsed;
    best = Math.min(best, elapsed);
  }
  const before = collect();
  const { rules, refused } = parseRules(data);
  const heap = collect() - before;
  const options = rules.reduce((sum, rule) => sum + rule.options.length, 0);
  const report: Record<string, string | number> = {
    name, bytes: data.length, rules: rules.length, refused, options,
    firstMs: Math.round(first), bestMs: Math.round(best), rulesPerSecond: Math.round(rules.length / best * 1000),
  };
  // The text itself stays in memory as long as one rule does; it is counted.
  if (globalThis.gc !== undefined) report['heapBytesPerRule'] = Math.round(heap / Math.max(rules.length, 1));
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

const files = process.argv.slice(2);
if (files.length === 0) measure('synthetic', synthetic());
for (const file of files) {
  const data = readFileSync(file);
  measure(file, file.endsWith('.gz') ? gunzipSync(data) : data);
}
