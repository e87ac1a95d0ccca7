/**
 * TLS over TCP (RFC 8446, 5246) and SSLv2-style hellos: reads the handshake as far as it is in the clear, then declares the
 * flow encrypted. Handshake messages may be split over records and segments in any way.
 */
import type { Flow } from '../../flow/index.js';
import { grow } from '../bytes.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from '../parser.js';
import type { BufferSpec, ByteSlice, Transaction } from '../transaction.js';
import { parseCertificate } from './certificate.js';
import { Hello, parseHello } from './hello.js';
import { TlsProgress, TlsTransaction } from './transaction.js';

const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const HEARTBEAT = 24;

const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const CERTIFICATE = 11;

/** RFC 8446 section 5.1 allows 2^14 bytes in a record (plus expansion); older stacks were sloppier. */
const RECORD_MAX = 16384 + 2048;
/** Longest handshake message that is put together (a certificate chain). */
const MESSAGE_MAX = 131072;
const CERTIFICATES_MAX = 32;

/** Record layer and handshake stream of one direction. */
class TlsStream {
  header = 0; // bytes of the record header read so far
  type = 0;
  length = 0;
  left = 0;
  message: Uint8Array = new Uint8Array(0);
  messageLen = 0;

  /** Let go of the message that is being collected. */
  forget(): void {
    this.message = new Uint8Array(0);
    this.messageLen = 0;
  }
  started = false;
  done = false;
}

class TlsParser implements AppParser {
  encrypted = false;
  readonly #streams = [new TlsStream(), new TlsStream()] as const;
  #tx: TlsTransaction | null = null;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    const stream = this.#streams[dir]!;
    if (this.#tx === null) {
      this.#tx = new TlsTransaction();
      flow.transactions.push(this.#tx);
    }
    const tx = this.#tx;
    if (!stream.started) {
      const n = this.#sslv2(tx, dir, buf, off, end);
      if (n !== 0) return n < 0 ? 0 : n;
      stream.started = true;
    }
    let pos = off;
    while (pos < end && !stream.done) {
      if (stream.left === 0) {
        const c = buf[pos++]!;
        if (!this.#headerByte(tx, dir, stream, c)) return -1;
        continue;
      }
      const n = Math.min(stream.left, end - pos);
      if (stream.type === HANDSHAKE && !this.#handshake(tx, dir, stream, buf, pos, pos + n)) return -1;
      pos += n;
      stream.left -= n;
    }
    if (stream.done) pos = end;
    if (this.#streams[0].done && this.#streams[1].done) this.encrypted = true;
    return pos - off;
  }

  /** A hello in SSLv2 framing (RFC 5246 appendix E.2). @returns bytes taken, 0 when it is none, -1 when more are needed */
  #sslv2(tx: TlsTransaction, dir: number, buf: Uint8Array, off: number, end: number): number {
    if ((buf[off]! & 0x80) === 0) return 0;
    if (end - off < 5) return -1;
    const len = ((buf[off]! & 0x7f) << 8) | buf[off + 1]!;
    const kind = buf[off + 2]!;
    if (kind !== (dir === 0 ? 1 : 4) || len < 9) return 0;
    const hello = new Hello();
    const at = dir === 0 ? off + 3 : off + 5;
    hello.version = hello.realVersion = at + 1 < end ? (buf[at]! << 8) | buf[at + 1]! : 0x0002;
    tx.peer(dir).hello = hello;
    this.#progress(tx, dir, TlsProgress.HELLO);
    if (hello.version === 0x0002) this.#finishDirection(tx, dir); // nothing in it is worth decoding
    this.#streams[dir]!.started = true;
    if (end - off >= 2 + len) return 2 + len;
    // the rest of the record is skipped as an opaque one
    this.#streams[dir]!.left = 2 + len - (end - off);
    return end - off;
  }

  #headerByte(tx: TlsTransaction, dir: number, stream: TlsStream, c: number): boolean {
    switch (stream.header++) {
      case 0:
        stream.type = c;
        if (c < CHANGE_CIPHER_SPEC || c > HEARTBEAT) {
          tx.addEvent('tls.invalid_record_type');
          return false;
        }
        return true;
      case 1:
        if (c !== 3) {
          tx.addEvent('tls.invalid_record_version');
          return false;
        }
        return true;
      case 2:
        return true;
      case 3:
        stream.length = c << 8;
        return true;
      default:
        stream.header = 0;
        stream.left = stream.length | c;
        if (stream.left > RECORD_MAX) {
          tx.addEvent('tls.invalid_record_length');
          return false;
        }
        if (stream.type === ALERT && tx.peer(dir).hello === null) tx.addEvent('tls.error_message_encountered');
        // from here on this direction is encrypted
        if (stream.type === CHANGE_CIPHER_SPEC || stream.type === APPLICATION_DATA) this.#finishDirection(tx, dir);
        return true;
    }
  }

  /** Handshake bytes: complete messages are read in place, an incomplete one is collected. */
  #handshake(tx: TlsTransaction, dir: number, stream: TlsStream, buf: Uint8Array, off: number, end: number): boolean {
    let pos = off;
    while (pos < end && !stream.done) {
      if (stream.messageLen === 0 && end - pos >= 4) {
        const len = (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!;
        if (pos + 4 + len <= end) {
          this.#message(tx, dir, buf[pos]!, buf, pos + 4, pos + 4 + len);
          pos += 4 + len;
          continue;
        }
      }
      const have = stream.messageLen;
      const want = have < 4 ? 4 : 4 + ((stream.message[1]! << 16) | (stream.message[2]! << 8) | stream.message[3]!);
      if (want > MESSAGE_MAX) {
        tx.addEvent('tls.invalid_handshake_message');
        return false;
      }
      const n = Math.min(want - have, end - pos);
      stream.message = grow(stream.message, have, have + n);
      stream.message.set(buf.subarray(pos, pos + n), have);
      stream.messageLen = have + n;
      pos += n;
      if (have >= 4 && stream.messageLen === want) {
        this.#message(tx, dir, stream.message[0]!, stream.message, 4, want);
        stream.forget();
      } else if (stream.messageLen === 4 && want === 4 && (stream.message[1]! | stream.message[2]! | stream.message[3]!) === 0) {
        stream.messageLen = 0; // a message without body (server_hello_done)
      }
    }
    return true;
  }

  #message(tx: TlsTransaction, dir: number, type: number, buf: Uint8Array, off: number, end: number): void {
    const peer = tx.peer(dir);
    if (type === CLIENT_HELLO || type === SERVER_HELLO) {
      if ((type === CLIENT_HELLO) !== (dir === 0)) {
        tx.addEvent('tls.invalid_handshake_message');
        return;
      }
      if (peer.hello !== null) return; // a second hello (retry, duplicate) does not change what was judged
      const hello = parseHello(buf, off, end, type === CLIENT_HELLO);
      if (hello === null) {
        tx.addEvent('tls.handshake_invalid_length');
        return;
      }
      for (const name of hello.events) tx.addEvent(name);
      peer.hello = hello;
      this.#progress(tx, dir, TlsProgress.HELLO);
    } else if (type === CERTIFICATE) this.#certificates(tx, dir, buf, off, end);
  }

