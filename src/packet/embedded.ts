/** What can be read of a packet quoted inside an ICMP error: it may be cut anywhere, and nobody vouches for it. */
import { be16, be32 } from '../util/index.js';
import {
  PROTO_AH,
  PROTO_DSTOPTS,
  PROTO_FRAGMENT,
  PROTO_HOPOPTS,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_ROUTING,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
} from './ip-proto.js';

/** Extension headers walked before giving up; no honest packet that reaches an error message has as many. */
const MAX_EXT_HEADERS = 8;

/** Reused record, filled by icmpEmbedded / icmpv6Embedded. Addresses as in PacketView. */
export class EmbeddedPacket {
  ipVersion = 0;
  proto = 0;
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;
  /** Offset of the quoted transport header, -1 when the quotation ends before it or it is a later fragment. */
  l4Off = -1;
  /** 0 when the quotation does not reach them. For ICMP echo both hold the identifier. */
  srcPort = 0;
  dstPort = 0;
  /** TCP sequence number, 0 when not quoted. */
  seq = 0;

  /** @returns false when [at, end) does not start with an IPv4 header */
  readIpv4(buf: Uint8Array, at: number, end: number): boolean {
    if (end - at < 20 || buf[at]! >>> 4 !== 4) return false;
    const hdrLen = (buf[at]! & 0x0f) << 2;
    if (hdrLen < 20) return false;
    this.ipVersion = 4;
    this.proto = buf[at + 9]!;
    this.src0 = be32(buf, at + 12);
    this.dst0 = be32(buf, at + 16);
    this.src1 = this.src2 = this.src3 = 0;
    this.dst1 = this.dst2 = this.dst3 = 0;
    const laterFragment = (be16(buf, at + 6) & 0x1fff) !== 0;
    this.#readTransport(buf, laterFragment ? end : at + hdrLen, end);
    return true;
  }

  /** @returns false when [at, end) does not start with an IPv6 header */
  readIpv6(buf: Uint8Array, at: number, end: number): boolean {
    if (end - at < 40 || buf[at]! >>> 4 !== 6) return false;
    this.ipVersion = 6;
    this.src0 = be32(buf, at + 8);
    this.src1 = be32(buf, at + 12);
    this.src2 = be32(buf, at + 16);
    this.src3 = be32(buf, at + 20);
    this.dst0 = be32(buf, at + 24);
    this.dst1 = be32(buf, at + 28);
    this.dst2 = be32(buf, at + 32);
    this.dst3 = be32(buf, at + 36);
    let proto = buf[at + 6]!;
    let next = at + 40;
    for (let i = 0; i < MAX_EXT_HEADERS && end - next >= 8; i++) {
      if (proto === PROTO_FRAGMENT) {
        if ((be16(buf, next + 2) & 0xfff8) !== 0) {
          proto = buf[next]!;
          next = end;
          break;
        }
        proto = buf[next]!;
        next += 8;
      } else if (proto === PROTO_HOPOPTS || proto === PROTO_ROUTING || proto === PROTO_DSTOPTS) {
        proto = buf[next]!;
        next += (buf[next + 1]! + 1) << 3;
      } else if (proto === PROTO_AH) {
        proto = buf[next]!;
        next += (buf[next + 1]! + 2) << 2;
      } else {
        break;
      }
    }
    this.proto = proto;
    this.#readTransport(buf, next, end);
    return true;
  }

  #readTransport(buf: Uint8Array, at: number, end: number): void {
    this.l4Off = -1;
    this.srcPort = 0;
    this.dstPort = 0;
    this.seq = 0;
    // RFC 792 quotes eight bytes of the transport header.
    if (end - at < 8) return;
    switch (this.proto) {
      case PROTO_TCP:
        this.seq = be32(buf, at + 4);
        break;
      case PROTO_UDP:
      case PROTO_SCTP:
        break;
      case PROTO_ICMP:
      case PROTO_ICMPV6:
        this.l4Off = at;
        this.srcPort = be16(buf, at + 4);
        this.dstPort = this.srcPort;
        return;
      default:
        return;
    }
    this.l4Off = at;
    this.srcPort = be16(buf, at);
    this.dstPort = be16(buf, at + 2);
  }
}
