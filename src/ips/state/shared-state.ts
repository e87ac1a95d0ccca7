/** State that outlives flows: thresholds, xbits and hostbits. Survives a reload of the rules when the same object is handed on. */
import type { PacketView } from '../../packet/packet-view.js';
import { ExpiringTable } from './expiring-table.js';

/** What a threshold or bit is counted by. */
export const Track = { BY_SRC: 0, BY_DST: 1, BY_RULE: 2, BY_BOTH: 3, BY_FLOW: 4, PAIR: 5 } as const;

export interface SharedStateOptions {
  /** Threshold records (Suricata: detect.thresholds.hash-size). */
  readonly thresholdSlots?: number;
  /** xbits and hostbits. */
  readonly bitSlots?: number;
  /** Seed of the hashes; random per process. */
  readonly seed?: number;
}

export class SharedState {
  readonly thresholds: ExpiringTable;
  readonly bits: ExpiringTable;

  constructor(options: SharedStateOptions = {}) {
    this.thresholds = new ExpiringTable(options.thresholdSlots ?? 16_384, options.seed ?? 0);
    this.bits = new ExpiringTable(options.bitSlots ?? 16_384, (options.seed ?? 0) ^ 0x5bd1e995);
  }
}

/** Packet time in seconds with microseconds. */
export function packetTime(view: PacketView): number {
  return view.tsSec + view.tsUsec / 1e6;
}

/** Fill a table's key with an id and what is tracked. IP pairs and `by_both` are symmetric where Suricata's are. */
export function fillKey(table: ExpiringTable, id: number, sub: number, track: number, view: PacketView): void {
  const { key } = table;
  key.fill(0);
  key[0] = id;
  key[1] = (view.ipVersion << 8) | (sub << 3) | track;
  switch (track) {
    case Track.BY_SRC:
      putSource(key, 2, view);
      break;
    case Track.BY_DST:
      putDestination(key, 2, view);
      break;
    case Track.BY_BOTH:
      putSource(key, 2, view);
      putDestination(key, 6, view);
      break;
    case Track.BY_FLOW:
      key[2] = view.flowId;
      break;
    case Track.PAIR: {
      const forward = sourceFirst(view);
      if (forward) {
        putSource(key, 2, view);
        putDestination(key, 6, view);
      } else {
        putDestination(key, 2, view);
        putSource(key, 6, view);
      }
      break;
    }
    default:
      break;
  }
}

function putSource(key: Int32Array, at: number, view: PacketView): void {
  key[at] = view.src0;
  key[at + 1] = view.src1;
  key[at + 2] = view.src2;
  key[at + 3] = view.src3;
}

function putDestination(key: Int32Array, at: number, view: PacketView): void {
  key[at] = view.dst0;
  key[at + 1] = view.dst1;
  key[at + 2] = view.dst2;
  key[at + 3] = view.dst3;
}

function sourceFirst(view: PacketView): boolean {
  if (view.src0 !== view.dst0) return view.src0 < view.dst0;
  if (view.src1 !== view.dst1) return view.src1 < view.dst1;
  if (view.src2 !== view.dst2) return view.src2 < view.dst2;
  return view.src3 <= view.dst3;
}
