/**
 * SMTP (RFC 5321) with pipelining, BDAT and STARTTLS. One transaction per mail: it opens with the first command after the
 * last one ended and ends with the reply to the data, RSET or QUIT. Progress: 1 open, 2 data, 3 complete.
 */
import type { Flow } from '../../flow/index.js';
import { TO_SERVER } from '../../flow/index.js';
import type { TransactionRecord } from '../../pipeline/index.js';
import { Body } from '../body.js';
import { CR, LF, ascii, findNoCase, printable, startsNoCase } from '../bytes.js';
import { fileBuffers } from '../files.js';
import { Directions } from '../message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol, type Upgrade } from '../parser.js';
import { AppFile, Transaction, type BufferSpec, type ByteSlice } from '../transaction.js';
import { MimeReader } from './mime.js';

/** Commands whose replies change something. */
const Command = { OTHER: 0, DATA: 1, BDAT: 2, BDAT_LAST: 3, STARTTLS: 4, RSET: 5, QUIT: 6, END_OF_DATA: 7 } as const;
const WORDS = { EHLO: ascii('ehlo'), HELO: ascii('helo'), MAIL: ascii('mail from:'), RCPT: ascii('rcpt to:'), DATA: ascii('data'), BDAT: ascii('bdat '), RSET: ascii('rset'), QUIT: ascii('quit'), TLS: ascii('starttls'), LAST: ascii('last') };
/** Longest line taken whole; RFC 5321 section 4.5.3.1 allows 512 for commands and 1000 for text. */
const LINE_MAX = 4096;
const COMMAND_MAX = 512;
const PENDING_MAX = 256;
const RECIPIENTS_MAX = 128;
const FILE_LIMIT = 102400;

export const SmtpProgress = { STARTED: 0, OPEN: 1, DATA: 2, COMPLETE: 3 } as const;

export class SmtpTransaction extends Transaction {
  helo: Uint8Array | null = null;
  mailFrom: Uint8Array | null = null;
  readonly rcptTo: Uint8Array[] = [];

  constructor(id: number) {
    super();
    this.id = id;
    this.progressToServer = this.progressToClient = SmtpProgress.OPEN;
  }

  /** Suricata's EVE smtp object. */
  override record(): TransactionRecord | null {
    if (this.mailFrom === null) return null;
    const body: Record<string, unknown> = {};
    if (this.helo !== null) body['helo'] = text(this.helo);
    body['mail_from'] = text(this.mailFrom);
    if (this.rcptTo.length > 0) body['rcpt_to'] = this.rcptTo.map(text);
    return { type: 'smtp', body, toServer: true };
  }
}

function text(bytes: Uint8Array): string {
  return printable(bytes, 0, bytes.length);
}

