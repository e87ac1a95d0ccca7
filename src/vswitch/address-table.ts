/**
 * Addresses the switch found on its ports: (VLAN, IP) with port and MAC, in typed arrays. What ARP, neighbour discovery and
 * DHCP say is entered here; SpoofGuard (address-guard.ts) asks whether a port may use an address. Semantics of NSX IP
 * discovery (field guide section 1): trust on first use, duplicates kept and promoted when the holder lets go.
 *
 * Bounded per port: each guarded port has 128 rows of its own, so a guest that claims address after address fills its own
 * and no neighbour's. Nothing here is evicted by traffic; refusals are counted.
 */
import { fmix32, mix32 } from '../util/index.js';

/** Addresses kept per port (NSX: up to 128 ARP-snooped addresses per vNIC). */
export const ADDRESSES_PER_PORT = 128;

/** Seen, but not trusted: beyond the number of first uses, or waiting for approval. */
export const ADDRESS_DISCOVERED = 0;
/** Trusted, because it was there first. */
export const ADDRESS_REALISED = 1;
/** Trusted, because an operator said so. Never ages. */
export const ADDRESS_APPROVED = 2;
/** Another port holds it; the oldest duplicate is promoted when that one lets go. */
export const ADDRESS_DUPLICATE = 3;
/** Outside the subnets the port is authorised for. */
export const ADDRESS_OUTSIDE = 4;
export const ADDRESS_STATES = ['discovered', 'realised', 'approved', 'duplicate', 'outside'] as const;

/** Who told of the address; bits. */
export const SOURCE_ARP = 1;
export const SOURCE_ND = 2;
export const SOURCE_DHCP = 4;
export const SOURCE_OPERATOR = 8;
export const ADDRESS_SOURCES = ['arp', 'nd', 'dhcp', 'operator'] as const;

/** Answers of `check`. */
export const CHECK_OK = 0;
export const CHECK_UNTRUSTED = 1;
export const CHECK_DUPLICATE = 2;
export const CHECK_OUTSIDE = 3;
/** The port may use the address, with another MAC. */
export const CHECK_MAC = 4;

/** How a port's addresses are judged; part of the compiled port. */
export interface AddressRules {
  /** Number of addresses trusted on first use, by family; 0 = an operator approves each. */
  readonly maxIpv4: number;
  readonly maxIpv6: number;
  /** Trusted addresses are forgotten when not seen for ageingSec; otherwise first use holds for ever. */
  readonly everyUse: boolean;
  readonly ageingSec: number;
  /** The address lies in a subnet the port may use. */
  authorises(v6: boolean, w0: number, w1: number, w2: number, w3: number): boolean;
}

/** What happened to a binding; told to the observer, never per packet. */
export type AddressEvent = 'realised' | 'discovered' | 'duplicate' | 'outside' | 'promoted' | 'released' | 'refused';

export interface AddressObserver {
  /** @param row columns by the A_* constants; -1 for `refused` (the port's rows are used up) */
  address(event: AddressEvent, table: AddressTable, row: number, port: number): void;
}

const STRIDE = 16;
/** VLAN << 1 | 1 for IPv6. */
export const A_KEY = 0;
export const A_IP = 1;
export const A_PORT = 5;
export const A_MAC_HI = 6;
export const A_MAC_LO = 7;
export const A_STATE = 8;
export const A_SOURCES = 9;
export const A_FIRST = 10;
export const A_SEEN = 11;
/** End of the DHCP lease in seconds of the switch's clock, 0 = none. */
const A_LEASE = 12;
const A_NEXT = 13; //  in the bucket, or in the free list
const A_PORT_NEXT = 14; // among the rows of the port
const NONE = -1;
/** Rows looked at per call of expire. */
const EXPIRE_ROWS = 2048;

