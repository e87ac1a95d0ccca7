/**
 * Source addresses: who may speak for which IP. Two things at once, because both read the same claims:
 * - IP discovery: ARP, neighbour discovery and DHCP tell which addresses are behind a port (address-table.ts).
 * - SpoofGuard: source addresses of IP headers and the payload of ARP and neighbour discovery must belong to the port - by its
 *   configured list (`ips`), or by what discovery trusts or an operator approved (field guide section 1, NSX).
 * Identity comes from the port: nothing a packet says widens what another port may do.
 */
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_RARP,
  ICMPV6_NEIGHBOR_ADVERT,
  ICMPV6_NEIGHBOR_SOLICIT,
  ICMPV6_REDIRECT,
  ICMPV6_ROUTER_ADVERT,
  ICMPV6_ROUTER_SOLICIT,
  PROTO_ICMPV6,
  PROTO_UDP,
  arpSenderIp,
  arpSenderMacHi,
  arpSenderMacLo,
  isArp,
  type PacketView,
} from '../packet/index.js';
import { DropReason } from '../pipeline/index.js';
import { be16, be32 } from '../util/index.js';
import { CHECK_DUPLICATE, CHECK_MAC, CHECK_OK, CHECK_OUTSIDE, SOURCE_ARP, SOURCE_DHCP, SOURCE_ND, type AddressTable } from './address-table.js';
import { DHCP_ACK, DHCP_RELEASE, readDhcp, type DhcpLease } from './dhcp-snoop.js';
import type { MacTable } from './mac-table.js';
import type { SwitchPort } from './switch-port.js';

const IP_SPOOF = DropReason.port_ip_spoof;
const UNAPPROVED = DropReason.port_address_unapproved;
const DUPLICATE = DropReason.port_address_duplicate;
const OUTSIDE = DropReason.port_address_outside;
const WRONG_MAC = DropReason.port_address_mac;

const DHCP_SERVER_PORT = 67;
const DHCP_CLIENT_PORT = 68;
const DHCPV6_CLIENT_PORT = 546;
const DHCPV6_SERVER_PORT = 547;
/** fe80::/10 */
const LINK_LOCAL = 0xfe800000 | 0;
const LINK_LOCAL_MASK = 0xffc00000 | 0;
/** Neighbour discovery options (RFC 4861 section 4.6). */
const ND_SOURCE_LINK_ADDRESS = 1;
const ND_TARGET_LINK_ADDRESS = 2;
/** A lease without its length (BOOTP, options lost): as good as an hour. */
const LEASE_UNKNOWN = 3600;

export class AddressGuard {
  /** Some port discovers by DHCP: frames of servers are read. */
  snoops = false;
  private readonly table: AddressTable;
  private readonly macs: MacTable;
  private readonly lease: DhcpLease = { type: 0, v6: false, count: 0, words: new Int32Array(32), leaseSec: 0, macHi: 0, macLo: 0 };
  private vlan = 0;
  private nowSec = 0;

  constructor(table: AddressTable, macs: MacTable) {
    this.table = table;
    this.macs = macs;
  }

  /** Check the addresses a frame of `port` claims, and learn them. @returns DropReason, 0 = passes */
  check(port: SwitchPort, view: PacketView, vlan: number, nowSec: number): number {
    this.vlan = vlan;
    this.nowSec = nowSec;
    if (view.ipVersion === 4) return this.checkIpv4(port, view);
    if (view.ipVersion === 6) {
      const reason = this.checkSource6(port, view);
      return reason !== 0 ? reason : this.checkNeighbourDiscovery(port, view);
    }
    if (view.etherType === ETHERTYPE_ARP || view.etherType === ETHERTYPE_RARP) return this.checkArp(port, view);
    // An IP header that cannot be read cannot be shown to be honest.
    return port.enforcesAddresses && (view.etherType === ETHERTYPE_IPV4 || view.etherType === ETHERTYPE_IPV6) ? IP_SPOOF : 0;
  }

