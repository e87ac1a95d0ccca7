/**
 * What is remembered about stream rules in one direction of a flow: rules whose pattern was seen but which wait for more
 * bytes, and rules that alerted, with the stream offset up to which bytes are used up for them. Bounded; the oldest row
 * gives way.
 */

const ROWS = 32;

export class StreamRows {
  readonly rules = new Int32Array(ROWS);
  /** Stream offset: waiting rows end of the data when the pattern was seen; alerted rows end of what the alert used up. */
  readonly offsets = new Float64Array(ROWS);
  readonly alerted = new Uint8Array(ROWS);
  count = 0;

  rowOf(rule: number): number {
    for (let i = 0; i < this.count; i++) if (this.rules[i] === rule) return i;
    return -1;
  }

  /** @returns true when another row had to give way */
  set(rule: number, offset: number, alerted: boolean): boolean {
    let row = this.rowOf(rule);
    let lost = false;
    if (row < 0) {
      if (this.count === ROWS) {
        this.remove(0);
        lost = true;
      }
      row = this.count++;
    }
    this.rules[row] = rule;
    this.offsets[row] = offset;
    this.alerted[row] = alerted ? 1 : 0;
    return lost;
  }

  remove(row: number): void {
    this.rules.copyWithin(row, row + 1, this.count);
    this.offsets.copyWithin(row, row + 1, this.count);
    this.alerted.copyWithin(row, row + 1, this.count);
    this.count--;
  }

  /** @param successors index in the new rule set by index in the old one, -1 = not there */
  follow(successors: Int32Array): void {
    for (let row = this.count - 1; row >= 0; row--) {
      const rule = successors[this.rules[row]!]!;
      if (rule < 0) this.remove(row);
      else this.rules[row] = rule;
    }
  }

  clear(): void {
    this.count = 0;
  }
}
