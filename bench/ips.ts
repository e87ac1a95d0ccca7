/**
 * Cost of the rule engine: loading a rule set, and nanoseconds per packet on traffic on which little matches.
 *
 *   node --expose-gc dist/bench/ips.js [--json OUT] RULES[.gz] ...
 *
 * Packets are synthetic and judged by the engine alone (decoding and reassembly are not in the figures; HTTP includes its
 * parser). Each figure is the best of several repetitions. The rule set is also cut to its first 1 000 and 10 000 rules to
 * show how the cost grows.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import { gunzipSync } from 'node:zlib';
import { Flow } from '../src/flow/index.js';
import { Ips, RuleSet, type PatternCache } from '../src/ips/index.js';
import { PacketView, PROTO_TCP, PROTO_UDP } from '../src/packet/index.js';
import { CtState, type EventOutput } from '../src/pipeline/index.js';
import { AppLayer, ProtocolRegistry } from '../src/protocols/index.js';

const REPEAT = 5;
const SEGMENT = 1460;

class Counting implements EventOutput {
  readonly logsTransactions = false;
  alerts = 0;
  alert(): void {
    this.alerts++;
  }
  drop(): void {
    return;
  }
  transaction(): void {
    return;
  }
  anomaly(): void {
    return;
  }
}

/** Repeatable noise: a linear congruential generator, so that runs compare. */
function noise(length: number, alphabet: string): Uint8Array {
  const out = new Uint8Array(length);
  let state = 12345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    out[i] = alphabet === '' ? state >>> 16 : alphabet.charCodeAt((state >>> 16) % alphabet.length);
  }
  return out;
}

function packet(buf: Uint8Array, proto: number, dir: number, port: number): PacketView {
  const view = new PacketView();
  view.buf = buf;
  view.ipVersion = 4;
  view.l3Off = 0;
  view.l4Off = 0;
  view.proto = proto;
  const [client, server] = [0xc0a8010a | 0, 0x08080808];
  view.src0 = dir === 0 ? client : server;
  view.dst0 = dir === 0 ? server : client;
  view.srcPort = dir === 0 ? 40_000 : port;
  view.dstPort = dir === 0 ? port : 40_000;
  view.payloadLen = buf.length;
  view.flowId = 1;
  view.flowDir = dir;
  view.tcpFlags = 0x18;
  view.ctState = CtState.ESTABLISHED;
  view.tsSec = 1_700_000_000;
  return view;
}

function newFlow(proto: number, app = 0): Flow {
  const flow = new Flow();
  flow.id = 1;
  flow.proto = proto;
  flow.app = app;
  flow.toServer.open = flow.toClient.open = proto === PROTO_TCP;
  return flow;
}

/** Best nanoseconds per call. */
function best(calls: number, run: () => void): number {
  let ns = Infinity;
  for (let r = 0; r < REPEAT; r++) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) run();
    ns = Math.min(ns, ((performance.now() - start) * 1e6) / calls);
  }
  return ns;
}

interface Figure {
  readonly name: string;
  readonly rules: number;
  readonly nsPerPacket: number;
}

