/** Keywords that compare one number of the packet header. */
import { keyword, type Keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch } from '../match/match.js';
import { Compare, NumberTest, parseNumberTest } from '../option.js';
import { be32 } from '../../util/index.js';
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP } from '../../packet/index.js';
import type { PacketView } from '../../packet/packet-view.js';

const FIELD = { DSIZE: 0, TTL: 1, TOS: 2, ID: 3, SEQ: 4, ACK: 5, WINDOW: 6, ITYPE: 7, ICODE: 8, ICMP_ID: 9, ICMP_SEQ: 10, MSS: 11, IP_PROTO: 12, MTU: 13 } as const;

/** ICMP messages that carry an identifier and a sequence number: echo, timestamp, information, address mask. */
function hasIdentifier(view: PacketView): boolean {
  if (view.l4Off < 0) return false;
  if (view.proto === PROTO_ICMPV6) return view.icmpType === 128 || view.icmpType === 129;
  if (view.proto !== PROTO_ICMP) return false;
  const type = view.icmpType;
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}

class NumberMatch extends PacketMatch {
  constructor(
    readonly field: number,
    readonly test: NumberTest,
  ) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    const value = valueOf(view, this.field, this.test.mode === Compare.NE);
    return value >= 0 && this.test.matches(value);
  }
}

/** The field as an unsigned number, -1 when the packet has none. */
function valueOf(view: PacketView, field: number, negated: boolean): number {
  const tcp = view.proto === PROTO_TCP && view.l4Off >= 0;
  const icmp = (view.proto === PROTO_ICMP || view.proto === PROTO_ICMPV6) && view.l4Off >= 0;
  const ip = view.ipVersion !== 0;
  switch (field) {
    case FIELD.DSIZE:
      // A GSO frame stands for segments of gsoSize; the size of one of them is what the rule is about.
      // Only `<n` and `0` are about packets without payload; `!n` is not.
      if (view.payloadLen === 0 && negated) return -1;
      return view.gsoSize > 0 && view.payloadLen > view.gsoSize ? view.gsoSize : view.payloadLen;
    case FIELD.TTL:
      return ip ? view.ttl : -1;
    case FIELD.TOS:
      return ip ? view.tos : -1;
    case FIELD.ID:
      return view.ipVersion === 4 ? view.ipId >>> 0 : -1;
    case FIELD.SEQ:
      return tcp ? view.seq >>> 0 : -1;
    case FIELD.ACK:
      return tcp ? view.ack >>> 0 : -1;
    case FIELD.WINDOW:
      return tcp ? view.window : -1;
    case FIELD.ITYPE:
      return icmp ? view.icmpType : -1;
    case FIELD.ICODE:
      return icmp ? view.icmpCode : -1;
    case FIELD.ICMP_ID:
      return hasIdentifier(view) ? view.icmpId : -1;
    case FIELD.ICMP_SEQ:
      return hasIdentifier(view) ? view.icmpSeq : -1;
    case FIELD.MTU:
      // RFC 4443 section 3.2: packet too big carries it where echo has its identifier.
      return icmp && view.proto === PROTO_ICMPV6 && view.icmpType === 2 ? be32(view.buf, view.l4Off + 4) >>> 0 : -1;
    case FIELD.MSS:
      return tcp ? view.mss : -1;
    default:
      return ip ? view.proto : -1;
  }
}

function numeric<const Name extends string>(name: Name, field: number, max: number, help: string, inclusive = false): Keyword<Name> {
  return keyword({
    name,
    kind: 'packet',
    help,
    usage: [`${name}:n`, `${name}:<n`, `${name}:>n`, `${name}:low<>high`],
    value: 'required',
    parse(draft, option) {
      draft.addPacketMatch(new NumberMatch(field, parseNumberTest(option, option.unquoted(), 0, max, inclusive)));
    },
  });
}