export class AddressTable {
  /** Taken when the first port gets rules: most switches need none. */
  rows = new Int32Array(0);
  /** Rows in use. */
  count = 0;
  /** Claims that found no row, since construction. */
  refused = 0;
  duplicates = 0;
  observer: AddressObserver | null = null;
  private readonly capacity: number;
  private readonly seed: number;
  private buckets = new Int32Array(1).fill(NONE);
  private readonly head: Int32Array; //  first row of each port
  private readonly held: Int32Array; //  rows of each port
  private readonly rules: (AddressRules | null)[];
  private free = NONE;
  private fresh = 0;
  private hand = 0;

  /**
   * @param ports number of port indexes
   * @param seed random per process: guests cannot aim at one bucket
   */
  constructor(ports: number, seed: number) {
    this.capacity = ports * ADDRESSES_PER_PORT;
    this.seed = seed | 0;
    this.head = new Int32Array(ports).fill(NONE);
    this.held = new Int32Array(ports);
    this.rules = Array.from({ length: ports }, () => null);
  }

  /** Put rules in force for a port; null = it holds no addresses. What was found under other rules is judged again on its next use. */
  setRules(port: number, rules: AddressRules | null): void {
    this.rules[port] = rules;
    if (rules === null) this.flushPort(port);
    else if (this.rows.length === 0) {
      this.rows = new Int32Array(this.capacity * STRIDE);
      this.buckets = new Int32Array(2 ** Math.ceil(Math.log2(this.capacity))).fill(NONE);
    }
  }

  /** One word of a row. */
  word(row: number, column: number): number {
    return this.rows[row * STRIDE + column]!;
  }

  vlan(row: number): number {
    return this.rows[row * STRIDE + A_KEY]! >>> 1;
  }

  isV6(row: number): boolean {
    return (this.rows[row * STRIDE + A_KEY]! & 1) !== 0;
  }

  /** Port that holds the address now, -1 = none. */
  holder(vlan: number, v6: boolean, w0: number, w1: number, w2: number, w3: number): number {
    const row = this.findHolder(key(vlan, v6), w0, w1, w2, w3);
    return row === NONE ? -1 : this.rows[row * STRIDE + A_PORT]!;
  }

  /** May `port` send from this address with this MAC? Counts as use. @returns CHECK_* */
  check(port: number, vlan: number, v6: boolean, w0: number, w1: number, w2: number, w3: number, macHi: number, macLo: number, nowSec: number): number {
    const r = this.rows;
    const k = key(vlan, v6);
    const row = this.find(k, w0, w1, w2, w3, port);
    if (row === NONE) return this.findHolder(k, w0, w1, w2, w3) === NONE ? CHECK_UNTRUSTED : CHECK_DUPLICATE;
    const at = row * STRIDE;
    switch (r[at + A_STATE]) {
      case ADDRESS_REALISED:
      case ADDRESS_APPROVED:
        if (r[at + A_MAC_LO] !== macLo || r[at + A_MAC_HI] !== macHi) return CHECK_MAC;
        r[at + A_SEEN] = nowSec;
        return CHECK_OK;
      case ADDRESS_DUPLICATE:
        return CHECK_DUPLICATE;
      case ADDRESS_OUTSIDE:
        return CHECK_OUTSIDE;
      default:
        return CHECK_UNTRUSTED;
    }
  }

  /**
   * `port` was found to use an address.
   * @param leaseSec seconds the DHCP server granted, 0 = no lease
   */
  learn(port: number, vlan: number, v6: boolean, w0: number, w1: number, w2: number, w3: number, macHi: number, macLo: number, source: number, nowSec: number, leaseSec = 0): void {
    const rules = this.rules[port];
    if (rules === null || rules === undefined) return;
    const r = this.rows;
    const k = key(vlan, v6);
    let row = this.find(k, w0, w1, w2, w3, port);
    const known = row !== NONE;
    if (!known) row = this.add(port, k, w0, w1, w2, w3, nowSec);
    if (row === NONE) return;
    const at = row * STRIDE;
    r[at + A_MAC_HI] = macHi;
    r[at + A_MAC_LO] = macLo;
    r[at + A_SEEN] = nowSec;
    r[at + A_SOURCES]! |= source;
    if (leaseSec > 0) r[at + A_LEASE] = Math.min(0x7fff_ffff, nowSec + leaseSec);
    const before = known ? r[at + A_STATE]! : NONE;
    if (before === ADDRESS_REALISED || before === ADDRESS_APPROVED) return;
    // A server that leases another address takes the first one back.
    if (source === SOURCE_DHCP && !v6) this.releaseLeases(port, macHi, macLo, row);
    this.decide(row, before, 'realised');
  }

