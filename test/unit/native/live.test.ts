/**
 * Real frames: two network namespaces joined by an IoLoop in a worker thread, with the kernel's own stacks (and their
 * checksum verification) at both ends. Needs root and /dev/net/tun; says so and passes otherwise.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { closeFd, configureInterface, IoLoop, openPacket, openTap, PORT_PACKET, PORT_TAP, wakeFd } from '@drawbridge/native';
import type { OpenedPort } from '@drawbridge/native';
import {
  D_CSUM_OFF, D_CSUM_START, D_GSO_SIZE, D_GSO_TYPE, D_HDR_LEN, D_LEN, D_OFF, D_PORT, D_STRIDE, D_VNET_FLAGS, D_WIRE_LEN,
  FrameBatch, GSO_TCPV4, TAG_KEEP, TAG_STRIP, T_STATUS, VNET_F_NEEDS_CSUM,
} from '../../../src/packet/frame-batch.js';
import type { ForwardData, ForwardPort, ForwardReport } from './helpers/forward-worker.js';
import { buildFrame, expectedSegments, type FrameFields } from './helpers/frames.js';
import { deviceName, Netns, run, whyNotLive, whyNoVlan } from './helpers/netns.js';

const reason = whyNotLive();
const live = (title: string, body: (t: ExecutionContext) => Promise<void> | void): void => {
  if (reason === undefined) test.serial(title, body);
  else test.serial.skip(`${title} (${reason})`, body);
};
if (reason !== undefined) {
  console.log(`live native tests skipped: ${reason}`);
  test('live tests need privileges', (t) => t.pass(reason));
}

function forPort(port: OpenedPort, kind: 0 | 1, tag = TAG_KEEP): ForwardPort {
  return { fd: port.fd, kind, vnetHdrLen: port.vnetHdrLen, mtu: port.mtu, tag };
}

/** Two namespaces. `connect` hands each one's end over; what is opened is closed at the end of the test. */
class Lab {
  readonly a = new Netns();
  readonly b = new Netns();
  #worker: Worker | undefined;
  #wake = -1;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  readonly #fds: number[] = [];
  readonly #links: string[] = [];

  constructor(t: ExecutionContext) {
    t.teardown(async () => {
      await this.stop();
      for (const fd of this.#fds) closeFd(fd);
      for (const link of this.#links) {
        try {
          run('ip', 'link', 'del', link);
        } catch (e) {
          t.log(e);
        }
      }
      this.a.remove();
      this.b.remove();
    });
  }

  tap(ns: Netns, host: number, offloads: boolean, tag = TAG_KEEP): ForwardPort {
    const port = openTap(deviceName(), { offloads });
    this.#fds.push(port.fd);
    ns.adopt(port.name, host);
    return forPort(port, PORT_TAP, tag);
  }

  /** A veth pair whose far end is e0 of the namespace. */
  veth(ns: Netns, host: number, offloads: boolean, tag = TAG_KEEP): ForwardPort {
    const name = deviceName();
    run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'e0', 'netns', ns.name);
    this.#links.push(name);
    ns.address('e0', host);
    configureInterface(name, { up: true });
    const port = openPacket(name, { offloads });
    this.#fds.push(port.fd);
    return forPort(port, PORT_PACKET, tag);
  }

