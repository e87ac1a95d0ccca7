/** What the firewall remembers between packets. Outlives policy snapshots: each new Firewall is handed the same state. */
import { R_GENERATION, R_STRIDE, type FlowTable } from '../flow/index.js';
import { ConnectionLimits } from './limits.js';
import { Recon } from './recon.js';

export class FirewallState {
  readonly flows: FlowTable;
  readonly recon: Recon;
  readonly #seed: number;
  #limits: ConnectionLimits | null = null;

  /**
   * @param flows the decision of a flow is kept in its record (generation and rule)
   * @param seed random per process, for hash tables that traffic fills
   */
  constructor(flows: FlowTable, seed: number) {
    this.flows = flows;
    this.#seed = seed;
    this.recon = new Recon(seed);
  }

  /** null until a policy with limits was loaded: without limits nothing is counted and no memory taken. */
  get limits(): ConnectionLimits | null {
    return this.#limits;
  }

  enableLimits(): ConnectionLimits {
    return (this.#limits ??= new ConnectionLimits(this.flows.capacity, this.#seed));
  }

  /** True when this generation has permitted the flow. */
  isPermitted(flowId: number, generation: number): boolean {
    return this.flows.records[flowId * R_STRIDE + R_GENERATION] === generation;
  }

  /** The flow left the flow table (call from FlowTable.onEnd). */
  closed(flowId: number): void {
    this.#limits?.close(flowId);
  }
}
