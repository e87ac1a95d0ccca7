/**
 * MAC learning table, keyed by (VLAN, MAC), bounded, in typed arrays.
 *
 * Fairness: when the table is full the oldest entry of the port that holds most entries goes, so a guest that floods
 * source addresses evicts its own and not those of its neighbours (the rule Open vSwitch uses). Entries of a port form a
 * list by last use; ageing and eviction take from its tail. Static entries (a VM's configured MAC) are in no list: they are
 * neither aged nor evicted nor moved.
 */
import { fmix32, mix32 } from '../util/index.js';

export const MAC_TABLE_SIZE_DEFAULT = 8192;
export const MAC_TABLE_SIZE_MIN = 10;
export const MAC_TABLE_SIZE_MAX = 1_000_000;
export const MAC_AGE_DEFAULT = 300;
export const MAC_AGE_MIN = 15;
export const MAC_AGE_MAX = 3600;

/** Results of `learn`. */
export const LEARN_KNOWN = 0;
export const LEARN_NEW = 1;
export const LEARN_MOVED = 2;
/** The address belongs to another port by configuration: nothing was changed. */
export const LEARN_STATIC = 3;
/** No room: the table is full of static entries. */
export const LEARN_FULL = 4;

const NONE = -1;

export interface MacTableOptions {
  /** Entries, 10..1,000,000. Default 8192. */
  readonly size?: number;
  /** Seconds a learned entry lives without use, 15..3600. Default 300. */
  readonly ageSec?: number;
  /** Hash seed; a random one keeps guests from aiming at one bucket. */
  readonly seed?: number;
}

export class MacTable {
  readonly size: number;
  readonly ageSec: number;
  /** Entries in use, static ones included. */
  count = 0;
  learned = 0;
  moved = 0;
  aged = 0;
  evicted = 0;
  /** Learning attempts refused because the address is static on another port. */
  staticConflicts = 0;
  /** Learning attempts refused because the table is full of static entries. */
  refused = 0;

  private readonly seed: number;
  private readonly mask: number;
  private readonly buckets: Int32Array;
  private readonly chain: Int32Array; // next entry of the bucket, or of the free list
  private readonly keyHi: Int32Array; // VLAN << 16 | upper 16 bits of the MAC
  private readonly keyLo: Int32Array;
  private readonly port: Int32Array;
  private readonly seen: Int32Array; //  second of last use, STATIC for static entries
  private readonly older: Int32Array;
  private readonly newer: Int32Array;
  private readonly newest: Int32Array; // per port
  private readonly oldest: Int32Array; // per port
  private readonly held: Int32Array; //  per port: learned entries
  private free: number;

  /** @param ports number of port indexes (0..ports-1) @throws RangeError */
  constructor(ports: number, options: MacTableOptions = {}) {
    const size = options.size ?? MAC_TABLE_SIZE_DEFAULT;
    const ageSec = options.ageSec ?? MAC_AGE_DEFAULT;
    if (!Number.isInteger(size) || size < MAC_TABLE_SIZE_MIN || size > MAC_TABLE_SIZE_MAX) {
      throw new RangeError(`MAC table size must be ${MAC_TABLE_SIZE_MIN} to ${MAC_TABLE_SIZE_MAX} entries, not ${size}`);
    }
    if (!(ageSec >= MAC_AGE_MIN && ageSec <= MAC_AGE_MAX)) throw new RangeError(`MAC ageing time must be ${MAC_AGE_MIN} to ${MAC_AGE_MAX} seconds, not ${ageSec}`);
    this.size = size;
    this.ageSec = ageSec;
    this.seed = (options.seed ?? 0) | 0;
    const bucketCount = 1 << (32 - Math.clz32(size));
    this.mask = bucketCount - 1;
    this.buckets = new Int32Array(bucketCount).fill(NONE);
    this.chain = new Int32Array(size);
    for (let i = 0; i < size; i++) this.chain[i] = i + 1 < size ? i + 1 : NONE;
    this.free = 0;
    this.keyHi = new Int32Array(size);
    this.keyLo = new Int32Array(size);
    this.port = new Int32Array(size);
    this.seen = new Int32Array(size);
    this.older = new Int32Array(size);
    this.newer = new Int32Array(size);
    this.newest = new Int32Array(ports).fill(NONE);
    this.oldest = new Int32Array(ports).fill(NONE);
    this.held = new Int32Array(ports);
  }

  /** Port behind which (vlan, mac) is, or -1. Does not count as use: only the station's own frames do. */
  lookup(vlan: number, macHi: number, macLo: number, nowSec: number): number {
    const e = this.find((vlan << 16) | macHi, macLo);
    if (e === NONE) return -1;
    const seen = this.seen[e]!;
    return seen !== STATIC && nowSec - seen > this.ageSec ? -1 : this.port[e]!;
  }

  /** A frame from (vlan, mac) came in by `port`. @returns LEARN_* */
  learn(vlan: number, macHi: number, macLo: number, port: number, nowSec: number): number {
    const keyHi = (vlan << 16) | macHi;
    let e = this.find(keyHi, macLo);
    if (e !== NONE) {
      if (this.port[e] === port) {
        if (this.seen[e] === nowSec || this.seen[e] === STATIC) return LEARN_KNOWN;
        this.unlink(e);
        this.link(e, port, nowSec);
        return LEARN_KNOWN;
      }
      if (this.seen[e] === STATIC) {
        this.staticConflicts++;
        return LEARN_STATIC;
      }
      this.unlink(e);
      this.link(e, port, nowSec);
      this.moved++;
      return LEARN_MOVED;
    }
    e = this.insert(keyHi, macLo);
    if (e === NONE) {
      this.refused++;
      return LEARN_FULL;
    }
    this.link(e, port, nowSec);
    this.learned++;
    return LEARN_NEW;
  }