class SmtpParser implements AppParser {
  upgrade: Upgrade = '';
  readonly #scanned = [0, 0];
  /** Commands not answered yet, and the mails they belong to. */
  readonly #pending: number[] = [];
  readonly #pendingTx: (SmtpTransaction | null)[] = [];
  #nextId = 0;
  #tx: SmtpTransaction | null = null;
  #helo: Uint8Array | null = null;
  #mime: MimeReader | null = null;
  #inData = false;
  #lineStart = true;
  #chunkLeft = 0;
  #chunkLast = false;
  /** Line that a chunk broke off. */
  #carry: Uint8Array | null = null;
  #greeted = false;
  #waitTls = false;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end && this.upgrade === '') {
      if (dir === TO_SERVER) {
        if (this.#waitTls) break;
        if (this.#chunkLeft > 0) {
          const n = this.#chunk(buf, pos, end);
          if (n === 0) break;
          pos += n;
          continue;
        }
      }
      let lf = pos + this.#scanned[dir]!;
      while (lf < end && buf[lf] !== LF) lf++;
      if (lf === end && end - pos < LINE_MAX) {
        this.#scanned[dir] = lf - pos;
        break;
      }
      this.#scanned[dir] = 0;
      const whole = lf < end;
      const next = whole ? lf + 1 : end;
      let stop = lf;
      if (whole && stop > pos && buf[stop - 1] === CR) stop--;
      if (dir !== TO_SERVER) this.#reply(flow, buf, pos, stop);
      else if (this.#inData) this.#dataLine(buf, pos, stop, next - stop);
      else this.#command(flow, buf, pos, stop);
      if (dir === TO_SERVER && this.#inData) this.#lineStart = whole;
      pos = next;
    }
    return pos - off;
  }

  #open(flow: Flow): SmtpTransaction {
    if (this.#tx === null || this.#tx.doneToServer) {
      this.#tx = new SmtpTransaction(this.#nextId++);
      this.#tx.helo = this.#helo;
      flow.transactions.push(this.#tx);
    }
    return this.#tx;
  }

  #command(flow: Flow, buf: Uint8Array, off: number, end: number): void {
    const tx = this.#open(flow);
    tx.dirtyToServer = true;
    if (!this.#greeted) {
      this.#greeted = true;
      tx.addEvent('smtp.no_server_welcome_message');
    }
    if (end - off > COMMAND_MAX) tx.addEvent('smtp.max_command_line_len_exceeded');
    let kind: number = Command.OTHER;
    if (startsNoCase(buf, off, end, WORDS.MAIL)) tx.mailFrom = buf.slice(trim(buf, off + 10, end), end);
    else if (startsNoCase(buf, off, end, WORDS.RCPT)) {
      if (tx.rcptTo.length < RECIPIENTS_MAX) tx.rcptTo.push(buf.slice(trim(buf, off + 8, end), end));
    } else if (startsNoCase(buf, off, end, WORDS.EHLO) || startsNoCase(buf, off, end, WORDS.HELO)) {
      this.#helo = tx.helo = buf.slice(trim(buf, off + 4, end), end);
    } else if (startsNoCase(buf, off, end, WORDS.DATA)) {
      kind = Command.DATA;
      this.#inData = true;
      this.#lineStart = true;
      this.#beginMail(tx);
    } else if (startsNoCase(buf, off, end, WORDS.BDAT)) kind = this.#bdat(tx, buf, off, end);
    else if (startsNoCase(buf, off, end, WORDS.TLS)) {
      kind = Command.STARTTLS;
      this.#waitTls = true; // whatever follows is only read once the server has answered
    } else if (startsNoCase(buf, off, end, WORDS.RSET)) kind = Command.RSET;
    else if (startsNoCase(buf, off, end, WORDS.QUIT)) kind = Command.QUIT;
    this.#push(kind);
  }

  #push(kind: number): void {
    // a client that pipelines without end loses the pairing, nothing else
    if (this.#pending.length >= PENDING_MAX) return;
    this.#pending.push(kind);
    this.#pendingTx.push(this.#tx);
  }

  #bdat(tx: SmtpTransaction, buf: Uint8Array, off: number, end: number): number {
    let size = 0;
    let i = off + 5;
    while (i < end && buf[i]! >= 48 && buf[i]! <= 57 && size < 0x7fffffff) size = size * 10 + (buf[i++]! - 48);
    const last = findNoCase(buf, i, end, WORDS.LAST) >= 0;
    this.#chunkLeft = size;
    this.#chunkLast = last;
    if (this.#mime === null) this.#beginMail(tx);
    if (size === 0 && last) this.#endMail();
    return last ? Command.BDAT_LAST : Command.BDAT;
  }

