/**
 * Every way a frame can be lost, in one table. The id indexes the counters, the name is the label of the metric
 * `drawbridge_dropped_frames_total{reason=...}`, the `reason` of EVE drop events and the anchor in docs/drop-reasons.md.
 * Add a reason by adding a row at the end of its stage's block; ids may change between releases, names may not.
 */
export interface DropReasonRow {
  /** Stable name. */
  readonly name: string;
  /** Stage that owns the reason. */
  readonly stage: 'port' | 'switch' | 'decode' | 'defrag' | 'flow' | 'firewall' | 'stream' | 'app-layer' | 'ips' | 'web' | 'output';
  /** One sentence for operators: what happened and what to look at. */
  readonly help: string;
}

const rows = [
  ['none', 'output', 'Not dropped.'],
  // port security and switching
  ['port_forged_transmit', 'port', 'The source MAC is not one of the MACs assigned to the port (forged transmit).'],
  ['port_mac_change', 'port', 'The guest changed its MAC address and the port rejects MAC changes; frames to it are held back too.'],
  ['port_promiscuous', 'port', 'The frame is not addressed to this port and the port may not listen promiscuously.'],
  ['port_ip_spoof', 'port', 'The source IP (or ARP/ND payload) is not assigned to the port.'],
  ['port_bpdu', 'port', 'Bridge protocol frame from or to a guest port.'],
  ['port_dhcp_server', 'port', 'A guest that is not a DHCP server answered as one.'],
  ['port_ra_guard', 'port', 'IPv6 router advertisement from a guest port.'],
  ['port_non_ip', 'port', 'EtherType is not IPv4, IPv6 or ARP and the port only takes those.'],
  ['port_dhcp_client', 'port', 'A guest that must not ask for an address by DHCP did.'],
  ['port_broadcast_rate', 'port', 'Broadcast above the rate limit of the port.'],
  ['port_multicast_rate', 'port', 'Multicast above the rate limit of the port.'],
  ['port_frame_too_short', 'port', 'The frame is shorter than an Ethernet header.'],
  ['port_source_multicast', 'port', 'The source MAC is a multicast address, which no station may use (IEEE 802.3).'],
  ['port_address_unapproved', 'port', 'SpoofGuard: the source address (or ARP/ND payload) is not trusted on this port, or waits for approval.'],
  ['port_address_duplicate', 'port', 'SpoofGuard: another port holds the source address (or the one ARP/ND claims).'],
  ['port_address_outside', 'port', 'SpoofGuard: the address lies outside the subnets the port is authorised for.'],
  ['port_address_mac', 'port', 'SpoofGuard: the address belongs to the port, but with another MAC.'],
  ['switch_vlan', 'switch', 'The VLAN of the frame is not allowed on the ingress port.'],
  ['switch_vlan_egress', 'switch', 'The VLAN of the frame is not allowed on the egress port.'],
  ['switch_isolated', 'switch', 'Both ports are isolated (protected): they may not talk to each other.'],
  ['switch_hairpin', 'switch', 'The destination is behind the port the frame came from.'],
  ['switch_no_port', 'switch', 'No port to send to (no other port is up in this VLAN).'],
  ['switch_reserved', 'switch', 'Destination is a link-local bridge address (01:80:c2:00:00:0x), never forwarded (IEEE 802.1Q 8.6.3).'],
  ['switch_quarantine', 'switch', 'The port is administratively down or quarantined.'],
  ['switch_loop', 'switch', 'The source is the configured MAC of another port: a loop, or a forgery.'],
  ['switch_loop_blocked', 'switch', 'The port is cut off for a while because of a loop.'],
  // decoding
  ['decode_malformed', 'decode', 'Truncated or contradictory header; the decoder event names it.'],
  ['decode_checksum', 'decode', 'Wrong IP or transport checksum and the posture denies it.'],
  // fragments
  ['defrag_overlap', 'defrag', 'Fragment overlaps another one with different bytes.'],
  ['defrag_invalid', 'defrag', 'Fragment too small, out of bounds or contradicting its datagram.'],
  ['defrag_memcap', 'defrag', 'No memory left in the fragment table.'],
  ['defrag_denied', 'defrag', 'Fragments are denied by policy.'],
  ['defrag_budget', 'defrag', "The VM's share of the fragment table is used up."],
  // flow
  ['flow_table_full', 'flow', 'No room for a new flow.'],
  ['flow_dropped', 'flow', 'The flow was condemned earlier (the flow event names the rule).'],
  ['ct_invalid', 'flow', 'Packet does not belong to any connection (no SYN seen) and midstream pickup is off.'],
  ['ct_invalid_flags', 'flow', 'Impossible TCP flag combination.'],
  ['ct_invalid_seq', 'flow', 'TCP sequence or acknowledgement number outside the window.'],
  ['ct_limit', 'flow', 'Connection limit of the VM or peer reached.'],
  ['flow_budget', 'flow', "The VM's share of the flow table is used up."],
  ['flow_half_open_budget', 'flow', 'The VM has as many unfinished TCP handshakes open as it may.'],
  ['flow_rate_budget', 'flow', 'The VM opens more new flows per second than it may.'],
  ['flow_tunnel_depth', 'flow', 'A tunnel, or more tunnels inside one another than may pass.'],
  // firewall
  ['firewall_deny', 'firewall', 'A Deny rule matched.'],
  ['firewall_out_of_allowed', 'firewall', 'No Allow rule matched in a direction that has Allow rules (Out Of Allowed Policy).'],
  ['firewall_reject', 'firewall', 'An emergency rule rejected the packet.'],
  ['firewall_recon', 'firewall', 'The source is blocked for reconnaissance (port scan).'],
  ['firewall_same_address', 'firewall', 'Source and destination address are the same (land attack).'],
  ['firewall_congestion_flags', 'firewall', 'TCP packet with CWR or ECE set, which the stateful configuration or the posture denies.'],
  ['firewall_urgent', 'firewall', 'TCP packet with URG set, which the posture denies.'],
  ['firewall_timestamp', 'firewall', 'TCP timestamp that is zero or older than the last one, which the posture denies.'],
  ['firewall_syn_data', 'firewall', 'SYN with data, which the posture denies.'],
  ['firewall_split_handshake', 'firewall', 'A SYN answered with a SYN, which the posture denies.'],
  ['firewall_bogon', 'firewall', 'An address that no packet on a wire can have (loopback, multicast or unassigned source, 6to4 around a private address).'],
  ['firewall_routing_header', 'firewall', 'IPv6 routing header of type 0.'],
  ['firewall_zero_payload', 'firewall', 'IP packet that carries nothing.'],
  ['firewall_small_fragment', 'firewall', 'IPv6 fragment below the minimum MTU that is not the last.'],
  ['firewall_small_mss', 'firewall', 'SYN that announces a maximum segment size below the floor.'],
  ['firewall_teredo', 'firewall', 'UDP on the Teredo port that is no Teredo.'],
  // stream
  ['stream_overlap', 'stream', 'Retransmission with different bytes than those already inspected.'],
  ['stream_memcap', 'stream', 'Reassembly memory is used up.'],
  ['stream_invalid', 'stream', 'TCP segment that cannot be placed in the stream.'],
  ['stream_budget', 'stream', "The VM's share of the reassembly memory is used up."],
  // application layer
  ['applayer_error', 'app-layer', 'Protocol parser gave up and the policy is to drop.'],
  // detection
  ['ips_rule', 'ips', 'A drop or reject signature matched.'],
  ['ips_memcap', 'ips', 'Detection state is used up and the policy is to drop.'],
  ['engine_error', 'ips', 'Internal error while judging the packet; failure policy is closed.'],
  ['web_rule', 'web', 'The web application firewall blocked the transaction.'],
  // output
  ['output_error', 'output', 'The kernel did not take the frame on the egress port.'],
  ['output_too_big', 'output', 'Frame larger than the MTU of the egress port and not segmentable.'],
  ['output_overflow', 'output', 'No room in the transmit table of the batch.'],
] as const satisfies readonly (readonly [string, DropReasonRow['stage'], string])[];

type ReasonName = (typeof rows)[number][0];

/** Rows by id. */
export const DROP_REASONS: readonly DropReasonRow[] = rows.map(([name, stage, help]) => ({ name, stage, help }));

/** Name -> id, for code: `DropReason.firewall_deny`. */
export const DropReason = Object.freeze(
  Object.fromEntries(rows.map(([name], id) => [name, id])),
) as Readonly<Record<ReasonName, number>>;
