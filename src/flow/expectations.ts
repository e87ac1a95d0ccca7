/**
 * Connections that another one announced: FTP's data connections, TFTP's answers from a new port. The parser of the control
 * connection says which end will open one to which port. Connection tracking then calls its first packets RELATED, and its
 * first bytes are given to the announced protocol. Bounded and short-lived; each announcement opens one connection.
 *
 * Both ends are those of the control connection, whatever addresses a command or reply names: nobody can point the appliance
 * at a third host (FTP bounce), nor at a privileged port of the peer.
 */
import type { PacketView } from '../packet/index.js';
import { fmix32, mix32 } from '../util/index.js';
import { vlanZone } from './flow-key.js';

/** Announcements kept; the oldest gives way. */
const LIMIT = 4096;
/** Seconds an announcement holds (Suricata: 30; netfilter: up to 300). */
const LIFETIME = 30;
const BUCKETS = 1024;
/** Services live below; a data connection to one of them is a trick (RFC 2577 section 3). */
const FIRST_UNPRIVILEGED = 1024;

/** What may open a connection that no rule allows. */
export const HELPERS = ['ftp-passive', 'ftp-active', 'tftp'] as const;
export type Helper = (typeof HELPERS)[number];

export interface Expected {
  /** Name of the protocol in the registry. */
  readonly protocol: string;
  /** Whatever the announced protocol's parser wants to know. */
  readonly detail: object;
}

class Entry {
  readonly from = new Int32Array(4);
  readonly to = new Int32Array(4);
  zone = 0;
  proto = 0;
  port = 0;
  until = 0;
  expected: Expected | null = null;
  /** Connection tracking may still admit its connection. */
  opens = false;
}

export class Expectations {
  /** Announcements that gave way to newer ones. */
  evicted = 0;
  /** Connections that were admitted because they were announced. */
  opened = 0;
  readonly #helpers: ReadonlySet<Helper>;
  readonly #buckets: (Entry[] | undefined)[] = Array.from({ length: BUCKETS }, () => undefined);
  /** In order of announcement; those taken or replaced are gone from their bucket. */
  readonly #order: Entry[] = [];
  #size = 0;
  // Ends of the flow in hand.
  readonly #client = new Int32Array(4);
  readonly #server = new Int32Array(4);
  #clientPort = 0;
  #proto = 0;
  #zone = 0;
  #now = 0;

  /** @param helpers what may open connections that no rule allows; others are only recognised */
  constructor(helpers: Iterable<Helper> = HELPERS) {
    this.#helpers = new Set(helpers);
  }

  /** Announcements in force, or not noticed yet that they are over. */
  get size(): number {
    return this.#size;
  }

  /** Parsers speak about the flow of this packet from here on. */
  aim(view: PacketView): void {
    const source = view.flowDir === 0 ? this.#client : this.#server;
    const destination = view.flowDir === 0 ? this.#server : this.#client;
    source[0] = view.src0;
    source[1] = view.src1;
    source[2] = view.src2;
    source[3] = view.src3;
    destination[0] = view.dst0;
    destination[1] = view.dst1;
    destination[2] = view.dst2;
    destination[3] = view.dst3;
    this.#clientPort = view.flowDir === 0 ? view.srcPort : view.dstPort;
    this.#proto = view.proto;
    this.#zone = vlanZone(view);
    this.#now = view.tsSec;
  }

  /** Is the client of the flow in hand this IPv4 address? */
  clientIs(address: number): boolean {
    return this.#client[0] === (address | 0) && this.#client[1] === 0 && this.#client[2] === 0;
  }

  /** Source port of the client of the flow in hand. */
  get clientPort(): number {
    return this.#clientPort;
  }

  /** The client (or the server) of the flow in hand will open a connection to `port` of the other end. */
  announce(opener: 'client' | 'server', port: number, expected: Expected): void {
    this.#entry(opener, port).expected = expected;
  }

