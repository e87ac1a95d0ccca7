/**
 * Reconnaissance detection: network and port scans, OS fingerprint probes and the three impossible TCP flag patterns
 * (Deep Security's five detections). Looks only at packets that open connections, belong to none, or were denied, so
 * established traffic pays nothing.
 *
 * Scans are told by what one source tries within a window, in bitmaps of hashed values (linear counting, Whang 1990):
 * - distinct host and port pairs that were denied or fit no connection;
 * - distinct ports of all attempts: a client needs few, a port scan many;
 * - distinct hosts of permitted attempts, TCP and echo only, with a threshold eight times higher: browsing looks like that.
 * Many connections to one port of one host count once. A source can be missed by being evicted under a flood of forged
 * sources; the table evicts the source with the fewest attempts first, and counts it.
 */
import { ICMP_ECHO, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_ACK, TCP_CWR, TCP_ECE, TCP_FIN, TCP_PSH, TCP_SYN, TCP_URG, type PacketView } from '../packet/index.js';
import { CtState, DropReason, isDrop } from '../pipeline/index.js';
import { fmix32, mix32 } from '../util/index.js';
import type { ReconConfig } from './model.js';

export const ReconKind = { NONE: 0, TCP_NULL: 1, TCP_SYN_FIN: 2, TCP_XMAS: 3, OS_PROBE: 4, PORT_SCAN: 5, NETWORK_SCAN: 6 } as const;
export type ReconKind = (typeof ReconKind)[keyof typeof ReconKind];
/** Stable names for events. */
export const RECON_NAMES = ['none', 'tcp_null', 'tcp_syn_fin', 'tcp_xmas', 'os_probe', 'port_scan', 'network_scan'] as const;

const WAYS = 4;
/** Row: address, window start, kinds reported, blocked until, cells set in the three bitmaps, then the bitmaps. */
const C_ADDR = 0;
const C_WINDOW = 4;
const C_REPORTED = 5;
const C_BLOCKED = 6;
const C_REFUSED_COUNT = 7;
const C_PORT_COUNT = 8;
const C_HOST_COUNT = 9;
const C_USED = 10;
const C_MAPS = 12;
const MAP_WORDS = 16;
const MAP_BITS = MAP_WORDS * 32;
const REFUSED_MAP = C_MAPS;
const PORT_MAP = C_MAPS + MAP_WORDS;
const HOST_MAP = C_MAPS + 2 * MAP_WORDS;
const STRIDE = C_MAPS + 3 * MAP_WORDS;

const PERMITTED_HOST_FACTOR = 8;
/** Ports from here on are handed out to clients (the lower of Linux's 32768 and IANA's 49152). */
const EPHEMERAL = 32768;
const ICMPV6_ECHO_REQUEST = 128;
const SWEEP_SECONDS = 10;

const OFF: ReconConfig = {
  enabled: false, scan: false, tcpNull: false, tcpSynFin: false, tcpXmas: false, osProbe: false, scanTargets: 25, windowSeconds: 60, blockSeconds: 0, allow: null,
};

export class Recon {
  /** Sources blocked now; 0 lets the data plane skip the question. */
  blockedSources = 0;
  /** Sources forgotten because the table was full. */
  evicted = 0;
  /** Sources not watched because every candidate for eviction was blocked. */
  refused = 0;
  readonly #rows: Int32Array;
  readonly #buckets: number;
  readonly #seed: number;
  #config: ReconConfig = OFF;
  /** Cells of a bitmap that are set when about `scanTargets` distinct values were entered, and eight times that. */
  #targetCells = 0;
  #hostCells = 0;
  #nextSweep = -0x80000000;

  /** @param sources watched at most, rounded up to a power of two (240 bytes each) */
  constructor(seed: number, sources = 4096) {
    let buckets = 1;
    while (buckets * WAYS < sources) buckets *= 2;
    this.#buckets = buckets;
    this.#rows = new Int32Array(buckets * WAYS * STRIDE);
    this.#seed = seed | 0;
  }

