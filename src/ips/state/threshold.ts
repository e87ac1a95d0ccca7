/** threshold and detection_filter: how often a rule may alert, or how often it has to match before it does. */
import type { PacketView } from '../../packet/packet-view.js';
import type { SignatureInfo } from '../../pipeline/index.js';
import { fmix32, mix32 } from '../../util/index.js';
import { fillKey, packetTime, type SharedState } from './shared-state.js';

export const ThresholdType = { LIMIT: 0, THRESHOLD: 1, BOTH: 2, DETECTION_FILTER: 3 } as const;

/** What a match comes to: counted only, acted upon without an alert, alerted. */
export const ThresholdOutcome = { NONE: 0, SILENT: 1, ALERT: 2 } as const;

/** Above the fields of fillKey: a digest of what the threshold says and of the rule's gid. */
const DIGEST_SHIFT = 16;

/** Keys of thresholds and of detection filters of the same rule must differ. */
const SUB_THRESHOLD = 1;
const SUB_FILTER = 2;

export class Threshold {
  readonly #digest: number;

  constructor(
    readonly type: number,
    readonly track: number,
    readonly count: number,
    readonly seconds: number,
  ) {
    this.#digest = fmix32(mix32(mix32(type, count), seconds));
  }

  /**
   * Count one match of the rule and say what it comes to. A window begins with the first match and lasts `seconds`,
   * inclusive. Counts survive a reload of the rules as long as the threshold says the same.
   */
  judge(shared: SharedState, { gid, sid }: SignatureInfo, view: PacketView): number {
    const table = shared.thresholds;
    const now = packetTime(view);
    fillKey(table, sid, this.type === ThresholdType.DETECTION_FILTER ? SUB_FILTER : SUB_THRESHOLD, this.track, view);
    table.key[1]! ^= (this.#digest ^ gid) << DIGEST_SHIFT;
    let slot = table.find(now);
    if (slot < 0) {
      slot = table.insert(now);
      table.started[slot] = now;
      // A record lives while now <= started + seconds; the smallest step of packet time is a microsecond.
      table.expires[slot] = now + this.seconds + 5e-7;
      table.count[slot] = 0;
    }
    const seen = table.count[slot]! + 1;
    table.count[slot] = seen;
    switch (this.type) {
      case ThresholdType.LIMIT:
        return seen <= this.count ? ThresholdOutcome.ALERT : ThresholdOutcome.SILENT;
      case ThresholdType.THRESHOLD:
        if (seen < this.count) return ThresholdOutcome.NONE;
        table.count[slot] = 0;
        return ThresholdOutcome.ALERT;
      case ThresholdType.BOTH:
        if (seen < this.count) return ThresholdOutcome.NONE;
        return seen === this.count ? ThresholdOutcome.ALERT : ThresholdOutcome.SILENT;
      default:
        return seen > this.count ? ThresholdOutcome.ALERT : ThresholdOutcome.NONE;
    }
  }
}
