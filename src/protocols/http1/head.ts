/**
 * One message head: the start line, the raw header block and a table of fields. All bytes lie in two growing arenas that
 * are pooled, so that a stream of requests allocates none. Folded lines and repeated fields are joined in the second arena.
 */
import { ascii, copyRange, equalsNoCase, findNoCase, grow, lower } from '../bytes.js';
import type { ByteSlice } from '../transaction.js';
import { Derived, DerivedTexts } from './derived.js';

/** Fields the parser or a buffer asks for by name. The index is the field id. */
const NAMES = [
  'host', 'content-length', 'transfer-encoding', 'content-encoding', 'content-type', 'cookie', 'set-cookie', 'user-agent', 'referer', 'accept',
  'accept-encoding', 'accept-language', 'connection', 'location', 'server', 'content-disposition', 'expect', 'authorization', 'upgrade', 'content-range',
  'x-forwarded-for',
] as const;
export type FieldName = (typeof NAMES)[number];
/** Field name -> id. */
export const FIELD = Object.freeze(Object.fromEntries(NAMES.map((name, id) => [name, id]))) as Readonly<Record<FieldName, number>>;
const NAME_BYTES = NAMES.map(ascii);
/** Ids by length of the name, so that most names are told apart by one array look-up. */
const BY_LENGTH: number[][] = Array.from({ length: 32 }, () => []);
NAMES.forEach((name, id) => BY_LENGTH[name.length]!.push(id));

/** Columns of a field row. */
const NAME = 0; //   offset of the name in raw
const NAME_LEN = 1;
const VALUE = 2; //  offset of the value, in raw or extra
const VALUE_LEN = 3;
const FLAGS = 4;
const HASH = 5;
const COLUMNS = 6;
/** Row flags: which arena, and whether the name came more than once. */
const NAME_EXTRA = 1;
const VALUE_EXTRA = 2;
const REPEATED = 4;

/** Columns of a row of the list of all fields as they came. */
const SEEN_EXTRA = 0;
const SEEN_NAME = 1;
const SEEN_NAME_LEN = 2;
const SEEN_VALUE = 3;
const SEEN_VALUE_LEN = 4;
const SEEN_COLUMNS = 5;
const NO_ROWS = new Int32Array(0);

/** Fields beyond this many are not kept (libhtp's number_headers_limit). */
export const FIELD_LIMIT = 1024;

export class MessageHead {
  /** Start line without its line end, then the raw header block. */
  raw: Uint8Array = new Uint8Array(512);
  rawLen = 0;
  lineLen = 0;
  /** Start of the raw header block in `raw`. */
  blockOff = 0;
  count = 0;
  /** Times a repeated field was dropped or joined. */
  repetitions = 0;
  /** Keep the list of all fields as they came, too: repeated ones are not joined there. */
  keepsAll = false;
  /** Rows of that list, and whether some did not fit. */
  seen = 0;
  seenLost = false;
  #seen: Int32Array = NO_ROWS;
  #extra: Uint8Array = new Uint8Array(0);
  #extraLen = 0;
  #rows = new Int32Array(COLUMNS * 16);
  readonly #known = new Int16Array(NAMES.length).fill(-1);
  readonly #derived = new DerivedTexts();