  configure(config: ReconConfig): void {
    this.#config = config;
    this.#targetCells = expectedCells(config.scanTargets);
    this.#hostCells = expectedCells(config.scanTargets * PERMITTED_HOST_FACTOR);
    if (config.enabled && config.blockSeconds > 0) return;
    for (let at = 0; at < this.#rows.length; at += STRIDE) this.#rows[at + C_BLOCKED] = 0;
    this.blockedSources = 0;
  }

  /** Is the source of the packet blocked at the packet's time? Ask only while `blockedSources` is not 0. */
  isBlocked(view: PacketView): boolean {
    if (view.tsSec >= this.#nextSweep) this.#sweep(view.tsSec);
    const row = this.#find(view.src0, view.src1, view.src2, view.src3);
    return view.ipVersion !== 0 && row >= 0 && this.#rows[row + C_BLOCKED]! > view.tsSec;
  }

  /**
   * Take note of a packet that opened a connection, belongs to none, or was denied; others are ignored.
   * @returns what the source was just found doing (each kind once per window), NONE nearly always
   */
  observe(view: PacketView, ctState: number, verdict: number): ReconKind {
    const config = this.#config;
    const denied = isDrop(verdict) || ctState === CtState.INVALID;
    if (!config.enabled || view.ipVersion === 0 || view.reason === DropReason.firewall_recon || (!denied && ctState !== CtState.NEW)) return ReconKind.NONE;
    if (config.allow !== null && (view.ipVersion === 4 ? config.allow.has4(view.src0) : config.allow.has6(view.src0, view.src1, view.src2, view.src3))) return ReconKind.NONE;
    const probe = this.#probeKind(view);
    if (probe === ReconKind.NONE && (!config.scan || isMulticast(view) || looksLikeReply(view))) return ReconKind.NONE;
    const row = this.#row(view);
    if (row < 0) return ReconKind.NONE;
    const scan = config.scan ? this.#scanKind(view, row, denied) : ReconKind.NONE;
    return this.#detect(row, probe === ReconKind.NONE ? scan : probe, view.tsSec);
  }

  #detect(row: number, kind: ReconKind, now: number): ReconKind {
    const rows = this.#rows;
    const bit = 1 << kind;
    if (kind === ReconKind.NONE || (rows[row + C_REPORTED]! & bit) !== 0) return ReconKind.NONE;
    rows[row + C_REPORTED]! |= bit;
    if (this.#config.blockSeconds > 0) {
      if (rows[row + C_BLOCKED] === 0) this.blockedSources++;
      rows[row + C_BLOCKED] = now + this.#config.blockSeconds;
    }
    return kind;
  }

  #probeKind(view: PacketView): ReconKind {
    const config = this.#config;
    if (view.l4Off < 0) return ReconKind.NONE;
    if (view.proto === PROTO_TCP) {
      const flags = view.tcpFlags & 0xff;
      if (config.tcpNull && flags === 0) return ReconKind.TCP_NULL;
      if (config.tcpSynFin && flags === (TCP_SYN | TCP_FIN)) return ReconKind.TCP_SYN_FIN;
      if (config.tcpXmas && (flags === (TCP_FIN | TCP_URG | TCP_PSH) || flags === 0xff)) return ReconKind.TCP_XMAS;
      return config.osProbe && isOsProbe(flags, view.urgPtr) ? ReconKind.OS_PROBE : ReconKind.NONE;
    }
    // Real echo requests have code 0; nmap's OS detection sends 9.
    const echo = view.proto === PROTO_ICMP && view.icmpType === ICMP_ECHO && view.icmpCode !== 0;
    return config.osProbe && echo ? ReconKind.OS_PROBE : ReconKind.NONE;
  }

