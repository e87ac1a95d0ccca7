import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {
  DECODE_EVENTS,
  DecodeEvent,
  EmbeddedPacket,
  FrameBatch,
  LinkType,
  PROTO_GRE,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_IPIP,
  PROTO_TCP,
  PROTO_UDP,
  PacketView,
  TUNNEL_NAMES,
  D_CSUM_START,
  D_GSO_SIZE,
  D_GSO_TYPE,
  D_LEN,
  D_LINK_TYPE,
  D_OFF,
  D_VNET_FLAGS,
  GSO_TCPV4,
  VNET_F_NEEDS_CSUM,
  CSUM_NONE,
  IPV4_OPT_ESEC,
  IPV4_OPT_EOL,
  decode,
  decodeBatchRow,
  decodeEventId,
  decodeInner,
  destinationIp,
  finishIpv4,
  finishIpv6,
  hasEvent,
  icmpEmbedded,
  icmpv6Embedded,
  icmpv6Mtu,
  linkTypeName,
  openCapture,
  putEthernet,
  putIcmp,
  putIpv4,
  putIpv6,
  putTcp,
  putUdp,
  sourceIp,
  verifyTransportChecksum,
} from '../../../src/packet/index.js';
import { fromHex, putBe16 } from '../../../src/util/index.js';

const DIR = 'pcaps/decode';

function eventNames(view: PacketView): string[] {
  return [...view.events.subarray(0, view.eventCount)].map((id) => DECODE_EVENTS[id]!.name);
}

/** One line per packet (inner ones indented), in the words a person would use to say what it is. */
function describe(view: PacketView): string {
  const parts = [view.ipVersion === 0 ? `type ${view.etherType.toString(16)}` : `${sourceIp(view)} > ${destinationIp(view)} proto ${view.proto}`];
  if (view.vlanCount > 0) parts.push(`vlan ${view.vlan0 & 0xfff}`);
  if (view.fragment) parts.push(`frag ${view.fragOff}${(view.ipFlags & 1) !== 0 ? '+' : ''}`);
  if (view.srcPort !== 0) parts.push(`ports ${view.srcPort} ${view.dstPort}`);
  parts.push(`payload ${view.payloadLen}`);
  if (view.tunnel !== 0) parts.push(TUNNEL_NAMES[view.tunnel as 1]);
  parts.push(...eventNames(view));
  if (view.malformed !== 0) parts.push('MALFORMED');
  return parts.join(', ');
}

function describeFile(name: string): string[] {
  const source = openCapture(join(DIR, name));
  const batch = new FrameBatch(16, 0);
  const lines: string[] = [];
  while (source.fillBatch(batch) > 0) {
    for (let row = 0; row < batch.rxCount; row++) {
      let view = new PacketView();
      decodeBatchRow(view, batch, row);
      lines.push(describe(view));
      for (let inner = new PacketView(); decodeInner(view, inner); inner = new PacketView()) {
        lines.push(`  ${describe(inner)}`);
        view = inner;
      }
    }
  }
  return lines;
}

