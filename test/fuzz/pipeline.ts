/**
 * The whole pipeline under mutated traffic: frames of captures, cut, flipped, spliced, repeated, out of order and with forged
 * offload fields, through the switch and every engine, from VM ports with firewall policies and from a passive port.
 * Deterministic from its seed. Used by pipeline.test.ts (a minute) and scripts/fuzz-nightly.mjs (as long as one likes).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { compileFirewall, registryOf } from '../../src/appliance/build.js';
import { parseConfig } from '../../src/appliance/config/load.js';
import { replaySettings } from '../../src/appliance/engine-settings.js';
import { EVENT_TYPES } from '../../src/appliance/events/eve.js';
import { installNativeParts } from '../../src/appliance/native-parts.js';
import { compileRules, readRuleFiles } from '../../src/appliance/rule-files.js';
import { Session } from '../../src/appliance/session.js';
import { D_LEN, D_LINK_TYPE, D_OFF, D_STRIDE, FrameBatch, LinkType, openCapture } from '../../src/packet/index.js';
import { G_STREAM_BYTES } from '../../src/pipeline/index.js';
import { MemoryPort, type MemoryFrame } from '../../src/vswitch/index.js';
import { CHECKOUT, conformanceCases } from '../helpers/conformance.js';

export interface Corpus {
  readonly pcap: string;
  readonly rules: string | null;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly frames: number;
  readonly deadlineMs: number;
}

export interface FuzzResult {
  readonly frames: number;
  readonly rounds: number;
  readonly events: number;
  readonly dropped: number;
  /** What went wrong, with the seed of its round; [] = all is well. */
  readonly failures: readonly string[];
  /** Bytes of heap and buffers beyond those after the first rounds. */
  readonly growth: number;
}

const FLOWS = 4096;
const STREAM_MEMCAP = 8 * 1024 * 1024;
const FRAMES_A_ROUND = 20_000;
const CASES_A_ROUND = 8;
const FRAMES_A_CAPTURE = 400;
const WARM_UP_ROUNDS = 4;
const MAX_FAILURES = 5;

const POLICIES = `
vms: { a: { firewall: strict }, b: { firewall: open }, c: {} }
ports: [{ name: a, type: tap, device: a, vm: a }, { name: b, type: tap, device: b, vm: b }, { name: c, type: tap, device: c, vm: c }]
firewall:
  policies:
    strict:
      rules:
        - { name: in, action: allow, direction: in, protocol: [tcp, udp] }
        - { name: ping, action: force-allow, direction: in, protocol: icmp, icmp: echo-request }
      stateful: { deny_congestion_flags: true, max_half_open_per_peer: 20 }
    open:
      rules: [{ name: none, action: deny, direction: in, protocol: tcp, destination: { port: 1-1023 } }]
  emergency: [{ name: no-telnet, action: reject, protocol: tcp, destination: { port: 23 } }]
  recon: { block_seconds: 5 }
`;

