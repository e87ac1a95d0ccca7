/**
 * Reconnaissance detection: network and port scans, OS fingerprint probes and the three impossible TCP flag patterns (Deep
 * Security's five detections), with Snort's taxonomy of scans: one source or many, one target or many, by protocol, filtered
 * or answered. Looks only at packets that open connections, belong to none, or were denied, and at what refuses them, so
 * established traffic pays nothing.
 *
 * Scans are told by what one source tries within a window, in bitmaps of hashed values:
 * - distinct host and port pairs that were denied, refused by their host, or fit no connection;
 * - distinct ports (or IP protocols) of all attempts: a client needs few, a scan many;
 * - distinct hosts of permitted attempts, TCP and echo only, with a threshold eight times higher: browsing looks like that;
 * - refused pairs once more over a long window, for those who take their time.
 * And by what happens to one target: refused ports from many sources none of which is a scanner by itself (distributed), or
 * several scanners at once (decoys: most of the addresses are forged). Many connections to one port of one host count
 * once. A source can be missed by being evicted under a flood of forged sources; evictions are counted.
 */
import { ICMP_ECHO, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_ACK, TCP_CWR, TCP_ECE, TCP_FIN, TCP_PSH, TCP_SYN, TCP_URG, type PacketView } from '../packet/index.js';
import { CtState, DropReason, isDrop } from '../pipeline/index.js';
import { be16, fmix32, mix32 } from '../util/index.js';
import type { AddressSet } from './address-set.js';
import type { ReconConfig } from './model.js';
import { estimate, expectedCells, ScanTable, S_PINNED, S_REPORTED } from './scan-table.js';

export const ReconKind = { NONE: 0, TCP_NULL: 1, TCP_SYN_FIN: 2, TCP_XMAS: 3, OS_PROBE: 4, PORT_SCAN: 5, NETWORK_SCAN: 6, DISTRIBUTED_SCAN: 7, DECOY_SCAN: 8 } as const;
export type ReconKind = (typeof ReconKind)[keyof typeof ReconKind];
/** Stable names for events. */
export const RECON_NAMES = ['none', 'tcp_null', 'tcp_syn_fin', 'tcp_xmas', 'os_probe', 'port_scan', 'network_scan', 'distributed_scan', 'decoy_scan'] as const;

/** Bitmaps of a source: refused pairs, ports, hosts, and refused pairs over the long window. */
const REFUSED = 0;
const PORTS = 1;
const HOSTS = 2;
const SLOW = 3;
const SOURCE_MAPS = 4;
/** Own columns of a source: negative answers, open ports found, the first of them. */
const OWN_REJECTS = 0;
const OWN_OPEN = 1;
const OPEN_KEPT = 8;
const SOURCE_OWN = 2 + OPEN_KEPT;
/** Bitmaps of a target: refused ports, their sources, and sources that are scanners. */
const TARGET_PORTS = 0;
const TARGET_SOURCES = 1;
const TARGET_SCANNERS = 2;
const TARGET_MAPS = 3;
/** Own column of a target: second in which the first of a group of scanners was found. */
const OWN_GROUP = 0;
const TARGET_OWN = 1;

const PERMITTED_HOST_FACTOR = 8;
/** A target that is on the Internet hears strangers all day: it takes more to call that one scan. */
const DISTRIBUTED_FACTOR = 2;
const DISTRIBUTED_SOURCES = 5;
/** Scanners of one target, found within so many seconds, that make a scan with decoys: their probes go out in turn. */
const DECOYS = 3;
const DECOY_SECONDS = 1;
/** Ports from here on are handed out to clients (the lower of Linux's 32768 and IANA's 49152). */
const EPHEMERAL = 32768;
const ICMPV6_ECHO_REQUEST = 128;
const SWEEP_SECONDS = 10;
/** Marks an IP protocol number among port numbers. */
const PROTOCOL_SCAN = 1 << 16;

const OFF: ReconConfig = {
  enabled: false, scan: false, tcpNull: false, tcpSynFin: false, tcpXmas: false, osProbe: false, scanTargets: 25, windowSeconds: 60, slowWindowSeconds: 3600, blockSeconds: 0, allow: null, watch: null,
};

/** What an event tells about a scan; Snort's words. */
export interface ScanDetail {
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'ip';
  /** Nothing refused the probes: they were dropped, or went nowhere. */
  readonly filtered: boolean;
  /** About how many distinct ports, refused pairs and permitted hosts the source tried in the window. */
  readonly ports: number;
  readonly refused: number;
  readonly hosts: number;
  /** RST and ICMP unreachable it got. */
  readonly rejects: number;
  /** Ports that answered, at most eight. */
  readonly openPorts: readonly number[];
}

