/** Detection state objects are reused: a flow that ends hands its state to the next. */
import { FlowDetect, TxDetect } from './flow-detect.js';

/** Objects kept for reuse; beyond it they are left to the garbage collector. */
const MAX_FREE = 65_536;

export class DetectPool {
  readonly #flows: FlowDetect[] = [];
  readonly #transactions: TxDetect[] = [];

  flow(): FlowDetect {
    return this.#flows.pop() ?? new FlowDetect();
  }

  releaseFlow(state: FlowDetect): void {
    state.reset();
    if (this.#flows.length < MAX_FREE) this.#flows.push(state);
  }

  transaction(): TxDetect {
    return this.#transactions.pop() ?? new TxDetect();
  }

  releaseTransaction(state: TxDetect): void {
    state.reset();
    if (this.#transactions.length < MAX_FREE) this.#transactions.push(state);
  }
}