function traffic(rules: RuleSet, registry: ProtocolRegistry): Figure[] {
  const events = new Counting();
  const ips = new Ips(rules, events);
  const app = new AppLayer(registry, events);
  const figures: Figure[] = [];
  const add = (name: string, calls: number, run: () => void): void => {
    figures.push({ name, rules: rules.rules.length, nsPerPacket: best(calls, run) });
  };

  const udp = newFlow(PROTO_UDP, -1);
  const small = packet(noise(18, ''), PROTO_UDP, 0, 9999);
  add('UDP, 18 random bytes', 200_000, () => ips.inspect(small, udp));
  const ack = packet(new Uint8Array(0), PROTO_TCP, 0, 443);
  const tcp = newFlow(PROTO_TCP, -1);
  add('TCP without payload', 200_000, () => ips.inspect(ack, tcp));

  for (const [name, data] of [['text', noise(SEGMENT, 'etaoin shrdlu cmfwyp vbgkjq xz=&/.%0123')], ['random', noise(SEGMENT, '')]] as const) {
    const flow = newFlow(PROTO_TCP, -1);
    const half = flow.toClient;
    // A window as reassembly keeps it: what was inspected, then the new segment.
    half.buf = new Uint8Array(4096);
    const view = packet(data, PROTO_TCP, 1, 443);
    add(`TCP stream, ${SEGMENT} bytes of ${name}`, 20_000, () => {
      if (half.len + SEGMENT > half.buf.length) {
        half.buf.copyWithin(0, SEGMENT, half.len);
        half.base += SEGMENT;
        half.len -= SEGMENT;
      }
      half.buf.set(data, half.len);
      half.len += SEGMENT;
      ips.inspect(view, flow);
    });
  }

  const request = Buffer.from(
    'GET /index.php?id=12345&lang=en HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\nReferer: http://www.example.org/\r\n\r\n',
  );
  const body = Buffer.from(noise(SEGMENT - 120, 'etaoin shrdlu cmfwyp <a href="/x">').buffer);
  const response = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: ${body.length}\r\n\r\n`), body]);
  const views = [packet(request, PROTO_TCP, 0, 80), packet(response, PROTO_TCP, 1, 80)] as const;
  const exchange = (): void => {
    const flow = newFlow(PROTO_TCP);
    for (const view of views) {
      const half = flow.half(view.flowDir);
      half.buf = view.buf;
      half.len = view.payloadLen;
      app.data(view, flow, view.flowDir);
      ips.inspect(view, flow);
      app.settle(view, flow);
    }
    ips.release(flow);
    app.release(flow);
  };
  const ns = best(5000, exchange);
  figures.push({ name: 'HTTP exchange of two packets, with its parser', rules: rules.rules.length, nsPerPacket: ns / 2 });
  return figures;
}

const args = process.argv.slice(2);
const jsonAt = args.indexOf('--json');
const out = jsonAt < 0 ? null : args.splice(jsonAt, 2)[1]!;
if (args.length === 0) {
  console.error('usage: node --expose-gc dist/bench/ips.js [--json OUT] RULES[.gz] ...');
  process.exit(2);
}
const registry = new ProtocolRegistry();
const report: unknown[] = [];
for (const file of args) {
  const raw = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(raw) : raw).toString('latin1');
  const stored = new Map<string, Uint8Array>();
  const cache: PatternCache = { smallest: 200, load: (key) => stored.get(key) ?? null, store: (key, database) => void stored.set(key, database) };
  const load = (source: string): { rules: RuleSet; ms: number } => {
    const start = performance.now();
    const rules = RuleSet.compile([{ file: basename(file), text: source }], registry.protocols, { cache });
    return { rules, ms: performance.now() - start };
  };
  const cold = load(text).ms;
  const { rules, ms: warm } = load(text);
  globalThis.gc?.();
  const memory = process.memoryUsage();
  const loaded = {
    file: basename(file),
    rules: rules.rules.length,
    refused: rules.refusals.length,
    coldMs: Math.round(cold),
    warmMs: Math.round(warm),
    databaseMiB: Math.round(rules.databaseSize / 2 ** 20),
    heapMiB: Math.round(memory.heapUsed / 2 ** 20),
    rssMiB: Math.round(memory.rss / 2 ** 20),
  };
  console.log(loaded);
  const lines = text.split('\n').filter((line) => /^\s*(?:alert|drop|pass|reject)/.test(line));
  const figures = [1000, 10_000].filter((count) => count < lines.length).flatMap((count) => traffic(load(lines.slice(0, count).join('\n')).rules, registry));
  figures.push(...traffic(rules, registry));
  console.table(figures.map(({ name, rules: count, nsPerPacket }) => ({ traffic: name, rules: count, 'ns/packet': Math.round(nsPerPacket) })));
  report.push({ ...loaded, figures });
}
if (out !== null) writeFileSync(out, `${JSON.stringify(report, null, 2)}\n`);
