/** 802.1Q and 802.1ad tags, VN-Tag, 802.1ah and FabricPath headers in front of the network layer. */
import { be16 } from '../util/index.js';
import { DecodeEvent, setEvent, setInvalid } from './decode-event.js';
import { decodeTypeOrLength } from './ethernet.js';
import type { PacketView } from './packet-view.js';

/** Tags kept in the view; a frame with more is malformed. */
export const MAX_VLAN_TAGS = 3;

/** VLAN identifier of a TCI. */
export function vlanId(tci: number): number {
  return tci & 0x0fff;
}

/** Append a tag to those of the view; false when there is no room. */
export function pushVlan(view: PacketView, tci: number): boolean {
  if (view.vlanCount === 0) view.vlan0 = tci;
  else if (view.vlanCount === 1) view.vlan1 = tci;
  else if (view.vlanCount === 2) view.vlan2 = tci;
  else return false;
  view.vlanCount++;
  return true;
}

/** A tag (TCI and EtherType, the TPID was read before) at `view.nextOff`. @returns the EtherType behind it, 0 = stop */
export function decodeVlan(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < 4) {
    setInvalid(view, DecodeEvent['vlan.header_too_small']);
    return 0;
  }
  if (!pushVlan(view, be16(view.buf, at))) {
    setInvalid(view, DecodeEvent['vlan.too_many_layers']);
    return 0;
  }
  const type = decodeTypeOrLength(view, at + 2);
  if (type === 0) setEvent(view, DecodeEvent['vlan.unknown_type']);
  return type;
}

/** VN-Tag (Cisco, pre-standard 802.1BR): four bytes, then an EtherType. */
export function decodeVntag(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < 6) {
    setInvalid(view, DecodeEvent['vntag.header_too_small']);
    return 0;
  }
  const type = decodeTypeOrLength(view, at + 4);
  if (type === 0) setEvent(view, DecodeEvent['vntag.unknown_type']);
  return type;
}

/** 802.1ah I-TAG: four bytes of flags and service id, then the customer's MAC addresses and EtherType. */
export function decodeIeee8021ah(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < 18) {
    setInvalid(view, DecodeEvent['ieee8021ah.header_too_small']);
    return 0;
  }
  return decodeTypeOrLength(view, at + 16);
}

/** FabricPath (DCE): the tag's remaining two bytes, then the whole inner Ethernet header. */
export function decodeFabricPath(view: PacketView): number {
  const at = view.nextOff;
  if (view.end - at < 16) {
    setInvalid(view, DecodeEvent['dce.pkt_too_small']);
    return 0;
  }
  return decodeTypeOrLength(view, at + 14);
}

/** EtherType behind a tag that no decoder takes. Not malformed: LLDP or STP may be tagged. */
export function unknownTypeBehindTag(view: PacketView): void {
  setEvent(view, DecodeEvent['vlan.unknown_type']);
}
