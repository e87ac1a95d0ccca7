/** The flow hash of a received frame without decoding it: only for prefetching, where a miss costs nothing but time. */
import { D_LEN, D_LINK_TYPE, D_OFF, D_PORT, D_STRIDE, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, flowHashOf, LinkType, PROTO_TCP, PROTO_UDP, type FrameBatch } from '../packet/index.js';
import { be16, be32 } from '../util/index.js';

/** Ethernet, one tag, IPv4 and both ports. What is shorter than its headers say yields a wrong hash, which harms nobody. */
const SHORTEST = 42;

/**
 * Hash of an undecoded frame as FlowKey will compute it; 0 for frames that are not plain TCP or UDP over Ethernet.
 * @param zones zone of each switch port; a tagged frame uses its VLAN id when the port has none (0)
 */
export function rawFrameHash(batch: FrameBatch, row: number, zones: Int32Array, seed: number): number {
  const d = row * D_STRIDE;
  const buf = batch.arena;
  if (batch.desc[d + D_LINK_TYPE] !== LinkType.ETHERNET || batch.desc[d + D_LEN] < SHORTEST) return 0;
  const off = batch.desc[d + D_OFF];
  let zone = zones[batch.desc[d + D_PORT]] ?? 0;
  let at = off + 14;
  let type = be16(buf, off + 12);
  if (type === ETHERTYPE_VLAN) {
    if (zone === 0) zone = be16(buf, at) & 0x0fff;
    type = be16(buf, at + 2);
    at += 4;
  }
  if (type === ETHERTYPE_IPV4) {
    const proto = buf[at + 9];
    const l4 = at + ((buf[at] & 0x0f) << 2);
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return 0;
    return flowHashOf(be32(buf, at + 12), 0, 0, 0, be32(buf, at + 16), 0, 0, 0, be16(buf, l4), be16(buf, l4 + 2), proto, zone, seed);
  }
  if (type === ETHERTYPE_IPV6) {
    const proto = buf[at + 6];
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return 0;
    return flowHashOf(
      be32(buf, at + 8), be32(buf, at + 12), be32(buf, at + 16), be32(buf, at + 20),
      be32(buf, at + 24), be32(buf, at + 28), be32(buf, at + 32), be32(buf, at + 36),
      be16(buf, at + 40), be16(buf, at + 42), proto, zone, seed,
    );
  }
  return 0;
}
