/**
 * Frame bytes -> PacketView. One pass, no allocation, nothing read twice; each protocol's file knows its own header, the
 * tables here and in transport.ts know who comes next. Bounds are checked once per header, then fields are read freely.
 *
 * `decode` never throws on any bytes as long as [off, off + len) lies inside `buf`, and every offset it leaves in the view
 * lies in [off, off + len].
 */
import { decodeArp } from './arp.js';
import { DecodeEvent, setInvalid } from './decode-event.js';
import {
  ETHERTYPE_8021AH,
  ETHERTYPE_ARP,
  ETHERTYPE_FABRICPATH,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_MPLS,
  ETHERTYPE_MPLS_MULTICAST,
  ETHERTYPE_NSH,
  ETHERTYPE_PPP,
  ETHERTYPE_PPPOE_DISCOVERY,
  ETHERTYPE_PPPOE_SESSION,
  ETHERTYPE_QINQ,
  ETHERTYPE_QINQ_OLD,
  ETHERTYPE_RARP,
  ETHERTYPE_TEB,
  ETHERTYPE_VLAN,
  ETHERTYPE_VNTAG,
} from './ether-type.js';
import { decodeEthernet, decodeTypeOrLength } from './ethernet.js';
import {
  D_FRAME_NO,
  D_GSO_SIZE,
  D_GSO_TYPE,
  D_LEN,
  D_LINK_TYPE,
  D_OFF,
  D_PORT,
  D_STRIDE,
  D_TS_SEC,
  D_TS_USEC,
  D_VNET_FLAGS,
  D_WIRE_LEN,
  GSO_NONE,
  VNET_F_DATA_VALID,
  VNET_F_NEEDS_CSUM,
  type FrameBatch,
} from './frame-batch.js';
import { decodeIpv4 } from './ipv4.js';
import { decodeIpv6 } from './ipv6.js';
import { decodeChdlc, decodeNull, decodeRaw, decodeSll, decodeSll2 } from './link.js';
import { LinkType } from './link-type.js';
import { decodeMpls } from './mpls.js';
import { decodeNsh } from './nsh.js';
import type { PacketView } from './packet-view.js';
import { decodePpp } from './ppp.js';
import { decodePppoeDiscovery, decodePppoeSession } from './pppoe.js';
import { MAX_TUNNEL_DEPTH } from './tunnel.js';
import { decodeFabricPath, decodeIeee8021ah, decodeVlan, decodeVntag, unknownTypeBehindTag } from './vlan.js';

/** Headers between the link layer and IP that are followed in one frame. */
const MAX_LAYERS = 16;

/**
 * Decode a frame, overwriting every field of the view.
 * @param buf arena the frame lies in
 * @param off first byte of the frame
 * @param len captured bytes; off + len <= buf.length
 * @param linkType pcap LINKTYPE_ (link-type.ts)
 */
export function decode(view: PacketView, buf: Uint8Array, off: number, len: number, linkType: number): void {
  reset(view, buf, off, len, linkType);
  view.gsoSize = 0;
  view.csumPartial = false;
  view.csumValid = false;
  decodeLink(view, linkType);
}

/** Decode row `row` of a batch: the frame, and what its descriptor says of port, time and offloads. */
export function decodeBatchRow(view: PacketView, batch: FrameBatch, row: number): void {
  const desc = batch.desc;
  const d = row * D_STRIDE;
  const linkType = desc[d + D_LINK_TYPE]!;
  reset(view, batch.arena, desc[d + D_OFF]!, desc[d + D_LEN]!, linkType);
  view.desc = row;
  view.wireLen = desc[d + D_WIRE_LEN]!;
  view.ingress = desc[d + D_PORT]!;
  view.tsSec = desc[d + D_TS_SEC]!;
  view.tsUsec = desc[d + D_TS_USEC]!;
  view.frameNo = desc[d + D_FRAME_NO]!;
  view.gsoSize = desc[d + D_GSO_TYPE] === GSO_NONE ? 0 : desc[d + D_GSO_SIZE]!;
  view.csumPartial = (desc[d + D_VNET_FLAGS]! & VNET_F_NEEDS_CSUM) !== 0;
  view.csumValid = (desc[d + D_VNET_FLAGS]! & VNET_F_DATA_VALID) !== 0;
  decodeLink(view, linkType);
}

