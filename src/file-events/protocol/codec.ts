/**
 * One message <-> one frame. Decoding checks every length, code and limit and that nothing is left over; the two directions
 * share this file so that a test can send every message through both. Pure: no sockets, no clock.
 */
import {
  FLAG_DESCRIPTOR, FLAG_LAST, HEADER_BYTES, IDENTITY_BYTES, MAGIC, MAX_CHUNK, MAX_FILTERS, MAX_FRAME, MAX_MOUNTS, MAX_NAME, MAX_PATH,
  MAX_VM_NAME, MessageType, NONCE_BYTES, PROOF_BYTES, REFUSAL_NAMES, REMEMBER, SHA256_BYTES,
} from './limits.js';
import type { DriverStats, Entry, FileMeta, Message, ProcessInfo } from './messages.js';
import { FieldReader, FieldWriter, ProtocolError } from './wire.js';

const T = MessageType;
const BOOT_ID_BYTES = 16;
const MAX_TEXT = 255;
const MAX_TIMEOUT_MS = 600_000;
const MAX_LISTED_TYPES = 5;
const NO_DIGEST: Uint8Array = new Uint8Array(0);

/** Order on the wire. */
const STATS: readonly (keyof DriverStats)[] = [
  'events', 'allowed', 'denied', 'remembered', 'filtered', 'failed', 'timeouts', 'disconnected', 'overflows', 'notifications',
  'notificationsLost', 'bytesRead', 'outstanding', 'residentKiB', 'reconnects',
];

/**
 * @param buf holds the whole frame
 * @param at where its header begins
 * @param length of the frame, header included; checked by the splitter
 * @throws ProtocolError when it is no well-formed message of version 1
 */
export function decodeMessage(buf: Buffer, at: number, length: number): Message {
  const type = buf[at + 4]!;
  const flags = buf[at + 5]!;
  if (buf.readUInt16BE(at + 6) !== 0) throw new ProtocolError('reserved field is not zero');
  const allowed = type === T.EVENT || type === T.OPENED ? FLAG_DESCRIPTOR : type === T.ENTRIES ? FLAG_LAST : 0;
  if ((flags & ~allowed) !== 0) throw new ProtocolError(`flags ${flags} in message type ${type}`);
  const id = buf.readUInt32BE(at + 8);
  const r = new FieldReader(buf, at + HEADER_BYTES, at + length);
  const message = body(type, flags, id, r);
  r.done();
  return message;
}

