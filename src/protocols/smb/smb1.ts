/** SMB1 messages (MS-CIFS 2.2, MS-SMB): the commands that open, read, write and close files and pipes. */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import { le16, le32, toHex } from '../../util/index.js';
import { Pending, type SmbSession } from './session.js';
import { smbText } from './text.js';

const HEADER = 32;
const Command = { CLOSE: 0x04, TRANSACTION: 0x25, LOCKING: 0x24, OPEN: 0x2d, READ: 0x2e, WRITE: 0x2f, NEGOTIATE: 0x72, SESSION_SETUP: 0x73, LOGOFF: 0x74, TREE_CONNECT: 0x75, NT_CREATE: 0xa2 } as const;
const ANDX: ReadonlySet<number> = new Set([Command.LOCKING, Command.OPEN, Command.READ, Command.WRITE, Command.SESSION_SETUP, Command.LOGOFF, Command.TREE_CONNECT, Command.NT_CREATE]);
const NO_ANDX = 0xff;
const CHAIN_MAX = 8;
const RESPONSE = 0x80;
const UNICODE = 0x8000;
const FUNCTION_TRANSACT = 0x26;

/** One whole message buf[off, end). @returns false when it does not make sense */
export function smb1(session: SmbSession, flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): boolean {
  if (end - off < HEADER + 3) return false;
  const response = (buf[off + 9]! & RESPONSE) !== 0;
  if (response === (dir === TO_SERVER)) return true; // not of this direction
  let command = buf[off + 4]!;
  let words = off + HEADER;
  for (let n = 0; n < CHAIN_MAX; n++) {
    const count = buf[words]! * 2;
    const body = words + 1 + count + 2;
    if (body > end) return n > 0 || count === 0;
    const part = new Part(session, flow, dir, buf, off, end, words + 1, count, body, command);
    if (response) part.response();
    else part.request();
    if (!ANDX.has(command) || count < 4) return true;
    const next = buf[words + 1]!;
    const offset = le16(buf, words + 3);
    if (next === NO_ANDX || offset < HEADER || off + offset + 3 > end || off + offset <= words) return true;
    command = next;
    words = off + offset;
  }
  return true;
}

/** One command of a chain. */
class Part {
  readonly tree: string;
  readonly key: string;
  readonly unicode: boolean;

  constructor(
    readonly session: SmbSession,
    readonly flow: Flow,
    readonly dir: number,
    readonly buf: Uint8Array,
    readonly off: number,
    readonly end: number,
    readonly words: number,
    readonly count: number,
    readonly body: number,
    readonly command: number,
  ) {
    this.tree = `1t${toHex(buf, off + 24, 2)}`;
    this.key = `1m${command}.${toHex(buf, off + 26, 6)}`;
    this.unicode = (le16(buf, off + 10) & UNICODE) !== 0;
  }

  #word(at: number): number {
    return at + 2 <= this.count ? le16(this.buf, this.words + at) : 0;
  }

  #double(at: number): number {
    return at + 4 <= this.count ? le32(this.buf, this.words + at) >>> 0 : 0;
  }

  #handle(at: number): string {
    return `1f${this.#word(at)}`;
  }

  /** Text in the data part; UTF-16 is aligned to the message. */
  #text(at: number): Uint8Array {
    const start = this.unicode && ((at - this.off) & 1) !== 0 ? at + 1 : at;
    return start < this.end ? smbText(this.buf, start, this.end, this.unicode) : new Uint8Array(0);
  }

  request(): void {
    const { session, flow, buf } = this;
    switch (this.command) {
      case Command.SESSION_SETUP:
        session.logon(flow, 1, buf, this.body, this.end);
        break;
      case Command.TREE_CONNECT: {
        const pending = new Pending(this.command);
        session.connecting(flow, 1, pending, this.#text(this.body + this.#word(6)));
        session.expect(this.key, pending);
        break;
      }
      case Command.NT_CREATE: {
        const pending = new Pending(this.command);
        pending.name = this.#text(this.body);
        session.expect(this.key, pending);
        break;
      }
      case Command.WRITE: {
        const length = this.#word(20) + this.#word(18) * 65536;
        const from = this.off + this.#word(22);
        const offset = this.#double(6) + (this.count >= 28 ? this.#double(24) * 2 ** 32 : 0);
        if (from >= this.off + HEADER) session.data(flow, this.dir, this.#handle(4), this.tree, 1, offset, buf, Math.min(from, this.end), Math.min(this.end, from + length));
        break;
      }
      case Command.READ: {
        const pending = new Pending(this.command);
        pending.handle = this.#handle(4);
        pending.offset = this.#double(6) + (this.count >= 24 ? this.#double(20) * 2 ** 32 : 0);
        session.expect(this.key, pending);
        break;
      }
      case Command.TRANSACTION: {
        if (this.#word(28) !== FUNCTION_TRANSACT) break;
        const pending = new Pending(this.command);
        pending.handle = this.#handle(30);
        session.expect(this.key, pending);
        this.#piece(pending.handle, this.#word(22), this.#word(24), 0);
        break;
      }
      case Command.CLOSE:
        session.close(this.#handle(0));
        break;
      default:
    }
  }

  response(): void {
    const { session } = this;
    const pending = session.answered(this.key);
    if (pending === null) return;
    switch (this.command) {
      case Command.TREE_CONNECT: {
        const service = Buffer.from(this.buf.subarray(this.body, Math.min(this.end, this.body + 3))).toString('latin1');
        session.connected(this.tree, pending, service === 'IPC');
        break;
      }
      case Command.NT_CREATE:
        if (this.count >= 7) session.open(`1f${le16(this.buf, this.words + 5)}`, pending.name, this.tree);
        break;
      case Command.READ:
        this.#piece(pending.handle, this.#word(10) + this.#word(14) * 65536, this.#word(12), pending.offset);
        break;
      case Command.TRANSACTION:
        this.#piece(pending.handle, this.#word(12), this.#word(14), 0);
        break;
      default:
    }
  }

  #piece(handle: string, length: number, at: number, offset: number): void {
    const from = this.off + at;
    const to = Math.min(this.end, from + length);
    if (at >= HEADER && to > from) this.session.data(this.flow, this.dir, handle, this.tree, 1, offset, this.buf, from, to);
  }
}
