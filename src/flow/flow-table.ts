/**
 * The flow table: fixed-size records in one Int32Array, found through an open-addressing index. 128 bytes per record, 8 to
 * 16 for the index, 8 for the timer wheel; everything is allocated at construction and never grows.
 *
 * An index slot holds a record number and eight bits of its hash, so that collisions are settled in the index line that
 * is in hand: a lookup costs one line of the index and one of the record. (Chains through the records were tried: at a
 * million flows every fourth lookup met a second record, which is two more cache misses.) The hash is keyed with a seed,
 * so peers cannot aim at one place. Idle flows end through a timing wheel that is only touched when a flow is made, changes to a state with a
 * shorter timeout, or falls due; refreshing a flow is one store to its record.
 *
 * When the table is full a new flow displaces an unanswered or closed flow of the switch port that holds most records, so
 * one VM's flood cannot push out its neighbours; when nothing of the sort is found in a bounded search it is refused.
 */
import type { FrameBatch, PacketView } from '../packet/index.js';
import { TimerWheel } from '../util/index.js';
import { BUDGET_PORTS, Budgets, portRow } from './budget.js';
import { FlowKey } from './flow-key.js';
import * as R from './flow-record.js';
import { FlowRecords } from './flow-records.js';
import { EndCause, PORT_UNKNOWN } from './flow-record.js';
import { rawFrameHash } from './raw-frame-hash.js';
import { CONNTRACK_TIMEOUTS, isExpendable, isHalfOpen, timeoutTable, type FlowTimeouts } from './tcp-state.js';

export interface FlowTableOptions {
  /** Records; fixed for the life of the table. */
  readonly capacity: number;
  /** Random per process; fixed in replay and tests. */
  readonly seed: number;
  readonly timeouts?: FlowTimeouts;
  /** Largest share of the table (0..1] that flows opened from one switch port may hold. Default 1: no limit of its own. */
  readonly portShare?: number;
  /** Who shares which limits. Default: every port by itself, without limits beside portShare. */
  readonly budgets?: Budgets;
  /** Called once with each large array before it is used, e.g. to advise huge pages (fewer TLB misses above some 100k flows). */
  readonly advise?: (memory: ArrayBufferView) => unknown;
}

/** Records looked at when searching one to evict, and candidates among them that are enough to choose from. */
const EVICT_SCAN = 256;
const EVICT_CANDIDATES = 8;
/** Width of the timer wheel in seconds; longer timeouts are parked and asked again. */
const WHEEL_SECONDS = 4096;
/** Below this many flows the records stay in cache and the touch pass costs more than it saves. */
const TOUCH_FROM = 4000;

export class FlowTable extends FlowRecords {
  readonly timeouts: Int32Array;
  /** Flows in the table. */
  active = 0;
  /** Counters since construction. */
  inserted = 0;
  ended = 0;
  /** Flows not made because no record could be freed. */
  refused = 0;
  evicted = 0;
  /** Flows opened from the ports of each budget row (Budgets.row), and those of them that are half-open TCP handshakes. */
  readonly byPort = new Int32Array(BUDGET_PORTS);
  readonly halfOpenByPort = new Int32Array(BUDGET_PORTS);
  readonly budgets: Budgets;
  /** The last insert was refused because the owner's own share is used up, not because the table is. */
  overShare = false;
  /** Direction found by the last successful find: 0 = same as the record, 1 = opposite. */
  foundDir = 0;
  /**
   * The flow is about to be freed: write its event, judge its end. The record is still whole; it must not be removed or
   * re-inserted from here.
   */
  onEnd: (flowId: number, cause: EndCause) => void = ignoreEnd;
  /** Called after onEnd: rooms that keep something beside the record give it back (see FlowPool). */
  onFree: (flowId: number) => void = ignoreFree;

