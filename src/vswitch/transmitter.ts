/** The outgoing half of the switch: transmit rows of the batch, flushed and booked. */
import { D_LEN, D_STRIDE, T_DESC, T_PORT, T_STATUS, T_STRIDE, T_VLAN, type FrameBatch } from '../packet/index.js';
import { DropReason, G_INJECTED, P_TX_BYTES, P_TX_FRAMES, type Counters } from '../pipeline/index.js';
import type { BatchAccounting } from './accounting.js';
import { EMSGSIZE } from './segment.js';
import type { FrameObserver, FrameOutput } from './switch-types.js';

const OUTPUT_ERROR = DropReason.output_error;
const OUTPUT_TOO_BIG = DropReason.output_too_big;
const OUTPUT_OVERFLOW = DropReason.output_overflow;

export class Transmitter {
  private readonly batch: FrameBatch;
  private readonly counters: Counters;
  private readonly accounting: BatchAccounting;
  private readonly output: FrameOutput;
  private readonly observers: readonly FrameObserver[];

  constructor(batch: FrameBatch, counters: Counters, accounting: BatchAccounting, output: FrameOutput, observers: readonly FrameObserver[]) {
    this.batch = batch;
    this.counters = counters;
    this.accounting = accounting;
    this.output = output;
    this.observers = observers;
  }

  /** Add a transmit row, flushing a full table first. */
  queue(row: number, port: number, tag: number): void {
    if (this.batch.send(row, port, tag)) return;
    this.flush();
    if (!this.batch.send(row, port, tag)) this.accounting.copyRefused(row, OUTPUT_OVERFLOW);
  }

  /** Send what is queued and book the result of each row. */
  flush(): void {
    const { batch, counters, accounting } = this;
    const { tx, desc, txCount } = batch;
    if (txCount === 0) return;
    this.output.flush(txCount);
    for (let i = 0; i < txCount; i++) {
      const t = i * T_STRIDE;
      const row = tx[t + T_DESC]!;
      const port = tx[t + T_PORT]!;
      const status = tx[t + T_STATUS]!;
      const received = row < batch.rxCount;
      if (status === 0) {
        counters.addPort(port, P_TX_FRAMES, 1);
        counters.addPort(port, P_TX_BYTES, desc[row * D_STRIDE + D_LEN]!);
        if (received) accounting.copySent(row);
        else counters.add(G_INJECTED, 1);
      } else if (received) {
        accounting.copyRefused(row, status === EMSGSIZE ? OUTPUT_TOO_BIG : OUTPUT_ERROR);
      }
      if (this.observers.length > 0) this.observe(i, row, port, status);
    }
    batch.txCount = 0;
  }

  private observe(i: number, row: number, port: number, status: number): void {
    const vlan = row < this.batch.rxCount ? this.accounting.vlan[row]! : 0;
    for (let o = 0; o < this.observers.length; o++) this.observers[o]!.egress(this.batch, row, port, vlan, this.batch.tx[i * T_STRIDE + T_VLAN]!, status);
  }
}
