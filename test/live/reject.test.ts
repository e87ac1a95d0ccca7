/**
 * Rejected connections before real clients: curl is refused at once instead of waiting, a UDP sender gets its error. Needs root,
 * /dev/net/tun and curl; says why when it cannot run.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { LabNetwork, type LabVm } from '../../src/appliance/lab/namespaces.js';
import { Drawbridge, folder } from '../helpers/drawbridge.js';

const why = liveRefusal();
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`live tests of rejects skipped: ${why}`);

const tag = (process.pid % 46_000).toString(36);
const SERVER = '10.80.0.10';

function vm(name: string, last: number): LabVm {
  const id = `dbj-${name[0]}-${tag}`;
  return { name, namespace: id, tap: id, mac: `02:00:0a:50:00:${last.toString(16).padStart(2, '0')}`, ip: `10.80.0.${last}` };
}

const vms = [vm('server', 10), vm('client', 20)];
const config = `
vms: { server: { firewall: server }, client: {} }
ports:
${vms.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}" }`).join('\n')}
firewall:
  policies: { server: { rules: [{ name: closed, action: deny, direction: in, protocol: tcp, destination: { port: 9090 } }] } }
  emergency:
    - { name: no tcp, action: reject, protocol: tcp, destination: { port: 8080 } }
    - { name: no udp, action: reject, protocol: udp, destination: { port: 9 } }
events: { file: "" }
metrics: { listen: "" }
`;

/** A connected UDP socket hears of ICMP errors when it sends again. */
const UDP = `
const s = require('node:dgram').createSocket('udp4');
s.on('error', (e) => { console.log(e.code); process.exit(0); });
s.connect(9, '${SERVER}', () => { s.send('x'); setTimeout(() => s.send('y'), 300); setTimeout(() => process.exit(1), 2000); });`;

live('curl is refused in milliseconds, and only where a rule rejects', async (t) => {
  t.timeout(60_000);
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
  const client = network.vm('client');
  const curl = (port: number) => network.exec(client, 'curl', ['-sS', '-m', '3', '-o', '/dev/null', '-w', '%{time_total}', `http://${SERVER}:${port}/`], 10_000);
  // Until addresses are resolved the first try may wait for ARP.
  await curl(8080);
  await sleep(200);
  const refused = await curl(8080);
  t.is(refused.code, 7, refused.stderr);
  t.regex(refused.stderr, /after \d+ ms|refused/i);
  t.true(Number(refused.stdout) < 1, `${refused.stdout} s`);
  t.log(`rejected after ${(Number(refused.stdout) * 1000).toFixed(1)} ms`);
  const dropped = await curl(9090);
  t.is(dropped.code, 28, 'a deny rule says nothing: curl waits until its own limit');
  const udp = await network.exec(client, process.execPath, ['-e', UDP], 10_000);
  t.is(udp.code, 0, udp.stderr);
  t.regex(udp.stdout, /EHOSTUNREACH|ECONNREFUSED|ENETUNREACH|EACCES/);
});
