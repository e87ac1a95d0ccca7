/**
 * NFS versions 2, 3 and 4 over ONC RPC (RFC 5531, 1094, 1813, 7530), UDP and TCP: a transaction per call with its reply,
 * judged as the call; and one per file that is read or written.
 */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import type { TransactionRecord } from '../../pipeline/index.js';
import { be32, toHex } from '../../util/index.js';
import { Body } from '../body.js';
import { printable } from '../bytes.js';
import { fileBuffers } from '../files.js';
import { Directions } from '../message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from '../parser.js';
import { AppFile, Transaction } from '../transaction.js';

const PROGRAM = 100003;
const Rpc = { CALL: 0, REPLY: 1 } as const;
/** Call header up to the credentials: xid, type, RPC version, program, version, procedure. */
const CALL_HEADER = 24;
const RECORD_MAX = 1 << 20;
const LAST_FRAGMENT = 0x80;
const OPEN_MAX = 256;
const NAMES_MAX = 256;
const FILES_MAX = 64;
const FILE_LIMIT = 102400;
const HANDLE_V2 = 32;

const V3 = { LOOKUP: 3, READ: 6, WRITE: 7, CREATE: 8, COMMIT: 21 } as const;
const V2 = { LOOKUP: 4, READ: 6, CREATE: 9 } as const;

export class NfsTransaction extends Transaction {
  /** @param version, procedure of the call; -1 for a file */
  constructor(
    id: number,
    readonly version: number,
    readonly procedure: number,
  ) {
    super();
    this.id = id;
    this.progressToServer = 1;
    this.doneToServer = true;
    this.dirtyToClient = false;
  }

  override integer(name: string): number {
    if (name === 'nfs.version') return this.version;
    return name === 'nfs.procedure' ? this.procedure : -1;
  }

  override record(): TransactionRecord {
    const file = this.files?.[0];
    return { type: 'nfs', body: { ...(this.version < 0 ? {} : { version: this.version, procedure: this.procedure }), ...(file === undefined ? {} : { filename: printable(file.name, 0, file.name.length) }) }, toServer: true };
  }
}

/** A call that waits for its reply. */
interface Call {
  readonly tx: NfsTransaction | null;
  readonly version: number;
  readonly procedure: number;
  readonly handle: string;
  readonly name: Uint8Array;
  readonly offset: number;
}

class NfsFile {
  readonly content = new Body(FILE_LIMIT);
  position = 0;

  constructor(readonly tx: NfsTransaction) {}
}

const EMPTY = new Uint8Array(0);

class NfsParser implements AppParser {
  #nextId = 0;
  readonly #calls = new Map<number, Call>();
  /** Names by file handle, learnt from lookups. */
  readonly #names = new Map<string, Uint8Array>();
  /** Files under way by direction and handle. */
  readonly #files = new Map<string, NfsFile>();