  /** The guest gave an address back (DHCPRELEASE): only what a lease gave it. */
  releaseLease(port: number, vlan: number, v6: boolean, w0: number, w1: number, w2: number, w3: number): void {
    const row = this.find(key(vlan, v6), w0, w1, w2, w3, port);
    if (row !== NONE && this.rows[row * STRIDE + A_LEASE] !== 0 && this.rows[row * STRIDE + A_STATE] !== ADDRESS_APPROVED) this.release(row);
  }

  /**
   * Operator: the port may use the address from now on, whether it was seen yet or not.
   * @returns '' or what stands against it
   */
  approve(port: number, vlan: number, v6: boolean, w0: number, w1: number, w2: number, w3: number, macHi: number, macLo: number, nowSec: number): '' | 'held' | 'full' | 'unguarded' {
    const rules = this.rules[port];
    if (rules === null || rules === undefined) return 'unguarded';
    const k = key(vlan, v6);
    const holder = this.findHolder(k, w0, w1, w2, w3);
    if (holder !== NONE && this.rows[holder * STRIDE + A_PORT] !== port) return 'held';
    let row = this.find(k, w0, w1, w2, w3, port);
    if (row === NONE) {
      row = this.add(port, k, w0, w1, w2, w3, nowSec);
      if (row === NONE) return 'full';
      this.rows[row * STRIDE + A_MAC_HI] = macHi;
      this.rows[row * STRIDE + A_MAC_LO] = macLo;
    }
    this.rows[row * STRIDE + A_STATE] = ADDRESS_APPROVED;
    this.rows[row * STRIDE + A_SOURCES]! |= SOURCE_OPERATOR;
    return '';
  }

  /** Operator: forget the address on this port. @returns false when it is not there */
  revoke(port: number, vlan: number, v6: boolean, w0: number, w1: number, w2: number, w3: number): boolean {
    const row = this.find(key(vlan, v6), w0, w1, w2, w3, port);
    if (row === NONE) return false;
    this.release(row);
    return true;
  }

  /** The port went down: what was found on it goes, what an operator approved stays. */
  flushPort(port: number): void {
    for (let row = this.head[port]!; row !== NONE; ) {
      const next = this.rows[row * STRIDE + A_PORT_NEXT]!;
      if (this.rules[port] === null || this.rows[row * STRIDE + A_STATE] !== ADDRESS_APPROVED) this.release(row);
      row = next;
    }
  }

  /** Let go of what was not seen for the ageing time, and of leases that ran out. Looks at some rows per call. */
  expire(nowSec: number): void {
    const r = this.rows;
    const rows = Math.min(EXPIRE_ROWS, this.fresh);
    for (let i = 0; i < rows; i++) {
      const row = this.hand;
      this.hand = row + 1 < this.fresh ? row + 1 : 0;
      const at = row * STRIDE;
      const port = r[at + A_PORT]!;
      if (port < 0 || r[at + A_STATE] === ADDRESS_APPROVED) continue;
      const rules = this.rules[port] as AddressRules;
      const lease = r[at + A_LEASE]!;
      const idle = nowSec - r[at + A_SEEN]! > rules.ageingSec;
      const ages = rules.everyUse || r[at + A_STATE] !== ADDRESS_REALISED;
      if (lease !== 0 ? nowSec > lease : idle && ages) this.release(row);
    }
  }

  /** Visit every address (control plane). */
  forEach(visit: (row: number) => void): void {
    for (let row = 0; row < this.fresh; row++) if (this.rows[row * STRIDE + A_PORT]! >= 0) visit(row);
  }

  // ---- rows ----------------------------------------------------------------------------------------------------------

