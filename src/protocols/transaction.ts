/**
 * What an application parser produces and what detection reads. A transaction is one exchange (HTTP request and its
 * response, DNS query and answer, one TLS handshake). Parsers only fill transactions; they know no rules.
 */
import { createHash } from 'node:crypto';
import type { TransactionRecord } from '../pipeline/index.js';
import { fileMagic } from './file-magic.js';

/** A borrowed range of bytes handed out by a buffer getter; valid until the next call into the parser. */
export class ByteSlice {
  buf: Uint8Array = EMPTY;
  off = 0;
  len = 0;
  /** For streamed buffers (bodies, files): offset of `off` within the whole body; 0 otherwise. */
  position = 0;
  /** No more bytes will follow for this buffer instance. */
  complete = true;

  set(buf: Uint8Array, off: number, len: number): true {
    this.buf = buf;
    this.off = off;
    this.len = len;
    this.position = 0;
    this.complete = true;
    return true;
  }
}

const EMPTY = new Uint8Array(0);

/** Content of a file as it grows: what detection may look at. */
export interface FileContent {
  /** Kept bytes: from the start of the file, at most the inspection limit. */
  readonly buf: Uint8Array;
  readonly len: number;
  /** Bytes of the file seen, including those that were not kept. */
  readonly total: number;
  readonly complete: boolean;
  slice(out: ByteSlice): boolean;
}

/** A file that a transaction carries (HTTP body, upload, mail attachment). */
export class AppFile {
  readonly toServer: boolean;
  /** Name as sent, empty when there is none. */
  readonly name: Uint8Array;
  readonly content: FileContent;
  /** 0 = not shown to the file observer yet, 1 = it follows the file, 2 = it does not, or no longer. */
  followed = 0;
  /** Some rule asked to keep the file (filestore). */
  store = false;
  #magic: Uint8Array | null = null;
  #magicLen = -1;
  readonly #digests: Record<string, Uint8Array> = {};

  constructor(toServer: boolean, name: Uint8Array, content: FileContent) {
    this.toServer = toServer;
    this.name = name;
    this.content = content;
  }

  /** Kind of the file in the words of file(1); null while too few bytes are there to tell. */
  magic(): Uint8Array | null {
    const { buf, len, complete } = this.content;
    if (len < MAGIC_BYTES && !complete) return null;
    const known = Math.min(len, MAGIC_WINDOW);
    if (this.#magic === null || known > this.#magicLen) {
      this.#magicLen = known;
      this.#magic = Buffer.from(fileMagic(buf, len), 'latin1');
    }
    return this.#magic;
  }

  /** Digest of the whole file; null while it goes on, and of a file too long to be kept. */
  digest(algorithm: 'md5' | 'sha1' | 'sha256'): Uint8Array | null {
    const { buf, len, total, complete } = this.content;
    if (!complete || total !== len) return null;
    return (this.#digests[algorithm] ??= createHash(algorithm).update(buf.subarray(0, len)).digest());
  }
}

/** Bytes that are needed to tell the kind of a file, and those that more of can change the answer. */
const MAGIC_BYTES = 32;
const MAGIC_WINDOW = 4096;

/** The `index`-th file of a transaction in direction `dir`, or null. */
export function fileOf(tx: Transaction, dir: number, index: number): AppFile | null {
  const files = tx.files;
  if (files === null) return null;
  for (const file of files) if (file.toServer === (dir === 0) && index-- === 0) return file;
  return null;
}

export abstract class Transaction {
  /** Running number within the flow, from 0. */
  id = 0;
  /** Progress in each direction: the parser's own state numbers, rising; buffers say from which state on they exist. */
  progressToServer = 0;
  progressToClient = 0;
  /** Nothing more will change in this direction. */
  doneToServer = false;
  doneToClient = false;
  logged = false;
  /** Application-layer event names raised on this transaction ('http.invalid_content_length', ...). */
  events: string[] | null = null;
  /** Set by the parser whenever it touched that direction, cleared by ips once it looked. */
  dirtyToServer = true;
  dirtyToClient = true;
  /** Owned by ips: which rules already matched or can no longer match. */
  detect: object | null = null;

  /** Files carried in either direction, oldest first; null when there are none. */
  files: AppFile[] | null = null;

  /** Byte order of numbers in the transaction's buffers, for the option `dce`. */
  get littleEndian(): boolean {
    return true;
  }

  /** The transaction left the flow: give pooled memory back. Buffers must not be asked for afterwards. */
  release(): void {
    this.detect = null;
  }

  /** The record for the log, or null when there is nothing to log. */
  abstract record(): TransactionRecord | null;

  /** Value of a number rules can compare (dns.opcode, tls.cert_chain_len), -1 when the transaction has none. */
  integer(_name: string, _dir: number): number {
    return -1;
  }

  /** Values of a number of which a transaction has several (http2.frametype), null when `integer` has the only one. */
  integers(_name: string, _dir: number): readonly number[] | null {
    return null;
  }

  /** Raise an application-layer event; a transaction raises each at most once. */
  addEvent(name: string): void {
    if (this.events === null) this.events = [name];
    else if (!this.events.includes(name)) this.events.push(name);
  }
}

/**
 * A buffer that rules can select with a sticky keyword (http.uri, dns.query, tls.sni ...).
 * `get` fills `out` and returns true, or returns false when instance `index` is not there (yet). Buffers with one
 * instance answer for index 0 only; multi-instance buffers (dns.query, http.request_header, file.data) for 0..n-1.
 * Getters of normalised buffers build the bytes once and cache them on the transaction.
 */
export interface BufferSpec<T extends Transaction = Transaction> {
  /** Suricata's name: 'http.uri'. */
  readonly name: string;
  /** Directions in which the buffer exists. */
  readonly toServer: boolean;
  readonly toClient: boolean;
  /** Lowest progress of that direction at which the buffer may be asked for. */
  readonly minProgress: number;
  /** Grows while the transaction goes on (bodies, files): detection looks again whenever bytes were added. */
  readonly streaming?: boolean;
  /** Name of another streaming buffer that holds all bytes of this one to the client, so that one search serves both. */
  readonly withinToClient?: string;
  get(tx: T, dir: number, index: number, out: ByteSlice): boolean;
}
