#!/usr/bin/env node
/**
 * The regression tests of the OWASP Core Rule Set against the rule engine alone: the exact bytes of every test's request go
 * through a small splitter into a transaction, the answer of the suite's own backend into its response part. No frames, no
 * appliance: seconds instead of minutes, for work on the engine. `ftw run` against the appliance is the real thing.
 *
 *   node scripts/crs-offline.mjs [--include REGEX] [--failures] [--pl N] [--no-prefilter] [--time]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Rule files of the suite in the order of its README. */
export function suiteRules(crs, level) {
  const rules = readdirSync(join(crs, 'rules')).filter((name) => name.endsWith('.conf')).sort().map((name) => ({ file: join(crs, 'rules', name) }));
  const setup = level === 4
    ? { file: join(crs, 'setup/crs-test.conf') }
    : { name: 'level', text: `SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=${level}"` };
  return [{ file: join(crs, 'setup/engine.conf') }, { file: join(crs, 'crs-setup.conf.example') }, setup, ...rules];
}

export async function compileSuite(crs, level, prefilter) {
  const web = await import(join(root, 'dist/src/web/index.js'));
  const { webRuleFiles } = await import(join(root, 'dist/src/appliance/web-rule-files.js'));
  const { userPatternCache } = await import(join(root, 'dist/src/appliance/pattern-cache.js'));
  const options = { files: webRuleFiles, clock: Date.now };
  if (prefilter) options.prefilterCache = userPatternCache();
  else options.prefilter = null;
  return web.WebEngine.compile(suiteRules(crs, level), options);
}