  /** A frame that may pass comes from somebody who may be a DHCP server: what it leases belongs to the client's port. */
  snoop(view: PacketView, vlan: number, nowSec: number): void {
    if (view.proto !== PROTO_UDP || view.fragment || view.l4Off < 0) return;
    const v6 = view.ipVersion === 6;
    if (v6 ? view.srcPort !== DHCPV6_SERVER_PORT || view.dstPort !== DHCPV6_CLIENT_PORT : view.srcPort !== DHCP_SERVER_PORT || view.dstPort !== DHCP_CLIENT_PORT) return;
    const lease = this.lease;
    if (!readDhcp(view, lease) || lease.type !== DHCP_ACK) return;
    // DHCPv6 names its client by an identifier of its own; the frame's destination is where it is.
    const hi = v6 ? view.dstMacHi : lease.macHi;
    const lo = v6 ? view.dstMacLo : lease.macLo;
    const port = this.macs.lookup(vlan, hi, lo, nowSec);
    if (port < 0) return;
    for (let i = 0; i < lease.count; i++) {
      const at = i * 4;
      const w = lease.words;
      this.table.learn(port, vlan, v6, w[at]!, w[at + 1]!, w[at + 2]!, w[at + 3]!, hi, lo, SOURCE_DHCP, nowSec, lease.leaseSec === 0 ? LEASE_UNKNOWN : lease.leaseSec);
    }
  }

  // ---- judging one address ---------------------------------------------------------------------------------------------

  /** May the port speak for an IPv4 address with this MAC? */
  private allows4(port: SwitchPort, word: number, macHi: number, macLo: number): number {
    if (port.ips !== null && port.ips.has4(word)) return 0;
    if (!port.guarded) return port.ips === null ? 0 : IP_SPOOF;
    return reasonOf(this.table.check(port.index, this.vlan, false, word, 0, 0, 0, macHi, macLo, this.nowSec));
  }

  private allows6(port: SwitchPort, w0: number, w1: number, w2: number, w3: number, macHi: number, macLo: number): number {
    if (port.ips !== null && port.ips.has6(w0, w1, w2, w3)) return 0;
    if ((w0 & LINK_LOCAL_MASK) === LINK_LOCAL && port.allowLinkLocal) return 0;
    if (!port.guarded) return port.ips === null ? 0 : IP_SPOOF;
    return reasonOf(this.table.check(port.index, this.vlan, true, w0, w1, w2, w3, macHi, macLo, this.nowSec));
  }

  /** The link address a payload names must be the port's own. */
  private linkAddressAllowed(port: SwitchPort, view: PacketView, hi: number, lo: number): boolean {
    if (port.hasMac) return port.owns(hi, lo) || port.isEffective(hi, lo);
    return hi === view.srcMacHi && lo === view.srcMacLo;
  }

  // ---- IPv4 and ARP ------------------------------------------------------------------------------------------------------

  private checkIpv4(port: SwitchPort, view: PacketView): number {
    // A client without an address asks for one (RFC 2131 section 4.1).
    const dhcp = view.proto === PROTO_UDP && !view.fragment && view.srcPort === DHCP_CLIENT_PORT && view.dstPort === DHCP_SERVER_PORT;
    if (dhcp && this.snoops && readDhcp(view, this.lease) && this.lease.type === DHCP_RELEASE && this.lease.count > 0) {
      this.table.releaseLease(port.index, this.vlan, false, this.lease.words[0]!, 0, 0, 0);
      return port.enforcesAddresses && view.src0 !== this.lease.words[0] ? this.allows4(port, view.src0, view.srcMacHi, view.srcMacLo) : 0;
    }
    if (!port.enforcesAddresses || (view.src0 === 0 && dhcp)) return 0;
    return this.allows4(port, view.src0, view.srcMacHi, view.srcMacLo);
  }

  /** ARP names its sender once more in the payload, and that is what caches believe. */
  private checkArp(port: SwitchPort, view: PacketView): number {
    const enforce = port.enforcesAddresses;
    if (!isArp(view)) return enforce ? IP_SPOOF : 0;
    const hi = arpSenderMacHi(view);
    const lo = arpSenderMacLo(view);
    if (!this.linkAddressAllowed(port, view, hi, lo)) return enforce ? IP_SPOOF : 0;
    const sender = arpSenderIp(view);
    if (sender === 0) return 0; // address probe, RFC 5227
    if (port.discoversArp) this.table.learn(port.index, this.vlan, false, sender, 0, 0, 0, hi, lo, SOURCE_ARP, this.nowSec);
    return enforce ? this.allows4(port, sender, hi, lo) : 0;
  }

  // ---- IPv6 and neighbour discovery ----------------------------------------------------------------------------------------

