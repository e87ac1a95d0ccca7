/** Puts datagrams together for the data plane: one reused view for the whole datagram per depth of tunnels. */
import { DefragResult, vlanZone, type Defragmenter } from '../flow/index.js';
import { MAX_TUNNEL_DEPTH, PacketView } from '../packet/index.js';

export class Fragments {
  readonly #defrag: Defragmenter;
  readonly #whole = Array.from({ length: MAX_TUNNEL_DEPTH + 1 }, () => new PacketView());

  constructor(defrag: Defragmenter) {
    this.#defrag = defrag;
  }

  /** @returns the whole datagram once `view` completes it, else null; view.reason is set when the fragment must not pass */
  add(view: PacketView): PacketView | null {
    const whole = this.#whole[view.tunnelDepth]!;
    if (this.#defrag.add(view, whole, vlanZone(view)) !== DefragResult.COMPLETE) return null;
    whole.egress = view.egress;
    whole.verdict = 0;
    whole.reason = 0;
    whole.ruleGid = 0;
    whole.ruleSid = 0;
    return whole;
  }

  /** The datagram just completed must not pass: neither may what is left of it. */
  condemn(reason: number): void {
    this.#defrag.condemn(reason);
  }
}
