/** A switch on memory ports, and frames to feed it. */
import {
  FrameBatch,
  PROTO_TCP,
  PROTO_UDP,
  TCP_ACK,
  buildArpFrame,
  finishIpv4,
  finishIpv6,
  parseIp,
  parseMac,
  putEthernet,
  putIcmp,
  putIpv4,
  putIpv6,
  putTcp,
  putUdp,
  putVlan,
} from '../../../src/packet/index.js';
import { Counters, DROP_REASONS, P_CONSUMED, P_FORWARDED, P_RX_FRAMES } from '../../../src/pipeline/index.js';
import { ALLOW_ALL, MemoryPort, PortSet, Switch, type FrameOutput, type Inspector, type MemoryFrame, type SwitchOptions, type SwitchPortConfig } from '../../../src/vswitch/index.js';

export const MAC_A = '02:00:00:00:00:0a';
export const MAC_B = '02:00:00:00:00:0b';
export const MAC_C = '02:00:00:00:00:0c';
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
export const MULTICAST = '01:00:5e:00:00:fb';

export class Bench {
  readonly batch: FrameBatch;
  readonly counters: Counters;
  readonly ports: MemoryPort[] = [];
  readonly set: PortSet;
  readonly switch: Switch;

  constructor(
    configs: readonly (SwitchPortConfig | undefined)[],
    inspector: Inspector = ALLOW_ALL,
    options: SwitchOptions = {},
    batchSize = 64,
    output?: (batch: FrameBatch) => FrameOutput,
  ) {
    this.batch = new FrameBatch(batchSize);
    this.counters = new Counters(configs.length + 2);
    this.set = new PortSet(this.batch);
    for (const [index, config] of configs.entries()) {
      const port = new MemoryPort();
      this.ports.push(port);
      if (config !== undefined) this.set.add(index, port);
    }
    this.switch = new Switch(configs, this.batch, this.counters, inspector, output?.(this.batch) ?? this.set, options);
  }

  /** Run until no frame waits. */
  run(nowSec = 0, nowUsec = 0): void {
    while (this.set.poll(0) > 0) this.switch.processBatch(nowSec, nowUsec);
  }

  /** One frame in by `port`. @returns the ports it left by, ascending */
  forward(port: number, frame: Uint8Array | MemoryFrame, nowSec = 0, nowUsec = 0): number[] {
    this.ports[port]!.put(frame);
    this.run(nowSec, nowUsec);
    return this.ports.flatMap((p, i) => p.take().map(() => i));
  }

  /** One frame in by `port`. @returns the name of its drop reason, or "forwarded" / "consumed" */
  fate(port: number, frame: Uint8Array | MemoryFrame, nowSec = 0, nowUsec = 0): string {
    const before = this.totals(port);
    this.forward(port, frame, nowSec, nowUsec);
    const changed = [...this.totals(port)].filter(([name, n]) => n !== before.get(name)).map(([name]) => name);
    return changed.join('+');
  }

  totals(port: number): Map<string, number> {
    const totals = new Map<string, number>([
      ['forwarded', this.counters.port(port, P_FORWARDED)],
      ['consumed', this.counters.port(port, P_CONSUMED)],
    ]);
    for (let r = 1; r < DROP_REASONS.length; r++) totals.set(DROP_REASONS[r]!.name, this.counters.dropped(port, r));
    return totals;
  }

  /** Sum over all ports of received frames, and of those that are unaccounted for. */
  account(): { received: number; unaccounted: number } {
    let received = 0;
    let unaccounted = 0;
    for (let p = 0; p < this.counters.ports; p++) {
      received += this.counters.port(p, P_RX_FRAMES);
      unaccounted += Math.abs(this.counters.unaccounted(p));
    }
    return { received, unaccounted };
  }
}

const scratch = new Uint8Array(70000);

function link(dst: string, src: string, type: number, tags: readonly number[], tpid = 0x8100): number {
  const d = parseMac(dst);
  const s = parseMac(src);
  let at = putEthernet(scratch, 0, d.hi, d.lo, s.hi, s.lo, tags.length > 0 ? tpid : type);
  for (const [i, tci] of tags.entries()) at = putVlan(scratch, at, tci, i + 1 < tags.length ? 0x8100 : type);
  return at;
}

export interface FrameOptions {
  /** TCIs, outer first. */
  readonly tags?: readonly number[];
  readonly tpid?: number;
  readonly src?: string;
  readonly dst?: string;
  readonly sport?: number;
  readonly dport?: number;
  readonly payload?: number;
}

/** UDP over IPv4, or over IPv6 when `src` is such an address. */
export function udp(dstMac: string, srcMac: string, options: FrameOptions = {}): Uint8Array {
  return ip(dstMac, srcMac, PROTO_UDP, options, (at) => putUdp(scratch, at, options.sport ?? 1000, options.dport ?? 2000));
}

export function tcp(dstMac: string, srcMac: string, options: FrameOptions = {}): Uint8Array {
  return ip(dstMac, srcMac, PROTO_TCP, options, (at) => putTcp(scratch, at, options.sport ?? 1000, options.dport ?? 80, 1000, 2000, TCP_ACK, 512));
}

/** ICMPv6 with the bytes `rest` behind the first word. */
export function icmpv6(dstMac: string, srcMac: string, type: number, rest: readonly number[], options: FrameOptions = {}): Uint8Array {
  const base = { src: 'fe80::a', dst: 'ff02::1', payload: 0, ...options };
  return ip(dstMac, srcMac, 58, base, (at) => {
    putIcmp(scratch, at, type, 0, 0);
    scratch.set(rest, at + 4);
    return at + 4 + rest.length;
  });
}

function ip(dstMac: string, srcMac: string, proto: number, options: FrameOptions, transport: (at: number) => number): Uint8Array {
  const src = parseIp(options.src ?? '10.0.0.1').words;
  const dst = parseIp(options.dst ?? (src.length === 1 ? '10.0.0.2' : 'fd00::2')).words;
  const v4 = src.length === 1;
  const l3 = link(dstMac, srcMac, v4 ? 0x0800 : 0x86dd, options.tags ?? [], options.tpid);
  const at = v4
    ? putIpv4(scratch, l3, src[0]!, dst[0]!, proto, 64)
    : putIpv6(scratch, l3, src[0]!, src[1]!, src[2]!, src[3]!, dst[0]!, dst[1]!, dst[2]!, dst[3]!, proto, 255);
  const payload = transport(at);
  const end = payload + (options.payload ?? 20);
  for (let i = payload; i < end; i++) scratch[i] = (i - payload) * 7;
  if (v4) finishIpv4(scratch, l3, end);
  else finishIpv6(scratch, l3, end);
  return scratch.slice(0, end);
}

export function arp(srcMac: string, senderMac: string, senderIp: string, dstMac = BROADCAST): Uint8Array {
  const s = parseMac(senderMac);
  const end = buildArpFrame(scratch, 0, 1, s.hi, s.lo, parseIp(senderIp).words[0]!, 0, 0, parseIp('10.0.0.9').words[0]!);
  const frame = scratch.slice(0, end);
  frame.set(macBytes(dstMac), 0);
  frame.set(macBytes(srcMac), 6);
  return frame;
}

/** Ethernet frame of any type. */
export function raw(dstMac: string, srcMac: string, type: number, body: readonly number[] = Array.from({ length: 46 }, () => 0), tags: readonly number[] = []): Uint8Array {
  const at = link(dstMac, srcMac, type, tags);
  scratch.set(body, at);
  return scratch.slice(0, at + body.length);
}

export function macBytes(text: string): number[] {
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}
