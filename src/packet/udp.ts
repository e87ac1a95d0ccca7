/** UDP (RFC 768) and the tunnels that are known by their UDP port. */
import { DecodeEvent, setInvalid } from './decode-event.js';
import { decodeGeneve, GENEVE_PORT } from './geneve.js';
import type { PacketView } from './packet-view.js';
import { decodeTeredo, TEREDO_PORT } from './teredo.js';
import { decodeVxlan, VXLAN_PORT } from './vxlan.js';

export const UDP_HEADER_LEN = 8;

/** Header at `at`, ending at view.ipEnd. */
export function decodeUdp(view: PacketView, at: number): void {
  const data = view.data;
  const have = view.ipEnd - at;
  if (have < UDP_HEADER_LEN) {
    setInvalid(view, DecodeEvent['udp.hlen_too_small']);
    return;
  }
  let len = data.getUint16(at + 4);
  // A GSO super-frame may leave the length field at 0 (RFC 2675 section 4 does the same for jumbograms).
  if (len === 0 && view.gsoSize !== 0) len = have;
  if (len > have) {
    setInvalid(view, DecodeEvent['udp.pkt_too_small']);
    return;
  }
  if (len < UDP_HEADER_LEN) {
    setInvalid(view, DecodeEvent['udp.len_invalid']);
    return;
  }
  view.l4Off = at;
  const srcPort = data.getUint16(at);
  const dstPort = data.getUint16(at + 2);
  view.srcPort = srcPort;
  view.dstPort = dstPort;
  view.payloadOff = at + UDP_HEADER_LEN;
  view.payloadLen = len - UDP_HEADER_LEN;
  if (dstPort === VXLAN_PORT || srcPort === VXLAN_PORT) decodeVxlan(view);
  else if (dstPort === GENEVE_PORT || srcPort === GENEVE_PORT) decodeGeneve(view);
  else if (dstPort === TEREDO_PORT || srcPort === TEREDO_PORT) decodeTeredo(view);
}
