/** DNS messages (RFC 1035): names with compression read loop-safe, questions and resource records into one arena. */
import { copyRange, grow } from '../bytes.js';

/** Labels and pointers followed for one name, and bytes of it that are kept (as Suricata). */
const LABELS_MAX = 255;
const NAME_MAX = 1025;
/** Records of a section that are kept. */
const RECORDS_MAX = 1024;
/** Bytes of names and data kept of one message. Compression lets 64 KiB stand for far more. */
const ARENA_MAX = 262144;

export const NameFlag = { TRUNCATED: 1, LOOP: 2, TOO_MANY_LABELS: 4 } as const;

/** One question or resource record; name and data lie in the message's arena. */
export interface ResourceRecord {
  readonly name: number;
  readonly nameLen: number;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  /** Decoded data: a dotted name for CNAME, NS, PTR, MX ..., the first text for TXT, the bytes as sent otherwise. */
  readonly data: number;
  readonly dataLen: number;
}

const NAME_DATA = new Set([2, 3, 4, 5, 7, 8, 9, 12, 39]); // NS MD MF CNAME MB MG MR PTR DNAME

export class DnsMessage {
  id = 0;
  flags = 0;
  readonly questions: ResourceRecord[] = [];
  readonly answers: ResourceRecord[] = [];
  readonly authorities: ResourceRecord[] = [];
  nameFlags = 0;
  arena: Uint8Array = new Uint8Array(64);
  #used = 0;
  #buf: Uint8Array = this.arena;
  #off = 0;
  #end = 0;
  #pos = 0;

  /** Parse buf[off, end). @returns false when the message is malformed; what was read until then stays */
  parse(buf: Uint8Array, off: number, end: number): boolean {
    if (end - off < 12) return false;
    this.#buf = buf;
    this.#off = off;
    this.#end = end;
    this.#pos = off + 12;
    this.id = this.#u16(off);
    this.flags = this.#u16(off + 2);
    const questions = this.#u16(off + 4);
    const good =
      this.#section(this.questions, questions, false) &&
      this.#section(this.answers, this.#u16(off + 6), true) &&
      this.#section(this.authorities, this.#u16(off + 8), true);
    this.#buf = this.arena; // the packet is only borrowed
    return good;
  }

  #u16(at: number): number {
    return (this.#buf[at]! << 8) | this.#buf[at + 1]!;
  }

  #section(list: ResourceRecord[], count: number, full: boolean): boolean {
    for (let i = 0; i < count; i++) {
      const name = this.#used;
      const next = this.#name(this.#pos);
      if (next < 0) return false;
      const nameLen = this.#used - name;
      const fixed = full ? 10 : 4;
      if (next + fixed > this.#end) return false;
      const type = this.#u16(next);
      const cls = this.#u16(next + 2);
      let ttl = 0;
      let data = this.#used;
      this.#pos = next + fixed;
      if (full) {
        ttl = ((this.#u16(next + 4) << 16) | this.#u16(next + 6)) >>> 0;
        const len = this.#u16(next + 8);
        if (this.#pos + len > this.#end) return false;
        data = this.#used;
        if (!this.#data(type, this.#pos, len)) return false;
        this.#pos += len;
      }
      if (list.length < RECORDS_MAX) list.push({ name, nameLen, type, class: cls, ttl, data, dataLen: this.#used - data });
    }
    return true;
  }

  #data(type: number, at: number, len: number): boolean {
    if (NAME_DATA.has(type)) return len === 0 || this.#name(at) >= 0;
    if (type === 15) return len < 3 ? true : this.#name(at + 2) >= 0; // MX: preference, exchange
    if (type === 33) return len < 7 ? true : this.#name(at + 6) >= 0; // SRV: priority, weight, port, target
    if (type === 6) return len === 0 || this.#name(at) >= 0; // SOA: primary server
    if (type === 16) {
      // TXT: character strings, joined
      const end = at + len;
      let i = at;
      while (i < end) {
        const n = this.#buf[i]!;
        if (i + 1 + n > end) return false;
        this.#keep(i + 1, n);
        i += 1 + n;
      }
      return true;
    }
    this.#keep(at, len);
    return true;
  }

  #keep(at: number, len: number): void {
    const room = Math.min(len, ARENA_MAX - this.#used);
    if (room <= 0) return;
    this.arena = grow(this.arena, this.#used, this.#used + room);
    copyRange(this.#buf, at, room, this.arena, this.#used);
    this.#used += room;
  }

  /** Append the dotted name at `at` to the arena. @returns the offset behind it in the message, or -1 */
  #name(at: number): number {
    const buf = this.#buf;
    const start = this.#used;
    let pos = at;
    let next = -1; // behind the first pointer
    let steps = 0;
    while (pos < this.#end) {
      const len = buf[pos]!;
      if (len === 0) return next < 0 ? pos + 1 : next;
      if (len < 64) {
        if (pos + 1 + len > this.#end) return -1;
        const have = this.#used - start;
        if (have < NAME_MAX) {
          if (have > 0) this.#dot();
          this.#keep(pos + 1, len);
          if (this.#used - start > NAME_MAX) {
            this.#used = start + NAME_MAX;
            this.nameFlags |= NameFlag.TRUNCATED;
          }
        } else this.nameFlags |= NameFlag.TRUNCATED;
        pos += 1 + len;
      } else if (len >= 192) {
        if (pos + 2 > this.#end) return -1;
        const target = this.#off + (((len & 63) << 8) | buf[pos + 1]!);
        if (target > this.#end) return -1;
        if (next < 0) next = pos + 2;
        if (target === pos) {
          this.nameFlags |= NameFlag.LOOP;
          return next;
        }
        pos = target;
      } else return -1;
      if (++steps > LABELS_MAX) {
        this.nameFlags |= NameFlag.TOO_MANY_LABELS;
        return next;
      }
    }
    return next < 0 ? pos : next;
  }

  #dot(): void {
    if (this.#used >= ARENA_MAX) return;
    this.arena = grow(this.arena, this.#used, this.#used + 1);
    this.arena[this.#used++] = 46;
  }
}
