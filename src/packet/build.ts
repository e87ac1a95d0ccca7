/**
 * Frame builders: each writes one header (or a whole small packet) into the caller's buffer and returns the offset behind
 * it. Used for resets and ICMP rejects, by the lab, the tests and the pcap generators. Nothing here allocates.
 *
 * Typical use: reserve room, write link and IP header, transport header and payload, then `finishIpv4`/`finishIpv6`,
 * which knows all lengths and fills in length fields and checksums. Every byte of a header is written, so the buffer may
 * hold anything before. The caller provides the room; writing past the buffer is the caller's bug and is ignored by typed
 * arrays, as everywhere in JavaScript.
 */
import { be16, putBe16, putBe32 } from '../util/index.js';
import { internetChecksum, pseudoHeaderSum } from './checksum.js';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4 } from './ether-type.js';
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP } from './ip-proto.js';

/** Ethernet II header, 14 bytes. @returns offset behind it */
export function putEthernet(buf: Uint8Array, at: number, dstHi: number, dstLo: number, srcHi: number, srcLo: number, etherType: number): number {
  putBe16(buf, at, dstHi);
  putBe32(buf, at + 2, dstLo);
  putBe16(buf, at + 6, srcHi);
  putBe32(buf, at + 8, srcLo);
  putBe16(buf, at + 12, etherType);
  return at + 14;
}

/**
 * One VLAN tag behind an Ethernet header whose type field holds the TPID (0x8100 or 0x88a8): TCI and the next type, 4 bytes.
 */
export function putVlan(buf: Uint8Array, at: number, tci: number, etherType: number): number {
  putBe16(buf, at, tci);
  putBe16(buf, at + 2, etherType);
  return at + 4;
}

/** ARP for IPv4 over Ethernet, 28 bytes. */
export function putArp(
  buf: Uint8Array,
  at: number,
  operation: number,
  senderHi: number,
  senderLo: number,
  senderIp: number,
  targetHi: number,
  targetLo: number,
  targetIp: number,
): number {
  putBe16(buf, at, 1);
  putBe16(buf, at + 2, ETHERTYPE_IPV4);
  buf[at + 4] = 6;
  buf[at + 5] = 4;
  putBe16(buf, at + 6, operation);
  putBe16(buf, at + 8, senderHi);
  putBe32(buf, at + 10, senderLo);
  putBe32(buf, at + 14, senderIp);
  putBe16(buf, at + 18, targetHi);
  putBe32(buf, at + 20, targetLo);
  putBe32(buf, at + 24, targetIp);
  return at + 28;
}

/**
 * IPv4 header without options, 20 bytes, DF set, id 0. Total length and checksum are left to `finishIpv4`.
 */
export function putIpv4(buf: Uint8Array, at: number, src: number, dst: number, proto: number, ttl: number): number {
  buf[at] = 0x45;
  buf[at + 1] = 0;
  putBe16(buf, at + 2, 0);
  putBe16(buf, at + 4, 0);
  putBe16(buf, at + 6, 0x4000);
  buf[at + 8] = ttl;
  buf[at + 9] = proto;
  putBe16(buf, at + 10, 0);
  putBe32(buf, at + 12, src);
  putBe32(buf, at + 16, dst);
  return at + 20;
}

/** IPv6 header, 40 bytes. Payload length is left to `finishIpv6`. */
export function putIpv6(
  buf: Uint8Array,
  at: number,
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  nextHeader: number,
  hopLimit: number,
): number {
  putBe32(buf, at, 0x60000000);
  putBe16(buf, at + 4, 0);
  buf[at + 6] = nextHeader;
  buf[at + 7] = hopLimit;
  putBe32(buf, at + 8, s0);
  putBe32(buf, at + 12, s1);
  putBe32(buf, at + 16, s2);
  putBe32(buf, at + 20, s3);
  putBe32(buf, at + 24, d0);
  putBe32(buf, at + 28, d1);
  putBe32(buf, at + 32, d2);
  putBe32(buf, at + 36, d3);
  return at + 40;
}

/**
 * TCP header, 20 bytes plus `optionsLen` bytes (a multiple of 4) of room for options, which is zeroed.
 * Checksum left to finish*.
 */
