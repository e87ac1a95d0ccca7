/** Matches of one packet until they are judged together: rules of higher precedence decide about the others. */
import type { Transaction } from '../protocols/index.js';

/** Matches of one packet; beyond them the rules of lowest precedence are counted and forgotten, never one that drops for one that tells. */
const CAPACITY = 1024;

export class AlertQueue {
  readonly rules = new Int32Array(CAPACITY);
  readonly transactions: (Transaction | null)[] = Array.from({ length: CAPACITY }, () => null);
  /** The match is of the stream or a transaction, so the action holds for the flow. */
  readonly flowScoped = new Uint8Array(CAPACITY);
  readonly fromStream = new Uint8Array(CAPACITY);
  count = 0;
  /** Matches beyond the capacity. */
  overflow = 0;

  /** Insert in rule order; equal rules keep the order of their matches. */
  add(rule: number, tx: Transaction | null, flowScoped: boolean, fromStream: boolean): void {
    if (this.count === CAPACITY) {
      this.overflow++;
      if (this.rules[CAPACITY - 1]! <= rule) return;
      this.count--;
    }
    let at = this.count++;
    for (; at > 0 && this.rules[at - 1]! > rule; at--) {
      this.rules[at] = this.rules[at - 1]!;
      this.transactions[at] = this.transactions[at - 1]!;
      this.flowScoped[at] = this.flowScoped[at - 1]!;
      this.fromStream[at] = this.fromStream[at - 1]!;
    }
    this.rules[at] = rule;
    this.transactions[at] = tx;
    this.flowScoped[at] = flowScoped ? 1 : 0;
    this.fromStream[at] = fromStream ? 1 : 0;
  }

  clear(): void {
    for (let i = 0; i < this.count; i++) this.transactions[i] = null;
    this.count = 0;
  }
}