/**
 * Decode the packet inside the tunnel that `outer` is the outside of. Where it came from (port, time, frame number,
 * offloads) and the VLAN tags are inherited; `inner` must be another view than `outer`.
 * @returns false when `outer` is no tunnel; nothing was written then
 */
export function decodeInner(outer: PacketView, inner: PacketView): boolean {
  if (outer.tunnel === 0) return false;
  const at = outer.innerOff;
  reset(inner, outer.buf, at, outer.payloadOff + outer.payloadLen - at, outer.linkType);
  inner.desc = outer.desc;
  inner.ingress = outer.ingress;
  inner.egress = outer.egress;
  inner.tsSec = outer.tsSec;
  inner.tsUsec = outer.tsUsec;
  inner.frameNo = outer.frameNo;
  // GSO sizes and the partial checksum are about the outermost transport header.
  inner.gsoSize = 0;
  inner.csumPartial = outer.csumPartial;
  inner.csumValid = outer.csumValid;
  inner.vlanCount = outer.vlanCount;
  inner.vlan0 = outer.vlan0;
  inner.vlan1 = outer.vlan1;
  inner.vlan2 = outer.vlan2;
  inner.zone = outer.zone;
  inner.srcMacHi = outer.srcMacHi;
  inner.srcMacLo = outer.srcMacLo;
  inner.dstMacHi = outer.dstMacHi;
  inner.dstMacLo = outer.dstMacLo;
  inner.tunnelDepth = outer.tunnelDepth + 1;
  if (inner.tunnelDepth > MAX_TUNNEL_DEPTH) {
    setInvalid(inner, DecodeEvent['too_many_layers']);
    return true;
  }
  decodeNetwork(inner, outer.innerType);
  return true;
}

/** Link type -> first header. */
function decodeLink(view: PacketView, linkType: number): void {
  switch (linkType) {
    case LinkType.ETHERNET:
      decodeNetwork(view, decodeEthernet(view, view.off));
      break;
    case LinkType.RAW:
    case LinkType.RAW_BSD:
    case LinkType.RAW_OPENBSD:
    case LinkType.IPV4:
    case LinkType.IPV6:
      decodeNetwork(view, decodeRaw(view));
      break;
    case LinkType.NULL:
    case LinkType.LOOP:
      decodeNetwork(view, decodeNull(view));
      break;
    case LinkType.LINUX_SLL:
      decodeNetwork(view, decodeSll(view));
      break;
    case LinkType.LINUX_SLL2:
      decodeNetwork(view, decodeSll2(view));
      break;
    case LinkType.PPP:
      decodeNetwork(view, decodePpp(view));
      break;
    case LinkType.C_HDLC:
      decodeNetwork(view, decodeChdlc(view));
      break;
    default:
      setInvalid(view, DecodeEvent['linktype.unsupported']);
      break;
  }
}

/** EtherType -> header, until IP or something that is not followed. `type` 0 = nothing to decode. */
function decodeNetwork(view: PacketView, type: number): void {
  let next = type;
  for (let layers = 0; next !== 0; layers++) {
    view.etherType = next;
    if (next === ETHERTYPE_IPV4) {
      decodeIpv4(view);
      return;
    }
    if (next === ETHERTYPE_IPV6) {
      decodeIpv6(view);
      return;
    }
    if (layers === MAX_LAYERS) {
      setInvalid(view, DecodeEvent['too_many_layers']);
      return;
    }
    next = decodeShim(view, next);
  }
}

