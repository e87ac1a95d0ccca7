/**
 * DNP3 over TCP (IEEE 1815): link frames with checked CRCs, joined to application fragments. Every fragment is a
 * transaction, judged in its own direction. Progress: 1 fragment complete.
 */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import type { TransactionRecord } from '../../pipeline/index.js';
import { be16, le16 } from '../../util/index.js';
import { grow } from '../bytes.js';
import { Directions, bytesBuffer } from '../message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from '../parser.js';
import { Transaction } from '../transaction.js';
import { readObjects, type Dnp3Object } from './objects.js';

const START = 0x0564;
const LINK_HEADER = 10;
/** Link length counts control, destination and source. */
const LINK_MIN = 5;
const BLOCK = 16;
const CRC = 2;
/** Longest fragment put together. */
const FRAGMENT_MAX = 65536;
/** Requests without response after which the peer floods (Suricata's default). */
const FLOOD = 500;
const Link = { CONFIRMED_USER_DATA: 3, UNCONFIRMED_USER_DATA: 4 } as const;
const Transport = { FIN: 0x80, FIR: 0x40, SEQUENCE: 0x3f } as const;
const Fc = { CONFIRM: 0, READ: 1, RESPONSE: 129, UNSOLICITED: 130 } as const;
/** Function codes no response follows. */
const NO_REPLY: ReadonlySet<number> = new Set([6, 8, 10, 12, 33]);

export class Dnp3Transaction extends Transaction {
  readonly objects: Dnp3Object[] = [];
  buffer: Uint8Array = EMPTY;
  length = 0;
  indications = -1;

  constructor(
    id: number,
    readonly dir: number,
    readonly source: number,
    readonly destination: number,
    public sequence: number,
    readonly code: number,
    readonly applicationSequence: number,
  ) {
    super();
    this.id = id;
    this.dirtyToServer = dir === TO_SERVER;
    this.dirtyToClient = dir !== TO_SERVER;
    if (dir === TO_SERVER) this.doneToClient = true;
    else this.doneToServer = true;
  }

  finish(): void {
    this.progressToServer = this.progressToClient = 1;
    this.doneToServer = this.doneToClient = true;
    if (this.dir === TO_SERVER) this.dirtyToServer = true;
    else this.dirtyToClient = true;
  }

  override integer(name: string): number {
    if (name === 'dnp3.func') return this.code;
    return name === 'dnp3.ind' ? this.indications : -1;
  }

  hasObject(group: number, variation: number): boolean {
    return this.objects.some((object) => object.group === group && object.variation === variation);
  }

  override record(): TransactionRecord {
    const toServer = this.dir === TO_SERVER;
    const body = {
      src: this.source,
      dst: this.destination,
      application: { function_code: this.code, objects: this.objects.slice(0, 64).map(({ group, variation }) => ({ group, variation })) },
      ...(this.indications >= 0 ? { iin: this.indications } : {}),
    };
    return { type: 'dnp3', body: { type: toServer ? 'request' : 'response', ...body }, toServer };
  }
}

const EMPTY = new Uint8Array(0);

/** CRC of link blocks (IEEE 1815 section 9.2.4.4): polynomial 0x3d65, reflected, complemented. */
function crcFits(buf: Uint8Array, off: number, len: number): boolean {
  let crc = 0;
  for (let i = 0; i < len; i++) {
    crc ^= buf[off + i]!;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0xa6bc : crc >>> 1;
  }
  return le16(buf, off + len) === (~crc & 0xffff);
}

/** Bytes of a frame on the wire for a link length, CRCs included. */
function frameLength(length: number): number {
  const user = length - LINK_MIN;
  return LINK_HEADER + user + CRC * Math.ceil(user / BLOCK);
}

