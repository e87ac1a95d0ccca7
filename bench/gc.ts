/**
 * Garbage collection of the whole data plane under load: switch, firewall-less connection tracking, reassembly, application
 * parsers, IPS with the shipped rules, from one port to another.
 *
 *   node dist/bench/gc.js [--seconds N, default 10 per case] [--case NAME] [--json OUT]
 *
 * Cases: `established` - datagrams and TCP segments of flows that exist, the steady state in which nothing may be allocated;
 * `connections` - every tenth frame opens a connection, one in three of them an HTTP exchange, whose transactions are objects.
 * Bytes per frame come from the chunks of work during which no collection ran.
 */
import { writeFileSync } from 'node:fs';
import { PerformanceObserver, performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { registryOf } from '../src/appliance/build.js';
import { replaySettings } from '../src/appliance/engine-settings.js';
import { NullSink } from '../src/appliance/events/sink.js';
import { installNativeParts } from '../src/appliance/native-parts.js';
import { compileRules, readRuleFiles } from '../src/appliance/rule-files.js';
import { Session, type SessionPort } from '../src/appliance/session.js';
import { D_FRAME_NO, D_LINK_TYPE, D_OFF, D_STRIDE, D_VNET_FLAGS, D_WIRE_LEN, LinkType, TCP_ACK, TCP_SYN, type FrameBatch } from '../src/packet/index.js';
import { putBe32 } from '../src/util/index.js';
import type { JsPort } from '../src/vswitch/index.js';
import { Traffic } from './traffic.js';

const RULES = ['malware', 'network-services', 'product-exploits', 'scanners', 'web-attacks'].map((name) => `rules/${name}.rules`);
const CHUNK = 4000;
const SLOT = 2048;
const FLOWS = 1000;
const SEGMENT = 512;
const BATCH = 64;
/** Frames to the second of packet time. */
const RATE = 500_000;

/** Frames in one block of memory, handed out again and again. */
class LoopPort implements JsPort {
  readonly type = 'loop';
  readonly kind = 'js';
  readonly wakes = false;
  readonly ended = false;
  readonly lost = 0;
  pending = true;
  readonly #block: Uint8Array;
  readonly #lengths: Int32Array;
  /** TCP flow of a frame, -1 = none: its sequence number moves on by SEGMENT each time. */
  readonly #flow: Int32Array;
  readonly #seq = new Int32Array(FLOWS).fill(1001);
  #next: number;
  readonly #from: number;
  #clock = 0;

  /** @param once frames at the beginning that are handed out only the first time */
  constructor(frames: readonly { readonly bytes: Uint8Array; readonly flow: number }[], once: number) {
    this.#block = new Uint8Array(frames.length * SLOT);
    this.#lengths = Int32Array.from(frames, (f) => f.bytes.length);
    this.#flow = Int32Array.from(frames, (f) => f.flow);
    frames.forEach((f, i) => this.#block.set(f.bytes, i * SLOT));
    this.#next = 0;
    this.#from = once;
  }

  open(): void {
    this.#next = 0;
  }

  close(): void {
    this.pending = false;
  }

  receive(batch: FrameBatch, index: number, limit: number): number {
    const count = Math.min(limit, BATCH);
    for (let i = 0; i < count; i++) {
      const at = this.#next * SLOT;
      const len = this.#lengths[this.#next]!;
      const tick = ++this.#clock;
      const row = batch.inject(len, index, 1_700_000_000 + Math.floor(tick / RATE), (tick % RATE) * 2);
      if (row < 0) return i;
      batch.rxCount = batch.descCount;
      const d = row * D_STRIDE;
      const to = batch.desc[d + D_OFF]!;
      for (let k = 0; k < len; k++) batch.arena[to + k] = this.#block[at + k]!;
      batch.desc[d + D_WIRE_LEN] = len;
      batch.desc[d + D_VNET_FLAGS] = 0;
      batch.desc[d + D_FRAME_NO] = 0;
      batch.desc[d + D_LINK_TYPE] = LinkType.ETHERNET;
      const flow = this.#flow[this.#next]!;
      if (flow >= 0) this.#advance(batch.arena, to, flow, len);
      if (++this.#next === this.#lengths.length) this.#next = this.#from;
    }
    return count;
  }

  /** Data goes on where the last segment of the flow ended; acknowledgements follow. */
  #advance(arena: Uint8Array, at: number, flow: number, len: number): void {
    if (len > 200) {
      putBe32(arena, at + 38, this.#seq[flow]!);
      this.#seq[flow] = (this.#seq[flow]! + SEGMENT) | 0;
    } else putBe32(arena, at + 42, this.#seq[flow]!);
  }

  send(): number {
    return 0;
  }
}

interface Frame {
  readonly bytes: Uint8Array;
  readonly flow: number;
}

/** Flows that are opened once, then one datagram, one segment and its acknowledgement of each in turn. */
function established(): { frames: Frame[]; once: number } {
  const frames: Frame[] = [];
  let flow = -1;
  const traffic = new Traffic((buf, len) => void frames.push({ bytes: buf.slice(0, len), flow }));
  const data = new Uint8Array(SEGMENT).map((_, i) => 128 + (i % 100));
  const none = data.subarray(0, 0);
  for (let i = 0; i < FLOWS; i++) {
    traffic.tcp(true, 0x0a000001 + i, 20_000, 7000, 1000, 0, TCP_SYN, none);
    traffic.tcp(false, 0x0a000001 + i, 20_000, 7000, 5000, 1001, TCP_SYN | TCP_ACK, none);
    traffic.tcp(true, 0x0a000001 + i, 20_000, 7000, 1001, 5001, TCP_ACK, none);
  }
  const once = frames.length;
  for (let i = 0; i < FLOWS; i++) {
    flow = -1;
    traffic.udp(true, 0x0a000001 + i, 30_000, 7001, data.subarray(0, 18));
    traffic.udp(false, 0x0a000001 + i, 30_000, 7001, data.subarray(0, 18));
    flow = i;
    traffic.tcp(true, 0x0a000001 + i, 20_000, 7000, 1001, 5001, TCP_ACK, data);
    traffic.tcp(false, 0x0a000001 + i, 20_000, 7000, 5001, 1001, TCP_ACK, none);
  }
  return { frames, once };
}

/** Connections that come and go. */
function connections(): { frames: Frame[]; once: number } {
  const frames: Frame[] = [];
  const traffic = new Traffic((buf, len) => void frames.push({ bytes: buf.slice(0, len), flow: -1 }));
  for (let i = 0; i < 2000; i++) traffic.connection(0x0a000000 + i, 1024 + i, i % 3 === 0);
  return { frames, once: 0 };
}

interface Figure {
  readonly name: string;
  readonly kpps: number;
  readonly bytesPerFrame: number;
  readonly collections: number;
  readonly maxPauseMs: number;
  readonly pausesOver2ms: number;
}

async function measure(name: string, input: { frames: Frame[]; once: number }, seconds: number): Promise<Figure> {
  const settings = replaySettings();
  const registry = registryOf(settings);
  const port = new LoopPort(input.frames, input.once);
  const common = { vm: -1, ips: 'prevent', failOpenEngine: false, failOpenSanity: true } as const;
  const ports: SessionPort[] = [
    { config: { name: 'in', role: 'uplink', forwardTo: 'out' }, port, ...common },
    { config: { name: 'out', role: 'uplink' }, port: new LoopPort([], 0), ...common },
  ];
  const session = new Session({
    settings, ports, vmNames: [], vmPolicies: [], firewall: null, registry, seed: 1,
    rules: compileRules(readRuleFiles(RULES), registry, settings),
    events: { sink: new NullSink(), types: new Set(), packetSource: 'bench', dropsPerSecond: 0 },
    onEngineError: (text) => {
      throw new Error(text);
    },
  });
  const chunk = (): number => {
    let n = 0;
    for (let i = 0; i < CHUNK; i++) {
      n += session.step(0);
      session.maintain(1_700_000_000);
    }
    return n;
  };
  const turn = (): Promise<void> => new Promise((settle) => setImmediate(settle));
  for (const end = performance.now() + 3000; performance.now() < end; ) {
    chunk();
    await turn();
  }
  const pauses: number[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) pauses.push(entry.duration);
  });
  observer.observe({ entryTypes: ['gc'] });
  let frames = 0;
  let quietFrames = 0;
  let quietBytes = 0;
  const started = performance.now();
  while (performance.now() - started < seconds * 1000) {
    await turn();
    const seen = pauses.length;
    const before = process.memoryUsage().heapUsed;
    const n = chunk();
    const grown = process.memoryUsage().heapUsed - before;
    await turn();
    frames += n;
    if (pauses.length !== seen || grown < 0) continue;
    quietFrames += n;
    quietBytes += grown;
  }
  const elapsed = (performance.now() - started) / 1000;
  observer.disconnect();
  session.close();
  return {
    name,
    kpps: frames / elapsed / 1000,
    bytesPerFrame: quietFrames === 0 ? Number.NaN : quietBytes / quietFrames,
    collections: pauses.length,
    maxPauseMs: Math.max(0, ...pauses),
    pausesOver2ms: pauses.filter((p) => p > 2).length,
  };
}

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, json: { type: 'string' }, case: { type: 'string' } } });
installNativeParts();
const CASES = { established, connections };
const figures: Figure[] = [];
for (const [name, make] of Object.entries(CASES)) {
  if (values.case === undefined || values.case === name) figures.push(await measure(name, make(), Number(values.seconds)));
}
for (const f of figures) {
  console.log(`${f.name.padEnd(12)} ${f.kpps.toFixed(0).padStart(6)} kpps  ${f.bytesPerFrame.toFixed(2)} B/frame  ${f.collections} collections, longest ${f.maxPauseMs.toFixed(2)} ms, ${f.pausesOver2ms} over 2 ms`);
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
