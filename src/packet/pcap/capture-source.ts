/** What both file formats share: records become rows of a FrameBatch, faults become one CaptureError after the last frame. */
import { copyRange } from '../../util/index.js';
import { D_FRAME_NO, D_LEN, D_LINK_TYPE, D_OFF, D_PORT, D_STRIDE, D_TS_SEC, D_TS_USEC, D_WIRE_LEN, MAX_FRAME, type FrameBatch } from '../frame-batch.js';
import type { ByteWindow } from './byte-window.js';
import { CaptureError } from './capture-error.js';

/** Largest frame accepted from a file (the snap length limit of libpcap). More means the length field is damaged. */
export const MAX_CAPTURE_FRAME = 256 * 1024;

export abstract class CaptureSource {
  abstract readonly format: 'pcap' | 'pcapng';
  /** Frames delivered so far. */
  frames = 0;
  /** Frames left out because the batch arena cannot hold them even when empty. */
  oversized = 0;
  #error: CaptureError | null = null;
  #ended = false;
  /** Record that was read but did not fit the last batch. */
  #pending = false;

  // The current record, set by nextRecord.
  protected recordOff = 0;
  protected capLen = 0;
  protected wireLen = 0;
  protected tsSec = 0;
  protected tsUsec = 0;
  protected linkType = 0;

  protected constructor(
    protected readonly window: ByteWindow,
    protected readonly file: string,
  ) {}

  /** Why reading stopped before the end of the file, null after a clean end (or before the end). */
  get error(): CaptureError | null {
    return this.#error;
  }

  /**
   * Empty the batch and fill it with the next frames (rows 0..n-1, each frame 64-byte aligned in the arena, as the native
   * receive loop leaves them). Sets rxCount, descCount and arenaUsed.
   * @param port ingress port index to note in the rows
   * @returns frames in the batch; 0 = end of the file or `error`
   */
  fillBatch(batch: FrameBatch, port = 0): number {
    batch.reset();
    return this.appendTo(batch, port, batch.batchSize);
  }

  /**
   * Add up to `limit` frames behind the received ones that are in the batch already (several ports share one batch).
   * Injected rows must not be there yet.
   * @returns frames added; 0 = no room, end of the file or `error`
   */
  appendTo(batch: FrameBatch, port: number, limit: number): number {
    const desc = batch.desc;
    const room = batch.batchSize * MAX_FRAME;
    const first = batch.rxCount;
    const end = Math.min(first + limit, batch.rows);
    let used = batch.arenaUsed;
    let row = first;
    while (row < end && this.#advance()) {
      if (used + this.capLen > room) {
        if (used > 0) break;
        this.#pending = false;
        this.oversized++;
        this.frames++;
        continue;
      }
      this.#pending = false;
      this.frames++;
      const d = row * D_STRIDE;
      desc.fill(0, d, d + D_STRIDE);
      desc[d + D_PORT] = port;
      desc[d + D_OFF] = used;
      desc[d + D_LEN] = this.capLen;
      desc[d + D_WIRE_LEN] = this.wireLen;
      desc[d + D_TS_SEC] = this.tsSec;
      desc[d + D_TS_USEC] = this.tsUsec;
      desc[d + D_FRAME_NO] = this.frames;
      desc[d + D_LINK_TYPE] = this.linkType;
      copyRange(this.window.buf, this.recordOff, this.capLen, batch.arena, used);
      used = (used + this.capLen + 63) & ~63;
      row++;
    }
    batch.rxCount = row;
    batch.descCount = row;
    batch.arenaUsed = used;
    return row - first;
  }

  /** No frame is left to deliver. */
  get ended(): boolean {
    return this.#ended && !this.#pending;
  }

  close(): void {
    this.#ended = true;
    this.window.close();
  }

  /** Make a record current. @returns false at the end */
  #advance(): boolean {
    if (this.#pending) return true;
    if (this.#ended) return false;
    try {
      this.#pending = this.nextRecord();
    } catch (error) {
      this.#error = error instanceof CaptureError ? error : this.fault(error instanceof Error ? error.message : String(error));
    }
    if (!this.#pending) this.close();
    return this.#pending;
  }

  /**
   * Read the next record: its bytes are window.buf[recordOff, recordOff + capLen), valid until the next call.
   * @returns false at the end of the file
   * @throws CaptureError, or the source's error
   */
  protected abstract nextRecord(): boolean;

  protected fault(reason: string): CaptureError {
    return new CaptureError(this.file, this.window.offset, reason);
  }
}
