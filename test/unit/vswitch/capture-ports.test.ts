import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { FrameBatch, GSO_TCPV4, LinkType, PacketView, PcapWriter, CSUM_OK, decode, openCapture, pseudoHeaderSum, verifyTransportChecksum } from '../../../src/packet/index.js';
import { Counters, P_RX_FRAMES } from '../../../src/pipeline/index.js';
import { ALLOW_ALL, PcapMirror, PcapPort, PortSet, Switch, createPort, type SwitchPortConfig } from '../../../src/vswitch/index.js';
import { BROADCAST, Bench, MAC_A, MAC_B, MAC_C, tcp, udp } from './harness.js';

const dir = mkdtempSync(join(tmpdir(), 'vswitch-'));
test.after.always(() => rmSync(dir, { recursive: true, force: true }));
let serial = 0;
const path = (suffix = 'pcap') => join(dir, `${serial++}.${suffix}`);

/** Frames of a capture with their times. */
function readAll(file: string): { bytes: Uint8Array; sec: number; usec: number; wire: number }[] {
  const source = openCapture(file);
  const batch = new FrameBatch(16);
  const frames: { bytes: Uint8Array; sec: number; usec: number; wire: number }[] = [];
  while (source.fillBatch(batch) > 0) {
    for (let r = 0; r < batch.rxCount; r++) {
      const d = batch.desc.subarray(r * 16, r * 16 + 16);
      frames.push({ bytes: batch.arena.slice(d[1], d[1]! + d[2]!), sec: d[10]!, usec: d[11]!, wire: d[3]! });
    }
  }
  if (source.error !== null) throw source.error;
  return frames;
}

function writeAll(file: string, frames: readonly Uint8Array[], linkType: number = LinkType.ETHERNET): void {
  const writer = new PcapWriter(file, { linkType });
  for (const [i, bytes] of frames.entries()) writer.write(bytes, 0, bytes.length, bytes.length, 100 + i, i);
  writer.close();
}

/** Run capture ports through a switch until the sources end. */
function replay(configs: readonly SwitchPortConfig[], ports: readonly PcapPort[], batchSize = 8): Counters {
  const batch = new FrameBatch(batchSize);
  const set = new PortSet(batch);
  for (const [i, port] of ports.entries()) set.add(i, port);
  const counters = new Counters(configs.length);
  const sw = new Switch(configs, batch, counters, ALLOW_ALL, set);
  while (!set.ended) {
    set.poll(-1);
    sw.processBatch(0);
  }
  set.close();
  return counters;
}

test('a capture through a virtual wire is the same capture', (t) => {
  const frames = Array.from({ length: 100 }, (_, i) => udp(MAC_B, MAC_A, { payload: i }));
  const [input, output] = [path(), path()];
  writeAll(input, frames);
  const counters = replay([{ name: 'in', forwardTo: 'out', role: 'uplink' }, { name: 'out' }], [new PcapPort({ read: input }), new PcapPort({ write: output })]);
  t.deepEqual(readAll(output), readAll(input));
  t.is(counters.port(0, P_RX_FRAMES), 100);
  t.is(counters.unaccounted(0), 0);
});

test('captures without Ethernet pass a virtual wire, and are refused by a file of another link type', (t) => {
  const frames = [udp(MAC_B, MAC_A).slice(14)];
  const [input, output] = [path(), path()];
  writeAll(input, frames, LinkType.RAW);
  const wire: SwitchPortConfig[] = [{ name: 'in', forwardTo: 'out' }, { name: 'out' }];
  replay(wire, [new PcapPort({ read: input }), new PcapPort({ write: output, linkType: LinkType.RAW })]);
  t.deepEqual(readAll(output).map((f) => f.bytes), frames);
  const counters = replay(wire, [new PcapPort({ read: input }), new PcapPort({ write: path() })]);
  t.is(counters.dropTotal(0), 1);
});

test('two captures share the batch fairly and both end', (t) => {
  const [a, b] = [path(), path()];
  writeAll(a, Array.from({ length: 500 }, () => udp(BROADCAST, MAC_A)));
  writeAll(b, Array.from({ length: 20 }, () => udp(BROADCAST, MAC_B)));
  const counters = replay([{ name: 'a' }, { name: 'b' }], [new PcapPort({ read: a, write: path() }), new PcapPort({ read: b, write: path('pcapng') })]);
  t.is(counters.port(0, P_RX_FRAMES), 500);
  t.is(counters.port(1, P_RX_FRAMES), 20);
});

test('a damaged capture gives what is there, then its error', (t) => {
  const [whole, cut] = [path(), path()];
  writeAll(whole, [udp(MAC_B, MAC_A), udp(MAC_B, MAC_A)]);
  const source = openCapture(whole);
  source.close();
  const port = new PcapPort({ read: cut });
  t.throws(() => port.open({ wakeFd: -1 }), { code: 'ENOENT' });
  writeFileSync(cut, 'no capture at all');
  t.throws(() => new PcapPort({ read: cut }).open({ wakeFd: -1 }), { message: /not a capture file/ });
  t.throws(() => createPort({ name: 'x', type: 'pcap' } as never), { message: /read, write or both/ });
});

