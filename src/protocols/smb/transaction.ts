/** Transactions of SMB: what rules and the log want of an exchange. Commands of no interest make none. */
import type { TransactionRecord } from '../../pipeline/index.js';
import { Body } from '../body.js';
import { printable } from '../bytes.js';
import { DceTransaction } from '../dcerpc/index.js';
import { AppFile } from '../transaction.js';

/** Bytes of a file kept for rules. */
const FILE_LIMIT = 102400;

export class SmbTransaction extends DceTransaction {
  /** Path of a tree connect. */
  share: Uint8Array | null = null;
  /** The tree is IPC$: the share is the way to named pipes. */
  isPipe = false;
  user: Uint8Array | null = null;
  domain: Uint8Array | null = null;

  constructor(
    id: number,
    readonly command: string,
    readonly dialect: 1 | 2,
  ) {
    super();
    this.id = id;
  }

  finish(): void {
    this.progressToServer = this.progressToClient = 1;
    this.doneToServer = this.doneToClient = true;
    this.dirtyToServer = this.dirtyToClient = true;
  }

  override record(): TransactionRecord {
    const text = (bytes: Uint8Array): string => printable(bytes, 0, bytes.length);
    const body: Record<string, unknown> = { id: this.id, dialect: this.dialect === 1 ? 'NT LM 0.12' : '2.x', command: this.command };
    if (this.share !== null) body[this.isPipe ? 'named_pipe' : 'share'] = text(this.share);
    if (this.user !== null) body['ntlmssp'] = { domain: text(this.domain ?? new Uint8Array(0)), user: text(this.user) };
    if (this.call !== null) body['dcerpc'] = { request: 'REQUEST', opnum: this.call.opnum, call_id: this.call.callId };
    const file = this.files?.[0];
    if (file !== undefined) body['filename'] = text(file.name);
    return { type: 'smb', body, toServer: true };
  }
}

/** A file that is read or written, from its first chunk to its close. */
export class SmbFile {
  readonly content = new Body(FILE_LIMIT);
  readonly #tx: SmbTransaction;
  /** Offset in the file up to which bytes were taken. */
  #position = 0;
  #started = false;

  constructor(tx: SmbTransaction, name: Uint8Array, toServer: boolean) {
    this.#tx = tx;
    tx.files = [new AppFile(toServer, name, this.content)];
    tx.progressToServer = tx.progressToClient = 1;
  }

  /** Bytes of the file at `offset`; those that were there before are not taken again. */
  chunk(offset: number, buf: Uint8Array, off: number, end: number): void {
    if (!this.#started) {
      this.#started = true;
      this.#position = offset;
    }
    let from = off;
    if (offset < this.#position) {
      this.#tx.addEvent('smb.file_overlap');
      from = Math.min(end, off + this.#position - offset);
    } else this.#position = offset; // a hole: what is missing is not known
    if (end > from) {
      this.content.receive(buf, from, end - from);
      this.#position += end - from;
    }
    this.#tx.dirtyToServer = this.#tx.dirtyToClient = true;
  }

  close(): void {
    this.content.finish();
    this.#tx.finish();
  }
}
