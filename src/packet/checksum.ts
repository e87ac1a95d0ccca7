/**
 * Internet checksum (RFC 1071), incremental update (RFC 1624), and verification of a decoded packet.
 * Sums over long payloads belong in native code: `setChecksumSum` plugs it in, the function here stays as its twin and
 * as the oracle of its tests. A transport checksum that is still partial (virtio NEEDS_CSUM) is never judged.
 */
import { be16 } from '../util/index.js';
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP } from './ip-proto.js';
import type { PacketView } from './packet-view.js';

/** Ones-complement sum of buf[off, off+len) added to `initial`, folded to 16 bits, not inverted. */
export type ChecksumSum = (buf: Uint8Array, off: number, len: number, initial: number) => number;

/** Below this many bytes the call into native code costs more than the sum. */
const NATIVE_FROM = 128;
let longSum: ChecksumSum = sumBytes;

/** Use `sum` (the addon's `checksum`) for payloads; called once by the composition root. */
export function setChecksumSum(sum: ChecksumSum): void {
  longSum = sum;
}

/** The sum in plain JavaScript. */
export function sumBytes(buf: Uint8Array, off: number, len: number, initial: number): number {
  let sum = initial;
  const end = off + (len & ~1);
  // 2^15 words of 16 bits cannot overflow 31 bits on top of a folded start value.
  for (let at = off; at < end; ) {
    const stop = Math.min(end, at + 0x8000);
    for (; at < stop; at += 2) sum += (buf[at]! << 8) | buf[at + 1]!;
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  if ((len & 1) !== 0) sum += buf[end]! << 8;
  return fold(sum);
}

/** Fold carries into 16 bits. */
export function fold(sum: number): number {
  let s = sum;
  while (s > 0xffff) s = (s & 0xffff) + (s >>> 16);
  return s;
}

/** Sum over any length with the faster of both implementations. */
export function sum16(buf: Uint8Array, off: number, len: number, initial: number): number {
  return len < NATIVE_FROM ? sumBytes(buf, off, len, initial) : longSum(buf, off, len, initial);
}

/** Checksum field value for buf[off, off+len) whose own field is zero. */
export function internetChecksum(buf: Uint8Array, off: number, len: number, initial = 0): number {
  return ~sum16(buf, off, len, initial) & 0xffff;
}

/** Sum over the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1) of an IP packet at `l3Off`. */
export function pseudoHeaderSum(buf: Uint8Array, l3Off: number, ipVersion: number, proto: number, l4Len: number): number {
  const addresses = ipVersion === 4 ? sumBytes(buf, l3Off + 12, 8, 0) : sumBytes(buf, l3Off + 8, 32, 0);
  return fold(addresses + proto + (l4Len >>> 16) + (l4Len & 0xffff));
}

/**
 * New value of a checksum field after a 16-bit word it covers changed (RFC 1624 equation 3).
 * All three are 16-bit unsigned.
 */
export function adjustChecksum16(checksum: number, oldWord: number, newWord: number): number {
  return ~fold((~checksum & 0xffff) + (~oldWord & 0xffff) + newWord) & 0xffff;
}

/** The same for a 32-bit word (an IPv4 address, a sequence number). */
export function adjustChecksum32(checksum: number, oldWord: number, newWord: number): number {
  const high = adjustChecksum16(checksum, oldWord >>> 16, newWord >>> 16);
  return adjustChecksum16(high, oldWord & 0xffff, newWord & 0xffff);
}

/** True when the IPv4 header checksum is right. Call for IPv4 only. */
export function ipv4ChecksumOk(view: PacketView): boolean {
  return sumBytes(view.buf, view.l3Off, view.ipHdrLen, 0) === 0xffff;
}

/** Results of `verifyTransportChecksum`. */
export const CSUM_BAD = 0;
export const CSUM_OK = 1;
/** Not computed by the sender, still partial, a fragment, or a protocol without one. */
export const CSUM_NONE = 2;

/** Verify the TCP, UDP, ICMP or ICMPv6 checksum. @returns CSUM_OK, CSUM_BAD or CSUM_NONE */
export function verifyTransportChecksum(view: PacketView): number {
  if (view.csumPartial || view.fragment || view.l4Off < 0) return CSUM_NONE;
  const at = view.l4Off;
  let len = view.ipEnd - at;
  switch (view.proto) {
    case PROTO_ICMP:
      return view.ipVersion === 4 ? judge(sum16(view.buf, at, len, 0)) : CSUM_NONE;
    case PROTO_UDP:
      // RFC 768: zero means the sender computed none; IPv6 forbids that (RFC 8200 section 8.1).
      if (be16(view.buf, at + 6) === 0) return view.ipVersion === 4 ? CSUM_NONE : CSUM_BAD;
      len = view.payloadOff + view.payloadLen - at;
      break;
    case PROTO_TCP:
      break;
    case PROTO_ICMPV6:
      if (view.ipVersion !== 6) return CSUM_NONE;
      break;
    default:
      return CSUM_NONE;
  }
  return judge(sum16(view.buf, at, len, pseudoHeaderSum(view.buf, view.l3Off, view.ipVersion, view.proto, len)));
}

function judge(sum: number): number {
  return sum === 0xffff ? CSUM_OK : CSUM_BAD;
}
