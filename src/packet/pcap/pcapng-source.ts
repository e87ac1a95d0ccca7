/**
 * pcapng files (draft-ietf-opsawg-pcapng): section header, interface description, enhanced, simple and the obsolete packet
 * block; any number of sections and interfaces, each with its link type and clock resolution. Other blocks are skipped.
 */
import type { ByteWindow } from './byte-window.js';
import { CaptureSource, MAX_CAPTURE_FRAME } from './capture-source.js';

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const OBSOLETE_PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPT_END = 0;
const OPT_TSRESOL = 9;
const OPT_TSOFFSET = 14;

/** A packet block may carry options (comments) beside the frame; beyond this the length field is damaged. */
const MAX_BLOCK = MAX_CAPTURE_FRAME + 128 * 1024;
/** Interfaces of a section. */
const MAX_INTERFACES = 4096;
/** Clock units per second up to which the division below is exact in doubles. */
const EXACT_UNITS = 2 ** 37;

interface Interface {
  readonly linkType: number;
  readonly snapLen: number;
  /** Clock ticks per second, and seconds to add. */
  readonly units: number;
  readonly offset: number;
}

/** True when the first bytes are a section header block. */
export function isPcapng(data: DataView): boolean {
  return data.getUint32(0, false) === SECTION_HEADER;
}

export class PcapngSource extends CaptureSource {
  readonly format = 'pcapng';
  #littleEndian = true;
  #interfaces: Interface[] = [];

  /** @throws CaptureError when the section header is damaged */
  constructor(window: ByteWindow, file: string) {
    super(window, file);
    this.#readSectionHeader();
  }

