/**
 * Reconnaissance detection against real scans: nmap in a namespace, two servers behind the appliance (one whose firewall denies
 * all but its service, one that refuses by itself), and a client that loads a page over 200 connections. Prints a table; the
 * one in docs/firewall.md is from here. Needs root, /dev/net/tun, nmap and curl; says why when it cannot run.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { LabNetwork, type LabVm } from '../../src/appliance/lab/namespaces.js';
import { Drawbridge, folder } from '../helpers/drawbridge.js';

const why = liveRefusal();
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`live tests of reconnaissance skipped: ${why}`);

const tag = (process.pid % 46_000).toString(36);
const CLOSED = '10.79.0.10';
const OPEN = '10.79.0.11';
const CLIENT = '10.79.0.20';

function vm(name: string, last: number): LabVm {
  const id = `dbr-${name[0]}-${tag}`;
  return { name, namespace: id, tap: id, mac: `02:00:0a:4f:00:${last.toString(16).padStart(2, '0')}`, ip: `10.79.0.${last}` };
}

const vms = [vm('closed', 10), vm('open', 11), vm('page-loader', 20), vm('scanner', 66)];

const config = `
vms:
  closed: { firewall: closed }
  open: { firewall: open }
  page-loader: {}
  scanner: {}
ports:
${vms.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}" }`).join('\n')}
firewall:
  policies:
    closed:
      rules: [{ name: http, action: allow, direction: in, protocol: tcp, destination: { port: 80 } }]
    open: {}
  recon: { allow: 10.79.0.250 }
ips: { enabled: false }
events: { types: [recon] }
metrics: { listen: "" }
`;

const SERVER = `require('node:http').createServer((q, s) => s.end('here')).listen(80, '0.0.0.0', 1024);`;

interface Finding {
  readonly src_ip: string;
  readonly recon: { readonly detection: string; readonly scan?: { readonly protocol: string; readonly filtered: boolean; readonly open_ports: readonly number[] } };
}

/** What nmap is told, from which address, at whom, and what has to be found (one of). */
interface Scan {
  readonly what: string;
  readonly args: readonly string[];
  readonly target: string;
  readonly find: readonly string[];
  /** Address the victim sees, when it is not the scanner's own. */
  readonly as?: string;
  readonly none?: boolean;
}

const PORTS = ['-p', '1-60,80'];
const QUICK = ['-n', '-Pn', '--max-retries', '0', '--min-rate', '100', '--host-timeout', '20s'];
const SCANS: readonly Scan[] = [
  { what: 'SYN scan (-sS), dropped', args: ['-sS', ...PORTS, ...QUICK], target: CLOSED, find: ['port_scan'] },
  { what: 'SYN scan (-sS), refused by the host', args: ['-sS', ...PORTS, ...QUICK], target: OPEN, find: ['port_scan'] },
  { what: 'connect scan (-sT), refused by the host', args: ['-sT', ...PORTS, ...QUICK], target: OPEN, find: ['port_scan'] },
  { what: 'ACK scan (-sA)', args: ['-sA', ...PORTS, ...QUICK], target: OPEN, find: ['port_scan'] },
  { what: 'FIN scan (-sF)', args: ['-sF', ...PORTS, ...QUICK], target: OPEN, find: ['port_scan'] },
  { what: 'NULL scan (-sN)', args: ['-sN', ...PORTS, ...QUICK], target: OPEN, find: ['tcp_null'] },
  { what: 'Xmas scan (-sX)', args: ['-sX', ...PORTS, ...QUICK], target: OPEN, find: ['tcp_xmas'] },
  { what: 'SYN-FIN scan (--scanflags SYNFIN)', args: ['-sS', '--scanflags', 'SYNFIN', ...PORTS, ...QUICK], target: OPEN, find: ['tcp_syn_fin'] },
  { what: 'Maimon scan (-sM)', args: ['-sM', ...PORTS, ...QUICK], target: OPEN, find: ['port_scan'] },
  { what: 'window scan (-sW)', args: ['-sW', ...PORTS, ...QUICK], target: OPEN, find: ['port_scan'] },
  { what: 'UDP scan (-sU)', args: ['-sU', ...PORTS, ...QUICK], target: CLOSED, find: ['port_scan'] },
  { what: 'IP protocol scan (-sO)', args: ['-sO', '-p', '30-90', ...QUICK], target: CLOSED, find: ['port_scan'] },
  { what: 'OS detection (-O), two ports', args: ['-O', '--max-os-tries', '1', '-p', '80,81', '-n', '-Pn'], target: OPEN, find: ['os_probe', 'tcp_null'] },
  { what: 'idle scan, what the victim sees of it (-S zombie)', args: ['-sS', '-S', '10.79.0.99', '-e', 'eth0', ...PORTS, ...QUICK], target: CLOSED, find: ['port_scan'], as: '10.79.0.99' },
  { what: 'fragmented SYN scan (-f)', args: ['-sS', '-f', ...PORTS, ...QUICK], target: CLOSED, find: ['port_scan'] },
  { what: 'polite (-T2), 0.4 s between probes', args: ['-sS', '-T2', '-p', '1-32', '-n', '-Pn', '--max-retries', '0'], target: CLOSED, find: ['port_scan'] },
  { what: 'network sweep, one port (-p 445) of 40 hosts', args: ['-sT', '-p', '445', ...QUICK], target: '10.79.0.100-139', find: ['network_scan'] },
  { what: 'decoys (-D), three of them', args: ['-sS', '-D', '10.79.0.201,10.79.0.202,10.79.0.203', ...PORTS, ...QUICK], target: CLOSED, find: ['decoy_scan'] },
  { what: 'an allowed scanner', args: ['-sS', ...PORTS, ...QUICK], target: CLOSED, find: [], as: '10.79.0.250', none: true },
];

