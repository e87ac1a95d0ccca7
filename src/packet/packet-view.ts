/**
 * The one decoded-packet record. A worker owns a few of these and overwrites them for every frame;
 * callees must never keep a reference past the call they were handed it in, nor a subarray of `buf`.
 *
 * All fields are numbers (int32 wherever V8 can keep them as small integers) so that decoding a frame
 * allocates nothing. Offsets are absolute offsets into `buf`, lengths are bytes. An offset is -1 when the
 * layer is absent. 32-bit wire quantities (addresses, seq, ack) are stored as *signed* int32 (`| 0`); compare
 * sequence numbers with `((a - b) | 0) < 0` (RFC 9293 section 3.4 modular arithmetic) and print with `>>> 0`.
 */
export class PacketView {
  // ---- where the bytes are -----------------------------------------------------------------------------------
  /** The arena (or pcap chunk) the frame lies in. */
  buf: Uint8Array = EMPTY;
  /** The same bytes for multi-byte reads (one bounds check each). Remade only when `buf` changes. */
  data: DataView = EMPTY_DATA;
  /** First byte of the frame as received (link layer). */
  off = 0;
  /** One past the last captured byte. */
  end = 0;
  /** Length on the wire; larger than `end - off` when a capture was truncated (snaplen). */
  wireLen = 0;
  /** pcap LINKTYPE_ of the frame (1 = Ethernet). See `link-type.ts`. */
  linkType = 1;

  // ---- where it came from ------------------------------------------------------------------------------------
  /** Row of this frame in the batch's descriptor table (see frame-batch.ts); -1 for pseudo packets. */
  desc = -1;
  /** Port index the frame came in by. */
  ingress = 0;
  /** Port index the switch chose; -1 = several (flood/multicast), -2 = not decided. */
  egress = -2;
  /** Capture time: seconds since the epoch, and microseconds within the second. */
  tsSec = 0;
  tsUsec = 0;
  /** 1-based number of the frame in its source (pcap_cnt of EVE); 0 for live ports. */
  frameNo = 0;

  // ---- link layer --------------------------------------------------------------------------------------------
  /** MAC addresses split as high 16 and low 32 bits (signed). */
  srcMacHi = 0;
  srcMacLo = 0;
  dstMacHi = 0;
  dstMacLo = 0;
  /** EtherType after all VLAN tags; for non-Ethernet links the equivalent (0x0800, 0x86dd, ...); 0 = none. */
  etherType = 0;
  /** Number of 802.1Q/802.1ad tags seen (0..3). */
  vlanCount = 0;
  /** TCI of the outer and the inner tag (PCP | DEI | VID), 0 when absent. */
  vlan0 = 0;
  vlan1 = 0;
  vlan2 = 0;
  /** What the switch keeps apart equal addresses by: its VLAN and what travels inside that one; -1 = the switch has not said. */
  zone = -1;

  // ---- network layer -----------------------------------------------------------------------------------------
  l3Off = -1;
  /** 4, 6, or 0 when the frame holds no (valid) IP header. */
  ipVersion = 0;
  /** IPv4 header length incl. options; IPv6: fixed header plus all extension headers that were walked. */
  ipHdrLen = 0;
  /** One past the last byte of the IP datagram (never past `end`). */
  ipEnd = 0;
  /** IPv4 total length / IPv6 40 + payload length, as the header says. */
  ipLen = 0;
  /** IPv4 protocol / final IPv6 next header. */
  proto = 0;
  ttl = 0;
  tos = 0;
  /** IPv4 identification, or IPv6 fragment-header identification (32 bit, signed). */
  ipId = 0;
  /** IPv4 flags+DF etc: bit0 MF, bit1 DF, bit2 reserved ("evil") bit. For IPv6 only MF. */
  ipFlags = 0;
  /** Fragment offset in bytes; with `fragment` true. */
  fragOff = 0;
  /** True for any fragment (MF set or offset > 0), except IPv6 atomic fragments (RFC 6946). */
  fragment = false;
  /** IPv6 fragments: next header named by the fragment header; `proto` itself is 44 then. -1 = no fragment header. */
  fragNext = -1;
  /** IPv6: offset of the (first) fragment header, and of the next-header byte in front of it that holds 44; -1 = none. */
  fragHdrOff = -1;
  fragPrevOff = -1;
  /** IPv4 options bitmap / IPv6 extension-header bitmap; bits in ipv4.ts and ipv6.ts. */
  ipOptions = 0;
  /** Addresses as four int32 words, network order. IPv4 uses word 0 and zeroes the rest. */
  src0 = 0;
  src1 = 0;
  src2 = 0;
  src3 = 0;
  dst0 = 0;
  dst1 = 0;
  dst2 = 0;
  dst3 = 0;

