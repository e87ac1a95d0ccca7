/** Data connections of FTP (RFC 959 section 3.2): one file per connection, announced by the control connection. */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { Body } from './body.js';
import { printable } from './bytes.js';
import { fileBuffers } from './files.js';
import { Directions } from './message.js';
import { PROBE_NO, type AppParser, type AppProtocol } from './parser.js';
import { AppFile, Transaction } from './transaction.js';

const FILE_LIMIT = 102400;

/** What the control connection said about the transfer. */
export class FtpTransfer {
  constructor(
    /** 'RETR' or 'STOR'. */
    readonly command: 'RETR' | 'STOR',
    readonly name: Uint8Array,
  ) {}
}

export class FtpDataTransaction extends Transaction {
  constructor(readonly transfer: FtpTransfer) {
    super();
    this.progressToServer = this.progressToClient = 1;
  }

  override integer(name: string): number {
    return name === 'ftpdata.command' ? (this.transfer.command === 'RETR' ? 1 : 2) : -1;
  }

  override record(): TransactionRecord {
    const { command, name } = this.transfer;
    return { type: 'ftp_data', body: { filename: printable(name, 0, name.length), command }, toServer: true };
  }
}

class FtpDataParser implements AppParser {
  readonly #tx: FtpDataTransaction;
  readonly #content = new Body(FILE_LIMIT);

  constructor(flow: Flow, transfer: FtpTransfer) {
    this.#tx = new FtpDataTransaction(transfer);
    flow.transactions.push(this.#tx);
  }

  data(_flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    const tx = this.#tx;
    // the file travels in the direction of the first bytes
    if (tx.files === null) tx.files = [new AppFile(dir === TO_SERVER, tx.transfer.name, this.#content)];
    if (tx.files[0]!.toServer === (dir === TO_SERVER)) this.#content.receive(buf, off, end - off);
    tx.dirtyToServer = tx.dirtyToClient = true;
    return end - off;
  }

  gap(): boolean {
    return true;
  }

  close(_flow: Flow, dir: number): void {
    const file = this.#tx.files?.[0];
    if (file !== undefined && file.toServer === (dir === TO_SERVER)) this.#content.finish();
  }
}

export const FTP_DATA_PROTOCOL: AppProtocol = {
  name: 'ftp-data',
  transports: ['tcp'],
  ports: [],
  portsOnly: true,
  probe: () => PROBE_NO, // nothing but the announcement tells
  create: (flow, _expectations, announced) => new FtpDataParser(flow, announced instanceof FtpTransfer ? announced : new FtpTransfer('RETR', new Uint8Array(0))),
  buffers: fileBuffers(Directions.BOTH, 1),
  completeToServer: 2,
  completeToClient: 2,
  events: [],
};
