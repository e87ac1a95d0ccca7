/** What the firewall remembers between packets. Outlives policy snapshots: each new Firewall is handed the same state. */
import { Verdict } from '../pipeline/index.js';
import { ConnectionLimits } from './limits.js';
import { Recon } from './recon.js';

/**
 * Per flow: the generation that last permitted it, with what verdict and by which rules. Rows are the flow table's ids.
 *
 * A row is only written for a packet that was permitted, and a flow only exists because its first packet was. So a row that
 * an earlier flow with the same id left behind cannot permit too much: if it carries the current generation, the newer flow
 * was judged by that generation as well.
 */
export class FirewallState {
  readonly generations: Int32Array;
  readonly verdicts: Uint8Array;
  /** Decision codes (classifier.ts) of the opening packet: source VM outgoing, destination VM incoming. */
  readonly outgoing: Int32Array;
  readonly incoming: Int32Array;
  readonly recon: Recon;
  readonly maxFlows: number;
  readonly #seed: number;
  #limits: ConnectionLimits | null = null;

  /**
   * @param maxFlows size of the flow table
   * @param seed random per process, for hash tables that traffic fills
   */
  constructor(maxFlows: number, seed: number) {
    this.maxFlows = maxFlows;
    this.#seed = seed;
    this.generations = new Int32Array(maxFlows);
    this.verdicts = new Uint8Array(maxFlows);
    this.outgoing = new Int32Array(maxFlows);
    this.incoming = new Int32Array(maxFlows);
    this.recon = new Recon(seed);
  }

  /** null until a policy with limits was loaded: without limits nothing is counted and no memory taken. */
  get limits(): ConnectionLimits | null {
    return this.#limits;
  }

  enableLimits(): ConnectionLimits {
    return (this.#limits ??= new ConnectionLimits(this.maxFlows, this.#seed));
  }

  permit(flowId: number, generation: number, verdict: Verdict, outgoing: number, incoming: number): void {
    this.generations[flowId] = generation;
    this.verdicts[flowId] = verdict;
    this.outgoing[flowId] = outgoing;
    this.incoming[flowId] = incoming;
  }

  /** Judge the flow again with its next packet. */
  forget(flowId: number): void {
    this.generations[flowId] = 0;
  }
}
