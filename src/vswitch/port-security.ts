/**
 * What a guest may send: MAC checks in the meaning of vSphere port groups, and the guards against guests that play router,
 * DHCP server or bridge. One function per check; each returns a DropReason or 0. IP addresses: address-guard.ts.
 * Identity comes from the port: nothing the packet says widens what the port may do.
 */
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_QINQ,
  ETHERTYPE_QINQ_OLD,
  ETHERTYPE_RARP,
  ETHERTYPE_VLAN,
  ICMPV6_ROUTER_ADVERT,
  PROTO_AH,
  PROTO_DSTOPTS,
  PROTO_HOPOPTS,
  PROTO_ICMPV6,
  PROTO_ROUTING,
  PROTO_UDP,
  isMulticastMac,
  type PacketView,
} from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import { be16 } from '../util/index.js';
import type { SwitchPort } from './switch-port.js';

const FORGED = DropReason.port_forged_transmit;
const RA_GUARD = DropReason.port_ra_guard;
const DHCP_SERVER = DropReason.port_dhcp_server;
const DHCP_CLIENT = DropReason.port_dhcp_client;
const BPDU = DropReason.port_bpdu;
const NON_IP = DropReason.port_non_ip;
const SOURCE_MULTICAST = DropReason.port_source_multicast;

const DHCP_SERVER_PORT = 67;
const DHCP_CLIENT_PORT = 68;
const DHCPV6_SERVER_PORT = 547;

/** 01:80:c2:00:00:00..0f: frames no 802.1Q bridge forwards (IEEE 802.1Q table 8-1): STP, LACP, LLDP, pause. */
export function isReservedMac(hi: number, lo: number): boolean {
  return hi === 0x0180 && (lo & ~0xf) === (0xc2000000 | 0);
}

/** Reserved addresses and Cisco's CDP/VTP and PVST+ groups. */
export function isBridgeProtocol(hi: number, lo: number): boolean {
  return isReservedMac(hi, lo) || (hi === 0x0100 && (lo & ~1) === 0x0ccccccc);
}

/** All checks on a frame that came in by `port` and has a whole Ethernet header. @returns DropReason, 0 = passes */
export function checkIngress(port: SwitchPort, view: PacketView): number {
  if (isMulticastMac(view.srcMacHi)) return SOURCE_MULTICAST;
  if (port.hasMac) {
    const own = port.owns(view.srcMacHi, view.srcMacLo);
    if (!own && port.forgedReject && !port.isEffective(view.srcMacHi, view.srcMacLo)) return FORGED;
    port.observeSource(own);
  }
  if (port.bpduFilter && isBridgeProtocol(view.dstMacHi, view.dstMacLo) && !port.allowsBpdu(view.dstMacHi, view.dstMacLo)) return BPDU;
  if (port.nonIpBlock && !isIpOrArp(view)) return NON_IP;
  if (view.ipVersion === 6 && port.raGuard && isRouterAdvertisement(view)) return RA_GUARD;
  if (port.dhcpServerBlock || port.dhcpClientBlock) return checkDhcp(port, view);
  return 0;
}

/** The frame's own type behind its VLAN tags. view.etherType will not do: it is the type behind MPLS, PPPoE, ... too. */
function isIpOrArp(view: PacketView): boolean {
  let at = view.off + 12;
  let type = be16(view.buf, at);
  while ((type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ || type === ETHERTYPE_QINQ_OLD) && view.end - at >= 6) {
    at += 4;
    type = be16(view.buf, at);
  }
  return (
    type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6 || type === ETHERTYPE_ARP || type === ETHERTYPE_RARP || isBridgeProtocol(view.dstMacHi, view.dstMacLo)
  );
}

/** Transport protocol, also of an IPv6 fragment. */
function upperProtocol(view: PacketView): number {
  return view.fragment && view.ipVersion === 6 ? view.fragNext : view.proto;
}

// ---- guests that play infrastructure -----------------------------------------------------------------------------------

/**
 * Router advertisement, also one hidden in fragments: a first fragment must show the upper-layer header, or it is held to
 * be an advertisement (RFC 7113 section 2).
 */
function isRouterAdvertisement(view: PacketView): boolean {
  if (!view.fragment) return view.proto === PROTO_ICMPV6 && view.l4Off >= 0 && view.icmpType === ICMPV6_ROUTER_ADVERT;
  if (view.fragOff !== 0) return false;
  const next = view.fragNext;
  if (next === PROTO_ICMPV6) return view.payloadLen === 0 || view.buf[view.payloadOff] === ICMPV6_ROUTER_ADVERT;
  return next === PROTO_HOPOPTS || next === PROTO_ROUTING || next === PROTO_DSTOPTS || next === PROTO_AH;
}

function checkDhcp(port: SwitchPort, view: PacketView): number {
  if (view.l4Off < 0 || upperProtocol(view) !== PROTO_UDP) return 0;
  if (view.ipVersion === 4) {
    if (port.dhcpServerBlock && view.dstPort === DHCP_CLIENT_PORT) return DHCP_SERVER;
    return port.dhcpClientBlock && view.dstPort === DHCP_SERVER_PORT ? DHCP_CLIENT : 0;
  }
  if (port.dhcpServerBlock && view.srcPort === DHCPV6_SERVER_PORT) return DHCP_SERVER;
  return port.dhcpClientBlock && view.dstPort === DHCPV6_SERVER_PORT ? DHCP_CLIENT : 0;
}
