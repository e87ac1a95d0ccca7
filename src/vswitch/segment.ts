/**
 * From a frame of the batch (maybe a GSO super-frame, maybe with a partial checksum, with a tag action) to the frames that
 * would be on a wire. The twin of native/src/segment.cc for ports that live in JavaScript; tests hold both to the same
 * bytes. Not a fast path: captures and tests, not guests.
 */
import {
  D_CSUM_OFF,
  D_CSUM_START,
  D_GSO_SIZE,
  D_GSO_TYPE,
  D_LEN,
  D_LINK_TYPE,
  D_OFF,
  D_STRIDE,
  D_VNET_FLAGS,
  ETHERNET_HEADER_LEN,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_QINQ,
  ETHERTYPE_VLAN,
  GSO_ECN,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  LinkType,
  MAX_FRAME,
  PROTO_DSTOPTS,
  PROTO_HOPOPTS,
  PROTO_ROUTING,
  PROTO_TCP,
  PROTO_UDP,
  TAG_KEEP,
  TAG_STRIP,
  TCP_CWR,
  TCP_FIN,
  TCP_PSH,
  VNET_F_NEEDS_CSUM,
  internetChecksum,
  sum16,
  fold,
  sumBytes,
  type FrameBatch,
} from '../packet/index.js';
import { be16, be32, putBe16, putBe32 } from '../util/index.js';

export const EINVAL = 22;
export const EMSGSIZE = 90;
export const EIO = 5;

const MACS = 12;
const TAG = 4;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
/** Headers that can be segmented: link, IP with extension headers, transport. As in native code. */
const MAX_HEADERS = 256;
/** gso_size comes from a guest: without a bound one super-frame could become 65536 frames. As in native code. */
const MAX_SEGMENTS = 2048;

/** Takes wire frames. The bytes are only valid during the call. @returns 0 or an errno, which stops the frame */
export interface WireSink {
  wireFrame(buf: Uint8Array, off: number, len: number): number;
}

export class WireEmitter {
  /** The frame after its tag action. */
  private readonly whole = new Uint8Array(MAX_FRAME + TAG);
  /** One segment. */
  private readonly segment = new Uint8Array(MAX_FRAME + TAG);
  private buf: Uint8Array = this.whole;
  private off = 0;
  private len = 0;
  private csumStart = 0;
  private csumOff = 0;
  private l3 = 0;
  private l4 = 0;
  private headers = 0;
  private ipv6 = false;
  private udp = false;

  /**
   * Emit the wire form of descriptor row `row`.
   * @param tag T_VLAN action
   * @param mtu bound for the bytes behind the link header
   * @returns 0, EMSGSIZE (too big and not segmentable), EINVAL (offload fields contradict the frame) or the sink's error
   */
  emit(batch: FrameBatch, row: number, tag: number, mtu: number, sink: WireSink): number {
    const d = row * D_STRIDE;
    const desc = batch.desc;
    const partial = (desc[d + D_VNET_FLAGS]! & VNET_F_NEEDS_CSUM) !== 0;
    this.csumStart = partial ? desc[d + D_CSUM_START]! : -1;
    this.csumOff = desc[d + D_CSUM_OFF]!;
    // Captures of other link types know no tags and no offloads.
    if (desc[d + D_LINK_TYPE] !== LinkType.ETHERNET) return sink.wireFrame(batch.arena, desc[d + D_OFF]!, desc[d + D_LEN]!);
    const error = this.applyTag(batch.arena, desc[d + D_OFF]!, desc[d + D_LEN]!, tag);
    if (error !== 0) return error;
    const gsoType = desc[d + D_GSO_TYPE]! & ~GSO_ECN;
    if (gsoType === GSO_TCPV4 || gsoType === GSO_TCPV6 || gsoType === GSO_UDP_L4) return this.emitSegments(gsoType, desc[d + D_GSO_SIZE]!, mtu, sink);
    if (this.len - this.linkHeaderLength() > mtu) return EMSGSIZE;
    return partial ? this.emitCompleted(sink) : sink.wireFrame(this.buf, this.off, this.len);
  }

