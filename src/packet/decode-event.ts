/**
 * Decoder events: what a decoder found wrong or odd in a packet. One table; the names are those the Suricata 7
 * keyword `decode-event` takes, the ids (row numbers, 0 = no event) are private and may change between releases.
 *
 * An event does not stop anything by itself. Those raised with `setInvalid` also set `view.malformed`: the header is
 * truncated or contradicts itself, so what a receiver would make of the packet is unknown.
 * Rows of `raisedBy: 'defrag'` are raised by the flow room, which owns the fragment table, with `setEvent`.
 */
import type { PacketView } from './packet-view.js';

export interface DecodeEventRow {
  /** Name as rules and the anomaly log spell it. */
  readonly name: string;
  /** One phrase for operators. */
  readonly help: string;
  readonly raisedBy: 'decode' | 'defrag' | 'port';
}

const rows = [
  ['none', 'no event'],
  ['ipv4.pkt_too_small', 'fewer than 20 bytes for an IPv4 header'],
  ['ipv4.hlen_too_small', 'IPv4 header length below 20 bytes'],
  ['ipv4.iplen_smaller_than_hlen', 'IPv4 total length below the header length'],
  ['ipv4.trunc_pkt', 'IPv4 total length beyond the captured bytes'],
  ['ipv4.opt_invalid', 'IPv4 option of unknown type'],
  ['ipv4.opt_invalid_len', 'IPv4 option length impossible for its type'],
  ['ipv4.opt_malformed', 'IPv4 option with a wrong pointer or tag'],
  ['ipv4.opt_pad_required', 'IPv4 options not padded to eight bytes'],
  ['ipv4.opt_eol_required', 'IPv4 options end without an end-of-list option'],
  ['ipv4.opt_duplicate', 'IPv4 option given twice'],
  ['ipv4.opt_unknown', 'IPv4 option that cannot be judged'],
  ['ipv4.wrong_ip_version', 'IPv4 frame whose header does not say version 4'],
  ['ipv4.icmpv6', 'ICMPv6 inside IPv4'],
  ['icmpv4.pkt_too_small', 'fewer bytes than the ICMP message needs'],
  ['icmpv4.unknown_type', 'ICMP type not assigned'],
  ['icmpv4.unknown_code', 'ICMP code not defined for its type'],
  ['icmpv4.ipv4_trunc_pkt', 'ICMP error quotes less than an IPv4 header'],
  ['icmpv4.ipv4_unknown_ver', 'ICMP error quotes something that is not IPv4'],
  ['icmpv6.unknown_type', 'ICMPv6 type not known'],
  ['icmpv6.unknown_code', 'ICMPv6 code not defined for its type'],
  ['icmpv6.pkt_too_small', 'fewer than 8 bytes for an ICMPv6 header'],
  ['icmpv6.ipv6_unknown_version', 'ICMPv6 error quotes something that is not IPv6'],
  ['icmpv6.ipv6_trunc_pkt', 'ICMPv6 error quotes less than an IPv6 header'],
  ['icmpv6.mld_message_with_invalid_hl', 'multicast listener message with a hop limit other than 1'],
  ['icmpv6.unassigned_type', 'ICMPv6 type in an unassigned range'],
  ['icmpv6.experimentation_type', 'ICMPv6 type reserved for private experimentation'],
  ['ipv6.pkt_too_small', 'fewer than 40 bytes for an IPv6 header'],
  ['ipv6.trunc_pkt', 'IPv6 payload length beyond the captured bytes'],
  ['ipv6.trunc_exthdr', 'IPv6 extension header cut off'],
  ['ipv6.exthdr_dupl_fh', 'second IPv6 fragment header'],
  ['ipv6.exthdr_useless_fh', 'IPv6 fragment header on a packet that is whole (atomic fragment)'],
  ['ipv6.exthdr_dupl_rh', 'second IPv6 routing header'],
  ['ipv6.exthdr_dupl_hh', 'second IPv6 hop-by-hop header'],
  ['ipv6.exthdr_dupl_dh', 'more than two IPv6 destination options headers'],
  ['ipv6.exthdr_dupl_ah', 'second IPv6 authentication header'],
  ['ipv6.exthdr_dupl_eh', 'second IPv6 ESP header'],
  ['ipv6.exthdr_invalid_optlen', 'IPv6 option length impossible'],
  ['ipv6.wrong_ip_version', 'IPv6 frame whose header does not say version 6'],
  ['ipv6.exthdr_ah_res_not_null', 'reserved field of the IPv6 authentication header is not zero'],
  ['ipv6.hopopts_unknown_opt', 'unknown IPv6 hop-by-hop option'],
  ['ipv6.hopopts_only_padding', 'IPv6 hop-by-hop header with nothing but padding'],
  ['ipv6.dstopts_unknown_opt', 'unknown IPv6 destination option'],
  ['ipv6.dstopts_only_padding', 'IPv6 destination options header with nothing but padding'],
  ['ipv6.rh_type_0', 'IPv6 routing header type 0 (source routing, RFC 5095)'],
  ['ipv6.zero_len_padn', 'IPv6 PadN option of length zero'],
  ['ipv6.fh_non_zero_reserved_field', 'reserved field of the IPv6 fragment header is not zero'],
  ['ipv6.data_after_none_header', 'data after an IPv6 header that says nothing follows'],
  ['ipv6.unknown_next_header', 'unknown IPv6 next header'],
  ['ipv6.icmpv4', 'ICMPv4 inside IPv6'],
  ['tcp.pkt_too_small', 'fewer than 20 bytes for a TCP header'],
  ['tcp.hlen_too_small', 'TCP data offset beyond the packet'],
  ['tcp.invalid_optlen', 'TCP data offset below 20 bytes'],
  ['tcp.opt_invalid_len', 'TCP option length impossible'],
  ['tcp.opt_duplicate', 'TCP option given twice'],
  ['udp.pkt_too_small', 'UDP length beyond the packet'],
  ['udp.hlen_too_small', 'fewer than 8 bytes for a UDP header'],
  ['udp.hlen_invalid', 'older name of udp.len_invalid, kept for rules that use it'],
  ['udp.len_invalid', 'UDP length field disagrees with the IP length'],
  ['sll.pkt_too_small', 'Linux cooked capture header cut off'],
  ['ethernet.pkt_too_small', 'fewer than 14 bytes for an Ethernet header'],
  ['ppp.pkt_too_small', 'PPP header cut off'],
  ['ppp.vju_pkt_too_small', 'PPP VJ uncompressed packet shorter than an IPv4 header'],
  ['ppp.ip4_pkt_too_small', 'PPP packet shorter than an IPv4 header'],
  ['ppp.ip6_pkt_too_small', 'PPP packet shorter than an IPv6 header'],
  ['ppp.wrong_type', 'PPP protocol number not known'],
  ['ppp.unsup_proto', 'PPP protocol that is not decoded'],
  ['pppoe.pkt_too_small', 'PPPoE header cut off'],
  ['pppoe.wrong_code', 'PPPoE code not known'],
  ['pppoe.malformed_tags', 'PPPoE tags run past the packet'],
  ['gre.pkt_too_small', 'GRE header cut off'],
  ['gre.wrong_version', 'GRE version not 0 or 1'],
  ['gre.version0_recur', 'GRE recursion control set'],
  ['gre.version0_flags', 'GRE reserved flags set'],
  ['gre.version0_hdr_too_big', 'GRE header longer than the packet'],
  ['gre.version0_malformed_sre_hdr', 'GRE source route entry malformed'],
  ['gre.version1_chksum', 'PPTP GRE with a checksum'],
  ['gre.version1_route', 'PPTP GRE with routing'],
  ['gre.version1_ssr', 'PPTP GRE with strict source route'],
  ['gre.version1_recur', 'PPTP GRE with recursion control'],
  ['gre.version1_flags', 'PPTP GRE with reserved flags'],
  ['gre.version1_no_key', 'PPTP GRE without a key'],
  ['gre.version1_wrong_protocol', 'PPTP GRE that does not carry PPP'],
  ['gre.version1_malformed_sre_hdr', 'PPTP GRE source route entry malformed'],
  ['gre.version1_hdr_too_big', 'PPTP GRE header longer than the packet'],
  ['vlan.header_too_small', '802.1Q tag cut off'],
  ['vlan.unknown_type', 'unknown EtherType behind an 802.1Q tag'],
  ['vlan.too_many_layers', 'more than three 802.1Q tags'],
  ['vntag.header_too_small', 'VN-Tag cut off'],
  ['vntag.unknown_type', 'unknown EtherType behind a VN-Tag'],
  ['ieee8021ah.header_too_small', '802.1ah header cut off'],
  ['ipraw.invalid_ip_version', 'raw IP frame that is neither version 4 nor 6'],
  ['ltnull.pkt_too_small', 'loopback link header cut off'],
  ['ltnull.unsupported_type', 'loopback link header with an unknown address family'],
  ['sctp.pkt_too_small', 'fewer than 12 bytes for an SCTP header'],
  ['esp.pkt_too_small', 'fewer than 8 bytes for an ESP header'],
  ['ipv4.frag_pkt_too_large', 'IPv4 fragment ends beyond 65535 bytes', 'defrag'],
  ['ipv6.frag_pkt_too_large', 'IPv6 fragment ends beyond 65535 bytes', 'defrag'],
  ['ipv4.frag_overlap', 'IPv4 fragments overlap', 'defrag'],
  ['ipv6.frag_overlap', 'IPv6 fragments overlap', 'defrag'],
  ['ipv6.frag_invalid_length', 'IPv6 fragment other than the last is no multiple of eight bytes'],
  ['ipv4.frag_ignored', 'IPv4 fragment not taken: no memory in the fragment table', 'defrag'],
  ['ipv6.frag_ignored', 'IPv6 fragment not taken: no memory in the fragment table', 'defrag'],
  ['ipv6.ipv4_in_ipv6_too_small', 'IPv4 in IPv6, but less than an IPv4 header'],
  ['ipv6.ipv4_in_ipv6_wrong_version', 'IPv4 in IPv6, but the inner header is not version 4'],
  ['ipv6.ipv6_in_ipv6_too_small', 'IPv6 in IPv6, but less than an IPv6 header'],
  ['ipv6.ipv6_in_ipv6_wrong_version', 'IPv6 in IPv6, but the inner header is not version 6'],
  ['mpls.header_too_small', 'MPLS label cut off'],
  ['mpls.pkt_too_small', 'nothing behind the MPLS labels'],
  ['mpls.bad_label_router_alert', 'MPLS router alert label at the bottom of the stack'],
  ['mpls.bad_label_implicit_null', 'MPLS implicit null label on the wire'],
  ['mpls.bad_label_reserved', 'reserved MPLS label'],
  ['mpls.unknown_payload_type', 'payload behind the MPLS labels not recognised'],
  ['vxlan.unknown_payload_type', 'inner EtherType of VXLAN not decoded'],
  ['geneve.unknown_payload_type', 'inner protocol of Geneve not decoded'],
  ['erspan.header_too_small', 'ERSPAN header cut off'],
  ['erspan.unsupported_version', 'ERSPAN version not decoded'],
  ['erspan.too_many_vlan_layers', 'ERSPAN adds a VLAN tag beyond the third'],
  ['dce.pkt_too_small', 'Cisco FabricPath header cut off'],
  ['chdlc.pkt_too_small', 'Cisco HDLC header cut off'],
  ['nsh.header_too_small', 'network service header cut off'],
  ['nsh.unsupported_version', 'network service header of another version than 0'],
  ['nsh.bad_header_length', 'network service header length contradicts its type'],
  ['nsh.reserved_type', 'network service header of a reserved type'],
  ['nsh.unsupported_type', 'network service header of an undecoded type'],
  ['nsh.unknown_payload', 'next protocol of the network service header not decoded'],
  ['too_many_layers', 'more headers or tunnels than are followed'],
  ['afpacket.trunc_pkt', 'capture cut the frame short', 'port'],
  ['linktype.unsupported', 'link type that is not decoded (own name, not one of Suricata)'],
] as const satisfies readonly (readonly [string, string, DecodeEventRow['raisedBy']?])[];

