/**
 * The shared-memory counter block: one writer (the data-plane worker), any number of readers (metrics, CLI). Doubles in a
 * SharedArrayBuffer are exact up to 2^53 and aligned 8-byte loads do not tear on the platforms we run on; readers may see
 * counters of the same frame a few nanoseconds apart, never a wrong value.
 *
 * Layout: a global row, then one row per port. A port row holds the traffic counters followed by one counter per DropReason,
 * so the accounting equation received + injected = forwarded copies' frames + drops can be checked per port and in total.
 */
import { DROP_REASONS } from './drop-reason.js';

/** Columns of a port row; drop counters follow at P_DROPS + reason. */
export const P_RX_FRAMES = 0; //     frames received from the port (a GSO super-frame counts once)
export const P_RX_BYTES = 1;
export const P_RX_SEGMENTS = 2; //   wire segments: ceil(payload / gso_size) for super-frames, else 1
export const P_TX_FRAMES = 3; //     frames handed to the port (each copy of a flooded frame counts)
export const P_TX_BYTES = 4;
export const P_FORWARDED = 5; //     received frames that left through at least one port (counted on the ingress port)
export const P_CONSUMED = 6; //      received frames that were for the appliance itself (none lost, none forwarded)
export const P_COPY_DROPS = 7; //    copies of a flooded frame that one destination refused while others took it
export const P_FLOWS = 8; //         gauge: flows opened from the port (from all ports of a VM, at its first one)
export const P_HALF_OPEN = 9; //     gauge: TCP handshakes among them that are not complete
export const P_DROPS = 10; //        + reason: received frames that left through no port

/** Columns of the global row. */
export const G_BATCHES = 0;
export const G_INJECTED = 1; //      frames the appliance built itself (RST, ICMP, block pages)
export const G_FLOWS_CREATED = 2;
export const G_FLOWS_ENDED = 3;
export const G_FLOWS_ACTIVE = 4; //  gauge
export const G_FLOWS_EVICTED = 5;
export const G_ALERTS_ALLOWED = 6;
export const G_ALERTS_BLOCKED = 7;
export const G_EVENTS_LOST = 8; //   events that found the ring full (never those of a drop)
export const G_EVENT_RING_FILL = 9; // gauge, 0..1
export const G_STREAM_BYTES = 10; // gauge: reassembly memory in use
export const G_STREAM_MEMCAP = 11;
export const G_FRAGMENTS = 12; //    gauge: datagrams being put together
export const G_PCRE_LIMIT = 13; //   pcre match limit reached
export const G_NORMALISED = 14; //   differing retransmissions rewritten to what was inspected
export const G_UNINSPECTED_BYTES = 15; // payload bytes passed without inspection (depth, bypass, encrypted)
export const G_MACS = 16; //         gauge: MAC table entries
export const G_MAC_EVICTIONS = 17;
export const G_GENERATION = 18; //   policy generation in force
export const G_ANSWERS_LIMITED = 19; // refused packets not answered because of the rate limits
export const G_RULES = 20; //        gauge: IPS rules in force
export const G_RELOADS = 21; //      reloads that took effect; written by the control plane, as the next
export const G_RELOAD_FAILURES = 22; // reloads that left the old policy in force
/** Batch latency histogram: upper bounds in microseconds, one counter each, then +Inf, then the sum in microseconds. */
export const LATENCY_BOUNDS_US = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000] as const;
export const G_LATENCY = 24;
/** Web protection; counted by its stage under the same names. */
const G_WEB = G_LATENCY + LATENCY_BOUNDS_US.length + 2;
export const G_WEB_TRANSACTIONS = G_WEB;
export const G_WEB_MATCHED = G_WEB + 1;
export const G_WEB_BLOCKED = G_WEB + 2;
export const G_WEB_WOULD_BLOCK = G_WEB + 3;
export const G_WEB_EXEMPT = G_WEB + 4;
export const G_WEB_UPGRADES = G_WEB + 5;
export const G_WEB_UNPARSABLE = G_WEB + 6;
export const G_WEB_MEMCAP = G_WEB + 7;
export const G_WEB_RESPONSES_SKIPPED = G_WEB + 8;
export const G_WEB_OPEN = G_WEB + 9; //      gauge
export const G_WEB_BODY_BYTES = G_WEB + 10; // gauge
export const G_WEB_HOLDS_GIVEN_UP = G_WEB + 11;
const GLOBAL_COLUMNS = G_LATENCY + LATENCY_BOUNDS_US.length + 2 + 24;

export const PORT_COLUMNS = P_DROPS + DROP_REASONS.length;

export class Counters {
  readonly ports: number;
  readonly buffer: SharedArrayBuffer;
  readonly cells: Float64Array;

  /** @param ports number of port indexes (0..ports-1). Pass `buffer` to attach to a block made elsewhere. */
  constructor(ports: number, buffer?: SharedArrayBuffer) {
    this.ports = ports;
    const cells = GLOBAL_COLUMNS + ports * PORT_COLUMNS;
    this.buffer = buffer ?? new SharedArrayBuffer(cells * 8);
    if (this.buffer.byteLength < cells * 8) throw new RangeError(`counter block of ${this.buffer.byteLength} bytes is too small for ${ports} ports`);
    this.cells = new Float64Array(this.buffer, 0, cells);
  }

  /** First cell of a port's row. */
  portRow(port: number): number {
    return GLOBAL_COLUMNS + port * PORT_COLUMNS;
  }

  addPort(port: number, column: number, n: number): void {
    this.cells[GLOBAL_COLUMNS + port * PORT_COLUMNS + column]! += n;
  }

  setPort(port: number, column: number, value: number): void {
    this.cells[GLOBAL_COLUMNS + port * PORT_COLUMNS + column] = value;
  }

  drop(port: number, reason: number): void {
    this.cells[GLOBAL_COLUMNS + port * PORT_COLUMNS + P_DROPS + reason]! += 1;
  }

  add(column: number, n: number): void {
    this.cells[column]! += n;
  }

  set(column: number, value: number): void {
    this.cells[column] = value;
  }

  get(column: number): number {
    return this.cells[column]!;
  }

  port(port: number, column: number): number {
    return this.cells[GLOBAL_COLUMNS + port * PORT_COLUMNS + column]!;
  }

  dropped(port: number, reason: number): number {
    return this.port(port, P_DROPS + reason);
  }

  /** All drops of a port, any reason. */
  dropTotal(port: number): number {
    let n = 0;
    for (let r = 1; r < DROP_REASONS.length; r++) n += this.dropped(port, r);
    return n;
  }

  /** Received frames of a port that are neither forwarded, nor consumed, nor dropped with a reason: always 0. */
  unaccounted(port: number): number {
    return this.port(port, P_RX_FRAMES) - this.port(port, P_FORWARDED) - this.port(port, P_CONSUMED) - this.dropTotal(port);
  }

  /** Count one batch of `us` microseconds in the latency histogram. */
  latency(us: number): void {
    let i = 0;
    while (i < LATENCY_BOUNDS_US.length && us > LATENCY_BOUNDS_US[i]!) i++;
    this.cells[G_LATENCY + i]! += 1;
    this.cells[G_LATENCY + LATENCY_BOUNDS_US.length + 1]! += us;
  }
}
