/** The flow hash of a received frame without decoding it: only for prefetching, where a miss costs nothing but time. */
import { D_LEN, D_LINK_TYPE, D_OFF, D_PORT, D_STRIDE, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, flowHashOf, LinkType, PROTO_TCP, PROTO_UDP, type FrameBatch } from '../packet/index.js';

/** Ethernet, one tag, IPv4 and both ports. What is shorter than its headers say yields a wrong hash, which harms nobody. */
const SHORTEST = 42;
/** Ethernet, one tag, the longest IPv4 header and both ports: what is read at most, whatever the headers say. */
const LONGEST = 14 + 4 + 60 + 4;

/**
 * Hash of an undecoded frame as FlowKey will compute it; 0 for frames that are not plain TCP or UDP over Ethernet.
 * @param data over the arena of the batch: one bounds check for each word
 * @param zones zone of each switch port; a tagged frame uses its VLAN id when the port has none (0)
 */
export function rawFrameHash(batch: FrameBatch, data: DataView, row: number, zones: Int32Array, seed: number): number {
  const d = row * D_STRIDE;
  const buf = batch.arena;
  if (batch.desc[d + D_LINK_TYPE] !== LinkType.ETHERNET || batch.desc[d + D_LEN] < SHORTEST) return 0;
  const off = batch.desc[d + D_OFF];
  if (off + LONGEST > data.byteLength) return 0;
  let zone = zones[batch.desc[d + D_PORT]] ?? 0;
  let at = off + 14;
  let type = data.getUint16(off + 12);
  if (type === ETHERTYPE_VLAN) {
    if (zone === 0) zone = data.getUint16(at) & 0x0fff;
    type = data.getUint16(at + 2);
    at += 4;
  }
  if (type === ETHERTYPE_IPV4) {
    const proto = buf[at + 9];
    const l4 = at + ((buf[at] & 0x0f) << 2);
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return 0;
    return flowHashOf(data.getInt32(at + 12), 0, 0, 0, data.getInt32(at + 16), 0, 0, 0, data.getUint16(l4), data.getUint16(l4 + 2), proto, zone, seed);
  }
  if (type === ETHERTYPE_IPV6) {
    const proto = buf[at + 6];
    if (proto !== PROTO_TCP && proto !== PROTO_UDP) return 0;
    return flowHashOf(
      data.getInt32(at + 8), data.getInt32(at + 12), data.getInt32(at + 16), data.getInt32(at + 20),
      data.getInt32(at + 24), data.getInt32(at + 28), data.getInt32(at + 32), data.getInt32(at + 36),
      data.getUint16(at + 40), data.getUint16(at + 42), proto, zone, seed,
    );
  }
  return 0;
}