  /** What the rules make of a row that is not trusted. */
  private decide(row: number, before: number, realised: 'realised' | 'promoted'): void {
    const r = this.rows;
    const at = row * STRIDE;
    const port = r[at + A_PORT]!;
    const rules = this.rules[port] as AddressRules;
    const v6 = this.isV6(row);
    const w0 = r[at + A_IP]!;
    let state: number;
    if (!rules.authorises(v6, w0, r[at + A_IP + 1]!, r[at + A_IP + 2]!, r[at + A_IP + 3]!)) state = ADDRESS_OUTSIDE;
    else if (this.findHolder(r[at + A_KEY]!, w0, r[at + A_IP + 1]!, r[at + A_IP + 2]!, r[at + A_IP + 3]!) !== NONE) state = ADDRESS_DUPLICATE;
    else if ((v6 && isLinkLocal(w0)) || this.realised(port, v6) < (v6 ? rules.maxIpv6 : rules.maxIpv4)) state = ADDRESS_REALISED;
    else state = ADDRESS_DISCOVERED;
    r[at + A_STATE] = state;
    if (state === before) return;
    if (state === ADDRESS_DUPLICATE) this.duplicates++;
    this.observer?.address(state === ADDRESS_REALISED ? realised : (ADDRESS_STATES[state] as AddressEvent), this, row, port);
  }

  /** Addresses of a family that first use made trusted. Link-local ones come with the interface and do not count. */
  private realised(port: number, v6: boolean): number {
    const r = this.rows;
    let n = 0;
    for (let row = this.head[port]!; row !== NONE; row = r[row * STRIDE + A_PORT_NEXT]!) {
      const at = row * STRIDE;
      if (r[at + A_STATE] === ADDRESS_REALISED && this.isV6(row) === v6 && !(v6 && isLinkLocal(r[at + A_IP]!))) n++;
    }
    return n;
  }

  /** IPv4: a client has one lease. (DHCPv6 grants several addresses at once.) */
  private releaseLeases(port: number, macHi: number, macLo: number, except: number): void {
    const r = this.rows;
    for (let row = this.head[port]!; row !== NONE; ) {
      const at = row * STRIDE;
      const next = r[at + A_PORT_NEXT]!;
      const leased = r[at + A_LEASE] !== 0 && r[at + A_STATE] === ADDRESS_REALISED;
      if (row !== except && leased && !this.isV6(row) && r[at + A_MAC_LO] === macLo && r[at + A_MAC_HI] === macHi) this.release(row);
      row = next;
    }
  }

  private add(port: number, k: number, w0: number, w1: number, w2: number, w3: number, nowSec: number): number {
    const r = this.rows;
    let row = NONE;
    if (this.held[port]! < ADDRESSES_PER_PORT) {
      if (this.free !== NONE) {
        row = this.free;
        this.free = r[row * STRIDE + A_NEXT]!;
      } else if (this.fresh < this.capacity) row = this.fresh++;
    }
    if (row === NONE) {
      this.refused++;
      this.observer?.address('refused', this, NONE, port);
      return NONE;
    }
    const at = row * STRIDE;
    const bucket = this.bucket(k, w0, w1, w2, w3);
    r.fill(0, at, at + STRIDE);
    r[at + A_KEY] = k;
    r[at + A_IP] = w0;
    r[at + A_IP + 1] = w1;
    r[at + A_IP + 2] = w2;
    r[at + A_IP + 3] = w3;
    r[at + A_PORT] = port;
    r[at + A_FIRST] = nowSec;
    r[at + A_SEEN] = nowSec;
    r[at + A_NEXT] = this.buckets[bucket]!;
    this.buckets[bucket] = row;
    r[at + A_PORT_NEXT] = this.head[port]!;
    this.head[port] = row;
    this.held[port]!++;
    this.count++;
    return row;
  }

