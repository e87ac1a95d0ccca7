/**
 * Sends frames on an interface through the addon's own packet socket, as fast as asked: the traffic generator of live tests and
 * of bench/floods.mjs. Runs inside a network namespace as a program of its own.
 *
 *   node raw-frames.js INTERFACE frames HEX...
 *   node raw-frames.js INTERFACE flood KIND SECONDS RATE SRC_MAC DST_MAC SRC_IP DST_IP      RATE in frames/s, 0 = as fast as possible
 *
 * KIND: syn (new port each), udp (new port each), fragment (first fragments that are never completed), arp (broadcast requests),
 * mac (new source MAC each), good (one UDP datagram, the same each time). Prints what it sent as JSON.
 */
import {
  D_LEN, D_OFF, D_STRIDE, FrameBatch, TCP_SYN, T_STATUS, T_STRIDE, buildArpFrame, finishIpv4, parseIp, parseMac, putEthernet, putIpv4, putTcp, putUdp,
} from '../../src/packet/index.js';
import { putBe16 } from '../../src/util/index.js';
import { AfPacketPort, PortSet } from '../../src/vswitch/index.js';

export const FLOODS = ['syn', 'udp', 'fragment', 'arp', 'mac', 'good'] as const;
export type Flood = (typeof FLOODS)[number];

export interface Ends {
  readonly srcMac: { hi: number; lo: number };
  readonly dstMac: { hi: number; lo: number };
  readonly src: number;
  readonly dst: number;
}

/** Bytes of payload; of a first fragment enough for the appliance's floor, and with a UDP header a multiple of eight. */
const BODY = 18;
const FRAGMENT_BODY = 112;
const MOST_BYTES = 256;

/** Write frame number `n` of a flood. @returns its length */
export function floodFrame(kind: Flood, buf: Uint8Array, at: number, n: number, e: Ends): number {
  const port = 1024 + (n % 60_000);
  if (kind === 'arp') return buildArpFrame(buf, at, 1, e.srcMac.hi, e.srcMac.lo, e.src, 0, 0, (e.dst & ~0xff) | (n & 0xff)) - at;
  const l3 = kind === 'mac' ? putEthernet(buf, at, e.dstMac.hi, e.dstMac.lo, 0x0200 | ((n >>> 16) & 0xff), n | 0, 0x0800) : putEthernet(buf, at, e.dstMac.hi, e.dstMac.lo, e.srcMac.hi, e.srcMac.lo, 0x0800);
  if (kind === 'syn') {
    const end = putTcp(buf, putIpv4(buf, l3, e.src, e.dst, 6, 64), port, 1 + (Math.floor(n / 60_000) % 65_000), n, 0, TCP_SYN, 1024, 0);
    finishIpv4(buf, l3, end);
    return end - at;
  }
  const body = kind === 'fragment' ? FRAGMENT_BODY : BODY;
  const end = putUdp(buf, putIpv4(buf, l3, e.src, e.dst, 17, 64), kind === 'good' ? 9 : port, kind === 'good' ? 9 : 1 + (Math.floor(n / 60_000) % 65_000)) + body;
  buf.fill(n & 0xff, end - body, end);
  finishIpv4(buf, l3, end);
  if (kind === 'fragment') {
    // More fragments to come, which never do. finishIpv4 summed the header: sum it again with the new words.
    putBe16(buf, l3 + 4, n & 0xffff);
    putBe16(buf, l3 + 6, 0x2000);
    const word = ((n >>> 16) & 0x3fff) ^ (e.src & 0xffff);
    putBe16(buf, l3 + 14, word);
    putBe16(buf, l3 + 10, 0);
    let sum = 0;
    for (let i = 0; i < 20; i += 2) sum += (buf[l3 + i]! << 8) | buf[l3 + i + 1]!;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    putBe16(buf, l3 + 10, ~sum & 0xffff);
  }
  return end - at;
}

function open(device: string): { set: PortSet; batch: FrameBatch } {
  const batch = new FrameBatch(64);
  const set = new PortSet(batch);
  set.add(0, new AfPacketPort({ interface: device, offloads: false, promiscuous: false }));
  return { set, batch };
}

function flush(set: PortSet, batch: FrameBatch): number {
  const count = batch.txCount;
  set.flush(count);
  let sent = 0;
  for (let i = 0; i < count; i++) if (batch.tx[i * T_STRIDE + T_STATUS] === 0) sent++;
  return sent;
}

function frames(device: string, list: readonly string[]): number {
  const { set, batch } = open(device);
  let sent = 0;
  for (const hex of list) {
    const bytes = Buffer.from(hex, 'hex');
    batch.reset();
    const row = batch.inject(bytes.length, 0, 0, 0);
    batch.arena.set(bytes, batch.desc[row * D_STRIDE + D_OFF]!);
    batch.send(row, 0);
    sent += flush(set, batch);
  }
  set.close();
  return sent;
}

function flood(device: string, kind: Flood, seconds: number, rate: number, ends: Ends): number {
  const { set, batch } = open(device);
  const started = performance.now();
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let n = 0;
  let sent = 0;
  for (;;) {
    const elapsed = (performance.now() - started) / 1000;
    if (elapsed >= seconds) break;
    if (rate > 0 && n > elapsed * rate) {
      Atomics.wait(pause, 0, 0, Math.max(1, ((n - elapsed * rate) / rate) * 1000));
      continue;
    }
    batch.reset();
    for (let i = 0; i < 64; i++) {
      const row = batch.inject(MOST_BYTES, 0, 0, 0);
      const d = row * D_STRIDE;
      batch.desc[d + D_LEN] = floodFrame(kind, batch.arena, batch.desc[d + D_OFF]!, n++, ends);
      batch.send(row, 0);
    }
    sent += flush(set, batch);
  }
  set.close();
  return sent;
}

function main([device, what, ...rest]: string[]): void {
  let sent: number;
  if (what === 'frames') sent = frames(device!, rest);
  else {
    const [kind, seconds, rate, srcMac, dstMac, src, dst] = rest;
    if (!FLOODS.includes(kind as Flood)) throw new Error(`kind must be one of ${FLOODS.join(', ')}`);
    sent = flood(device!, kind as Flood, Number(seconds), Number(rate), { srcMac: parseMac(srcMac!), dstMac: parseMac(dstMac!), src: parseIp(src!).words[0]!, dst: parseIp(dst!).words[0]! });
  }
  process.stdout.write(`${JSON.stringify({ sent })}\n`);
}

if (process.argv[1]?.endsWith('raw-frames.js')) main(process.argv.slice(2));