export class Recon {
  /** Sources blocked now; 0 lets the data plane skip the question. */
  blockedSources = 0;
  readonly #sources: ScanTable;
  readonly #targets: ScanTable;
  readonly #seed: number;
  #config: ReconConfig = OFF;
  /** Cells of a bitmap that are set when about `scanTargets` distinct values were entered, and multiples of that. */
  #targetCells = 0;
  #hostCells = 0;
  #distributedCells = 0;
  #nextSweep = -0x80000000;
  #slowUntil = -0x80000000;

  /** @param sources watched at most, rounded up to a power of two (336 bytes each), and a quarter as many targets */
  constructor(seed: number, sources = 4096) {
    this.#seed = seed | 0;
    this.#sources = new ScanTable(seed, sources, SOURCE_MAPS, SOURCE_OWN, 1);
    this.#targets = new ScanTable(seed ^ 0x5bd1e995, Math.max(16, sources >> 2), TARGET_MAPS, TARGET_OWN, 0);
  }

  /** Sources forgotten because the table was full. */
  get evicted(): number {
    return this.#sources.evicted;
  }

  /** Sources not watched because every candidate for eviction was blocked. */
  get refused(): number {
    return this.#sources.refused;
  }

  get watching(): boolean {
    return this.#config.enabled && this.#config.scan;
  }

  configure(config: ReconConfig): void {
    this.#config = config;
    this.#sources.windowSeconds = config.windowSeconds;
    this.#targets.windowSeconds = config.windowSeconds;
    this.#targetCells = expectedCells(config.scanTargets);
    this.#hostCells = expectedCells(config.scanTargets * PERMITTED_HOST_FACTOR);
    this.#distributedCells = expectedCells(config.scanTargets * DISTRIBUTED_FACTOR);
    if (config.enabled && config.blockSeconds > 0) return;
    this.#sources.unpin(0x7fffffff, () => undefined);
    this.blockedSources = 0;
  }