export const dsize = numeric('dsize', FIELD.DSIZE, 65_535, 'Payload size of the packet in bytes; makes the contents of the rule look at single packets.');
export const ttl = numeric('ttl', FIELD.TTL, 255, 'Time to live, or hop limit.', true);
export const tos = numeric('tos', FIELD.TOS, 255, 'IPv4 type of service, IPv6 traffic class.');
export const id = numeric('id', FIELD.ID, 65_535, 'IPv4 identification.');
export const seq = numeric('seq', FIELD.SEQ, 0xffff_ffff, 'TCP sequence number as sent.');
export const ack = numeric('ack', FIELD.ACK, 0xffff_ffff, 'TCP acknowledgement number.');
export const itype = numeric('itype', FIELD.ITYPE, 255, 'ICMP or ICMPv6 type.');
export const icode = numeric('icode', FIELD.ICODE, 255, 'ICMP or ICMPv6 code.');
export const icmpId = numeric('icmp_id', FIELD.ICMP_ID, 65_535, 'Identifier of an ICMP echo or similar message.');
export const icmpSeq = numeric('icmp_seq', FIELD.ICMP_SEQ, 65_535, 'Sequence number of an ICMP echo or similar message.');
export const icmpv6Mtu = numeric('icmpv6.mtu', FIELD.MTU, 0xffff_ffff, 'MTU that an ICMPv6 packet too big message names.');
export const tcpMss = numeric('tcp.mss', FIELD.MSS, 65_535, 'Maximum segment size option of a TCP packet.', true);

/** window takes a negation, but no comparison. */
export const window = keyword({
  name: 'window',
  aliases: ['tcp.window'],
  kind: 'packet',
  help: 'TCP window as sent, before scaling.',
  usage: ['window:n', 'window:!n'],
  value: 'required',
  parse(draft, option) {
    draft.addPacketMatch(new NumberMatch(FIELD.WINDOW, parseNumberTest(option, option.unquoted(), 0, 65_535)));
  },
});

/** Names that ip_proto takes beside numbers. */
const PROTOCOL_NAMES: Readonly<Record<string, number>> = {
  ip: 0, icmp: 1, igmp: 2, ggp: 3, ipip: 4, st: 5, tcp: 6, cbt: 7, egp: 8, igp: 9, pup: 12, udp: 17, hmp: 20, xns: 22, rdp: 27, ipv6: 41,
  rsvp: 46, gre: 47, esp: 50, ah: 51, icmp6: 58, 'ipv6-icmp': 58, eigrp: 88, ospf: 89, ipcomp: 108, vrrp: 112, l2tp: 115, sctp: 132,
};

class ProtocolMatch extends PacketMatch {
  constructor(readonly test: NumberTest) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    return view.ipVersion !== 0 && this.test.matches(view.proto);
  }
}

export const ipProto = keyword({
  name: 'ip_proto',
  kind: 'packet',
  help: 'IP protocol by number or name.',
  usage: ['ip_proto:n', 'ip_proto:!n', 'ip_proto:<n', 'ip_proto:>n', 'ip_proto:name'],
  value: 'required',
  parse(draft, option) {
    const arg = option.unquoted();
    const match = /^([!<>]?)\s*([a-z][\w-]*)$/i.exec(arg.text);
    let test: NumberTest;
    if (match !== null) {
      const name = match[2]!.toLowerCase();
      if (!Object.hasOwn(PROTOCOL_NAMES, name)) option.fail(arg, 'unknown IP protocol', Object.keys(PROTOCOL_NAMES));
      const modes: Readonly<Record<string, number>> = { '!': Compare.NE, '<': Compare.LT, '>': Compare.GT, '': Compare.EQ };
      test = new NumberTest(modes[match[1]!]!, PROTOCOL_NAMES[name]!, 0);
    } else {
      test = parseNumberTest(option, arg, 0, 255);
    }
    // The one packet test that leaves a rule to be judged once per flow.
    draft.packetMatches.push(new ProtocolMatch(test));
    draft.requiresPacket = true;
  },
});

class SameIpMatch extends PacketMatch {
  matches({ view }: InspectContext): boolean {
    return view.ipVersion !== 0 && view.src0 === view.dst0 && view.src1 === view.dst1 && view.src2 === view.dst2 && view.src3 === view.dst3;
  }
}

export const sameip = keyword({
  name: 'sameip',
  kind: 'packet',
  help: 'Source and destination address are equal.',
  usage: ['sameip'],
  value: 'none',
  parse(draft) {
    draft.addPacketMatch(new SameIpMatch());
  },
});