export function putTcp(
  buf: Uint8Array,
  at: number,
  srcPort: number,
  dstPort: number,
  seq: number,
  ack: number,
  flags: number,
  window: number,
  optionsLen = 0,
): number {
  const hdrLen = 20 + optionsLen;
  putBe16(buf, at, srcPort);
  putBe16(buf, at + 2, dstPort);
  putBe32(buf, at + 4, seq);
  putBe32(buf, at + 8, ack);
  putBe16(buf, at + 12, ((hdrLen >>> 2) << 12) | (flags & 0x1ff));
  putBe16(buf, at + 14, window);
  putBe32(buf, at + 16, 0);
  buf.fill(0, at + 20, at + hdrLen);
  return at + hdrLen;
}

/** UDP header, 8 bytes. Length and checksum left to finish*. */
export function putUdp(buf: Uint8Array, at: number, srcPort: number, dstPort: number): number {
  putBe16(buf, at, srcPort);
  putBe16(buf, at + 2, dstPort);
  putBe32(buf, at + 4, 0);
  return at + 8;
}

/** ICMP or ICMPv6 header, 8 bytes; `rest` is the second word (identifier and sequence, MTU, ...). Checksum left to finish*. */
export function putIcmp(buf: Uint8Array, at: number, type: number, code: number, rest: number): number {
  buf[at] = type;
  buf[at + 1] = code;
  putBe16(buf, at + 2, 0);
  putBe32(buf, at + 4, rest);
  return at + 8;
}

/** Write total length, transport length and checksums of the IPv4 packet in [l3, end). The header may have options. */
export function finishIpv4(buf: Uint8Array, l3: number, end: number): void {
  const hdrLen = (buf[l3]! & 0x0f) << 2;
  putBe16(buf, l3 + 2, end - l3);
  putBe16(buf, l3 + 10, 0);
  putBe16(buf, l3 + 10, internetChecksum(buf, l3, hdrLen));
  // A later fragment starts in the middle of the payload, a first one does not hold all the checksum covers.
  if ((be16(buf, l3 + 6) & 0x3fff) !== 0) return;
  finishTransport(buf, l3, 4, buf[l3 + 9]!, l3 + hdrLen, end);
}

/**
 * Write payload length, transport length and checksum of the IPv6 packet in [l3, end).
 * @param proto transport protocol, when extension headers stand between; with `l4` its offset
 */
export function finishIpv6(buf: Uint8Array, l3: number, end: number, proto = buf[l3 + 6]!, l4 = l3 + 40): void {
  putBe16(buf, l3 + 4, end - l3 - 40);
  finishTransport(buf, l3, 6, proto, l4, end);
}

function finishTransport(buf: Uint8Array, l3: number, version: number, proto: number, l4: number, end: number): void {
  const len = end - l4;
  let field = 0;
  switch (proto) {
    case PROTO_TCP:
      field = l4 + 16;
      break;
    case PROTO_UDP:
      putBe16(buf, l4 + 4, len);
      field = l4 + 6;
      break;
    case PROTO_ICMP:
      putBe16(buf, l4 + 2, 0);
      putBe16(buf, l4 + 2, internetChecksum(buf, l4, len));
      return;
    case PROTO_ICMPV6:
      field = l4 + 2;
      break;
    default:
      return;
  }
  putBe16(buf, field, 0);
  const checksum = internetChecksum(buf, l4, len, pseudoHeaderSum(buf, l3, version, proto, len));
  // RFC 768: a computed zero is sent as all ones, because zero says "none".
  putBe16(buf, field, checksum === 0 && proto === PROTO_UDP ? 0xffff : checksum);
}

/** Whole ARP request or reply frame, 42 bytes. A request goes to the broadcast address. */
export function buildArpFrame(
  buf: Uint8Array,
  at: number,
  operation: number,
  senderHi: number,
  senderLo: number,
  senderIp: number,
  targetHi: number,
  targetLo: number,
  targetIp: number,
): number {
  const request = operation === 1;
  const next = putEthernet(buf, at, request ? 0xffff : targetHi, request ? -1 : targetLo, senderHi, senderLo, ETHERTYPE_ARP);
  return putArp(buf, next, operation, senderHi, senderLo, senderIp, request ? 0 : targetHi, request ? 0 : targetLo, targetIp);
}