  /**
   * Bytes of a BDAT chunk: raw, without dot-stuffing. Lines are put together across chunks, or a boundary could hide there.
   * @returns bytes taken, 0 when the line is not complete yet
   */
  #chunk(buf: Uint8Array, pos: number, end: number): number {
    const stop = Math.min(end, pos + this.#chunkLeft);
    let lf = pos + this.#scanned[TO_SERVER]!;
    while (lf < stop && buf[lf] !== LF) lf++;
    const whole = lf < stop;
    const chunkEnds = stop - pos === this.#chunkLeft;
    if (!whole && !chunkEnds && stop - pos < LINE_MAX) {
      this.#scanned[TO_SERVER] = lf - pos;
      return 0;
    }
    this.#scanned[TO_SERVER] = 0;
    const next = whole ? lf + 1 : stop;
    this.#chunkLeft -= next - pos;
    if (this.#tx !== null) this.#tx.dirtyToServer = true;
    const ends = this.#chunkLeft === 0 && this.#chunkLast;
    if (this.#carry !== null || (!whole && chunkEnds && !ends)) {
      const joined = join(this.#carry, buf, pos, next);
      this.#carry = !whole && !ends && joined.length < LINE_MAX ? joined : null;
      if (this.#carry === null) this.#chunkLine(joined, 0, joined.length, whole);
    } else this.#chunkLine(buf, pos, next, whole);
    if (ends) this.#endMail();
    return next - pos;
  }

  #chunkLine(buf: Uint8Array, off: number, end: number, whole: boolean): void {
    let e = whole ? end - 1 : end;
    if (whole && e > off && buf[e - 1] === CR) e--;
    this.#mime?.line(buf, off, e, end - e, this.#lineStart);
    this.#lineStart = whole;
  }

  #beginMail(tx: SmtpTransaction): void {
    tx.progressToServer = SmtpProgress.DATA;
    this.#lineStart = true;
    this.#mime = new MimeReader((name) => {
      const content = new Body(FILE_LIMIT);
      (tx.files ??= []).push(new AppFile(true, name, content));
      return content;
    });
  }

  #dataLine(buf: Uint8Array, off: number, end: number, eol: number): void {
    let start = off;
    if (this.#lineStart && buf[off] === 46 && end > off) {
      if (end - off === 1 && eol > 0) {
        this.#inData = false;
        this.#endMail();
        this.#push(Command.END_OF_DATA);
        return;
      }
      start++; // RFC 5321 section 4.5.2
    }
    this.#mime?.line(buf, start, end, eol, this.#lineStart);
    if (this.#tx !== null) this.#tx.dirtyToServer = true;
  }

  #endMail(): void {
    this.#mime?.finish();
    this.#mime = null;
    this.#carry = null;
    if (this.#tx === null) return;
    this.#tx.progressToServer = SmtpProgress.COMPLETE;
    this.#tx.doneToServer = true;
    this.#tx.dirtyToServer = true;
  }

  #reply(flow: Flow, buf: Uint8Array, off: number, end: number): void {
    const code = end - off >= 3 ? (buf[off]! - 48) * 100 + (buf[off + 1]! - 48) * 10 + buf[off + 2]! - 48 : -1;
    if (this.#tx !== null) this.#tx.dirtyToClient = true;
    if (code < 200 || code > 599) {
      this.#open(flow).addEvent('smtp.invalid_reply');
      return;
    }
    if (end - off > 3 && buf[off + 3] === 45) return; // more lines follow
    if (!this.#greeted) {
      this.#greeted = true;
      return;
    }
    const kind = this.#pending.shift() ?? -1;
    const tx = this.#pendingTx.shift() ?? this.#tx;
    const refused = code >= 400;
    switch (kind) {
      case Command.DATA:
        if (refused) {
          this.#inData = false;
          this.#mime = null;
          tx?.addEvent('smtp.data_command_rejected');
        }
        break;
      case Command.STARTTLS:
        this.#waitTls = false;
        if (refused) tx?.addEvent('smtp.tls_rejected');
        else {
          this.#close(tx);
          this.upgrade = 'tls';
        }
        break;
      case Command.RSET:
      case Command.QUIT:
      case Command.END_OF_DATA:
      case Command.BDAT_LAST:
        this.#close(tx);
        break;
      default:
    }
  }

  #close(tx: SmtpTransaction | null): void {
    if (tx === null) return;
    tx.progressToServer = tx.progressToClient = SmtpProgress.COMPLETE;
    tx.doneToServer = tx.doneToClient = true;
    tx.dirtyToServer = tx.dirtyToClient = true;
    if (tx !== this.#tx) return;
    this.#mime?.finish();
    this.#mime = null;
  }

  gap(): boolean {
    return false;
  }

  close(_flow: Flow, dir: number): void {
    if (dir !== TO_SERVER) return;
    this.#mime?.finish();
    this.#mime = null;
  }
}

