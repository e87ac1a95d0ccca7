/**
 * What a guest may send: address checks in the meaning of vSphere port groups, SpoofGuard-like address checks, and the
 * guards against guests that play router, DHCP server or bridge. One function per check; each returns a DropReason or 0.
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
  ICMPV6_NEIGHBOR_ADVERT,
  ICMPV6_NEIGHBOR_SOLICIT,
  ICMPV6_REDIRECT,
  ICMPV6_ROUTER_ADVERT,
  ICMPV6_ROUTER_SOLICIT,
  PROTO_AH,
  PROTO_DSTOPTS,
  PROTO_HOPOPTS,
  PROTO_ICMPV6,
  PROTO_ROUTING,
  PROTO_UDP,
  arpSenderIp,
  arpSenderMacHi,
  arpSenderMacLo,
  isArp,
  isMulticastMac,
  type PacketView,
} from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import { be16, be32 } from '../util/index.js';
import type { SwitchPort } from './switch-port.js';

const FORGED = DropReason.port_forged_transmit;
const IP_SPOOF = DropReason.port_ip_spoof;
const RA_GUARD = DropReason.port_ra_guard;
const DHCP_SERVER = DropReason.port_dhcp_server;
const DHCP_CLIENT = DropReason.port_dhcp_client;
const BPDU = DropReason.port_bpdu;
const NON_IP = DropReason.port_non_ip;
const SOURCE_MULTICAST = DropReason.port_source_multicast;

const DHCP_SERVER_PORT = 67;
const DHCP_CLIENT_PORT = 68;
const DHCPV6_SERVER_PORT = 547;
/** fe80::/10 */
const LINK_LOCAL = 0xfe800000 | 0;
const LINK_LOCAL_MASK = 0xffc00000 | 0;
/** Neighbour discovery options (RFC 4861 section 4.6). */
const ND_SOURCE_LINK_ADDRESS = 1;
const ND_TARGET_LINK_ADDRESS = 2;

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
  if (port.ips !== null) {
    const reason = checkAddresses(port, view);
    if (reason !== 0) return reason;
  }
  if (view.ipVersion === 6) {
    if (port.raGuard && isRouterAdvertisement(view)) return RA_GUARD;
  }
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

// ---- source addresses ------------------------------------------------------------------------------------------------

function checkAddresses(port: SwitchPort, view: PacketView): number {
  if (view.ipVersion === 4) return sourceAllowed4(port, view) ? 0 : IP_SPOOF;
  if (view.ipVersion === 6) return sourceAllowed6(port, view) && neighbourDiscoveryAllowed(port, view) ? 0 : IP_SPOOF;
  if (view.etherType === ETHERTYPE_ARP || view.etherType === ETHERTYPE_RARP) return arpAllowed(port, view) ? 0 : IP_SPOOF;
  // An IP header that cannot be read cannot be shown to be honest.
  return view.etherType === ETHERTYPE_IPV4 || view.etherType === ETHERTYPE_IPV6 ? IP_SPOOF : 0;
}

function sourceAllowed4(port: SwitchPort, view: PacketView): boolean {
  if (port.ips!.has4(view.src0)) return true;
  // A client without an address asks for one (RFC 2131 section 4.1).
  return view.src0 === 0 && view.proto === PROTO_UDP && !view.fragment && view.srcPort === DHCP_CLIENT_PORT && view.dstPort === DHCP_SERVER_PORT;
}

function sourceAllowed6(port: SwitchPort, view: PacketView): boolean {
  if (port.ips!.has6(view.src0, view.src1, view.src2, view.src3)) return true;
  if ((view.src0 & LINK_LOCAL_MASK) === LINK_LOCAL) return port.allowLinkLocal;
  // The unspecified address is the source of duplicate address detection, router solicitation and MLD reports.
  return (view.src0 | view.src1 | view.src2 | view.src3) === 0 && view.proto === PROTO_ICMPV6;
}

/** ARP names its sender once more in the payload, and that is what caches believe. */
function arpAllowed(port: SwitchPort, view: PacketView): boolean {
  if (!isArp(view)) return false;
  if (!linkAddressAllowed(port, view, arpSenderMacHi(view), arpSenderMacLo(view))) return false;
  const sender = arpSenderIp(view);
  return sender === 0 || port.ips!.has4(sender); // 0: address probe, RFC 5227
}

function linkAddressAllowed(port: SwitchPort, view: PacketView, hi: number, lo: number): boolean {
  if (port.hasMac) return port.owns(hi, lo) || port.isEffective(hi, lo);
  return hi === view.srcMacHi && lo === view.srcMacLo;
}

/** Solicitations and advertisements may speak only for the port's own addresses. */
function neighbourDiscoveryAllowed(port: SwitchPort, view: PacketView): boolean {
  if (upperProtocol(view) !== PROTO_ICMPV6) return true;
  const buf = view.buf;
  if (view.fragment) {
    // Neighbour discovery must not be fragmented (RFC 6980); a receiver that follows it drops these as well.
    return view.fragOff !== 0 || view.payloadLen === 0 || !isNeighbourDiscovery(buf[view.payloadOff]!);
  }
  if (view.l4Off < 0 || !isNeighbourDiscovery(view.icmpType)) return true;
  const type = view.icmpType;
  let at = view.l4Off + 8;
  if (type === ICMPV6_NEIGHBOR_SOLICIT || type === ICMPV6_NEIGHBOR_ADVERT) {
    if (view.ipEnd - at < 16) return false;
    const claims = type === ICMPV6_NEIGHBOR_ADVERT || (view.src0 | view.src1 | view.src2 | view.src3) === 0;
    if (claims && !targetAllowed(port, buf, at)) return false;
    at += 16;
  } else if (type === ICMPV6_ROUTER_ADVERT) {
    at += 8;
  } else if (type === ICMPV6_REDIRECT) {
    at += 32;
  }
  const wanted = type === ICMPV6_NEIGHBOR_ADVERT ? ND_TARGET_LINK_ADDRESS : type === ICMPV6_REDIRECT ? 0 : ND_SOURCE_LINK_ADDRESS;
  while (view.ipEnd - at >= 8) {
    const len = buf[at + 1]! << 3;
    if (len === 0 || len > view.ipEnd - at) return false;
    if (buf[at] === wanted && !linkAddressAllowed(port, view, be16(buf, at + 2), be32(buf, at + 4))) return false;
    at += len;
  }
  return true;
}

function isNeighbourDiscovery(type: number): boolean {
  return type >= ICMPV6_ROUTER_SOLICIT && type <= ICMPV6_REDIRECT;
}

function targetAllowed(port: SwitchPort, buf: Uint8Array, at: number): boolean {
  const w0 = be32(buf, at);
  if ((w0 & LINK_LOCAL_MASK) === LINK_LOCAL && port.allowLinkLocal) return true;
  return port.ips!.has6(w0, be32(buf, at + 4), be32(buf, at + 8), be32(buf, at + 12));
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
