/** A port in memory: tests and benchmarks put frames in and look at what came out. Not reachable from configuration files. */
import {
  D_CSUM_OFF,
  D_CSUM_START,
  D_FRAME_NO,
  D_GSO_SIZE,
  D_GSO_TYPE,
  D_LINK_TYPE,
  D_OFF,
  D_STRIDE,
  D_VNET_FLAGS,
  D_WIRE_LEN,
  LinkType,
  type FrameBatch,
} from '../../packet/index.js';
import { WireEmitter, type WireSink } from '../segment.js';
import { ENOBUFS, receiveRow, type JsPort, type PortEnvironment } from './port.js';

/** A frame given to a memory port, with what its descriptor shall say beside the bytes. */
export interface MemoryFrame {
  readonly bytes: Uint8Array;
  readonly wireLen?: number;
  readonly tsSec?: number;
  readonly tsUsec?: number;
  readonly linkType?: number;
  readonly vnetFlags?: number;
  readonly gsoType?: number;
  readonly gsoSize?: number;
  readonly csumStart?: number;
  readonly csumOff?: number;
}

export interface MemoryPortOptions {
  /** Frames kept in each direction; more are refused with ENOBUFS. Default 65536. */
  readonly capacity?: number;
  /** Largest bytes behind the link header. Default 65535. */
  readonly mtu?: number;
}

export class MemoryPort implements JsPort, WireSink {
  readonly type = 'memory';
  readonly kind = 'js';
  readonly wakes = false;
  readonly ended = false;
  lost = 0;
  /** Wire frames that left by this port, segmented and with complete checksums. */
  readonly sent: Uint8Array[] = [];
  private readonly waiting: MemoryFrame[] = [];
  private readonly capacity: number;
  private readonly mtu: number;
  private readonly emitter = new WireEmitter();
  private received = 0;

  constructor(options: MemoryPortOptions = {}) {
    this.capacity = options.capacity ?? 65536;
    this.mtu = options.mtu ?? 65535;
  }

  /** Let a frame arrive. A bare array is an ordinary Ethernet frame at time 0. @returns false when the queue is full */
  put(frame: MemoryFrame | Uint8Array): boolean {
    if (this.waiting.length >= this.capacity) {
      this.lost++;
      return false;
    }
    this.waiting.push(frame instanceof Uint8Array ? { bytes: frame } : frame);
    return true;
  }

  /** What was sent since the last call. */
  take(): Uint8Array[] {
    return this.sent.splice(0);
  }

  get pending(): boolean {
    return this.waiting.length > 0;
  }

  open(_environment: PortEnvironment): void {
    this.sent.length = 0;
  }

  close(): void {
    this.waiting.length = 0;
  }

  receive(batch: FrameBatch, index: number, limit: number): number {
    let count = 0;
    while (count < limit && count < this.waiting.length) {
      const frame = this.waiting[count]!;
      const row = receiveRow(batch, frame.bytes.length, index, frame.tsSec ?? 0, frame.tsUsec ?? 0);
      if (row < 0) break;
      const d = row * D_STRIDE;
      batch.arena.set(frame.bytes, batch.desc[d + D_OFF]!);
      batch.desc[d + D_WIRE_LEN] = frame.wireLen ?? frame.bytes.length;
      batch.desc[d + D_VNET_FLAGS] = frame.vnetFlags ?? 0;
      batch.desc[d + D_GSO_TYPE] = frame.gsoType ?? 0;
      batch.desc[d + D_GSO_SIZE] = frame.gsoSize ?? 0;
      batch.desc[d + D_CSUM_START] = frame.csumStart ?? 0;
      batch.desc[d + D_CSUM_OFF] = frame.csumOff ?? 0;
      batch.desc[d + D_FRAME_NO] = ++this.received;
      batch.desc[d + D_LINK_TYPE] = frame.linkType ?? LinkType.ETHERNET;
      count++;
    }
    this.waiting.splice(0, count);
    return count;
  }

  send(batch: FrameBatch, row: number, tag: number): number {
    return this.emitter.emit(batch, row, tag, this.mtu, this);
  }

  wireFrame(buf: Uint8Array, off: number, len: number): number {
    if (this.sent.length >= this.capacity) return ENOBUFS;
    this.sent.push(buf.slice(off, off + len));
    return 0;
  }
}
