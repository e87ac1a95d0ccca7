/** Geneve (RFC 8926). */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent } from './decode-event.js';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_TEB } from './ether-type.js';
import type { PacketView } from './packet-view.js';
import { setTunnel, TunnelKind } from './tunnel.js';

export const GENEVE_PORT = 6081;
const HEADER_LEN = 8;

/** The UDP payload of `view`; leaves it alone when it is not Geneve version 0. */
export function decodeGeneve(view: PacketView): void {
  const at = view.payloadOff;
  if (view.payloadLen < HEADER_LEN) return;
  const first = view.buf[at]!;
  const headerLen = HEADER_LEN + ((first & 0x3f) << 2);
  if (first >>> 6 !== 0 || headerLen > view.payloadLen || view.buf[at + 7] !== 0) return;
  const type = be16(view.buf, at + 2);
  switch (type) {
    case ETHERTYPE_TEB:
    case ETHERTYPE_IPV4:
    case ETHERTYPE_IPV6:
    case ETHERTYPE_ARP:
      setTunnel(view, TunnelKind.GENEVE, at + headerLen, type);
      break;
    default:
      setEvent(view, DecodeEvent['geneve.unknown_payload_type']);
      break;
  }
}