  /** Free a row; when it held its address the oldest duplicate takes over. */
  private release(row: number): void {
    const r = this.rows;
    const at = row * STRIDE;
    const port = r[at + A_PORT]!;
    const k = r[at + A_KEY]!;
    const [w0, w1, w2, w3] = [r[at + A_IP]!, r[at + A_IP + 1]!, r[at + A_IP + 2]!, r[at + A_IP + 3]!];
    const holder = isTrusted(r[at + A_STATE]!);
    this.observer?.address('released', this, row, port);
    this.unlink(row, this.bucket(k, w0, w1, w2, w3), port);
    if (!holder) return;
    let oldest = NONE;
    for (let e = this.buckets[this.bucket(k, w0, w1, w2, w3)]!; e !== NONE; e = r[e * STRIDE + A_NEXT]!) {
      if (!this.matches(e, k, w0, w1, w2, w3) || r[e * STRIDE + A_STATE] !== ADDRESS_DUPLICATE) continue;
      if (oldest === NONE || r[e * STRIDE + A_FIRST]! < r[oldest * STRIDE + A_FIRST]!) oldest = e;
    }
    if (oldest !== NONE) this.decide(oldest, ADDRESS_DUPLICATE, 'promoted');
  }

  private unlink(row: number, bucket: number, port: number): void {
    const r = this.rows;
    if (this.buckets[bucket] === row) this.buckets[bucket] = r[row * STRIDE + A_NEXT]!;
    else {
      let e = this.buckets[bucket]!;
      while (r[e * STRIDE + A_NEXT] !== row) e = r[e * STRIDE + A_NEXT]!;
      r[e * STRIDE + A_NEXT] = r[row * STRIDE + A_NEXT]!;
    }
    if (this.head[port] === row) this.head[port] = r[row * STRIDE + A_PORT_NEXT]!;
    else {
      let e = this.head[port]!;
      while (r[e * STRIDE + A_PORT_NEXT] !== row) e = r[e * STRIDE + A_PORT_NEXT]!;
      r[e * STRIDE + A_PORT_NEXT] = r[row * STRIDE + A_PORT_NEXT]!;
    }
    r[row * STRIDE + A_PORT] = NONE;
    r[row * STRIDE + A_NEXT] = this.free;
    this.free = row;
    this.held[port]!--;
    this.count--;
  }

  private find(k: number, w0: number, w1: number, w2: number, w3: number, port: number): number {
    const r = this.rows;
    let row = this.buckets[this.bucket(k, w0, w1, w2, w3)]!;
    while (row !== NONE && (r[row * STRIDE + A_PORT] !== port || !this.matches(row, k, w0, w1, w2, w3))) row = r[row * STRIDE + A_NEXT]!;
    return row;
  }

  /** Row of the port that is trusted with the address. There is at most one. */
  private findHolder(k: number, w0: number, w1: number, w2: number, w3: number): number {
    const r = this.rows;
    let row = this.buckets[this.bucket(k, w0, w1, w2, w3)]!;
    while (row !== NONE && !(isTrusted(r[row * STRIDE + A_STATE]!) && this.matches(row, k, w0, w1, w2, w3))) row = r[row * STRIDE + A_NEXT]!;
    return row;
  }

  private matches(row: number, k: number, w0: number, w1: number, w2: number, w3: number): boolean {
    const r = this.rows;
    const at = row * STRIDE;
    return r[at + A_IP] === w0 && r[at + A_KEY] === k && r[at + A_IP + 1] === w1 && r[at + A_IP + 2] === w2 && r[at + A_IP + 3] === w3;
  }

  private bucket(k: number, w0: number, w1: number, w2: number, w3: number): number {
    return fmix32(mix32(mix32(mix32(mix32(mix32(this.seed, k), w0), w1), w2), w3)) & (this.buckets.length - 1);
  }
}

function key(vlan: number, v6: boolean): number {
  return (vlan << 1) | (v6 ? 1 : 0);
}

function isTrusted(state: number): boolean {
  return state === ADDRESS_REALISED || state === ADDRESS_APPROVED;
}

/** fe80::/10 */
function isLinkLocal(w0: number): boolean {
  return (w0 & 0xffc00000) === (0xfe800000 | 0);
}
