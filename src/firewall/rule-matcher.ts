/** The exact test of one rule against one packet. The classifier finds candidates; this decides. */
import type { AddressSet } from './address-set.js';
import type { FirewallRule, Match } from './model.js';
import type { PacketKey } from './packet-key.js';

/** Does `rule` match, its schedule included? Direction and context were settled when the rule was compiled. */
export function ruleMatches(rule: FirewallRule, key: PacketKey): boolean {
  const { protocol, frame, tcpFlags, icmp, source, destination, schedule } = rule;
  if (protocol !== null && (key.ipVersion === 0 || protocol.set.has(key.proto) === protocol.not)) return false;
  const dport = destination.port;
  if (dport !== null && (key.dstPort < 0 || dport.set.has(key.dstPort) === dport.not)) return false;
  const sport = source.port;
  if (sport !== null && (key.srcPort < 0 || sport.set.has(key.srcPort) === sport.not)) return false;
  if (source.address !== null && !addressMatches(source.address, key.ipVersion, key.src0, key.src1, key.src2, key.src3)) return false;
  if (destination.address !== null && !addressMatches(destination.address, key.ipVersion, key.dst0, key.dst1, key.dst2, key.dst3)) return false;
  if (tcpFlags !== null && (key.tcpFlags < 0 || ((key.tcpFlags & tcpFlags.mask) === tcpFlags.value) === tcpFlags.not)) return false;
  if (icmp !== null && (key.icmp < 0 || icmp.set.has(key.icmp) === icmp.not)) return false;
  if (frame !== null && frame.set.has(key.etherType) === frame.not) return false;
  const smac = source.mac;
  if (smac !== null && smac.set.has(key.srcMacHi, key.srcMacLo) === smac.not) return false;
  const dmac = destination.mac;
  if (dmac !== null && dmac.set.has(key.dstMacHi, key.dstMacLo) === dmac.not) return false;
  return schedule === null || schedule.hours[key.hour(schedule.utcOffset)] === 1;
}

function addressMatches(match: Match<AddressSet>, version: number, w0: number, w1: number, w2: number, w3: number): boolean {
  if (version === 4) return match.set.has4(w0) !== match.not;
  if (version === 6) return match.set.has6(w0, w1, w2, w3) !== match.not;
  return false;
}
