/** Writing captures: classic pcap and pcapng, little endian, microseconds or nanoseconds, buffered and streaming. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { putLe16, putLe32 } from '../../util/index.js';
import { D_LEN, D_LINK_TYPE, D_OFF, D_STRIDE, D_TS_SEC, D_TS_USEC, D_WIRE_LEN, type FrameBatch } from '../frame-batch.js';
import { LinkType } from '../link-type.js';

const BUFFER = 256 * 1024;
/** Snap length announced in file headers; frames are written whole whatever it says. */
const SNAP_LEN = 256 * 1024;

export interface WriterOptions {
  /** Link type of all frames. Default Ethernet. */
  readonly linkType?: number;
  /** Timestamps in nanoseconds rather than microseconds. Default false. */
  readonly nanoseconds?: boolean;
}

/** A file that is appended to in large writes. Errors of the system (ENOSPC, ...) are thrown by whichever call meets them. */
abstract class CaptureWriter {
  /** Frames written. */
  frames = 0;
  protected readonly nanoseconds: boolean;
  readonly #buf = new Uint8Array(BUFFER);
  #used = 0;
  #fd: number;

  constructor(path: string, options: WriterOptions) {
    this.nanoseconds = options.nanoseconds ?? false;
    this.#fd = openSync(path, 'w', 0o640);
  }

  /**
   * Append a frame.
   * @param fraction microseconds or nanoseconds within the second, as the file has it
   */
  abstract write(buf: Uint8Array, off: number, len: number, wireLen: number, tsSec: number, fraction: number): void;

  /** Append the frame of a batch row; its link type must be that of the file. */
  writeRow(batch: FrameBatch, row: number): void {
    const desc = batch.desc;
    const d = row * D_STRIDE;
    const usec = desc[d + D_TS_USEC]!;
    this.write(batch.arena, desc[d + D_OFF]!, desc[d + D_LEN]!, desc[d + D_WIRE_LEN]!, desc[d + D_TS_SEC]!, this.nanoseconds ? usec * 1000 : usec);
  }

