/** `flow.timeouts` of the configuration: a profile by name, or one with values of one's own. */
import { CONNTRACK_TIMEOUTS, DEEP_SECURITY_TIMEOUTS, type FlowTimeouts } from '../../flow/index.js';

/** Name in the file, field, help. */
export const TIMEOUT_KEYS = [
  ['tcp_syn_sent', 'synSent', 'SYN without answer.'],
  ['tcp_syn_received', 'synRecv', 'SYN+ACK without the third packet.'],
  ['tcp_established', 'established', 'open connection.'],
  ['tcp_fin_wait', 'finWait', 'one FIN.'],
  ['tcp_close_wait', 'closeWait', 'one FIN, acknowledged.'],
  ['tcp_last_ack', 'lastAck', 'both FINs, the second not acknowledged.'],
  ['tcp_time_wait', 'timeWait', 'both FINs acknowledged.'],
  ['tcp_closed', 'close', 'reset.'],
  ['tcp_none', 'none', 'segments without a known connection (only where those pass).'],
  ['udp_new', 'udpNew', 'UDP without answer.'],
  ['udp_replied', 'udpReplied', 'UDP with answer.'],
  ['icmp', 'icmp', 'ICMP and ICMPv6 queries.'],
  ['other', 'other', 'other protocols.'],
] as const satisfies readonly (readonly [string, keyof FlowTimeouts, string])[];

/** 50 days, the largest that NSX takes. */
export const MAX_TIMEOUT = 4_320_000;

export type TimeoutSetting = 'deep-security' | 'conntrack' | (Readonly<Partial<Record<(typeof TIMEOUT_KEYS)[number][0], number>>> & { readonly profile?: 'deep-security' | 'conntrack' });

export function timeoutsOf(setting: TimeoutSetting): FlowTimeouts {
  const own = typeof setting === 'string' ? { profile: setting } : setting;
  const timeouts: FlowTimeouts = own.profile === 'deep-security' ? DEEP_SECURITY_TIMEOUTS : CONNTRACK_TIMEOUTS;
  if (typeof setting === 'string') return timeouts;
  return { ...timeouts, ...Object.fromEntries(TIMEOUT_KEYS.flatMap(([key, field]) => (setting[key] === undefined ? [] : [[field, setting[key]]]))) };
}
