/**
 * The one event writer: Suricata's EVE JSON, one object per line, with the VM names of both ends added as `src_vm` and
 * `dest_vm`. Field names and shapes follow Suricata 7's "Eve JSON Format"; what Drawbridge adds is listed in docs/events.md.
 */
import { FIREWALL_GID } from '../../firewall/index.js';
import { formatIp, type PacketView } from '../../packet/index.js';
import { DROP_REASONS, DropReason, type EventOutput, type FlowFacts, type SignatureInfo, type TransactionRecord, type WebEventOutput, type WebRecord } from '../../pipeline/index.js';
import { eveTime } from './event-time.js';
import { ipProtocolName } from './ip-protocol-name.js';
import type { EventSink } from './sink.js';

/** Event types of protocols with a short record of each exchange, and what it holds. Fields have Suricata's names. */
export const PROTOCOL_EVENTS = {
  fileinfo: 'a transferred file: name, kind, size, state; SHA-256 when a rule has `filestore`',
  smb: 'a command: dialect, file, share, NTLM user, named pipe call',
  dcerpc: 'a call: interface, operation, sizes',
  nfs: 'a call: version, procedure, file',
  ftp_data: 'a file transfer of FTP: name, command',
  tftp: 'a request: packet type, file, mode',
  mqtt: 'a message: type, flags, client, topic, payload size',
  sip: 'a request or response: method, URI, status',
  dhcp: 'a message: type, client, times',
  snmp: 'a message: version, community or user, type',
  krb5: 'a message: type, names, realm, encryption, error',
  ike: 'a message: version, exchange, initiator and responder, proposals',
  rdp: 'a connection request or answer: cookie',
  rfb: 'a VNC session: versions, authentication, name of the desktop',
  quic: 'an Initial packet: version, SNI, user agent, fingerprints',
  modbus: 'a request and its response: unit, function, exception',
  dnp3: 'a message: function, objects, indications',
  enip: 'a message: command, status, services',
} as const;

export const EVENT_TYPES = ['alert', 'drop', 'flow', 'http', 'dns', 'tls', 'ssh', 'smtp', 'ftp', 'anomaly', 'stats', 'firewall', 'recon', 'switch', 'web', ...(Object.keys(PROTOCOL_EVENTS) as (keyof typeof PROTOCOL_EVENTS)[])] as const;
/** Event types that are no records of application transactions. */
const OTHER_TYPES: readonly string[] = ['alert', 'drop', 'flow', 'anomaly', 'stats', 'firewall', 'recon', 'switch', 'web'];
export type EventType = (typeof EVENT_TYPES)[number];

/** A finished flow as the `flow` event shows it; times in microseconds since the epoch. */
export interface FlowSummary extends FlowFacts {
  readonly proto: number;
  readonly ipVersion: number;
  /** Addresses as words, originator first. */
  readonly src: readonly [number, number, number, number];
  readonly dst: readonly [number, number, number, number];
  readonly srcPort: number;
  readonly dstPort: number;
  readonly srcVm: string;
  readonly dstVm: string;
  readonly packetsToServer: number;
  readonly packetsToClient: number;
  readonly bytesToServer: number;
  readonly bytesToClient: number;
  readonly startUsec: number;
  readonly endUsec: number;
  /** new, established, closed, bypassed */
  readonly state: string;
  /** timeout, forced, shutdown */
  readonly reason: string;
  readonly alerted: boolean;
  /** pass, drop or accept: what happened to the flow as a whole. */
  readonly action: string;
  readonly tcpFlagsToServer: number;
  readonly tcpFlagsToClient: number;
  readonly tcpState: string;
  /** Why part of the flow was not inspected; '' = all of it was. */
  readonly uninspected: string;
  readonly generation: number;
}

/** What events show of a firewall rule. */
export interface LoggedRule {
  readonly name: string;
  readonly log: boolean;
  /** Write an `alert` event beside the rule's own. */
  readonly alert: boolean;
  /** Put the packet into the event. */
  readonly packetData: boolean;
}

