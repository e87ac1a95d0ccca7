/** VXLAN (RFC 7348). */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent } from './decode-event.js';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_PPPOE_DISCOVERY, ETHERTYPE_PPPOE_SESSION, ETHERTYPE_QINQ, ETHERTYPE_TEB, ETHERTYPE_VLAN } from './ether-type.js';
import { ETHERNET_HEADER_LEN } from './ethernet.js';
import type { PacketView } from './packet-view.js';
import { setTunnel, TunnelKind } from './tunnel.js';

export const VXLAN_PORT = 4789;
const HEADER_LEN = 8;
const FLAG_VNI = 0x08;

/** The UDP payload of `view`; leaves it alone when it is not VXLAN (the port proves nothing). */
export function decodeVxlan(view: PacketView): void {
  const at = view.payloadOff;
  const inner = at + HEADER_LEN;
  if (view.payloadLen < HEADER_LEN + ETHERNET_HEADER_LEN) return;
  if ((view.buf[at]! & FLAG_VNI) === 0 || view.buf[at + 7] !== 0) return;
  switch (be16(view.buf, inner + 12)) {
    case ETHERTYPE_IPV4:
    case ETHERTYPE_IPV6:
    case ETHERTYPE_ARP:
    case ETHERTYPE_VLAN:
    case ETHERTYPE_QINQ:
    case ETHERTYPE_PPPOE_SESSION:
    case ETHERTYPE_PPPOE_DISCOVERY:
      setTunnel(view, TunnelKind.VXLAN, inner, ETHERTYPE_TEB);
      break;
    default:
      setEvent(view, DecodeEvent['vxlan.unknown_payload_type']);
      break;
  }
}
