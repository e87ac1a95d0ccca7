/**
 * The end behind the appliance, as evasions see it: takes the frames that really came out, and says which bytes its
 * applications read. Overlaps are settled by the policy of a family of systems (Novak and Sturges, "Target-based TCP stream
 * reassembly"; Shankar and Paxson, "Active mapping"). Small and slow on purpose, and independent of the code under test.
 */
import { ACK, FIN, RST, SYN, URG, sum } from './wire.js';

/** Which bytes win where an unread segment or fragment overlaps an earlier one. */
export const PERSONALITIES = ['first', 'last', 'bsd', 'linux', 'windows'] as const;
export type Personality = (typeof PERSONALITIES)[number];

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** Does the later piece win over bytes of the earlier one? */
function laterWins(who: Personality, earlier: Piece, later: Piece): boolean {
  switch (who) {
    case 'first':
      return false;
    case 'last':
      return true;
    case 'bsd':
      return later.start < earlier.start;
    case 'linux':
      return later.start <= earlier.start;
    case 'windows':
      return later.start < earlier.start && later.end > earlier.end;
  }
}

/** Bytes at offsets, with the piece that owns each of them. */
class Overlay {
  readonly owners = new Map<number, Piece>();

  put(who: Personality, piece: Piece): void {
    for (let at = piece.start; at < piece.end; at++) {
      const owner = this.owners.get(at);
      if (owner === undefined || laterWins(who, owner, piece)) this.owners.set(at, piece);
    }
  }

  byte(at: number): number | undefined {
    const owner = this.owners.get(at);
    return owner === undefined ? undefined : owner.bytes[at - owner.start];
  }
}

interface Connection {
  isn: number;
  overlay: Overlay;
  /** Stream offset that is read next, and what was read. */
  next: number;
  read: number[];
  fin: number;
  closed: boolean;
  tsRecent: number;
  timestamps: boolean;
  /** Stream offsets of bytes that went out of band. */
  urgent: Set<number>;
}

export interface HostOptions {
  /** Urgent bytes are taken out of the stream, as sockets without SO_OOBINLINE do. */
  readonly outOfBand?: boolean;
  /** Data on a SYN is kept, and read once the handshake is complete (RFC 9293 section 3.10.7.2). */
  readonly synData?: boolean;
  /** Data on a SYN with a fast-open cookie is read at once (RFC 7413). */
  readonly fastOpen?: boolean;
  /** Fragments with a TTL below this never arrived. */
  readonly minTtl?: number;
  /** Seconds until fragments are forgotten. */
  readonly fragmentTimeout?: number;
}

const WINDOW = 65_535;

export class EndHost {
  readonly datagrams: Uint8Array[] = [];
  readonly #connections = new Map<string, Connection>();
  readonly #fragments = new Map<string, { overlay: Overlay; total: number; proto: number; since: number }>();
  #last: Connection | null = null;

  constructor(
    readonly who: Personality,
    readonly options: HostOptions = {},
  ) {}

