/**
 * `drawbridge run` as a child process, its TAP ports in network namespaces, real programs on them. Needs root, /dev/net/tun,
 * nginx and curl; says why when it cannot run.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { LabNetwork, type LabVm, type Outcome } from '../../src/appliance/lab/namespaces.js';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { WELCOME, WebServer } from '../../src/appliance/lab/web-server.js';
import { Drawbridge, drawbridge, folder, parseMetrics, total, type Sample } from '../helpers/drawbridge.js';

const why = liveRefusal();
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`live tests of run skipped: ${why}`);

const tag = (process.pid % 46_000).toString(36);
const WEB = '10.78.0.10';

function vm(name: string, last: number): LabVm {
  const id = `dbt-${name[0]}-${tag}`;
  return { name, namespace: id, tap: id, mac: `02:00:0a:4e:00:${last.toString(16).padStart(2, '0')}`, ip: `10.78.0.${last}` };
}

const vms = [vm('web', 10), vm('client', 20), vm('attacker', 66)];

const RULES = `
reject http any any -> any any (msg:"attack in the URI"; flow:established,to_server; http.uri; content:"/attack"; sid:1; rev:3;)
`;

function config(list: readonly LabVm[]): string {
  const ports = list.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}", ips: [${v.ip}] }`);
  return `
vms:
  web: { firewall: server }
  client: {}
  attacker: {}
ports:
${ports.join('\n')}
firewall:
  policies:
    server:
      rules:
        - { name: http, action: allow, direction: in, protocol: tcp, destination: { port: 80 } }
        - { name: dns, action: allow, direction: in, protocol: udp, destination: { port: 53 } }
ips: { rules: [test.rules] }
mirrors: [{ name: drops, file: drops.pcap, dropped_only: true }]
metrics: { listen: "127.0.0.1:0" }
`;
}

interface Rig {
  readonly dir: string;
  readonly network: LabNetwork;
  readonly run: Drawbridge;
  curl(from: string, path: string, port?: number): Promise<Outcome>;
  metrics(): Promise<Sample[]>;
  /** Events that fit; waits for the first up to 3 s. */
  events(fits: (event: Event) => boolean): Promise<Event[]>;
}

interface Event {
  readonly event_type: string;
  readonly src_vm?: string;
  readonly dest_vm?: string;
  readonly alert?: { readonly action: string; readonly signature_id: number; readonly rev: number };
  readonly drop?: { readonly reason: string };
  readonly dns?: { readonly type: string; readonly rrname?: string };
}

