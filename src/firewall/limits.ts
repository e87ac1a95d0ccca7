/**
 * Connections at one time per VM and peer (Deep Security: maximum incoming from one computer, outgoing to one computer,
 * half-open from one computer). Counts live in a chained hash table with stable rows, so a flow remembers its rows and gives
 * them back when it ends. Every flow holds at most two rows: with room for two per flow the table cannot run out.
 */
import { Direction } from './model.js';
import { fmix32, mix32 } from '../util/index.js';

/** Columns of a row: VM and direction, peer address, counts, next row in the bucket (or free list). */
const STRIDE = 8;
const C_OWNER = 0;
const C_ADDR = 1;
const C_COUNT = 5;
const C_HALF_OPEN = 6;
const C_NEXT = 7;
const NONE = -1;

export class ConnectionLimits {
  /** Times a connection could not be counted because the table was full: 0 unless it is made smaller than the flow table. */
  refused = 0;
  readonly #rows: Int32Array;
  readonly #buckets: Int32Array;
  readonly #seed: number;
  #free = NONE;
  #fresh = 0;
  #used = 0;
  /** Per flow: row + 1 it counts on as incoming and as outgoing connection, 0 = none. */
  readonly #flowRows: Int32Array;
  readonly #flowHalfOpen: Uint8Array;

  /**
   * @param maxFlows flow ids are 0 to maxFlows - 1
   * @param seed random per process: peers cannot aim at one bucket
   */
  constructor(maxFlows: number, seed: number, maxRows = maxFlows * 2) {
    this.#rows = new Int32Array(maxRows * STRIDE);
    let buckets = 16;
    while (buckets < maxRows) buckets *= 2;
    this.#buckets = new Int32Array(buckets).fill(NONE);
    this.#flowRows = new Int32Array(maxFlows * 2);
    this.#flowHalfOpen = new Uint8Array(maxFlows);
    this.#seed = seed | 0;
  }

  /** Rows in use. */
  get size(): number {
    return this.#used;
  }

  /** Row of (VM, direction, peer), -1 when it has no connection. */
  find(vm: number, direction: Direction, w0: number, w1: number, w2: number, w3: number): number {
    const rows = this.#rows;
    const owner = (vm << 1) | direction;
    for (let row = this.#buckets[this.#bucket(owner, w0, w1, w2, w3)]!; row !== NONE; row = rows[row * STRIDE + C_NEXT]!) {
      const at = row * STRIDE;
      if (rows[at] === owner && rows[at + C_ADDR] === w0 && rows[at + C_ADDR + 1] === w1 && rows[at + C_ADDR + 2] === w2 && rows[at + C_ADDR + 3] === w3) return row;
    }
    return NONE;
  }

  connections(row: number): number {
    return row < 0 ? 0 : this.#rows[row * STRIDE + C_COUNT]!;
  }

  halfOpen(row: number): number {
    return row < 0 ? 0 : this.#rows[row * STRIDE + C_HALF_OPEN]!;
  }

  /** Count a new flow on (VM, direction, peer). `halfOpen`: a TCP connection whose handshake has not completed. */
  open(flowId: number, vm: number, direction: Direction, w0: number, w1: number, w2: number, w3: number, halfOpen: boolean): void {
    let row = this.find(vm, direction, w0, w1, w2, w3);
    if (row < 0) row = this.#add((vm << 1) | direction, w0, w1, w2, w3);
    if (row < 0) {
      this.refused++;
      return;
    }
    this.#rows[row * STRIDE + C_COUNT]! += 1;
    this.#flowRows[flowId * 2 + direction] = row + 1;
    if (!halfOpen) return;
    this.#rows[row * STRIDE + C_HALF_OPEN]! += 1;
    this.#flowHalfOpen[flowId] = 1;
  }

  isHalfOpen(flowId: number): boolean {
    return this.#flowHalfOpen[flowId] === 1;
  }

  /** The handshake of a half-open flow completed. Half-open connections are counted on the incoming side. */
  completed(flowId: number): void {
    if (this.#flowHalfOpen[flowId] === 0) return;
    this.#flowHalfOpen[flowId] = 0;
    const row = this.#flowRows[flowId * 2 + Direction.INCOMING]! - 1;
    if (row >= 0) this.#rows[row * STRIDE + C_HALF_OPEN]! -= 1;
  }

  /** The flow ended; harmless for flows that were never counted. */
  close(flowId: number): void {
    this.completed(flowId);
    for (let direction = 0; direction < 2; direction++) {
      const row = this.#flowRows[flowId * 2 + direction]! - 1;
      if (row < 0) continue;
      this.#flowRows[flowId * 2 + direction] = 0;
      if ((this.#rows[row * STRIDE + C_COUNT]! -= 1) === 0) this.#remove(row);
    }
  }

  #bucket(owner: number, w0: number, w1: number, w2: number, w3: number): number {
    return fmix32(mix32(mix32(mix32(mix32(mix32(this.#seed, owner), w0), w1), w2), w3)) & (this.#buckets.length - 1);
  }

  #add(owner: number, w0: number, w1: number, w2: number, w3: number): number {
    const rows = this.#rows;
    let row = this.#free;
    if (row !== NONE) this.#free = rows[row * STRIDE + C_NEXT]!;
    else if ((this.#fresh + 1) * STRIDE <= rows.length) row = this.#fresh++;
    else return NONE;
    const bucket = this.#bucket(owner, w0, w1, w2, w3);
    const at = row * STRIDE;
    rows[at + C_OWNER] = owner;
    rows[at + C_ADDR] = w0;
    rows[at + C_ADDR + 1] = w1;
    rows[at + C_ADDR + 2] = w2;
    rows[at + C_ADDR + 3] = w3;
    rows[at + C_COUNT] = 0;
    rows[at + C_HALF_OPEN] = 0;
    rows[at + C_NEXT] = this.#buckets[bucket]!;
    this.#buckets[bucket] = row;
    this.#used++;
    return row;
  }

  #remove(row: number): void {
    const rows = this.#rows;
    const at = row * STRIDE;
    const bucket = this.#bucket(rows[at]!, rows[at + C_ADDR]!, rows[at + C_ADDR + 1]!, rows[at + C_ADDR + 2]!, rows[at + C_ADDR + 3]!);
    if (this.#buckets[bucket] === row) this.#buckets[bucket] = rows[at + C_NEXT]!;
    else {
      let before = this.#buckets[bucket]!;
      while (rows[before * STRIDE + C_NEXT] !== row) before = rows[before * STRIDE + C_NEXT]!;
      rows[before * STRIDE + C_NEXT] = rows[at + C_NEXT]!;
    }
    rows[at + C_NEXT] = this.#free;
    this.#free = row;
    this.#used--;
  }
}
