/** ARP and RARP for IPv4 over Ethernet (RFC 826). The view keeps only where the message is; fields are read on demand. */
import { be16, be32 } from '../util/index.js';
import { ETHERTYPE_IPV4 } from './ether-type.js';
import type { PacketView } from './packet-view.js';

/** Header for 6-byte hardware and 4-byte protocol addresses. */
export const ARP_LEN = 28;
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** Sets l3Off when a complete Ethernet/IPv4 ARP message is at `view.nextOff`. */
export function decodeArp(view: PacketView): void {
  const buf = view.buf;
  const at = view.nextOff;
  view.payloadOff = at;
  view.payloadLen = view.end - at;
  if (view.end - at < ARP_LEN) return;
  if (be16(buf, at) !== 1 || be16(buf, at + 2) !== ETHERTYPE_IPV4 || buf[at + 4] !== 6 || buf[at + 5] !== 4) return;
  view.l3Off = at;
  view.payloadLen = ARP_LEN;
}

/** True for a well-formed Ethernet/IPv4 ARP message; the readers below may only be called then. */
export function isArp(view: PacketView): boolean {
  return view.ipVersion === 0 && view.l3Off >= 0;
}
/** Operation: 1 request, 2 reply, 3 and 4 RARP. */
export function arpOperation(view: PacketView): number {
  return be16(view.buf, view.l3Off + 6);
}
export function arpSenderMacHi(view: PacketView): number {
  return be16(view.buf, view.l3Off + 8);
}
export function arpSenderMacLo(view: PacketView): number {
  return be32(view.buf, view.l3Off + 10);
}
/** Sender IPv4 address as int32 word. */
export function arpSenderIp(view: PacketView): number {
  return be32(view.buf, view.l3Off + 14);
}
export function arpTargetMacHi(view: PacketView): number {
  return be16(view.buf, view.l3Off + 18);
}
export function arpTargetMacLo(view: PacketView): number {
  return be32(view.buf, view.l3Off + 20);
}
/** Target IPv4 address as int32 word. */
export function arpTargetIp(view: PacketView): number {
  return be32(view.buf, view.l3Off + 24);
}