  // ---- transport layer ---------------------------------------------------------------------------------------
  /** Offset of the transport header; -1 when absent, malformed or in a non-first fragment. */
  l4Off = -1;
  srcPort = 0;
  dstPort = 0;
  /** TCP: sequence and acknowledgement numbers (signed int32), flags (CWR..FIN = 0x80..0x01, NS = 0x100). */
  seq = 0;
  ack = 0;
  tcpFlags = 0;
  window = 0;
  tcpHdrLen = 0;
  urgPtr = 0;
  /** TCP options; bitmap of kinds seen in `tcpOptions` (bits in tcp.ts). -1 = option absent. */
  tcpOptions = 0;
  mss = -1;
  wscale = -1;
  tsVal = 0;
  tsEcr = 0;
  /** ICMP and ICMPv6. */
  icmpType = 0;
  icmpCode = 0;
  icmpId = 0;
  icmpSeq = 0;
  /** Transport payload (for ICMP: after the 8-byte header; no transport: IP payload). */
  payloadOff = 0;
  payloadLen = 0;

  // ---- offloads (virtio_net_hdr of the descriptor) -----------------------------------------------------------
  /** Segment size of a GSO super-frame, 0 for an ordinary frame. */
  gsoSize = 0;
  /** True when the transport checksum is still partial (VIRTIO_NET_HDR_F_NEEDS_CSUM): never validate it. */
  csumPartial = false;
  /** True when the receiving hardware or the local sender vouches for the checksum (VIRTIO_NET_HDR_F_DATA_VALID). */
  csumValid = false;

  // ---- what the decoder has to say ---------------------------------------------------------------------------
  /** Decoder events (ids of decode-event.ts), at most `events.length` kept. */
  readonly events = new Uint16Array(16);
  eventCount = 0;
  /** First event that makes the packet unfit for inspection (truncated or contradictory header), else 0. */
  malformed = 0;
  /** Number of tunnel headers around this packet (0 = outermost). */
  tunnelDepth = 0;
  /** Kind of the payload when it is itself a packet (GRE, VXLAN, IP-in-IP, ...): ids of tunnel.ts, 0 = none. */
  tunnel = 0;
  /** Offset of the inner packet when `tunnel` is not 0; it ends where the payload ends. */
  innerOff = 0;
  /** EtherType of the inner packet (0x6558 = an Ethernet frame) when `tunnel` is not 0. */
  innerType = 0;
  /** Where the next header starts: how one decoder tells the next, meaningless after `decode` returned. */
  nextOff = 0;

  // ---- judgement: written by the stages, read by the edge (meanings in pipeline/) ------------------------------
  /** Row in the flow table, -1 = none. */
  flowId = -1;
  /** 0 = in the direction of the first packet (to server), 1 = back (to client). */
  flowDir = 0;
  /** Connection-tracking state of this packet (CtState of pipeline/ct-state.ts). */
  ctState = 0;
  /** The flow was established when this packet came: TCP before it was judged, others once both sides had sent. */
  established = false;
  /** Verdict (pipeline/verdict.ts) with its DropReason (pipeline/drop-reason.ts). */
  verdict = 0;
  reason = 0;
  /** The rule that decided, 0 = none: gid 1 = IPS signature; firewall rules use FIREWALL_GID and the rule's index + 1. */
  ruleGid = 0;
  ruleSid = 0;
  /** The inspector keeps the frame and sends it on by itself, or not: it is neither forwarded nor dropped now. */
  held = false;
  /** With a known egress: what happens to the outer tag there (TAG_KEEP, TAG_STRIP, or the tag to insert). Set by the switch. */
  egressTag = -1;
  /** True when bytes of the frame were rewritten (normalised) and checksums must be finished on output. */
  modified = false;
}

const EMPTY = new Uint8Array(0);
const EMPTY_DATA = new DataView(EMPTY.buffer);
