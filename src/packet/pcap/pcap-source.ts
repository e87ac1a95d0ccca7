/** Classic pcap files (draft-ietf-opsawg-pcap): both byte orders, microseconds or nanoseconds. */
import { isLinkTypeSupported, linkTypeName } from '../link-type.js';
import type { ByteWindow } from './byte-window.js';
import { CaptureSource, MAX_CAPTURE_FRAME } from './capture-source.js';

const FILE_HEADER_LEN = 24;
const RECORD_HEADER_LEN = 16;
const MAGIC_USEC = 0xa1b2c3d4;
const MAGIC_NSEC = 0xa1b23c4d;

/** True when the first four bytes are the magic number of a classic pcap file. */
export function isPcap(data: DataView): boolean {
  const big = data.getUint32(0, false);
  const little = data.getUint32(0, true);
  return big === MAGIC_USEC || big === MAGIC_NSEC || little === MAGIC_USEC || little === MAGIC_NSEC;
}

export class PcapSource extends CaptureSource {
  readonly format = 'pcap';
  readonly #littleEndian: boolean;
  readonly #nanoseconds: boolean;

  /** @throws CaptureError when the file header is cut off or its link type is not decoded */
  constructor(window: ByteWindow, file: string) {
    super(window, file);
    if (!window.ensure(FILE_HEADER_LEN)) throw this.fault('pcap file header cut off');
    const data = window.data;
    const at = window.pos;
    const little = data.getUint32(at, true);
    this.#littleEndian = little === MAGIC_USEC || little === MAGIC_NSEC;
    this.#nanoseconds = data.getUint32(at, this.#littleEndian) === MAGIC_NSEC;
    const major = data.getUint16(at + 4, this.#littleEndian);
    if (major !== 2) throw this.fault(`pcap version ${major} is not supported`);
    // The upper bits describe a frame check sequence; the link type has 16.
    this.linkType = data.getUint32(at + 20, this.#littleEndian) & 0xffff;
    if (!isLinkTypeSupported(this.linkType)) throw this.fault(`link type ${linkTypeName(this.linkType)} is not supported`);
    window.pos += FILE_HEADER_LEN;
  }

  protected nextRecord(): boolean {
    const window = this.window;
    if (!window.ensure(RECORD_HEADER_LEN)) {
      if (window.available === 0) return false;
      throw this.fault('record header cut off');
    }
    const data = window.data;
    const little = this.#littleEndian;
    const capLen = data.getUint32(window.pos + 8, little);
    if (capLen > MAX_CAPTURE_FRAME) throw this.fault(`record of ${capLen} bytes, more than the ${MAX_CAPTURE_FRAME} a frame may have`);
    if (!window.ensure(RECORD_HEADER_LEN + capLen)) {
      throw this.fault(`frame cut off: ${window.available - RECORD_HEADER_LEN} of ${capLen} bytes`);
    }
    const at = window.pos;
    const fraction = data.getUint32(at + 4, little);
    this.tsSec = data.getInt32(at, little);
    // Some writers put nanoseconds under the microsecond magic; a second has no more than this.
    this.tsUsec = Math.min(999_999, this.#nanoseconds ? Math.floor(fraction / 1000) : fraction);
    this.capLen = capLen;
    this.wireLen = Math.max(capLen, data.getInt32(at + 12, little));
    this.recordOff = at + RECORD_HEADER_LEN;
    window.pos = this.recordOff + capLen;
    return true;
  }
}
