/**
 * HPACK (RFC 7541): header blocks of one direction of a connection to fields. The dynamic table is bounded, and so is what one
 * block may expand to: an indexed field is one byte that can stand for kilobytes.
 */
import { ascii, copyRange } from '../bytes.js';
import { huffmanDecode } from './huffman.js';

/** Largest dynamic table followed (Suricata: http2.max-table-size); RFC 7541 begins with 4096. */
export const TABLE_MAX = 65_536;
const TABLE_DEFAULT = 4096;
/** What an entry counts beside its bytes (RFC 7541 section 4.1). */
const ENTRY_OVERHEAD = 32;
/** Bytes one header block may expand to; the fields behind it are not shown any more, but the table is kept right. */
export const BLOCK_MAX = 262_144;

/** RFC 7541 appendix A. */
const STATIC = [
  ':authority', ':method GET', ':method POST', ':path /', ':path /index.html', ':scheme http', ':scheme https', ':status 200', ':status 204', ':status 206',
  ':status 304', ':status 400', ':status 404', ':status 500', 'accept-charset', 'accept-encoding gzip, deflate', 'accept-language', 'accept-ranges', 'accept',
  'access-control-allow-origin', 'age', 'allow', 'authorization', 'cache-control', 'content-disposition', 'content-encoding', 'content-language',
  'content-length', 'content-location', 'content-range', 'content-type', 'cookie', 'date', 'etag', 'expect', 'expires', 'from', 'host', 'if-match',
  'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified', 'link', 'location', 'max-forwards', 'proxy-authenticate',
  'proxy-authorization', 'range', 'referer', 'refresh', 'retry-after', 'server', 'set-cookie', 'strict-transport-security', 'transfer-encoding',
  'user-agent', 'vary', 'via', 'www-authenticate',
].map((entry) => {
  const at = entry.indexOf(' ');
  return at < 0 ? { name: ascii(entry), value: new Uint8Array(0) } : { name: ascii(entry.slice(0, at)), value: ascii(entry.slice(at + 1)) };
});

/** Takes the fields of a block one by one; bytes are lent. */
export interface FieldSink {
  field(name: Uint8Array, nameOff: number, nameLen: number, value: Uint8Array, valueOff: number, valueLen: number): void;
  /** The sender announced another size of the dynamic table. */
  tableSize(size: number): void;
}

/** The dynamic table: bytes in an arena that is compacted when its end is reached, entries in a ring, newest first. */
class DynamicTable {
  count = 0;
  #size = 0;
  #max = TABLE_DEFAULT;
  #arena = new Uint8Array(2 * TABLE_DEFAULT);
  #end = 0;
  #rows = new Int32Array(3 * 256);
  /** Ring position of the oldest entry. */
  #oldest = 0;

  /** @param max bytes as RFC 7541 counts them */
  resize(max: number): void {
    this.#max = max;
    this.#evict(0);
  }