class Dnp3Parser implements AppParser {
  #nextId = 0;
  #unanswered = 0;
  /** Fragment under construction per direction. */
  readonly #open: [Dnp3Transaction | null, Dnp3Transaction | null] = [null, null];
  /** User data of the frame in hand, without CRCs. */
  readonly #user = new Uint8Array(256);

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    if (dir !== TO_SERVER && isBanner(buf, off, end)) return end - off;
    while (end - pos >= LINK_HEADER) {
      if (be16(buf, pos) !== START) return -1;
      if (!crcFits(buf, pos, 8)) {
        this.#raise(flow, dir, 'dnp3.bad_link_crc');
        return -1;
      }
      const length = buf[pos + 2]!;
      if (length < LINK_MIN) {
        this.#raise(flow, dir, 'dnp3.len_too_small');
        return -1;
      }
      const whole = frameLength(length);
      if (end - pos < whole) break;
      const kind = buf[pos + 3]! & 15;
      if (kind === Link.CONFIRMED_USER_DATA || kind === Link.UNCONFIRMED_USER_DATA) this.#frame(flow, dir, buf, pos, length);
      pos += whole;
    }
    return pos - off;
  }

  #frame(flow: Flow, dir: number, buf: Uint8Array, off: number, length: number): void {
    if (length < LINK_MIN + 1 + (dir === TO_SERVER ? 2 : 4)) {
      this.#raise(flow, dir, 'dnp3.len_too_small');
      return;
    }
    let left = length - LINK_MIN;
    let at = off + LINK_HEADER;
    let n = 0;
    while (left > 0) {
      const block = Math.min(BLOCK, left);
      if (!crcFits(buf, at, block)) {
        this.#raise(flow, dir, 'dnp3.bad_transport_crc');
        return;
      }
      for (let i = 0; i < block; i++) this.#user[n++] = buf[at + i]!;
      at += block + CRC;
      left -= block;
    }
    this.#segment(flow, dir, le16(buf, off + 6), le16(buf, off + 4), n);
  }

  /** One transport segment in `#user`: transport header, then part of an application fragment. */
  #segment(flow: Flow, dir: number, source: number, destination: number, length: number): void {
    const user = this.#user;
    const header = user[0]!;
    const sequence = header & Transport.SEQUENCE;
    let tx = this.#open[dir]!;
    if ((header & Transport.FIR) !== 0) {
      const code = user[2]!;
      if (code === Fc.CONFIRM) return;
      tx = new Dnp3Transaction(this.#nextId++, dir, source, destination, sequence, code, user[1]! & 15);
      flow.transactions.push(tx);
      this.#open[dir]?.finish();
      this.#open[dir] = tx;
      if (dir === TO_SERVER) {
        if (++this.#unanswered > FLOOD) tx.addEvent('dnp3.flooded');
      } else if (this.#unanswered > 0 && code !== Fc.UNSOLICITED) this.#unanswered--;
    } else if (tx === null || tx.source !== source || tx.destination !== destination || ((tx.sequence + 1) & Transport.SEQUENCE) !== sequence) return;
    else tx.sequence = sequence;
    if (tx.length + length - 1 > FRAGMENT_MAX) {
      tx.addEvent('dnp3.malformed');
      tx.finish();
      this.#open[dir] = null;
      return;
    }
    tx.buffer = grow(tx.buffer, tx.length, tx.length + length - 1);
    tx.buffer.set(user.subarray(1, length), tx.length);
    tx.length += length - 1;
    if ((header & Transport.FIN) === 0) return;
    this.#open[dir] = null;
    if (NO_REPLY.has(tx.code) && dir === TO_SERVER && this.#unanswered > 0) this.#unanswered--;
    let from = 2;
    if (dir !== TO_SERVER && tx.length >= 4) {
      tx.indications = be16(tx.buffer, 2);
      from = 4;
    }
    const event = readObjects(tx.buffer, from, tx.length, tx.objects, tx.code === Fc.READ);
    if (event !== '') tx.addEvent(event);
    tx.finish();
  }

  /** An event goes to the fragment under construction, or to a transaction of its own. */
  #raise(flow: Flow, dir: number, event: string): void {
    let tx = this.#open[dir]!;
    if (tx === null) {
      tx = new Dnp3Transaction(this.#nextId++, dir, 0, 0, 0, -1, 0);
      tx.finish();
      flow.transactions.push(tx);
    }
    tx.addEvent(event);
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // frames are complete or not there
  }
}

/** Some outstations greet with a line of text that names the protocol. */
function isBanner(buf: Uint8Array, off: number, end: number): boolean {
  let named = false;
  for (let i = off; i < end && i < off + 256; i++) {
    const c = buf[i]!;
    if ((c < 32 || c > 126) && c !== 10 && c !== 13) return false;
    if (c === 68 && buf[i + 1] === 78 && buf[i + 2] === 80 && buf[i + 3] === 51 && i + 4 <= end) named = true;
  }
  return named;
}

function probe(buf: Uint8Array, off: number, end: number): number {
  if (isBanner(buf, off, end)) return PROBE_YES;
  if (end - off < LINK_HEADER) return end - off < 2 ? (buf[off] === 5 ? PROBE_MORE : PROBE_NO) : be16(buf, off) === START ? PROBE_MORE : PROBE_NO;
  return be16(buf, off) === START && buf[off + 2]! >= LINK_MIN ? PROBE_YES : PROBE_NO;
}

export const DNP3_PROTOCOL: AppProtocol = {
  name: 'dnp3',
  transports: ['tcp'],
  ports: [20000],
  portsOnly: true,
  probe,
  create: () => new Dnp3Parser(),
  buffers: [bytesBuffer<Dnp3Transaction>('dnp3_data', Directions.BOTH, 1, (tx, _dir, index) => (index === 0 && tx.length > 0 ? tx.buffer.subarray(0, tx.length) : null))],
  completeToServer: 1,
  completeToClient: 1,
  events: ['dnp3.flooded', 'dnp3.len_too_small', 'dnp3.bad_link_crc', 'dnp3.bad_transport_crc', 'dnp3.malformed', 'dnp3.unknown_object', 'dnp3.too_many_points', 'dnp3.too_many_objects'],
};
