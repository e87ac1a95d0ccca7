/**
 * Flow objects for the flows that need one: created on first use, found by flow id, given back when the record is freed, or
 * when the connection is over and only its record waits for stray packets (`settle`). Bounded; objects are reused, so steady
 * traffic allocates none.
 */
import type { PacketView } from '../packet/index.js';
import { Flow, type Uninspected } from './flow.js';
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
  /** By flow id: what reports still want to know of a settled flow, as 1 + index into #words; 0 = not settled. */
  readonly #settledApp: Uint8Array;
  readonly #settledWhy: Uint8Array;
  /** Names of application protocols and reasons: a handful. */
  readonly #words: string[] = [];
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
    this.#settledApp = new Uint8Array(table.capacity);
    this.#settledWhy = new Uint8Array(table.capacity);
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

  /** The connection is over and everything in it was judged: give the object back, the record stays. No other is made for it. */
  settle(flowId: number): void {
    const flow = this.flowOf(flowId);
    if (flow === null) return;
    const { appProto, uninspected } = flow;
    this.#giveBack(flowId);
    this.#settledApp[flowId] = this.#word(appProto);
    this.#settledWhy[flowId] = this.#word(uninspected);
  }

  isSettled(flowId: number): boolean {
    return this.#settledApp[flowId] !== 0;
  }

  /** Application protocol of a flow by EVE's name, '' when it has none. */
  appProtoOf(flowId: number): string {
    const word = this.#settledApp[flowId];
    return word === 0 ? (this.flowOf(flowId)?.appProto ?? '') : this.#words[word - 1];
  }

  /** Why the rest of a flow was not inspected. */
  uninspectedOf(flowId: number): Uninspected {
    const word = this.#settledWhy[flowId];
    return word === 0 ? (this.flowOf(flowId)?.uninspected ?? '') : (this.#words[word - 1] as Uninspected);
  }

  #word(text: string): number {
    const known = this.#words.indexOf(text);
    return known >= 0 ? known + 1 : this.#words.push(text);
  }

  #release(flowId: number): void {
    this.#settledApp[flowId] = this.#settledWhy[flowId] = 0;
    this.#giveBack(flowId);
  }

  #giveBack(flowId: number): void {
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
