import type { SegmentList } from './segments.js';

/**
 * One direction of a TCP byte stream: the contiguous bytes that were received in order and are still needed - not yet
 * acknowledged (so a differing retransmission can be rewritten to what was inspected), not yet parsed, or not yet
 * inspected. `buf[0]` is stream byte `base`; stream byte 0 is the first byte after the SYN.
 * Readers advance their own mark; `StreamEngine` slides the buffer past min(marks, acknowledged).
 */
export class StreamHalf {
  /** Bytes from stream offset `base`; valid up to `len`. Taken from the segment pool, `EMPTY` when nothing is held. */
  buf: Uint8Array = EMPTY;
  /** Stream offset of buf[0]. */
  base = 0;
  /** Valid bytes in buf. */
  len = 0;
  /** Stream offset up to which the application parser has consumed. */
  parsed = 0;
  /** Stream offset up to which raw stream rules have inspected. */
  inspected = 0;
  /** Stream offset up to which the peer has acknowledged; beyond `end` when bytes were missed that the peer did get. */
  acked = 0;
  /** Initial sequence number + 1, i.e. the sequence number of stream byte 0 (signed int32). */
  isn = 0;
  /** The half was started (SYN seen or picked up midstream). */
  open = false;
  /** Peer closed this direction (FIN in order, or RST). */
  closed = false;
  /** Bytes are missing before `base + len` and will not be waited for: parsers must resynchronise. */
  gap = false;
  /**
   * Stream offset from which the depth counts: where the last complete message ended. A depth that counted from the start
   * of the connection would leave everything behind its first megabyte uninspected, which is where an attacker would begin.
   */
  depthFrom = 0;
  /** Reassembly stopped here (depth or memory); later bytes are not inspected. */
  stopped = false;
  /** Reassembled to its end, whatever the depth of the engine: who reads it keeps no more than it needs. */
  unlimited = false;
  /** Segments that arrived ahead of their turn; owned by StreamEngine. */
  held: SegmentList | null = null;
  /** Budget row of whoever sends these bytes: what they take is booked there. */
  account = 0;
  /** Stream offset of the FIN, -1 = not seen. */
  finAt = -1;
  /** Set by the parser: a message ends here or no more will be made of it, so raw rules of a passive engine should look now. */
  flushRaw = false;
  /** Nobody parses / nobody inspects raw bytes any more: the marks follow the end by themselves. */
  parseDone = false;
  inspectDone = false;

  /** One past the last contiguous stream byte. */
  get end(): number {
    return this.base + this.len;
  }

  reset(): void {
    this.buf = EMPTY;
    this.base = 0;
    this.len = 0;
    this.parsed = 0;
    this.inspected = 0;
    this.acked = 0;
    this.isn = 0;
    this.open = false;
    this.closed = false;
    this.gap = false;
    this.depthFrom = 0;
    this.stopped = false;
    this.unlimited = false;
    this.held = null;
    this.finAt = -1;
    this.flushRaw = false;
    this.parseDone = false;
    this.inspectDone = false;
  }
}

const EMPTY = new Uint8Array(0);