/** Captures of the checkout, and of the conformance set where it is. */
export function corpus(): Corpus[] {
  const shipped = join(CHECKOUT, 'pcaps');
  const own = readdirSync(shipped, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.pcap'))
    .toSorted()
    .map((name): Corpus => ({ pcap: join(shipped, name), rules: null }));
  const cases = conformanceCases();
  return typeof cases === 'string' ? own : [...own, ...cases];
}

/** mulberry32: small, seedable, good enough to choose mutations by. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** Whole number from 0 to n - 1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

interface Frame {
  readonly bytes: Uint8Array;
  readonly linkType: number;
}

function readFrames(file: string): Frame[] {
  const batch = new FrameBatch(16);
  const source = openCapture(file);
  const frames: Frame[] = [];
  try {
    while (!source.ended && frames.length < FRAMES_A_CAPTURE) {
      batch.reset();
      const n = source.appendTo(batch, 0, 16);
      for (let row = 0; row < n; row++) {
        const d = row * D_STRIDE;
        const at = batch.desc[d + D_OFF]!;
        frames.push({ bytes: batch.arena.slice(at, at + batch.desc[d + D_LEN]!), linkType: batch.desc[d + D_LINK_TYPE]! });
      }
      if (n === 0) break;
    }
  } finally {
    source.close();
  }
  return frames;
}

const INTERESTING = [0, 1, 2, 4, 5, 6, 0x0f, 0x11, 0x29, 0x2f, 0x3a, 0x40, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0x84, 0x86, 0x88, 0xdd, 0xfe, 0xff];
const HEADERS = 90;

/** One frame as a hostile or broken sender might have made it of this one; often unchanged, so that state is built up. */
function mutate(dice: Dice, frame: Frame, other: Frame): MemoryFrame {
  let bytes = Uint8Array.from(frame.bytes);
  const offloads: { vnetFlags?: number; gsoType?: number; gsoSize?: number; csumStart?: number; csumOff?: number; wireLen?: number } = {};
  for (let changes = dice.below(3); changes > 0 && bytes.length > 0; changes--) {
    switch (dice.below(8)) {
      case 0:
        bytes = bytes.slice(0, dice.below(bytes.length + 1));
        if (dice.below(2) === 0) offloads.wireLen = frame.bytes.length;
        break;
      case 1:
        for (let n = 1 + dice.below(8); n > 0; n--) bytes[dice.below(bytes.length)]! ^= 1 << dice.below(8);
        break;
      case 2:
        for (let n = 1 + dice.below(3); n > 0; n--) bytes[dice.below(Math.min(bytes.length, HEADERS))] = dice.pick(INTERESTING);
        break;
      case 3: {
        const at = dice.below(Math.min(bytes.length, other.bytes.length) + 1);
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...other.bytes.subarray(at)]);
        break;
      }
      case 4:
        bytes = Uint8Array.from([...bytes, ...other.bytes.subarray(0, dice.below(200))]);
        break;
      case 5: {
        const at = dice.below(bytes.length);
        bytes.copyWithin(at, dice.below(bytes.length), dice.below(bytes.length));
        break;
      }
      case 6:
        Object.assign(offloads, { vnetFlags: dice.below(4), gsoType: dice.pick([0, 1, 3, 4, 5, 0x81, 0xff]), gsoSize: dice.pick([0, 1, 7, 536, 1448, 65535]) });
        break;
      default:
        Object.assign(offloads, { vnetFlags: 1, csumStart: dice.pick([0, 14, 34, 54, 65535]), csumOff: dice.pick([0, 6, 16, 65535]) });
    }
  }
  return { bytes, linkType: frame.linkType, ...offloads };
}

class Round {
  readonly failures: string[] = [];
  events = 0;
  readonly session: Session;
  readonly #ports = Array.from({ length: 4 }, () => new MemoryPort());
  readonly #dice: Dice;
  readonly #name: string;
  #usec = 0;
  #sec = 1_700_000_000;