  reset(): void {
    this.rawLen = 0;
    this.lineLen = 0;
    this.blockOff = 0;
    this.clearFields();
    this.keepsAll = false;
    if (this.#seen.length > SEEN_COLUMNS * 128) this.#seen = NO_ROWS;
    if (this.raw.length > 16384) this.raw = new Uint8Array(512);
    if (this.#extra.length > 16384) this.#extra = new Uint8Array(0);
    if (this.#rows.length > COLUMNS * 128) this.#rows = new Int32Array(COLUMNS * 16);
  }

  /** Forget the fields (an interim 100 response), keep nothing of the raw block. */
  clearFields(): void {
    this.count = 0;
    this.repetitions = 0;
    this.seen = 0;
    this.seenLost = false;
    this.#extraLen = 0;
    this.#known.fill(-1);
    this.#derived.forget();
  }

  /** The fields have changed: forget what was built from them. */
  forgetDerived(): void {
    this.#derived.forget();
  }

  /** All fields as "Name: value" lines, without the one in row `cookieRow` (http.header). */
  header(cookieRow: number, out: ByteSlice): boolean {
    return this.#derived.get(Derived.HEADER, this, cookieRow, out);
  }

  /** CRLF, every name followed by CRLF, CRLF (http.header_names). */
  names(out: ByteSlice): boolean {
    return this.#derived.get(Derived.NAMES, this, -1, out);
  }

  /** Start line and all fields, as Suricata rebuilds them (http.start). */
  start(out: ByteSlice): boolean {
    return this.#derived.get(Derived.START, this, -1, out);
  }

  appendRaw(buf: Uint8Array, off: number, len: number): number {
    const at = this.rawLen;
    this.raw = grow(this.raw, at, at + len);
    copyRange(buf, off, len, this.raw, at);
    this.rawLen = at + len;
    return at;
  }

  appendExtra(buf: Uint8Array, off: number, len: number): number {
    const at = this.#extraLen;
    this.#extra = grow(this.#extra, at, at + len);
    copyRange(buf, off, len, this.#extra, at);
    this.#extraLen = at + len;
    return at;
  }

  get extra(): Uint8Array {
    return this.#extra;
  }

  /**
   * Add a field whose bytes lie in `raw` (inExtra false) or in the extra arena.
   * @returns the row it is kept in: its own, that of the first field of this name, or -1 when there are too many
   */
  addField(inExtra: boolean, nameOff: number, nameLen: number, valueOff: number, valueLen: number): number {
    if (this.keepsAll) this.keepField(inExtra, nameOff, nameLen, valueOff, valueLen);
    const src = inExtra ? this.#extra : this.raw;
    let hash = 0;
    let real = 0; // length of the name without NUL bytes
    for (let i = nameOff; i < nameOff + nameLen; i++) {
      const c = src[i]!;
      if (c === 0) continue;
      hash = (Math.imul(hash, 31) + lower(c)) | 0;
      real++;
    }
    const id = real < 32 ? this.#identify(src, nameOff, nameLen, real) : -1;
    const first = id >= 0 ? this.#known[id]! : nameLen === 0 ? -1 : this.#findRow(src, nameOff, nameLen, hash);
    if (first >= 0) {
      this.#repeat(first, id, inExtra, valueOff, valueLen);
      return first;
    }
    if (this.count >= FIELD_LIMIT) return -1;
    const row = this.count++;
    const at = row * COLUMNS;
    if (at + COLUMNS > this.#rows.length) {
      const rows = new Int32Array(this.#rows.length * 2);
      rows.set(this.#rows);
      this.#rows = rows;
    }
    const rows = this.#rows;
    rows[at + NAME] = nameOff;
    rows[at + NAME_LEN] = nameLen;
    rows[at + VALUE] = valueOff;
    rows[at + VALUE_LEN] = valueLen;
    rows[at + FLAGS] = inExtra ? NAME_EXTRA | VALUE_EXTRA : 0;
    rows[at + HASH] = hash;
    if (id >= 0) this.#known[id] = row;
    return row;
  }

  /** Add a field to the list of all fields only. Its bytes lie as for addField. */
  keepField(inExtra: boolean, nameOff: number, nameLen: number, valueOff: number, valueLen: number): void {
    if (this.seen >= FIELD_LIMIT) {
      this.seenLost = true;
      return;
    }
    const at = this.seen++ * SEEN_COLUMNS;
    if (at + SEEN_COLUMNS > this.#seen.length) {
      const rows = new Int32Array(Math.max(SEEN_COLUMNS * 16, this.#seen.length * 2));
      rows.set(this.#seen);
      this.#seen = rows;
    }
    const rows = this.#seen;
    rows[at + SEEN_EXTRA] = inExtra ? 1 : 0;
    rows[at + SEEN_NAME] = nameOff;
    rows[at + SEEN_NAME_LEN] = nameLen;
    rows[at + SEEN_VALUE] = valueOff;
    rows[at + SEEN_VALUE_LEN] = valueLen;
  }

  /** Field `index` of the list of all fields (keepsAll). */
  fieldSeen(index: number, name: ByteSlice, value: ByteSlice): void {
    const at = index * SEEN_COLUMNS;
    const rows = this.#seen;
    const src = rows[at + SEEN_EXTRA] === 0 ? this.raw : this.#extra;
    name.set(src, rows[at + SEEN_NAME]!, rows[at + SEEN_NAME_LEN]!);
    value.set(src, rows[at + SEEN_VALUE]!, rows[at + SEEN_VALUE_LEN]!);
  }

  #identify(src: Uint8Array, off: number, len: number, real: number): number {
    const ids = BY_LENGTH[real]!;
    for (let k = 0; k < ids.length; k++) {
      const word = NAME_BYTES[ids[k]!]!;
      if (len === real ? equalsNoCase(src, off, len, word) : findNoCase(src, off, off + len, word) >= 0) return ids[k]!;
    }
    return -1;
  }

  #findRow(src: Uint8Array, off: number, len: number, hash: number): number {
    const rows = this.#rows;
    for (let row = 0, at = 0; row < this.count; row++, at += COLUMNS) {
      if (rows[at + HASH] !== hash || rows[at + NAME_LEN] !== len) continue;
      const other = rows[at + FLAGS]! & NAME_EXTRA ? this.#extra : this.raw;
      const o = rows[at + NAME]!;
      let i = 0;
      while (i < len && lower(src[off + i]!) === lower(other[o + i]!)) i++;
      if (i === len) return row;
    }
    return -1;
  }

  /** A field came again: values are joined with ", " (RFC 9110 section 5.3), except Content-Length, where the first stands. */
  #repeat(row: number, id: number, inExtra: boolean, valueOff: number, valueLen: number): void {
    const rows = this.#rows;
    const at = row * COLUMNS;
    this.repetitions++;
    rows[at + FLAGS]! |= REPEATED;
    // a bounded number of joins, or a flood of one name would cost quadratic time
    if (id === FIELD['content-length'] || this.repetitions > 64) return;
    const oldLen = rows[at + VALUE_LEN]!;
    const total = oldLen + 2 + valueLen;
    const start = this.#extraLen;
    this.#extra = grow(this.#extra, start, start + total);
    const extra = this.#extra;
    copyRange(rows[at + FLAGS]! & VALUE_EXTRA ? extra : this.raw, rows[at + VALUE]!, oldLen, extra, start);
    extra[start + oldLen] = 44;
    extra[start + oldLen + 1] = 32;
    copyRange(inExtra ? extra : this.raw, valueOff, valueLen, extra, start + oldLen + 2);
    this.#extraLen = start + total;
    rows[at + VALUE] = start;
    rows[at + VALUE_LEN] = total;
    rows[at + FLAGS]! |= VALUE_EXTRA;
  }

  /** Row of a known field, or -1. */
  find(id: number): number {
    return this.#known[id]!;
  }

  repeated(row: number): boolean {
    return (this.#rows[row * COLUMNS + FLAGS]! & REPEATED) !== 0;
  }

  name(row: number, out: ByteSlice): true {
    const at = row * COLUMNS;
    return out.set(this.#rows[at + FLAGS]! & NAME_EXTRA ? this.#extra : this.raw, this.#rows[at + NAME]!, this.#rows[at + NAME_LEN]!);
  }

  value(row: number, out: ByteSlice): true {
    const at = row * COLUMNS;
    return out.set(this.#rows[at + FLAGS]! & VALUE_EXTRA ? this.#extra : this.raw, this.#rows[at + VALUE]!, this.#rows[at + VALUE_LEN]!);
  }

  /** Value of a known field. @returns false when it is absent */
  field(id: number, out: ByteSlice): boolean {
    const row = this.#known[id]!;
    return row >= 0 && this.value(row, out);
  }
}

const POOL_MAX = 256;
const pool: MessageHead[] = [];

/** An empty head, from the pool when one is there. */
export function takeHead(): MessageHead {
  return pool.pop() ?? new MessageHead();
}

export function giveHead(head: MessageHead): void {
  if (pool.length >= POOL_MAX) return;
  head.reset();
  pool.push(head);
}
