/** Keywords about the checksums of a packet. A checksum that is still left to the card, or that was not computed, counts as right. */
import { CSUM_BAD, ipv4ChecksumOk, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, verifyTransportChecksum } from '../../packet/index.js';
import { keyword, type Keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PacketMatch } from '../match/match.js';

/** The checksum of the IPv4 header itself. */
const IP_HEADER = -1;

class ChecksumMatch extends PacketMatch {
  constructor(
    readonly version: 4 | 6,
    readonly proto: number,
    readonly wanted: boolean,
  ) {
    super();
  }

  matches({ view }: InspectContext): boolean {
    if (view.ipVersion !== this.version || view.malformed !== 0) return false;
    if (this.proto === IP_HEADER) return ipv4ChecksumOk(view) === this.wanted;
    if (view.proto !== this.proto || view.l4Off < 0) return false;
    return (verifyTransportChecksum(view) !== CSUM_BAD) === this.wanted;
  }
}

function checksum<const Name extends string>(name: Name, what: string, version: 4 | 6, proto: number): Keyword<Name> {
  return keyword({
    name,
    kind: 'packet',
    help: `Whether the ${what} checksum is right.`,
    usage: [`${name}:valid`, `${name}:invalid`],
    value: 'required',
    parse(draft, option) {
      const arg = option.unquoted();
      const word = arg.text.toLowerCase();
      if (word !== 'valid' && word !== 'invalid') option.fail(arg, 'unknown state', ['valid', 'invalid']);
      draft.addPacketMatch(new ChecksumMatch(version, proto, word === 'valid'));
    },
  });
}

export const ipv4Csum = checksum('ipv4-csum', 'IPv4 header', 4, IP_HEADER);
export const tcpv4Csum = checksum('tcpv4-csum', 'TCP over IPv4', 4, PROTO_TCP);
export const tcpv6Csum = checksum('tcpv6-csum', 'TCP over IPv6', 6, PROTO_TCP);
export const udpv4Csum = checksum('udpv4-csum', 'UDP over IPv4', 4, PROTO_UDP);
export const udpv6Csum = checksum('udpv6-csum', 'UDP over IPv6', 6, PROTO_UDP);
export const icmpv4Csum = checksum('icmpv4-csum', 'ICMP', 4, PROTO_ICMP);
export const icmpv6Csum = checksum('icmpv6-csum', 'ICMPv6', 6, PROTO_ICMPV6);