  /** The frame as it shall leave: in the arena when no byte changes, else in `whole`. */
  private applyTag(buf: Uint8Array, off: number, len: number, tag: number): number {
    this.buf = buf;
    this.off = off;
    this.len = len;
    if (len < ETHERNET_HEADER_LEN) return EINVAL;
    if (tag === TAG_KEEP) return 0;
    const whole = this.whole;
    let shift = TAG;
    if (tag === TAG_STRIP) {
      if (len < ETHERNET_HEADER_LEN + TAG || !isTag(be16(buf, off + MACS))) return 0;
      shift = -TAG;
      if (this.csumStart >= 0 && this.csumStart < ETHERNET_HEADER_LEN + TAG) return EINVAL;
      whole.set(buf.subarray(off + MACS + TAG, off + len), MACS);
    } else {
      const vid = tag & 0xfff;
      if (tag < 0 || tag > 0xffff || vid === 0 || vid === 0xfff) return EINVAL;
      putBe16(whole, MACS, ETHERTYPE_VLAN);
      putBe16(whole, MACS + 2, tag);
      whole.set(buf.subarray(off + MACS, off + len), MACS + TAG);
    }
    whole.set(buf.subarray(off, off + MACS), 0);
    this.buf = whole;
    this.off = 0;
    this.len = len + shift;
    // A sum that starts inside the addresses makes no sense, and must not come to make some by the shift.
    if (this.csumStart >= MACS) this.csumStart += shift;
    return 0;
  }

  /** Ethernet header with up to two tags. */
  private linkHeaderLength(): number {
    let len = ETHERNET_HEADER_LEN;
    while (len < ETHERNET_HEADER_LEN + 2 * TAG && this.len >= len + TAG && isTag(be16(this.buf, this.off + len - 2))) len += TAG;
    return len;
  }

  /** One frame whose checksum field holds the sum so far (virtio 1.2 section 5.1.6.2). */
  private emitCompleted(sink: WireSink): number {
    const start = this.csumStart;
    const field = start + this.csumOff;
    if (start < ETHERNET_HEADER_LEN || this.csumOff < 0 || field + 2 > this.len) return EINVAL;
    if (this.buf !== this.whole) {
      this.whole.set(this.buf.subarray(this.off, this.off + this.len), 0);
      this.buf = this.whole;
      this.off = 0;
    }
    putBe16(this.whole, field, nonZero(internetChecksum(this.whole, start, this.len - start)));
    return sink.wireFrame(this.whole, 0, this.len);
  }

  /** Find the headers in the frame itself; the lengths of a vnet header are hints. @returns 0 or EINVAL */
  private parseHeaders(gsoType: number): number {
    const { buf, off } = this;
    const have = Math.min(this.len, MAX_HEADERS);
    const l3 = this.linkHeaderLength();
    if (have < l3 + 20) return EINVAL;
    this.l3 = l3;
    this.udp = gsoType === GSO_UDP_L4;
    const type = be16(buf, off + l3 - 2);
    const at = off + l3;
    let proto: number;
    if (type === ETHERTYPE_IPV4 && gsoType !== GSO_TCPV6) {
      const ihl = (buf[at]! & 15) << 2;
      // A fragment has no business being a super-frame.
      if (buf[at]! >>> 4 !== 4 || ihl < 20 || (be16(buf, at + 6) & 0x3fff) !== 0) return EINVAL;
      this.ipv6 = false;
      this.l4 = l3 + ihl;
      proto = buf[at + 9]!;
    } else if (type === ETHERTYPE_IPV6 && gsoType !== GSO_TCPV4) {
      if (have < l3 + 40 || buf[at]! >>> 4 !== 6) return EINVAL;
      this.ipv6 = true;
      this.l4 = l3 + 40;
      proto = buf[at + 6]!;
      while (proto === PROTO_HOPOPTS || proto === PROTO_ROUTING || proto === PROTO_DSTOPTS) {
        if (have < this.l4 + 8) return EINVAL;
        proto = buf[off + this.l4]!;
        this.l4 += (buf[off + this.l4 + 1]! + 1) << 3;
      }
    } else {
      return EINVAL;
    }
    if (proto !== (this.udp ? PROTO_UDP : PROTO_TCP) || have < this.l4 + (this.udp ? 8 : 20)) return EINVAL;
    const l4Len = this.udp ? 8 : (buf[off + this.l4 + 12]! >>> 4) << 2;
    this.headers = this.l4 + l4Len;
    if ((!this.udp && l4Len < 20) || this.headers > have) return EINVAL;
    return this.csumStart >= 0 && (this.csumStart !== this.l4 || this.csumOff !== (this.udp ? UDP_CHECKSUM : TCP_CHECKSUM)) ? EINVAL : 0;
  }