  /** Pin (vlan, mac) to a port. @returns false when the table is full of static entries */
  addStatic(vlan: number, macHi: number, macLo: number, port: number): boolean {
    const keyHi = (vlan << 16) | macHi;
    let e = this.find(keyHi, macLo);
    if (e === NONE) e = this.insert(keyHi, macLo);
    else if (this.seen[e] !== STATIC) this.unlink(e);
    if (e === NONE) return false;
    this.port[e] = port;
    this.seen[e] = STATIC;
    return true;
  }

  /** Remove learned entries that were not used for the ageing time. Cheap: looks only at the oldest entry of each port. */
  expire(nowSec: number): number {
    let removed = 0;
    for (let p = 0; p < this.oldest.length; p++) {
      for (let e = this.oldest[p]!; e !== NONE && nowSec - this.seen[e]! > this.ageSec; e = this.oldest[p]!) {
        this.remove(e);
        removed++;
      }
    }
    this.aged += removed;
    return removed;
  }

  /** Forget what was learned on a port (link down, VLAN change). Static entries stay. */
  flushPort(port: number): number {
    let removed = 0;
    for (let e = this.oldest[port]!; e !== NONE; e = this.oldest[port]!) {
      this.remove(e);
      removed++;
    }
    return removed;
  }

  /** Remove all static entries; a new configuration adds its own. */
  clearStatic(): void {
    for (let b = 0; b < this.buckets.length; b++) {
      for (let e = this.buckets[b]!; e !== NONE; ) {
        const next = this.chain[e]!;
        if (this.seen[e] === STATIC) this.detach(e);
        e = next;
      }
    }
  }

  /** Learned entries of a port. */
  portCount(port: number): number {
    return this.held[port]!;
  }

  /** Visit every entry (control plane only). `seenSec` is -1 for static entries. */
  forEach(visit: (vlan: number, macHi: number, macLo: number, port: number, seenSec: number) => void): void {
    for (let b = 0; b < this.buckets.length; b++) {
      for (let e = this.buckets[b]!; e !== NONE; e = this.chain[e]!) {
        const hi = this.keyHi[e]!;
        visit(hi >>> 16, hi & 0xffff, this.keyLo[e]!, this.port[e]!, this.seen[e] === STATIC ? -1 : this.seen[e]!);
      }
    }
  }

  private bucketOf(keyHi: number, keyLo: number): number {
    return fmix32(mix32(mix32(this.seed, keyHi), keyLo)) & this.mask;
  }

  private find(keyHi: number, keyLo: number): number {
    let e = this.buckets[this.bucketOf(keyHi, keyLo)]!;
    while (e !== NONE && (this.keyLo[e] !== keyLo || this.keyHi[e] !== keyHi)) e = this.chain[e]!;
    return e;
  }

  /** Room for a new key, evicting if need be; the entry is in its bucket but in no port's list yet. */
  private insert(keyHi: number, keyLo: number): number {
    if (this.free === NONE && !this.evict()) return NONE;
    const e = this.free;
    this.free = this.chain[e]!;
    const bucket = this.bucketOf(keyHi, keyLo);
    this.keyHi[e] = keyHi;
    this.keyLo[e] = keyLo;
    this.chain[e] = this.buckets[bucket]!;
    this.buckets[bucket] = e;
    this.count++;
    return e;
  }

  /** Drop the oldest entry of the port with most entries. */
  private evict(): boolean {
    let fullest = 0;
    for (let p = 1; p < this.held.length; p++) if (this.held[p]! > this.held[fullest]!) fullest = p;
    const e = this.oldest[fullest]!;
    if (e === NONE) return false;
    this.remove(e);
    this.evicted++;
    return true;
  }

  private remove(e: number): void {
    this.unlink(e);
    this.detach(e);
  }

  /** Take an entry out of its bucket and free it. */
  private detach(e: number): void {
    const bucket = this.bucketOf(this.keyHi[e]!, this.keyLo[e]!);
    let at = this.buckets[bucket]!;
    if (at === e) {
      this.buckets[bucket] = this.chain[e]!;
    } else {
      while (this.chain[at] !== e) at = this.chain[at]!;
      this.chain[at] = this.chain[e]!;
    }
    this.chain[e] = this.free;
    this.free = e;
    this.count--;
  }

  /** Put an entry at the newest end of a port's list. */
  private link(e: number, port: number, nowSec: number): void {
    const head = this.newest[port]!;
    this.port[e] = port;
    this.seen[e] = nowSec;
    this.older[e] = head;
    this.newer[e] = NONE;
    if (head === NONE) this.oldest[port] = e;
    else this.newer[head] = e;
    this.newest[port] = e;
    this.held[port]!++;
  }

  private unlink(e: number): void {
    const port = this.port[e]!;
    const older = this.older[e]!;
    const newer = this.newer[e]!;
    if (older === NONE) this.oldest[port] = newer;
    else this.newer[older] = newer;
    if (newer === NONE) this.newest[port] = older;
    else this.older[newer] = older;
    this.held[port]!--;
  }
}

const STATIC = -1;
