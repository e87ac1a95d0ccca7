/** Reading files of a guest: through a descriptor on the same host, else by asking the driver. */
import { createHash } from 'node:crypto';
import { fstatSync, read } from 'node:fs';
import { promisify } from 'node:util';
import { readCached } from '@drawbridge/native';
import type { ContentReader, Digested } from '../handler.js';
import { describeIdentity, identityKey } from '../protocol/identity.js';
import { MAX_CHUNK } from '../protocol/limits.js';
import type { IdentityKey } from '../protocol/messages.js';
import { DriverError } from './errors.js';

const readAsync = promisify(read);
/** Content hashed without giving others a turn. */
const HASH_TURN = 1024 * 1024;
/** Only ever used between two awaits. */
const scratch = Buffer.allocUnsafeSlow(MAX_CHUNK);

/** What a reader without a descriptor asks of the connection. */
export interface RemoteFiles {
  readRemote(file: number, offset: number, length: number): Promise<Uint8Array>;
  hashRemote(file: number): Promise<Digested>;
}

export class RemoteContent implements ContentReader {
  readonly size: number;
  readonly fd = -1;
  readonly #remote: RemoteFiles;
  readonly #file: number;

  constructor(remote: RemoteFiles, file: number, size: number) {
    this.#remote = remote;
    this.#file = file;
    this.size = size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#remote.readRemote(this.#file, offset, checked(offset, length));
  }

  async sha256(): Promise<Digested> {
    return this.#remote.hashRemote(this.#file);
  }
}

export class LocalContent implements ContentReader {
  readonly size: number;
  readonly #fd: number;
  readonly #identity: IdentityKey;
  readonly #count: (bytes: number) => void;
  #closed = false;

  /** @param count is told how many bytes were read */
  constructor(fd: number, size: number, identity: IdentityKey, count: (bytes: number) => void) {
    this.#fd = fd;
    this.size = size;
    this.#identity = identity;
    this.#count = count;
  }

  get fd(): number {
    return this.#closed ? -1 : this.#fd;
  }

  /** The descriptor is about to be closed by its owner. */
  release(): void {
    this.#closed = true;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const buf = Buffer.allocUnsafe(checked(offset, length));
    const n = this.#cached(buf, length, offset);
    const got = n >= 0 ? n : await this.#uncached(buf, length, offset);
    this.#count(got);
    return buf.subarray(0, got);
  }

  async sha256(): Promise<Digested> {
    const hash = createHash('sha256');
    let own: Buffer | null = null;
    for (let at = 0, turn = 0; ; ) {
      let n = this.#cached(scratch, MAX_CHUNK, at);
      if (n > 0) hash.update(scratch.subarray(0, n));
      else if (n < 0) {
        // Others use the scratch buffer while this waits for a disk.
        own ??= Buffer.allocUnsafeSlow(MAX_CHUNK);
        n = await this.#uncached(own, MAX_CHUNK, at);
        hash.update(own.subarray(0, n));
        turn = 0;
      }
      if (n === 0) break;
      at += n;
      turn += n;
      this.#count(n);
      if (turn >= HASH_TURN) {
        turn = 0;
        await new Promise((settle) => setImmediate(settle));
      }
    }
    return { sha256: hash.digest(), identity: this.#identityNow(), trusted: true };
  }

  /** @returns -1 when only a wait could tell: not cached, or perhaps more than is cached */
  #cached(buf: Buffer, length: number, offset: number): number {
    if (this.#closed) throw new DriverError('ECANCELED', 'the file is closed');
    const n = readCached(this.#fd, buf, 0, length, offset);
    return n > 0 ? n : -1;
  }

  async #uncached(buf: Buffer, length: number, offset: number): Promise<number> {
    try {
      const { bytesRead } = await readAsync(this.#fd, buf, 0, length, offset);
      return bytesRead;
    } catch (error) {
      throw new DriverError((error as NodeJS.ErrnoException).code ?? 'EIO', 'read');
    }
  }

  /** The event's own key when nothing changed; device numbers are not compared (two encodings are about). */
  #identityNow(): IdentityKey {
    if (this.#closed) return '';
    const st = fstatSync(this.#fd, { bigint: true });
    const before = describeIdentity(this.#identity);
    if (st.ino === before.inode && st.size === before.size && st.mtimeNs === before.mtimeNs && st.ctimeNs === before.ctimeNs) return this.#identity;
    return identityKey({ ...before, inode: st.ino, size: st.size, mtimeNs: st.mtimeNs, ctimeNs: st.ctimeNs });
  }
}

function checked(offset: number, length: number): number {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError(`offset ${offset}`);
  if (!Number.isInteger(length) || length < 1 || length > MAX_CHUNK) throw new RangeError(`length ${length}: 1 to ${MAX_CHUNK}`);
  return length;
}