function body(type: number, flags: number, id: number, r: FieldReader): Message {
  switch (type) {
    case T.EVENT: {
      const kind = r.code<1 | 2 | 3 | 4>(4, 'event kind');
      const permission = bool(r);
      const mount = r.u8();
      const meta = readMeta(r);
      return { type, id, kind, permission, mount, meta, size: sizeOf(meta.identity), process: readProcess(r), waitedUs: r.u32(), path: r.path(MAX_PATH), descriptor: (flags & FLAG_DESCRIPTOR) !== 0 };
    }
    case T.DISPOSITION: {
      const verdict = r.code<1 | 2>(2, 'verdict');
      return { type, id, verdict, remember: (r.u8() & REMEMBER) !== 0 };
    }
    case T.DATA:
      return { type, id, status: r.u32(), bytes: r.rest(MAX_CHUNK) };
    case T.READ: {
      const file = r.u32();
      const offset = r.u53();
      const length = r.u32();
      if (length < 1 || length > MAX_CHUNK) throw new ProtocolError(`read of ${length} bytes, at most ${MAX_CHUNK}`);
      return { type, id, file, offset, length };
    }
    case T.HASH:
      return { type, id, file: r.u32() };
    case T.DIGEST:
      return { type, id, status: r.u32(), identity: r.latin1(IDENTITY_BYTES), sha256: r.bytes(SHA256_BYTES) };
    case T.CANCEL:
      return { type, id };
    case T.HELLO:
      magic(r);
      return {
        type, version: r.u16(), capabilities: r.u32(), nonce: r.bytes(NONCE_BYTES), proof: r.bytes(PROOF_BYTES), bootId: r.bytes(BOOT_ID_BYTES),
        vm: r.text(MAX_VM_NAME), hostName: r.text(MAX_NAME), kernel: r.text(MAX_NAME), driver: r.text(MAX_NAME),
      };
    case T.CHALLENGE:
      magic(r);
      return { type, minVersion: r.u16(), maxVersion: r.u16(), nonce: r.bytes(NONCE_BYTES) };
    case T.WELCOME:
      return { type, version: r.u16(), proof: r.bytes(PROOF_BYTES) };
    case T.REFUSED:
      return { type, reason: r.code(REFUSAL_NAMES.length - 1, 'refusal'), text: r.text(MAX_TEXT) };
    case T.CONFIG:
      return readConfig(r);
    case T.OPEN:
      return { type, id, path: r.path(MAX_PATH) };
    case T.OPENED:
      return { type, id, status: r.u32(), file: r.u32(), meta: readMeta(r), descriptor: (flags & FLAG_DESCRIPTOR) !== 0 };
    case T.CLOSE:
      return { type, id, file: r.u32() };
    case T.LIST:
      return { type, id, path: r.path(MAX_PATH), hashUpTo: r.u53() };
    case T.ENTRIES: {
      const status = r.u32();
      const entries: Entry[] = [];
      while (r.left > 0) entries.push(readEntry(r));
      return { type, id, status, last: (flags & FLAG_LAST) !== 0, entries };
    }
    case T.MORE:
      return { type, id, count: r.u16() };
    case T.FOLLOW: {
      const path = r.path(MAX_PATH);
      const fromEnd = bool(r);
      const offset = r.u53();
      return { type, id, path, offset: fromEnd ? -1 : offset };
    }
    case T.LOG_DATA:
      return { type, id, status: r.u32(), offset: r.u53(), rotated: bool(r), identity: r.latin1(IDENTITY_BYTES), bytes: r.rest(MAX_CHUNK) };
    case T.STOP:
      return { type, id };
    case T.REMOVE:
      return { type, id, path: r.path(MAX_PATH), identity: r.latin1(IDENTITY_BYTES) };
    case T.CREATE:
      return { type, id, path: r.path(MAX_PATH), mode: r.u32(), uid: r.u32(), gid: r.u32(), mtimeNs: r.i64() };
    case T.WRITE:
      return { type, id, file: r.u32(), offset: r.u53(), bytes: r.rest(MAX_CHUNK) };
    case T.COMMIT:
      return { type, id, file: r.u32() };
    case T.RESULT:
      return { type, id, status: r.u32(), file: r.u32() };
    case T.CHANGE:
      return { type, id, kind: r.code(6, 'change kind'), mount: r.u8(), process: readProcess(r), path: r.path(MAX_PATH) };
    case T.FORGET:
      return { type, id, epoch: r.u32() };
    case T.PING: {
      const stats = Object.fromEntries(STATS.map((name) => [name, r.u53()])) as unknown as DriverStats;
      return { type, id, ...stats };
    }
    case T.PONG:
      return { type, id };
    default:
      throw new ProtocolError(`message type ${type} is not known`);
  }
}

/**
 * Write the frame of a message. @returns a view that holds until `w` is used again
 * @throws RangeError when a field is beyond its limit
 */
export function encodeMessage(w: FieldWriter, m: Message): Buffer {
  w.start();
  w.u32(0);
  w.u8(m.type);
  w.u8(('descriptor' in m && m.descriptor ? FLAG_DESCRIPTOR : 0) | ('last' in m && m.last ? FLAG_LAST : 0));
  w.u16(0);
  w.u32('id' in m ? m.id : 0);
  writeBody(w, m);
  if (w.length > MAX_FRAME) throw new RangeError(`frame of ${w.length} bytes, at most ${MAX_FRAME}`);
  w.setU32(0, w.length);
  return w.finish();
}

