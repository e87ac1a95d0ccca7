/**
 * What the switch keeps guests from, with real programs in network namespaces and `drawbridge switch` beside: SpoofGuard with
 * approval, duplicate addresses, rogue DHCP servers and routers, storms, protected ports, quarantine, captures. Needs root,
 * /dev/net/tun and busybox; says why when it cannot run.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { LabNetwork, type LabVm, type Outcome } from '../../src/appliance/lab/namespaces.js';
import { Drawbridge, drawbridge, folder, parseMetrics, total, type Ended } from '../helpers/drawbridge.js';
import { arp, icmpv6, macBytes, raw } from '../unit/vswitch/harness.js';

const RAW_FRAMES = fileURLToPath(new URL('../helpers/raw-frames.js', import.meta.url));
const why = liveRefusal() ?? (existsSync('/bin/busybox') ? undefined : 'no /bin/busybox (Debian: busybox-static)');
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`live tests of the switch skipped: ${why}`);

// Test files share a process, and others look for their own number among all namespaces: this one is another.
const tag = ((process.pid * 7 + 1) % 46_000).toString(36);
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

function vm(name: string, last: number): LabVm {
  const id = `dsw-${name}-${tag}`;
  return { name, namespace: id, tap: id, mac: `02:00:0a:50:00:${last.toString(16).padStart(2, '0')}`, ip: `10.80.0.${last}` };
}

interface Rig {
  readonly dir: string;
  readonly network: LabNetwork;
  run: Drawbridge;
  exec(name: string, ...command: string[]): Promise<Outcome>;
  /** Frames sent raw from a VM. */
  frames(name: string, ...list: Uint8Array[]): Promise<void>;
  ping(from: string, to: string): Promise<boolean>;
  ctl(...args: string[]): Promise<Ended>;
  dropped(name: string, reason: string): Promise<number>;
  events(event: string): Record<string, unknown>[];
}