  /** Certificate message of TLS 1.2 and before: in TLS 1.3 it is encrypted. */
  #certificates(tx: TlsTransaction, dir: number, buf: Uint8Array, off: number, end: number): void {
    const peer = tx.peer(dir);
    if (end - off < 3 || peer.chainLength >= 0) return;
    let pos = off + 3;
    let count = 0;
    while (pos + 3 <= end) {
      const len = (buf[pos]! << 16) | (buf[pos + 1]! << 8) | buf[pos + 2]!;
      pos += 3;
      if (pos + len > end) {
        tx.addEvent('tls.certificate_invalid_length');
        break;
      }
      count++;
      if (peer.certificates.length < CERTIFICATES_MAX) peer.certificates.push(buf.slice(pos, pos + len));
      pos += len;
    }
    peer.chainLength = count;
    const leaf = peer.certificates[0];
    if (leaf !== undefined) {
      peer.certificate = parseCertificate(leaf);
      if (peer.certificate === null) tx.addEvent('tls.certificate_invalid_der');
    }
    this.#progress(tx, dir, TlsProgress.CERTIFICATE);
  }

  #progress(tx: TlsTransaction, dir: number, progress: number): void {
    if (dir === 0) {
      tx.progressToServer = Math.max(tx.progressToServer, progress);
      tx.dirtyToServer = true;
    } else {
      tx.progressToClient = Math.max(tx.progressToClient, progress);
      tx.dirtyToClient = true;
    }
  }

  #finishDirection(tx: TlsTransaction, dir: number): void {
    const stream = this.#streams[dir]!;
    if (stream.done) return;
    stream.done = true;
    stream.forget();
    this.#progress(tx, dir, TlsProgress.DONE);
    if (dir === 0) tx.doneToServer = true;
    else tx.doneToClient = true;
  }

  gap(_flow: Flow, dir: number, _position: number, length: number): boolean {
    const stream = this.#streams[dir]!;
    if (stream.done) return true;
    if (stream.type === HANDSHAKE || length > stream.left) return false;
    stream.left -= length;
    return true;
  }

  close(_flow: Flow, dir: number): void {
    this.#streams[dir]!.forget();
  }
}

