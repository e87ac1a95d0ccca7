/**
 * Teredo (RFC 4380): IPv6 in UDP, perhaps behind an origin indication. Packets with an authentication indication only set
 * the tunnel up (section 5.2.1) and are no tunnel themselves.
 */
import { be16 } from '../util/index.js';
import { ETHERTYPE_IPV6 } from './ether-type.js';
import type { PacketView } from './packet-view.js';
import { setTunnel, TunnelKind } from './tunnel.js';

export const TEREDO_PORT = 3544;
const IPV6_HEADER_LEN = 40;

/** The UDP payload of `view`; leaves it alone when no well-formed IPv6 packet fills it. */
export function decodeTeredo(view: PacketView): void {
  const buf = view.buf;
  const end = view.payloadOff + view.payloadLen;
  let at = view.payloadOff;
  if (end - at < IPV6_HEADER_LEN) return;
  if (buf[at] === 0 && buf[at + 1] === 0) at += 8; // section 5.1.1, origin indication
  if (end - at < IPV6_HEADER_LEN) return;
  if (buf[at]! >>> 4 !== 6 || be16(buf, at + 4) + IPV6_HEADER_LEN !== end - at) return;
  setTunnel(view, TunnelKind.TEREDO, at, ETHERTYPE_IPV6);
}