  constructor(readonly stream: boolean) {}

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    if (!this.stream) {
      this.#message(flow, dir, buf, off, end);
      return end - off;
    }
    let pos = off;
    while (end - pos >= 4) {
      const length = be32(buf, pos) & 0x7fffffff;
      if (length > RECORD_MAX || (buf[pos]! & LAST_FRAGMENT) === 0) return -1; // records in several fragments do not occur in practice
      if (end - pos - 4 < length) break;
      this.#message(flow, dir, buf, pos + 4, pos + 4 + length);
      pos += 4 + length;
    }
    return pos - off;
  }

  #message(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): void {
    if (end - off < 12) return;
    const type = be32(buf, off + 4);
    if (type === Rpc.CALL && dir === TO_SERVER) this.#call(flow, buf, off, end);
    else if (type === Rpc.REPLY && dir !== TO_SERVER) this.#reply(flow, buf, off, end);
  }

  #call(flow: Flow, buf: Uint8Array, off: number, end: number): void {
    if (end - off < CALL_HEADER + 16 || be32(buf, off + 12) !== PROGRAM) return;
    const version = be32(buf, off + 16) >>> 0;
    const procedure = be32(buf, off + 20) >>> 0;
    const verifier = opaqueEnd(buf, off + CALL_HEADER + 4, end);
    const args = verifier < 0 ? -1 : opaqueEnd(buf, verifier + 4, end);
    if (args < 0 || procedure === 0) return;
    const isRead = version < 4 && procedure === V3.READ;
    // a read belongs to the file it reads, as its reply shows
    const tx = isRead ? null : new NfsTransaction(this.#nextId++, version, procedure);
    if (tx !== null) flow.transactions.push(tx);
    const handleEnd = version === 2 ? args + HANDLE_V2 : opaqueEnd(buf, args, end);
    let handle = '';
    let name: Uint8Array = EMPTY;
    let offset = 0;
    if (version < 4 && handleEnd >= 0 && handleEnd <= end) {
      handle = toHex(buf, version === 2 ? args : args + 4, version === 2 ? HANDLE_V2 : be32(buf, args));
      const named = version === 2 ? procedure === V2.LOOKUP || procedure === V2.CREATE : procedure === V3.LOOKUP || procedure === V3.CREATE;
      if (named) {
        const stop = opaqueEnd(buf, handleEnd, end);
        if (stop >= 0) name = buf.slice(handleEnd + 4, handleEnd + 4 + be32(buf, handleEnd));
      } else if (isRead && handleEnd + 8 <= end) offset = version === 2 ? be32(buf, handleEnd) >>> 0 : be32(buf, handleEnd + 4) >>> 0;
      else if (version === 3 && procedure === V3.WRITE) this.#write(flow, handle, buf, handleEnd, end);
      else if (version === 3 && procedure === V3.COMMIT) this.#close(`w${handle}`);
    }
    this.#calls.set(be32(buf, off), { tx, version, procedure, handle, name, offset });
    trim(this.#calls, OPEN_MAX);
  }

  /** Offset of 64 bits, count, how stable, data. Files written by version 2 are not followed, as in Suricata. */
  #write(flow: Flow, handle: string, buf: Uint8Array, off: number, end: number): void {
    const at = off + 16;
    const stop = opaqueEnd(buf, at, end);
    if (stop < 0) return;
    this.#chunk(flow, TO_SERVER, handle, be32(buf, off + 4) >>> 0, buf, at + 4, at + 4 + be32(buf, at));
  }

  #reply(flow: Flow, buf: Uint8Array, off: number, end: number): void {
    const xid = be32(buf, off);
    const call = this.#calls.get(xid);
    if (call === undefined) return;
    this.#calls.delete(xid);
    if (call.tx !== null) {
      call.tx.progressToClient = 1;
      call.tx.doneToClient = call.tx.dirtyToClient = true;
    }
    // accepted reply: verifier, accept state, status of the procedure
    const state = opaqueEnd(buf, off + 16, end);
    if (be32(buf, off + 8) !== 0 || state < 0 || state + 8 > end || be32(buf, state) !== 0 || be32(buf, state + 4) !== 0) return;
    const body = state + 8;
    const { version, procedure } = call;
    if (version === 2) {
      if (procedure === V2.READ) this.#read(flow, call, buf, body + 68, end);
      else if (procedure === V2.LOOKUP || procedure === V2.CREATE) this.#learn(body + HANDLE_V2 <= end ? toHex(buf, body, HANDLE_V2) : '', call.name);
      return;
    }
    if (version !== 3) return;
    if (procedure === V3.LOOKUP) this.#learn(handleText(buf, body, end), call.name);
    else if (procedure === V3.CREATE && body + 4 <= end && be32(buf, body) === 1) this.#learn(handleText(buf, body + 4, end), call.name);
    else if (procedure === V3.READ && body + 4 <= end) {
      const data = body + 4 + (be32(buf, body) === 1 ? 84 : 0) + 8; // attributes, count, end of file
      const isEnd = data <= end && be32(buf, data - 4) === 1;
      this.#read(flow, call, buf, data, end);
      if (isEnd) this.#close(`r${call.handle}`);
    }
  }

  #read(flow: Flow, call: Call, buf: Uint8Array, at: number, end: number): void {
    if (opaqueEnd(buf, at, end) < 0) return;
    this.#chunk(flow, 1, call.handle, call.offset, buf, at + 4, at + 4 + be32(buf, at));
  }

  #learn(handle: string, name: Uint8Array): void {
    if (handle === '' || name.length === 0) return;
    this.#names.set(handle, name);
    trim(this.#names, NAMES_MAX);
  }

  #chunk(flow: Flow, dir: number, handle: string, offset: number, buf: Uint8Array, off: number, end: number): void {
    const key = `${dir === TO_SERVER ? 'w' : 'r'}${handle}`;
    let file = this.#files.get(key);
    if (file === undefined) {
      const tx = new NfsTransaction(this.#nextId++, -1, -1);
      file = new NfsFile(tx);
      file.position = offset;
      tx.doneToServer = false;
      tx.files = [new AppFile(dir === TO_SERVER, this.#names.get(handle) ?? EMPTY, file.content)];
      flow.transactions.push(tx);
      this.#files.set(key, file);
      if (this.#files.size > FILES_MAX) this.#close(this.#files.keys().next().value ?? key);
    }
    const from = Math.min(end, off + Math.max(0, file.position - offset));
    file.content.receive(buf, from, end - from);
    file.position = Math.max(file.position, offset + end - off);
    file.tx.progressToClient = 1;
    file.tx.dirtyToServer = file.tx.dirtyToClient = true;
  }

  #close(key: string): void {
    const file = this.#files.get(key);
    if (file === undefined) return;
    this.#files.delete(key);
    file.content.finish();
    file.tx.doneToServer = file.tx.doneToClient = true;
    file.tx.dirtyToServer = file.tx.dirtyToClient = true;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    for (const key of this.#files.keys()) this.#close(key);
  }
}

function trim<K, V>(map: Map<K, V>, limit: number): void {
  if (map.size <= limit) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}

/** Position behind an opaque (length, bytes, padding) at `at`, -1 when it does not fit. */
function opaqueEnd(buf: Uint8Array, at: number, end: number): number {
  if (at < 0 || at + 4 > end) return -1;
  const length = be32(buf, at) >>> 0;
  return length <= end - at - 4 ? Math.min(end, at + 4 + ((length + 3) & ~3)) : -1;
}

function handleText(buf: Uint8Array, at: number, end: number): string {
  return opaqueEnd(buf, at, end) < 0 ? '' : toHex(buf, at + 4, be32(buf, at));
}

function plausible(buf: Uint8Array, off: number, end: number, dir: number): boolean {
  if (end - off < CALL_HEADER) return false;
  if (dir !== TO_SERVER) return be32(buf, off + 4) === Rpc.REPLY && (be32(buf, off + 8) >>> 0) <= 1;
  return be32(buf, off + 4) === Rpc.CALL && be32(buf, off + 8) === 2 && be32(buf, off + 12) === PROGRAM && (be32(buf, off + 16) >>> 0) <= 4;
}

function probeStream(buf: Uint8Array, off: number, end: number, dir: number): number {
  if (end - off < 4 + CALL_HEADER) return PROBE_MORE;
  return (buf[off]! & LAST_FRAGMENT) !== 0 && plausible(buf, off + 4, end, dir) ? PROBE_YES : PROBE_NO;
}

const COMMON = { name: 'nfs', ports: [2049], portsOnly: true, buffers: fileBuffers(Directions.BOTH, 1), completeToServer: 1, completeToClient: 1, events: [] } as const;

export const NFS_TCP: AppProtocol = { ...COMMON, transports: ['tcp'], probe: probeStream, create: () => new NfsParser(true) };
export const NFS_UDP: AppProtocol = { ...COMMON, transports: ['udp'], probe: (buf, off, end, dir) => (plausible(buf, off, end, dir) ? PROBE_YES : PROBE_NO), create: () => new NfsParser(false) };