  private checkSource6(port: SwitchPort, view: PacketView): number {
    if ((view.src0 | view.src1 | view.src2 | view.src3) === 0) {
      // The unspecified address is the source of duplicate address detection, router solicitation and MLD reports.
      return view.proto === PROTO_ICMPV6 || !port.enforcesAddresses ? 0 : IP_SPOOF;
    }
    // A solicitation tells of its sender, so what it says is learned before it is judged.
    if (port.discoversNd && view.proto === PROTO_ICMPV6 && !view.fragment && view.l4Off >= 0 && view.icmpType === ICMPV6_NEIGHBOR_SOLICIT) {
      this.table.learn(port.index, this.vlan, true, view.src0, view.src1, view.src2, view.src3, view.srcMacHi, view.srcMacLo, SOURCE_ND, this.nowSec);
    }
    return port.enforcesAddresses ? this.allows6(port, view.src0, view.src1, view.src2, view.src3, view.srcMacHi, view.srcMacLo) : 0;
  }

  /** Solicitations and advertisements may speak only for the port's own addresses. */
  private checkNeighbourDiscovery(port: SwitchPort, view: PacketView): number {
    const enforce = port.enforcesAddresses;
    if ((view.fragment ? view.fragNext : view.proto) !== PROTO_ICMPV6) return 0;
    const buf = view.buf;
    if (view.fragment) {
      // Neighbour discovery must not be fragmented (RFC 6980); a receiver that follows it drops these as well.
      return enforce && view.fragOff === 0 && view.payloadLen > 0 && isNeighbourDiscovery(buf[view.payloadOff]!) ? IP_SPOOF : 0;
    }
    if (view.l4Off < 0 || !isNeighbourDiscovery(view.icmpType)) return 0;
    const type = view.icmpType;
    let at = view.l4Off + 8;
    const target = at;
    if (type === ICMPV6_NEIGHBOR_SOLICIT || type === ICMPV6_NEIGHBOR_ADVERT) {
      if (view.ipEnd - at < 16) return enforce ? IP_SPOOF : 0;
      at += 16;
    } else if (type === ICMPV6_ROUTER_ADVERT) {
      at += 8;
    } else if (type === ICMPV6_REDIRECT) {
      at += 32;
    }
    const wanted = type === ICMPV6_NEIGHBOR_ADVERT ? ND_TARGET_LINK_ADDRESS : type === ICMPV6_REDIRECT ? 0 : ND_SOURCE_LINK_ADDRESS;
    while (view.ipEnd - at >= 8) {
      const len = buf[at + 1]! << 3;
      if (len === 0 || len > view.ipEnd - at) return enforce ? IP_SPOOF : 0;
      if (buf[at] === wanted && !this.linkAddressAllowed(port, view, be16(buf, at + 2), be32(buf, at + 4))) return enforce ? IP_SPOOF : 0;
      at += len;
    }
    // What an advertisement claims, and what duplicate address detection is about to claim (RFC 4862 section 5.4).
    const unspecified = (view.src0 | view.src1 | view.src2 | view.src3) === 0;
    const claims = type === ICMPV6_NEIGHBOR_ADVERT || (type === ICMPV6_NEIGHBOR_SOLICIT && unspecified);
    return claims ? this.checkTarget(port, view, be32(buf, target), be32(buf, target + 4), be32(buf, target + 8), be32(buf, target + 12)) : 0;
  }

  private checkTarget(port: SwitchPort, view: PacketView, w0: number, w1: number, w2: number, w3: number): number {
    if (port.discoversNd) this.table.learn(port.index, this.vlan, true, w0, w1, w2, w3, view.srcMacHi, view.srcMacLo, SOURCE_ND, this.nowSec);
    return port.enforcesAddresses ? this.allows6(port, w0, w1, w2, w3, view.srcMacHi, view.srcMacLo) : 0;
  }
}

function isNeighbourDiscovery(type: number): boolean {
  return type >= ICMPV6_ROUTER_SOLICIT && type <= ICMPV6_REDIRECT;
}

function reasonOf(check: number): number {
  switch (check) {
    case CHECK_OK:
      return 0;
    case CHECK_DUPLICATE:
      return DUPLICATE;
    case CHECK_OUTSIDE:
      return OUTSIDE;
    case CHECK_MAC:
      return WRONG_MAC;
    default:
      return UNAPPROVED;
  }
}