function probe(buf: Uint8Array, off: number, end: number, dir: number): number {
  if (end - off < 3) return buf[off] === HANDSHAKE || buf[off] === ALERT || (buf[off]! & 0x80) !== 0 ? PROBE_MORE : PROBE_NO;
  const type = buf[off]!;
  if ((type === HANDSHAKE || (type === ALERT && dir === 1)) && buf[off + 1] === 3 && buf[off + 2]! <= 4) return PROBE_YES;
  if ((type & 0x80) === 0 || buf[off + 2] !== 1 || dir !== 0) return PROBE_NO;
  if (end - off < 5) return PROBE_MORE;
  const v2 = buf[off + 3] === 0 && buf[off + 4] === 2;
  return v2 || (buf[off + 3] === 3 && buf[off + 4]! <= 3) ? PROBE_YES : PROBE_NO;
}

type Bytes = (tx: TlsTransaction, dir: number) => Uint8Array | null | undefined;

function spec(name: string, toServer: boolean, toClient: boolean, minProgress: number, bytes: Bytes): BufferSpec<Transaction> {
  return {
    name,
    toServer,
    toClient,
    minProgress,
    get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
      const value = index === 0 ? bytes(tx as TlsTransaction, dir) : null;
      return value !== null && value !== undefined && out.set(value, 0, value.length);
    },
  };
}

function part(name: string, from: number, to: number): BufferSpec<Transaction> {
  return {
    name,
    toServer: true,
    toClient: true,
    minProgress: TlsProgress.HELLO,
    get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
      const random = (tx as TlsTransaction).peer(dir).hello?.random;
      return index === 0 && random !== undefined && random.length === 32 && out.set(random, from, to - from);
    },
  };
}

const { HELLO, CERTIFICATE: CERT } = TlsProgress;
const BUFFERS: readonly BufferSpec<Transaction>[] = [
  spec('tls.sni', true, false, HELLO, (tx) => tx.client.hello?.sni),
  spec('tls.cert_subject', true, true, CERT, (tx, dir) => tx.peer(dir).certificate?.subject),
  spec('tls.cert_issuer', true, true, CERT, (tx, dir) => tx.peer(dir).certificate?.issuer),
  spec('tls.cert_serial', true, true, CERT, (tx, dir) => tx.peer(dir).certificate?.serial),
  spec('tls.cert_fingerprint', true, true, CERT, (tx, dir) => tx.peer(dir).certificate?.fingerprint),
  {
    name: 'tls.certs',
    toServer: true,
    toClient: true,
    minProgress: CERT,
    get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
      const der = (tx as TlsTransaction).peer(dir).certificates[index];
      return der !== undefined && out.set(der, 0, der.length);
    },
  },
  part('tls.random', 0, 32),
  part('tls.random_time', 0, 4),
  part('tls.random_bytes', 4, 32),
  spec('tls.alpn', true, true, HELLO, (tx, dir) => {
    const alpn = tx.peer(dir).hello?.alpn;
    return alpn !== undefined && alpn.length > 0 ? alpn : null;
  }),
  spec('ja3.string', true, false, HELLO, (tx) => tx.ja3()),
  spec('ja3.hash', true, false, HELLO, (tx) => tx.ja3Hash()),
  spec('ja3s.string', false, true, HELLO, (tx) => tx.ja3s()),
  spec('ja3s.hash', false, true, HELLO, (tx) => tx.ja3sHash()),
  spec('ja4.hash', true, false, HELLO, (tx) => tx.ja4()),
];

export const TLS_EVENTS = [
  'tls.invalid_record_type',
  'tls.invalid_record_version',
  'tls.invalid_record_length',
  'tls.invalid_handshake_message',
  'tls.handshake_invalid_length',
  'tls.certificate_invalid_length',
  'tls.certificate_invalid_der',
  'tls.invalid_sni_length',
  'tls.invalid_sni_type',
  'tls.multiple_sni_extensions',
  'tls.error_message_encountered',
] as const;

export const TLS: AppProtocol = {
  name: 'tls',
  transports: ['tcp'],
  ports: [443, 8443, 993, 995, 465, 636],
  firstDir: 0,
  probe,
  create: () => new TlsParser(),
  buffers: BUFFERS,
  completeToServer: TlsProgress.DONE,
  completeToClient: TlsProgress.DONE,
  events: TLS_EVENTS,
};

export { TlsTransaction } from './transaction.js';
