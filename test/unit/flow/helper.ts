/** Views of TCP, UDP and ICMP packets between two hosts, for the flow tests. */
import { PacketView, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG } from '../../../src/packet/index.js';
import type { Flow } from '../../../src/flow/index.js';

const FLAGS: Record<string, number> = { S: TCP_SYN, A: TCP_ACK, F: TCP_FIN, R: TCP_RST, P: TCP_PSH, U: TCP_URG };

export const CLIENT = 0x0a00_0001;
export const SERVER = 0x0a00_0002;

export interface Segment {
  /** 0 = client to server. */
  dir?: number;
  /** Letters of S A F R P U; '' = no flag. */
  flags: string;
  seq: number;
  ack?: number;
  /** Payload bytes, or their number. */
  data?: Uint8Array | number;
  win?: number;
  wscale?: number;
  at?: number;
  srcPort?: number;
  dstPort?: number;
  ingress?: number;
  gsoSize?: number;
}

function ends(view: PacketView, dir: number, proto: number): void {
  view.ipVersion = 4;
  view.l3Off = 14;
  view.l4Off = 34;
  view.proto = proto;
  view.src0 = dir === 0 ? CLIENT : SERVER;
  view.dst0 = dir === 0 ? SERVER : CLIENT;
}

export function tcp(s: Segment, view = new PacketView()): PacketView {
  const dir = s.dir ?? 0;
  ends(view, dir, 6);
  view.srcPort = s.srcPort ?? (dir === 0 ? 40_000 : 80);
  view.dstPort = s.dstPort ?? (dir === 0 ? 80 : 40_000);
  view.seq = s.seq | 0;
  view.ack = (s.ack ?? 0) | 0;
  view.tcpFlags = 0;
  for (const letter of s.flags) view.tcpFlags |= FLAGS[letter]!;
  view.window = s.win ?? 65_535;
  view.wscale = s.wscale ?? -1;
  view.tsSec = s.at ?? 1000;
  view.ingress = s.ingress ?? 1 + dir;
  view.gsoSize = s.gsoSize ?? 0;
  const data = typeof s.data === 'number' ? new Uint8Array(s.data) : (s.data ?? new Uint8Array(0));
  view.buf = new Uint8Array(54 + data.length);
  view.buf.set(data, 54);
  view.payloadOff = 54;
  view.payloadLen = data.length;
  view.end = view.buf.length;
  view.ipEnd = view.end;
  view.wireLen = view.end;
  view.flowId = -1;
  view.reason = 0;
  view.verdict = 0;
  view.modified = false;
  return view;
}

export function udp(dir: number, srcPort: number, dstPort: number, at = 1000, ingress = 1 + dir): PacketView {
  const view = new PacketView();
  ends(view, dir, 17);
  view.srcPort = srcPort;
  view.dstPort = dstPort;
  view.tsSec = at;
  view.ingress = ingress;
  view.wireLen = 100;
  return view;
}

export function icmp(dir: number, type: number, id: number, at = 1000): PacketView {
  const view = new PacketView();
  ends(view, dir, 1);
  view.icmpType = type;
  view.icmpId = id;
  view.tsSec = at;
  view.wireLen = 98;
  return view;
}

/** Bytes of the view's payload. */
export function payloadOf(view: PacketView): Uint8Array {
  return view.buf.slice(view.payloadOff, view.payloadOff + view.payloadLen);
}

/** Contiguous bytes held for a direction. */
export function heldOf(flow: Flow, dir: number): Uint8Array {
  const half = flow.half(dir);
  return half.buf.slice(0, half.len);
}
