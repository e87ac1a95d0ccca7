/**
 * What the switch has to know of DHCP (RFC 2131, 2132) and DHCPv6 (RFC 8415): which address a server granted to whom and for
 * how long, and which one a client gives back. Reads the payload where it lies; anything out of shape is no lease.
 */
import type { PacketView } from '../packet/index.js';
import { be16, be32 } from '../util/index.js';

export const DHCP_ACK = 5;
export const DHCP_RELEASE = 7;

/** Filled by readDhcp, reused for every message. */
export interface DhcpLease {
  /** DHCP_ACK (DHCPv6: Reply), DHCP_RELEASE or another message type of no interest. */
  type: number;
  v6: boolean;
  /** Addresses in `words`, four words each (IPv4 uses the first). */
  count: number;
  readonly words: Int32Array;
  /** Seconds granted, 0 = not said. */
  leaseSec: number;
  /** IPv4: hardware address of the client. */
  macHi: number;
  macLo: number;
}

const BOOTP_FIXED = 236;
const MAGIC = 0x63825363;
const OPTION_END = 255;
const OPTION_LEASE = 51;
const OPTION_TYPE = 53;
/** Leases longer than this are as good as infinite: seconds stay in 31 bits. */
const LEASE_MAX = 0x3fff_ffff;
const V6_REPLY = 7;
const V6_IA_NA = 3;
const V6_IA_TA = 4;
const V6_IAADDR = 5;

/** @param view UDP packet between DHCP ports. @returns false when it is no DHCP message with an address */
export function readDhcp(view: PacketView, lease: DhcpLease): boolean {
  lease.count = 0;
  lease.leaseSec = 0;
  lease.type = 0;
  lease.v6 = view.ipVersion === 6;
  return lease.v6 ? readV6(view, lease) : readV4(view, lease);
}

function readV4(view: PacketView, lease: DhcpLease): boolean {
  const { buf } = view;
  const at = view.payloadOff;
  const end = at + view.payloadLen;
  // Ethernet with six bytes, and the options of RFC 2132.
  if (view.payloadLen < BOOTP_FIXED + 4 || buf[at + 1] !== 1 || buf[at + 2] !== 6 || be32(buf, at + BOOTP_FIXED) !== MAGIC) return false;
  for (let o = at + BOOTP_FIXED + 4; o < end && buf[o] !== OPTION_END; ) {
    if (buf[o] === 0) {
      o++;
      continue;
    }
    const len = o + 1 < end ? buf[o + 1]! : 255;
    if (o + 2 + len > end) return false;
    if (buf[o] === OPTION_TYPE && len === 1) lease.type = buf[o + 2]!;
    else if (buf[o] === OPTION_LEASE && len === 4) lease.leaseSec = Math.min(LEASE_MAX, be32(buf, o + 2) >>> 0);
    o += 2 + len;
  }
  // A release names the client's own address (ciaddr), an acknowledgement the granted one (yiaddr).
  const address = be32(buf, at + (lease.type === DHCP_RELEASE ? 12 : 16));
  if (address === 0) return false;
  lease.words[0] = address;
  lease.words[1] = 0;
  lease.words[2] = 0;
  lease.words[3] = 0;
  lease.count = 1;
  lease.macHi = be16(buf, at + 28);
  lease.macLo = be32(buf, at + 30);
  return true;
}

function readV6(view: PacketView, lease: DhcpLease): boolean {
  const { buf } = view;
  const at = view.payloadOff;
  const end = at + view.payloadLen;
  if (view.payloadLen < 4 || buf[at] !== V6_REPLY) return false;
  lease.type = DHCP_ACK;
  for (let o = at + 4; o + 4 <= end; ) {
    const code = be16(buf, o);
    const next = o + 4 + be16(buf, o + 2);
    if (next > end) return false;
    if (code === V6_IA_NA) readAddresses(buf, o + 16, next, lease);
    else if (code === V6_IA_TA) readAddresses(buf, o + 8, next, lease);
    o = next;
  }
  return lease.count > 0;
}

/** The IA Address options inside an identity association; a valid lifetime of 0 takes the address back. */
function readAddresses(buf: Uint8Array, from: number, end: number, lease: DhcpLease): void {
  for (let o = from; o + 4 <= end; ) {
    const next = o + 4 + be16(buf, o + 2);
    if (next > end) return;
    if (be16(buf, o) === V6_IAADDR && next - o >= 28 && (lease.count + 1) * 4 <= lease.words.length) {
      const valid = Math.min(LEASE_MAX, be32(buf, o + 24) >>> 0);
      if (valid > 0) {
        for (let i = 0; i < 4; i++) lease.words[lease.count * 4 + i] = be32(buf, o + 4 + i * 4);
        lease.leaseSec = valid;
        lease.count++;
      }
    }
    o = next;
  }
}