  /**
   * Block a source for another reason than a scan.
   * @param words its address, @param now and @param seconds as packet time
   * @returns false when the table has no room for it
   */
  block(words: readonly [number, number, number, number], now: number, seconds: number): boolean {
    const row = this.#sources.row(words[0], words[1], words[2], words[3], now);
    if (row < 0) return false;
    if (this.#sources.rows[row + S_PINNED] === 0) this.blockedSources++;
    this.#sources.rows[row + S_PINNED] = now + seconds;
    return true;
  }

  /** Is the source of the packet blocked at the packet's time? Ask only while `blockedSources` is not 0. */
  isBlocked(view: PacketView): boolean {
    if (view.tsSec >= this.#nextSweep) this.#sweep(view.tsSec);
    const row = this.#sources.find(view.src0, view.src1, view.src2, view.src3);
    return view.ipVersion !== 0 && row >= 0 && this.#sources.rows[row + S_PINNED]! > view.tsSec;
  }

  /**
   * Take note of a packet that opened a connection, belongs to none, or was denied; others are ignored.
   * @returns what the source was just found doing (each kind once per window), NONE nearly always
   */
  observe(view: PacketView, ctState: number, verdict: number): ReconKind {
    const config = this.#config;
    const denied = isDrop(verdict) || ctState === CtState.INVALID;
    if (!config.enabled || view.ipVersion === 0 || view.reason === DropReason.firewall_recon || (!denied && ctState !== CtState.NEW)) return ReconKind.NONE;
    if (!this.#concerns(view)) return ReconKind.NONE;
    const probe = this.#probeKind(view);
    if (probe === ReconKind.NONE && (!config.scan || isMulticast(view) || looksLikeReply(view))) return ReconKind.NONE;
    const row = this.#sources.row(view.src0, view.src1, view.src2, view.src3, view.tsSec);
    if (row < 0) return ReconKind.NONE;
    const scan = config.scan ? this.#scanKind(view, row, denied) : ReconKind.NONE;
    const found = this.#detect(row, probe === ReconKind.NONE ? scan : probe, view.tsSec);
    return config.scan ? this.#seenByTarget(view, found, scan, denied) : found;
  }

  /** A host refused an attempt of the packet's destination: TCP RST to a SYN, ICMP unreachable. Its next attempt is judged by it. */
  rejected(view: PacketView): void {
    const row = this.watching ? this.#sources.find(view.dst0, view.dst1, view.dst2, view.dst3) : -1;
    if (row < 0) return;
    this.#sources.rows[row + this.#sources.own(OWN_REJECTS)]! += 1;
    if (view.proto === PROTO_TCP) this.#refuse(row, fmix32(mix32(this.#hostHash(view.src0, view.src1, view.src2, view.src3), view.srcPort)), view.tsSec);
  }

  /** A port accepted a connection of the packet's destination. */
  accepted(view: PacketView): void {
    const row = this.watching ? this.#sources.find(view.dst0, view.dst1, view.dst2, view.dst3) : -1;
    if (row < 0) return;
    const rows = this.#sources.rows;
    const open = row + this.#sources.own(OWN_OPEN);
    const n = rows[open]!;
    for (let i = 1; i <= Math.min(n, OPEN_KEPT); i++) if (rows[open + i] === view.srcPort) return;
    rows[open] = n + 1;
    if (n < OPEN_KEPT) rows[open + 1 + n] = view.srcPort;
  }

  /** What is known of the source of a packet that was just found scanning; for events. */
  describe(view: PacketView): ScanDetail {
    const { proto } = view;
    const protocol = proto === PROTO_TCP ? 'tcp' : proto === PROTO_UDP ? 'udp' : proto === PROTO_ICMP || proto === PROTO_ICMPV6 ? 'icmp' : 'ip';
    const table = this.#sources;
    const row = table.find(view.src0, view.src1, view.src2, view.src3);
    if (row < 0) return { protocol, filtered: true, ports: 0, refused: 0, hosts: 0, rejects: 0, openPorts: [] };
    const own = (column: number): number => table.rows[row + table.own(column)]!;
    const rejects = own(OWN_REJECTS);
    const openPorts = Array.from({ length: Math.min(own(OWN_OPEN), OPEN_KEPT) }, (_, i) => own(OWN_OPEN + 1 + i)).toSorted((a, b) => a - b);
    return { protocol, filtered: rejects === 0, ports: estimate(table.cells(row, PORTS)), refused: estimate(table.cells(row, REFUSED)), hosts: estimate(table.cells(row, HOSTS)), rejects, openPorts };
  }

  #concerns(view: PacketView): boolean {
    const { allow, watch } = this.#config;
    return (allow === null || !hasSource(allow, view)) && (watch === null || hasSource(watch, view));
  }

  #detect(row: number, kind: ReconKind, now: number): ReconKind {
    const rows = this.#sources.rows;
    const bit = 1 << kind;
    if (kind === ReconKind.NONE || (rows[row + S_REPORTED]! & bit) !== 0) return ReconKind.NONE;
    rows[row + S_REPORTED]! |= bit;
    if (this.#config.blockSeconds > 0) {
      if (rows[row + S_PINNED] === 0) this.blockedSources++;
      rows[row + S_PINNED] = now + this.#config.blockSeconds;
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
    const table = this.#sources;
    const host = this.#hostHash(view.dst0, view.dst1, view.dst2, view.dst3);
    const port = portOf(view);
    const ports = port > 0 ? table.mark(row, PORTS, fmix32(mix32(this.#seed, port))) : 0;
    // After a restart of the appliance a busy client's old connections are strangers: their hosts say nothing, their ports do.
    const stray = view.proto === PROTO_TCP && (view.tcpFlags & (TCP_SYN | TCP_ACK)) !== TCP_SYN;
    if (denied) this.#refuse(row, fmix32(mix32(stray ? this.#seed : host, port)), view.tsSec);
    if (ports >= this.#targetCells) return ReconKind.PORT_SCAN;
    const refused = this.#refusedKind(row);
    if (refused !== ReconKind.NONE || denied || view.proto === PROTO_UDP) return refused;
    return table.mark(row, HOSTS, fmix32(host)) >= this.#hostCells ? ReconKind.NETWORK_SCAN : ReconKind.NONE;
  }

  /** @param pair hash of host and port */
  #refuse(row: number, pair: number, now: number): void {
    if (now >= this.#slowUntil) this.#forgetSlow(now);
    this.#sources.mark(row, SLOW, pair);
    this.#sources.mark(row, REFUSED, pair);
  }

  /** Rejected attempts spread over ports are a port scan, over hosts a network scan. */
  #refusedKind(row: number): ReconKind {
    const table = this.#sources;
    const quick = table.cells(row, REFUSED) >= this.#targetCells;
    if (!quick) {
      if (table.cells(row, SLOW) < this.#targetCells) return ReconKind.NONE;
      // Told once; it takes as many again to tell it again.
      table.clear(row, SLOW);
    }
    const ports = table.cells(row, PORTS);
    return ports > this.#targetCells >> 1 || (!quick && ports > 0) ? ReconKind.PORT_SCAN : ReconKind.NETWORK_SCAN;
  }

  /** The long window is the same for all sources: its bitmaps are emptied together. */
  #forgetSlow(now: number): void {
    if (this.#slowUntil !== -0x80000000) this.#sources.clearAll(SLOW);
    this.#slowUntil = now + this.#config.slowWindowSeconds;
  }

  /** Many sources at one target, none or all of which are scanners by themselves. */
  #seenByTarget(view: PacketView, found: ReconKind, scan: ReconKind, denied: boolean): ReconKind {
    const scanner = scan === ReconKind.PORT_SCAN;
    if (!denied && !scanner) return found;
    const table = this.#targets;
    const row = table.row(view.dst0, view.dst1, view.dst2, view.dst3, view.tsSec);
    if (row < 0) return found;
    const source = fmix32(this.#hostHash(view.src0, view.src1, view.src2, view.src3));
    if (scanner) return found === ReconKind.PORT_SCAN ? this.#scannerOf(row, source, view.tsSec) : found;
    const sources = table.mark(row, TARGET_SOURCES, source);
    const ports = table.mark(row, TARGET_PORTS, fmix32(mix32(this.#seed, portOf(view))));
    if (ports < this.#distributedCells || sources < DISTRIBUTED_SOURCES || found !== ReconKind.NONE) return found;
    return this.#report(row, ReconKind.DISTRIBUTED_SCAN) ? ReconKind.DISTRIBUTED_SCAN : found;
  }

  /** A source was just found scanning this target. */
  #scannerOf(row: number, source: number, now: number): ReconKind {
    const table = this.#targets;
    const since = row + table.own(OWN_GROUP);
    if (now - table.rows[since]! > DECOY_SECONDS) {
      table.clear(row, TARGET_SCANNERS);
      table.rows[since] = now;
    }
    return table.mark(row, TARGET_SCANNERS, source) >= DECOYS && this.#report(row, ReconKind.DECOY_SCAN) ? ReconKind.DECOY_SCAN : ReconKind.PORT_SCAN;
  }

  #report(row: number, kind: ReconKind): boolean {
    const rows = this.#targets.rows;
    if ((rows[row + S_REPORTED]! & (1 << kind)) !== 0) return false;
    rows[row + S_REPORTED]! |= 1 << kind;
    return true;
  }

  #hostHash(w0: number, w1: number, w2: number, w3: number): number {
    return mix32(mix32(mix32(mix32(this.#seed, w0), w1), w2), w3);
  }

  /** Lift the blocks that are over, so that `blockedSources` comes back to 0. */
  #sweep(now: number): void {
    this.#nextSweep = now + SWEEP_SECONDS;
    this.#sources.unpin(now, this.#unblocked);
  }

  readonly #unblocked = (): void => {
    this.blockedSources--;
  };
}

function hasSource(set: AddressSet, view: PacketView): boolean {
  return view.ipVersion === 4 ? set.has4(view.src0) : set.has6(view.src0, view.src1, view.src2, view.src3);
}

/** Destination port, or the IP protocol where there are none; 0 for ICMP. */
function portOf(view: PacketView): number {
  const { proto } = view;
  if (proto === PROTO_TCP || proto === PROTO_UDP) return view.l4Off >= 0 ? view.dstPort : view.fragment ? portOfFragment(view) : 0;
  return proto === PROTO_ICMP || proto === PROTO_ICMPV6 ? 0 : PROTOCOL_SCAN | proto;
}

/** First fragments too small for a whole header, as scanners send them, still show the ports. */
function portOfFragment(view: PacketView): number {
  const at = view.l3Off + view.ipHdrLen;
  return view.fragOff === 0 && view.ipEnd >= at + 4 ? be16(view.buf, at + 2) : 0;
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
  const { proto } = view;
  if (proto === PROTO_ICMP) return view.l4Off < 0 || view.icmpType !== ICMP_ECHO;
  if (proto === PROTO_ICMPV6) return view.l4Off < 0 || view.icmpType !== ICMPV6_ECHO_REQUEST;
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return false;
  if (view.l4Off < 0) return portOf(view) === 0;
  if (proto === PROTO_UDP) return view.srcPort < EPHEMERAL && view.dstPort >= EPHEMERAL;
  return (view.tcpFlags & (TCP_SYN | TCP_ACK)) !== TCP_SYN && view.srcPort < view.dstPort && view.dstPort >= EPHEMERAL;
}

function isMulticast(view: PacketView): boolean {
  return view.ipVersion === 4 ? view.dst0 >>> 28 === 14 || view.dst0 === -1 : view.dst0 >>> 24 === 0xff;
}
