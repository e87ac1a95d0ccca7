/**
 * States of a tracked flow. TCP states carry netfilter's names (they describe both ends at once, unlike the per-host
 * states of RFC 9293 figure 5); other protocols only know whether the other side has answered. All fit in four bits.
 */
export const FlowState = {
  /** TCP segments without a known beginning, and not picked up midstream: counted, not tracked. */
  NONE: 0,
  /** SYN from the originator. */
  SYN_SENT: 1,
  /** SYN from both sides: simultaneous open (RFC 9293 figure 7). */
  SYN_SENT2: 2,
  /** SYN+ACK from the responder. */
  SYN_RECV: 3,
  ESTABLISHED: 4,
  /** FIN from one side. */
  FIN_WAIT: 5,
  /** That FIN was acknowledged, the other side may still send. */
  CLOSE_WAIT: 6,
  /** FIN from both sides. */
  LAST_ACK: 7,
  /** Both FINs acknowledged. */
  TIME_WAIT: 8,
  /** RST. */
  CLOSE: 9,
  UDP_NEW: 10,
  UDP_REPLIED: 11,
  ICMP: 12,
  OTHER: 13,
} as const;
export type FlowState = (typeof FlowState)[keyof typeof FlowState];

export const FLOW_STATE_NAMES = [
  'none',
  'syn_sent',
  'syn_sent2',
  'syn_recv',
  'established',
  'fin_wait',
  'close_wait',
  'last_ack',
  'time_wait',
  'close',
  'udp_new',
  'udp_replied',
  'icmp',
  'other',
] as const;

/** A TCP handshake that is not complete. */
export function isHalfOpen(state: number): boolean {
  return state >= FlowState.SYN_SENT && state <= FlowState.SYN_RECV;
}

/** Worth least when the table is full: nobody answered yet, or both ends are done. */
export function isExpendable(state: number, answered: boolean): boolean {
  if (state >= FlowState.ICMP) return !answered;
  return state <= FlowState.SYN_RECV || (state >= FlowState.LAST_ACK && state <= FlowState.UDP_NEW);
}

/** Idle seconds after which a flow ends, by state. */
export interface FlowTimeouts {
  readonly none: number;
  readonly synSent: number;
  readonly synRecv: number;
  readonly established: number;
  readonly finWait: number;
  readonly closeWait: number;
  readonly lastAck: number;
  readonly timeWait: number;
  readonly close: number;
  readonly udpNew: number;
  readonly udpReplied: number;
  readonly icmp: number;
  readonly other: number;
}

/**
 * Deep Security's tracking timeouts. It keeps no TIME_WAIT of its own; its DISCONNECT time stands in, so that a FIN
 * retransmitted because the last ACK was lost still finds its connection.
 */
export const DEEP_SECURITY_TIMEOUTS: FlowTimeouts = {
  none: 10,
  synSent: 20,
  synRecv: 60,
  established: 3 * 3600,
  finWait: 120,
  closeWait: 120,
  lastAck: 30,
  timeWait: 60,
  close: 0,
  udpNew: 20,
  udpReplied: 20,
  icmp: 60,
  other: 60,
};

/** Linux nf_conntrack defaults. */
export const CONNTRACK_TIMEOUTS: FlowTimeouts = {
  none: 60,
  synSent: 120,
  synRecv: 60,
  established: 432_000,
  finWait: 120,
  closeWait: 60,
  lastAck: 30,
  timeWait: 120,
  close: 10,
  udpNew: 30,
  udpReplied: 120,
  icmp: 30,
  other: 600,
};

/** Timeouts as a table indexed by FlowState. */
export function timeoutTable(t: FlowTimeouts): Int32Array {
  const table = new Int32Array(16);
  table.set([t.none, t.synSent, t.synSent, t.synRecv, t.established, t.finWait, t.closeWait, t.lastAck, t.timeWait, t.close, t.udpNew, t.udpReplied, t.icmp, t.other]);
  return table;
}
