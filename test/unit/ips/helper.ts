/** Packets, flows and transactions built by hand, an application protocol whose buffers are plain text, and an event recorder. */
import { RuleSet, Ips, type IpsOptions, type RuleSetOptions } from '../../../src/ips/index.js';
import { Flow } from '../../../src/flow/index.js';
import { PacketView, PROTO_TCP, PROTO_UDP } from '../../../src/packet/index.js';
import { CtState, type EventOutput, type FlowFacts, type SignatureInfo, type TransactionRecord } from '../../../src/pipeline/index.js';
import { ByteSlice, ProtocolRegistry, Transaction, type AppParser, type AppProtocol, type BufferSpec } from '../../../src/protocols/index.js';

export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** A transaction whose buffers are set by name. */
export class TestTransaction extends Transaction {
  readonly values = new Map<string, string[]>();
  /** Bodies that still grow. */
  readonly growing = new Set<string>();

  set(name: string, ...values: string[]): this {
    this.values.set(name, values);
    return this;
  }

  override record(): TransactionRecord | null {
    return { type: 'http', body: {}, toServer: true };
  }
}

function buffer(name: string, toServer: boolean, toClient: boolean, minProgress: number, streaming = false): BufferSpec {
  return {
    name,
    toServer,
    toClient,
    minProgress,
    streaming,
    get(tx: Transaction, _dir: number, index: number, out: ByteSlice): boolean {
      const values = (tx as TestTransaction).values.get(name);
      if (values === undefined || index >= values.length) return false;
      const data = bytes(values[index]!);
      out.set(data, 0, data.length);
      out.complete = !(tx as TestTransaction).growing.has(name);
      return true;
    },
  };
}

const create = (): AppParser => ({ data: () => 0, gap: () => false, close: () => undefined });

function protocol(name: string, transports: ('tcp' | 'udp')[], buffers: BufferSpec[], events: string[] = []): AppProtocol {
  return { name, transports, ports: [], probe: () => -1, create, buffers, completeToServer: 9, completeToClient: 9, events };
}

const REQUEST = ['http.method', 'http.uri', 'http.uri.raw', 'http.host', 'http.host.raw', 'http.user_agent', 'http.request_line', 'http.referer', 'http.accept', 'http.accept_enc', 'http.accept_lang', 'http.request_header'];
const RESPONSE = ['http.stat_code', 'http.stat_msg', 'http.response_line', 'http.server', 'http.location', 'http.response_header'];
const EITHER = ['http.header', 'http.header.raw', 'http.header_names', 'http.cookie', 'http.protocol', 'http.start', 'http.connection', 'http.content_len', 'http.content_type'];

/** Ids: http 1, dns 2, tls 3, smtp 4. */
export const PROTOCOLS: readonly AppProtocol[] = [
  protocol(
    'http',
    ['tcp'],
    [
      ...REQUEST.map((name) => buffer(name, true, false, 1)),
      ...RESPONSE.map((name) => buffer(name, false, true, 1)),
      ...EITHER.map((name) => buffer(name, true, true, 2)),
      buffer('http.request_body', true, false, 3, true),
      buffer('http.response_body', false, true, 3, true),
      buffer('file.data', true, true, 3, true),
    ],
    ['http.unable_to_match_response_to_request'],
  ),
  protocol('dns', ['tcp', 'udp'], [buffer('dns.query', true, false, 0)]),
  protocol('tls', ['tcp'], [
    ...['tls.sni', 'ja3.hash', 'ja3.string', 'ja4.hash'].map((name) => buffer(name, true, false, 1)),
    ...['ja3s.hash', 'ja3s.string', 'tls.cert_subject', 'tls.cert_issuer', 'tls.cert_serial', 'tls.cert_fingerprint', 'tls.certs'].map((name) => buffer(name, false, true, 2)),
    ...['tls.version', 'tls.random', 'tls.random_time', 'tls.random_bytes'].map((name) => buffer(name, true, true, 1)),
  ]),
  protocol('smtp', ['tcp'], [buffer('file.data', true, false, 1, true)]),
  // the others are real: their keywords only have to load here
  ...new ProtocolRegistry().protocols.filter(({ name }) => !['http', 'dns', 'tls', 'smtp'].includes(name)),
];

export interface SeenAlert {
  readonly sid: number;
  readonly blocked: boolean;
  readonly fromStream: boolean;
  readonly tx: boolean;
}

