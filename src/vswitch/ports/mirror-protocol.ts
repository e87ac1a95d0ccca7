/**
 * How the three parts of a mirror port talk. Capture process -> bridge thread (a pipe) and bridge -> data plane (a shared
 * ring) use the same records: a 16-byte header, then the frame. The other way (responses) it is the record with the IP packet.
 */
import { le32, putLe32 } from '../../util/index.js';

/** Record header, four little-endian words: kind, bytes that follow, capture seconds, microseconds. */
export const RECORD_HEADER = 16;
export const KIND_STATUS = 0; // bytes: error text, none = capturing
/** Frames have kind FRAME_BASE + link type. */
export const KIND_FRAME = 1;
export const KIND_RESPONSE = 0x1_0000;
/** libpcap's snap length in `cap`. */
export const MAX_RECORD = 65536;

/** Cells of the shared control block. */
export const C_STATE = 0; //     STATE_*
export const C_LOST = 1; //      frames that found the ring full
export const C_RESPONSES = 2; // responses handed over and not yet written
export const C_ERROR_LEN = 3; // bytes of the error text
export const CONTROL_CELLS = 4;
export const ERROR_BYTES = 512;
export const STATE_STARTING = 0;
export const STATE_RUNNING = 1;
export const STATE_FAILED = 2;

/** What the bridge thread is started with. */
export interface BridgeData {
  readonly interfaceName: string;
  readonly filter: string;
  readonly activeResponse: boolean;
  readonly ring: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly wakeFd: number;
}

export function putRecord(buf: Uint8Array, at: number, kind: number, len: number, sec: number, usec: number): void {
  putLe32(buf, at, kind);
  putLe32(buf, at + 4, len);
  putLe32(buf, at + 8, sec);
  putLe32(buf, at + 12, usec);
}

/** Cuts a byte stream into records, whatever the chunks are. */
export class RecordReader {
  private readonly record = new Uint8Array(RECORD_HEADER + MAX_RECORD);
  private have = 0;
  private readonly take: (record: Uint8Array, len: number) => void;

  /** @param take gets each whole record; the bytes are valid during the call */
  constructor(take: (record: Uint8Array, len: number) => void) {
    this.take = take;
  }

  /** @throws RangeError when the stream is not one of records */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const want = this.have < RECORD_HEADER ? RECORD_HEADER : RECORD_HEADER + this.bodyLength();
      const n = Math.min(want - this.have, chunk.length - at);
      this.record.set(chunk.subarray(at, at + n), this.have);
      this.have += n;
      at += n;
      if (this.have >= RECORD_HEADER && this.have === RECORD_HEADER + this.bodyLength()) {
        this.take(this.record, this.have);
        this.have = 0;
      }
    }
  }

  private bodyLength(): number {
    const len = le32(this.record, 4) >>> 0;
    if (len > MAX_RECORD) throw new RangeError(`record of ${len} bytes`);
    return len;
  }
}