/** Tests as JSON objects: request bytes, expectation, and the backend's raw answer (kept in a file between runs). */
export async function loadTests(crs, log) {
  const dump = spawnSync('python3', [join(crs, 'ftw'), 'dump', '--overrides', join(crs, 'overrides/inline.yaml')], { maxBuffer: 1 << 28, encoding: 'utf8' });
  if (dump.status !== 0) throw new Error(`ftw dump ended with ${dump.status ?? dump.signal}: ${dump.stderr}`);
  const key = createHash('sha256').update(dump.stdout).update(readFileSync(join(crs, 'backend/albedo.mjs'))).digest('hex').slice(0, 16);
  const dir = join(tmpdir(), 'drawbridge-crs');
  const file = join(dir, `${key}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  const tests = dump.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  log(`asking the backend for ${tests.length} answers`);
  const port = await freePort();
  const backend = spawn(process.execPath, [join(crs, 'backend/albedo.mjs'), '--port', String(port), '--quiet'], { stdio: 'ignore' });
  try {
    await reachable(port);
    for (const test of tests) test.response_b64 = (await ask(port, Buffer.from(test.request_b64, 'base64'))).toString('base64');
  } finally {
    backend.kill();
  }
  mkdirSync(dir, { recursive: true });
  writeFileSync(file, JSON.stringify(tests));
  return tests;
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function reachable(port) {
  for (let i = 0; i < 100; i++) {
    const ok = await new Promise((resolve) => {
      const s = net.connect(port, '127.0.0.1', () => {
        s.destroy();
        resolve(true);
      });
      s.on('error', () => resolve(false));
    });
    if (ok) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
  throw new Error('the backend does not start');
}

/** Sends the bytes, half-closes, reads to the end (bounded by a pause). */
function ask(port, bytes) {
  return new Promise((resolve) => {
    const parts = [];
    const socket = net.connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.setTimeout(1500, () => socket.destroy());
    socket.on('data', (data) => {
      parts.push(data);
      socket.setTimeout(60, () => socket.destroy());
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(parts)));
  });
}

// ---- splitting messages: enough for the suite ----

function splitMessage(bytes) {
  const text = bytes.toString('latin1');
  const match = /\r?\n\r?\n/.exec(text);
  const headEnd = match === null ? text.length : match.index;
  const lines = text.slice(0, headEnd).split(/\r?\n/);
  const fields = [];
  for (const line of lines.slice(1)) {
    if (/^[ \t]/.test(line) && fields.length > 0) fields[fields.length - 1] += ` ${line.trim()}`;
    else {
      const colon = line.indexOf(':');
      fields.push(colon < 0 ? line : line.slice(0, colon), colon < 0 ? '' : line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, ''));
    }
  }
  const value = (name) => fields.find((_, i) => i % 2 === 1 && fields[i - 1].toLowerCase() === name);
  let body = match === null ? Buffer.alloc(0) : bytes.subarray(headEnd + match[0].length);
  if (/\bchunked\b/i.test(value('transfer-encoding') ?? '')) body = dechunk(body);
  else if (value('content-length') !== undefined && /^\d+$/.test(value('content-length'))) body = body.subarray(0, Number(value('content-length')));
  return { line: lines[0] ?? '', fields, body };
}

function dechunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    const size = end < 0 ? 0 : Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

const CONNECTION = { clientAddress: '10.0.0.1', clientPort: 40000, serverAddress: '10.0.0.2', serverPort: 80 };

/** @returns the report of one exchange */
export function runExchange(engine, request, response, uniqueId, policy = {}) {
  const tx = engine.transaction(CONNECTION, uniqueId, policy);
  const words = request.line.split(' ').filter(Boolean);
  const target = words.length > 2 ? words.slice(1, -1).join(' ') : (words[1] ?? '');
  const head = { line: request.line, method: words[0] ?? '', target, protocol: words.length > 2 ? words[words.length - 1] : '', fields: request.fields };
  let decided = tx.requestHeaders(head);
  if (decided === null && request.body.length > 0) decided = tx.requestBody(request.body, 0, request.body.length);
  decided ??= tx.endRequestBody();
  if (decided === null && response !== null) {
    const status = /^(\S*) (\d+) ?(.*)$/.exec(response.line);
    decided = tx.responseHeaders({ line: response.line, protocol: status?.[1] ?? '', status: Number(status?.[2] ?? 0), reason: status?.[3] ?? '', fields: response.fields });
    if (decided === null && response.body.length > 0 && tx.wantsResponseBody) decided = tx.responseBody(response.body, 0, response.body.length);
    decided ??= tx.endResponseBody();
  }
  return tx.logging();
}

/** Prepared once, so that timing sees the engine alone. */
export function prepare(test) {
  const request = splitMessage(Buffer.from(test.request_b64, 'base64'));
  const raw = Buffer.from(test.response_b64, 'base64');
  return { test, request, response: raw.length === 0 ? null : splitMessage(raw) };
}

/** @returns '' when the expectation is met */
export function judge(test, report, response) {
  const want = test.expect;
  const ids = new Set(report.matches.map((m) => m.id));
  const text = report.matches.map((m) => `[id "${m.id}"] [msg "${m.message}"] [data "${m.data}"]`);
  const why = [];
  const missing = (want.expect_ids ?? []).filter((id) => !ids.has(id));
  if (missing.length > 0) why.push(`not fired ${missing.join(',')}`);
  const wrong = (want.no_expect_ids ?? []).filter((id) => ids.has(id));
  if (wrong.length > 0) why.push(`fired ${wrong.join(',')}`);
  if (want.match_regex && !text.some((t) => new RegExp(want.match_regex).test(t))) why.push(`log lacks /${want.match_regex}/`);
  if (want.no_match_regex && text.some((t) => new RegExp(want.no_match_regex).test(t))) why.push(`log has /${want.no_match_regex}/`);
  const status = Number(/^\S* (\d+)/.exec(response?.line ?? '')?.[1] ?? 0);
  if (want.status && want.status !== status) why.push(`status ${status}, not ${want.status}`);
  return why.join('; ');
}

/** Figures for scripts/conformance.mjs. */
export async function crsFigures(suite, log) {
  const crs = join(suite, 'crs');
  if (!existsSync(join(crs, 'ftw'))) return {};
  const engine = await compileSuite(crs, 4, true);
  const tests = (await loadTests(crs, log)).map(prepare);
  const kinds = { fire: [0, 0], quiet: [0, 0], other: [0, 0] };
  for (const { test, request, response } of tests) {
    const kind = kinds[test.expect.expect_ids || test.expect.match_regex ? 'fire' : test.expect.no_expect_ids || test.expect.no_match_regex ? 'quiet' : 'other'];
    kind[1]++;
    if (judge(test, runExchange(engine, request, response, 'a1b2'), response) === '') kind[0]++;
  }
  log(`crs: must fire ${kinds.fire.join('/')}, must not fire ${kinds.quiet.join('/')}, status only ${kinds.other.join('/')}`);
  return { crs_fire: kinds.fire[0], crs_quiet: kinds.quiet[0], crs_other: kinds.other[0] };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2);
  const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const crs = join(process.env.DRAWBRIDGE_CONFORMANCE ?? join(root, '../shared/conformance'), 'crs');
  const include = new RegExp(option('--include') ?? '');
  const started = process.cpuUsage();
  const engine = await compileSuite(crs, Number(option('--pl') ?? 4), !args.includes('--no-prefilter'));
  const loaded = process.cpuUsage(started);
  console.log(`${engine.ruleSet.rules.length} rules, ${engine.ruleSet.refusals.length} refused, loaded in ${Math.round((loaded.user + loaded.system) / 1000)} ms CPU`);
  for (const refusal of engine.ruleSet.refusals.slice(0, 20)) console.log(`  refused ${refusal.position.file}:${refusal.position.line}:${refusal.position.column} ${refusal.directive} ${refusal.ruleId}: ${refusal.reason}`);
  const tests = (await loadTests(crs, console.log)).map(prepare).filter(({ test }) => include.test(test.id));
  let passed = 0;
  const before = process.cpuUsage();
  for (const { test, request, response } of tests) {
    const report = runExchange(engine, request, response, 'a1b2');
    const why = judge(test, report, response);
    if (why === '') passed++;
    else if (args.includes('--failures')) console.log(`FAIL ${test.id} (${test.stage}) ${why}  [${[...new Set(report.matches.map((m) => m.id))].join(' ')}] ${test.desc}`);
  }
  const used = process.cpuUsage(before);
  const ms = (used.user + used.system) / 1000;
  console.log(`${passed} of ${tests.length} = ${((100 * passed) / tests.length).toFixed(2)} %, ${ms.toFixed(0)} ms CPU, ${(ms / tests.length).toFixed(3)} ms per exchange`);
}
