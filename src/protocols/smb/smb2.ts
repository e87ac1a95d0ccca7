/** SMB2 and SMB3 messages (MS-SMB2 2.2): the commands that open, read, write and close files and pipes. */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import { le16, le32, toHex } from '../../util/index.js';
import { Pending, type SmbSession } from './session.js';
import { smbText } from './text.js';

const HEADER = 64;
const RESPONSE = 1;
const COMPOUND_MAX = 32;
const SHARE_PIPE = 2;
const STATUS_PENDING = 0x103;
const FSCTL_PIPE_TRANSCEIVE = 0x0011c017;
const Command = { SESSION_SETUP: 1, TREE_CONNECT: 3, CREATE: 5, CLOSE: 6, READ: 8, WRITE: 9, IOCTL: 11 } as const;
/** Bytes of each command's fixed part that are read. */
const FIXED: Readonly<Record<number, readonly [request: number, response: number]>> = {
  [Command.SESSION_SETUP]: [24, 8],
  [Command.TREE_CONNECT]: [8, 16],
  [Command.CREATE]: [56, 80],
  [Command.CLOSE]: [24, 2],
  [Command.READ]: [32, 16],
  [Command.WRITE]: [32, 16],
  [Command.IOCTL]: [40, 40],
};

/** One whole message, perhaps compound. @returns false when it does not make sense */
export function smb2(session: SmbSession, flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): boolean {
  let pos = off;
  for (let n = 0; n < COMPOUND_MAX; n++) {
    if (end - pos < HEADER || buf[pos] !== 0xfe || le16(buf, pos + 4) !== HEADER) return n > 0;
    const next = le32(buf, pos + 20) >>> 0;
    const stop = next >= HEADER && pos + next <= end ? pos + next : end;
    one(session, flow, dir, buf, pos, stop);
    if (next === 0 || stop === end) return true;
    pos = stop;
  }
  return true;
}

function one(session: SmbSession, flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): void {
  const response = (buf[off + 16]! & RESPONSE) !== 0;
  if (response === (dir === TO_SERVER)) return;
  const command = le16(buf, off + 12);
  const fixed = FIXED[command];
  const body = off + HEADER;
  if (fixed === undefined) return;
  const key = `2m${toHex(buf, off + 24, 8)}`;
  if (end - body < fixed[response ? 1 : 0]) {
    if (response && le32(buf, off + 8) !== STATUS_PENDING) session.answered(key); // an error message
    return;
  }
  const tree = `2t${toHex(buf, off + 36, 4)}`;
  if (response) answer(session, flow, dir, buf, off, end, command, key, tree);
  else ask(session, flow, dir, buf, off, end, command, key, tree);
}

function fileId(buf: Uint8Array, at: number): string {
  return `2f${toHex(buf, at, 16)}`;
}

function offset64(buf: Uint8Array, at: number): number {
  return (le32(buf, at) >>> 0) + (le32(buf, at + 4) >>> 0) * 2 ** 32;
}

/** Bytes at `at` from the header, given to the session. */
function data(session: SmbSession, flow: Flow, dir: number, handle: string, tree: string, offset: number, buf: Uint8Array, off: number, at: number, length: number, end: number): void {
  const from = off + at;
  const to = Math.min(end, from + length);
  if (at >= HEADER && to > from) session.data(flow, dir, handle, tree, 2, offset, buf, from, to);
}

function ask(session: SmbSession, flow: Flow, dir: number, buf: Uint8Array, off: number, end: number, command: number, key: string, tree: string): void {
  const body = off + HEADER;
  const pending = new Pending(command);
  switch (command) {
    case Command.SESSION_SETUP:
      session.logon(flow, 2, buf, body, end);
      return;
    case Command.TREE_CONNECT:
      session.connecting(flow, 2, pending, name(buf, off, end, le16(buf, body + 4), le16(buf, body + 6)));
      break;
    case Command.CREATE:
      pending.name = name(buf, off, end, le16(buf, body + 44), le16(buf, body + 46));
      break;
    case Command.CLOSE:
      session.close(fileId(buf, body + 8));
      return;
    case Command.READ:
      pending.handle = fileId(buf, body + 16);
      pending.offset = offset64(buf, body + 8);
      break;
    case Command.WRITE:
      data(session, flow, dir, fileId(buf, body + 16), tree, offset64(buf, body + 8), buf, off, le16(buf, body + 2), le32(buf, body + 4) >>> 0, end);
      return;
    default:
      if (le32(buf, body + 4) !== FSCTL_PIPE_TRANSCEIVE) return;
      pending.handle = fileId(buf, body + 8);
      data(session, flow, dir, pending.handle, tree, 0, buf, off, le32(buf, body + 24) >>> 0, le32(buf, body + 28) >>> 0, end);
  }
  session.expect(key, pending);
}

function answer(session: SmbSession, flow: Flow, dir: number, buf: Uint8Array, off: number, end: number, command: number, key: string, tree: string): void {
  const pending = session.answered(key);
  if (pending === null || pending.command !== command) return;
  const body = off + HEADER;
  switch (command) {
    case Command.TREE_CONNECT:
      session.connected(tree, pending, buf[body + 2] === SHARE_PIPE);
      break;
    case Command.CREATE:
      session.open(fileId(buf, body + 64), pending.name, tree);
      break;
    case Command.READ:
      data(session, flow, dir, pending.handle, tree, pending.offset, buf, off, buf[body + 2]!, le32(buf, body + 4) >>> 0, end);
      break;
    case Command.IOCTL:
      data(session, flow, dir, pending.handle, tree, 0, buf, off, le32(buf, body + 32) >>> 0, le32(buf, body + 36) >>> 0, end);
      break;
    default:
  }
}

function name(buf: Uint8Array, off: number, end: number, at: number, length: number): Uint8Array {
  return at >= HEADER && off + at + length <= end ? smbText(buf, off + at, off + at + length, true) : new Uint8Array(0);
}