// Addresses, protocols and payload lengths below were checked against tshark, the events against Suricata 7.0.10.
const REAL: readonly (readonly [string, readonly string[]])[] = [
  [
    'chdlc.pcap',
    [
      '192.168.2.7 > 65.55.116.183 proto 6, ports 4938 80, payload 0',
      '65.55.116.183 > 192.168.2.7 proto 6, ports 80 4938, payload 0',
      '192.168.2.7 > 65.55.116.183 proto 6, ports 4938 80, payload 0',
    ],
  ],
  [
    'gre.pcap',
    [
      '172.27.1.66 > 66.59.109.137 proto 47, payload 84, gre',
      '  66.59.111.190 > 172.28.2.3 proto 1, payload 56',
      '66.59.109.137 > 172.27.1.66 proto 47, payload 84, gre',
      '  172.28.2.3 > 66.59.111.190 proto 1, payload 56',
      '172.27.1.66 > 66.59.109.137 proto 47, payload 84, gre',
      '  66.59.111.190 > 172.28.2.3 proto 1, payload 56',
    ],
  ],
  [
    'gre-ppp.pcap',
    [
      '7.7.7.7 > 9.9.9.9 proto 47, payload 85, gre',
      '  1.1.1.1 > 2.2.2.2 proto 17, frag 0+, ports 11111 9999, payload 64',
      '7.7.7.7 > 9.9.9.9 proto 47, payload 85, gre',
      '  1.1.1.1 > 2.2.2.2 proto 17, frag 64+, payload 64',
      '7.7.7.7 > 9.9.9.9 proto 47, payload 85, gre',
      '  1.1.1.1 > 2.2.2.2 proto 17, frag 128+, payload 64',
    ],
  ],
  ['ipopts-bad-length.pcap', ['30.30.30.30 > 20.20.20.20 proto 17, ports 5060 5060, payload 18', '20.20.20.20 > 30.30.30.30 proto 17, ports 5060 5060, payload 18', 'type 800, payload 0, ipv4.opt_pad_required, ipv4.opt_invalid_len, MALFORMED']],
  ['ipopts-esec.pcap', ['1.2.3.4 > 4.5.6.7 proto 6, ports 20 80, payload 0, ipv4.opt_pad_required']],
  ['ipv6-dstopts.pcap', ['2001:db8:2:0:8e16:45ff:fee5:5ba2 > 2001:db8:1::1 proto 58, payload 0, ipv6.dstopts_unknown_opt', '2001:db8:2:0:8e16:45ff:fee5:5ba2 > 2001:db8:1::1 proto 58, payload 0, ipv6.dstopts_unknown_opt']],
  [
    'ipv6-fragments.pcap',
    [
      '2001:db8:1::2 > 2001:db8:1::1 proto 58, payload 10',
      '2001:db8:1::1 > 2001:db8:1::2 proto 58, payload 10',
      'fe80::6600:6aff:fe5b:8eb3 > ff02::1 proto 58, payload 48',
      'fe80::223:55ff:fe9c:7326 > ff02::16 proto 58, payload 120, ipv6.zero_len_padn',
      'fe80::223:55ff:fe9c:7326 > ff02::16 proto 58, payload 120, ipv6.zero_len_padn',
      'fe80::6600:6aff:fe5b:8f4a > 2001:db8:1::2 proto 58, payload 24',
      '2001:db8:1::2 > fe80::6600:6aff:fe5b:8f4a proto 58, payload 16',
      '2001:db8:1::2 > 2001:db8:1::1 proto 44, payload 0, ipv6.exthdr_useless_fh, ipv6.trunc_exthdr, MALFORMED',
      '2001:db8:1::2 > 2001:db8:1::1 proto 58, payload 10',
      '2001:db8:1::1 > 2001:db8:1::2 proto 58, payload 10',
    ],
  ],
  ['ppp-fragments.pcap', ['1.1.1.1 > 2.2.2.2 proto 6, frag 0+, payload 8', '1.1.1.1 > 2.2.2.2 proto 6, frag 8+, payload 8', '1.1.1.1 > 2.2.2.2 proto 6, frag 16, payload 8']],
  ['raw-truncated.pcap', ['10.0.0.1 > 10.0.0.2 proto 132, payload 4, sctp.pkt_too_small, MALFORMED']],
  ['vlan-ipv6-hopopts.pcap', ['::1 > ::1 proto 17, vlan 6, ports 53 80, payload 0, ipv6.hopopts_only_padding, ipv6.dstopts_only_padding, ipv6.rh_type_0']],
];

for (const [name, want] of REAL) {
  test(`real frames: ${name}`, (t) => {
    t.deepEqual(describeFile(name), want);
  });
}

