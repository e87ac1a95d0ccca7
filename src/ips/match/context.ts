/** What a match looks at. One object per engine, overwritten for every packet and every buffer; nothing is kept in it. */
import { PacketView } from '../../packet/packet-view.js';
import type { Flow, StreamEvents } from '../../flow/index.js';
import type { Transaction } from '../../protocols/index.js';
import type { FlowDetect } from '../state/flow-detect.js';
import type { SharedState } from '../state/shared-state.js';

/** Byte variables (byte_extract, byte_math) a rule may define. */
export const MAX_BYTE_VARS = 32;

/** Counted outcomes of matching that operators should know about. */
export class MatchCounters {
  /** A pcre reached its match limit and counted as not matching. */
  pcreLimit = 0;
  /** A chain was given up because it recursed too often. */
  recursionLimit = 0;
}

export class InspectContext {
  // ---- the packet and its flow -------------------------------------------------------------------------------
  view: PacketView = new PacketView();
  flow: Flow | null = null;
  state: FlowDetect | null = null;
  /** 0 = to server, 1 = to client. */
  dir = 0;
  tx: Transaction | null = null;
  /** Application protocol rules are judged by: the flow's, for a transaction the one that parsed it. */
  app = 0;
  /** The same as far as this packet's direction has shown it: 0 while it has not sent anything. */
  appOfDirection = 0;
  /** What connection tracking noticed about the packet; null when nobody tracks. */
  streamEvents: StreamEvents | null = null;
  /** Names of application-layer events of the packet that belong to no transaction. */
  packetEvents: readonly string[] = NO_EVENTS;

  // ---- the buffer under inspection ---------------------------------------------------------------------------
  buf: Uint8Array = EMPTY;
  /** The buffer is buf[off, off+len); chain offsets count from `off`. */
  off = 0;
  len = 0;
  /** Offset of the buffer within the whole body or stream. */
  position = 0;
  /** No more bytes will follow. */
  complete = true;
  /** End of the last match, the point relative keywords start from. */
  cursor = 0;
  /** Byte order for the `dce` option. */
  dceLittleEndian = true;

  // ---- numbers -------------------------------------------------------------------------------------------------
  /** Byte variables as two unsigned 32-bit halves, so that 8-byte values stay exact. */
  readonly varHi = new Uint32Array(MAX_BYTE_VARS);
  readonly varLo = new Uint32Array(MAX_BYTE_VARS);
  /** Last number read by `readNumber`. */
  valueHi = 0;
  valueLo = 0;

  constructor(
    readonly shared: SharedState,
    readonly counters = new MatchCounters(),
  ) {}

  setBuffer(buf: Uint8Array, off: number, len: number, position: number, complete: boolean): void {
    this.buf = buf;
    this.off = off;
    this.len = len;
    this.position = position;
    this.complete = complete;
  }

  /** Byte variable as a double (exact below 2^53). */
  variable(index: number): number {
    return this.varHi[index]! * 0x1_0000_0000 + this.varLo[index]!;
  }
}

const EMPTY = new Uint8Array(0);
const NO_EVENTS: readonly string[] = [];