function readEvents(dir: string): Event[] {
  return readFileSync(join(dir, 'eve.json'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Event);
}

async function build(t: ExecutionContext): Promise<Rig> {
  const dir = folder(t, { 'drawbridge.yaml': config(vms), 'test.rules': RULES });
  const network = new LabNetwork(vms);
  const run = new Drawbridge(['run', '-c', join(dir, 'drawbridge.yaml')]);
  t.teardown(async () => {
    await run.stop();
    network.destroy();
  });
  network.create();
  await run.ready();
  network.attach();
  return {
    dir,
    network,
    run,
    curl: (from, path, port = 80) => network.exec(network.vm(from), 'curl', ['-sS', '-m', '2', `http://${WEB}:${port}${path}`], 10_000),
    metrics: async () => parseMetrics(await (await fetch(run.metricsUrl)).text()),
    events: async (fits) => {
      for (let waited = 0; ; waited += 50) {
        const found = readEvents(dir).filter(fits);
        if (found.length > 0 || waited > 3000) return found;
        await sleep(50);
      }
    },
  };
}

const DNS_QUERY = `
const s = require('node:dgram').createSocket('udp4');
const q = Buffer.concat([Buffer.from('abcd01000001000000000000', 'hex'), Buffer.from('\\x07example\\x04test\\x00', 'latin1'), Buffer.from('00010001', 'hex')]);
s.send(q, 53, '${WEB}', () => setTimeout(() => process.exit(0), 100));`;

live('what is allowed passes, what is not is stopped, and all of it is told', async (t) => {
  t.timeout(120_000);
  const rig = await build(t);
  const web = new WebServer(`drawbridge-test-web-${tag}-`);
  t.teardown(() => web.remove());
  await web.start(rig.network, rig.network.vm('web'));

  const visit = await rig.curl('client', '/');
  t.is(visit.code, 0, visit.stderr);
  t.true(visit.stdout.includes(WELCOME));

  const attack = await rig.curl('attacker', '/attack');
  t.true([55, 56].includes(attack.code), `curl ended with ${attack.code}: ${attack.stderr}`);
  t.regex(attack.stderr, /reset/i, 'the client sees a reset, it does not hang');
  const alerts = await rig.events((e) => e.event_type === 'alert');
  t.like(alerts[0], { src_vm: 'attacker', dest_vm: 'web', alert: { action: 'blocked', signature_id: 1, rev: 3 } });
  t.is(alerts.length, 1, 'the visit raised none');

  const denied = await rig.curl('attacker', '/', 81);
  t.is(denied.code, 28, 'no answer at all from a port that no rule allows');
  const drops = await rig.events((e) => e.event_type === 'drop' && e.drop?.reason === 'firewall_out_of_allowed');
  t.like(drops[0], { src_vm: 'attacker', dest_vm: 'web' });

  const query = await rig.network.exec(rig.network.vm('client'), process.execPath, ['-e', DNS_QUERY], 10_000);
  t.is(query.code, 0, query.stderr);
  const dns = await rig.events((e) => e.event_type === 'dns');
  t.like(dns[0], { src_vm: 'client', dest_vm: 'web' });
  t.true(JSON.stringify(dns[0]).includes('example.test'));

  const again = await rig.curl('client', '/');
  t.is(again.code, 0, again.stderr);

  const samples = await rig.metrics();
  t.true(total(samples, 'drawbridge_dropped_frames_total', { vm: 'attacker', reason: 'ips_rule' }) >= 1);
  t.true(total(samples, 'drawbridge_dropped_frames_total', { vm: 'attacker', reason: 'firewall_out_of_allowed' }) >= 1);
  t.is(total(samples, 'drawbridge_alerts_total', { action: 'blocked' }), 1);
  for (const { name } of vms) {
    const of = (metric: string): number => total(samples, `drawbridge_${metric}_total`, { port: `${name}0` });
    t.true(of('received_frames') > 0);
    t.is(of('received_frames'), of('forwarded_frames') + of('consumed_frames') + of('dropped_frames'), `frames of ${name} are accounted for`);
  }
  t.true(total(samples, 'drawbridge_batch_duration_seconds_count') > 0);

  const end = await rig.run.stop();
  t.is(end.code, 0, end.stderr);
  t.true(end.stdout.endsWith('DONE\n'));
  t.true(readEvents(rig.dir).some((e) => e.event_type === 'flow' && e.src_vm === 'client'), 'flows that were open are logged at the end');
  t.true(readFileSync(join(rig.dir, 'drops.pcap')).length > 24 + 16, 'the mirror holds the dropped frames');
});

live('a killed appliance leaves neither devices nor processes', async (t) => {
  const rig = await build(t);
  rig.run.child.kill('SIGKILL');
  await rig.run.ended;
  for (const { namespace } of vms) {
    const links = execFileSync('ip', ['-n', namespace, '-o', 'link'], { encoding: 'utf8' });
    t.false(links.includes('eth0'), 'the TAP went with its descriptor');
    t.is(execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }), '');
  }
  rig.network.destroy();
  const ours = new RegExp(`\\bdbt-\\w-${tag}\\b`);
  t.notRegex(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }), ours);
  t.notRegex(execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }), ours);
});