test('real frames: VXLAN and Teredo carry what tshark says they carry; Teredo with authentication is set-up, no tunnel', (t) => {
  t.deepEqual(describeFile('vxlan.pcap').slice(0, 4), [
    '192.168.203.1 > 192.168.202.1 proto 17, ports 45149 4789, payload 106, vxlan',
    '  192.168.203.3 > 192.168.203.5 proto 1, payload 56',
    '192.168.202.1 > 192.168.203.1 proto 17, ports 42710 4789, payload 50, vxlan',
    '  type 806, payload 28',
  ]);
  t.deepEqual(describeFile('teredo.pcap'), [
    '192.168.2.16 > 65.55.158.80 proto 17, ports 3797 3544, payload 77',
    '65.55.158.81 > 192.168.2.16 proto 17, ports 3544 3797, payload 109',
    '192.168.2.16 > 65.55.158.80 proto 17, ports 3797 3544, payload 52, teredo',
    '  2001:0:4137:9e50:8000:f12a:b9c8:2815 > 2001:4860:0:2001::68 proto 58, payload 4',
  ]);
});

// ---- one header at a time ------------------------------------------------------------------------------------------

const buf = new Uint8Array(4096);

function ip4(proto: number, body: readonly number[] | Uint8Array, optionsHex = ''): PacketView {
  buf.fill(0xa5);
  const options = fromHex(optionsHex);
  const l4 = putIpv4(buf, 0, 0x0a000001, 0x0a000002, proto, 64) + options.length;
  buf[0] = 0x45 + options.length / 4;
  buf.set(options, 20);
  buf.set(body, l4);
  putBe16(buf, 2, l4 + body.length);
  const view = new PacketView();
  decode(view, buf, 0, l4 + body.length, LinkType.RAW);
  return view;
}

function ip6(nextHeader: number, body: readonly number[] | Uint8Array, hopLimit = 64): PacketView {
  buf.fill(0xa5);
  const l4 = putIpv6(buf, 0, 0x20010db8, 0, 0, 1, 0x20010db8, 0, 0, 2, nextHeader, hopLimit);
  buf.set(body, l4);
  putBe16(buf, 4, body.length);
  const view = new PacketView();
  decode(view, buf, 0, l4 + body.length, LinkType.RAW);
  return view;
}

const tcp = (offset: number, options = '') => [0, 1, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, offset << 4, 2, 1, 0, 0, 0, 0, 0, ...fromHex(options)];
const udp = (length: number) => [0, 1, 0, 53, 0, length, 0, 0];

