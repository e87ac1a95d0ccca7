/** The names a rule may use for numbers: IANA protocol numbers, IEEE EtherTypes, ICMP types (RFC 792, RFC 4443, RFC 4861), TCP flags. */

/** Deep Security's protocol choices; `nd` is the Sun ND protocol of that list, IPv6 neighbour discovery is `icmpv6`. */
export const PROTOCOL_NAMES: Readonly<Record<string, readonly number[]>> = {
  icmp: [1],
  igmp: [2],
  ggp: [3],
  tcp: [6],
  pup: [12],
  udp: [17],
  idp: [22],
  gre: [47],
  esp: [50],
  ah: [51],
  icmpv6: [58],
  nd: [77],
  sctp: [132],
  raw: [255],
  'tcp+udp': [6, 17],
};

export const ETHERTYPE_NAMES: Readonly<Record<string, readonly number[]>> = {
  ip: [0x0800, 0x86dd],
  ipv4: [0x0800],
  ipv6: [0x86dd],
  arp: [0x0806],
  rarp: [0x8035],
};

/** type << 8 | code, as inclusive ranges. IPv6 names start with `v6-`. */
export const ICMP_NAMES: Readonly<Record<string, readonly [number, number]>> = {
  'echo-reply': [0x0000, 0x00ff],
  unreachable: [0x0300, 0x03ff],
  'fragmentation-needed': [0x0304, 0x0304],
  redirect: [0x0500, 0x05ff],
  'echo-request': [0x0800, 0x08ff],
  'time-exceeded': [0x0b00, 0x0bff],
  'parameter-problem': [0x0c00, 0x0cff],
  'timestamp-request': [0x0d00, 0x0dff],
  'timestamp-reply': [0x0e00, 0x0eff],
  'v6-unreachable': [0x0100, 0x01ff],
  'v6-packet-too-big': [0x0200, 0x02ff],
  'v6-time-exceeded': [0x0300, 0x03ff],
  'v6-parameter-problem': [0x0400, 0x04ff],
  'v6-echo-request': [0x8000, 0x80ff],
  'v6-echo-reply': [0x8100, 0x81ff],
  'v6-router-solicitation': [0x8500, 0x85ff],
  'v6-router-advertisement': [0x8600, 0x86ff],
  'v6-neighbor-solicitation': [0x8700, 0x87ff],
  'v6-neighbor-advertisement': [0x8800, 0x88ff],
  'v6-redirect': [0x8900, 0x89ff],
};

export const TCP_FLAG_BITS: Readonly<Record<string, number>> = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10, urg: 0x20, ece: 0x40, cwr: 0x80 };
