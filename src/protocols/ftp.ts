/**
 * FTP control connections (RFC 959, 2428): a transaction per command with its reply. Announces data connections, active and
 * passive, whose files ftp-data.ts reads.
 * Progress: 1 command read, 2 final reply read.
 */
import type { Expectations, Flow } from '../flow/index.js';
import { TO_SERVER } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { CR, LF, SP, ascii, findNoCase, printable, startsNoCase } from './bytes.js';
import { FtpTransfer } from './ftp-data.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol, type Upgrade } from './parser.js';
import { Transaction, type BufferSpec, type ByteSlice } from './transaction.js';

/** Lines longer than this are cut (Suricata's ftp line limit). */
const LINE_MAX = 4096;
const REPLIES_MAX = 64;

const COMMANDS = ['user ', 'pass ', 'acct ', 'cwd ', 'retr ', 'stor ', 'list', 'nlst', 'type ', 'pasv', 'epsv', 'port ', 'eprt ', 'syst', 'feat', 'auth ', 'quit', 'opts ', 'pwd'].map(ascii);
const AUTH = ascii('auth ');
const FTP_WORD = ascii('ftp');
const PORT = ascii('port ');
const EPRT = ascii('eprt ');
const RETR = ascii('retr ');
const STOR = ascii('stor ');
const REPLY_PASV = ascii('227');
const REPLY_EPSV = ascii('229');
const COMMA = 44;
const BAR = 124;

export const FtpProgress = { STARTED: 0, COMMAND: 1, REPLY: 2 } as const;

export class FtpTransaction extends Transaction {
  readonly command: Uint8Array;
  readonly data: Uint8Array;
  readonly replies: Uint8Array[] = [];
  /** A PORT command that names another host than the client. */
  bounce = false;

  constructor(id: number, command: Uint8Array, data: Uint8Array) {
    super();
    this.id = id;
    this.command = command;
    this.data = data;
    this.progressToServer = FtpProgress.COMMAND;
    this.doneToServer = true;
  }

  override integer(name: string): number {
    return name === 'ftp.bounce' ? Number(this.bounce) : -1;
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

/** Reads decimal numbers; `at` is where the last one ended. */
class Digits {
  at = 0;

  read(buf: Uint8Array, pos: number, end: number): number {
    let value = -1;
    let i = pos;
    for (; i < end && buf[i]! >= 48 && buf[i]! <= 57 && value < 100_000; i++) value = Math.max(0, value) * 10 + buf[i]! - 48;
    this.at = i;
    return value;
  }
}

const digits = new Digits();
const hostPort = new Int32Array(2);

/** `h1,h2,h3,h4,p1,p2` somewhere in buf[off, end) into `hostPort`. */
function readHostPort(buf: Uint8Array, off: number, end: number): boolean {
  let pos = off;
  while (pos < end && (buf[pos]! < 48 || buf[pos]! > 57)) pos++;
  hostPort.fill(0);
  for (let i = 0; i < 6; i++) {
    const part = digits.read(buf, pos, end);
    if (part < 0 || part > 255 || (i < 5 && buf[digits.at] !== COMMA)) return false;
    hostPort[i < 4 ? 0 : 1] = (hostPort[i < 4 ? 0 : 1]! << 8) | part;
    pos = digits.at + 1;
  }
  return true;
}

/** Port of `|||port|` (EPSV reply) or `|1|address|port|` (EPRT), 0 when it is none. */
function readExtendedPort(buf: Uint8Array, off: number, end: number): number {
  let last = end;
  while (last > off && buf[last - 1] !== BAR) last--;
  let start = last - 1;
  while (start > off && buf[start - 1] !== BAR) start--;
  const port = start > off ? digits.read(buf, start, end) : -1;
  return port > 0 && port < 65_536 && digits.at === last - 1 ? port : 0;
}

/** End of buf[off, end) behind its last bar. */
function lastBar(buf: Uint8Array, off: number, end: number): number {
  let last = end;
  while (last > off && buf[last - 1] !== BAR) last--;
  return last;
}

class FtpParser implements AppParser {
  upgrade: Upgrade = '';
  readonly #scanned = [0, 0];
  #nextId = 0;
  #nextReply = 0;
  #waitTls = false;
  /** Where the next transfer goes: port and who opens the connection. */
  #dataPort = 0;
  #opener: 'client' | 'server' = 'client';

  constructor(readonly expectations: Expectations) {}

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
    if (end - off >= LINE_MAX) tx.addEvent('ftp.request_command_too_long');
    if (startsNoCase(buf, off, end, AUTH)) this.#waitTls = true;
    else if (startsNoCase(buf, off, end, PORT)) {
      if (!readHostPort(buf, sp, end)) return;
      this.#active(hostPort[1]!);
      tx.bounce = !this.expectations.clientIs(hostPort[0]!);
    } else if (startsNoCase(buf, off, end, EPRT)) this.#active(readExtendedPort(buf, sp, end));
    else if (startsNoCase(buf, off, end, RETR)) this.#announce('RETR', tx.data);
    else if (startsNoCase(buf, off, end, STOR)) this.#announce('STOR', tx.data);
  }

  #active(port: number): void {
    this.#dataPort = port;
    this.#opener = 'server';
    this.expectations.admit('ftp-active', 'server', port);
  }

  #announce(command: 'RETR' | 'STOR', name: Uint8Array): void {
    if (this.#dataPort === 0) return;
    this.expectations.announce(this.#opener, this.#dataPort, { protocol: 'ftp-data', detail: new FtpTransfer(command, name) });
    this.#dataPort = 0;
  }

  /** 227 names host and port (PASV), 229 the port (EPSV). */
  #passive(buf: Uint8Array, off: number, end: number): void {
    const extended = startsNoCase(buf, off, end, REPLY_EPSV);
    if (!extended && !startsNoCase(buf, off, end, REPLY_PASV)) return;
    const port = extended ? readExtendedPort(buf, off, lastBar(buf, off, end)) : readHostPort(buf, off + 3, end) ? hostPort[1]! : 0;
    if (port === 0) return;
    this.#dataPort = port;
    this.#opener = 'client';
    this.expectations.admit('ftp-passive', 'client', port);
  }

  #reply(flow: Flow, buf: Uint8Array, off: number, end: number): void {
    this.#passive(buf, off, end);
    const list = flow.transactions as FtpTransaction[];
    let tx = list.find((candidate) => candidate.id >= this.#nextReply && !candidate.doneToClient);
    if (tx === undefined) {
      // the greeting, or a reply nobody asked for
      tx = new FtpTransaction(this.#nextId++, EMPTY, EMPTY);
      list.push(tx);
    }
    if (tx.replies.length < REPLIES_MAX) tx.replies.push(buf.slice(off, end));
    if (end - off >= LINE_MAX) tx.addEvent('ftp.response_command_too_long');
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
  keepsPieces: true,
  ports: [21],
  probe,
  create: (_flow, expectations) => new FtpParser(expectations),
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
  events: ['ftp.request_command_too_long', 'ftp.response_command_too_long'],
};