const HEADERS: readonly (readonly [string, () => PacketView, readonly string[], boolean])[] = [
  ['TCP shorter than its header', () => ip4(PROTO_TCP, tcp(5).slice(0, 19)), ['tcp.pkt_too_small'], true],
  ['TCP data offset beyond the packet', () => ip4(PROTO_TCP, tcp(6)), ['tcp.hlen_too_small'], true],
  ['TCP data offset below the header', () => ip4(PROTO_TCP, tcp(4)), ['tcp.invalid_optlen'], true],
  ['TCP option that runs out', () => ip4(PROTO_TCP, tcp(6, '02060101')), ['tcp.opt_invalid_len'], true],
  ['TCP option of length 1', () => ip4(PROTO_TCP, tcp(6, '05010101')), ['tcp.opt_invalid_len'], true],
  ['TCP MSS of wrong size', () => ip4(PROTO_TCP, tcp(6, '02030100')), ['tcp.opt_invalid_len'], false],
  ['TCP MSS twice', () => ip4(PROTO_TCP, tcp(7, '020405b4 02040100')), ['tcp.opt_duplicate'], false],
  ['TCP empty SACK', () => ip4(PROTO_TCP, tcp(6, '05020101')), [], false],
  ['UDP shorter than its header', () => ip4(PROTO_UDP, udp(8).slice(0, 7)), ['udp.hlen_too_small'], true],
  ['UDP length beyond the packet', () => ip4(PROTO_UDP, udp(9)), ['udp.pkt_too_small'], true],
  ['UDP length below its header', () => ip4(PROTO_UDP, udp(7)), ['udp.len_invalid'], true],
  ['ICMP too short', () => ip4(PROTO_ICMP, [8, 0, 0, 0, 0, 0, 0]), ['icmpv4.pkt_too_small'], true],
  ['ICMP unknown type', () => ip4(PROTO_ICMP, [42, 0, 0, 0, 0, 0, 0, 0]), ['icmpv4.unknown_type'], false],
  ['ICMP unknown code', () => ip4(PROTO_ICMP, [8, 1, 0, 0, 0, 0, 0, 0]), ['icmpv4.unknown_code'], false],
  ['ICMP quotes too little', () => ip4(PROTO_ICMP, [3, 1, 0, 0, 0, 0, 0, 0, 0x45]), ['icmpv4.ipv4_trunc_pkt'], true],
  ['ICMP quotes no IPv4', () => ip4(PROTO_ICMP, [11, 0, 0, 0, 0, 0, 0, 0, 0x65, ...Array.from({ length: 20 }, () => 0)]), ['icmpv4.ipv4_unknown_ver'], true],
  ['ICMPv6 in IPv4', () => ip4(PROTO_ICMPV6, [128, 0, 0, 0, 0, 0, 0, 0]), ['ipv4.icmpv6'], true],
  ['IPv4 option list without end', () => ip4(PROTO_UDP, udp(8), '01010183'), ['ipv4.opt_pad_required', 'ipv4.opt_eol_required'], false],
  ['IPv4 source route pointer', () => ip4(PROTO_UDP, udp(8), '83070501020304 00'), ['ipv4.opt_malformed'], true],
  ['IPv4 record route twice', () => ip4(PROTO_UDP, udp(8), '070304 070304 0000'), ['ipv4.opt_duplicate'], false],
  ['IPv4 unknown option', () => ip4(PROTO_UDP, udp(8), 'c8020000 00000000'), ['ipv4.opt_invalid'], false],
  ['GRE version 2', () => ip4(PROTO_GRE, [0, 2, 8, 0]), ['gre.wrong_version'], true],
  ['GRE with key flag but no key', () => ip4(PROTO_GRE, [0x20, 0, 8, 0]), ['gre.version0_hdr_too_big'], true],
  ['PPTP GRE without key', () => ip4(PROTO_GRE, [0, 1, 0x88, 0x0b, 0, 0, 0, 0]), ['gre.version1_no_key'], true],
  ['ESP too short', () => ip4(50, [0, 0, 0, 0]), ['esp.pkt_too_small'], true],
  ['ICMPv6 unassigned type', () => ip6(PROTO_ICMPV6, [50, 0, 0, 0, 0, 0, 0, 0]), ['icmpv6.unassigned_type'], false],
  ['ICMPv6 experiment', () => ip6(PROTO_ICMPV6, [200, 0, 0, 0, 0, 0, 0, 0]), ['icmpv6.experimentation_type'], false],
  ['MLD with a hop limit', () => ip6(PROTO_ICMPV6, [130, 0, 0, 0, 0, 0, 0, 0]), ['icmpv6.mld_message_with_invalid_hl'], false],
  ['MLD as it should be', () => ip6(PROTO_ICMPV6, [130, 0, 0, 0, 0, 0, 0, 0], 1), [], false],
  ['nothing after no-next-header', () => ip6(59, []), [], false],
  ['data after no-next-header', () => ip6(59, [1]), ['ipv6.data_after_none_header'], false],
  ['extension header cut off', () => ip6(60, [17, 1, 1, 4, 0, 0, 0, 0]), ['ipv6.trunc_exthdr'], true],
  ['hop-by-hop twice', () => ip6(0, [0, 0, 5, 2, 0, 0, 1, 0, 59, 0, 1, 4, 0, 0, 0, 0]), ['ipv6.zero_len_padn', 'ipv6.exthdr_dupl_hh'], false],
  ['option runs out of its header', () => ip6(0, [59, 0, 5, 9, 0, 0, 1, 0]), ['ipv6.exthdr_invalid_optlen'], true],
  ['fragment header with reserved bits', () => ip6(44, [59, 7, 0, 0, 0, 0, 0, 1]), ['ipv6.fh_non_zero_reserved_field', 'ipv6.exthdr_useless_fh'], false],
  ['fragment of odd size that is not the last', () => ip6(44, [17, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3]), ['ipv6.frag_invalid_length'], false],
  ['ICMPv4 in IPv6', () => ip6(PROTO_ICMP, [8, 0, 0, 0, 0, 0, 0, 0]), ['ipv6.icmpv4'], false],
  ['unknown next header', () => ip6(253, [1, 2, 3]), ['ipv6.unknown_next_header'], false],
  ['IPv4 in IPv6 of the wrong version', () => ip6(PROTO_IPIP, Array.from({ length: 20 }, () => 0x66)), ['ipv6.ipv4_in_ipv6_wrong_version'], true],
  ['AH with reserved bits', () => ip6(51, [59, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), ['ipv6.exthdr_ah_res_not_null'], false],
];

for (const [name, build, events, malformed] of HEADERS) {
  test(`event: ${name}`, (t) => {
    const view = build();
    t.deepEqual(eventNames(view), [...events]);
    t.is(view.malformed !== 0, malformed);
    for (const event of events) t.true(hasEvent(view, decodeEventId(event)));
  });
}

test('a chain of extension headers is walked within bounds', (t) => {
  const chain = (length: number) => {
    const bytes = new Uint8Array(length * 8);
    for (let i = 0; i < length; i++) bytes.set([i === length - 1 ? 59 : 60, 0, 1, 4], i * 8);
    return ip6(60, bytes);
  };
  t.is(chain(180).malformed, 0);
  t.is(chain(180).proto, 59);
  t.is(chain(257).malformed, DecodeEvent['too_many_layers']);
});

test('IPv6 fragment: what the defragmenter needs', (t) => {
  // hop-by-hop, then a middle fragment of UDP
  const view = ip6(0, [44, 0, 5, 2, 0, 0, 1, 0, 17, 0, 0x05, 0xa9, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8]);
  t.true(view.fragment);
  t.deepEqual([view.proto, view.fragNext, view.fragOff, view.ipFlags, view.ipId], [44, 17, 0x5a8, 1, 0xdeadbeef | 0]);
  t.deepEqual([view.fragHdrOff, view.fragPrevOff, view.payloadOff, view.payloadLen, view.l4Off], [48, 40, 56, 8, -1]);
});

test('IPv6 atomic fragment is a whole packet (RFC 6946)', (t) => {
  const view = ip6(44, [17, 0, 0, 0, 0, 0, 0, 1, ...udp(8)]);
  t.false(view.fragment);
  t.deepEqual([view.proto, view.srcPort, view.dstPort, view.ipHdrLen], [17, 1, 53, 48]);
});

test('first fragments show their ports, later and tiny ones do not', (t) => {
  const first = (body: readonly number[]) => {
    buf.fill(0);
    const l4 = putIpv4(buf, 0, 1, 2, PROTO_TCP, 64);
    buf.set(body, l4);
    putBe16(buf, 2, l4 + body.length);
    putBe16(buf, 6, 0x2000);
    const view = new PacketView();
    decode(view, buf, 0, l4 + body.length, LinkType.RAW);
    return view;
  };
  const whole = first([...tcp(5), 1, 2, 3, 4]);
  t.deepEqual([whole.fragment, whole.l4Off, whole.dstPort, whole.tcpFlags, whole.payloadOff, whole.payloadLen], [true, 20, 80, 2, 20, 24]);
  const tiny = first(tcp(5).slice(0, 8));
  t.deepEqual([tiny.fragment, tiny.l4Off, tiny.dstPort, tiny.malformed], [true, -1, 0, 0]);
});

test('IPv4 options bitmap', (t) => {
  t.is(ip4(PROTO_TCP, tcp(5), '85030000').ipOptions, IPV4_OPT_ESEC | IPV4_OPT_EOL);
});

test('TCP options', (t) => {
  const view = ip4(PROTO_TCP, tcp(11, '020405b4 0402 080a 00000001 80000000 01 03030f 00000000'));
  t.deepEqual([view.mss, view.wscale, view.tsVal, view.tsEcr, view.eventCount], [1460, 14, 1, -0x80000000, 0]);
});

test('an ICMP error tells which packet it is about', (t) => {
  const out = new EmbeddedPacket();
  const quoted = new Uint8Array(28);
  putIpv4(quoted, 0, 0x0a000005, 0x0a000006, PROTO_UDP, 1);
  putUdp(quoted, 20, 4000, 33434);
  const view = ip4(PROTO_ICMP, [11, 0, 0, 0, 0, 0, 0, 0, ...quoted]);
  t.true(icmpEmbedded(view, out));
  t.deepEqual([out.ipVersion, out.proto, out.src0, out.dst0, out.srcPort, out.dstPort], [4, PROTO_UDP, 0x0a000005, 0x0a000006, 4000, 33434]);
  t.false(icmpv6Embedded(view, out));

  const quoted6 = new Uint8Array(56);
  putIpv6(quoted6, 0, 1, 2, 3, 4, 5, 6, 7, 8, 44, 1);
  quoted6.set([PROTO_TCP, 0, 0, 1], 40); // a first fragment
  quoted6.set([0, 22, 0, 23, 0, 0, 0, 7], 48);
  const view6 = ip6(PROTO_ICMPV6, [2, 0, 0, 0, 0, 0, 5, 0, ...quoted6]);
  t.true(icmpv6Embedded(view6, out));
  t.deepEqual([out.proto, out.src3, out.dst3, out.srcPort, out.dstPort, out.seq, icmpv6Mtu(view6)], [PROTO_TCP, 4, 8, 22, 23, 7, 0x500]);
  t.is(icmpv6Mtu(view), -1);
});

test('tunnels nest to a limit', (t) => {
  // IPv4 in IPv4, six deep
  const levels = 6;
  buf.fill(0);
  for (let i = 0; i < levels; i++) {
    putIpv4(buf, i * 20, 1, 2, i === levels - 1 ? PROTO_UDP : PROTO_IPIP, 64);
    putBe16(buf, i * 20 + 2, (levels - i) * 20 + 8);
  }
  putUdp(buf, levels * 20, 1, 2);
  putBe16(buf, levels * 20 + 4, 8);
  let view = new PacketView();
  decode(view, buf, 0, levels * 20 + 8, LinkType.RAW);
  let depth = 0;
  for (let inner = new PacketView(); decodeInner(view, inner); inner = new PacketView()) {
    view = inner;
    depth++;
    if (view.malformed !== 0) break;
  }
  t.is(depth, 5);
  t.is(view.malformed, DecodeEvent['too_many_layers']);
  t.is(view.tunnelDepth, 5);
});

test('a batch row brings offloads: partial checksums are not judged', (t) => {
  const batch = new FrameBatch(2, 0);
  const l3 = putEthernet(batch.arena, 64, 0, 1, 0, 2, 0x0800);
  const l4 = putIpv4(batch.arena, l3, 1, 2, PROTO_TCP, 64);
  const end = putTcp(batch.arena, l4, 5, 6, 7, 8, 0x10, 9);
  finishIpv4(batch.arena, l3, end);
  putBe16(batch.arena, l4 + 16, 0x1234); // the pseudo-header sum a kernel would leave there
  batch.desc[D_OFF] = 64;
  batch.desc[D_LEN] = end - 64;
  batch.desc[D_LINK_TYPE] = 1;
  batch.desc[D_GSO_TYPE] = GSO_TCPV4;
  batch.desc[D_GSO_SIZE] = 1448;
  batch.desc[D_VNET_FLAGS] = VNET_F_NEEDS_CSUM;
  batch.desc[D_CSUM_START] = 34;
  const view = new PacketView();
  decodeBatchRow(view, batch, 0);
  t.deepEqual([view.desc, view.gsoSize, view.csumPartial, view.dstPort], [0, 1448, true, 6]);
  t.is(verifyTransportChecksum(view), CSUM_NONE);
  // The next plain frame must not inherit any of it.
  decode(view, batch.arena, 64, end - 64, LinkType.ETHERNET);
  t.deepEqual([view.desc, view.gsoSize, view.csumPartial], [-1, 0, false]);
});

test('unsupported link types are malformed, not guessed', (t) => {
  const view = new PacketView();
  decode(view, buf, 0, 60, 147);
  t.is(view.malformed, DecodeEvent['linktype.unsupported']);
  t.is(linkTypeName(147), '147');
  t.is(linkTypeName(1), 'ETHERNET (1)');
});

// ---- any bytes at all ----------------------------------------------------------------------------------------------

/** Every offset a later stage may follow lies in the frame; lengths are never negative. Returns what is wrong. */
function offence(view: PacketView): string {
  const { off, end } = view;
  const inside = (at: number) => at >= off && at <= end;
  if (!inside(view.payloadOff) || view.payloadLen < 0 || !inside(view.payloadOff + view.payloadLen)) return `payload ${view.payloadOff}+${view.payloadLen}`;
  if (view.l3Off !== -1 && !inside(view.l3Off)) return 'l3Off';
  if (view.l4Off !== -1 && !inside(view.l4Off)) return 'l4Off';
  if (view.fragHdrOff !== -1 && !inside(view.fragHdrOff + 8)) return 'fragHdrOff';
  if (view.fragPrevOff !== -1 && !inside(view.fragPrevOff)) return 'fragPrevOff';
  if (view.tunnel !== 0 && (view.innerOff < view.payloadOff || view.innerOff > view.payloadOff + view.payloadLen)) return 'innerOff';
  if (view.ipVersion !== 0) {
    if (view.l3Off < 0 || !inside(view.ipEnd) || view.l3Off + view.ipHdrLen > view.ipEnd) return 'ip header';
    if (view.payloadOff + view.payloadLen > view.ipEnd) return 'payload past ipEnd';
    if (view.l4Off >= 0 && view.l4Off < view.l3Off + 20) return 'l4 inside l3';
  }
  if (view.eventCount > view.events.length) return 'events';
  for (const [key, value] of Object.entries(view)) {
    if (typeof value === 'number' && value !== (value | 0)) return `${key} is not an int32: ${value}`;
  }
  return '';
}

function seeds(): { linkType: number; bytes: Uint8Array }[] {
  const frames: { linkType: number; bytes: Uint8Array }[] = [];
  const batch = new FrameBatch(16, 0);
  for (const name of readdirSync(DIR).filter((file) => file.endsWith('.pcap'))) {
    const source = openCapture(join(DIR, name));
    while (source.fillBatch(batch) > 0) {
      for (let row = 0; row < batch.rxCount; row++) {
        const at = batch.desc[row * 16 + D_OFF]!;
        frames.push({ linkType: batch.desc[row * 16 + D_LINK_TYPE]!, bytes: batch.arena.slice(at, at + batch.desc[row * 16 + D_LEN]!) });
      }
    }
  }
  return frames;
}

test('truncated and mutated frames never throw and never leave an offset outside the frame', (t) => {
  const frames = seeds();
  const linkTypes = Object.values(LinkType);
  const view = new PacketView();
  const inner = [new PacketView(), new PacketView()];
  const arena = new Uint8Array(4096);
  fc.assert(
    fc.property(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat({ max: 120 }), fc.integer({ min: 0, max: 255 })), { maxLength: 8 }),
      fc.nat({ max: 200 }),
      fc.option(fc.constantFrom(...linkTypes), { freq: 4 }),
      fc.nat({ max: 70 }),
      ({ bytes, linkType }, changes, cut, otherType, off) => {
        arena.fill(0xa5);
        arena.set(bytes.subarray(0, 2000), off);
        for (const [at, value] of changes) arena[off + (at % bytes.length)] = value;
        const len = cut > 100 ? Math.min(bytes.length, 2000) : Math.min(cut, bytes.length);
        decode(view, arena, off, len, otherType ?? linkType);
        let fault = offence(view);
        let current = view;
        for (let depth = 0; fault === '' && decodeInner(current, inner[depth & 1]!); depth++) {
          current = inner[depth & 1]!;
          fault = offence(current);
        }
        t.is(fault, '');
      },
    ),
    { numRuns: 15_000 },
  );
});

