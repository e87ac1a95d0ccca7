/** Capture files as a port: frames come from one file, frames sent go to another. Either may be absent. */
import {
  D_LEN,
  D_LINK_TYPE,
  D_STRIDE,
  D_TS_SEC,
  D_TS_USEC,
  D_WIRE_LEN,
  LinkType,
  createCapture,
  openCapture,
  type CaptureError,
  type CaptureSource,
  type FrameBatch,
  type PcapWriter,
  type PcapngWriter,
} from '../../packet/index.js';
import { EINVAL, EIO, WireEmitter, type WireSink } from '../segment.js';
import { EOPNOTSUPP, type JsPort, type PortEnvironment } from './port.js';

export interface PcapPortOptions {
  /** Capture file (pcap or pcapng, plain or gzip) the port receives from. */
  readonly read?: string;
  /** File the port sends to; `.pcapng` selects that format. */
  readonly write?: string;
  /** Link type of the file written. Default Ethernet. */
  readonly linkType?: number;
}

/** Captures know no MTU. */
const NO_MTU = 1 << 20;

export class PcapPort implements JsPort, WireSink {
  readonly type = 'pcap';
  readonly kind = 'js';
  readonly wakes = false;
  private readonly options: PcapPortOptions;
  private readonly linkType: number;
  private readonly emitter = new WireEmitter();
  private source: CaptureSource | null = null;
  private writer: PcapWriter | PcapngWriter | null = null;
  // Of the frame being written.
  private tsSec = 0;
  private tsUsec = 0;
  private missing = 0;

  /** @throws SyntaxError when neither file is given */
  constructor(options: PcapPortOptions) {
    if (options.read === undefined && options.write === undefined) throw new SyntaxError('a pcap port needs read, write or both');
    this.options = options;
    this.linkType = options.linkType ?? LinkType.ETHERNET;
  }

  /** @throws CaptureError, or the error of open(2) */
  open(_environment: PortEnvironment): void {
    if (this.options.read !== undefined) this.source = openCapture(this.options.read);
    if (this.options.write !== undefined) this.writer = createCapture(this.options.write, { linkType: this.linkType });
  }

  close(): void {
    this.source?.close();
    this.writer?.close();
    this.writer = null;
  }

  get pending(): boolean {
    return !this.ended;
  }

  get ended(): boolean {
    return this.source === null || this.source.ended;
  }

  /** Why reading stopped before the end of the file, null otherwise. */
  get error(): CaptureError | null {
    return this.source?.error ?? null;
  }

  /** Frames too large for any batch. */
  get lost(): number {
    return this.source?.oversized ?? 0;
  }

  receive(batch: FrameBatch, index: number, limit: number): number {
    return this.source === null ? 0 : this.source.appendTo(batch, index, limit);
  }

  send(batch: FrameBatch, row: number, tag: number): number {
    if (this.writer === null) return EOPNOTSUPP;
    const d = row * D_STRIDE;
    const desc = batch.desc;
    if (desc[d + D_LINK_TYPE] !== this.linkType) return EINVAL;
    this.tsSec = desc[d + D_TS_SEC]!;
    this.tsUsec = desc[d + D_TS_USEC]!;
    this.missing = Math.max(0, desc[d + D_WIRE_LEN]! - desc[d + D_LEN]!);
    return this.emitter.emit(batch, row, tag, NO_MTU, this);
  }

  wireFrame(buf: Uint8Array, off: number, len: number): number {
    try {
      this.writer!.write(buf, off, len, len + this.missing, this.tsSec, this.tsUsec);
      return 0;
    } catch (error) {
      // ENOSPC and the like: the frame counts as not sent, with its errno.
      return error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? Math.abs(error.errno) : EIO;
    }
  }
}
