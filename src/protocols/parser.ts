/** The contract of an application parser. Adding a protocol: one file or folder with an AppProtocol, one registry row. */
import type { Expectations, Flow } from '../flow/index.js';
import type { HttpObserver } from './http-observer.js';
import type { BufferSpec, Transaction } from './transaction.js';

/** Answer of a probe: not this protocol, more bytes needed, this protocol. */
export const PROBE_NO = -1;
export const PROBE_MORE = 0;
export const PROBE_YES = 1;

/**
 * What follows in both directions after this parser: nothing special, any protocol (CONNECT, HTTP upgrade), TLS (STARTTLS).
 * Whatever is announced, the protocol is detected by content again.
 */
export type Upgrade = '' | 'any' | 'tls';

/** Parser state of one flow, created by `AppProtocol.create` once the protocol is known. */
export interface AppParser {
  /** Set by the parser once the other protocol begins with the next byte of each direction; bytes offered then stay unconsumed. */
  readonly upgrade?: Upgrade;
  /** Set by the parser once everything that follows is encrypted: nothing more is parsed. */
  readonly encrypted?: boolean;
  /**
   * Take contiguous bytes buf[off, end) of one direction; stream offset of `off` is `position` (0 for each datagram).
   * Transactions are appended to and updated in `flow.transactions`.
   * @returns bytes consumed (the rest is offered again together with what follows), or -1 when the parser gives up
   */
  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number, position: number): number;
  /** `length` bytes are missing at stream offset `position`. @returns false when the parser cannot go on */
  gap(flow: Flow, dir: number, position: number, length: number): boolean;
  /** Tell `observer` of every HTTP exchange; only parsers of HTTP have it. */
  observe?(observer: HttpObserver): void;
  /** The direction was closed in order (FIN) or aborted. */
  close(flow: Flow, dir: number): void;
}

export interface AppProtocol {
  /** Suricata's name as in rule headers: 'http', 'tls', 'dns'. */
  readonly name: string;
  /** EVE app_proto where it differs from the rule name. */
  readonly eveName?: string;
  readonly transports: readonly ('tcp' | 'udp')[];
  /** Ports that are probed first and, for protocols without a strong signature, the only ones (detection-ports). */
  readonly ports: readonly number[];
  /** Direction whose bytes come first in this protocol; data the other way round is an anomaly. Absent = either. */
  readonly firstDir?: 0 | 1;
  /** A finished transaction is no reason for passive engines to look at the stream before a piece of the usual size is there. */
  readonly keepsPieces?: boolean;
  /**
   * Inline, what clients send is followed whatever the length of a message (stream.depth does not count): the parser keeps a
   * bounded part of it, and requests behind a long one must not go unseen.
   */
  readonly endlessToServer?: boolean;
  /** Only looked for on `ports`: the content alone says too little. */
  readonly portsOnly?: boolean;
  /**
   * Recognise the protocol by content in the first bytes of a direction (to server = from the side that opened the flow).
   * Must be cheap and say NO as early as possible. `onPort`: the flow is on one of `ports`, so that weak signs will do. PROBE_*.
   */
  probe(buf: Uint8Array, off: number, end: number, dir: number, onPort: boolean): number;
  /**
   * @param expectations where to announce connections that belong to this one
   * @param announced what the announcement of this connection carried, null when there was none
   */
  create(flow: Flow, expectations: Expectations, announced: object | null): AppParser;
  readonly buffers: readonly BufferSpec<Transaction>[];
  /** Progress numbers at which a direction is complete. */
  readonly completeToServer: number;
  readonly completeToClient: number;
  /** Application-layer events the parser can raise, as `app-layer-event` names them. */
  readonly events: readonly string[];
}
