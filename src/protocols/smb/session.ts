/**
 * What both generations of SMB share: trees, open files and pipes of a connection, and the exchanges waiting for an answer.
 * Tables are bounded; the oldest entry gives way.
 */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import { advance, DcePipe, type DceCall } from '../dcerpc/index.js';
import { findAuthenticate, ntlmField } from './text.js';
import { SmbFile, SmbTransaction } from './transaction.js';

const OPEN_MAX = 512;
/** Longest part of a PDU kept until the next read or write of the pipe completes it. */
const PIPE_PENDING_MAX = 65536;

/** A file or pipe handle. */
class Handle {
  reading: SmbFile | null = null;
  writing: SmbFile | null = null;
  pipe: DcePipe | null = null;
  /** Bytes of a PDU that is not complete, per direction. */
  readonly pending: [Uint8Array, Uint8Array] = [EMPTY, EMPTY];

  constructor(readonly name: Uint8Array) {}
}

/** A request whose answer matters. */
export class Pending {
  tx: SmbTransaction | null = null;
  name: Uint8Array = EMPTY;
  handle = '';
  offset = 0;

  constructor(readonly command: number) {}
}

const EMPTY = new Uint8Array(0);

function bounded<V>(map: Map<string, V>): void {
  if (map.size <= OPEN_MAX) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}

export class SmbSession {
  #nextId = 0;
  readonly #handles = new Map<string, Handle>();
  readonly #pipeTrees = new Set<string>();
  readonly #pending = new Map<string, Pending>();
  readonly #byCall = new WeakMap<DceCall, SmbTransaction>();

  transaction(flow: Flow, command: string, dialect: 1 | 2): SmbTransaction {
    const tx = new SmbTransaction(this.#nextId++, command, dialect);
    flow.transactions.push(tx);
    return tx;
  }

  expect(key: string, pending: Pending): void {
    this.#pending.delete(key);
    this.#pending.set(key, pending);
    bounded(this.#pending);
  }

  answered(key: string): Pending | null {
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    return pending ?? null;
  }

  /** Handles of this tree are named pipes. */
  treeIsPipe(tree: string): void {
    this.#pipeTrees.add(tree);
    if (this.#pipeTrees.size > OPEN_MAX) this.#pipeTrees.clear();
  }

  open(handle: string, name: Uint8Array, tree: string): void {
    const entry = new Handle(name);
    if (this.#pipeTrees.has(tree)) entry.pipe = new DcePipe();
    this.#handles.set(handle, entry);
    bounded(this.#handles);
  }

  close(handle: string): void {
    const entry = this.#handles.get(handle);
    entry?.reading?.close();
    entry?.writing?.close();
    this.#handles.delete(handle);
  }

  /** Everything still open is as complete as it gets. */
  closeAll(dir: number): void {
    for (const entry of this.#handles.values()) (dir === TO_SERVER ? entry.writing : entry.reading)?.content.finish();
  }

  /** Data read (to the client) or written (to the server) through a handle. */
  data(flow: Flow, dir: number, handle: string, tree: string, dialect: 1 | 2, offset: number, buf: Uint8Array, off: number, end: number): void {
    let entry = this.#handles.get(handle);
    if (entry === undefined) {
      this.open(handle, EMPTY, tree);
      entry = this.#handles.get(handle)!;
      // its opening was not seen: what looks like DCE/RPC is a pipe
      if (offset === 0 && end - off >= 16 && DcePipe.length(buf, off, end) === end - off) entry.pipe ??= new DcePipe();
    }
    if (entry.pipe !== null) {
      this.#rpc(flow, dir, entry, dialect, buf, off, end);
      return;
    }
    let file = dir === TO_SERVER ? entry.writing : entry.reading;
    if (file === null) {
      file = new SmbFile(this.transaction(flow, dir === TO_SERVER ? 'WRITE' : 'READ', dialect), entry.name, dir === TO_SERVER);
      if (dir === TO_SERVER) entry.writing = file;
      else entry.reading = file;
    }
    file.chunk(offset, buf, off, end);
  }

  /** PDUs of a pipe; one may come in several reads or writes. */
  #rpc(flow: Flow, dir: number, entry: Handle, dialect: 1 | 2, buf: Uint8Array, off: number, end: number): void {
    let data = buf;
    let pos = off;
    let stop = end;
    const held = entry.pending[dir]!;
    if (held.length > 0) {
      data = Buffer.concat([held, buf.subarray(off, end)]);
      pos = 0;
      stop = data.length;
      entry.pending[dir] = EMPTY;
    }
    while (pos < stop) {
      const length = DcePipe.length(data, pos, stop);
      if (length < 0) return;
      if (length === 0 || pos + length > stop) {
        if (stop - pos <= PIPE_PENDING_MAX) entry.pending[dir] = data.slice(pos, stop);
        return;
      }
      entry.pipe!.pdu(dir, data, pos, pos + length, {
        call: (call, side, isNew) => this.#call(flow, dialect, call, side, isNew),
        malformed: () => undefined,
      });
      pos += length;
    }
  }

  #call(flow: Flow, dialect: 1 | 2, call: DceCall, dir: number, isNew: boolean): void {
    let tx = this.#byCall.get(call);
    if (tx === undefined) {
      if (!isNew) return;
      tx = this.transaction(flow, 'DCERPC', dialect);
      tx.call = call;
      tx.dirtyToClient = false;
      this.#byCall.set(call, tx);
    }
    advance(tx, call, dir);
  }

  /** Who logs on, from the security blob of a session set-up. */
  logon(flow: Flow, dialect: 1 | 2, buf: Uint8Array, off: number, end: number): void {
    const at = findAuthenticate(buf, off, end);
    if (at < 0) return;
    const tx = this.transaction(flow, 'SESSION_SETUP', dialect);
    tx.domain = ntlmField(buf, at, 28, end);
    tx.user = ntlmField(buf, at, 36, end);
    tx.finish();
  }

  /** A tree connect; whether it leads to pipes is guessed by its name until the server says so. */
  connecting(flow: Flow, dialect: 1 | 2, pending: Pending, path: Uint8Array): void {
    const tx = this.transaction(flow, 'TREE_CONNECT', dialect);
    tx.share = path;
    tx.isPipe = Buffer.from(path).toString('latin1').toUpperCase().endsWith('IPC$');
    pending.tx = tx;
  }

  connected(tree: string, pending: Pending, isPipe: boolean): void {
    if (isPipe) this.treeIsPipe(tree);
    if (pending.tx === null) return;
    pending.tx.isPipe = isPipe;
    pending.tx.finish();
  }
}
