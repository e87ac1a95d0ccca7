/**
 * FTP control connections (RFC 959): a transaction per command with its reply. Data connections are not followed.
 * Progress: 1 command read, 2 final reply read.
 */
import type { Flow } from '../flow/index.js';
import { TO_SERVER } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { CR, LF, SP, ascii, findNoCase, printable, startsNoCase } from './bytes.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol, type Upgrade } from './parser.js';
import { Transaction, type BufferSpec, type ByteSlice } from './transaction.js';

/** Lines longer than this are cut (Suricata's ftp line limit). */
const LINE_MAX = 4096;
const REPLIES_MAX = 64;

const COMMANDS = ['user ', 'pass ', 'acct ', 'cwd ', 'retr ', 'stor ', 'list', 'nlst', 'type ', 'pasv', 'epsv', 'port ', 'eprt ', 'syst', 'feat', 'auth ', 'quit', 'opts ', 'pwd'].map(ascii);
const AUTH = ascii('auth ');
const FTP_WORD = ascii('ftp');

export const FtpProgress = { STARTED: 0, COMMAND: 1, REPLY: 2 } as const;

export class FtpTransaction extends Transaction {
  readonly command: Uint8Array;
  readonly data: Uint8Array;
  readonly replies: Uint8Array[] = [];

  constructor(id: number, command: Uint8Array, data: Uint8Array) {
    super();
    this.id = id;
    this.command = command;
    this.data = data;
    this.progressToServer = FtpProgress.COMMAND;
    this.doneToServer = true;
  }

  /** Suricata's EVE ftp object. */
  override record(): TransactionRecord {
    const body: Record<string, unknown> = {};
    if (this.command.length > 0) {
      body['command'] = printable(this.command, 0, this.command.length);
      const secret = startsNoCase(this.command, 0, this.command.length, PASS);
      if (this.data.length > 0 && !secret) body['command_data'] = printable(this.data, 0, this.data.length);
    }
    if (this.replies.length > 0) {
      body['completion_code'] = this.replies.map((r) => printable(r, 0, Math.min(3, r.length)));
      body['reply'] = this.replies.map((r) => printable(r, Math.min(4, r.length), Math.max(0, r.length - 4)));
    }
    return { type: 'ftp', body, toServer: true };
  }
}

const PASS = ascii('pass');

class FtpParser implements AppParser {
  upgrade: Upgrade = '';
  readonly #scanned = [0, 0];
  #nextId = 0;
  #nextReply = 0;
  #waitTls = false;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end && this.upgrade === '') {
      if (dir === TO_SERVER && this.#waitTls) break;
      let lf = pos + this.#scanned[dir]!;
      while (lf < end && buf[lf] !== LF) lf++;
      if (lf === end && end - pos < LINE_MAX) {
        this.#scanned[dir] = lf - pos;
        break;
      }
      this.#scanned[dir] = 0;
      let stop = lf;
      while (stop > pos && buf[stop - 1] === CR) stop--;
      if (dir === TO_SERVER) this.#command(flow, buf, pos, stop);
      else this.#reply(flow, buf, pos, stop);
      pos = Math.min(end, lf + 1);
    }
    return pos - off;
  }

  #command(flow: Flow, buf: Uint8Array, off: number, end: number): void {
    let sp = off;
    while (sp < end && buf[sp] !== SP) sp++;
    const tx = new FtpTransaction(this.#nextId++, buf.slice(off, sp), buf.slice(Math.min(end, sp + 1), end));
    flow.transactions.push(tx);
    if (startsNoCase(buf, off, end, AUTH)) this.#waitTls = true;
  }

  #reply(flow: Flow, buf: Uint8Array, off: number, end: number): void {
    const list = flow.transactions as FtpTransaction[];
    let tx = list.find((candidate) => candidate.id >= this.#nextReply && !candidate.doneToClient);
    if (tx === undefined) {
      // the greeting, or a reply nobody asked for
      tx = new FtpTransaction(this.#nextId++, EMPTY, EMPTY);
      list.push(tx);
    }
    if (tx.replies.length < REPLIES_MAX) tx.replies.push(buf.slice(off, end));
    tx.dirtyToClient = true;
    const first = buf[off]! - 48;
    const final = end - off >= 3 && first >= 2 && first <= 5 && (end - off === 3 || buf[off + 3] === SP);
    if (!final) return; // more lines, or a preliminary reply (1xx)
    tx.progressToClient = FtpProgress.REPLY;
    tx.doneToClient = true;
    this.#nextReply = tx.id + 1;
    if (this.#waitTls && startsNoCase(tx.command, 0, tx.command.length, AUTH.subarray(0, 4))) {
      this.#waitTls = false;
      if (first === 2) this.upgrade = 'tls';
    }
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // lines are complete or not there
  }
}

const EMPTY = new Uint8Array(0);

function probe(buf: Uint8Array, off: number, end: number, dir: number, onPort: boolean): number {
  if (dir === TO_SERVER) {
    if (!onPort) return PROBE_NO; // the commands alone say too little
    for (const word of COMMANDS) if (startsNoCase(buf, off, end, word)) return PROBE_YES;
    return end - off < 5 ? PROBE_MORE : PROBE_NO;
  }
  for (let i = 0; i < 3; i++) {
    if (off + i >= end) return PROBE_MORE;
    if (buf[off + i] !== (i < 2 ? 50 : 48)) return PROBE_NO;
  }
  if (onPort) return PROBE_YES;
  let lf = off;
  while (lf < end && buf[lf] !== LF) lf++;
  if (findNoCase(buf, off, lf, FTP_WORD) >= 0) return PROBE_YES;
  return lf < end ? PROBE_NO : PROBE_MORE;
}

function spec(name: string, bytes: (tx: FtpTransaction) => Uint8Array): BufferSpec<Transaction> {
  return {
    name,
    toServer: true,
    toClient: false,
    minProgress: FtpProgress.COMMAND,
    get(tx: Transaction, _dir: number, index: number, out: ByteSlice): boolean {
      const value = bytes(tx as FtpTransaction);
      return index === 0 && value.length > 0 && out.set(value, 0, value.length);
    },
  };
}

export const FTP_PROTOCOL: AppProtocol = {
  name: 'ftp',
  transports: ['tcp'],
  ports: [21],
  probe,
  create: () => new FtpParser(),
  buffers: [
    spec('ftp.command', (tx) => tx.command),
    spec('ftp.command_data', (tx) => tx.data),
    {
      name: 'ftp.reply',
      toServer: false,
      toClient: true,
      minProgress: FtpProgress.STARTED,
      get(tx: Transaction, _dir: number, index: number, out: ByteSlice): boolean {
        const reply = (tx as FtpTransaction).replies[index];
        return reply !== undefined && out.set(reply, 0, reply.length);
      },
    },
  ],
  completeToServer: FtpProgress.COMMAND,
  completeToClient: FtpProgress.REPLY,
  events: [],
};
