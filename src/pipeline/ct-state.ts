/** Connection-tracking state of one packet, netfilter's words (NEW, ESTABLISHED, RELATED, INVALID). */
export const CtState = {
  /** Not tracked (ARP, non-IP, bypassed). */
  UNTRACKED: 0,
  NEW: 1,
  ESTABLISHED: 2,
  /** ICMP error or helper connection that belongs to a tracked flow. */
  RELATED: 3,
  INVALID: 4,
} as const;
export type CtState = (typeof CtState)[keyof typeof CtState];
export const CT_STATE_NAMES = ['untracked', 'new', 'established', 'related', 'invalid'] as const;