export class Recorder implements EventOutput {
  readonly logsTransactions = false;
  readonly alerts: SeenAlert[] = [];

  alert(_view: PacketView, _flow: FlowFacts | null, signature: SignatureInfo, blocked: boolean, tx: TransactionRecord | null, fromStream: boolean): void {
    this.alerts.push({ sid: signature.sid, blocked, fromStream, tx: tx !== null });
  }
  drop(): void {
    throw new Error('the engine reports no drops');
  }
  transaction(): void {
    throw new Error('the engine reports no transactions');
  }
  anomaly(): void {
    throw new Error('the engine reports no anomalies');
  }

  /** Sids alerted since the last call. */
  take(): number[] {
    return this.alerts.splice(0).map((alert) => alert.sid);
  }
}

export function compile(text: string, options: RuleSetOptions = {}): RuleSet {
  return RuleSet.compile([{ file: 'test.rules', text }], PROTOCOLS, options);
}

/** An engine over rules that must all load. */
export function engine(text: string, options: IpsOptions & RuleSetOptions = {}): { ips: Ips; events: Recorder; rules: RuleSet } {
  const rules = compile(text, options);
  if (rules.refusals.length > 0) throw new Error(JSON.stringify(rules.refusals[0]));
  const events = new Recorder();
  return { ips: new Ips(rules, events, options), events, rules };
}

export interface PacketFields {
  readonly payload?: string | Uint8Array;
  readonly proto?: number;
  readonly dir?: number;
  readonly sport?: number;
  readonly dport?: number;
  readonly src?: number;
  readonly dst?: number;
  readonly flags?: number;
  readonly established?: boolean;
  readonly time?: number;
  readonly flowId?: number;
}

/** 192.168.1.10:40000 -> 10.0.0.5:80, or back when dir is 1. */
export function packet(fields: PacketFields = {}): PacketView {
  const view = new PacketView();
  const data = typeof fields.payload === 'string' ? bytes(fields.payload) : (fields.payload ?? new Uint8Array(0));
  view.buf = data;
  view.end = data.length;
  view.wireLen = data.length + 54;
  view.etherType = 0x0800;
  view.l3Off = 0;
  view.l4Off = 0;
  view.ipVersion = 4;
  view.proto = fields.proto ?? PROTO_TCP;
  view.ttl = 64;
  const back = fields.dir === 1;
  const client = fields.src ?? 0xc0a8010a;
  const server = fields.dst ?? 0x0a000005;
  view.src0 = (back ? server : client) | 0;
  view.dst0 = (back ? client : server) | 0;
  const clientPort = fields.sport ?? 40_000;
  const serverPort = fields.dport ?? 80;
  view.srcPort = back ? serverPort : clientPort;
  view.dstPort = back ? clientPort : serverPort;
  view.tcpFlags = fields.flags ?? 0x18;
  view.payloadLen = data.length;
  view.flowDir = fields.dir ?? 0;
  view.flowId = fields.flowId ?? 1;
  view.established = fields.established !== false;
  view.ctState = view.established ? CtState.ESTABLISHED : CtState.NEW;
  view.tsSec = Math.floor(fields.time ?? 1000);
  view.tsUsec = Math.round(((fields.time ?? 1000) % 1) * 1e6);
  return view;
}

/** A flow; feed TCP payload with `stream`. */
export function newFlow(proto = PROTO_TCP, app = 0): Flow {
  const flow = new Flow();
  flow.id = 1;
  flow.proto = proto;
  flow.app = app;
  if (proto === PROTO_TCP) {
    flow.toServer.open = true;
    flow.toClient.open = true;
  }
  return flow;
}

/** Append bytes to a half, as reassembly does. */
export function feed(flow: Flow, dir: number, text: string): void {
  const half = flow.half(dir);
  const data = bytes(text);
  const next = new Uint8Array(half.len + data.length);
  next.set(half.buf.subarray(0, half.len));
  next.set(data, half.len);
  half.buf = next;
  half.len = next.length;
}

/** Feed a segment and judge its packet. */
export function segment(ips: Ips, flow: Flow, text: string, fields: PacketFields = {}): number {
  feed(flow, fields.dir ?? 0, text);
  return ips.inspect(packet({ ...fields, payload: text }), flow);
}

export { PROTO_TCP, PROTO_UDP };
