/**
 * QUIC (RFC 9000, 9369) and Google's QUIC, as far as they are in the clear or protected by keys anybody can derive: every
 * long-header packet up to the hello of its direction is a transaction.
 */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import type { TransactionRecord } from '../../pipeline/index.js';
import { be16, be32, le16, le32 } from '../../util/index.js';
import { ascii, printable } from '../bytes.js';
import { Directions, MessageTransaction, bytesBuffer } from '../message.js';
import { PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from '../parser.js';
import { ja3String, ja3sString, ja4, md5Hex } from '../tls/fingerprint.js';
import { parseHello, type Hello } from '../tls/hello.js';
import { InitialProtection, QUIC_V2 } from './protection.js';

const CONNECTION_ID_MAX = 20;
const CRYPTO_MAX = 16384;
const HELLO_TYPES = [1, 2] as const;
const TAGS_MAX = 256;
const GQUIC: Readonly<Record<number, string>> = { 0x51303433: '43', 0x51303434: '44', 0x51303435: '44', 0x51303436: '46' };
const Q046 = 0x51303436;
const PacketType = { INITIAL: 0, ZERO_RTT: 1, HANDSHAKE: 2, RETRY: 3 } as const;

export class QuicTransaction extends MessageTransaction {
  sni: Uint8Array | null = null;
  userAgent: Uint8Array | null = null;
  hello: Hello | null = null;
  /** Fingerprints of Google QUIC hellos (CYU). */
  readonly cyu: Uint8Array[] = [];
  readonly cyuHash: Uint8Array[] = [];

  constructor(
    id: number,
    dir: number,
    readonly version: Uint8Array,
  ) {
    super(id, dir);
  }

  fingerprint(): string | null {
    if (this.hello === null) return null;
    return this.dir === TO_SERVER ? ja3String(this.hello) : ja3sString(this.hello);
  }

  override record(): TransactionRecord {
    const text = (bytes: Uint8Array): string => printable(bytes, 0, bytes.length);
    const body: Record<string, unknown> = { version: text(this.version) };
    if (this.sni !== null) body['sni'] = text(this.sni);
    if (this.userAgent !== null) body['ua'] = text(this.userAgent);
    if (this.cyu.length > 0) body['cyu'] = this.cyu.map((string, i) => ({ hash: text(this.cyuHash[i]!), string: text(string) }));
    const string = this.fingerprint();
    if (string !== null) body[this.dir === TO_SERVER ? 'ja3' : 'ja3s'] = { hash: md5Hex(string), string };
    if (this.hello !== null && this.dir === TO_SERVER) body['ja4'] = ja4(this.hello, 'q');
    return { type: 'quic', body, toServer: this.dir === TO_SERVER };
  }
}

/** Handshake bytes of one direction, put together from CRYPTO frames in any order. */
class CryptoStream {
  readonly bytes = new Uint8Array(CRYPTO_MAX);
  readonly #known = new Uint8Array(CRYPTO_MAX);
  length = 0;

  add(offset: number, buf: Uint8Array, off: number, end: number): void {
    for (let i = off; i < end && offset + i - off < CRYPTO_MAX; i++) {
      this.bytes[offset + i - off] = buf[i]!;
      this.#known[offset + i - off] = 1;
    }
    while (this.length < CRYPTO_MAX && this.#known[this.length] === 1) this.length++;
  }
}

/** Position behind a variable-length integer (RFC 9000 section 16) and its value. */
class VarInt {
  value = 0;
  /** @returns position behind it, -1 when it does not fit */
  read(buf: Uint8Array, pos: number, end: number): number {
    if (pos >= end) return -1;
    const length = 1 << (buf[pos]! >> 6);
    if (pos + length > end) return -1;
    this.value = buf[pos]! & 63;
    for (let i = 1; i < length; i++) this.value = this.value * 256 + buf[pos + i]!;
    return pos + length;
  }
}

const varint = new VarInt();

/** A parsed long header. */
class LongHeader {
  version = 0;
  type = 0;
  dcid = 0;
  dcidLen = 0;
  /** Behind the connection ids. */
  body = 0;

  /** @returns false when the bytes are no long header of a version that is known */
  read(buf: Uint8Array, off: number, end: number): boolean {
    if (end - off < 7 || (buf[off]! & 0x80) === 0) return false;
    this.version = be32(buf, off + 1) >>> 0;
    const google = GQUIC[this.version] !== undefined;
    if (google) {
      const lengths = buf[off + 5]!;
      this.dcidLen = lengths >> 4 === 0 ? 0 : (lengths >> 4) + 3;
      this.dcid = off + 6;
      this.body = off + 6 + this.dcidLen + ((lengths & 15) === 0 ? 0 : (lengths & 15) + 3);
      this.type = this.version === Q046 ? (buf[off]! & 0x30) >> 4 : 0x7f - (buf[off]! & 0x7f);
      return this.body <= end;
    }
    this.dcidLen = buf[off + 5]!;
    this.dcid = off + 6;
    const source = this.dcid + this.dcidLen;
    if (this.dcidLen > CONNECTION_ID_MAX || source >= end || buf[source]! > CONNECTION_ID_MAX) return false;
    this.body = source + 1 + buf[source]!;
    const bits = (buf[off]! & 0x30) >> 4;
    this.type = this.version === QUIC_V2 ? (bits + 3) & 3 : bits;
    return this.body <= end && this.version !== 0;
  }
}

class QuicParser implements AppParser {
  #nextId = 0;
  #protection: InitialProtection | null = null;
  readonly #crypto: (CryptoStream | null)[] = [null, null];
  readonly #hello = [false, false];
  readonly #header = new LongHeader();

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    const header = this.#header;
    // one datagram may hold several packets (RFC 9000 section 12.2)
    while (pos < end && !this.#hello[dir] && header.read(buf, pos, end)) {
      const tx = new QuicTransaction(this.#nextId++, dir, buf.slice(pos + 1, pos + 5));
      flow.transactions.push(tx);
      if (GQUIC[header.version] !== undefined) {
        if (header.type === PacketType.INITIAL) googleFrames(tx, GQUIC[header.version]!, buf, header.body + 16, end);
        break;
      }
      pos = this.#packet(tx, dir, buf, pos, end);
    }
    return end - off;
  }

  /** @returns where the next packet of the datagram begins */
  #packet(tx: QuicTransaction, dir: number, buf: Uint8Array, off: number, end: number): number {
    const header = this.#header;
    let at = header.body;
    if (header.type === PacketType.RETRY) return end;
    if (header.type === PacketType.INITIAL) {
      at = varint.read(buf, at, end);
      if (at < 0 || at + varint.value > end) return end;
      at += varint.value; // token
    }
    at = varint.read(buf, at, end);
    if (at < 0 || at + varint.value > end) return end;
    const stop = at + varint.value;
    if (header.type !== PacketType.INITIAL) return stop;
    if (dir === TO_SERVER) this.#protection ??= InitialProtection.of(header.version, buf.slice(header.dcid, header.dcid + header.dcidLen));
    if (this.#protection === null) return stop;
    const payload = this.#protection.open(dir, buf, off, at, stop);
    if (payload === null) tx.addEvent('quic.failed_decrypt');
    else this.#frames(tx, dir, payload);
    return stop;
  }

  /** Frames an Initial packet may hold (RFC 9000 section 17.2.2). */
  #frames(tx: QuicTransaction, dir: number, buf: Uint8Array): void {
    const stream = (this.#crypto[dir] ??= new CryptoStream());
    let pos = 0;
    while (pos >= 0 && pos < buf.length) {
      const type = buf[pos++]!;
      if (type === 0 || type === 1) continue; // PADDING, PING
      if (type === 2 || type === 3) pos = ackEnd(buf, pos, type === 3);
      else if (type === 6) {
        pos = varint.read(buf, pos, buf.length);
        const offset = varint.value;
        if (pos >= 0) pos = varint.read(buf, pos, buf.length);
        const length = varint.value;
        if (pos < 0 || pos + length > buf.length) break;
        stream.add(offset, buf, pos, pos + length);
        pos += length;
      } else break; // CONNECTION_CLOSE, or nothing that belongs here
    }
    if (pos < 0) tx.addEvent('quic.error_on_data');
    this.#tryHello(tx, dir, stream);
  }

  #tryHello(tx: QuicTransaction, dir: number, { bytes, length }: CryptoStream): void {
    if (length < 4 || bytes[0] !== HELLO_TYPES[dir]) return;
    const size = 4 + ((bytes[1]! << 16) | be16(bytes, 2));
    if (length < size) return;
    tx.hello = parseHello(bytes, 4, size, dir === TO_SERVER);
    tx.sni = tx.hello?.sni ?? null;
    this.#hello[dir] = true;
    this.#crypto[dir] = null;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // datagrams are whole
  }
}

/** End of an ACK frame whose type byte lies before `off` (RFC 9000 section 19.3); -1 when it does not fit. */
function ackEnd(buf: Uint8Array, off: number, counts: boolean): number {
  let pos = off;
  let left = 4; // largest, delay, count of ranges, first range
  for (let i = 0; left > 0 && pos >= 0; i++, left--) {
    pos = varint.read(buf, pos, buf.length);
    if (i === 2) left += varint.value * 2 + (counts ? 3 : 0);
  }
  return pos;
}

/** STREAM frames of Google QUIC with a hello of tags and values. */
function googleFrames(tx: QuicTransaction, version: string, buf: Uint8Array, off: number, end: number): void {
  let pos = off;
  while (pos < end && buf[pos] === 0) pos++;
  if (pos >= end || (buf[pos]! & 0x80) === 0) return;
  const flags = buf[pos]!;
  const offsetBits = (flags >> 2) & 7;
  pos += 1 + (flags & 3) + 1 + (offsetBits === 0 ? 0 : offsetBits + 1) + ((flags & 0x20) !== 0 ? 2 : 0);
  if (pos + 8 > end || printable(buf, pos, 4) !== 'CHLO') return;
  const count = le16(buf, pos + 4);
  const table = pos + 8;
  const values = table + count * 8;
  if (count > TAGS_MAX || values > end) return;
  const tags: string[] = [];
  let from = 0;
  for (let i = 0; i < count; i++) {
    const to = le32(buf, table + i * 8 + 4) >>> 0;
    if (to < from || values + to > end) return;
    let nameEnd = table + i * 8 + 4;
    while (nameEnd > table + i * 8 && buf[nameEnd - 1] === 0) nameEnd--;
    const tag = printable(buf, table + i * 8, nameEnd - table - i * 8);
    tags.push(tag);
    if (tag === 'SNI') tx.sni = buf.slice(values + from, values + to);
    else if (tag === 'UAID') tx.userAgent = buf.slice(values + from, values + to);
    from = to;
  }
  const string = `${version},${tags.join('-')}`;
  tx.cyu.push(ascii(string));
  tx.cyuHash.push(ascii(md5Hex(string)));
}

const probeHeader = new LongHeader();

function probe(buf: Uint8Array, off: number, end: number): number {
  if (!probeHeader.read(buf, off, end)) return PROBE_NO;
  const { version } = probeHeader;
  const known = GQUIC[version] !== undefined || version === 1 || version === QUIC_V2 || version >>> 8 === 0xff0000;
  return known ? PROBE_YES : PROBE_NO;
}

const { TO_SERVER: CLIENT, TO_CLIENT: SERVER, BOTH } = Directions;
type Bytes = (tx: QuicTransaction) => Uint8Array | null | undefined;
const field = (name: string, directions: number, bytes: Bytes): ReturnType<typeof bytesBuffer> => bytesBuffer<QuicTransaction>(name, directions, 1, (tx, dir, index) => (index === 0 && dir === tx.dir ? bytes(tx) : null));
const text = (value: string | null): Uint8Array | null => (value === null ? null : ascii(value));

export const QUIC_PROTOCOL: AppProtocol = {
  name: 'quic',
  transports: ['udp'],
  ports: [443, 80],
  probe,
  create: () => new QuicParser(),
  buffers: [
    field('quic.version', BOTH, (tx) => tx.version),
    field('quic.sni', CLIENT, (tx) => tx.sni),
    field('quic.ua', CLIENT, (tx) => tx.userAgent),
    bytesBuffer<QuicTransaction>('quic.cyu.hash', CLIENT, 1, (tx, _dir, index) => tx.cyuHash[index]),
    bytesBuffer<QuicTransaction>('quic.cyu.string', CLIENT, 1, (tx, _dir, index) => tx.cyu[index]),
    field('ja3.string', CLIENT, (tx) => text(tx.fingerprint())),
    field('ja3.hash', CLIENT, (tx) => (tx.hello === null ? null : ascii(md5Hex(tx.fingerprint()!)))),
    field('ja3s.string', SERVER, (tx) => text(tx.fingerprint())),
    field('ja3s.hash', SERVER, (tx) => (tx.hello === null ? null : ascii(md5Hex(tx.fingerprint()!)))),
    field('ja4.hash', CLIENT, (tx) => (tx.hello === null ? null : ascii(ja4(tx.hello, 'q')))),
  ],
  completeToServer: 1,
  completeToClient: 1,
  events: ['quic.failed_decrypt', 'quic.error_on_data'],
};