  constructor(seed: number, cases: readonly Corpus[]) {
    this.#name = `seed ${seed}`;
    this.#dice = new Dice(seed);
    const settings = { ...replaySettings(), enforce: this.#dice.below(4) !== 0, strict: this.#dice.below(2) === 0, midstream: this.#dice.below(2) === 0, flowMax: FLOWS, streamMemcap: STREAM_MEMCAP };
    settings.streamInline = settings.enforce;
    settings.streamOverlap = this.#dice.pick(['rewrite', 'drop']);
    const registry = registryOf(settings);
    const shipped = join(CHECKOUT, 'rules');
    const files = existsSync(shipped) ? readdirSync(shipped).filter((f) => f.endsWith('.rules')).map((f) => join(shipped, f)) : [];
    const rules = compileRules(readRuleFiles([...files, ...cases.flatMap((c) => (c.rules === null ? [] : [c.rules]))]), registry, settings);
    const { config, yaml } = parseConfig('fuzz.yaml', POLICIES);
    const { policy } = compileFirewall(config!, yaml);
    const open = { ips: 'prevent', failOpenEngine: false, failOpenSanity: false } as const;
    this.session = new Session({
      settings,
      ports: [
        { config: { name: 'mirror', passive: true }, port: this.#ports[0]!, vm: -1, answers: true, ...open },
        ...['a', 'b', 'c'].map((name, i) => ({ config: { name }, port: this.#ports[i + 1]!, vm: i, ...open })),
      ],
      vmNames: ['a', 'b', 'c'],
      vmPolicies: ['strict', 'open', null],
      firewall: policy,
      rules,
      registry,
      events: { sink: { write: (line) => this.#event(line), flush: () => undefined, close: () => undefined }, types: new Set(EVENT_TYPES), packetSource: 'wire', dropsPerSecond: 1000 },
      seed,
      onEngineError: (text) => this.fail(text),
    });
  }

  fail(text: string): void {
    if (this.failures.length < MAX_FAILURES) this.failures.push(`${this.#name}: ${text}`);
  }

  #event(line: string): void {
    // One in a hundred is read back: mutated bytes must never break the log.
    if (this.events++ % 100 === 0) JSON.parse(line);
  }

  /** Send the frames of one capture, changed. @returns how many */
  play(frames: readonly Frame[]): number {
    const dice = this.#dice;
    const passive = dice.below(3) === 0;
    let sent = 0;
    for (let i = 0; i < frames.length; i++) {
      // Out of order: some other frame of the neighbourhood in its place; some come twice.
      const frame = dice.below(10) === 0 ? frames[Math.min(frames.length - 1, i + dice.below(4))]! : frames[i]!;
      const times = dice.below(20) === 0 ? 2 : 1;
      const ethernet = frame.linkType === LinkType.ETHERNET && frame.bytes.length >= 12;
      const port = passive || !ethernet ? 0 : 1 + (frame.bytes[11]! % 3);
      for (let n = 0; n < times; n++) sent += this.#put(port, mutate(dice, frame, dice.pick(frames)));
      if (i % 32 === 31) this.#run();
    }
    this.#run();
    return sent;
  }

  #put(port: number, frame: MemoryFrame): number {
    this.#usec += 50 + this.#dice.below(2000);
    if (this.#dice.below(5000) === 0) this.#sec += this.#dice.below(700);
    this.#sec += Math.floor(this.#usec / 1e6);
    this.#usec %= 1e6;
    return this.#ports[port]!.put({ ...frame, tsSec: this.#sec, tsUsec: this.#usec }) ? 1 : 0;
  }

  #run(): void {
    while (this.session.step(0) > 0) this.session.maintain(this.#sec);
    for (const port of this.#ports) port.sent.length = 0;
  }

  /** End the round and check what must hold. @returns frames dropped */
  finish(): number {
    const { session } = this;
    session.close();
    const { counters } = session;
    let dropped = 0;
    for (let port = 0; port < counters.ports; port++) {
      dropped += counters.dropTotal(port);
      if (counters.unaccounted(port) !== 0) this.fail(`${counters.unaccounted(port)} frames of port ${session.portName(port)} are unaccounted for`);
    }
    if (session.engineErrors > 0) this.fail(`${session.engineErrors} engine errors`);
    if (session.table.active !== 0) this.fail(`${session.table.active} flows are left in the table`);
    if (counters.get(G_STREAM_BYTES) !== 0) this.fail(`${counters.get(G_STREAM_BYTES)} bytes of reassembly memory are not given back`);
    return dropped;
  }
}

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Run until enough frames were judged or time is up. Never throws for what the traffic does. */
export function fuzz(files: readonly Corpus[], options: FuzzOptions): FuzzResult {
  installNativeParts();
  const end = performance.now() + options.deadlineMs;
  const failures: string[] = [];
  let frames = 0;
  let rounds = 0;
  let events = 0;
  let dropped = 0;
  let base = 0;
  while (frames < options.frames && performance.now() < end && failures.length < MAX_FAILURES) {
    const seed = (options.seed + rounds) | 0;
    const dice = new Dice(~seed);
    const cases = Array.from({ length: CASES_A_ROUND }, () => dice.pick(files));
    const captures = cases.map((c) => readFrames(c.pcap)).filter((list) => list.length > 0);
    const round = new Round(seed, cases);
    try {
      for (let n = 0; n < FRAMES_A_ROUND && captures.length > 0 && performance.now() < end + 2000; ) {
        const sent = round.play(dice.pick(captures));
        n += sent;
        frames += sent;
      }
      dropped += round.finish();
    } catch (error) {
      round.fail(`thrown: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    failures.push(...round.failures.map((f) => `${f}\n  captures: ${cases.map((c) => c.pcap).join(', ')}`));
    events += round.events;
    if (++rounds === WARM_UP_ROUNDS) base = memory();
  }
  return { frames, rounds, events, dropped, failures, growth: rounds > WARM_UP_ROUNDS ? memory() - base : 0 };
}