  /** Everything read from the connections, oldest first. */
  get text(): string {
    return [...this.#connections.values()].map((c) => Buffer.from(c.read).toString('latin1')).join('');
  }

  /** Sequence number the newest connection waits for. */
  get expected(): number {
    const c = this.#last;
    return c === null ? 0 : (c.isn + 1 + c.next + (c.closed ? 1 : 0)) | 0;
  }

  get connected(): boolean {
    return this.#last !== null;
  }

  receive(frame: Uint8Array, now = 0): void {
    let at = 12;
    let type = (frame[at]! << 8) | frame[at + 1]!;
    while (type === 0x8100 || type === 0x88a8) {
      at += 4;
      type = (frame[at]! << 8) | frame[at + 1]!;
    }
    const packet = frame.subarray(at + 2);
    if (type === 0x0800) this.#ipv4(packet, (frame[0]! & 1) !== 0, now);
    else if (type === 0x86dd) this.#ipv6(packet, now);
  }

  #ipv4(p: Uint8Array, group: boolean, now: number): void {
    const header = (p[0]! & 15) * 4;
    const total = (p[2]! << 8) | p[3]!;
    if (p[0]! >>> 4 !== 4 || header < 20 || total > p.length || sum(p.subarray(0, header)) !== 0xffff) return;
    if (p[8]! < (this.options.minTtl ?? 0)) return;
    const flags = (p[6]! << 8) | p[7]!;
    const offset = (flags & 0x1fff) * 8;
    const more = (flags & 0x2000) !== 0;
    const payload = p.subarray(header, total);
    const ends = p.subarray(12, 20);
    if (offset === 0 && !more) return this.#transport(ends, p[9]!, payload, group);
    const key = `${Buffer.from(ends).toString('hex')}/${(p[4]! << 8) | p[5]!}/${p[9]}`;
    const whole = this.#fragment(key, p[9]!, offset, more, payload, now);
    if (whole !== null) this.#transport(ends, p[9]!, whole, group);
  }