live('what keeps it from starting is told in one line', async (t) => {
  t.timeout(60_000);
  const one = (text: string): string => `ports: [{ name: p, type: tap, device: dbt-x-${tag} }]\n${text}`;
  const dir = folder(t, { 'a.yaml': one('metrics: { listen: "127.0.0.1:0" }'), 'none.yaml': 'ports: [{ name: up, type: af-packet, interface: dbt-none }]\nmetrics: { listen: "" }\n' });
  const first = new Drawbridge(['run', '-c', join(dir, 'a.yaml')]);
  t.teardown(() => first.child.kill('SIGKILL'));
  await first.ready();

  const busy = await drawbridge('run', '-c', join(dir, 'a.yaml'));
  t.is(busy.code, 1);
  t.regex(busy.stderr, /EBUSY.*dbt-x-/);
  t.false(busy.stdout.includes('READY'));

  const absent = await drawbridge('run', '-c', join(dir, 'none.yaml'));
  t.is(absent.code, 1);
  t.regex(absent.stderr, /dbt-none/);

  const server = createServer();
  await new Promise<void>((settle) => {
    server.listen(0, '127.0.0.1', settle);
  });
  const { port } = server.address() as AddressInfo;
  const taken = folder(t, { 'b.yaml': `ports: [{ name: p, type: tap, device: dbt-y-${tag} }]\nmetrics: { listen: "127.0.0.1:${port}" }\n` });
  const noMetrics = await drawbridge('run', '-c', join(taken, 'b.yaml'));
  server.close();
  t.is(noMetrics.code, 1);
  t.regex(noMetrics.stderr, /EADDRINUSE/);

  for (const { stderr } of [busy, absent, noMetrics]) t.false(/\n\s+at /.test(stderr), `no stack: ${stderr}`);

  if (existsSync('/usr/bin/setpriv')) {
    const bare = folder(t, { 'c.yaml': `ports: [{ name: p, type: tap, device: dbt-z-${tag} }]\nmetrics: { listen: "" }\n` });
    const refused = await new Drawbridge(['run', '-c', join(bare, 'c.yaml')], ['setpriv', '--bounding-set=-all', '--inh-caps=-all']).ended;
    t.is(refused.code, 1);
    t.regex(refused.stderr, /EPERM|not permitted/i);
  }
});

const SILENT_SERVER = `require('node:net').createServer((s) => s.on('data', () => {}).on('error', () => {})).listen(80, () => console.log('up'))`;

live('a mirror port judges what it overhears and answers with a reset', async (t) => {
  t.timeout(60_000);
  const [inside, outside] = [`dbt-m-${tag}`, `dbt-n-${tag}`];
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const network = new LabNetwork([
    { name: 'inside', namespace: inside, tap: 'mon0', mac: '', ip: '' },
    { name: 'outside', namespace: outside, tap: 'peer0', mac: '', ip: '' },
  ]);
  t.teardown(() => network.destroy());
  network.create();
  ip('-n', inside, 'link', 'add', 'name', 'mon0', 'type', 'veth', 'peer', 'name', 'peer0', 'netns', outside);
  for (const [ns, device, address] of [[inside, 'mon0', '10.79.0.1/24'], [outside, 'peer0', '10.79.0.2/24']] as const) {
    ip('-n', ns, 'address', 'add', address, 'dev', device);
    ip('-n', ns, 'link', 'set', device, 'up');
  }
  const dir = folder(t, {
    'drawbridge.yaml': 'ports: [{ name: tap0, type: mirror, interface: mon0, filter: "tcp port 80", active_response: true }]\nips: { rules: [test.rules] }\nmetrics: { listen: "" }\n',
    'test.rules': RULES,
  });
  const run = new Drawbridge(['run', '-c', join(dir, 'drawbridge.yaml')], ['ip', 'netns', 'exec', inside]);
  t.teardown(async () => void (await run.stop()));
  try {
    await run.ready();
  } catch (error) {
    if (!/optional package/.test(run.stderr)) throw error;
    t.log(`skipped: ${run.stderr.trim()}`);
    t.pass();
    return;
  }
  network.start(network.vm('inside'), process.execPath, ['-e', SILENT_SERVER]);
  let outcome: Outcome | null = null;
  for (let tries = 0; tries < 20 && (outcome === null || outcome.code === 7); tries++) {
    await sleep(200);
    outcome = await network.exec(network.vm('outside'), 'curl', ['-sS', '-m', '5', 'http://10.79.0.1/attack'], 10_000);
  }
  t.regex(outcome!.stderr, /reset/i, `curl ended with ${outcome!.code}`);
  await run.stop();
  t.true(readEvents(dir).some((e) => e.alert?.signature_id === 1 && e.alert.action === 'blocked'));
});
