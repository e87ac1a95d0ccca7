/** A client (the attacker) and a server with the appliance between them, on memory ports, and the story one evasion tells. */
import { compileRules } from '../../src/appliance/rule-files.js';
import { registryOf } from '../../src/appliance/build.js';
import { replaySettings, type EngineSettings } from '../../src/appliance/engine-settings.js';
import { installNativeParts } from '../../src/appliance/native-parts.js';
import { NullSink, type EventSink } from '../../src/appliance/events/sink.js';
import { Session, type SessionPort, type SessionWeb } from '../../src/appliance/session.js';
import { DROP_REASONS, P_DROPS } from '../../src/pipeline/index.js';
import type { WebMode } from '../../src/web/index.js';
import { MemoryPort, type MemoryFrame, type SwitchPortConfig } from '../../src/vswitch/index.js';
import { EndHost, type HostOptions, type Personality } from './end-host.js';
import {
  ACK, MAC_CLIENT, MAC_SERVER, PSH, SYN, addresses, ethernet, fragmentHeader, ipv4, ipv6, latin1, tcpSegment, udpDatagram,
  type IpFields, type LinkFields, type TcpFields,
} from './wire.js';

/** Shaped like the rules that ship: buffers of protocols, and bytes of the stream. */
const RULES = String.raw`
drop http any any -> any any (msg:"passwd"; flow:established,to_server; http.uri; content:"/etc/passwd"; sid:1;)
reject http any any -> any any (msg:"jndi"; flow:established,to_server; http.header; content:"|24|{jndi:"; nocase; sid:2;)
drop http any any -> any any (msg:"body"; flow:established,to_server; http.request_body; content:"<?php system("; sid:3;)
drop tcp any any -> any any (msg:"stream"; flow:established; content:"EVIL-SHELL-MARKER"; sid:4;)
drop udp any any -> any any (msg:"datagram"; content:"EVIL-DATAGRAM-MARKER"; sid:5;)
drop dns any any -> any any (msg:"query"; dns.query; content:"evil.example"; sid:6;)
drop tcp any any -> any any (msg:"packet"; flow:established; content:"SMALL-EVIL"; dsize:<200; sid:7;)
`;

export function liveSettings(over: Partial<EngineSettings> = {}): EngineSettings {
  return { ...replaySettings(), enforce: true, strict: true, streamInline: true, verifyChecksums: true, flowMax: 512, defragMaxDatagrams: 256, ...over };
}

installNativeParts();
const REGISTRY = registryOf(replaySettings());
const RULE_SET = compileRules([{ file: 'evasion.rules', text: latin1(RULES) }], REGISTRY, replaySettings());
if (RULE_SET.refusals.length > 0) throw new Error(RULE_SET.refusals.map((r) => r.message).join('\n'));

const ISN = 0x7fff_ff00;
const SERVER_ISN = 0x1000;

export interface LabOptions {
  readonly who?: Personality;
  readonly host?: HostOptions;
  readonly settings?: Partial<EngineSettings>;
  readonly v6?: boolean;
  /** Initial sequence number of the client. */
  readonly isn?: number;
  readonly ports?: readonly SwitchPortConfig[];
  readonly modes?: readonly SessionPort['ips'][];
  readonly serverPort?: number;
  /** Web protection of the server, or of all ports. */
  readonly web?: SessionWeb & { readonly mode: WebMode };
  /** Web events go there. */
  readonly sink?: EventSink;
  /** Without rules of the IPS. */
  readonly noRules?: boolean;
  /** Timestamps option on the client's segments. */
  readonly timestamps?: boolean;
}

export interface SegmentOptions extends Partial<TcpFields> {
  readonly ttl?: number;
  readonly ipOptions?: readonly number[];
  readonly badHeaderSum?: boolean;
  readonly link?: LinkFields;
  /** Timestamp value, when the connection uses them. */
  readonly tsVal?: number;
}

/** One run: the attacker sends, the host answers with honest acknowledgements. */
export class Lab {
  readonly host: EndHost;
  readonly session: Session;
  readonly ports: MemoryPort[];
  readonly v6: boolean;
  readonly isn: number;
  clientPort = 40_000;
  readonly serverPort: number;
  readonly timestamps: boolean;
  /** Frames that reached the server's side, and the client's. */
  readonly delivered: Uint8Array[] = [];
  readonly returned: Uint8Array[] = [];
  errors = 0;
  now = 1000;
  tsVal = 5000;
  #ipId = 1;

  constructor(o: LabOptions = {}) {
    this.v6 = o.v6 ?? false;
    this.isn = o.isn ?? ISN;
    this.serverPort = o.serverPort ?? 80;
    this.timestamps = o.timestamps ?? false;
    this.host = new EndHost(o.who ?? 'linux', o.host);
    const configs = o.ports ?? [{ name: 'client' }, { name: 'server' }];
    this.ports = configs.map(() => new MemoryPort());
    this.session = new Session({
      settings: liveSettings(o.settings),
      ports: configs.map((config, i) => ({ config, port: this.ports[i]!, vm: i, ips: o.modes?.[i] ?? 'prevent', failOpenEngine: false, failOpenSanity: false, ...(o.web === undefined || i === 0 ? {} : { web: o.web.mode }) })),
      vmNames: configs.map((c) => c.name),
      vmPolicies: configs.map(() => null),
      firewall: null,
      rules: o.noRules === true ? null : RULE_SET,
      web: o.web ?? null,
      registry: REGISTRY,
      events: { sink: o.sink ?? new NullSink(), types: new Set(o.sink === undefined ? [] : ['web']), packetSource: 'wire', dropsPerSecond: 0 },
      seed: 1,
      onEngineError: () => void this.errors++,
    });
    // Both ends are known to the switch before the story begins.
    for (const [i, mac] of [MAC_CLIENT, MAC_SERVER].entries()) this.put(i, ethernet(i, Uint8Array.from({ length: 46 }), { srcMac: mac, dstMac: [255, 255, 255, 255, 255, 255] }, 0x88b5));
    this.delivered.length = 0;
    this.returned.length = 0;
  }