/** Everything between link layer and IP. @returns the EtherType of what follows, 0 = nothing */
function decodeShim(view: PacketView, type: number): number {
  switch (type) {
    case ETHERTYPE_VLAN:
    case ETHERTYPE_QINQ:
    case ETHERTYPE_QINQ_OLD:
      return decodeVlan(view);
    case ETHERTYPE_ARP:
    case ETHERTYPE_RARP:
      decodeArp(view);
      return 0;
    case ETHERTYPE_MPLS:
    case ETHERTYPE_MPLS_MULTICAST:
      return decodeMpls(view);
    case ETHERTYPE_PPPOE_SESSION:
      return decodePppoeSession(view);
    case ETHERTYPE_PPPOE_DISCOVERY:
      decodePppoeDiscovery(view);
      return 0;
    case ETHERTYPE_PPP:
      return decodePpp(view);
    case ETHERTYPE_TEB:
      return decodeBridged(view);
    case ETHERTYPE_VNTAG:
      return decodeVntag(view);
    case ETHERTYPE_8021AH:
      return decodeIeee8021ah(view);
    case ETHERTYPE_FABRICPATH:
      return decodeFabricPath(view);
    case ETHERTYPE_NSH:
      return decodeNsh(view);
    default:
      view.payloadOff = view.nextOff;
      view.payloadLen = view.end - view.nextOff;
      if (view.vlanCount > 0) unknownTypeBehindTag(view);
      return 0;
  }
}

/** An Ethernet frame behind a shim: inside a tunnel its addresses are the packet's, behind MPLS the outer ones stay. */
function decodeBridged(view: PacketView): number {
  const at = view.nextOff;
  if (view.tunnelDepth > 0) return decodeEthernet(view, at);
  if (view.end - at < 14) {
    setInvalid(view, DecodeEvent['ethernet.pkt_too_small']);
    return 0;
  }
  return decodeTypeOrLength(view, at + 12);
}

/** Every field to "absent", in the order of packet-view.ts. */
function reset(view: PacketView, buf: Uint8Array, off: number, len: number, linkType: number): void {
  if (view.buf !== buf) {
    view.buf = buf;
    view.data = new DataView(buf.buffer, buf.byteOffset, buf.byteLength);
  }
  view.off = off;
  view.end = off + len;
  view.wireLen = len;
  view.linkType = linkType;
  view.desc = -1;
  view.ingress = 0;
  view.egress = -2;
  view.held = false;
  view.tsSec = 0;
  view.tsUsec = 0;
  view.frameNo = 0;
  view.srcMacHi = 0;
  view.srcMacLo = 0;
  view.dstMacHi = 0;
  view.dstMacLo = 0;
  view.etherType = 0;
  view.vlanCount = 0;
  view.vlan0 = 0;
  view.vlan1 = 0;
  view.vlan2 = 0;
  view.zone = -1;
  view.l3Off = -1;
  view.ipVersion = 0;
  view.ipHdrLen = 0;
  view.ipEnd = 0;
  view.ipLen = 0;
  view.proto = 0;
  view.ttl = 0;
  view.tos = 0;
  view.ipId = 0;
  view.ipFlags = 0;
  view.fragOff = 0;
  view.fragment = false;
  view.fragNext = -1;
  view.fragHdrOff = -1;
  view.fragPrevOff = -1;
  view.ipOptions = 0;
  view.src0 = 0;
  view.src1 = 0;
  view.src2 = 0;
  view.src3 = 0;
  view.dst0 = 0;
  view.dst1 = 0;
  view.dst2 = 0;
  view.dst3 = 0;
  view.l4Off = -1;
  view.srcPort = 0;
  view.dstPort = 0;
  view.seq = 0;
  view.ack = 0;
  view.tcpFlags = 0;
  view.window = 0;
  view.tcpHdrLen = 0;
  view.urgPtr = 0;
  view.tcpOptions = 0;
  view.mss = -1;
  view.wscale = -1;
  view.tsVal = 0;
  view.tsEcr = 0;
  view.icmpType = 0;
  view.icmpCode = 0;
  view.icmpId = 0;
  view.icmpSeq = 0;
  view.payloadOff = off + len;
  view.payloadLen = 0;
  view.eventCount = 0;
  view.malformed = 0;
  view.tunnelDepth = 0;
  view.tunnel = 0;
  view.innerOff = 0;
  view.innerType = 0;
  view.nextOff = off;
  view.flowId = -1;
  view.flowDir = 0;
  view.ctState = 0;
  view.established = false;
  view.verdict = 0;
  view.reason = 0;
  view.ruleGid = 0;
  view.ruleSid = 0;
  view.modified = false;
}
