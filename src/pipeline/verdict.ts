/**
 * What a stage says about a packet. Stages return verdicts; only the edge (vswitch) acts on them.
 * NONE ("no verdict yet") is a value apart from PASS: the default is applied in one place, the data plane.
 * Precedence when stages are combined is by numeric value, highest wins, except that BYPASS ends inspection at once.
 */
export const Verdict = {
  /** Not decided; the next stage goes on. */
  NONE: 0,
  /** Explicitly allowed; later stages still inspect. */
  PASS: 1,
  /** Allowed and not to be inspected further (firewall Bypass, rule `bypass`). */
  BYPASS: 2,
  /** Drop this packet. */
  DROP: 3,
  /** Drop this packet and answer: TCP RST, ICMP unreachable. */
  REJECT: 4,
  /** Drop this packet and everything that follows on its flow. */
  DROP_FLOW: 5,
  /** DROP_FLOW and answer both ends. */
  REJECT_FLOW: 6,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** True for every verdict that keeps the frame from its egress port. */
export function isDrop(verdict: number): boolean {
  return verdict >= Verdict.DROP;
}