  async forward(...ports: ForwardPort[]): Promise<void> {
    const data: ForwardData = { ports, stop: this.#stop.buffer as SharedArrayBuffer };
    this.#worker = new Worker(new URL('./helpers/forward-worker.js', import.meta.url), { workerData: data });
    [this.#wake] = (await once(this.#worker, 'message')) as [number];
  }

  async stop(): Promise<ForwardReport> {
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker === undefined) return { frames: 0, gso: 0, failed: {} };
    Atomics.store(this.#stop, 0, 1);
    const answer = once(worker, 'message') as Promise<[ForwardReport]>;
    wakeFd(this.#wake);
    const [report] = await answer;
    await worker.terminate();
    return report;
  }

  ping(t: ExecutionContext, ...extra: string[]): void {
    for (const target of ['10.77.0.2', 'fd77::2']) {
      const out = this.a.exec('ping', '-n', '-c', '10', '-i', '0.01', '-W', '2', ...extra, target);
      t.regex(out, /10 received, 0% packet loss/, target);
    }
  }

  /** A TCP transfer from a to b; both ends hash what passed. */
  async transfer(t: ExecutionContext, from: Netns, to: Netns, address: string, bytes: number): Promise<void> {
    const server = to.script(`
      const hash = require('node:crypto').createHash('sha256');
      const s = require('node:net').createServer((c) => {
        c.on('data', (d) => hash.update(d)).on('end', () => { console.log(hash.digest('hex')); c.end(); s.close(); });
      }).listen(5001, '::', () => console.log('listening'));`);
    try {
      await server.first;
      const client = from.script(
        `const [address, bytes] = process.argv.slice(1);
        const data = Buffer.alloc(Number(bytes));
        for (let i = 0, x = 12345; i < data.length; i++) { x = Math.imul(x, 1103515245) + 12345 | 0; data[i] = x >>> 16; }
        console.log(require('node:crypto').createHash('sha256').update(data).digest('hex'));
        require('node:net').connect(5001, address).end(data);
        setTimeout(() => process.exit(1), 20000).unref();`,
        address,
        String(bytes),
      );
      const sent = (await client.done).trim();
      const received = (await Promise.race([
        server.done,
        new Promise<string>((r) => setTimeout(() => r('listening\ntimeout'), 20_000).unref()),
      ])).trim();
      t.is(received, `listening\n${sent}`, `${address} ${bytes}`);
    } finally {
      server.kill();
    }
  }
}

const MB = 1 << 20;

live('two TAP ports with offloads: super-frames cross whole', async (t) => {
  const lab = new Lab(t);
  await lab.forward(lab.tap(lab.a, 1, true), lab.tap(lab.b, 2, true));
  lab.ping(t);
  lab.ping(t, '-s', '4000'); // fragments
  await lab.transfer(t, lab.a, lab.b, '10.77.0.2', 20 * MB);
  await lab.transfer(t, lab.b, lab.a, 'fd77::1', 20 * MB);
  const report = await lab.stop();
  t.true(report.gso > 100, `${report.gso} super-frames`);
  t.deepEqual(report.failed, {});
});

live('a TAP port with offloads to one without: segmented, checksums completed', async (t) => {
  const lab = new Lab(t);
  await lab.forward(lab.tap(lab.a, 1, true), lab.tap(lab.b, 2, false));
  lab.ping(t);
  for (const [from, to, address] of [[lab.a, lab.b, '10.77.0.2'], [lab.a, lab.b, 'fd77::2'], [lab.b, lab.a, '10.77.0.1']] as const) {
    await lab.transfer(t, from, to, address, 10 * MB);
  }
  const report = await lab.stop();
  t.true(report.gso > 20, `${report.gso} super-frames`);
  t.deepEqual(report.failed, {});
});

live('AF_PACKET on veth, with offloads', async (t) => {
  const lab = new Lab(t);
  await lab.forward(lab.veth(lab.a, 1, true), lab.veth(lab.b, 2, true));
  lab.ping(t);
  await lab.transfer(t, lab.a, lab.b, '10.77.0.2', 20 * MB);
  await lab.transfer(t, lab.b, lab.a, 'fd77::1', 20 * MB);
  const report = await lab.stop();
  t.true(report.gso > 20, `${report.gso} super-frames`);
  t.deepEqual(report.failed, {});
});

live('AF_PACKET without offloads to TAP: partial checksums of a local neighbour are completed', async (t) => {
  const lab = new Lab(t);
  const port = lab.veth(lab.a, 1, false);
  // Without vnet headers super-frames cannot be told apart: such a port needs segmentation off, checksums may stay on.
  lab.a.exec('ethtool', '-K', 'e0', 'tso', 'off', 'gso', 'off');
  await lab.forward(port, lab.tap(lab.b, 2, false));
  lab.ping(t);
  await lab.transfer(t, lab.a, lab.b, '10.77.0.2', 2 * MB);
  t.deepEqual((await lab.stop()).failed, {});
});

live('VLAN tags the kernel strips are put back, offload fields moved along', (t) => {
  // A veth pair in this namespace, both ends ours: what leaves one tagged arrives at the other without its tag, which
  // only the socket's metadata still knows.
  const name = deviceName();
  const peer = deviceName();
  run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', peer);
  t.teardown(() => run('ip', 'link', 'del', name));
  for (const end of [name, peer]) {
    run('sysctl', '-qw', `net.ipv6.conf.${end}.disable_ipv6=1`);
    configureInterface(end, { up: true });
  }
  const fields: FrameFields = {
    ipv6: false, udp: false, tags: [], ipExtra: new Uint8Array(0), tcpOptions: new Uint8Array(12).fill(1), tcpFlags: 0x18,
    seq: 1, ipId: 1, payload: new Uint8Array(4000).fill(7),
  };
  const tci = (5 << 13) | 100;
  const plain = buildFrame(fields, true);
  const tagged = buildFrame({ ...fields, tags: [tci] }, true);
  for (const offloads of [true, false]) {
    const batch = new FrameBatch(8);
    const loop = new IoLoop(batch.arena, batch.desc, batch.tx, 8);
    const fds = [name, peer].map((end, index) => {
      const port = openPacket(end, { offloads });
      loop.addPort(index, port.fd, PORT_PACKET, port.vnetHdrLen, port.mtu);
      return port.fd;
    });
    const d = batch.desc;
    batch.arena.set(plain.bytes, 64);
    [d[D_OFF], d[D_LEN], d[D_VNET_FLAGS], d[D_GSO_TYPE], d[D_HDR_LEN], d[D_GSO_SIZE], d[D_CSUM_START], d[D_CSUM_OFF]] =
      [64, plain.bytes.length, VNET_F_NEEDS_CSUM, GSO_TCPV4, plain.headers, 1000, plain.l4, 16];
    const expected = offloads ? [tagged.bytes] : expectedSegments({ ...fields, tags: [tci] }, 1000);
    // The kernel throws away what is sent before its link watcher has noticed that the new pair has carrier.
    let received = 0;
    for (let attempt = 0; attempt < 50 && received === 0; attempt++) {
      batch.txCount = 0;
      batch.send(0, 0, tci);
      t.is(loop.flush(1), 0);
      received = loop.rx(200);
    }
    t.is(received, expected.length);
    for (const [row, bytes] of expected.entries()) {
      const c = row * D_STRIDE;
      t.deepEqual(Buffer.from(batch.arena.subarray(d[c + D_OFF], d[c + D_OFF] + d[c + D_LEN])), Buffer.from(bytes));
      t.is(d[c + D_WIRE_LEN], bytes.length);
      t.is(d[c + D_PORT], 1);
    }
    if (offloads) {
      t.deepEqual([d[D_VNET_FLAGS], d[D_GSO_TYPE], d[D_GSO_SIZE], d[D_CSUM_START], d[D_CSUM_OFF]], [
        VNET_F_NEEDS_CSUM, GSO_TCPV4, 1000, tagged.l4, 16,
      ]);
    }
    loop.close();
    for (const fd of fds) closeFd(fd);
  }
});

/** The kernel's own VLAN interfaces at the far ends, where it has them. */
const vlan = (title: string, body: (t: ExecutionContext) => Promise<void>): void => {
  live(title, (t) => {
    const why = whyNoVlan();
    if (why === undefined) return body(t);
    t.log(`skipped: ${why}`);
    t.pass();
  });
};

vlan('tagged traffic between AF_PACKET and TAP', async (t) => {
  const lab = new Lab(t);
  const ports = [lab.veth(lab.a, 3, true), lab.tap(lab.b, 4, true)];
  for (const [ns, host] of [[lab.a, 1], [lab.b, 2]] as const) {
    run('ip', '-n', ns.name, 'address', 'flush', 'dev', 'e0');
    run('ip', '-n', ns.name, 'link', 'add', 'link', 'e0', 'name', 'v100', 'type', 'vlan', 'id', '100');
    ns.address('v100', host);
  }
  await lab.forward(...ports);
  lab.ping(t);
  await lab.transfer(t, lab.a, lab.b, '10.77.0.2', 10 * MB);
  await lab.transfer(t, lab.b, lab.a, 'fd77::1', 10 * MB);
  const report = await lab.stop();
  t.true(report.gso > 20, `${report.gso} super-frames`);
  t.deepEqual(report.failed, {});
});

vlan('trunk to access port: the tag is removed one way and inserted the other', async (t) => {
  const lab = new Lab(t);
  const trunk = lab.tap(lab.a, 3, true, (3 << 13) | 100);
  const access = lab.tap(lab.b, 2, true, TAG_STRIP);
  run('ip', '-n', lab.a.name, 'address', 'flush', 'dev', 'e0');
  run('ip', '-n', lab.a.name, 'link', 'add', 'link', 'e0', 'name', 'v100', 'type', 'vlan', 'id', '100');
  lab.a.address('v100', 1);
  await lab.forward(trunk, access);
  lab.ping(t);
  await lab.transfer(t, lab.a, lab.b, '10.77.0.2', 10 * MB);
  await lab.transfer(t, lab.b, lab.a, '10.77.0.1', 10 * MB);
  const report = await lab.stop();
  t.true(report.gso > 20, `${report.gso} super-frames`);
  t.deepEqual(report.failed, {});
});

live('a flooded port leaves room in every batch for the others', (t) => {
  const lab = new Lab(t);
  const batch = new FrameBatch(8);
  const loop = new IoLoop(batch.arena, batch.desc, batch.tx, 8);
  t.teardown(() => loop.close());
  const flood = lab.tap(lab.a, 1, true);
  const quiet = lab.tap(lab.b, 2, true);
  for (const [index, p] of [flood, quiet].entries()) loop.addPort(index, p.fd, p.kind, p.vnetHdrLen, p.mtu);
  for (const [ns, host] of [[lab.a, 9], [lab.b, 9]] as const) {
    run('ip', '-n', ns.name, 'neigh', 'add', `10.77.0.${host}`, 'lladdr', '02:00:00:00:00:09', 'dev', 'e0');
  }
  while (loop.rx(50) > 0); // what the interfaces say when they come up
  const send = (ns: Netns, count: number): void => {
    // Nobody answers, so ping exits 1: its frames are what we want.
    t.throws(() => ns.exec('ping', '-q', '-c', String(count), '-i', '0.002', '-W', '0.01', '10.77.0.9'));
  };
  send(lab.a, 60);
  send(lab.b, 3);
  const first = loop.rx(0);
  t.true(first >= 6 && first <= 8, `${first} frames: one round over both, as both are active`);
  const ports = Array.from({ length: first }, (_, row) => batch.desc[row * D_STRIDE + D_PORT]);
  t.true(ports.filter((p) => p === 1).length >= 3, `the quiet port has its share of the first batch: ${ports}`);
  let rest = 0;
  for (let n = loop.rx(0); n > 0; n = loop.rx(0)) rest += n;
  t.true(first + rest >= 63, `${rest} more frames follow`);
});

live('errors of a port: down, deleted, MTU', (t) => {
  const batch = new FrameBatch(4);
  const loop = new IoLoop(batch.arena, batch.desc, batch.tx, 4);
  const port = openTap(deviceName(), { offloads: true });
  t.regex(port.mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  t.is(port.mtu, 1500);
  t.is(port.vnetHdrLen, 10);
  t.teardown(() => {
    loop.close();
    closeFd(port.fd);
  });
  configureInterface(port.name, { mac: '02:00:00:aa:bb:cc', mtu: 1400 });
  t.regex(run('ip', 'link', 'show', port.name), /mtu 1400[\s\S]*02:00:00:aa:bb:cc/);
  loop.addPort(0, port.fd, PORT_TAP, port.vnetHdrLen, 1400);
  batch.desc[D_OFF] = 64;
  batch.desc[D_LEN] = 60;
  batch.send(0, 0);
  t.is(loop.flush(1), 1);
  t.is(batch.tx[T_STATUS], 5, 'EIO while the interface is down');
  configureInterface(port.name, { up: true });
  t.is(loop.flush(1), 0);
  batch.desc[D_LEN] = 1415;
  t.is(loop.flush(1), 1);
  t.is(batch.tx[T_STATUS], 90);
  t.throws(() => openTap(port.name, { offloads: true }), { code: 'EBUSY' });
  run('ip', 'link', 'del', port.name);
  for (let i = 0; i < 50 && loop.portError(0) === 0; i++) loop.rx(10);
  t.is(loop.portError(0), 77, 'EBADFD: the device is gone');
  batch.desc[D_LEN] = 60;
  t.is(loop.flush(1), 1);
  t.not(batch.tx[T_STATUS], 0);
});
