/** What the firewall remembers between packets. Outlives policy snapshots: each new Firewall is handed the same state. */
import type { FlowTable } from '../flow/index.js';
import { ConnectionLimits } from './limits.js';
import { Timestamps } from './posture.js';
import { Recon } from './recon.js';

export class FirewallState {
  readonly flows: FlowTable;
  readonly recon: Recon;
  readonly #seed: number;
  #limits: ConnectionLimits | null = null;
  #timestamps: Timestamps | null = null;
  /**
   * Per flow: the generation that permitted it and the VMs at its ends then. The ends belong to it: the first packet of a
   * connection may have been flooded, or a VM may have moved, and then nobody asked the VM that receives the next one.
   */
  readonly #permits: Int32Array;

  /**
   * @param flows the rule that admitted a flow is noted in its record
   * @param seed random per process, for hash tables that traffic fills
   */
  constructor(flows: FlowTable, seed: number) {
    this.flows = flows;
    this.#seed = seed;
    this.recon = new Recon(seed);
    this.#permits = new Int32Array(flows.capacity * 2);
  }

  /** null until a policy with limits was loaded: without limits nothing is counted and no memory taken. */
  get limits(): ConnectionLimits | null {
    return this.#limits;
  }

  enableLimits(): ConnectionLimits {
    return (this.#limits ??= new ConnectionLimits(this.flows.capacity, this.#seed));
  }

  /** null until a policy asked for it, as `limits`. */
  get timestamps(): Timestamps | null {
    return this.#timestamps;
  }

  enableTimestamps(): Timestamps {
    return (this.#timestamps ??= new Timestamps(this.flows.capacity));
  }

  /** True when this generation has permitted the flow between these VMs (of its first packet's source and destination). */
  isPermitted(flowId: number, generation: number, srcVm: number, dstVm: number): boolean {
    return this.#permits[flowId * 2] === generation && this.#permits[flowId * 2 + 1] === vmPair(srcVm, dstVm);
  }

  /** @param ruleSid rule that admitted it, 0 = a default */
  permit(flowId: number, generation: number, srcVm: number, dstVm: number, ruleSid: number): void {
    this.#permits[flowId * 2] = generation;
    this.#permits[flowId * 2 + 1] = vmPair(srcVm, dstVm);
    this.flows.setRule(flowId, ruleSid === 0 ? -1 : ruleSid, generation);
  }

  /** The record belongs to a new flow. */
  forget(flowId: number): void {
    this.#permits[flowId * 2] = 0;
  }

  /** The flow left the flow table (call from FlowTable.onEnd). */
  closed(flowId: number): void {
    this.#limits?.close(flowId);
  }
}

/** VM indexes from -1 to 65534 in one word. */
function vmPair(srcVm: number, dstVm: number): number {
  return ((srcVm + 1) << 16) | (dstVm + 1);
}
