/**
 * docs/drop-reasons.md from DROP_REASONS. The help is the code's own; what to look at is advice for operators and stands here,
 * one entry for each reason (a missing or surplus entry is an error). Where a reason is raised is read from the sources.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { built, cell, code, root, table } from './markdown.mjs';

const ADVICE = {
  port_forged_transmit: 'Compare `ether.src_mac` of a capture with `mac` and `allowed_macs` of the port. Usual causes: a bridge, nested VMs or VRRP in the guest. Add the address to `allowed_macs`, or set `security.forged_transmits: accept`.',
  port_mac_change: 'The guest sends from another MAC than configured. Set it back, correct `mac`, or set `security.mac_changes: accept`. Frames *to* the port are dropped until then.',
  port_promiscuous: 'Unicast for a MAC that is not this port\'s, mostly unknown-unicast flooding with one candidate. Harmless in small numbers. `security.promiscuous: accept` for sniffers and nested switches.',
  port_ip_spoof: 'Compare the source address (or ARP/ND payload) with `ips` of the port. Usual causes: a second address, containers routed in the guest, a stale address after a move, 169.254.0.0/16.',
  port_bpdu: 'STP, LLDP, LACP, CDP from or to a guest. Normal for guests that run lldpd. `security.bpdu_allowed` lets single destinations through.',
  port_dhcp_server: 'A guest answers DHCP. If it is the DHCP server set `security.dhcp_server_block: false` on its port, or `role: uplink` where routers are.',
  port_ra_guard: 'A guest advertises itself as IPv6 router. If it is one set `security.ra_guard: false`. A first fragment without an upper-layer header counts as an advertisement (RFC 7113).',
  port_non_ip: 'Only with `security.non_ip_block: true`. Look at the EtherType with `tcpdump -e`.',
  port_dhcp_client: 'Only with `security.dhcp_client_block: true`: the guest asks for an address although it has a fixed one.',
  port_broadcast_rate: 'Above `security.rx.broadcast` (from the port) or `security.tx.broadcast` (to it). Look for ARP storms and loops.',
  port_multicast_rate: 'Above `security.rx.multicast` or `security.tx.multicast`. Look for mDNS, SSDP, video.',
  port_frame_too_short: 'Fewer than 14 bytes. A broken driver or a fuzzer.',
  port_source_multicast: 'A broken driver or an attack. Look at the source with `tcpdump -e`.',
  port_address_unapproved: 'Only with `security.spoof_guard`. `drawbridge switch addresses` shows what the port was seen to use. With mode `approve`: `drawbridge switch approve PORT IP`. With mode `auto` more addresses may be trusted (`discovery.max_ipv4`, `max_ipv6`), or add it to `ips`.',
  port_address_duplicate: 'Only with `security.spoof_guard`. Two VMs use one address; the `switch` event `address_duplicate` names the holder. Take the address from the wrong one; `drawbridge switch revoke PORT IP` frees it.',
  port_address_outside: 'Only with `security.spoof_guard.authorised`. The guest has an address of another network.',
  port_address_mac: 'Only with `security.spoof_guard`, on ports with several MACs: the guest sends from one MAC with the address of the other. It announces a move by ARP or neighbour discovery; until then this is a forgery.',
  switch_loop: 'A frame with a MAC that is configured on another port: a bridging loop in a guest or outside brings our own frames back, or somebody forges. `security.loop_protection: off` lets them pass.',
  switch_loop_blocked: 'Only with `security.loop_protection: block`. The `switch` event `loop_blocked` tells when it began; it ends by itself after `loop_block_seconds`.',
  switch_vlan: 'An access port takes untagged and priority-tagged frames only; a trunk takes its `allowed` VLANs, and untagged ones only with `native`.',
  switch_vlan_egress: 'The destination\'s port is not a member of the VLAN the frame is in. A MAC that moved to another VLAN, or a missing entry in `allowed`.',
  switch_isolated: 'Both ports have `isolated: true`. That is what it is for.',
  switch_hairpin: 'The destination was learned on the port the frame came from: stations behind one port talk among themselves, or there is a loop.',
  switch_no_port: 'No other port is up in the VLAN, the destination\'s port is down, or the frame is not Ethernet and the port is neither `passive` nor a virtual wire.',
  switch_reserved: 'LACP, LLDP, STP, pause frames on a port that may send them. No 802.1Q bridge forwards them.',
  switch_quarantine: '`state` of the port is `down` or `quarantine`.',
  decode_malformed: 'The decode event names the fault: `drawbridge explain` on a capture of the port shows it, and a rule with `decode-event` reports it live. A truncated capture and a guest that sends bad headers look the same. `failure.sanity: open` of the VM passes such packets.',
  decode_checksum: 'Compare with `tcpdump -vv`. Frames with a partial checksum (offload) are never judged by it.',
  defrag_overlap: 'Two fragments give different bytes for the same place. No honest stack does that; treat it as an evasion attempt.',
  defrag_invalid: 'A fragment that is no multiple of eight bytes, reaches beyond 65 535, disagrees about the length, falls into more than 256 pieces, or belongs to a datagram condemned before.',
  defrag_memcap: 'Look at `drawbridge_fragmented_datagrams`. A flood of first fragments, or `defrag.memcap` / `defrag.max_datagrams` too small for NFS or VPN traffic.',
  defrag_denied: '`stateful.deny_fragments` of the VM\'s firewall policy. Look for a path MTU problem at the sender.',
  defrag_budget: 'One VM sends so many fragments that its share is used up; the others are not concerned. Look for the VM in the `vm` label. `defrag.max_share_percent`, or `budget.fragment_memory` of the VM.',
  flow_budget: 'One VM has opened so many connections, all of them alive, that its share is used up. `flow.max_share_percent`, or `budget.flows` of the VM. Look at `drawbridge_port_flows`.',
  flow_half_open_budget: 'One VM opens TCP connections that nobody completes: a SYN flood or a scan, or a service that is down. `flow.half_open_share_percent`, or `budget.half_open` of the VM. Look at `drawbridge_port_half_open_flows`.',
  flow_tunnel_depth: '`flow.max_tunnel_depth`. Deeper tunnels than four are never followed and are `decode_malformed`.',
  flow_rate_budget: 'Only with `flow.new_per_second`, or `budget.new_flows_per_second` of the VM.',
  flow_table_full: 'Look at `drawbridge_flows`, `drawbridge_flows_evicted_total` and who opens them. A flood is held to `flow.max_share_percent` of one port. Otherwise raise `flow.max` (see tuning.md).',
  flow_dropped: 'Look for the event that condemned the flow: search `eve.json` for its `flow_id`. It is an `alert` with `action: blocked` shortly before.',
  ct_invalid: 'A segment without a connection: after a restart of the appliance, asymmetric routing, an idle timeout shorter than the application\'s, a late RST or FIN. `stream.midstream: true` picks up running connections.',
  ct_invalid_flags: 'For instance SYN+FIN or no flag at all: a scan or OS fingerprinting. Look for `recon` events of the same source.',
  ct_invalid_seq: 'Outside the window. Usual causes: a middlebox that rewrites sequence numbers on one side, packets that take a path around the appliance, spoofed resets. `flow.strict: false` only counts.',
  ct_limit: '`stateful.max_incoming_per_peer`, `max_outgoing_per_peer` or `max_half_open_per_peer` of the VM\'s policy. A proxy or NAT in front makes many clients look like one.',
  firewall_deny: 'The drop event has the rule in `firewall.rule`. `drawbridge check` lists rules that can never match.',
  firewall_out_of_allowed: 'The direction has at least one Allow rule and none matched. Add an Allow rule; look at direction, interface of the VM, and protocol first.',
  firewall_reject: 'A rule of `firewall.emergency` with `action: reject`. The sender got a TCP RST or ICMP unreachable.',
  firewall_recon: '`recon.block_seconds` is set and the source was found scanning: look for its `recon` event. Vulnerability scanners belong in `recon.allow`.',
  firewall_same_address: 'Land attack, or a guest that routes to itself through the network. `implicit.block_same_address: false` switches the check off.',
  firewall_urgent: '`posture.checks.urgent_flags` of the VM\'s policy, or posture strict. Telnet and old FTP clients use URG.',
  firewall_timestamp: '`posture.checks.invalid_timestamp` or `timestamp_zero`. Without `paws_window` every reordered segment of a fast sender looks old: give one second of the sender\'s clock (1000 for Linux).',
  firewall_syn_data: '`posture.checks.syn_data`. TCP fast open sends data with the SYN; clients fall back without it.',
  firewall_split_handshake: '`posture.checks.split_handshake`: a server answered SYN with SYN. A trick, unless both ends open at once on purpose.',
  firewall_bogon: '`hygiene.bogon`, `reserved`, `six_to_four_bogon`, `site_local` or `null_address` of the VM\'s policy. Look at the addresses in the event: a stale route, a VM without address, or a forged source.',
  firewall_routing_header: '`hygiene.routing_header`. Nothing legitimate uses type 0 (RFC 5095).',
  firewall_zero_payload: '`hygiene.zero_payload`. Scanners and broken tunnels send such packets.',
  firewall_small_fragment: '`hygiene.small_fragment`: an IPv6 sender that cuts datagrams smaller than it must, usually to split a header.',
  firewall_small_mss: '`hygiene.min_mss`. An attack on the sender\'s memory (CVE-2019-11477), or a link with a tiny MTU.',
  firewall_teredo: '`hygiene.teredo`. Something else uses UDP port 3544.',
  firewall_congestion_flags: '`stateful.deny_congestion_flags` of the policy. Modern stacks use ECN; leave it off unless you must.',
  stream_overlap: 'Only with `stream.overlap: drop`. A retransmission says something else than the first one: an evasion attempt, or a broken middlebox.',
  stream_memcap: 'Look at `drawbridge_stream_memory_bytes` against `stream.memcap`. Also: more than 1 MiB or 256 segments out of order in one direction, which means heavy loss before the appliance.',
  stream_budget: 'Data that one VM sends fills its share of the reassembly memory: it leaves gaps, or its peers do not acknowledge. `stream.max_share_percent`, or `budget.stream_memory` of the VM.',
  stream_invalid: 'Data behind a FIN. No honest stack sends it.',
  applayer_error: 'Not raised: a parser that gives up leaves the flow passing, with `uninspected: parser-error` in its flow event.',
  ips_rule: 'The alert event beside it has the signature. `drawbridge rules explain SID` shows how the rule was compiled; `ips: detect` of the VM turns drops into alerts.',
  ips_memcap: 'Not raised: detection state that is used up is counted in the `stats` event (`ips.stateLost`).',
  engine_error: 'A bug. The log has the stack and the frame. Please report it with a capture. `failure.engine: open` of the VM passes such packets.',
  web_rule: 'Not raised: the web application firewall is not built yet.',
  output_error: 'The kernel refused the frame: TAP down (EIO), interface gone (ENODEV), queue full (EAGAIN, ENOBUFS). Look at `ip -s link` of the device.',
  output_too_big: 'Different MTUs on the two ports, or a super-frame that cannot be segmented. Make the MTUs equal.',
  output_overflow: 'No room in the transmit table after flushing: one frame flooded to more than 4096 ports.',
};

const TITLES = {
  port: 'Port security',
  switch: 'Switching',
  decode: 'Decoding',
  defrag: 'Fragments',
  flow: 'Connection tracking',
  firewall: 'Firewall',
  stream: 'TCP reassembly',
  'app-layer': 'Application layer',
  ips: 'Intrusion prevention',
  web: 'Web application firewall',
  output: 'Output',
};

async function reasons() {
  const { DROP_REASONS } = await built('pipeline/index.js');
  const rows = DROP_REASONS.slice(1);
  const names = new Set(rows.map((r) => r.name));
  const bad = [...rows.filter((r) => !(r.name in ADVICE)).map((r) => `no advice for ${r.name}`), ...Object.keys(ADVICE).filter((n) => !names.has(n)).map((n) => `advice for unknown ${n}`)];
  if (bad.length > 0) throw new Error(`scripts/docs/drop-reasons.mjs: ${bad.join(', ')}`);
  return rows;
}

/** Reason -> source files that name it, apart from the table itself and from those that only write events. */
function raisedIn() {
  const found = new Map();
  (function walk(dir) {
    for (const entry of readdirSync(join(root, dir), { withFileTypes: true })) {
      const path = `${dir}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (path.endsWith('.ts') && !path.startsWith('src/pipeline/') && !path.startsWith('src/appliance/events/')) {
        for (const [, name] of readFileSync(join(root, path), 'utf8').matchAll(/\bDropReason\.(\w+)/g)) found.set(name, new Set([...(found.get(name) ?? []), path]));
      }
    }
  })('src');
  return found;
}

export async function dropReasonIndex() {
  return table(['reason', 'stage', 'meaning'], (await reasons()).map((r) => [`[${code(r.name)}](#${r.name})`, r.stage, cell(r.help)]));
}

export async function dropReasonSections() {
  const where = raisedIn();
  const out = [];
  let stage = '';
  for (const r of await reasons()) {
    if (r.stage !== stage) {
      stage = r.stage;
      out.push(`## ${TITLES[stage] ?? stage}\n`);
    }
    const files = [...(where.get(r.name) ?? [])].toSorted();
    const raised = files.length === 0 ? 'Nothing raises it in this version; the name is kept.' : `Raised in ${files.map(code).join(', ')}.`;
    out.push(`### <a id="${r.name}"></a>${r.name}\n`, `${r.help}\n`, `*Look at:* ${ADVICE[r.name]}\n`, `${raised}\n`);
  }
  return out.join('\n');
}