  #ipv6(p: Uint8Array, now: number): void {
    const end = 40 + ((p[4]! << 8) | p[5]!);
    if (p[0]! >>> 4 !== 6 || end > p.length) return;
    const ends = p.subarray(8, 40);
    let next = p[6]!;
    let at = 40;
    while (next === 0 || next === 60 || next === 43) {
      next = p[at]!;
      at += (p[at + 1]! + 1) * 8;
    }
    if (next !== 44) return this.#transport(ends, next, p.subarray(at, end), false);
    const offset = ((p[at + 2]! << 8) | p[at + 3]!) & 0xfff8;
    const more = (p[at + 3]! & 1) !== 0;
    const inner = p[at]!;
    const payload = p.subarray(at + 8, end);
    if (offset === 0 && !more) return this.#v6Payload(ends, inner, payload);
    const key = `${Buffer.from(ends).toString('hex')}/${Buffer.from(p.subarray(at + 4, at + 8)).toString('hex')}`;
    const whole = this.#fragment(key, inner, offset, more, payload, now);
    if (whole !== null) this.#v6Payload(ends, inner, whole);
  }

  /** Destination options may stand behind the fragment header. */
  #v6Payload(ends: Uint8Array, proto: number, p: Uint8Array): void {
    let next = proto;
    let at = 0;
    while (next === 60) {
      next = p[at]!;
      at += (p[at + 1]! + 1) * 8;
    }
    this.#transport(ends, next, p.subarray(at), false);
  }

  #fragment(key: string, proto: number, offset: number, more: boolean, payload: Uint8Array, now: number): Uint8Array | null {
    let d = this.#fragments.get(key);
    if (d === undefined || now - d.since > (this.options.fragmentTimeout ?? 30)) {
      d = { overlay: new Overlay(), total: -1, proto, since: now };
      this.#fragments.set(key, d);
    }
    d.overlay.put(this.who, { start: offset, end: offset + payload.length, bytes: payload.slice() });
    if (!more) d.total = offset + payload.length;
    if (d.total < 0) return null;
    const whole = new Uint8Array(d.total);
    for (let i = 0; i < d.total; i++) {
      const byte = d.overlay.byte(i);
      if (byte === undefined) return null;
      whole[i] = byte;
    }
    this.#fragments.delete(key);
    return whole;
  }

  #transport(ends: Uint8Array, proto: number, p: Uint8Array, group: boolean): void {
    const half = ends.length / 2;
    const check = (len: number): boolean => sum(p.subarray(0, len), sum(ends.subarray(0, half)) + sum(ends.subarray(half)) + proto + len) === 0xffff;
    if (proto === 17 && p.length >= 8) {
      const len = (p[4]! << 8) | p[5]!;
      if (len <= p.length && (((p[6]! << 8) | p[7]!) === 0 || check(len))) this.datagrams.push(p.slice(8, len));
      return;
    }
    // A host takes no TCP from frames to a group address (RFC 9293 section 3.10.7; RFC 1122 section 4.2.3.10).
    if (proto === 6 && p.length >= 20 && !group && check(p.length)) this.#tcp(Buffer.from(ends).toString('hex'), p);
  }

  #tcp(ends: string, p: Uint8Array): void {
    const word = (at: number): number => ((p[at]! << 24) | (p[at + 1]! << 16) | (p[at + 2]! << 8) | p[at + 3]!) | 0;
    const key = `${ends}/${word(0)}`;
    const seq = word(4);
    const flags = p[13]!;
    const header = (p[12]! >>> 4) * 4;
    if (header < 20 || header > p.length) return;
    const { tsVal, signed, fastOpen } = options(p.subarray(20, header));
    // RFC 2385: a signature nobody agreed on.
    if (signed) return;
    let data = p.slice(header);
    let c = this.#connections.get(key);
    if ((flags & (SYN | ACK | RST)) === SYN) {
      if (c !== undefined && !c.closed && c.read.length > 0) return;
      c = { isn: seq, overlay: new Overlay(), next: 0, read: [], fin: -1, closed: false, tsRecent: tsVal ?? 0, timestamps: tsVal !== null, urgent: new Set() };
      this.#connections.set(key, c);
      this.#last = c;
      const atOnce = fastOpen && this.options.fastOpen === true;
      if (data.length === 0 || (this.options.synData !== true && !atOnce)) return;
      c.overlay.put(this.who, { start: 0, end: data.length, bytes: data });
      if (atOnce) this.#deliver(c);
      return;
    }
    if (c === undefined || c.closed) return;
    const { next } = c;
    const offset = next + ((seq - ((c.isn + 1 + next) | 0)) | 0);
    if ((flags & RST) !== 0) {
      if (offset === next) c.closed = true;
      return;
    }
    if ((flags & ACK) === 0 || (flags & SYN) !== 0) return;
    if (c.timestamps) {
      if (tsVal === null || ((tsVal - c.tsRecent) | 0) < 0) return; // PAWS, RFC 7323 section 5
      if (offset <= next) c.tsRecent = tsVal;
    }
    if (offset >= next + WINDOW || offset + data.length < next) return;
    if (offset + data.length > next + WINDOW) data = data.slice(0, next + WINDOW - offset);
    if ((flags & URG) !== 0 && this.options.outOfBand === true) {
      const at = offset + ((p[18]! << 8) | p[19]!) - 1;
      if (at >= next && at < offset + data.length) c.urgent.add(at);
    }
    const start = Math.max(offset, next);
    if (start < offset + data.length) c.overlay.put(this.who, { start, end: offset + data.length, bytes: data.slice(start - offset) });
    if ((flags & FIN) !== 0 && c.fin < 0) c.fin = offset + data.length;
    this.#deliver(c);
  }

  #deliver(c: Connection): void {
    for (;;) {
      if (c.fin >= 0 && c.next >= c.fin) {
        c.closed = true;
        return;
      }
      const byte = c.overlay.byte(c.next);
      if (byte === undefined) return;
      if (!c.urgent.delete(c.next)) c.read.push(byte);
      c.overlay.owners.delete(c.next++);
    }
  }
}

/** What matters to acceptance: the timestamp, and an MD5 signature. */
function options(bytes: Uint8Array): { tsVal: number | null; signed: boolean; fastOpen: boolean } {
  let tsVal: number | null = null;
  let signed = false;
  let fastOpen = false;
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    if (bytes[at] === 1) {
      at++;
      continue;
    }
    const len = bytes[at + 1] ?? 0;
    if (len < 2 || at + len > bytes.length) break;
    if (bytes[at] === 8 && len === 10) tsVal = ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) | 0;
    if (bytes[at] === 19) signed = true;
    if (bytes[at] === 34) fastOpen = true;
    at += len;
  }
  return { tsVal, signed, fastOpen };
}