test('random bytes behind every EtherType and protocol', (t) => {
  const view = new PacketView();
  const arena = new Uint8Array(512);
  const types = [0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x8847, 0x8863, 0x8864, 0x880b, 0x6558, 0x8926, 0x88e7, 0x8903, 0x894f, 0x0040];
  fc.assert(
    fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 160 }), fc.integer({ min: 0, max: 255 }), fc.boolean(), (type, body, proto, valid) => {
      const at = putEthernet(arena, 0, 0, 1, 0, 2, type);
      arena.set(body, at);
      const end = at + body.length;
      if (valid && type === 0x0800 && body.length >= 20) {
        putIpv4(arena, at, 1, 2, proto, 64);
        finishIpv4(arena, at, end);
      } else if (valid && type === 0x86dd && body.length >= 40) {
        putIpv6(arena, at, 1, 2, 3, 4, 5, 6, 7, 8, proto, 64);
        finishIpv6(arena, at, end);
      }
      decode(view, arena, 0, end, LinkType.ETHERNET);
      t.is(offence(view), '');
    }),
    { numRuns: 10_000 },
  );
});

test('a decoded frame leaves no trace of the one before', (t) => {
  const frames = seeds();
  const used = new PacketView();
  const strip = ({ buf: _buf, data: _data, events, ...fields }: PacketView) => ({ ...fields, events: [...events.subarray(0, fields.eventCount)] });
  fc.assert(
    fc.property(fc.constantFrom(...frames), fc.constantFrom(...frames), (before, { bytes, linkType }) => {
      decode(used, before.bytes, 0, before.bytes.length, before.linkType);
      used.flowId = 3;
      used.verdict = 4;
      used.modified = true;
      decode(used, bytes, 0, bytes.length, linkType);
      const fresh = new PacketView();
      decode(fresh, bytes, 0, bytes.length, linkType);
      t.deepEqual(strip(used), strip(fresh));
    }),
    { numRuns: 500 },
  );
});

test('event table: names are unique, of the known form, and found by name', (t) => {
  const names = DECODE_EVENTS.map((row) => row.name);
  t.is(new Set(names).size, names.length);
  for (const [id, { name, help }] of DECODE_EVENTS.entries()) {
    t.regex(name, /^[a-z0-9]+(\.[a-z0-9_]+)?$|^too_many_layers$/);
    t.true(help.length > 5);
    t.is(decodeEventId(name), id === 0 ? -1 : id);
  }
  t.is(decodeEventId('ipv4.no_such_event'), -1);
  t.is(decodeEventId('toString'), -1);
});

test('ICMP echo keeps identifier and sequence', (t) => {
  const body = new Uint8Array(8);
  putIcmp(body, 0, 8, 0, (0x1234 << 16) | 0xfffe);
  const view = ip4(PROTO_ICMP, body);
  t.deepEqual([view.icmpId, view.icmpSeq], [0x1234, 0xfffe]);
});