live('nmap is found, a page load is not', async (t) => {
  t.timeout(240_000);
  const dir = folder(t, { 'drawbridge.yaml': config });
  const network = new LabNetwork(vms);
  const run = new Drawbridge(['run', '-c', join(dir, 'drawbridge.yaml')]);
  t.teardown(async () => {
    await run.stop();
    network.destroy();
  });
  network.create();
  await run.ready();
  network.attach();
  const scanner = network.vm('scanner');
  const inScanner = (...args: string[]): void => void execFileSync('ip', ['-n', scanner.namespace, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  for (const name of ['closed', 'open']) network.start(network.vm(name), process.execPath, ['-e', SERVER]);
  const findings = (): Finding[] =>
    readFileSync(join(dir, 'eve.json'), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Finding);

  // Hosts that are not there still have to be sent to.
  for (let last = 100; last < 140; last++) inScanner('neigh', 'replace', `10.79.0.${last}`, 'lladdr', vms[0]!.mac, 'dev', 'eth0');
  for (let tries = 0; ; tries++) {
    const first = await network.exec(network.vm('page-loader'), 'curl', ['-s', '-m', '2', `http://${CLOSED}/`], 5000);
    if (first.stdout === 'here') break;
    t.true(tries < 50, 'the server answers');
    await sleep(100);
  }

  const page = await network.exec(network.vm('page-loader'), 'curl', ['-sS', '-Z', '--parallel-immediate', '--parallel-max', '200', '-m', '60', '-o', '/dev/null', '-w', '%{num_connects}\n', `http://${CLOSED}/[1-200]`], 90_000);
  const connections = page.stdout.split('\n').filter((line) => line === '1').length;
  t.is(page.code, 0, page.stderr);
  t.is(connections, 200, 'each object over a connection of its own');
  await sleep(300);
  t.deepEqual(findings().filter((f) => f.src_ip === CLIENT), [], 'no alarm for it');

  const rows = [`200-connection page load by curl: nothing, as it should be`];
  let last = 140;
  for (const scan of SCANS) {
    const from = scan.as ?? `10.79.0.${++last}`;
    inScanner('address', 'replace', `${from}/24`, 'dev', 'eth0');
    inScanner('route', 'replace', '10.79.0.0/24', 'dev', 'eth0', 'src', from);
    const spoofed = scan.args.includes('-S') || scan.args.includes('-sT');
    const done = await network.exec(scanner, 'nmap', [...scan.args, ...(spoofed ? [] : ['-S', from, '-e', 'eth0']), scan.target], 60_000);
    t.is(done.code, 0, `${scan.what}: ${done.stderr}`);
    await sleep(800);
    const decoyed = scan.find.includes('decoy_scan');
    const found = findings().filter((f) => f.src_ip === from || (decoyed && f.src_ip.startsWith('10.79.0.20')));
    const kinds = [...new Set(found.map((f) => f.recon.detection))];
    const detail = found.find((f) => f.recon.scan !== undefined)?.recon.scan;
    rows.push(`${scan.what}: ${kinds.join(', ') || 'nothing'}${detail === undefined ? '' : ` (${detail.protocol}${detail.filtered ? ', filtered' : ''})`}`);
    if (scan.none === true) t.deepEqual(kinds, [], scan.what);
    else t.true(scan.find.some((kind) => kinds.includes(kind)), `${scan.what}: found ${kinds.join(', ') || 'nothing'}\n${done.stdout}`);
  }
  t.log(rows.join('\n'));
  t.deepEqual(findings().filter((f) => [CLIENT, CLOSED, OPEN].includes(f.src_ip)), [], 'nobody else is accused');
});

live('a source found scanning is cut off for as long as configured, others are not', async (t) => {
  t.timeout(60_000);
  const dir = folder(t, { 'drawbridge.yaml': config.replace('recon: {', 'recon: { block_seconds: 3,') });
  const network = new LabNetwork(vms);
  const run = new Drawbridge(['run', '-c', join(dir, 'drawbridge.yaml')]);
  t.teardown(async () => {
    await run.stop();
    network.destroy();
  });
  network.create();
  await run.ready();
  network.attach();
  network.start(network.vm('closed'), process.execPath, ['-e', SERVER]);
  const visit = (name: string): Promise<string> => network.exec(network.vm(name), 'curl', ['-s', '-m', '1', `http://${CLOSED}/`], 5000).then((o) => o.stdout);
  for (let tries = 0; tries < 50 && (await visit('scanner')) !== 'here'; tries++) await sleep(100);
  t.is(await visit('scanner'), 'here');
  await network.exec(network.vm('scanner'), 'nmap', ['-sS', '-p', '100-160', ...QUICK, CLOSED], 30_000);
  t.is(await visit('scanner'), '');
  t.is(await visit('page-loader'), 'here');
  await sleep(4000);
  t.is(await visit('scanner'), 'here', 'the block is over');
});