  /** A frame in by a port; what comes out goes to the host, or back. */
  put(port: number, frame: Uint8Array | MemoryFrame): void {
    const bytes = frame instanceof Uint8Array ? frame : frame.bytes;
    this.ports[port]!.put({ ...(frame instanceof Uint8Array ? {} : frame), bytes, tsSec: this.now });
    while (this.session.step(0) > 0);
    for (const out of this.ports[1]!.take()) {
      this.delivered.push(out);
      this.host.receive(out, this.now);
    }
    this.returned.push(...this.ports[0]!.take());
  }

  /** Let time pass. */
  wait(seconds: number): void {
    for (let i = 0; i < seconds; i++) this.session.maintain(++this.now);
  }

  // ---- IP ----------------------------------------------------------------------------------------------------------

  packet(dir: number, payload: Uint8Array, f: IpFields): Uint8Array {
    const a = addresses(dir, this.v6);
    return this.v6 ? ipv6(a, f.proto, [], payload, f.ttl) : ipv4(a, { id: this.#ipId++, ...f }, payload);
  }

  /** One fragment of `payload`, which starts at `from`. */
  fragment(payload: Uint8Array, from: number, to: number, id: number, o: { proto?: number; ttl?: number; badHeaderSum?: boolean; more?: boolean; link?: LinkFields } = {}): void {
    const proto = o.proto ?? 6;
    const more = o.more ?? to < payload.length;
    const piece = payload.slice(from, to);
    const a = addresses(0, this.v6);
    const packet = this.v6
      ? ipv6(a, 44, fragmentHeader(proto, from, more, id), piece, o.ttl)
      : ipv4(a, { proto, id, offset: from, more, ...(o.ttl === undefined ? {} : { ttl: o.ttl }), ...(o.badHeaderSum === true ? { badHeaderSum: true } : {}) }, piece);
    this.put(0, ethernet(0, packet, o.link));
  }

  // ---- TCP -----------------------------------------------------------------------------------------------------------

  /** Transport bytes of a client segment whose data stands at stream offset `at`. */
  segment(at: number, data: Uint8Array | string, o: SegmentOptions = {}): Uint8Array {
    const ts = this.timestamps ? [8, 10, ...be(o.tsVal ?? this.tsVal++), ...be(1)] : [];
    return tcpSegment(addresses(0, this.v6), {
      srcPort: this.clientPort, dstPort: this.serverPort, seq: (this.isn + 1 + at) | 0, ack: SERVER_ISN + 1, flags: ACK | PSH,
      ...o, options: [...ts, ...(o.options ?? [])], data: typeof data === 'string' ? latin1(data) : data,
    });
  }

  frame(at: number, data: Uint8Array | string, o: SegmentOptions = {}): Uint8Array {
    const f: IpFields = { proto: 6, ...(o.ttl === undefined ? {} : { ttl: o.ttl }), ...(o.ipOptions === undefined ? {} : { options: o.ipOptions }), ...(o.badHeaderSum === true ? { badHeaderSum: true } : {}) };
    return ethernet(0, this.packet(0, this.segment(at, data, o), f), o.link);
  }

  send(at: number, data: Uint8Array | string, o: SegmentOptions = {}): void {
    this.put(0, this.frame(at, data, o));
    this.acknowledge();
  }

  /** A segment from the server; sent by the client's port it is a forgery that the switch carries to the server. */
  answer(flags: number, o: SegmentOptions = {}, port = 1): void {
    const a = addresses(1, this.v6);
    const ts = this.timestamps ? [8, 10, ...be(1), ...be(this.tsVal - 1)] : [];
    const bytes = tcpSegment(a, { srcPort: this.serverPort, dstPort: this.clientPort, seq: SERVER_ISN + 1, ack: this.host.expected, flags, ...o, options: [...ts, ...(o.options ?? [])] });
    const link = o.link ?? (port === 0 ? { srcMac: MAC_CLIENT, dstMac: MAC_SERVER } : {});
    this.put(port, ethernet(1, this.packet(1, bytes, { proto: 6 }), link));
  }

  acknowledge(): void {
    if (this.host.connected) this.answer(ACK);
  }

  handshake(): this {
    this.put(0, this.frame(-1, '', { flags: SYN, ack: 0 }));
    this.answer(SYN | ACK, { seq: SERVER_ISN });
    this.put(0, this.frame(0, '', { flags: ACK }));
    return this;
  }

  udp(data: Uint8Array | string, dstPort = 5000, badSum = false): Uint8Array {
    return udpDatagram(addresses(0, this.v6), 40_000, dstPort, typeof data === 'string' ? latin1(data) : data, badSum);
  }

  /** Reasons for which frames were dropped, by name. */
  get drops(): Record<string, number> {
    const found: Record<string, number> = {};
    for (let port = 0; port < this.ports.length; port++) {
      for (let r = 1; r < DROP_REASONS.length; r++) {
        const n = this.session.counters.port(port, P_DROPS + r);
        if (n > 0) found[DROP_REASONS[r]!.name] = (found[DROP_REASONS[r]!.name] ?? 0) + n;
      }
    }
    return found;
  }

  get unaccounted(): number {
    return this.ports.reduce((n, _, i) => n + Math.abs(this.session.counters.unaccounted(i)), 0);
  }

  close(): void {
    this.session.close();
  }
}

function be(n: number): number[] {
  return [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
}
