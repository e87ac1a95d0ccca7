/**
 * Reload under traffic: `drawbridge run` between network namespaces, curl in a loop through its TAP ports while rules change
 * again and again. Needs root, /dev/net/tun, nginx and curl; says why when it cannot run.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { LabNetwork, type LabVm } from '../../src/appliance/lab/namespaces.js';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { WebServer } from '../../src/appliance/lab/web-server.js';
import { Drawbridge, drawbridge, folder, parseMetrics, total } from '../helpers/drawbridge.js';

const why = liveRefusal();
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`live test of reload skipped: ${why}`);

const tag = (process.pid % 46_000).toString(36);
const WEB = '10.79.0.10';

function vm(name: string, last: number): LabVm {
  const id = `ip3-${name[0]}-${tag}`;
  return { name, namespace: id, tap: id, mac: `02:00:0a:4f:00:${last.toString(16).padStart(2, '0')}`, ip: `10.79.0.${last}` };
}

const vms = [vm('web', 10), vm('client', 20)];
const FIRST = 'drop http any any -> any any (msg:"always"; flow:established,to_server; http.uri; content:"/bad"; sid:1;)\n';
const SECOND = `${FIRST}reject http any any -> any any (msg:"new"; flow:established,to_server; http.uri; content:"/new"; sid:2;)\n`;
const BROKEN = `${SECOND}drop http any any -> any any (msg:"broken"; http.uri; contnet:"x"; sid:3;)\n`;

const config = (allowed: string): string => `
vms:
  web: { firewall: server }
  client: {}
ports:
${vms.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}", ips: [${v.ip}] }`).join('\n')}
firewall:
  policies:
    server: { rules: [{ name: http, action: allow, direction: in, protocol: tcp, destination: { port: ${allowed} } }] }
ips: { rules: [test.rules] }
control: { socket: control.sock }
metrics: { listen: "127.0.0.1:0" }
`;

live('a reload under traffic loses nothing; what it adds counts from then on; a mistake changes nothing', async (t) => {
  t.timeout(300_000);
  const dir = folder(t, { 'drawbridge.yaml': config('80'), 'test.rules': FIRST });
  const file = join(dir, 'drawbridge.yaml');
  const rules = join(dir, 'test.rules');
  const network = new LabNetwork(vms);
  const run = new Drawbridge(['run', '-c', file]);
  t.teardown(async () => {
    await run.stop();
    network.destroy();
  });
  network.create();
  await run.ready();
  network.attach();
  const web = new WebServer(`drawbridge-test-reload-${tag}-`);
  t.teardown(() => web.remove());
  await web.start(network, network.vm('web'));
  const curl = (...args: string[]): ReturnType<LabNetwork['exec']> => network.exec(network.vm('client'), 'curl', ['-sS', '-m', '3', '-o', '/dev/null', ...args], 60_000);
  const generation = async (): Promise<number> => total(parseMetrics(await (await fetch(run.metricsUrl)).text()), 'drawbridge_policy_generation');

  t.is((await curl(`http://${WEB}/new`)).code, 0, 'no rule against it yet');
  t.is((await curl(`http://${WEB}/bad`)).code, 28, 'dropped without an answer');

  // One connection with many requests, and many connections, while the policy changes back and forth.
  const kept = curl('--rate', '20/s', ...Array.from({ length: 120 }, () => `http://${WEB}/`));
  const failures: string[] = [];
  let requests = 0;
  const stop = new AbortController();
  const loop = (async () => {
    while (!stop.signal.aborted) {
      const { code, stderr } = await curl(`http://${WEB}/`);
      requests++;
      if (code !== 0) failures.push(`${requests}: ${stderr}`);
    }
  })();
  for (let i = 0; i < 3; i++) {
    writeFileSync(rules, i % 2 === 0 ? SECOND : FIRST);
    const done = await drawbridge('reload', '-c', file);
    t.is(done.code, 0, done.stderr);
    t.regex(done.stdout, new RegExp(`generation ${i + 2}, ${i % 2 === 0 ? 2 : 1} rules`));
    t.is((await curl(`http://${WEB}/new`)).code === 0, i % 2 === 1, `generation ${i + 2}`);
  }
  writeFileSync(rules, SECOND);
  run.child.kill('SIGHUP');
  for (let waited = 0; (await generation()) < 5 && waited < 5000; waited += 50) await sleep(50);
  t.is(await generation(), 5);

  writeFileSync(rules, BROKEN);
  const broken = await drawbridge('reload', '-c', file);
  t.is(broken.code, 1);
  t.regex(broken.stderr, /test\.rules:3:\d+: .*contnet/, 'file, line, column and the word');
  t.is(await generation(), 5, 'the old policy stays');
  t.not((await curl(`http://${WEB}/new`)).code, 0, 'and still judges');

  const one = await kept;
  t.is(one.code, 0, `one connection through all of it: ${one.stderr}`);

  writeFileSync(rules, SECOND);
  writeFileSync(file, config('8080'));
  t.is((await drawbridge('reload', '-c', file)).code, 0);
  stop.abort();
  await loop;
  t.deepEqual(failures.slice(0, -1), [], `${requests} requests; only one that met the new firewall policy may have failed`);
  t.is((await curl(`http://${WEB}/`)).code, 28, 'the new firewall policy counts');
  writeFileSync(file, config('80'));
  t.is((await drawbridge('reload', '-c', file)).code, 0);
  t.is((await curl(`http://${WEB}/`)).code, 0);

  const events = readFileSync(join(dir, 'eve.json'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as { event_type: string; generation: number; alert?: { signature_id: number } });
  t.true(events.length > 0 && events.every((e) => e.generation >= 1), 'every event names its generation');
  t.deepEqual([...new Set(events.filter((e) => e.alert?.signature_id === 2 && e.event_type === 'alert').map((e) => e.generation))].sort(), [2, 4, 5]);
  const metrics = parseMetrics(await (await fetch(run.metricsUrl)).text());
  t.is(total(metrics, 'drawbridge_reloads_total'), 6);
  t.is(total(metrics, 'drawbridge_reload_failures_total'), 1);
});