test('a mirror file holds the frames of the port, as a cable would have carried them', (t) => {
  const file = path();
  const bench = new Bench([{ name: 'a' }, { name: 'b' }, { name: 'c', vlan: { mode: 'trunk', native: 9, allowed: [1] } }]);
  const mirror = new PcapMirror({ file, ports: [0], direction: 'in' });
  bench.switch.observers.push(mirror);
  const plain = udp(BROADCAST, MAC_A);
  const big = tcp(BROADCAST, MAC_A, { payload: 3000 });
  const sum = pseudoHeaderSum(big, 14, 4, 6, big.length - 34);
  big[50] = sum >>> 8;
  big[51] = sum;
  bench.ports[0]!.put({ bytes: plain, tsSec: 7, tsUsec: 8 });
  bench.ports[0]!.put({ bytes: big, vnetFlags: 1, csumStart: 34, csumOff: 16, gsoType: GSO_TCPV4, gsoSize: 1448, tsSec: 9 });
  bench.ports[1]!.put(udp(BROADCAST, MAC_B));
  bench.run();
  mirror.close();
  const got = readAll(file);
  t.is(got.length, 4);
  t.deepEqual(got[0], { bytes: plain, sec: 7, usec: 8, wire: plain.length });
  const view = new PacketView();
  for (const [i, { bytes, sec }] of got.slice(1).entries()) {
    decode(view, bytes, 0, bytes.length, LinkType.ETHERNET);
    t.is(verifyTransportChecksum(view), CSUM_OK);
    t.is(view.payloadLen, i === 2 ? 104 : 1448);
    t.is(sec, 9);
  }
  t.deepEqual(bench.ports[1]!.take().slice(1), got.slice(1).map((f) => f.bytes), 'the other port was sent the same');
});

test('mirror filters: VLAN, egress with its tag, dropped only', (t) => {
  const bench = new Bench([{ name: 'a', mac: MAC_A }, { name: 'b' }, { name: 'trunk', role: 'uplink', vlan: { mode: 'trunk' } }, { name: 'other', vlan: { mode: 'access', id: 5 } }]);
  const files = { out: path(), vlan: path(), dropped: path() };
  const mirrors = [
    new PcapMirror({ file: files.out, ports: [2], direction: 'out' }),
    new PcapMirror({ file: files.vlan, vlans: [5], direction: 'in' }),
    new PcapMirror({ file: files.dropped, droppedOnly: true }),
  ];
  bench.switch.observers.push(...mirrors);
  bench.forward(0, udp(BROADCAST, MAC_A));
  bench.forward(0, udp(MAC_B, MAC_C));
  bench.forward(3, udp(BROADCAST, MAC_B));
  for (const mirror of mirrors) mirror.close();
  t.deepEqual(readAll(files.out).map((f) => f.bytes), [udp(BROADCAST, MAC_A, { tags: [1] }), udp(BROADCAST, MAC_B, { tags: [5] })]);
  t.deepEqual(readAll(files.vlan).map((f) => f.bytes), [udp(BROADCAST, MAC_B)]);
  t.deepEqual(readAll(files.dropped).map((f) => f.bytes), [udp(MAC_B, MAC_C)]);
});

test('mirror bounds: rotation, sampling, rate', (t) => {
  const file = path();
  const bench = new Bench([{ name: 'a' }, { name: 'b' }]);
  const rotating = new PcapMirror({ file, maxFileBytes: 4096, maxFiles: 3, direction: 'in' });
  const sampled = new PcapMirror({ file: path(), sample: 10, direction: 'in' });
  const limited = new PcapMirror({ file: path(), framesPerSecond: 5, direction: 'in' });
  bench.switch.observers.push(rotating, sampled, limited);
  for (let i = 0; i < 100; i++) bench.ports[0]!.put({ bytes: udp(BROADCAST, MAC_A, { payload: 300 }), tsSec: i < 50 ? 1 : 2 });
  bench.run();
  for (const mirror of [rotating, sampled, limited]) mirror.close();
  t.is(rotating.written, 100);
  t.deepEqual(readdirSync(dir).filter((name) => join(dir, name).startsWith(file)).sort(), ['', '.1', '.2'].map((s) => file.slice(dir.length + 1) + s));
  for (const suffix of ['', '.1', '.2']) t.true(statSync(file + suffix).size <= 4096 && readAll(file + suffix).length > 0);
  t.false(existsSync(`${file}.3`));
  t.is(sampled.written, 10);
  t.is(limited.written, 10);
  t.is(limited.limited, 90);
  t.throws(() => new PcapMirror({ file: path(), maxFiles: 0 }), { instanceOf: RangeError });
  t.throws(() => new PcapMirror({ file: join(file, 'x.pcap') }), { code: 'EEXIST' }, 'a folder whose name is a file');
});

test('a mirror whose disk fails stops and says why; the frames go on', (t) => {
  const bench = new Bench([{ name: 'a' }, { name: 'b' }]);
  const mirror = new PcapMirror({ file: path(), direction: 'in', maxFileBytes: 4096, maxFiles: 1 });
  bench.switch.observers.push(mirror);
  mirror.close();
  t.deepEqual(bench.forward(0, udp(BROADCAST, MAC_A)), [1]);
  t.is(mirror.failed, 1);
});
