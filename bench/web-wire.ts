/**
 * CPU milliseconds that web protection adds to one HTTP exchange on the wire: the same frames through a session without and with it,
 * from frame to frame: reassembly, parsing, rules, holding.
 *
 *   node dist/bench/web-wire.js [--json OUT] [--rounds N]
 */
import { writeFileSync } from 'node:fs';
import { userPatternCache } from '../src/appliance/pattern-cache.js';
import { registryOf } from '../src/appliance/build.js';
import { replaySettings } from '../src/appliance/engine-settings.js';
import { NullSink } from '../src/appliance/events/sink.js';
import { installNativeParts } from '../src/appliance/native-parts.js';
import { Session, type SessionWeb } from '../src/appliance/session.js';
import { compileWebEngine, webSources } from '../src/appliance/web-rules.js';
import { WebMode, WebPolicies, setupVariables, type WebEngine } from '../src/web/index.js';
import { MemoryPort } from '../src/vswitch/index.js';
import { webConfig } from '../test/helpers/crs-engine.js';
import { ACK, PSH, SYN, addresses, ethernet, ipv4, tcpSegment } from '../test/helpers/wire.js';
import { Random, mix, type Exchange } from './web-mix.js';

const MSS = 1448;
const CLIENT_ISN = 1000;
const SERVER_ISN = 5000;
/** Level 4 takes some of the mix for attacks: nothing is to be cut off here. */
const THRESHOLD = 1000;

interface Frame {
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** One connection that carries ten exchanges, as frames. */
function connection(clientPort: number, exchanges: readonly Exchange[]): Frame[] {
  const frames: Frame[] = [];
  const next = [CLIENT_ISN, SERVER_ISN];
  let id = 1;
  const send = (dir: number, flags: number, data: Uint8Array): void => {
    const a = addresses(dir);
    const [srcPort, dstPort] = dir === 0 ? [clientPort, 80] : [80, clientPort];
    const tcp = tcpSegment(a, { srcPort: srcPort!, dstPort: dstPort!, seq: next[dir]!, ack: (flags & ACK) === 0 ? 0 : next[1 - dir]!, flags, data });
    next[dir] = next[dir]! + data.length + ((flags & SYN) === 0 ? 0 : 1);
    frames.push({ port: dir, bytes: ethernet(dir, ipv4(a, { proto: 6, id: id++ }, tcp)) });
  };
  const stream = (dir: number, bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; at += MSS) send(dir, ACK | PSH, bytes.subarray(at, at + MSS));
    send(1 - dir, ACK, new Uint8Array(0));
  };
  send(0, SYN, new Uint8Array(0));
  send(1, SYN | ACK, new Uint8Array(0));
  send(0, ACK, new Uint8Array(0));
  for (const { head, body, page } of exchanges) {
    let text = `${head.line}\r\n`;
    for (let i = 0; i < head.fields.length; i += 2) text += `${head.fields[i]}: ${head.fields[i + 1]}\r\n`;
    stream(0, Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), body]));
    stream(1, Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: ${page.length}\r\n\r\n`), page]));
  }
  return frames;
}

function session(ports: readonly MemoryPort[], web: SessionWeb | null): Session {
  const settings = { ...replaySettings(), enforce: true, strict: true, streamInline: true, verifyChecksums: true };
  return new Session({
    settings,
    ports: ports.map((port, i) => ({ config: { name: `p${i}` }, port, vm: i, ips: 'prevent', failOpenEngine: false, failOpenSanity: false, web: WebMode.ON })),
    vmNames: ['client', 'server'],
    vmPolicies: [null, null],
    firewall: null,
    rules: null,
    web,
    registry: registryOf(settings),
    events: { sink: new NullSink(), types: new Set(['web']), packetSource: 'wire', dropsPerSecond: 0 },
    seed: 1,
    onEngineError: (text) => {
      throw new Error(text);
    },
  });
}

function protection(engine: WebEngine, level: number): SessionWeb {
  return {
    engine,
    clock: { ms: 0 },
    policies: new WebPolicies({ name: '', vms: null, hosts: null, block: 'reset', variables: setupVariables({ paranoia: level, inbound_threshold: THRESHOLD, outbound_threshold: THRESHOLD }), exclusions: [] }, []),
    unparsable: 'block',
    memcap: 1 << 28,
    flowMemcap: 1 << 24,
    memcapPolicy: 'block',
    maxPipelined: 32,
    hold: { requestBytes: 8192, memcap: 1 << 24, timeoutMs: 400 },
  };
}

/** CPU milliseconds per exchange; the tenth part of the connections that was disturbed least. */
function measure(connections: readonly Frame[][], web: SessionWeb | null): number {
  const ports = [new MemoryPort(), new MemoryPort()];
  const s = session(ports, web);
  const spent: number[] = [];
  for (const frames of connections) {
    const before = process.cpuUsage();
    for (const { port, bytes } of frames) {
      ports[port]!.put({ bytes, tsSec: 1000 });
      s.step(0);
      ports[0]!.take();
      ports[1]!.take();
    }
    const { user, system } = process.cpuUsage(before);
    spent.push((user + system) / 1000 / 10);
  }
  const w = s.statistics()['web'] as { transactions: number; blocked: number } | undefined;
  if (w !== undefined && (w.transactions !== connections.length * 10 || w.blocked > 0)) throw new Error(`${w.transactions} transactions, ${w.blocked} blocked: not what was to be measured`);
  s.close();
  const rest = spent.slice(Math.floor(spent.length / 5)).toSorted((x, y) => x - y);
  return rest[Math.floor(rest.length / 10)]!;
}

installNativeParts();
const args = process.argv.slice(2);
const rounds = Number(args[args.indexOf('--rounds') + 1] ?? '') || 200;
const random = new Random(4711);
const connections = Array.from({ length: rounds }, (_, i) => connection(10_000 + i, mix(random)));
const cache = userPatternCache();
const engine = compileWebEngine(webSources(webConfig(), { before: [], after: [] }), () => 0, cache === undefined ? 'none' : { cache });
const off = measure(connections, null);
const figures: Record<string, number> = { off_ms: off };
console.log(`without web protection ${off.toFixed(3)} ms CPU per exchange`);
for (const level of [1, 4]) {
  const on = measure(connections, protection(engine, level));
  figures[`added_ms_pl${level}`] = on - off;
  console.log(`PL${level}: ${(on - off).toFixed(3)} ms added`);
}
const out = args.indexOf('--json');
if (out >= 0) writeFileSync(args[out + 1]!, JSON.stringify(figures));
