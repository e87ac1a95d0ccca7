/**
 * Files that flows carry: a VM downloads malware from another one through the running appliance. The flow is named, the sender
 * cut off, and when the file is found on the VM's disk the event says which flow brought it. Needs what run.test.ts needs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { LabNetwork, type LabVm } from '../../src/appliance/lab/namespaces.js';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { EICAR } from '../helpers/clamd.js';
import { Drawbridge, drawbridge, folder } from '../helpers/drawbridge.js';

const why = liveRefusal();
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`live test of flow files skipped: ${why}`);

const tag = (process.pid % 46_000).toString(36);
const SERVER = '10.79.0.10';
const vms = ([['server', 10], ['client', 20]] as const).map(([name, last]): LabVm => {
  const id = `dbf-${name[0]}-${tag}`;
  return { name, namespace: id, tap: id, mac: `02:00:0a:4f:00:${String(last)}`, ip: `10.79.0.${last}` };
});

const CONFIG = `
vms:
  server: {}
  client: { firewall: guarded, files: { root: client-root } }
ports:
${vms.map((v) => `  - { name: ${v.name}0, type: tap, device: ${v.tap}, up: false, vm: ${v.name}, mac: "${v.mac}", ips: [${v.ip}] }`).join('\n')}
firewall:
  policies:
    guarded: { rules: [] }
files:
  enabled: true
  on_malicious: deny
  flows: { enabled: true, block_source_seconds: 600 }
control: { socket: control.sock }
metrics: { listen: "" }
`;

/** Serves EICAR, a harmless page, and a file too long for detection's own buffers. */
const HTTP = `
const big = Buffer.alloc(400_000, 'harmless ');
require('node:http').createServer((q, r) => r.end(q.url === '/eicar.com' ? Buffer.from('${EICAR.toString('hex')}', 'hex') : q.url === '/big.bin' ? big : 'hello')).listen(80);`;

interface Event {
  readonly event_type: string;
  readonly flow_id?: number;
  readonly vm?: string;
  readonly src_vm?: string;
  readonly dest_vm?: string;
  readonly anti_malware?: { readonly trigger: string; readonly action: string; readonly signature?: string; readonly delivered_by?: { readonly flow_id: number; readonly filename: string; readonly src_ip: string } };
}

live('a malicious download is told with its flow, its sender cut off, and recognised on the disk', async (t) => {
  t.timeout(120_000);
  const dir = folder(t, { 'drawbridge.yaml': CONFIG });
  mkdirSync(join(dir, 'client-root'));
  const network = new LabNetwork(vms);
  const config = join(dir, 'drawbridge.yaml');
  const run = new Drawbridge(['run', '-c', config]);
  t.teardown(async () => {
    await run.stop();
    network.destroy();
  });
  network.create();
  await run.ready();
  network.attach();
  network.start(network.vm('server'), process.execPath, ['-e', HTTP]);
  const get = (path: string) => network.exec(network.vm('client'), 'curl', ['-s', '-o', '/dev/null', '-w', '%{size_download}', '-m', '3', `http://${SERVER}${path}`], 10_000);
  const events = async (count: number, fits: (e: Event) => boolean): Promise<Event[]> => {
    for (let waited = 0; ; waited += 50) {
      const found = readFileSync(join(dir, 'eve.json'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as Event).filter(fits);
      if (found.length >= count || waited > 10_000) return found;
      await sleep(50);
    }
  };

  let first = '';
  for (let tries = 0; first !== '5' && tries < 100; tries++) {
    first = (await get('/index.html')).stdout;
    if (first !== '5') await sleep(50);
  }
  t.is(first, '5');
  t.is((await get('/big.bin')).stdout, '400000');
  const judged = async (): Promise<{ clean: number; malicious: number }> => (JSON.parse((await drawbridge('files', 'status', '--json', '-c', config)).stdout) as { flow_files: { clean: number; malicious: number } }).flow_files;
  for (let tries = 0; tries < 50 && (await judged()).clean < 2; tries++) await sleep(50);
  t.like(await judged(), { clean: 2, malicious: 0 });
  t.is((await events(0, (e) => e.event_type === 'anti_malware')).length, 0);

  t.is((await get('/eicar.com')).stdout, String(EICAR.length), 'it had passed when it was complete');
  const [bad] = await events(1, (e) => e.event_type === 'anti_malware');
  t.like(bad!, { src_vm: 'client', dest_vm: 'server', anti_malware: { trigger: 'flow', action: 'source-blocked', signature: 'Eicar_Test_File' } });
  t.truthy(bad!.flow_id);
  await sleep(500);
  const after = await get('/index.html');
  t.is(after.code, 28, 'the sender is cut off');

  writeFileSync(join(dir, 'client-root', 'download.com'), EICAR);
  t.is((await drawbridge('files', 'scan-vm', 'client', '-c', config)).code, 0);
  const [found] = await events(1, (e) => e.event_type === 'anti_malware' && e.anti_malware?.trigger === 'on-demand');
  t.like(found!, { vm: 'client', anti_malware: { delivered_by: { flow_id: bad!.flow_id, filename: 'eicar.com' } } });
});