  /** Entry `index` from 0, the newest. @returns offset in the arena of name and value behind it */
  at(index: number): { readonly off: number; readonly nameLen: number; readonly valueLen: number } {
    const row = this.#row(this.count - 1 - index);
    return { off: this.#rows[row]!, nameLen: this.#rows[row + 1]!, valueLen: this.#rows[row + 2]! };
  }

  get arena(): Uint8Array {
    return this.#arena;
  }

  add(name: Uint8Array, nameOff: number, nameLen: number, value: Uint8Array, valueOff: number, valueLen: number): void {
    const need = nameLen + valueLen;
    if (need + ENTRY_OVERHEAD > this.#max) {
      this.count = 0;
      this.#size = 0;
      this.#end = 0;
      return;
    }
    // The name may lie in the arena, in an entry that has to go: it is copied before.
    const kept = name === this.#arena ? name.slice(nameOff, nameOff + nameLen) : name;
    const keptOff = name === this.#arena ? 0 : nameOff;
    this.#evict(need + ENTRY_OVERHEAD);
    if (this.#end + need > this.#arena.length) this.#compact(need);
    if ((this.count + 1) * 3 > this.#rows.length) this.#growRows();
    const row = this.#row(this.count++);
    this.#rows[row] = this.#end;
    this.#rows[row + 1] = nameLen;
    this.#rows[row + 2] = valueLen;
    copyRange(kept, keptOff, nameLen, this.#arena, this.#end);
    copyRange(value, valueOff, valueLen, this.#arena, this.#end + nameLen);
    this.#end += need;
    this.#size += need + ENTRY_OVERHEAD;
  }

  #row(age: number): number {
    return ((this.#oldest + age) % (this.#rows.length / 3)) * 3;
  }

  #evict(room: number): void {
    while (this.count > 0 && this.#size + room > this.#max) {
      const row = this.#row(0);
      this.#size -= this.#rows[row + 1]! + this.#rows[row + 2]! + ENTRY_OVERHEAD;
      this.#oldest = (this.#oldest + 1) % (this.#rows.length / 3);
      this.count--;
    }
    if (this.count === 0) this.#end = 0;
  }

  /** Live bytes lie one behind the other: move them to the start of an arena that holds twice the table. */
  #compact(need: number): void {
    const from = this.count === 0 ? this.#end : this.#rows[this.#row(0)]!;
    const live = this.#end - from;
    const arena = live + need > this.#arena.length / 2 ? new Uint8Array(Math.max(2 * this.#max, live + need)) : this.#arena;
    copyRange(this.#arena, from, live, arena, 0);
    for (let age = 0; age < this.count; age++) this.#rows[this.#row(age)]! -= from;
    this.#arena = arena;
    this.#end = live;
  }

  #growRows(): void {
    const rows = new Int32Array(this.#rows.length * 2);
    for (let age = 0; age < this.count; age++) {
      const row = this.#row(age);
      for (let k = 0; k < 3; k++) rows[age * 3 + k] = this.#rows[row + k]!;
    }
    this.#rows = rows;
    this.#oldest = 0;
  }
}

/** One direction's decoder. */
export class HpackDecoder {
  readonly #table = new DynamicTable();
  /** What the receiver allows the sender (SETTINGS_HEADER_TABLE_SIZE). */
  #allowed = TABLE_DEFAULT;
  #scratch = new Uint8Array(1024);
  #scratchEnd = 0;
  #expanded = 0;
  /** The last block expanded beyond BLOCK_MAX. */
  overflow = false;

  // The string or number read last.
  #pos = 0;
  #value = 0;
  #buf: Uint8Array = this.#scratch;
  #off = 0;
  #len = 0;

  /** The receiver's SETTINGS. */
  allowTable(size: number): void {
    this.#allowed = Math.min(size, TABLE_MAX);
  }

  /** Decode one whole block. @returns false when it is broken: nothing that follows can be decoded */
  decode(src: Uint8Array, off: number, end: number, sink: FieldSink): boolean {
    this.#pos = off;
    this.#expanded = 0;
    this.overflow = false;
    let fields = 0;
    while (this.#pos < end) {
      const first = src[this.#pos]!;
      this.#scratchEnd = 0;
      if (first >= 0x80) {
        if (!this.#integer(src, end, 7) || !this.#indexed(sink)) return false;
        fields++;
      } else if ((first & 0xe0) === 0x20) {
        if (fields > 0 || !this.#integer(src, end, 5) || this.#value > this.#allowed) return false;
        sink.tableSize(this.#value);
        this.#table.resize(this.#value);
      } else {
        if (!this.#literal(src, end, sink, (first & 0x40) !== 0)) return false;
        fields++;
      }
    }
    return true;
  }

  #indexed(sink: FieldSink): boolean {
    const index = this.#value;
    if (index === 0) return false;
    if (index <= STATIC.length) {
      const { name, value } = STATIC[index - 1]!;
      this.#emit(sink, name, 0, name.length, value, 0, value.length);
      return true;
    }
    if (index - STATIC.length > this.#table.count) return false;
    const { off, nameLen, valueLen } = this.#table.at(index - STATIC.length - 1);
    this.#emit(sink, this.#table.arena, off, nameLen, this.#table.arena, off + nameLen, valueLen);
    return true;
  }

  #literal(src: Uint8Array, end: number, sink: FieldSink, keep: boolean): boolean {
    if (!this.#integer(src, end, keep ? 6 : 4)) return false;
    const index = this.#value;
    let name: Uint8Array;
    let nameOff = 0;
    let nameLen: number;
    if (index === 0) {
      if (!this.#string(src, end)) return false;
      name = this.#buf;
      nameOff = this.#off;
      nameLen = this.#len;
    } else if (index <= STATIC.length) {
      name = STATIC[index - 1]!.name;
      nameLen = name.length;
    } else {
      if (index - STATIC.length > this.#table.count) return false;
      const entry = this.#table.at(index - STATIC.length - 1);
      name = this.#table.arena;
      nameOff = entry.off;
      nameLen = entry.nameLen;
    }
    const inScratch = name === this.#scratch;
    if (!this.#string(src, end)) return false;
    // The scratch may have grown for the value.
    if (inScratch) name = this.#scratch;
    this.#emit(sink, name, nameOff, nameLen, this.#buf, this.#off, this.#len);
    if (keep) this.#table.add(name, nameOff, nameLen, this.#buf, this.#off, this.#len);
    return true;
  }

  #emit(sink: FieldSink, name: Uint8Array, nameOff: number, nameLen: number, value: Uint8Array, valueOff: number, valueLen: number): void {
    this.#expanded += nameLen + valueLen + 4;
    if (this.#expanded > BLOCK_MAX) this.overflow = true;
    else sink.field(name, nameOff, nameLen, value, valueOff, valueLen);
  }

  /** Section 5.1; numbers beyond 2^28 are nobody's. */
  #integer(src: Uint8Array, end: number, prefix: number): boolean {
    const mask = (1 << prefix) - 1;
    let value = src[this.#pos++]! & mask;
    if (value === mask) {
      for (let shift = 0; ; shift += 7) {
        if (this.#pos >= end || shift > 21) return false;
        const byte = src[this.#pos++]!;
        value += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80) break;
      }
    }
    this.#value = value;
    return true;
  }

  /** Section 5.2: leaves the string in #buf, #off, #len. */
  #string(src: Uint8Array, end: number): boolean {
    if (this.#pos >= end) return false;
    const huffman = src[this.#pos]! >= 0x80;
    if (!this.#integer(src, end, 7) || this.#value > end - this.#pos) return false;
    const off = this.#pos;
    const len = this.#value;
    this.#pos += len;
    if (!huffman) {
      this.#buf = src;
      this.#off = off;
      this.#len = len;
      return true;
    }
    const need = this.#scratchEnd + Math.ceil((len * 8) / 5);
    if (need > this.#scratch.length) {
      const scratch = new Uint8Array(need * 2);
      copyRange(this.#scratch, 0, this.#scratchEnd, scratch, 0);
      this.#scratch = scratch;
    }
    const written = huffmanDecode(src, off, len, this.#scratch, this.#scratchEnd);
    if (written < 0) return false;
    this.#buf = this.#scratch;
    this.#off = this.#scratchEnd;
    this.#len = written;
    this.#scratchEnd += written;
    return true;
  }
}
