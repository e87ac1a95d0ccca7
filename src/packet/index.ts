/**
 * packet: wire formats. In: frame bytes (an arena and offsets) and capture files. Out: the reused PacketView that every
 * later stage reads, decoder events by name, frames built into the caller's buffer, checksums, flow hashes.
 * One file per protocol; decode.ts and transport.ts hold the tables of who follows whom. No clock, no randomness; the only
 * I/O is reading and writing capture files (pcap/). Zero allocation per packet.
 * May import: util. Imported by every other room.
 */
export { PacketView } from './packet-view.js';
export * from './frame-batch.js';
export { decode, decodeBatchRow, decodeInner } from './decode.js';
export { DecodeEvent, DECODE_EVENTS, decodeEventId, hasEvent, setEvent, setInvalid, type DecodeEventName, type DecodeEventRow } from './decode-event.js';
export { LinkType, isLinkTypeSupported, linkTypeName } from './link-type.js';
export * from './ether-type.js';
export * from './ip-proto.js';
export { ETHERNET_HEADER_LEN } from './ethernet.js';
export { MAX_VLAN_TAGS, vlanId } from './vlan.js';
export {
  ARP_LEN,
  ARP_REPLY,
  ARP_REQUEST,
  arpOperation,
  arpSenderIp,
  arpSenderMacHi,
  arpSenderMacLo,
  arpTargetIp,
  arpTargetMacHi,
  arpTargetMacLo,
  isArp,
} from './arp.js';
export {
  IPV4_HEADER_LEN,
  IP_DF,
  IP_MF,
  IP_RESERVED,
  IPV4_OPT_CIPSO,
  IPV4_OPT_EOL,
  IPV4_OPT_ESEC,
  IPV4_OPT_LSRR,
  IPV4_OPT_NOP,
  IPV4_OPT_QS,
  IPV4_OPT_RR,
  IPV4_OPT_RTRALT,
  IPV4_OPT_SEC,
  IPV4_OPT_SID,
  IPV4_OPT_SSRR,
  IPV4_OPT_TS,
} from './ipv4.js';
export {
  IPV6_HEADER_LEN,
  IPV6_EXT_AH,
  IPV6_EXT_DSTOPTS,
  IPV6_EXT_DSTOPTS2,
  IPV6_EXT_ESP,
  IPV6_EXT_FRAGMENT,
  IPV6_EXT_HOPOPTS,
  IPV6_EXT_JUMBO,
  IPV6_EXT_OTHER,
  IPV6_EXT_ROUTER_ALERT,
  IPV6_EXT_ROUTING,
} from './ipv6.js';
export {
  TCP_ACK,
  TCP_CWR,
  TCP_ECE,
  TCP_FIN,
  TCP_HEADER_LEN,
  TCP_NS,
  TCP_OPT_AO,
  TCP_OPT_FAST_OPEN,
  TCP_OPT_MD5,
  TCP_OPT_MPTCP,
  TCP_OPT_MSS,
  TCP_OPT_OTHER,
  TCP_OPT_SACK,
  TCP_OPT_SACK_PERMITTED,
  TCP_OPT_TIMESTAMP,
  TCP_OPT_WSCALE,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  TCP_URG,
} from './tcp.js';
export { UDP_HEADER_LEN } from './udp.js';
export {
  ICMP_ADDRESS,
  ICMP_ADDRESS_REPLY,
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_HEADER_LEN,
  ICMP_INFO_REPLY,
  ICMP_INFO_REQUEST,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_ROUTER_ADVERT,
  ICMP_ROUTER_SOLICIT,
  ICMP_SOURCE_QUENCH,
  ICMP_TIMESTAMP,
  ICMP_TIMESTAMP_REPLY,
  ICMP_TIME_EXCEEDED,
  icmpEmbedded,
  isIcmpError,
} from './icmp.js';
export {
  ICMPV6_DEST_UNREACH,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_HEADER_LEN,
  ICMPV6_MLDV2_REPORT,
  ICMPV6_MLD_DONE,
  ICMPV6_MLD_QUERY,
  ICMPV6_MLD_REPORT,
  ICMPV6_NEIGHBOR_ADVERT,
  ICMPV6_NEIGHBOR_SOLICIT,
  ICMPV6_NODE_INFO_QUERY,
  ICMPV6_NODE_INFO_REPLY,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_REDIRECT,
  ICMPV6_ROUTER_ADVERT,
  ICMPV6_ROUTER_RENUMBERING,
  ICMPV6_ROUTER_SOLICIT,
  ICMPV6_TIME_EXCEEDED,
  icmpv6Embedded,
  icmpv6Mtu,
  isIcmpv6Error,
} from './icmpv6.js';
export { EmbeddedPacket } from './embedded.js';
export { TEREDO_PORT } from './teredo.js';
export { TunnelKind, TUNNEL_NAMES, MAX_TUNNEL_DEPTH } from './tunnel.js';
export * from './address.js';
export * from './checksum.js';
export { flowHash, flowHashOf, sourceIsLower } from './flow-key.js';
export * from './build.js';
export { openCapture, openCaptureFrom } from './pcap/open.js';
export { CaptureError } from './pcap/capture-error.js';
export { CaptureSource, MAX_CAPTURE_FRAME } from './pcap/capture-source.js';
export { MemorySource, type ByteSource } from './pcap/byte-source.js';
export { PcapWriter, PcapngWriter, createCapture, type WriterOptions } from './pcap/writer.js';