function writeBody(w: FieldWriter, m: Message): void {
  switch (m.type) {
    case T.EVENT:
      w.u8(m.kind);
      w.u8(m.permission ? 1 : 0);
      w.u8(m.mount);
      writeMeta(w, m.meta);
      writeProcess(w, m.process);
      w.u32(m.waitedUs);
      w.text(m.path, MAX_PATH);
      return;
    case T.DISPOSITION:
      w.u8(m.verdict);
      w.u8(m.remember ? REMEMBER : 0);
      return;
    case T.DATA:
      w.u32(m.status);
      w.bytes(m.bytes);
      return;
    case T.READ:
      w.u32(m.file);
      w.u53(m.offset);
      w.u32(m.length);
      return;
    case T.HASH:
    case T.CLOSE:
    case T.COMMIT:
      w.u32(m.file);
      return;
    case T.DIGEST:
      w.u32(m.status);
      w.latin1(m.identity);
      w.bytes(m.sha256);
      return;
    case T.CANCEL:
    case T.STOP:
    case T.PONG:
      return;
    case T.HELLO:
      w.u32(MAGIC);
      w.u16(m.version);
      w.u32(m.capabilities);
      w.bytes(m.nonce);
      w.bytes(m.proof);
      w.bytes(m.bootId);
      w.text(m.vm, MAX_VM_NAME);
      w.text(m.hostName, MAX_NAME);
      w.text(m.kernel, MAX_NAME);
      w.text(m.driver, MAX_NAME);
      return;
    case T.CHALLENGE:
      w.u32(MAGIC);
      w.u16(m.minVersion);
      w.u16(m.maxVersion);
      w.bytes(m.nonce);
      return;
    case T.WELCOME:
      w.u16(m.version);
      w.bytes(m.proof);
      return;
    case T.REFUSED:
      w.u8(m.reason);
      w.text(m.text, MAX_TEXT);
      return;
    case T.CONFIG:
      writeConfig(w, m);
      return;
    case T.OPEN:
      w.text(m.path, MAX_PATH);
      return;
    case T.OPENED:
      w.u32(m.status);
      w.u32(m.file);
      writeMeta(w, m.meta);
      return;
    case T.LIST:
      w.text(m.path, MAX_PATH);
      w.u53(m.hashUpTo);
      return;
    case T.ENTRIES:
      w.u32(m.status);
      for (const entry of m.entries) writeEntry(w, entry);
      return;
    case T.MORE:
      w.u16(m.count);
      return;
    case T.FOLLOW:
      w.text(m.path, MAX_PATH);
      w.u8(m.offset < 0 ? 1 : 0);
      w.u53(Math.max(0, m.offset));
      return;
    case T.LOG_DATA:
      w.u32(m.status);
      w.u53(m.offset);
      w.u8(m.rotated ? 1 : 0);
      w.latin1(m.identity);
      w.bytes(m.bytes);
      return;
    case T.REMOVE:
      w.text(m.path, MAX_PATH);
      w.latin1(m.identity);
      return;
    case T.CREATE:
      w.text(m.path, MAX_PATH);
      w.u32(m.mode);
      w.u32(m.uid);
      w.u32(m.gid);
      w.i64(m.mtimeNs);
      return;
    case T.WRITE:
      w.u32(m.file);
      w.u53(m.offset);
      w.bytes(m.bytes);
      return;
    case T.RESULT:
      w.u32(m.status);
      w.u32(m.file);
      return;
    case T.CHANGE:
      w.u8(m.kind);
      w.u8(m.mount);
      writeProcess(w, m.process);
      w.text(m.path, MAX_PATH);
      return;
    case T.FORGET:
      w.u32(m.epoch);
      return;
    case T.PING:
      for (const name of STATS) w.u53(m[name]);
      return;
  }
}

function magic(r: FieldReader): void {
  if (r.u32() !== MAGIC) throw new ProtocolError('not the driver protocol');
}

function bool(r: FieldReader): boolean {
  const value = r.u8();
  if (value > 1) throw new ProtocolError(`${value} where 0 or 1 is meant`);
  return value === 1;
}

function readMeta(r: FieldReader): FileMeta {
  return { identity: r.latin1(IDENTITY_BYTES), mode: r.u32(), uid: r.u32(), gid: r.u32(), nlink: r.u32() };
}