  #scanKind(view: PacketView, row: number, denied: boolean): ReconKind {
    const rows = this.#rows;
    const host = mix32(mix32(mix32(mix32(this.#seed, view.dst0), view.dst1), view.dst2), view.dst3);
    const hasPort = view.l4Off >= 0 && (view.proto === PROTO_TCP || view.proto === PROTO_UDP);
    const port = hasPort ? view.dstPort : 0;
    if (hasPort && this.#mark(row, PORT_MAP, C_PORT_COUNT, fmix32(mix32(this.#seed, port))) >= this.#targetCells) return ReconKind.PORT_SCAN;
    if (denied) {
      // Rejected attempts spread over ports are a port scan, over hosts a network scan.
      const cells = this.#mark(row, REFUSED_MAP, C_REFUSED_COUNT, fmix32(mix32(host, port)));
      if (cells >= this.#targetCells) return rows[row + C_PORT_COUNT]! > this.#targetCells >> 1 ? ReconKind.PORT_SCAN : ReconKind.NETWORK_SCAN;
      return ReconKind.NONE;
    }
    if (view.proto === PROTO_UDP) return ReconKind.NONE;
    return this.#mark(row, HOST_MAP, C_HOST_COUNT, fmix32(host)) >= this.#hostCells ? ReconKind.NETWORK_SCAN : ReconKind.NONE;
  }

  /** Enter a hash into a bitmap. @returns cells set so far */
  #mark(row: number, map: number, count: number, hash: number): number {
    const rows = this.#rows;
    const bit = hash & (MAP_BITS - 1);
    const at = row + map + (bit >> 5);
    const mask = 1 << (bit & 31);
    if ((rows[at]! & mask) === 0) {
      rows[at]! |= mask;
      rows[row + count]! += 1;
    }
    return rows[row + count]!;
  }

  /** Row of the packet's source, fresh or with its window renewed; -1 = no room. */
  #row(view: PacketView): number {
    const rows = this.#rows;
    const now = view.tsSec;
    let row = this.#find(view.src0, view.src1, view.src2, view.src3);
    if (row >= 0) {
      if (now - rows[row + C_WINDOW]! >= this.#config.windowSeconds || now < rows[row + C_WINDOW]!) this.#restart(row, now);
      return row;
    }
    row = this.#victim(view, now);
    if (row < 0) {
      this.refused++;
      return row;
    }
    if (rows[row + C_USED] === 1 && now - rows[row + C_WINDOW]! < this.#config.windowSeconds) this.evicted++;
    this.#unblock(row);
    rows[row + C_USED] = 1;
    rows[row + C_ADDR] = view.src0;
    rows[row + C_ADDR + 1] = view.src1;
    rows[row + C_ADDR + 2] = view.src2;
    rows[row + C_ADDR + 3] = view.src3;
    this.#restart(row, now);
    return row;
  }

  #restart(row: number, now: number): void {
    const rows = this.#rows;
    rows[row + C_WINDOW] = now;
    rows[row + C_REPORTED] = 0;
    rows[row + C_REFUSED_COUNT] = 0;
    rows[row + C_PORT_COUNT] = 0;
    rows[row + C_HOST_COUNT] = 0;
    rows.fill(0, row + C_MAPS, row + STRIDE);
  }

  /** Free or expired row of the bucket, else the one with the fewest attempts; blocked sources stay. */
  #victim(view: PacketView, now: number): number {
    const rows = this.#rows;
    const first = this.#bucket(view.src0, view.src1, view.src2, view.src3);
    let victim = -1;
    let least = 0x7fffffff;
    for (let way = 0, row = first; way < WAYS; way++, row += STRIDE) {
      if (rows[row + C_USED] === 0) return row;
      if (rows[row + C_BLOCKED]! > now) continue;
      const expired = now - rows[row + C_WINDOW]! >= this.#config.windowSeconds;
      const attempts = expired ? -1 : rows[row + C_REFUSED_COUNT]! + rows[row + C_PORT_COUNT]! + rows[row + C_HOST_COUNT]!;
      if (attempts < least) {
        least = attempts;
        victim = row;
      }
    }
    return victim;
  }

  #find(w0: number, w1: number, w2: number, w3: number): number {
    const rows = this.#rows;
    for (let way = 0, row = this.#bucket(w0, w1, w2, w3); way < WAYS; way++, row += STRIDE) {
      if (rows[row + C_USED] === 1 && rows[row] === w0 && rows[row + 1] === w1 && rows[row + 2] === w2 && rows[row + 3] === w3) return row;
    }
    return -1;
  }

  #bucket(w0: number, w1: number, w2: number, w3: number): number {
    return (fmix32(mix32(mix32(mix32(mix32(this.#seed, w0), w1), w2), w3)) & (this.#buckets - 1)) * WAYS * STRIDE;
  }

  /** Lift the blocks that are over, so that `blockedSources` comes back to 0. */
  #sweep(now: number): void {
    this.#nextSweep = now + SWEEP_SECONDS;
    for (let row = 0; row < this.#rows.length; row += STRIDE) {
      if (this.#rows[row + C_BLOCKED] !== 0 && this.#rows[row + C_BLOCKED]! <= now) this.#unblock(row);
    }
  }

  #unblock(row: number): void {
    if (this.#rows[row + C_BLOCKED] === 0) return;
    this.#rows[row + C_BLOCKED] = 0;
    this.blockedSources--;
  }
}

/** Cells of a bitmap that n distinct random values set on average, rounded up. */
function expectedCells(n: number): number {
  return Math.ceil(MAP_BITS * (1 - Math.exp(-n / MAP_BITS)));
}

/** TCP segments that only fingerprinting tools send: nmap's T3 and its ECN probe (urgent pointer without URG). */
function isOsProbe(flags: number, urgPtr: number): boolean {
  if (flags === (TCP_SYN | TCP_FIN | TCP_PSH | TCP_URG)) return true;
  return flags === (TCP_SYN | TCP_ECE | TCP_CWR) && urgPtr !== 0;
}

/**
 * A late answer whose flow is forgotten goes from a service to a client port; counting those would have name servers
 * blocked. Only opening TCP segments are never answers.
 */
function looksLikeReply(view: PacketView): boolean {
  if (view.l4Off < 0) return true;
  if (view.proto === PROTO_TCP) {
    if ((view.tcpFlags & (TCP_SYN | TCP_ACK)) === TCP_SYN) return false;
    return view.srcPort < view.dstPort && view.dstPort >= EPHEMERAL;
  }
  if (view.proto === PROTO_UDP) return view.srcPort < EPHEMERAL && view.dstPort >= EPHEMERAL;
  if (view.proto === PROTO_ICMP) return view.icmpType !== ICMP_ECHO;
  return view.proto === PROTO_ICMPV6 && view.icmpType !== ICMPV6_ECHO_REQUEST;
}

function isMulticast(view: PacketView): boolean {
  return view.ipVersion === 4 ? view.dst0 >>> 28 === 14 || view.dst0 === -1 : view.dst0 >>> 24 === 0xff;
}
