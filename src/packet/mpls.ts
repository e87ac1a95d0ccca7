/** MPLS label stack (RFC 3032) in front of IP or an Ethernet pseudo-wire (RFC 4448). */
import { be32 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_TEB } from './ether-type.js';
import type { PacketView } from './packet-view.js';

const LABEL_IPV4_EXPLICIT_NULL = 0;
const LABEL_ROUTER_ALERT = 1;
const LABEL_IPV6_EXPLICIT_NULL = 2;
const LABEL_IMPLICIT_NULL = 3;
const FIRST_ORDINARY_LABEL = 16;

/** Walk the stack at `view.nextOff`. @returns EtherType of the payload, 0 = stop */
export function decodeMpls(view: PacketView): number {
  let at = view.nextOff;
  let entry = 0;
  do {
    if (view.end - at < 4) {
      setInvalid(view, DecodeEvent['mpls.header_too_small']);
      return 0;
    }
    entry = be32(view.buf, at);
    at += 4;
  } while ((entry & 0x100) === 0);
  view.nextOff = at;
  const label = entry >>> 12;
  if (label === LABEL_IPV4_EXPLICIT_NULL) return ETHERTYPE_IPV4;
  if (label === LABEL_IPV6_EXPLICIT_NULL) return ETHERTYPE_IPV6;
  if (label === LABEL_ROUTER_ALERT) setEvent(view, DecodeEvent['mpls.bad_label_router_alert']);
  else if (label === LABEL_IMPLICIT_NULL) setEvent(view, DecodeEvent['mpls.bad_label_implicit_null']);
  else if (label < FIRST_ORDINARY_LABEL) setEvent(view, DecodeEvent['mpls.bad_label_reserved']);
  return guessPayload(view, at, label >= FIRST_ORDINARY_LABEL);
}

/** Nothing in the stack names the payload: the first nibble has to do (RFC 4928). */
function guessPayload(view: PacketView, at: number, ordinary: boolean): number {
  if (at >= view.end) {
    setInvalid(view, DecodeEvent['mpls.pkt_too_small']);
    return 0;
  }
  const nibble = view.buf[at]! >>> 4;
  if (nibble === 4) return ETHERTYPE_IPV4;
  if (nibble === 6) return ETHERTYPE_IPV6;
  if (nibble === 0 && view.end - at >= 4) {
    view.nextOff = at + 4; // the pseudo-wire control word
    return ETHERTYPE_TEB;
  }
  if (ordinary) setEvent(view, DecodeEvent['mpls.unknown_payload_type']);
  return 0;
}
