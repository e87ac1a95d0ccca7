/**
 * Nanoseconds per packet for decoding and for reading capture files.
 *
 *   node dist/bench/decode.js [--json OUT] [FILE.pcap | DIRECTORY ...]
 *
 * Without files only synthetic frames are measured. Each figure is the best of several repetitions: on a shared machine
 * the best one is the least disturbed one. Files are loaded into batches before the clock starts, so that the decoder is
 * measured and not the disk; `read` lines measure openCapture + fillBatch alone.
 */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import {
  D_LEN,
  D_LINK_TYPE,
  D_OFF,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_VLAN,
  FrameBatch,
  LinkType,
  PROTO_TCP,
  PROTO_UDP,
  PacketView,
  decodeBatchRow,
  finishIpv4,
  finishIpv6,
  openCapture,
  putEthernet,
  putIpv4,
  putIpv6,
  putTcp,
  putUdp,
  putVlan,
  D_STRIDE,
} from '../src/packet/index.js';

interface Figure {
  name: string;
  packets: number;
  nsPerPacket: number;
}

const REPEAT = 7;
const ROUND = 2_000_000;

/** Best time of one pass over the batches, each decoded often enough to be measurable. */
function measure(name: string, batches: readonly FrameBatch[]): Figure {
  const view = new PacketView();
  const packets = batches.reduce((sum, batch) => sum + batch.rxCount, 0);
  const loops = Math.max(1, Math.ceil(ROUND / packets));
  let best = Infinity;
  let sink = 0;
  for (let r = 0; r < REPEAT; r++) {
    const start = performance.now();
    for (let loop = 0; loop < loops; loop++) {
      for (const batch of batches) {
        for (let row = 0; row < batch.rxCount; row++) {
          decodeBatchRow(view, batch, row);
          sink ^= view.payloadOff + view.eventCount;
        }
      }
    }
    best = Math.min(best, performance.now() - start);
  }
  if (sink === 0x7fffffff) console.log(sink);
  return { name, packets, nsPerPacket: (best * 1e6) / (packets * loops) };
}

/** A batch with 64 copies of what `build` writes. */
function synthetic(build: (buf: Uint8Array, at: number, i: number) => number): FrameBatch[] {
  const batch = new FrameBatch(64, 0);
  for (let i = 0; i < 64; i++) {
    const at = batch.arenaUsed;
    const end = build(batch.arena, at, i);
    const d = i * D_STRIDE;
    batch.desc[d + D_OFF] = at;
    batch.desc[d + D_LEN] = end - at;
    batch.desc[d + D_LINK_TYPE] = LinkType.ETHERNET;
    batch.arenaUsed = (end + 63) & ~63;
  }
  batch.rxCount = 64;
  return [batch];
}

function tcp4(buf: Uint8Array, at: number, i: number, options: number, payload: number, tagged: boolean): number {
  let l3 = putEthernet(buf, at, 0x0200, i, 0x0200, i + 1, tagged ? ETHERTYPE_VLAN : ETHERTYPE_IPV4);
  if (tagged) l3 = putVlan(buf, l3, 42, ETHERTYPE_IPV4);
  const l4 = putIpv4(buf, l3, 0x0a000001 + i, 0x0a000101, PROTO_TCP, 64);
  const body = putTcp(buf, l4, 40000 + i, 80, i, i, 0x10, 512, options);
  if (options === 12) buf.set([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], l4 + 20);
  if (options === 20) buf.set([2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7], l4 + 20);
  finishIpv4(buf, l3, body + payload);
  return body + payload;
}

function udp6(buf: Uint8Array, at: number, i: number): number {
  const l3 = putEthernet(buf, at, 0x0200, i, 0x0200, i + 1, ETHERTYPE_IPV6);
  const l4 = putIpv6(buf, l3, 0x20010db8, 0, 0, i, 0x20010db8, 0, 0, 1, PROTO_UDP, 64);
  const body = putUdp(buf, l4, 40000 + i, 53);
  finishIpv6(buf, l3, body + 40);
  return body + 40;
}

/** All frames of a file, copied into as many batches as they need. */
function load(path: string): FrameBatch[] {
  const source = openCapture(path);
  const batches: FrameBatch[] = [];
  const batch = new FrameBatch(64, 0);
  while (source.fillBatch(batch) > 0) {
    // The arena of a batch is sized for super-frames; keep only what is used.
    const kept = Object.assign(Object.create(FrameBatch.prototype) as FrameBatch, batch, {
      arena: batch.arena.slice(0, batch.arenaUsed),
      desc: batch.desc.slice(),
    });
    batches.push(kept);
  }
  return batches;
}

function readSpeed(path: string): Figure {
  const batch = new FrameBatch(64, 0);
  let best = Infinity;
  let packets = 0;
  for (let r = 0; r < 3; r++) {
    const start = performance.now();
    const source = openCapture(path);
    while (source.fillBatch(batch) > 0);
    packets = source.frames;
    best = Math.min(best, performance.now() - start);
  }
  return { name: `read ${path}`, packets, nsPerPacket: (best * 1e6) / Math.max(1, packets) };
}

function captures(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(pcap|pcapng)(\.gz)?$/.test(name))
    .map((name) => join(path, name));
}

const args = process.argv.slice(2);
const jsonAt = args.indexOf('--json');
const json = jsonAt >= 0 ? args.splice(jsonAt, 2)[1] : undefined;
const figures: Figure[] = [
  measure('IPv4 TCP, no options, 64 B', synthetic((buf, at, i) => tcp4(buf, at, i, 0, 6, false))),
  measure('IPv4 TCP, timestamps, 1514 B', synthetic((buf, at, i) => tcp4(buf, at, i, 12, 1448, false))),
  measure('IPv4 TCP SYN, five options', synthetic((buf, at, i) => tcp4(buf, at, i, 20, 0, false))),
  measure('VLAN IPv4 TCP', synthetic((buf, at, i) => tcp4(buf, at, i, 12, 100, true))),
  measure('IPv6 UDP', synthetic(udp6)),
];
for (const path of args) {
  const files = captures(path);
  const batches = files.flatMap(load);
  if (batches.length > 0) figures.push(measure(`decode ${path} (${files.length} files)`, batches));
  for (const file of files) if (statSync(file).size > 10e6) figures.push(readSpeed(file));
}
for (const { name, packets, nsPerPacket } of figures) {
  console.log(`${name.padEnd(60)} ${nsPerPacket.toFixed(1).padStart(7)} ns/packet ${(1000 / nsPerPacket).toFixed(1).padStart(6)} Mpps  (${packets} packets)`);
}
if (json !== undefined) writeFileSync(json, `${JSON.stringify(figures, null, 2)}\n`);