export interface EveOptions {
  readonly sink: EventSink;
  /** Event types to write; others are dropped silently on purpose. */
  readonly types: ReadonlySet<string>;
  /** VM (or port) name by port index. */
  readonly vmNames: readonly string[];
  /** Port (interface) name by port index. */
  readonly portNames: readonly string[];
  /** EVE `pkt_src`. */
  readonly packetSource: string;
  /** Name of the appliance, EVE `host`; '' = none (replay). */
  readonly host: string;
  /** Replay: drop events of every packet. Live: at most this many unexplained drops per second (rule drops always). */
  readonly dropEventsPerSecond: number;
  /** What events show of the firewall rule behind a `ruleSid`; `log` false silences them. */
  readonly firewallRule: (sid: number) => LoggedRule | undefined;
  /** Facts about a flow without a packet at hand (transactions logged when their flow ends). */
  readonly describeFlow: (flowId: number) => FlowSummary;
  /** An alert was raised on a packet of this flow. */
  readonly markAlerted: (flowId: number) => void;
}

type Json = Record<string, unknown>;

/** Bytes of a packet that an event shows (Deep Security's limit). */
const MAX_PACKET_DATA = 1500;

export class EveWriter implements EventOutput, WebEventOutput {
  /** Policy generation stamped on every event. */
  generation = 1;
  alertsAllowed = 0;
  alertsBlocked = 0;
  /** Drop events not written because of the rate limit (the counters still have them). */
  dropsSampled = 0;
  readonly logsTransactions: boolean;
  readonly logsFiles: boolean;
  readonly logsAnomalies: boolean;
  /** Drop events are written: false saves gathering what they say. */
  readonly logsDrops: boolean;
  readonly #o: EveOptions;
  /** Anomalies not written because of the rate limit. */
  anomaliesSampled = 0;
  #anomalySecond = 0;
  #anomaliesThisSecond = 0;
  #dropSecond = 0;
  #dropsThisSecond = 0;

  constructor(options: EveOptions) {
    this.#o = options;
    this.logsTransactions = [...options.types].some((type) => !OTHER_TYPES.includes(type));
    this.logsFiles = options.types.has('fileinfo');
    this.logsAnomalies = options.types.has('anomaly');
    this.logsDrops = options.types.has('drop');
  }

