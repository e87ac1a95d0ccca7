/**
 * What became of each received frame of the batch. A frame is settled once: forwarded when at least one copy left,
 * consumed, or dropped for one reason. Copies may leave over several flushes, so the outcome is known only at the end of
 * the batch; until then it lies in these columns, one cell per descriptor row.
 */
import { DropReason, P_CONSUMED, P_COPY_DROPS, P_FORWARDED, type Counters } from '../pipeline/index.js';

const OUTPUT_OVERFLOW = DropReason.output_overflow;

export const OUTCOME_PENDING = 0;
export const OUTCOME_CONSUMED = 1;
export const OUTCOME_DROPPED = 2;
export const OUTCOME_FORWARDED = 3;

export class BatchAccounting {
  /** OUTCOME_* of the row. */
  readonly outcome: Int32Array;
  /** Reason of a dropped row; of a forwarded one the first reason a copy was refused for. */
  readonly reason: Int32Array;
  /** VLAN the frame was switched in, 0 = none. */
  readonly vlan: Int32Array;
  private readonly sent: Int32Array;
  private readonly refused: Int32Array;

  constructor(rows: number) {
    this.outcome = new Int32Array(rows);
    this.reason = new Int32Array(rows);
    this.vlan = new Int32Array(rows);
    this.sent = new Int32Array(rows);
    this.refused = new Int32Array(rows);
  }

  begin(rows: number): void {
    this.outcome.fill(0, 0, rows);
    this.reason.fill(0, 0, rows);
    this.vlan.fill(0, 0, rows);
    this.sent.fill(0, 0, rows);
    this.refused.fill(0, 0, rows);
  }

  drop(row: number, reason: number): void {
    this.outcome[row] = OUTCOME_DROPPED;
    this.reason[row] = reason;
  }

  consume(row: number): void {
    this.outcome[row] = OUTCOME_CONSUMED;
  }

  copySent(row: number): void {
    this.sent[row]!++;
  }

  /** One destination did not get its copy. */
  copyRefused(row: number, reason: number): void {
    if (this.refused[row]!++ === 0) this.reason[row] = reason;
  }

  /** Count the final outcome of a row on its ingress port. */
  settle(row: number, port: number, counters: Counters): void {
    switch (this.outcome[row]) {
      case OUTCOME_CONSUMED:
        counters.addPort(port, P_CONSUMED, 1);
        return;
      case OUTCOME_DROPPED:
        counters.drop(port, this.reason[row]!);
        return;
      default:
        break;
    }
    if (this.sent[row]! > 0) {
      this.outcome[row] = OUTCOME_FORWARDED;
      counters.addPort(port, P_FORWARDED, 1);
      if (this.refused[row]! > 0) counters.addPort(port, P_COPY_DROPS, this.refused[row]!);
    } else {
      this.drop(row, this.reason[row] === 0 ? OUTPUT_OVERFLOW : this.reason[row]!);
      counters.drop(port, this.reason[row]!);
    }
  }
}
