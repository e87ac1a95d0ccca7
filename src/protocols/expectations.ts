/**
 * Connections that another one announced: FTP's data connections. The control connection's parser says which end will open
 * one to which port; the first bytes of such a connection are then given to the announced protocol. Bounded and short-lived.
 */
import type { PacketView } from '../packet/packet-view.js';

/** Announcements kept; the oldest gives way. */
const LIMIT = 4096;
/** Seconds an announcement holds (Suricata: 30). */
const LIFETIME = 30;

export interface Expected {
  /** Name of the protocol in the registry. */
  readonly protocol: string;
  /** Whatever the announced protocol's parser wants to know. */
  readonly detail: object;
}

interface Entry extends Expected {
  readonly until: number;
}

export class Expectations {
  /** Announcements that gave way to newer ones. */
  evicted = 0;
  readonly #entries = new Map<string, Entry>();
  // Ends of the flow in hand.
  readonly #client = new Int32Array(4);
  readonly #server = new Int32Array(4);
  #now = 0;

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
    this.#now = view.tsSec;
  }

  /** Is the client of the flow in hand this IPv4 address? */
  clientIs(address: number): boolean {
    return this.#client[0] === (address | 0) && this.#client[1] === 0 && this.#client[2] === 0;
  }

  /** The client (or the server) of the flow in hand will open a connection to `port` of the other end. */
  announce(opener: 'client' | 'server', port: number, expected: Expected): void {
    const [from, to] = opener === 'client' ? [this.#client, this.#server] : [this.#server, this.#client];
    if (this.#entries.size >= LIMIT) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
      this.evicted++;
    }
    this.#entries.set(keyOf(from, to, port), { ...expected, until: this.#now + LIFETIME });
  }

  /** What was announced about the connection of this packet, once. */
  take(view: PacketView): Expected | null {
    if (this.#entries.size === 0) return null;
    this.aim(view);
    const key = keyOf(this.#client, this.#server, view.flowDir === 0 ? view.dstPort : view.srcPort);
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    return entry.until >= view.tsSec ? entry : null;
  }
}

function keyOf(from: Int32Array, to: Int32Array, port: number): string {
  return `${from.join()}>${to.join()}:${port}`;
}