function join(carry: Uint8Array | null, buf: Uint8Array, off: number, end: number): Uint8Array {
  const have = carry?.length ?? 0;
  const out = new Uint8Array(have + end - off);
  if (carry !== null) out.set(carry);
  out.set(buf.subarray(off, end), have);
  return out;
}

function trim(buf: Uint8Array, off: number, end: number): number {
  let i = off;
  while (i < end && (buf[i] === 32 || buf[i] === 9)) i++;
  return i;
}

const SMTP_WORD = ascii('smtp');

function probe(buf: Uint8Array, off: number, end: number, dir: number, onPort: boolean): number {
  if (dir === TO_SERVER) {
    if (end - off < 4) return ((buf[off]! | 32) === 101 || (buf[off]! | 32) === 104 ? PROBE_MORE : PROBE_NO);
    const hello = startsNoCase(buf, off, end, WORDS.EHLO) || startsNoCase(buf, off, end, WORDS.HELO);
    return hello || (onPort && startsNoCase(buf, off, end, WORDS.QUIT)) ? PROBE_YES : PROBE_NO;
  }
  const welcome = [50, 50, 48];
  for (let i = 0; i < 3; i++) {
    if (off + i >= end) return PROBE_MORE;
    if (buf[off + i] !== welcome[i]) return PROBE_NO;
  }
  if (onPort) return PROBE_YES;
  let lf = off;
  while (lf < end && buf[lf] !== LF) lf++;
  if (findNoCase(buf, off, lf, SMTP_WORD) >= 0) return PROBE_YES;
  return lf < end ? PROBE_NO : PROBE_MORE;
}

type Bytes = (tx: SmtpTransaction, index: number) => Uint8Array | null | undefined;

function spec(name: string, minProgress: number, bytes: Bytes): BufferSpec<Transaction> {
  return {
    name,
    toServer: true,
    toClient: false,
    minProgress,
    get(tx: Transaction, _dir: number, index: number, out: ByteSlice): boolean {
      const value = bytes(tx as SmtpTransaction, index);
      return value !== null && value !== undefined && value.length > 0 && out.set(value, 0, value.length);
    },
  };
}

export const SMTP_PROTOCOL: AppProtocol = {
  name: 'smtp',
  transports: ['tcp'],
  ports: [25, 587, 465],
  probe,
  create: () => new SmtpParser(),
  buffers: [
    spec('smtp.helo', SmtpProgress.OPEN, (tx, index) => (index === 0 ? tx.helo : null)),
    spec('smtp.mail_from', SmtpProgress.OPEN, (tx, index) => (index === 0 ? tx.mailFrom : null)),
    spec('smtp.rcpt_to', SmtpProgress.OPEN, (tx, index) => tx.rcptTo[index]),
    ...fileBuffers(Directions.TO_SERVER, SmtpProgress.DATA),
  ],
  completeToServer: SmtpProgress.COMPLETE,
  completeToClient: SmtpProgress.COMPLETE,
  events: ['smtp.no_server_welcome_message', 'smtp.max_command_line_len_exceeded', 'smtp.invalid_reply', 'smtp.data_command_rejected', 'smtp.tls_rejected'],
};
