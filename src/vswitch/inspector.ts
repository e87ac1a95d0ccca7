/** What the switch asks of whoever inspects its traffic. It knows no firewall: a verdict per frame is all it needs. */
import type { PacketView } from '../packet/index.js';
import { Verdict } from '../pipeline/index.js';

/** `view.egress` of a frame that goes to several ports, or (passive ports) to none. */
export const EGRESS_MANY = -1;

export interface Inspector {
  /**
   * Judge a frame once, before it leaves. With `view.egress >= 0` both ends are judged: the outgoing side of the ingress
   * port and the incoming side of the egress port. With EGRESS_MANY only the outgoing side and the content.
   * Drop verdicts leave their DropReason in `view.reason`. Answers (RST, ICMP) are queued by the inspector itself with
   * `batch.inject` and `batch.send`.
   * @returns a Verdict; NONE, PASS and BYPASS forward the frame
   */
  inspect(view: PacketView): number;
  /**
   * Judge one copy of a flooded or multicast frame: the incoming side of `egressPort`. Called after `inspect` passed the
   * frame, once per destination; must not change the frame, which all copies share.
   * @returns a Verdict, with the reason of a drop in `view.reason`
   */
  admit(view: PacketView, egressPort: number): number;
}

/** Passes everything: a plain learning switch. For tests, benchmarks and ports whose policy switches inspection off. */
export const ALLOW_ALL: Inspector = {
  inspect: () => Verdict.PASS,
  admit: () => Verdict.PASS,
};