  protected nextRecord(): boolean {
    const window = this.window;
    for (;;) {
      if (!window.ensure(12)) {
        if (window.available === 0) return false;
        throw this.fault('block header cut off');
      }
      const data = window.data;
      // Reads the same in both byte orders, so it is recognised before the new order is known.
      if (data.getUint32(window.pos, false) === SECTION_HEADER) {
        this.#readSectionHeader();
        continue;
      }
      const type = data.getUint32(window.pos, this.#littleEndian);
      const length = data.getUint32(window.pos + 4, this.#littleEndian);
      if (length < 12 || (length & 3) !== 0) throw this.fault(`block length ${length} is impossible`);
      if (type !== INTERFACE_DESCRIPTION && type !== ENHANCED_PACKET && type !== SIMPLE_PACKET && type !== OBSOLETE_PACKET) {
        if (!window.skip(length)) throw this.fault('block cut off');
        continue;
      }
      if (length > MAX_BLOCK) throw this.fault(`block of ${length} bytes, more than the ${MAX_BLOCK} it may have`);
      if (!window.ensure(length)) throw this.fault(`block cut off: ${window.available} of ${length} bytes`);
      const at = window.pos;
      if (type === INTERFACE_DESCRIPTION) this.#readInterface(at, length);
      else if (type === SIMPLE_PACKET) this.#readSimplePacket(at, length);
      else this.#readPacket(at, length, type);
      window.pos = at + length;
      if (type !== INTERFACE_DESCRIPTION) return true;
    }
  }

  #readSectionHeader(): void {
    const window = this.window;
    if (!window.ensure(28)) throw this.fault('section header cut off');
    const data = window.data;
    const at = window.pos;
    if (data.getUint32(at + 8, true) === BYTE_ORDER_MAGIC) this.#littleEndian = true;
    else if (data.getUint32(at + 8, false) === BYTE_ORDER_MAGIC) this.#littleEndian = false;
    else throw this.fault('section header without byte-order magic');
    const length = data.getUint32(at + 4, this.#littleEndian);
    const major = data.getUint16(at + 12, this.#littleEndian);
    if (major !== 1) throw this.fault(`pcapng version ${major} is not supported`);
    if (length < 28 || (length & 3) !== 0) throw this.fault(`section header length ${length} is impossible`);
    if (!window.skip(length)) throw this.fault('section header cut off');
    this.#interfaces = [];
  }

  #readInterface(at: number, length: number): void {
    if (length < 20) throw this.fault('interface description too short');
    if (this.#interfaces.length === MAX_INTERFACES) throw this.fault(`more than ${MAX_INTERFACES} interfaces`);
    const data = this.window.data;
    const little = this.#littleEndian;
    let units = 1e6;
    let offset = 0;
    const end = at + length - 4;
    for (let option = at + 16; option + 4 <= end; ) {
      const code = data.getUint16(option, little);
      const size = data.getUint16(option + 2, little);
      if (code === OPT_END) break;
      if (option + 4 + size > end) throw this.fault('interface option runs past its block');
      if (code === OPT_TSRESOL && size === 1) {
        const resolution = data.getUint8(option + 4);
        units = resolution & 0x80 ? 2 ** (resolution & 0x7f) : 10 ** resolution;
        if (units > 2 ** 63) throw this.fault(`clock resolution ${resolution} is not supported`);
      } else if (code === OPT_TSOFFSET && size === 8) {
        offset = Number(data.getBigInt64(option + 4, little));
      }
      option += 4 + ((size + 3) & ~3);
    }
    this.#interfaces.push({ linkType: data.getUint16(at + 8, little), snapLen: data.getUint32(at + 12, little), units, offset });
  }

  /** Enhanced and obsolete packet blocks differ only in how they write the interface. */
  #readPacket(at: number, length: number, type: number): void {
    if (length < 32) throw this.fault('packet block too short');
    const data = this.window.data;
    const little = this.#littleEndian;
    const id = type === ENHANCED_PACKET ? data.getUint32(at + 8, little) : data.getUint16(at + 8, little);
    const from = this.#interfaces[id];
    if (from === undefined) throw this.fault(`packet of interface ${id}, which was not described`);
    const capLen = data.getUint32(at + 20, little);
    if (capLen > length - 32 || capLen > MAX_CAPTURE_FRAME) throw this.fault(`frame of ${capLen} bytes in a block of ${length}`);
    this.#setTime(data.getUint32(at + 12, little), data.getUint32(at + 16, little), from);
    this.#setFrame(at + 28, capLen, data.getInt32(at + 24, little), from);
  }

  /** No interface and no time: the first interface, time zero. */
  #readSimplePacket(at: number, length: number): void {
    if (length < 16) throw this.fault('packet block too short');
    const from = this.#interfaces[0];
    if (from === undefined) throw this.fault('packet before any interface was described');
    const wireLen = this.window.data.getUint32(at + 8, this.#littleEndian);
    const snapped = from.snapLen === 0 ? wireLen : Math.min(wireLen, from.snapLen);
    const capLen = Math.min(snapped, length - 16);
    if (capLen > MAX_CAPTURE_FRAME) throw this.fault(`frame of ${capLen} bytes`);
    this.tsSec = 0;
    this.tsUsec = 0;
    this.#setFrame(at + 12, capLen, wireLen | 0, from);
  }

  #setFrame(at: number, capLen: number, wireLen: number, from: Interface): void {
    this.recordOff = at;
    this.capLen = capLen;
    this.wireLen = Math.max(capLen, wireLen);
    this.linkType = from.linkType;
  }

  /** Seconds and microseconds of a 64-bit tick count, by long division in 16-bit digits (exact, and without BigInt). */
  #setTime(high: number, low: number, from: Interface): void {
    const units = from.units;
    if (units > EXACT_UNITS) {
      const ticks = (BigInt(high) << 32n) | BigInt(low);
      const perSecond = BigInt(units);
      this.tsSec = (Number(ticks / perSecond) + from.offset) | 0;
      this.tsUsec = Number(((ticks % perSecond) * 1000000n) / perSecond);
      return;
    }
    let quotient = 0;
    let rest = 0;
    for (let i = 0; i < 4; i++) {
      const word = i < 2 ? high : low;
      const digit = (i & 1) === 0 ? word >>> 16 : word & 0xffff;
      const current = rest * 65536 + digit;
      const part = Math.floor(current / units);
      rest = current - part * units;
      quotient = quotient * 65536 + part;
    }
    this.tsSec = (quotient + from.offset) | 0;
    this.tsUsec = Math.floor((rest * 1e6) / units);
  }
}
