/**
 * A real QEMU guest (software emulation) behind a qemu-stream or qemu-dgram port of `drawbridge run`: it gets its address by
 * DHCP from a namespace, pings and fetches a page there. Needs root, /dev/net/tun and what test/helpers/qemu-guest.ts names;
 * says why when it cannot run.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { liveRefusal } from '../../src/appliance/lab/live.js';
import { LabNetwork, type LabVm } from '../../src/appliance/lab/namespaces.js';
import { WELCOME, WebServer } from '../../src/appliance/lab/web-server.js';
import { Drawbridge, folder, parseMetrics, total } from '../helpers/drawbridge.js';
import { QemuGuest, guestRefusal } from '../helpers/qemu-guest.js';

const why = liveRefusal() ?? guestRefusal();
const live = why === undefined ? test.serial : test.serial.skip;
if (why !== undefined) console.log(`QEMU tests skipped: ${why}`);

// Not the number that other test files of this process use: they look for it among all namespaces.
const tag = ((process.pid * 7 + 2) % 46_000).toString(36);
const GATEWAY: LabVm = { name: 'gw', namespace: `dbq-${tag}`, tap: `dbq-${tag}`, mac: '02:00:0a:4f:00:01', ip: '10.79.0.1' };
const GUEST_MAC = '52:54:00:12:34:56';

const SCRIPT = `
udhcpc -i eth0 -n -q -t 10 -s /dhcp 2>&1 | grep -o 'lease of [0-9.]* obtained'
ping -c 3 -i 0.3 -W 2 10.79.0.1 | grep received
wget -q -O - http://10.79.0.1/ && echo FETCHED
ip address add 10.79.0.99/24 dev eth0
ping -c 2 -i 0.3 -W 1 -I 10.79.0.99 10.79.0.1 | grep received
wget -q -O /dev/null http://10.79.0.1/ && echo STILL-WORKS
`;

for (const [name, port, netdev] of [
  ['stream, QEMU connects', '{ type: qemu-stream, path: vm.sock', 'stream,id=n0,server=off,addr.type=unix,addr.path=DIR/vm.sock'],
  ['stream, QEMU listens', '{ type: qemu-stream, path: vm.sock, side: connect', 'stream,id=n0,server=on,addr.type=unix,addr.path=DIR/vm.sock'],
  ['dgram', '{ type: qemu-dgram, path: vm.sock, remote: qemu.sock', 'dgram,id=n0,local.type=unix,local.path=DIR/qemu.sock,remote.type=unix,remote.path=DIR/vm.sock'],
] as const) {
  live(`a guest over ${name}: DHCP, ping, HTTP; SpoofGuard holds it to its lease`, async (t) => {
    t.timeout(180_000);
    const dir = folder(t, {
      'drawbridge.yaml': `
vms: { guest: {}, gateway: {} }
ports:
  - ${port}, name: guest0, vm: guest, mac: "${GUEST_MAC}", security: { spoof_guard: { mode: auto } } }
  - { type: tap, name: gw0, device: ${GATEWAY.tap}, up: false, vm: gateway, mac: "${GATEWAY.mac}", security: { dhcp_server_block: false } }
metrics: { listen: "127.0.0.1:0" }
`,
    });
    const network = new LabNetwork([GATEWAY]);
    const run = new Drawbridge(['run', '-c', join(dir, 'drawbridge.yaml')]);
    t.teardown(async () => {
      await run.stop();
      network.destroy();
    });
    network.create();
    await run.ready();
    network.attach();
    const web = new WebServer(`drawbridge-test-qemu-${tag}-`);
    t.teardown(() => web.remove());
    await web.start(network, GATEWAY);
    writeFileSync(join(dir, 'udhcpd.conf'), `start 10.79.0.50\nend 10.79.0.59\ninterface eth0\nlease_file ${dir}/leases\npidfile ${dir}/pid\noption subnet 255.255.255.0\noption router 10.79.0.1\noption lease 600\n`);
    writeFileSync(join(dir, 'leases'), '');
    network.start(GATEWAY, '/bin/busybox', ['udhcpd', '-f', join(dir, 'udhcpd.conf')]);

    const guest = new QemuGuest(SCRIPT, { netdev: netdev.replaceAll('DIR', dir), mac: GUEST_MAC });
    t.teardown(() => guest.close());
    const said = await guest.script(150_000);
    t.regex(said, /lease of 10\.79\.0\.5\d obtained/);
    t.regex(said, /3 packets received/);
    t.true(said.includes(WELCOME), said);
    t.regex(said, /FETCHED/);
    t.regex(said, /\n0 packets received|, 0 packets received/, 'a second address is not trusted');
    t.regex(said, /STILL-WORKS/);

    const samples = parseMetrics(await (await fetch(run.metricsUrl)).text());
    t.true(total(samples, 'drawbridge_dropped_frames_total', { vm: 'guest', reason: 'port_address_unapproved' }) >= 1);
    for (const reason of ['output_error', 'decode_malformed', 'decode_checksum']) t.is(total(samples, 'drawbridge_dropped_frames_total', { reason }), 0, reason);
  });
}