  /** As announce, before it is known what for: connection tracking admits it, if `helper` is switched on. */
  admit(helper: Helper, opener: 'client' | 'server', port: number): void {
    if (!this.#helpers.has(helper) || port < FIRST_UNPRIVILEGED) return;
    this.#entry(opener, port).opens = true;
  }

  /** What was announced about the connection of this packet, once. */
  take(view: PacketView): Expected | null {
    if (this.#size === 0) return null;
    this.aim(view);
    const entry = this.#find(this.#client, this.#server, view.flowDir === 0 ? view.dstPort : view.srcPort);
    if (entry === null || entry.expected === null) return null;
    const { expected } = entry;
    entry.expected = null;
    if (!entry.opens) this.#forget(entry);
    return entry.until >= view.tsSec ? expected : null;
  }

  /** May the connection that this packet would open pass as related? Allocates nothing. */
  admits(view: PacketView): boolean {
    if (this.#size === 0) return false;
    this.aim(view);
    const entry = this.#find(this.#client, this.#server, view.dstPort);
    return entry !== null && entry.opens && entry.until >= view.tsSec;
  }

  /** The connection of the packet last asked about was opened. */
  admitted(view: PacketView): void {
    this.aim(view);
    const entry = this.#find(this.#client, this.#server, view.dstPort);
    if (entry === null || !entry.opens) return;
    entry.opens = false;
    this.opened++;
    if (entry.expected === null) this.#forget(entry);
  }

  #entry(opener: 'client' | 'server', port: number): Entry {
    const [from, to] = opener === 'client' ? [this.#client, this.#server] : [this.#server, this.#client];
    const known = this.#find(from, to, port);
    if (known !== null) {
      known.until = this.#now + LIFETIME;
      return known;
    }
    if (this.#size >= LIMIT) this.#evict();
    const entry = new Entry();
    entry.from.set(from);
    entry.to.set(to);
    entry.zone = this.#zone;
    entry.proto = this.#proto;
    entry.port = port;
    entry.until = this.#now + LIFETIME;
    (this.#buckets[this.#bucket(from, to, port)] ??= []).push(entry);
    this.#order.push(entry);
    this.#size++;
    return entry;
  }

  #find(from: Int32Array, to: Int32Array, port: number): Entry | null {
    const list = this.#buckets[this.#bucket(from, to, port)];
    if (list === undefined) return null;
    for (let i = 0; i < list.length; i++) {
      const e = list[i]!;
      if (e.port === port && e.proto === this.#proto && e.zone === this.#zone && same(e.from, from) && same(e.to, to)) return e;
    }
    return null;
  }

  #bucket(from: Int32Array, to: Int32Array, port: number): number {
    return fmix32(mix32(mix32(mix32(mix32(port, from[0]!), from[3]!), to[0]!), to[3]!)) & (BUCKETS - 1);
  }

  /** Make room: those that are over (at the front, since all live equally long), at least the oldest. */
  #evict(): void {
    let gone = 0;
    while (gone < this.#order.length && (this.#size >= LIMIT || this.#order[gone]!.until < this.#now)) {
      const entry = this.#order[gone++]!;
      if (this.#unlink(entry) && entry.until >= this.#now) this.evicted++;
    }
    this.#order.splice(0, gone);
  }

  #forget(entry: Entry): void {
    this.#unlink(entry);
    if (this.#order.length > LIMIT * 2 || this.#size === 0) this.#compact();
  }

  /** @returns false when it was gone already */
  #unlink(entry: Entry): boolean {
    const list = this.#buckets[this.#bucket(entry.from, entry.to, entry.port)];
    const at = list?.indexOf(entry) ?? -1;
    if (at < 0) return false;
    list!.splice(at, 1);
    this.#size--;
    return true;
  }

  /** Forget in #order what is in no bucket any more. */
  #compact(): void {
    const live = this.#order.filter((e) => this.#buckets[this.#bucket(e.from, e.to, e.port)]?.includes(e));
    this.#order.splice(0, this.#order.length, ...live);
  }
}

function same(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
