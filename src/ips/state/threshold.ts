/** threshold and detection_filter: how often a rule may alert, or how often it has to match before it does. */
import type { PacketView } from '../../packet/packet-view.js';
import { fillKey, packetTime, type SharedState } from './shared-state.js';

export const ThresholdType = { LIMIT: 0, THRESHOLD: 1, BOTH: 2, DETECTION_FILTER: 3 } as const;

/** What a match comes to: counted only, acted upon without an alert, alerted. */
export const ThresholdOutcome = { NONE: 0, SILENT: 1, ALERT: 2 } as const;

/** Keys of thresholds and of detection filters of the same rule must differ. */
const SUB_THRESHOLD = 1;
const SUB_FILTER = 2;

export class Threshold {
  constructor(
    readonly type: number,
    readonly track: number,
    readonly count: number,
    readonly seconds: number,
  ) {}

  /** Count one match of rule `sid` and say what it comes to. A window begins with the first match and lasts `seconds`, inclusive. */
  judge(shared: SharedState, sid: number, view: PacketView): number {
    const table = shared.thresholds;
    const now = packetTime(view);
    fillKey(table, sid, this.type === ThresholdType.DETECTION_FILTER ? SUB_FILTER : SUB_THRESHOLD, this.track, view);
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
