/**
 * A packet from a description, for `drawbridge trace`: "tcp 10.0.0.20:40000 > 10.0.0.10:80 syn", "udp fd00::1 > fd00::2:53",
 * "icmp 10.0.0.20 > 10.0.0.10", "arp 10.0.0.20 > 10.0.0.10". Ports in front of IPv6 addresses are written "[fd00::1]:53".
 */
import {
  PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG, buildArpFrame, finishIpv4, finishIpv6, parseIp, parseMac,
  putEthernet, putIcmp, putIpv4, putIpv6, putTcp, putUdp, type IpAddress,
} from '../packet/index.js';

export interface DescribedPacket {
  readonly proto: 'tcp' | 'udp' | 'icmp' | 'arp';
  readonly src: IpAddress;
  readonly dst: IpAddress;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly flags: number;
}

const FLAGS: Readonly<Record<string, number>> = { syn: TCP_SYN, ack: TCP_ACK, fin: TCP_FIN, rst: TCP_RST, psh: TCP_PSH, urg: TCP_URG };
const FORM = 'tcp|udp|icmp|arp SOURCE[:PORT] > DESTINATION[:PORT] [syn,ack,...]';
const EPHEMERAL = 40_000;
const ICMP_ECHO = 8;
const ICMPV6_ECHO = 128;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** @throws SyntaxError saying what is expected */
export function parsePacket(text: string): DescribedPacket {
  const m = /^(tcp|udp|icmp|arp)\s+(\S+)\s*>\s*(\S+)(?:\s+(\S+))?$/.exec(text.trim());
  if (m === null) throw new SyntaxError(`"${text}" is no packet; expected: ${FORM}`);
  const proto = m[1] as DescribedPacket['proto'];
  const [src, dst] = [end(m[2]!), end(m[3]!)];
  if (src.address.version !== dst.address.version) throw new SyntaxError('source and destination are of different IP versions');
  if (proto === 'arp' && src.address.version !== 4) throw new SyntaxError('ARP is of IPv4');
  const ports = proto === 'tcp' || proto === 'udp';
  if (ports && dst.port < 0) throw new SyntaxError(`${proto} needs a destination port: ${m[3]!}:80`);
  if (!ports && (src.port >= 0 || dst.port >= 0)) throw new SyntaxError(`${proto} has no ports`);
  if (m[4] !== undefined && proto !== 'tcp') throw new SyntaxError(`${proto} has no flags`);
  return { proto, src: src.address, dst: dst.address, srcPort: src.port < 0 ? EPHEMERAL : src.port, dstPort: dst.port, flags: flags(m[4] ?? 'syn') };
}

function end(text: string): { address: IpAddress; port: number } {
  const m = /^\[(.+)\]:(\d{1,5})$/.exec(text) ?? /^([\d.]+):(\d{1,5})$/.exec(text);
  if (m === null) return { address: parseIp(text), port: -1 };
  const port = Number(m[2]);
  if (port > 65_535) throw new SyntaxError(`"${text}": ports are 0 to 65535`);
  return { address: parseIp(m[1]!), port };
}

function flags(text: string): number {
  return text.split(/[,+]/).reduce((all, name) => {
    const bit = FLAGS[name.toLowerCase()];
    if (bit === undefined) throw new SyntaxError(`"${name}" is no TCP flag; known: ${Object.keys(FLAGS).join(', ')}`);
    return all | bit;
  }, 0);
}

/** The frame on the wire; ARP asks everybody for the destination. */
export function buildPacket(p: DescribedPacket, srcMac: string, dstMac: string): Uint8Array {
  const buf = new Uint8Array(256);
  const s = parseMac(srcMac);
  const d = parseMac(p.proto === 'arp' ? BROADCAST : dstMac);
  const [a, b] = [p.src.words, p.dst.words];
  if (p.proto === 'arp') return buf.slice(0, buildArpFrame(buf, 0, 1, s.hi, s.lo, a[0]!, 0, 0, b[0]!));
  const v4 = p.src.version === 4;
  const proto = p.proto === 'tcp' ? PROTO_TCP : p.proto === 'udp' ? PROTO_UDP : v4 ? PROTO_ICMP : PROTO_ICMPV6;
  const l3 = putEthernet(buf, 0, d.hi, d.lo, s.hi, s.lo, v4 ? 0x0800 : 0x86dd);
  const l4 = v4 ? putIpv4(buf, l3, a[0]!, b[0]!, proto, 64) : putIpv6(buf, l3, a[0]!, a[1]!, a[2]!, a[3]!, b[0]!, b[1]!, b[2]!, b[3]!, proto, 64);
  let at: number;
  if (p.proto === 'tcp') at = putTcp(buf, l4, p.srcPort, p.dstPort, 1000, (p.flags & TCP_ACK) === 0 ? 0 : 2000, p.flags, 64_240);
  else if (p.proto === 'udp') at = putUdp(buf, l4, p.srcPort, p.dstPort) + 8;
  else at = putIcmp(buf, l4, v4 ? ICMP_ECHO : ICMPV6_ECHO, 0, 0x0001_0001) + 32;
  if (v4) finishIpv4(buf, l3, at);
  else finishIpv6(buf, l3, at);
  return buf.slice(0, at);
}