  alert(view: PacketView, flow: FlowFacts | null, s: SignatureInfo, blocked: boolean, tx: TransactionRecord | null, fromStream: boolean): void {
    if (blocked) this.alertsBlocked++;
    else this.alertsAllowed++;
    if (view.flowId >= 0) this.#o.markAlerted(view.flowId);
    if (!this.#o.types.has('alert')) return;
    const e = this.#header(view, flow, 'alert');
    e['alert'] = {
      action: blocked ? 'blocked' : 'allowed',
      gid: s.gid,
      signature_id: s.sid,
      rev: s.rev,
      signature: s.msg,
      category: s.category,
      severity: s.severity,
      ...(Object.keys(s.metadata).length > 0 ? { metadata: s.metadata } : {}),
      ...(s.references.length > 0 ? { references: s.references } : {}),
    };
    if (tx) e[tx.type] = tx.body;
    if (flow && flow.appProto !== '') e['app_proto'] = flow.appProto;
    if (view.flowId >= 0) e['direction'] = view.flowDir === 0 ? 'to_server' : 'to_client';
    if (fromStream) e['stream'] = 1;
    this.#emit(e, blocked);
  }

  drop(view: PacketView, flow: FlowFacts | null): void {
    if (!this.logsDrops) return;
    if (view.ruleSid === 0 && !this.#dropAllowed(view.tsSec)) {
      this.dropsSampled++;
      return;
    }
    const reason = DROP_REASONS[view.reason]!;
    const rule = reason.stage === 'firewall' && view.ruleSid !== 0 ? this.#o.firewallRule(view.ruleSid) : undefined;
    if (rule?.log === false) return;
    const e = this.#header(view, flow, 'drop');
    const d: Json = { len: view.ipVersion !== 0 ? view.ipLen : view.wireLen };
    if (view.ipVersion === 4) Object.assign(d, { tos: view.tos, ttl: view.ttl, ipid: view.ipId });
    if (view.ipVersion === 6) Object.assign(d, { tc: view.tos, hoplimit: view.ttl });
    if (view.l4Off >= 0 && view.proto === 6) {
      Object.assign(d, {
        tcpseq: view.seq >>> 0,
        tcpack: view.ack >>> 0,
        tcpwin: view.window,
        syn: (view.tcpFlags & 2) !== 0,
        ack: (view.tcpFlags & 16) !== 0,
        psh: (view.tcpFlags & 8) !== 0,
        rst: (view.tcpFlags & 4) !== 0,
        urg: (view.tcpFlags & 32) !== 0,
        fin: (view.tcpFlags & 1) !== 0,
        tcpres: 0,
        tcpurgp: view.urgPtr,
      });
    }
    d['reason'] = reason.name;
    d['stage'] = reason.stage;
    e['drop'] = d;
    if (view.ruleSid !== 0) {
      if (reason.stage === 'firewall') e['firewall'] = { rule: rule?.name ?? view.ruleSid };
      else if (reason.stage === 'web') e['web'] = { action: 'blocked', rule_id: view.ruleSid };
      else e['alert'] = { action: 'blocked', gid: view.ruleGid, signature_id: view.ruleSid };
    }
    if (rule?.packetData === true) addPacket(e, view);
    this.#emit(e, view.ruleSid !== 0);
    if (rule?.alert === true) this.#ruleAlert(view, flow, rule, view.ruleSid, true);
  }

  /** The alert that a firewall rule with `alert: true` raises beside its event; gid 3 tells it from signatures. */
  #ruleAlert(view: PacketView, flow: FlowFacts | null, rule: LoggedRule, sid: number, blocked: boolean): void {
    if (blocked) this.alertsBlocked++;
    else this.alertsAllowed++;
    if (!this.#o.types.has('alert')) return;
    const e = this.#header(view, flow, 'alert');
    e['alert'] = { action: blocked ? 'blocked' : 'allowed', gid: FIREWALL_GID, signature_id: sid, rev: 1, signature: `firewall rule ${rule.name}`, category: '', severity: 2, generation: this.generation };
    if (rule.packetData) addPacket(e, view);
    this.#emit(e, true);
  }

  transaction(view: PacketView | null, flow: FlowFacts, record: TransactionRecord): void {
    if (!this.#o.types.has(record.type)) return;
    const e = view === null ? flowHeader(this.#o.describeFlow(flow.id), record.type, !record.toServer) : this.#header(view, flow, record.type, (view.flowDir === 0) !== record.toServer);
    e[record.type] = record.body;
    this.#emit(e, false);
  }

  /** One line for people and for scorers of rule tests, which look for `event` and `rules` at the top. */
  web(view: PacketView | null, flow: FlowFacts, record: WebRecord): void {
    if (!this.#o.types.has('web')) return;
    const e = view === null ? flowHeader(this.#o.describeFlow(flow.id), 'web', false) : this.#header(view, flow, 'web', view.flowDir !== 0);
    if (flow.appProto !== '') e['app_proto'] = flow.appProto;
    e['event'] = 'transaction';
    e['web'] = record.body;
    e['rules'] = record.rules;
    this.#emit(e, record.blocked);
  }

  anomaly(view: PacketView, flow: FlowFacts | null, layer: 'decode' | 'stream' | 'applayer', name: string): void {
    if (!this.logsAnomalies) return;
    if (!this.#anomalyAllowed(view.tsSec)) {
      this.anomaliesSampled++;
      return;
    }
    const e = this.#header(view, flow, 'anomaly');
    e['anomaly'] = { type: layer, event: name };
    this.#emit(e, false);
  }

  flow(f: FlowSummary): void {
    if (!this.#o.types.has('flow')) return;
    const e = flowHeader(f, 'flow', false);
    if (f.appProto !== '') e['app_proto'] = f.appProto;
    e['flow'] = {
      pkts_toserver: f.packetsToServer,
      pkts_toclient: f.packetsToClient,
      bytes_toserver: f.bytesToServer,
      bytes_toclient: f.bytesToClient,
      start: eveTime(Math.floor(f.startUsec / 1e6), f.startUsec % 1e6),
      end: eveTime(Math.floor(f.endUsec / 1e6), f.endUsec % 1e6),
      age: Math.floor(f.endUsec / 1e6) - Math.floor(f.startUsec / 1e6),
      state: f.state,
      reason: f.reason,
      alerted: f.alerted,
      action: f.action,
      ...(f.uninspected !== '' ? { uninspected: f.uninspected } : {}),
      generation: f.generation,
    };
    if (f.proto === 6) {
      const all = f.tcpFlagsToServer | f.tcpFlagsToClient;
      e['tcp'] = {
        tcp_flags: hex(all),
        tcp_flags_ts: hex(f.tcpFlagsToServer),
        tcp_flags_tc: hex(f.tcpFlagsToClient),
        ...(all & 2 ? { syn: true } : {}),
        ...(all & 1 ? { fin: true } : {}),
        ...(all & 4 ? { rst: true } : {}),
        ...(all & 8 ? { psh: true } : {}),
        ...(all & 16 ? { ack: true } : {}),
        state: f.tcpState,
      };
    }
    this.#emit(e, false);
  }

  /**
   * A Log Only rule, a drop that did not happen (tap mode), or a reconnaissance finding of the firewall.
   * @param sid the rule behind it, 0 = none
   */
  firewall(view: PacketView, type: 'firewall' | 'recon', body: Json, sid = 0): void {
    const rule = sid === 0 ? undefined : this.#o.firewallRule(sid);
    if (this.#o.types.has(type)) {
      const e = this.#header(view, null, type);
      e[type] = body;
      if (rule?.packetData === true) addPacket(e, view);
      this.#emit(e, type === 'recon');
    }
    if (rule?.alert === true) this.#ruleAlert(view, null, rule, sid, false);
  }

  /** Something the switch noticed about a port. */
  switch(sec: number, usec: number, port: number, body: Json): void {
    const o = this.#o;
    if (!o.types.has('switch')) return;
    const vm = o.vmNames[port];
    this.#emit({ timestamp: eveTime(sec, usec), event_type: 'switch', in_iface: o.portNames[port], ...(vm ? { src_vm: vm } : {}), switch: body }, false);
  }

  stats(sec: number, usec: number, body: Json): void {
    if (!this.#o.types.has('stats')) return;
    this.#emit({ timestamp: eveTime(sec, usec), event_type: 'stats', stats: body }, false);
  }

  flush(): void {
    this.#o.sink.flush();
  }

  #anomalyAllowed(sec: number): boolean {
    if (sec !== this.#anomalySecond) {
      this.#anomalySecond = sec;
      this.#anomaliesThisSecond = 0;
    }
    return ++this.#anomaliesThisSecond <= this.#o.dropEventsPerSecond;
  }

  #dropAllowed(sec: number): boolean {
    if (sec !== this.#dropSecond) {
      this.#dropSecond = sec;
      this.#dropsThisSecond = 0;
    }
    return ++this.#dropsThisSecond <= this.#o.dropEventsPerSecond;
  }

  /** The fields every event shares. `swap` turns the record round (transactions are logged as the client saw them). */
  #header(view: PacketView, flow: FlowFacts | null, type: string, swap = false): Json {
    const o = this.#o;
    const e: Json = { timestamp: eveTime(view.tsSec, view.tsUsec) };
    if (flow) e['flow_id'] = flow.eveId;
    if (view.frameNo > 0) e['pcap_cnt'] = view.frameNo;
    e['event_type'] = type;
    const inIface = o.portNames[view.ingress];
    if (inIface !== undefined) e['in_iface'] = inIface;
    if (view.vlanCount > 0) e['vlan'] = [view.vlan0 & 0xfff, view.vlan1 & 0xfff, view.vlan2 & 0xfff].slice(0, view.vlanCount);
    const ports = view.l4Off >= 0 && hasPorts(view.proto);
    if (view.ipVersion !== 0) {
      const src = formatIp(view.ipVersion, view.src0, view.src1, view.src2, view.src3);
      const dst = formatIp(view.ipVersion, view.dst0, view.dst1, view.dst2, view.dst3);
      e['src_ip'] = swap ? dst : src;
      if (ports) e['src_port'] = swap ? view.dstPort : view.srcPort;
      e['dest_ip'] = swap ? src : dst;
      if (ports) e['dest_port'] = swap ? view.srcPort : view.dstPort;
      e['proto'] = ipProtocolName(view.proto);
      if (view.proto === 1 || view.proto === 58) Object.assign(e, { icmp_type: view.icmpType, icmp_code: view.icmpCode });
    }
    const from = o.vmNames[swap ? view.egress : view.ingress];
    const to = o.vmNames[swap ? view.ingress : view.egress];
    if (from) e['src_vm'] = from;
    if (to) e['dest_vm'] = to;
    e['pkt_src'] = o.packetSource;
    return e;
  }

  #emit(event: Json, keep: boolean): void {
    event['generation'] = this.generation;
    if (this.#o.host !== '') event['host'] = this.#o.host;
    this.#o.sink.write(JSON.stringify(event), keep);
  }
}

/** True when the reason is one a person configured (a rule), not a property of the packet. */
export function isPolicyReason(reason: number): boolean {
  return reason === DropReason.ips_rule || reason === DropReason.web_rule || DROP_REASONS[reason]!.stage === 'firewall';
}

/** The shared fields of an event about a flow as a whole; `swap` shows it from the server's side. */
function flowHeader(f: FlowSummary, type: string, swap: boolean): Json {
  const e: Json = { timestamp: eveTime(Math.floor(f.endUsec / 1e6), f.endUsec % 1e6), flow_id: f.eveId, event_type: type };
  const a = { ip: formatIp(f.ipVersion, ...f.src), port: f.srcPort, vm: f.srcVm };
  const b = { ip: formatIp(f.ipVersion, ...f.dst), port: f.dstPort, vm: f.dstVm };
  const [src, dst] = swap ? [b, a] : [a, b];
  e['src_ip'] = src.ip;
  if (hasPorts(f.proto)) e['src_port'] = src.port;
  e['dest_ip'] = dst.ip;
  if (hasPorts(f.proto)) e['dest_port'] = dst.port;
  e['proto'] = ipProtocolName(f.proto);
  if (src.vm !== '') e['src_vm'] = src.vm;
  if (dst.vm !== '') e['dest_vm'] = dst.vm;
  return e;
}

function hasPorts(proto: number): boolean {
  return proto === 6 || proto === 17 || proto === 132;
}

/** The frame as Suricata writes it, as far as an event may grow. */
function addPacket(e: Json, view: PacketView): void {
  const end = Math.min(view.end, view.off + MAX_PACKET_DATA);
  e['packet'] = Buffer.from(view.buf.buffer, view.buf.byteOffset + view.off, end - view.off).toString('base64');
  e['packet_info'] = { linktype: view.linkType };
}

function hex(n: number): string {
  return (n & 0xff).toString(16).padStart(2, '0');
}
