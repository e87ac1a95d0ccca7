/**
 * Nanoseconds per packet for flow lookup, connection tracking, reassembly and defragmentation, and bytes per flow.
 *
 *   node --expose-gc dist/bench/flow.js [--json OUT] [--flows N]
 *
 * Packets of established connections are written into a batch (not timed), then decoded, looked up and tracked (timed),
 * as the data plane does it: flows at random, so that above some 10k flows every lookup misses the cache. The seed is
 * fixed. A round is the median of its batches, the figure the best of several rounds (on a shared machine the least disturbed one),
 * with the median beside it where it matters; huge pages are advised when the native addon is there.
 */
import { writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { ConnTrack, Defragmenter, DefragResult, Flow, FlowPool, FlowState, FlowTable, StreamEngine } from '../src/flow/index.js';
import {
  D_GSO_SIZE,
  D_GSO_TYPE,
  D_LEN,
  D_LINK_TYPE,
  D_OFF,
  D_STRIDE,
  D_TS_SEC,
  D_WIRE_LEN,
  decode,
  decodeBatchRow,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  finishIpv4,
  finishIpv6,
  FrameBatch,
  GSO_TCPV4,
  LinkType,
  PacketView,
  PROTO_TCP,
  putEthernet,
  putIpv4,
  putIpv6,
  putTcp,
  TCP_ACK,
  TCP_SYN,
} from '../src/packet/index.js';
import { CtState } from '../src/pipeline/index.js';
import { putBe16, putBe32 } from '../src/util/index.js';

interface Figure {
  name: string;
  ns: number;
  note: string;
}

const BATCH = 64;
const NOW = 1_700_000_000;
/** Bytes the far side allows; nobody acknowledges here, so that senders start over within it. */
const WINDOW = 1000;
const figures: Figure[] = [];
const zones = new Int32Array(16);

function report(name: string, ns: number, note = ''): void {
  figures.push({ name, ns, note });
  console.log(`${name.padEnd(58)} ${ns.toFixed(1).padStart(8)} ns  ${note}`);
}

function best(values: readonly number[]): number {
  return Math.min(...values);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Deterministic random numbers (xorshift32). */
function random(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

/** Batch of TCP frames whose flow-dependent fields are rewritten before each round. */
class Traffic {
  readonly batch = new FrameBatch(BATCH, 0);
  readonly #v6: boolean;
  readonly #l3 = 14;
  readonly #l4: number;

  constructor(v6: boolean) {
    this.#v6 = v6;
    this.#l4 = this.#l3 + (v6 ? 40 : 20);
    for (let row = 0; row < BATCH; row++) {
      const at = row * 128;
      const arena = this.batch.arena;
      const l3 = putEthernet(arena, at, 2, 1, 2, 2, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
      const l4 = v6 ? putIpv6(arena, l3, 0x2001_0db8, 0, 0, 0, 0x2001_0db8, 0, 0, 1, PROTO_TCP, 64) : putIpv4(arena, l3, 0, 0x0a00_0001, PROTO_TCP, 64);
      const end = putTcp(arena, l4, 1, 443, 0, 0, TCP_ACK, WINDOW) + 1;
      if (v6) finishIpv6(arena, l3, end);
      else finishIpv4(arena, l3, end);
      const d = row * D_STRIDE;
      const desc = this.batch.desc;
      desc[d + D_OFF] = at;
      desc[d + D_LEN] = Math.max(64, end - at);
      desc[d + D_WIRE_LEN] = end - at;
      desc[d + D_LINK_TYPE] = LinkType.ETHERNET;
      desc[d + D_TS_SEC] = NOW;
    }
    this.batch.rxCount = BATCH;
  }

  /** Make row `row` a packet of flow `flow`: the SYN, the SYN+ACK (dir 1) or a data segment. */
  put(row: number, flow: number, dir: number, flags: number, seq: number, ack: number): void {
    const arena = this.batch.arena;
    const at = row * 128 + this.#l3;
    const client = this.#v6 ? at + (dir === 0 ? 20 : 36) : at + (dir === 0 ? 12 : 16);
    const server = this.#v6 ? at + (dir === 0 ? 36 : 20) : at + (dir === 0 ? 16 : 12);
    putBe32(arena, client, this.#v6 ? flow >>> 14 : 0x0a80_0000 + (flow >>> 14));
    putBe32(arena, server, this.#v6 ? 1 : 0x0a00_0001);
    const l4 = row * 128 + this.#l4;
    const clientPort = 1024 + (flow & 0x3fff);
    putBe16(arena, l4, dir === 0 ? clientPort : 443);
    putBe16(arena, l4 + 2, dir === 0 ? 443 : clientPort);
    putBe32(arena, l4 + 4, seq);
    putBe32(arena, l4 + 8, ack);
    arena[l4 + 13] = flags;
    // SYNs carry no data here.
    const end = l4 + 20 + ((flags & TCP_SYN) === 0 ? 1 : 0);
    if (this.#v6) putBe16(arena, at + 4, end - at - 40);
    else putBe16(arena, at + 2, end - at);
  }
}

async function advisor(): Promise<((memory: ArrayBufferView) => unknown) | undefined> {
  try {
    const native = (await import('@drawbridge/native')) as { adviseHugePages?: (memory: ArrayBufferView) => boolean };
    return native.adviseHugePages;
  } catch {
    return undefined;
  }
}

/** Open `count` connections, then track packets of random ones. */
function tracking(count: number, v6: boolean, advise: ((memory: ArrayBufferView) => unknown) | undefined): void {
  const table = new FlowTable({ capacity: count, seed: 0x1234_5678, ...(advise === undefined ? {} : { advise }) });
  const ct = new ConnTrack(table);
  const traffic = new Traffic(v6);
  const view = new PacketView();
  const name = `${count >= 1e6 ? `${count / 1e6}M` : `${count / 1e3}k`} flows, IPv${v6 ? 6 : 4}`;
  const insertion: number[] = [];
  let invalid = 0;
  for (let first = 0; first < count; first += BATCH) {
    const n = Math.min(BATCH, count - first);
    for (let i = 0; i < n; i++) traffic.put(i, first + i, 0, TCP_SYN, 1000, 0);
    const start = performance.now();
    for (let row = 0; row < n; row++) {
      decodeBatchRow(view, traffic.batch, row);
      if (ct.lookup(view) !== CtState.NEW || ct.commit(view) < 0) invalid++;
    }
    insertion.push(((performance.now() - start) * 1e6) / n);
    for (let i = 0; i < n; i++) traffic.put(i, first + i, 1, TCP_SYN | TCP_ACK, 5000, 1001);
    for (let row = 0; row < n; row++) {
      decodeBatchRow(view, traffic.batch, row);
      if (ct.lookup(view) !== CtState.ESTABLISHED) invalid++;
    }
    for (let i = 0; i < n; i++) traffic.put(i, first + i, 0, TCP_ACK, 1001, 5001);
    for (let row = 0; row < n; row++) {
      decodeBatchRow(view, traffic.batch, row);
      if (ct.lookup(view) !== CtState.ESTABLISHED) invalid++;
    }
  }
  report(`${name}: insert`, median(insertion), 'decode + lookup + commit of a SYN');
  const sent = new Uint16Array(count);
  const next = random(99);
  const rounds: number[] = [];
  // The middle one of many short batches: a process that is put aside for another spoils a batch, not the figure.
  const spent = new Float64Array(4000);
  for (let round = 0; round < 11; round++) {
    for (let b = 0; b < spent.length; b++) {
      for (let row = 0; row < BATCH; row++) {
        const flow = next() % count;
        sent[flow]!++;
        // Every second one is a reply.
        if ((row & 1) === 0) traffic.put(row, flow, 0, TCP_ACK, 1001 + (sent[flow]! % WINDOW), 5001);
        else traffic.put(row, flow, 1, TCP_ACK, 5001 + (sent[flow]! % WINDOW), 1001);
      }
      const start = performance.now();
      table.touch(traffic.batch, zones);
      for (let row = 0; row < BATCH; row++) {
        decodeBatchRow(view, traffic.batch, row);
        if (ct.lookup(view) !== CtState.ESTABLISHED) invalid++;
      }
      spent[b] = performance.now() - start;
    }
    rounds.push((spent.sort()[spent.length >> 1]! * 1e6) / BATCH);
  }
  report(`${name}: established packet`, best(rounds), `median ${median(rounds).toFixed(0)}; decode + lookup + state; ${table.statistics().bytesPerFlow.toFixed(0)} bytes/flow`);
  if (invalid > count * 0.001) throw new Error(`${invalid} packets were not tracked: the figures mean nothing`);
}

/** One bulk stream: data segments of `size` bytes, each acknowledged `window` segments later. */
function reassembly(name: string, size: number, window: number, gsoSize: number, read: boolean): void {
  const table = new FlowTable({ capacity: 16, seed: 1 });
  const ct = new ConnTrack(table);
  const pool = new FlowPool(table, 16);
  const engine = new StreamEngine(
    table,
    ct.events,
    {
      data(_view, flow: Flow, dir) {
        const half = flow.half(dir);
        half.parsed = half.end;
        half.inspected = half.end;
        half.parseDone = !read;
        half.inspectDone = !read;
      },
      gap() {
        throw new Error('no gap expected');
      },
      end() {
        throw new Error('no end expected');
      },
    },
    { depth: 0 },
  );
  pool.onRelease((flow) => engine.release(flow));
  const view = new PacketView();
  const table16 = new FrameBatch(2, 0);
  const l4 = 34;
  for (let row = 0; row < 2; row++) {
    const d = row * D_STRIDE;
    const at = row * 70_000;
    const data = row === 0;
    putIpv4(table16.arena, putEthernet(table16.arena, at, 2, 1, 2, 2, ETHERTYPE_IPV4), data ? 1 : 2, data ? 2 : 1, PROTO_TCP, 64);
    putTcp(table16.arena, at + l4, data ? 1 : 2, data ? 2 : 1, 0, 0, TCP_ACK, 65_535);
    const end = at + 54 + (data ? size : 0);
    finishIpv4(table16.arena, at + 14, end);
    table16.desc[d + D_OFF] = at;
    table16.desc[d + D_LEN] = end - at;
    table16.desc[d + D_WIRE_LEN] = end - at;
    table16.desc[d + D_LINK_TYPE] = LinkType.ETHERNET;
    table16.desc[d + D_TS_SEC] = NOW;
    table16.desc[d + D_GSO_TYPE] = data && gsoSize > 0 ? GSO_TCPV4 : 0;
    table16.desc[d + D_GSO_SIZE] = gsoSize;
  }
  const open = (dir: number, flags: number, seq: number, ack: number): void => {
    const syn = new Uint8Array(100);
    putIpv4(syn, 0, dir === 0 ? 1 : 2, dir === 0 ? 2 : 1, PROTO_TCP, 64);
    putTcp(syn, 20, dir === 0 ? 1 : 2, dir === 0 ? 2 : 1, seq, ack, flags, 65_535, 4);
    syn.set([1, 3, 3, 14], 40);
    finishIpv4(syn, 0, 44);
    decode(view, syn, 0, 44, LinkType.RAW);
    if (ct.lookup(view) === CtState.NEW) ct.commit(view);
    engine.segment(view, pool.attach(view)!);
  };
  open(0, TCP_SYN, -1, 0);
  open(1, TCP_SYN | TCP_ACK, -1, 0);
  open(0, TCP_ACK, 0, 0);
  // Windows scale from the first ACK on (RFC 7323 section 2.2): without this one the stream would have to start slowly.
  open(1, TCP_ACK, 0, 0);
  let seq = 0;
  let acks = 0;
  let ackNs = 0;
  const rounds: number[] = [];
  const packets = size > 10_000 ? 20_000 : 200_000;
  for (let round = 0; round < 9; round++) {
    let spent = 0;
    for (let i = 0; i < packets; i++) {
      putBe32(table16.arena, l4 + 4, seq);
      seq = (seq + size) | 0;
      decodeBatchRow(view, table16, 0);
      if (ct.lookup(view) !== CtState.ESTABLISHED) throw new Error('data segment not accepted');
      const flow = pool.attach(view)!;
      const start = performance.now();
      if (engine.segment(view, flow) !== 0) throw new Error('data segment dropped');
      spent += performance.now() - start;
      putBe32(table16.arena, 70_000 + l4 + 8, (seq - window * size) | 0);
      if (round === 0 && i < window) continue;
      decodeBatchRow(view, table16, 1);
      if (ct.lookup(view) !== CtState.ESTABLISHED) throw new Error('acknowledgement not accepted');
      const ackStart = performance.now();
      engine.segment(view, flow);
      ackNs += performance.now() - ackStart;
      acks++;
    }
    rounds.push((spent * 1e6) / packets);
  }
  const clock = clockCost();
  const ns = Math.max(0.1, best(rounds) - clock);
  report(`stream: ${name}`, ns, `${(size / ns).toFixed(2)} GB/s, ACK ${Math.max(0, (ackNs * 1e6) / acks - clock).toFixed(1)} ns, pool ${(engine.pool.allocated / 1024).toFixed(0)} KiB`);
}

/** What two clock readings cost, to be taken off figures of single calls. */
function clockCost(): number {
  let spent = 0;
  for (let i = 0; i < 100_000; i++) {
    const start = performance.now();
    spent += performance.now() - start;
  }
  return (spent * 1e6) / 100_000;
}

/** A 9 kB datagram in seven fragments, in order. */
function defragmentation(): void {
  // Passive: inline, a number that comes again is refused for as long as completed datagrams are remembered.
  const defrag = new Defragmenter({ inline: false });
  const whole = new PacketView();
  const fragments = Array.from({ length: 7 }, (_, i) => {
    const buf = new Uint8Array(1500);
    putIpv4(buf, 0, 1, 2, 17, 64);
    putBe16(buf, 6, (i < 6 ? 0x2000 : 0) | (i * 185));
    finishIpv4(buf, 0, 1500);
    const view = new PacketView();
    decode(view, buf, 0, 1500, LinkType.RAW);
    return view;
  });
  const rounds: number[] = [];
  for (let round = 0; round < 9; round++) {
    const start = performance.now();
    for (let i = 0; i < 20_000; i++) {
      let result = 0;
      for (const view of fragments) {
        view.ipId = i;
        // Identifications come again after the time completed datagrams are remembered.
        view.tsSec = NOW + round * 120;
        result = defrag.add(view, whole);
      }
      if (result !== DefragResult.COMPLETE) throw new Error('datagram not completed');
    }
    rounds.push(((performance.now() - start) * 1e6) / (20_000 * 7));
  }
  report('defrag: 1480-byte fragment of seven', best(rounds), 'reassembly and decoding of the whole included');
}

/** Ending idle flows. */
function expiry(count: number): void {
  const table = new FlowTable({ capacity: count, seed: 1 });
  const view = new PacketView();
  view.ipVersion = 4;
  view.proto = 17;
  view.tsSec = NOW;
  for (let i = 0; i < count; i++) {
    view.src0 = i;
    table.find(view);
    table.insert(view, FlowState.UDP_NEW);
  }
  table.expire(NOW, 1);
  const start = performance.now();
  table.expire(NOW + 1000, count);
  report(`expire ${count} idle flows`, ((performance.now() - start) * 1e6) / count, `${table.active} left`);
}

const jsonAt = process.argv.indexOf('--json');
const flowsAt = process.argv.indexOf('--flows');
const most = flowsAt > 0 ? Number(process.argv[flowsAt + 1]) : 1_000_000;
const advise = await advisor();
for (const count of [1000, 10_000, 100_000, 1_000_000]) if (count <= most) tracking(count, false, advise);
for (const count of [1000, most]) tracking(count, true, advise);
expiry(Math.min(most, 100_000));
reassembly('1460-byte segments', 1460, 64, 0, true);
reassembly('64 KiB super-frames', 64_240, 16, 1460, true);
reassembly('64 KiB super-frames, nobody reads', 64_240, 16, 1460, false);
defragmentation();
if (jsonAt > 0) writeFileSync(process.argv[jsonAt + 1]!, `${JSON.stringify(figures, null, 2)}\n`);
