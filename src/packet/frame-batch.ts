/**
 * One batch of frames: an arena with the bytes, a descriptor table (one row per frame) and a transmit table.
 * The native I/O loop and the JavaScript ports fill the same tables, so live traffic, pcap replay and tests run
 * the same code. Rows are plain int32 columns; nothing is allocated between batches.
 */

/** Columns of a descriptor row. Mirrored in native/src/batch.h: change both together. */
export const D_PORT = 0; //       ingress port index
export const D_OFF = 1; //        first byte of the frame in the arena
export const D_LEN = 2; //        captured bytes
export const D_WIRE_LEN = 3; //   bytes on the wire (>= D_LEN)
export const D_VNET_FLAGS = 4; // virtio_net_hdr.flags (1 = NEEDS_CSUM, 2 = DATA_VALID)
export const D_GSO_TYPE = 5; //   virtio_net_hdr.gso_type (0 none, 1 TCPv4, 3 UDP, 4 TCPv6, 5 UDP_L4, | 0x80 ECN)
export const D_HDR_LEN = 6; //    virtio_net_hdr.hdr_len
export const D_GSO_SIZE = 7; //   virtio_net_hdr.gso_size
export const D_CSUM_START = 8; // virtio_net_hdr.csum_start
export const D_CSUM_OFF = 9; //   virtio_net_hdr.csum_offset
export const D_TS_SEC = 10; //    capture time, seconds
export const D_TS_USEC = 11; //   capture time, microseconds within the second
export const D_FRAME_NO = 12; //  1-based number in the source, 0 for live ports
export const D_LINK_TYPE = 13; // pcap LINKTYPE_
export const D_STRIDE = 16;

/** Columns of a transmit row: send the frame of a descriptor out of a port. */
export const T_DESC = 0; //   descriptor row
export const T_PORT = 1; //   egress port index
export const T_STATUS = 2; // written by flush: 0 = sent, otherwise a positive errno
export const T_VLAN = 3; //   tag action: TAG_KEEP, TAG_STRIP (remove the outer tag) or VID 1..4094 | pcp << 13 to insert one
export const T_STRIDE = 4;

export const TAG_KEEP = -1;
export const TAG_STRIP = 0;

export const VNET_F_NEEDS_CSUM = 1;
export const VNET_F_DATA_VALID = 2;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP = 3;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 0x80;

/** Largest frame the kernel hands over whole: 64 KiB GSO payload plus headers, rounded up. */
export const MAX_FRAME = 65536 + 256;

export class FrameBatch {
  /** Frames received per poll. */
  readonly batchSize: number;
  /** Rows in the descriptor table: received frames first, then frames the pipeline built (RST, ICMP, block pages). */
  readonly rows: number;
  readonly arena: Uint8Array;
  readonly desc: Int32Array;
  readonly tx: Int32Array;
  /** Received frames in the current batch (rows 0..rxCount-1). */
  rxCount = 0;
  /** Rows in use, received and injected. */
  descCount = 0;
  /** Rows in the transmit table. */
  txCount = 0;
  /** First free byte of the arena. */
  arenaUsed = 0;

  /**
   * @param batchSize frames received per poll (64 measured best, see docs/decisions)
   * @param injectRoom bytes reserved for frames built by the pipeline within one batch
   */
  constructor(batchSize = 64, injectRoom = 256 * 1024) {
    this.batchSize = batchSize;
    this.rows = batchSize * 4;
    this.arena = new Uint8Array(batchSize * MAX_FRAME + injectRoom);
    this.desc = new Int32Array(this.rows * D_STRIDE);
    // Every frame may be flooded; a batch that would overflow the transmit table is flushed early by the edge.
    this.tx = new Int32Array(4096 * T_STRIDE);
  }

  /** Forget the frames of the previous batch. */
  reset(): void {
    this.rxCount = 0;
    this.descCount = 0;
    this.txCount = 0;
    this.arenaUsed = 0;
  }

  /** Transmit rows still free. */
  get txRoom(): number {
    return this.tx.length / T_STRIDE - this.txCount;
  }

  /**
   * Queue the frame of descriptor `desc` for `port`.
   * @returns false when the transmit table is full (the caller flushes and tries again, or counts a drop)
   */
  send(desc: number, port: number, tag: number = TAG_KEEP): boolean {
    const row = this.txCount * T_STRIDE;
    if (row >= this.tx.length) return false;
    this.tx[row + T_DESC] = desc;
    this.tx[row + T_PORT] = port;
    this.tx[row + T_STATUS] = 0;
    this.tx[row + T_VLAN] = tag;
    this.txCount++;
    return true;
  }

  /**
   * Reserve a descriptor row and `len` arena bytes for a frame the pipeline builds (no offloads, full checksums).
   * @returns the row, or -1 when the batch has no room left; the bytes start at `desc[row * D_STRIDE + D_OFF]`
   */
  inject(len: number, port: number, tsSec: number, tsUsec: number): number {
    if (this.descCount >= this.rows || this.arenaUsed + len > this.arena.length) return -1;
    const row = this.descCount++;
    const d = row * D_STRIDE;
    const t = this.desc;
    t.fill(0, d, d + D_STRIDE);
    t[d + D_PORT] = port;
    t[d + D_OFF] = this.arenaUsed;
    t[d + D_LEN] = len;
    t[d + D_WIRE_LEN] = len;
    t[d + D_TS_SEC] = tsSec;
    t[d + D_TS_USEC] = tsUsec;
    t[d + D_LINK_TYPE] = 1;
    this.arenaUsed += (len + 63) & ~63;
    return row;
  }
}
