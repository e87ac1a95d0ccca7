/**
 * Flow objects for the flows that need one: created on first use, found by flow id, given back when the record is freed.
 * Bounded; objects are reused, so steady traffic allocates none.
 */
import type { PacketView } from '../packet/index.js';
import { Flow } from './flow.js';
import { R_FIRST_SEC } from './flow-record.js';
import type { FlowTable } from './flow-table.js';

export class FlowPool {
  /** Objects in use. */
  active = 0;
  /** attach() calls refused because of the bound. */
  refused = 0;
  readonly #table: FlowTable;
  readonly #maxFlows: number;
  /** Flow id -> 1 + index into #flows; 0 = none. */
  readonly #index: Int32Array;
  readonly #flows: Flow[] = [];
  readonly #free: number[] = [];
  readonly #releaseHooks: ((flow: Flow) => void)[] = [];

  /**
   * Registers itself as `table.onFree`.
   * @param maxFlows objects alive at once, at most; flows beyond it are tracked but not inspected
   */
  constructor(table: FlowTable, maxFlows: number) {
    this.#table = table;
    this.#maxFlows = maxFlows;
    this.#index = new Int32Array(table.capacity);
    table.onFree = (flowId) => this.#release(flowId);
  }

  /** Rooms that hang state on a Flow clear it here; called in order of registration, before the object is reset. */
  onRelease(hook: (flow: Flow) => void): void {
    this.#releaseHooks.push(hook);
  }

  /** The object of a flow, or null when it never got one. */
  flowOf(flowId: number): Flow | null {
    if (flowId < 0) return null;
    const index = this.#index[flowId];
    return index === 0 ? null : this.#flows[index - 1];
  }

  /** The object of the packet's flow, made when it has none yet; null without flow or when the bound is reached. */
  attach(view: PacketView): Flow | null {
    const id = view.flowId;
    if (id < 0) return null;
    const known = this.#index[id];
    if (known !== 0) return this.#flows[known - 1];
    if (this.active >= this.#maxFlows) {
      this.refused++;
      return null;
    }
    let slot = this.#free.pop();
    if (slot === undefined) {
      slot = this.#flows.length;
      this.#flows.push(new Flow());
    }
    this.active++;
    this.#index[id] = slot + 1;
    const flow = this.#flows[slot];
    flow.id = id;
    flow.eveId = this.#table.eveId(id);
    flow.proto = this.#table.proto(id);
    flow.startSec = this.#table.word(id, R_FIRST_SEC);
    return flow;
  }

  #release(flowId: number): void {
    const index = this.#index[flowId];
    if (index === 0) return;
    const flow = this.#flows[index - 1];
    for (const hook of this.#releaseHooks) hook(flow);
    flow.reset();
    this.#index[flowId] = 0;
    this.#free.push(index - 1);
    this.active--;
  }
}