  /** Scratch key of the packet in hand. */
  readonly key = new FlowKey();
  readonly #seed: number;
  /** Open addressing, linear probing: EMPTY, or record number | top eight bits of its hash. */
  readonly #index: Int32Array;
  readonly #mask: number;
  /** Of the batch touched last. */
  #arena: DataView = new DataView(new ArrayBuffer(0));
  /** Scratch of touch(). */
  readonly #hashes = new Int32Array(TOUCH_MAX);
  readonly #wheel: TimerWheel;
  readonly #portLimit: number;
  /** Rows in use are below this. */
  #rows = 0;
  /** Records given back, linked by R_NEXT; -1 = none. */
  #free = -1;
  /** Records from here on were never used: their memory is not touched before it is needed. */
  #fresh = 0;
  /** Where the search for a record to evict goes on. */
  #hand = 0;

  constructor(options: FlowTableOptions) {
    const { capacity } = options;
    super(capacity);
    this.#seed = options.seed | 0;
    this.#portLimit = Math.max(1, Math.floor(capacity * (options.portShare ?? 1)));
    this.budgets = options.budgets ?? new Budgets();
    this.timeouts = timeoutTable(options.timeouts ?? CONNTRACK_TIMEOUTS);
    options.advise?.(this.records);
    // Never more than half full, so that probe sequences stay within a cache line.
    const slots = 2 ** Math.ceil(Math.log2(capacity * 2));
    this.#index = new Int32Array(slots);
    options.advise?.(this.#index);
    this.#index.fill(EMPTY);
    this.#mask = slots - 1;
    this.#wheel = new TimerWheel(capacity, WHEEL_SECONDS, (id, now) => this.#due(id, now));
  }

  // ---- lookup ----------------------------------------------------------------------------------------------------

  /**
   * Find the flow of a packet that has a complete transport header; sets view.flowId and view.flowDir.
   * @returns flow id or -1
   */
  find(view: PacketView, zone = 0): number {
    this.key.fromView(view, zone);
    const id = this.findKey();
    view.flowId = id;
    view.flowDir = id < 0 ? 0 : this.foundDir;
    return id;
  }

  /** Find the flow of `this.key`; sets foundDir. @returns flow id or -1 */
  findKey(): number {
    const r = this.records;
    const index = this.#index;
    const mask = this.#mask;
    const k = this.key;
    const { a0, b0, meta, forward, backward } = k;
    const hash = k.hash(this.#seed);
    let slot = hash & mask;
    for (let entry = index[slot]; entry !== EMPTY; slot = (slot + 1) & mask, entry = index[slot]) {
      if (((entry ^ hash) & TAG) !== 0) continue;
      const at = (entry & ID) * R.R_STRIDE;
      if (r[at + R.R_META] !== meta) continue;
      const ports = r[at + R.R_PORTS];
      if (ports === forward && r[at + R.R_A0] === a0 && r[at + R.R_B0] === b0 && this.#restMatches(at, R.R_A1, R.R_B1)) {
        this.foundDir = 0;
        return entry & ID;
      }
      if (ports === backward && r[at + R.R_A0] === b0 && r[at + R.R_B0] === a0 && this.#restMatches(at, R.R_B1, R.R_A1)) {
        this.foundDir = 1;
        return entry & ID;
      }
    }
    return -1;
  }

  /** Words 1..3 of IPv6 addresses: source at column `src`, destination at `dst`. IPv4 has none to compare. */
  #restMatches(at: number, src: number, dst: number): boolean {
    const k = this.key;
    if ((k.meta & META_V6) === 0) return true;
    const r = this.records;
    return (
      r[at + src] === k.a1 && r[at + src + 1] === k.a2 && r[at + src + 2] === k.a3 && r[at + dst] === k.b1 && r[at + dst + 1] === k.b2 && r[at + dst + 2] === k.b3
    );
  }

  /**
   * Prefetch pass over a received batch: hashes every plain Ethernet TCP/UDP frame and reads its index slot and record, so
   * that the cache misses of a batch overlap instead of queueing behind each other. A frame it does not understand costs
   * nothing but the missed prefetch. Does nothing while the table is small.
   * @param zones zone of each switch port; a tagged frame uses its outer VLAN id when the port has none (0)
   * @returns a meaningless number; reading it keeps the loads alive
   */
  touch(batch: FrameBatch, zones: Int32Array): number {
    if (this.active < TOUCH_FROM) return 0;
    const n = Math.min(batch.rxCount, TOUCH_MAX);
    const index = this.#index;
    const mask = this.#mask;
    const hashes = this.#hashes;
    let sum = 0;
    // Short loops instead of one: independent loads next to each other are what the processor can overlap.
    if (this.#arena.buffer !== batch.arena.buffer) this.#arena = new DataView(batch.arena.buffer, batch.arena.byteOffset, batch.arena.byteLength);
    for (let row = 0; row < n; row++) hashes[row] = rawFrameHash(batch, this.#arena, row, zones, this.#seed);
    for (let row = 0; row < n; row++) sum ^= index[hashes[row] & mask];
    for (let row = 0; row < n; row++) {
      const hash = hashes[row];
      let slot = hash & mask;
      let entry = index[slot];
      while (entry !== EMPTY && ((entry ^ hash) & TAG) !== 0) {
        slot = (slot + 1) & mask;
        entry = index[slot];
      }
      hashes[row] = entry === EMPTY ? 0 : (entry & ID) * R.R_STRIDE;
    }
    const r = this.records;
    for (let row = 0; row < n; row++) sum ^= r[hashes[row]];
    // The second line of a record holds the rest of an IPv6 key, and the switch ports that replies are checked against.
    for (let row = 0; row < n; row++) sum ^= r[hashes[row] + R.R_A1];
    return sum;
  }

  // ---- life of a record ------------------------------------------------------------------------------------------

  /**
   * Make a flow for `this.key` (filled by find, possibly swapped). The caller made sure that no such flow exists.
   * @param view the first packet: time and switch port
   * @param state FlowState to begin with
   * @returns flow id, or -1 when the table is full and nothing could be evicted (counted)
   */
  insert(view: PacketView, state: number): number {
    const port = portRow(view.ingress);
    const row = this.budgets.rows[port];
    if (row >= this.#rows) this.#rows = row + 1;
    const held = this.byPort[row];
    this.overShare = held >= this.#portLimit || held >= this.budgets.flows[row];
    if (this.overShare ? !this.#evictFrom(row) : this.#free < 0 && this.#fresh === this.capacity && !this.#evictFrom(this.#noisiestRow())) {
      this.refused++;
      return -1;
    }
    const r = this.records;
    let id = this.#free;
    if (id >= 0) this.#free = r[id * R.R_STRIDE + R.R_NEXT];
    else id = this.#fresh++;
    const at = id * R.R_STRIDE;
    const k = this.key;
    const hash = k.hash(this.#seed);
    let slot = hash & this.#mask;
    while (this.#index[slot] !== EMPTY) slot = (slot + 1) & this.#mask;
    this.#index[slot] = (hash & TAG) | id;
    r[at + R.R_A0] = k.a0;
    r[at + R.R_B0] = k.b0;
    r[at + R.R_PORTS] = k.forward;
    r[at + R.R_META] = k.meta;
    r[at + R.R_STATE] = state;
    r[at + R.R_LAST] = view.tsSec;
    r.fill(0, at + R.R_END_A, at + R.R_A1);
    r[at + R.R_A1] = k.a1;
    r[at + R.R_A2] = k.a2;
    r[at + R.R_A3] = k.a3;
    r[at + R.R_B1] = k.b1;
    r[at + R.R_B2] = k.b2;
    r[at + R.R_B3] = k.b3;
    r[at + R.R_HASH] = hash;
    r[at + R.R_FIRST_SEC] = view.tsSec;
    r[at + R.R_FIRST_USEC] = view.tsUsec;
    r[at + R.R_BYTES_HIGH] = 0;
    r[at + R.R_SWITCH_PORTS] = port | ((view.egress >= 0 ? view.egress : PORT_UNKNOWN) << 16);
    r[at + R.R_RULE] = -1;
    r[at + R.R_GENERATION] = 0;
    r[at + R.R_MARKS] = 0;
    this.inserted++;
    r[at + R.R_SERIAL] = this.inserted | 0;
    this.active++;
    this.byPort[row]++;
    if (isHalfOpen(state)) this.halfOpenByPort[row]++;
    this.#wheel.arm(id, view.tsSec + this.timeouts[state], view.tsSec);
    return id;
  }

  /** End a flow: onEnd, onFree, then the record is free. */
  remove(id: number, cause: EndCause): void {
    const at = id * R.R_STRIDE;
    const r = this.records;
    if (r[at + R.R_META] === 0) return;
    this.onEnd(id, cause);
    this.onFree(id);
    this.#wheel.cancel(id);
    this.#unindex(id, r[at + R.R_HASH]);
    const row = this.#rowOf(at);
    this.byPort[row]--;
    if (isHalfOpen(r[at + R.R_STATE] & R.S_STATE)) this.halfOpenByPort[row]--;
    r[at + R.R_META] = 0;
    r[at + R.R_NEXT] = this.#free;
    this.#free = id;
    this.active--;
    this.ended++;
    if (cause === EndCause.EVICTED) this.evicted++;
  }

  /** Take a record out of the index and close the hole, so that no probe sequence is cut. */
  #unindex(id: number, hash: number): void {
    const index = this.#index;
    const mask = this.#mask;
    const entry = (hash & TAG) | id;
    let hole = hash & mask;
    while (index[hole] !== entry) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; index[slot] !== EMPTY; slot = (slot + 1) & mask) {
      const home = this.records[(index[slot] & ID) * R.R_STRIDE + R.R_HASH] & mask;
      // An entry may move back only as far as its home slot.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      index[hole] = index[slot];
      hole = slot;
    }
    index[hole] = EMPTY;
  }

  /** End every flow (stop of the appliance, end of a pcap), in order of their records. */
  removeAll(cause: EndCause): void {
    for (let id = 0; id < this.capacity && this.active > 0; id++) this.remove(id, cause);
  }

  /**
   * End flows that were idle too long.
   * @param budget flows to look at, at most; the rest waits for the next call
   * @returns flows looked at
   */
  expire(nowSec: number, budget: number): number {
    return this.#wheel.advance(nowSec, budget);
  }

  #due(id: number, now: number): number {
    const at = id * R.R_STRIDE;
    const deadline = this.records[at + R.R_LAST] + this.timeouts[this.records[at + R.R_STATE] & R.S_STATE];
    if (deadline > now) return deadline;
    this.remove(id, EndCause.TIMEOUT);
    return -1;
  }

  // ---- eviction --------------------------------------------------------------------------------------------------

  /** Budget row of the port that opened the flow at record offset `at`. */
  #rowOf(at: number): number {
    return this.budgets.rows[this.records[at + R.R_SWITCH_PORTS] & 0xffff];
  }

  #noisiestRow(): number {
    let row = 0;
    for (let i = 1; i < this.#rows; i++) if (this.byPort[i] > this.byPort[row]) row = i;
    return row;
  }

  /**
   * Evict an unanswered or closed flow of a budget row: the longest idle of the first EVICT_CANDIDATES among the next
   * EVICT_SCAN records. A flood meets candidates at every step, and must not cost a whole scan per packet.
   */
  #evictFrom(row: number): boolean {
    const r = this.records;
    let victim = -1;
    let candidates = 0;
    const scan = Math.min(EVICT_SCAN, this.capacity);
    for (let i = 0; i < scan && candidates < EVICT_CANDIDATES; i++) {
      const id = this.#hand;
      this.#hand = id + 1 < this.capacity ? id + 1 : 0;
      const at = id * R.R_STRIDE;
      if (r[at + R.R_META] === 0 || !isExpendable(r[at + R.R_STATE] & R.S_STATE, r[at + R.R_PACKETS_B] !== 0) || this.#rowOf(at) !== row) continue;
      candidates++;
      if (victim < 0 || r[at + R.R_LAST] < r[victim * R.R_STRIDE + R.R_LAST]) victim = id;
    }
    if (victim < 0) return false;
    this.remove(victim, EndCause.EVICTED);
    return true;
  }

  // ---- a packet of a flow ------------------------------------------------------------------------------------------

  /** Change state; a shorter timeout takes effect at once. */
  setState(id: number, state: number, nowSec: number): void {
    const at = id * R.R_STRIDE;
    const word = this.records[at + R.R_STATE];
    const old = word & R.S_STATE;
    if (old === state) return;
    this.records[at + R.R_STATE] = (word & ~R.S_STATE) | state;
    const change = (isHalfOpen(state) ? 1 : 0) - (isHalfOpen(old) ? 1 : 0);
    if (change !== 0) this.halfOpenByPort[this.#rowOf(at)] += change;
    if (this.timeouts[state] < this.timeouts[old]) this.#wheel.arm(id, nowSec + this.timeouts[state], nowSec);
  }

  /** Count a packet of direction `dir` and refresh the flow. */
  account(id: number, dir: number, view: PacketView): void {
    const r = this.records;
    const at = id * R.R_STRIDE;
    r[at + R.R_LAST] = view.tsSec;
    const segments = view.gsoSize > 0 && view.payloadLen > view.gsoSize ? Math.ceil(view.payloadLen / view.gsoSize) : 1;
    const packets = at + R.R_PACKETS_A + dir;
    if (dir === 1 && r[packets] === 0) this.#learnPort(at, view.ingress);
    r[packets] += segments;
    const low = (r[at + R.R_BYTES_A + dir] + view.wireLen) | 0;
    if (low >>> 0 < view.wireLen) this.#carry(at, dir);
    r[at + R.R_BYTES_A + dir] = low;
  }

  #learnPort(at: number, ingress: number): void {
    this.records[at + R.R_SWITCH_PORTS] = (this.records[at + R.R_SWITCH_PORTS] & 0xffff) | (portRow(ingress) << 16);
  }

  #carry(at: number, dir: number): void {
    const high = this.records[at + R.R_BYTES_HIGH];
    this.records[at + R.R_BYTES_HIGH] = dir === 0 ? (high & ~0xffff) | ((high + 1) & 0xffff) : (high + 0x1_0000) | 0;
  }

  /** Load of the table, for metrics. Walks the index: not for the packet path. */
  statistics(): { active: number; capacity: number; slots: number; longestProbe: number; bytesPerFlow: number } {
    let longestProbe = 0;
    for (let slot = 0; slot <= this.#mask; slot++) {
      const entry = this.#index[slot];
      if (entry === EMPTY) continue;
      const home = this.records[(entry & ID) * R.R_STRIDE + R.R_HASH] & this.#mask;
      longestProbe = Math.max(longestProbe, ((slot - home) & this.#mask) + 1);
    }
    const bytes = this.records.byteLength + this.#index.byteLength + 2 * 4 * (this.capacity + WHEEL_SECONDS);
    return { active: this.active, capacity: this.capacity, slots: this.#mask + 1, longestProbe, bytesPerFlow: bytes / this.capacity };
  }
}

/** Parts of an index entry. Record numbers stay below ID, so no entry equals EMPTY. */
const ID = 0xff_ffff;
const TAG = ~ID;
const EMPTY = -1;
const META_V6 = 2 << 8;
const TOUCH_MAX = 256;

function ignoreEnd(_flowId: number, _cause: EndCause): void {}
function ignoreFree(_flowId: number): void {}