  private emitSegments(gsoType: number, gsoSize: number, mtu: number, sink: WireSink): number {
    const error = this.parseHeaders(gsoType);
    if (error !== 0) return error;
    const { buf, off, headers, l3, l4, udp, ipv6, segment } = this;
    const payload = this.len - headers;
    if (gsoSize <= 0 || payload >= gsoSize * MAX_SEGMENTS) return EINVAL;
    if (headers - l3 + Math.min(payload, gsoSize) > mtu) return EMSGSIZE;
    const check = l4 + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);
    const ipId = be16(buf, off + l3 + 4);
    const seq = be32(buf, off + l4 + 4);
    const flags = udp ? 0 : buf[off + l4 + 13]!;
    // Pseudo-header without its length. A partial checksum field holds the sum for the whole super-frame: taking the length
    // out of it is right even where the destination is not the IPv6 header's (routing header).
    let pseudo: number;
    if (this.csumStart >= 0) pseudo = be16(buf, off + check) + (~fold(this.len - l4) & 0xffff);
    else pseudo = (udp ? PROTO_UDP : PROTO_TCP) + (ipv6 ? sumBytes(buf, off + l3 + 8, 32, 0) : sumBytes(buf, off + l3 + 12, 8, 0));
    segment.set(buf.subarray(off, off + headers), 0);
    let done = 0;
    let index = 0;
    do {
      const part = Math.min(gsoSize, payload - done);
      const len = headers + part;
      segment.set(buf.subarray(off + headers + done, off + headers + done + part), headers);
      if (ipv6) {
        putBe16(segment, l3 + 4, len - l3 - 40);
      } else {
        putBe16(segment, l3 + 2, len - l3);
        putBe16(segment, l3 + 4, (ipId + index) & 0xffff);
        putBe16(segment, l3 + 10, 0);
        putBe16(segment, l3 + 10, internetChecksum(segment, l3, l4 - l3));
      }
      if (udp) {
        putBe16(segment, l4 + 4, len - l4);
      } else {
        putBe32(segment, l4 + 4, (seq + done) | 0);
        // FIN and PSH belong to the last segment, CWR (sent once, RFC 3168 section 6.1.2) to the first.
        segment[l4 + 13] = flags & (done + part < payload ? ~(TCP_FIN | TCP_PSH) : 0xff) & (index > 0 ? ~TCP_CWR : 0xff);
      }
      putBe16(segment, check, 0);
      putBe16(segment, check, nonZero(~sum16(segment, l4, len - l4, fold(pseudo + len - l4)) & 0xffff));
      const failed = sink.wireFrame(segment, 0, len);
      if (failed !== 0) return failed;
      done += part;
      index++;
    } while (done < payload);
    return 0;
  }
}

function isTag(type: number): boolean {
  return type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ;
}

/** A transport checksum that comes out as zero is sent as all ones: for UDP zero would say "none" (RFC 768). */
function nonZero(checksum: number): number {
  return checksum === 0 ? 0xffff : checksum;
}