/** Names of all events. */
export type DecodeEventName = (typeof rows)[number][0];

/** Rows by id. Row 0 means "no event". */
export const DECODE_EVENTS: readonly DecodeEventRow[] = rows.map(([name, help, raisedBy]) => ({ name, help, raisedBy: raisedBy ?? 'decode' }));

/** Name -> id: `DecodeEvent['ipv4.pkt_too_small']`. */
export const DecodeEvent = Object.freeze(Object.fromEntries(rows.map(([name], id) => [name, id]))) as Readonly<Record<DecodeEventName, number>>;

/** Id of an event name as a rule writes it, or -1 when there is no such event. */
export function decodeEventId(name: string): number {
  return Object.hasOwn(DecodeEvent, name) && name !== 'none' ? DecodeEvent[name as DecodeEventName] : -1;
}

/** Note an event on the packet, once. Beyond the room of `view.events` further ones are forgotten (it has plenty then). */
export function setEvent(view: PacketView, id: number): void {
  // An option list can repeat one fault hundreds of times; it must not push the other events out.
  for (let i = 0; i < view.eventCount; i++) if (view.events[i] === id) return;
  if (view.eventCount < view.events.length) view.events[view.eventCount++] = id;
}

/** Note an event and mark the packet as malformed. */
export function setInvalid(view: PacketView, id: number): void {
  setEvent(view, id);
  if (view.malformed === 0) view.malformed = id;
}

/** True when the packet carries the event. */
export function hasEvent(view: PacketView, id: number): boolean {
  for (let i = 0; i < view.eventCount; i++) if (view.events[i] === id) return true;
  return false;
}