  /** Write out what is buffered. */
  flush(): void {
    let done = 0;
    while (done < this.#used) done += writeSync(this.#fd, this.#buf, done, this.#used - done);
    this.#used = 0;
  }

  /** Flush and close. Further calls do nothing. */
  close(): void {
    if (this.#fd < 0) return;
    try {
      this.flush();
    } finally {
      closeSync(this.#fd);
      this.#fd = -1;
    }
  }

  /** Room for a header of `len` bytes. @returns the buffer; write at `headerAt` */
  protected reserve(len: number): Uint8Array {
    if (this.#fd < 0) throw new Error('capture file is closed');
    if (this.#used + len > BUFFER) this.flush();
    this.#headerAt = this.#used;
    this.#used += len;
    return this.#buf;
  }

  #headerAt = 0;
  /** Where the header just reserved starts. */
  protected get headerAt(): number {
    return this.#headerAt;
  }

  protected append(buf: Uint8Array, off: number, len: number): void {
    if (this.#used + len > BUFFER) this.flush();
    if (len > BUFFER) {
      for (let done = 0; done < len; ) done += writeSync(this.#fd, buf, off + done, len - done);
      return;
    }
    this.#buf.set(buf.subarray(off, off + len), this.#used);
    this.#used += len;
  }
}

/** Classic pcap. */
export class PcapWriter extends CaptureWriter {
  /** Creates or truncates the file. @throws the error of open(2) */
  constructor(path: string, options: WriterOptions = {}) {
    super(path, options);
    const h = this.reserve(24);
    const at = this.headerAt;
    putLe32(h, at, this.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
    putLe16(h, at + 4, 2);
    putLe16(h, at + 6, 4);
    putLe32(h, at + 8, 0);
    putLe32(h, at + 12, 0);
    putLe32(h, at + 16, SNAP_LEN);
    putLe32(h, at + 20, options.linkType ?? LinkType.ETHERNET);
  }

  write(buf: Uint8Array, off: number, len: number, wireLen: number, tsSec: number, fraction: number): void {
    const h = this.reserve(16);
    const at = this.headerAt;
    putLe32(h, at, tsSec);
    putLe32(h, at + 4, fraction);
    putLe32(h, at + 8, len);
    putLe32(h, at + 12, wireLen);
    this.append(buf, off, len);
    this.frames++;
  }
}

const PADDING = new Uint8Array(4);

/** pcapng: one section; interface 0 has the link type of the options, more may be added. */
export class PcapngWriter extends CaptureWriter {
  #interfaces: number[] = [];

  /** Creates or truncates the file. @throws the error of open(2) */
  constructor(path: string, options: WriterOptions = {}) {
    super(path, options);
    const h = this.reserve(28);
    const at = this.headerAt;
    putLe32(h, at, 0x0a0d0d0a);
    putLe32(h, at + 4, 28);
    putLe32(h, at + 8, 0x1a2b3c4d);
    putLe16(h, at + 12, 1);
    putLe16(h, at + 14, 0);
    putLe32(h, at + 16, -1);
    putLe32(h, at + 20, -1);
    putLe32(h, at + 24, 28);
    this.addInterface(options.linkType ?? LinkType.ETHERNET);
  }

  /** Describe a further interface. @returns its id for `writeOn` */
  addInterface(linkType: number): number {
    const h = this.reserve(32);
    const at = this.headerAt;
    putLe32(h, at, 1);
    putLe32(h, at + 4, 32);
    putLe16(h, at + 8, linkType);
    putLe16(h, at + 10, 0);
    putLe32(h, at + 12, SNAP_LEN);
    putLe16(h, at + 16, 9); // if_tsresol
    putLe16(h, at + 18, 1);
    putLe32(h, at + 20, this.nanoseconds ? 9 : 6);
    putLe32(h, at + 24, 0);
    putLe32(h, at + 28, 32);
    return this.#interfaces.push(linkType) - 1;
  }

  write(buf: Uint8Array, off: number, len: number, wireLen: number, tsSec: number, fraction: number): void {
    this.writeOn(0, buf, off, len, wireLen, tsSec, fraction);
  }

  /** Batch rows go to the first interface of their link type; one is added when there is none. */
  override writeRow(batch: FrameBatch, row: number): void {
    const desc = batch.desc;
    const d = row * D_STRIDE;
    const linkType = desc[d + D_LINK_TYPE]!;
    let id = this.#interfaces.indexOf(linkType);
    if (id < 0) id = this.addInterface(linkType);
    const usec = desc[d + D_TS_USEC]!;
    this.writeOn(id, batch.arena, desc[d + D_OFF]!, desc[d + D_LEN]!, desc[d + D_WIRE_LEN]!, desc[d + D_TS_SEC]!, this.nanoseconds ? usec * 1000 : usec);
  }

  /** Append a frame of interface `id`. @throws RangeError when there is no such interface */
  writeOn(id: number, buf: Uint8Array, off: number, len: number, wireLen: number, tsSec: number, fraction: number): void {
    if (id < 0 || id >= this.#interfaces.length) throw new RangeError(`no interface ${id}`);
    const pad = -len & 3;
    const total = 32 + len + pad;
    // Ticks since the epoch need more than 53 bits at nanoseconds: multiply in two halves.
    const units = this.nanoseconds ? 1e9 : 1e6;
    const seconds = tsSec >>> 0;
    const lowProduct = (seconds & 0xffff) * units + fraction;
    const highProduct = (seconds >>> 16) * units + Math.floor(lowProduct / 65536);
    const low = ((highProduct & 0xffff) << 16) | (lowProduct % 65536);
    const high = Math.floor(highProduct / 65536);
    const h = this.reserve(28);
    const at = this.headerAt;
    putLe32(h, at, 6);
    putLe32(h, at + 4, total);
    putLe32(h, at + 8, id);
    putLe32(h, at + 12, high);
    putLe32(h, at + 16, low);
    putLe32(h, at + 20, len);
    putLe32(h, at + 24, wireLen);
    this.append(buf, off, len);
    this.append(PADDING, 0, pad);
    const tail = this.reserve(4);
    putLe32(tail, this.headerAt, total);
    this.frames++;
  }
}

/** A writer by the file's name: `.pcapng` and `.ntar` give pcapng, everything else classic pcap. */
export function createCapture(path: string, options: WriterOptions = {}): PcapWriter | PcapngWriter {
  return /\.(pcapng|ntar)$/.test(path) ? new PcapngWriter(path, options) : new PcapWriter(path, options);
}
