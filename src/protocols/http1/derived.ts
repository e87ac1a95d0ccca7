/**
 * The texts of a message head that are put together from its fields: http.header, http.header_names, http.start. Each is
 * built once, on demand, into an arena that is reused with the head, so a stream of requests allocates none. A header block
 * that was sent as it would be written is not copied at all.
 */
import { COLON, CR, LF, SP, copyRange, grow } from '../bytes.js';
import { ByteSlice } from '../transaction.js';
import type { MessageHead } from './head.js';

export const Derived = { HEADER: 0, NAMES: 1, START: 2 } as const;
export type Derived = (typeof Derived)[keyof typeof Derived];

const NOT_BUILT = -1;
/** The text is a range of the head's raw block. */
const RAW = 1;
const ARENA = 0;

const name = new ByteSlice();
const value = new ByteSlice();

export class DerivedTexts {
  #arena: Uint8Array = new Uint8Array(0);
  #used = 0;
  readonly #off = new Int32Array(3);
  readonly #len = new Int32Array(3).fill(NOT_BUILT);
  readonly #where = new Uint8Array(3);

  /** Forget what was built: the fields have changed. */
  forget(): void {
    this.#used = 0;
    this.#len.fill(NOT_BUILT);
    if (this.#arena.length > 16384) this.#arena = new Uint8Array(0);
  }

  /**
   * @param cookieRow field that http.header leaves out, -1 = none
   * @returns false when there is nothing to build from
   */
  get(which: Derived, head: MessageHead, cookieRow: number, out: ByteSlice): boolean {
    if (this.#len[which] === NOT_BUILT) {
      if (which === Derived.HEADER && head.count === 0) return false;
      if (which === Derived.START && head.lineLen === 0) return false;
      if (which !== Derived.HEADER || cookieRow >= 0 || !this.#asSent(head)) this.#build(which, head, cookieRow);
    }
    const len = this.#len[which]!;
    return len > 0 && out.set(this.#where[which] === RAW ? head.raw : this.#arena, this.#off[which]!, len);
  }

  /** Do the fields stand in the raw block one after the other as "Name: value" CRLF? */
  #asSent(head: MessageHead): boolean {
    const { raw, count } = head;
    let at = -1;
    for (let row = 0; row < count; row++) {
      head.name(row, name);
      head.value(row, value);
      if (name.buf !== raw || value.buf !== raw || (row > 0 && name.off !== at)) return false;
      const colon = name.off + name.len;
      if (value.off !== colon + 2 || raw[colon] !== COLON || raw[colon + 1] !== SP) return false;
      at = value.off + value.len + 2;
      if (at > head.rawLen || raw[at - 2] !== CR || raw[at - 1] !== LF) return false;
    }
    head.name(0, name);
    this.#off[Derived.HEADER] = name.off;
    this.#len[Derived.HEADER] = at - name.off;
    this.#where[Derived.HEADER] = RAW;
    return true;
  }

  #build(which: Derived, head: MessageHead, cookieRow: number): void {
    const start = this.#used;
    this.#off[which] = start;
    this.#where[which] = ARENA;
    if (which === Derived.START) this.#put(head.raw, 0, head.lineLen);
    if (which !== Derived.HEADER) this.#lineEnd();
    for (let row = 0; row < head.count; row++) {
      if (which === Derived.HEADER && row === cookieRow) continue;
      head.name(row, name);
      this.#put(name.buf, name.off, name.len);
      if (which !== Derived.NAMES) {
        this.#byte(COLON);
        this.#byte(SP);
        head.value(row, value);
        this.#put(value.buf, value.off, value.len);
      }
      this.#lineEnd();
    }
    if (which !== Derived.HEADER) this.#lineEnd();
    this.#len[which] = this.#used - start;
  }

  #put(src: Uint8Array, off: number, len: number): void {
    this.#arena = grow(this.#arena, this.#used, this.#used + len);
    copyRange(src, off, len, this.#arena, this.#used);
    this.#used += len;
  }

  #byte(c: number): void {
    this.#arena = grow(this.#arena, this.#used, this.#used + 1);
    this.#arena[this.#used++] = c;
  }

  #lineEnd(): void {
    this.#byte(CR);
    this.#byte(LF);
  }
}