function writeMeta(w: FieldWriter, meta: FileMeta): void {
  if (meta.identity.length !== IDENTITY_BYTES) throw new RangeError(`identity of ${meta.identity.length} bytes`);
  w.latin1(meta.identity);
  w.u32(meta.mode);
  w.u32(meta.uid);
  w.u32(meta.gid);
  w.u32(meta.nlink);
}

function readProcess(r: FieldReader): ProcessInfo {
  return { pid: r.u32(), uid: r.u32(), image: r.text(MAX_PATH) };
}

function writeProcess(w: FieldWriter, p: ProcessInfo): void {
  w.u32(p.pid);
  w.u32(p.uid);
  w.text(p.image, MAX_PATH);
}

function readEntry(r: FieldReader): Entry {
  const meta = readMeta(r);
  const hashed = bool(r);
  const sha256 = hashed ? r.bytes(SHA256_BYTES) : NO_DIGEST;
  return { meta, sha256, name: r.path(MAX_NAME), target: r.text(MAX_PATH) };
}

function writeEntry(w: FieldWriter, entry: Entry): void {
  writeMeta(w, entry.meta);
  w.u8(entry.sha256.length === 0 ? 0 : 1);
  w.bytes(entry.sha256);
  w.text(entry.name, MAX_NAME);
  w.text(entry.target, MAX_PATH);
}

function readConfig(r: FieldReader): Message {
  const epoch = r.u32();
  const heartbeatMs = r.u32();
  const maxOutstanding = r.u16();
  const passDescriptors = bool(r);
  const kernelCache = bool(r);
  const mounts = Array.from({ length: count(r.u8(), MAX_MOUNTS, 'mounts') }, () => {
    const path = r.path(MAX_PATH);
    const scope = r.code<1 | 2>(2, 'scope');
    const events = r.u8();
    const failure = r.code<1 | 2 | 3>(3, 'failure policy');
    const timeoutMs = r.u32();
    if (timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) throw new ProtocolError(`time limit of ${timeoutMs} ms`);
    return { path, scope, events, failure, timeoutMs, maxSize: r.u53() };
  });
  const filters = Array.from({ length: count(r.u16(), MAX_FILTERS, 'filters') }, () => ({ kind: r.code<1 | 2 | 3 | 4 | 5>(MAX_LISTED_TYPES, 'filter'), value: r.path(MAX_PATH) }));
  return { type: T.CONFIG, epoch, heartbeatMs, maxOutstanding, passDescriptors, kernelCache, mounts, filters };
}

function writeConfig(w: FieldWriter, m: Message & { type: 0x42 }): void {
  w.u32(m.epoch);
  w.u32(m.heartbeatMs);
  w.u16(m.maxOutstanding);
  w.u8(m.passDescriptors ? 1 : 0);
  w.u8(m.kernelCache ? 1 : 0);
  if (m.mounts.length > MAX_MOUNTS || m.filters.length > MAX_FILTERS) throw new RangeError(`more than ${MAX_MOUNTS} mounts or ${MAX_FILTERS} filters`);
  w.u8(m.mounts.length);
  for (const mount of m.mounts) {
    w.text(mount.path, MAX_PATH);
    w.u8(mount.scope);
    w.u8(mount.events);
    w.u8(mount.failure);
    w.u32(mount.timeoutMs);
    w.u53(mount.maxSize);
  }
  w.u16(m.filters.length);
  for (const filter of m.filters) {
    w.u8(filter.kind);
    w.text(filter.value, MAX_PATH);
  }
}

function count(n: number, limit: number, what: string): number {
  if (n > limit) throw new ProtocolError(`${n} ${what}, at most ${limit}`);
  return n;
}

/** Size field of an identity, as a number (files above 2^53 bytes do not exist; the field is only informative then). */
function sizeOf(identity: string): number {
  let size = 0;
  for (let i = 16; i < 24; i++) size = size * 256 + identity.charCodeAt(i);
  return size;
}