async function build(t: ExecutionContext, vms: readonly LabVm[], settings: Readonly<Record<string, string>>): Promise<Rig> {
  const dir = folder(t, {
    'drawbridge.yaml': `
vms: { ${vms.map((v) => `${v.name}: {}`).join(', ')} }
ports:
${vms.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}"${settings[v.name] ?? ''} }`).join('\n')}
switch: { approvals: approvals.json }
control: { socket: control.sock }
metrics: { listen: "127.0.0.1:0" }
`,
  });
  const network = new LabNetwork(vms);
  const start = (): Drawbridge => new Drawbridge(['run', '-c', join(dir, 'drawbridge.yaml')]);
  const rig: Rig = {
    dir,
    network,
    run: start(),
    exec: (name, command, ...args) => network.exec(network.vm(name), command!, args, 20_000),
    frames: async (name, ...list) => {
      const sent = await network.exec(network.vm(name), process.execPath, [RAW_FRAMES, 'eth0', 'frames', ...list.map((f) => Buffer.from(f).toString('hex'))], 20_000);
      t.is(sent.code, 0, sent.stderr);
      await sleep(300);
    },
    ping: async (from, to) => {
      for (let i = 0; i < 3; i++) if ((await network.exec(network.vm(from), 'ping', ['-c', '2', '-i', '0.3', '-W', '1', to], 10_000)).code === 0) return true;
      return false;
    },
    ctl: (...args) => drawbridge('switch', ...args, '--socket', join(dir, 'control.sock')),
    dropped: async (name, reason) => total(parseMetrics(await (await fetch(rig.run.metricsUrl)).text()), 'drawbridge_dropped_frames_total', { vm: name, reason }),
    events: (event) =>
      readFileSync(join(dir, 'eve.json'), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { event_type: string; in_iface: string; switch?: Record<string, unknown> })
        .filter((e) => e.event_type === 'switch' && e.switch?.['event'] === event)
        .map((e) => ({ ...e.switch, port: e.in_iface })),
  };
  t.teardown(async () => {
    await rig.run.stop();
    network.destroy();
  });
  network.create();
  await rig.run.ready();
  network.attach();
  return rig;
}

live('SpoofGuard with approval: nothing passes before, duplicates are refused and told, approvals survive a restart', async (t) => {
  t.timeout(120_000);
  const [a, b, c] = [vm('a', 10), vm('b', 20), vm('c', 30)];
  const guard = ', security: { spoof_guard: { mode: approve, authorised: [10.80.0.0/24] } }';
  const rig = await build(t, [a, b, c], { a: guard, b: guard });
  t.false(await rig.ping('a', c.ip), 'waits for approval');
  const found = JSON.parse((await rig.ctl('addresses', 'a0', '--json')).stdout) as { ip: string; state: string; mac: string }[];
  t.like(found.find((f) => f.ip === a.ip), { state: 'discovered', mac: a.mac });
  t.is((await rig.ctl('approve', 'a0', a.ip)).code, 0);
  t.true(await rig.ping('a', c.ip));
  t.true(await rig.ping('c', a.ip));

  // b takes a's address: refused, told, and a's neighbours keep talking to a.
  await rig.exec('b', 'ip', 'address', 'replace', `${a.ip}/24`, 'dev', 'eth0');
  await rig.exec('b', '/bin/busybox', 'arping', '-U', '-c', '2', '-I', 'eth0', a.ip);
  t.true((await rig.dropped('b', 'port_address_duplicate')) >= 1);
  t.like(rig.events('address_duplicate')[0], { port: 'b0', ip: a.ip, mac: b.mac, holder: 'a0' });
  t.true(await rig.ping('c', a.ip));
  const neighbour = await rig.exec('c', 'ip', 'neighbour', 'show', a.ip);
  t.true(neighbour.stdout.includes(a.mac), neighbour.stdout);
  const refused = await rig.ctl('approve', 'b0', a.ip);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /held by port a0/);
  t.regex((await rig.ctl('approve', 'nobody', a.ip)).stderr, /there is no port "nobody"; known: a0, b0, c0/);
  t.regex((await rig.ctl('approve', 'a0', 'ten')).stderr, /ten/);

  // A forged sender in the payload, and an address of another network.
  await rig.frames('a', arp(a.mac, c.mac, a.ip), arp(a.mac, a.mac, '192.0.2.1'));
  t.is(await rig.dropped('a', 'port_ip_spoof'), 1);
  t.is(await rig.dropped('a', 'port_address_outside'), 1);

  await rig.run.stop();
  rig.network.endPrograms();
  t.deepEqual(JSON.parse(readFileSync(join(rig.dir, 'approvals.json'), 'utf8')), [{ port: 'a0', ip: a.ip, vlan: 1 }]);
  rig.network.create();
  rig.run = new Drawbridge(['run', '-c', join(rig.dir, 'drawbridge.yaml')]);
  await rig.run.ready();
  rig.network.attach();
  t.true(await rig.ping('a', c.ip), 'still approved');
  t.is((await rig.ctl('revoke', 'a0', a.ip)).code, 0);
  t.false(await rig.ping('a', c.ip));
  t.deepEqual(JSON.parse(readFileSync(join(rig.dir, 'approvals.json'), 'utf8')), []);
});

const RA = 134;
/** Router advertisement with an on-link prefix fd50::/64 for address configuration. */
function advertisement(mac: string): Uint8Array {
  const prefix = [3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0, 0xfd, 0x50, ...Array.from({ length: 14 }, () => 0)];
  return icmpv6('33:33:00:00:00:01', mac, RA, [64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, ...macBytes(mac), ...prefix], { src: 'fe80::66', dst: 'ff02::1' });
}

live('rogue DHCP servers and routers, storms, bridge protocols, protected ports', async (t) => {
  t.timeout(120_000);
  const [client, other, rogue, gw] = [vm('client', 40), vm('other', 45), vm('rogue', 50), vm('gw', 1)];
  const rig = await build(t, [client, other, rogue, gw], {
    client: ', isolated: true',
    other: ', isolated: true',
    rogue: ', security: { non_ip_block: true, rx: { broadcast: 20, multicast: 20 } }',
    gw: ', role: uplink',
  });
  t.false(await rig.ping('client', other.ip), 'protected ports');
  await rig.frames('client', raw(other.mac, client.mac, 0x0800, Array.from({ length: 46 }, () => 0)));
  t.true((await rig.dropped('client', 'switch_isolated')) >= 1);
  t.true(await rig.ping('client', gw.ip));

  const lease = async (server: string): Promise<boolean> => {
    const conf = join(rig.dir, `${server}.conf`);
    writeFileSync(conf, `start 10.80.0.100\nend 10.80.0.110\ninterface eth0\nlease_file ${conf}.leases\npidfile ${conf}.pid\noption lease 600\n`);
    writeFileSync(`${conf}.leases`, '');
    const child = rig.network.start(rig.network.vm(server), '/bin/busybox', ['udhcpd', '-f', conf]);
    await sleep(300);
    const got = await rig.exec('client', '/bin/busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-t', '3', '-T', '1', '-s', '/bin/true');
    child.kill();
    return got.code === 0;
  };
  t.false(await lease('rogue'));
  t.true((await rig.dropped('rogue', 'port_dhcp_server')) >= 1);
  t.true(await lease('gw'));

  for (const frame of [raw('01:80:c2:00:00:00', rogue.mac, 0x0027), raw(gw.mac, rogue.mac, 0x9000)]) await rig.frames('rogue', frame);
  t.is(await rig.dropped('rogue', 'port_bpdu'), 1);
  t.is(await rig.dropped('rogue', 'port_non_ip'), 1);
  await sleep(1000);
  await rig.frames('rogue', ...Array.from({ length: 60 }, (_, i) => arp(rogue.mac, rogue.mac, rogue.ip, BROADCAST).map((byte, at) => (at === 41 ? i : byte))));
  const stormed = await rig.dropped('rogue', 'port_broadcast_rate');
  t.true(stormed >= 30 && stormed <= 45, `${stormed} of 60 over the limit`);

  for (const name of ['client', 'gw']) await rig.exec(name, 'sysctl', '-qw', 'net.ipv6.conf.eth0.accept_ra=2', 'net.ipv6.conf.eth0.autoconf=1', 'net.ipv6.conf.eth0.addr_gen_mode=0');
  for (const name of ['client', 'gw']) await rig.exec(name, 'ip', 'link', 'set', 'eth0', 'down');
  for (const name of ['client', 'gw']) await rig.exec(name, 'ip', 'link', 'set', 'eth0', 'up');
  await sleep(1000);
  const routed = async (): Promise<boolean> => (await rig.exec('client', 'ip', '-6', 'route')).stdout.includes('fd50::/64');
  await rig.frames('rogue', advertisement(rogue.mac));
  t.is(await rig.dropped('rogue', 'port_ra_guard'), 1);
  t.false(await routed());
  await rig.frames('gw', advertisement(gw.mac));
  t.true(await routed(), 'the router on the uplink is believed');
});

live('operators: ports with counters, MAC table, quarantine, effective MAC, captures with a filter', async (t) => {
  t.timeout(120_000);
  const [a, b] = [vm('a', 10), vm('b', 20)];
  const rig = await build(t, [a, b], { a: ', security: { discovery: {} }' });
  t.true(await rig.ping('a', b.ip));
  const ports = await rig.ctl('ports');
  t.is(ports.code, 0, ports.stderr);
  t.regex(ports.stdout, /^port +vm +state +vlans +macs +rx frames/);
  t.regex(ports.stdout, new RegExp(`^a0 +a +up +1 +${a.mac} +\\d+`, 'm'));
  t.regex((await rig.ctl('macs')).stdout, new RegExp(`^${b.mac} +1 +b0 +- +yes`, 'm'));
  t.regex((await rig.ctl('addresses')).stdout, new RegExp(`^a0 +${a.ip.replaceAll('.', '\\.')} +${a.mac} +1 +realised +arp`, 'm'));

  t.is((await rig.ctl('state', 'b0', 'quarantine')).code, 0);
  t.false(await rig.ping('a', b.ip));
  t.regex((await rig.ctl('ports', 'a0')).stdout, /\d+ switch_quarantine/);
  t.is((await rig.ctl('state', 'b0', 'up')).code, 0);
  t.is((await rig.ctl('state', 'b0', 'sideways')).code, 1);
  t.true(await rig.ping('a', b.ip));

  t.regex((await rig.ctl('effective-mac', 'b0', '02:00:0a:50:00:77')).stdout, /nothing is delivered until it is set back/);
  t.false(await rig.ping('a', b.ip));
  t.is((await rig.ctl('effective-mac', 'b0', b.mac)).code, 0);
  t.true(await rig.ping('a', b.ip));

  const file = join(rig.dir, 'cap.pcap');
  const capture = new Drawbridge(['switch', 'capture', 'a0', '-w', file, '--filter', `icmp and src host ${a.ip}`, '--seconds', '60', '--socket', join(rig.dir, 'control.sock')]);
  while (!capture.stdout.includes('capturing')) await sleep(50);
  t.true(await rig.ping('a', b.ip));
  t.true(await rig.ping('b', a.ip));
  capture.child.kill('SIGINT');
  const done = await capture.ended;
  t.is(done.code, 0, done.stderr);
  t.regex(done.stdout, /4 frames written/, 'two requests of the first, two replies of the second');
  const read = execFileSync('tcpdump', ['-nr', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  t.is(read.trim().split('\n').length, 4, read);
  t.regex((await rig.ctl('capture', '-w', file, '--filter', 'frob')).stderr, /column 1: "frob" is unknown/);
  t.is((await drawbridge('switch', 'ports', '--socket', join(rig.dir, 'nobody.sock'))).code, 1);
});
