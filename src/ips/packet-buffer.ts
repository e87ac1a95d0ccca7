/** Buffers that are a part of the packet itself: ipv4.hdr, tcp.hdr and their kin. */
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP } from '../packet/index.js';
import type { PacketView } from '../packet/packet-view.js';

/** A borrowed range of the packet. */
export class PacketRange {
  off = 0;
  len = 0;
}

export interface PacketBuffer {
  readonly name: string;
  /** IP protocols that have it, null = any; IP version, 0 = either. */
  readonly protocols: readonly number[] | null;
  readonly version: 0 | 4 | 6;
  /** @returns false when the packet has no such part */
  range(view: PacketView, out: PacketRange): boolean;
}

function setRange(out: PacketRange, off: number, len: number): boolean {
  out.off = off;
  out.len = len;
  return off >= 0 && len > 0;
}

/** Length of an ICMP header with what belongs to it by its type (RFC 792, 950, 1256); payload begins behind the first eight bytes. */
function icmpHeaderLen(view: PacketView): number {
  const fixed = view.payloadOff - view.l4Off;
  return fixed + Math.min(view.payloadLen, icmpExtra(view));
}

function icmpExtra({ icmpType, buf, l4Off }: PacketView): number {
  if (icmpType === 9) return buf[l4Off + 4]! * buf[l4Off + 5]! * 4; // router advertisement: addresses times words of each
  if (icmpType === 13 || icmpType === 14) return 12; // timestamps
  return icmpType === 17 || icmpType === 18 ? 4 : 0; // address mask
}

/** An address, the IP header with its options or extension headers, or a transport header with its options. */
export const PACKET_BUFFERS: readonly PacketBuffer[] = [
  { name: 'ip.src', protocols: null, version: 0, range: (view, out) => setRange(out, view.l3Off + (view.ipVersion === 4 ? 12 : 8), view.ipVersion === 0 ? 0 : view.ipVersion === 4 ? 4 : 16) },
  { name: 'ip.dst', protocols: null, version: 0, range: (view, out) => setRange(out, view.l3Off + (view.ipVersion === 4 ? 16 : 24), view.ipVersion === 0 ? 0 : view.ipVersion === 4 ? 4 : 16) },
  {
    name: 'ipv4.hdr',
    protocols: null,
    version: 4,
    range: (view, out) => view.ipVersion === 4 && setRange(out, view.l3Off, view.ipHdrLen),
  },
  {
    name: 'ipv6.hdr',
    protocols: null,
    version: 6,
    range: (view, out) => view.ipVersion === 6 && setRange(out, view.l3Off, view.ipHdrLen),
  },
  {
    name: 'tcp.hdr',
    protocols: [PROTO_TCP],
    version: 0,
    range: (view, out) => view.proto === PROTO_TCP && setRange(out, view.l4Off, view.tcpHdrLen),
  },
  {
    name: 'udp.hdr',
    protocols: [PROTO_UDP],
    version: 0,
    range: (view, out) => view.proto === PROTO_UDP && setRange(out, view.l4Off, 8),
  },
  {
    name: 'icmpv4.hdr',
    protocols: [PROTO_ICMP],
    version: 0,
    range: (view, out) => view.proto === PROTO_ICMP && setRange(out, view.l4Off, icmpHeaderLen(view)),
  },
  {
    name: 'icmpv6.hdr',
    protocols: [PROTO_ICMPV6],
    version: 0,
    range: (view, out) => view.proto === PROTO_ICMPV6 && setRange(out, view.l4Off, view.payloadOff - view.l4Off),
  },
];
