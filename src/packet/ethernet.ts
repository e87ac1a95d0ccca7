/** Ethernet II and 802.3 with LLC/SNAP (IEEE 802.3 clause 3.2.6, 802.2, RFC 1042). */
import { be16, be32 } from '../util/index.js';
import { DecodeEvent, setInvalid } from './decode-event.js';
import type { PacketView } from './packet-view.js';

export const ETHERNET_HEADER_LEN = 14;
/** Length/type values from here on are EtherTypes, smaller ones are lengths of an 802.3 frame. */
const MIN_ETHERTYPE = 0x0600;
const LLC_SNAP = 0xaaaa;

/**
 * Decode the MAC header at `at`.
 * @returns the EtherType that follows at `view.nextOff`, or 0 when there is nothing (more) to decode
 */
export function decodeEthernet(view: PacketView, at: number): number {
  const data = view.data;
  if (view.end - at < ETHERNET_HEADER_LEN) {
    setInvalid(view, DecodeEvent['ethernet.pkt_too_small']);
    return 0;
  }
  view.dstMacHi = data.getUint16(at);
  view.dstMacLo = data.getInt32(at + 2);
  view.srcMacHi = data.getUint16(at + 6);
  view.srcMacLo = data.getInt32(at + 8);
  return decodeTypeOrLength(view, at + 12);
}

/**
 * The type/length field at `at`, of an Ethernet header or of a VLAN tag.
 * @returns the EtherType of what follows at `view.nextOff`, 0 for an LLC frame without one
 */
export function decodeTypeOrLength(view: PacketView, at: number): number {
  const type = view.data.getUint16(at);
  view.nextOff = at + 2;
  return type >= MIN_ETHERTYPE ? type : decodeLlc(view, at + 2, type);
}

/** LLC behind a length field. SNAP with OUI 0 carries an EtherType: followed, so that it is no way around inspection. */
function decodeLlc(view: PacketView, at: number, length: number): number {
  const buf = view.buf;
  const end = Math.min(view.end, at + length);
  view.payloadOff = at;
  view.payloadLen = end - at;
  if (end - at < 8 || be16(buf, at) !== LLC_SNAP || buf[at + 2] !== 0x03) return 0;
  if ((be32(buf, at + 2) & 0xffffff) !== 0) return 0;
  view.nextOff = at + 8;
  return be16(buf, at + 6);
}
