/** A driver without a connection: a VM's files in memory, as the verdict path sees them. */
import { createHash } from 'node:crypto';
import type { ContentReader, Disposition, DriverSession, Entry, FileEvent, FileMeta, OpenedFile, RestoredMeta } from '../../src/file-events/index.js';
import { identityKey } from '../../src/file-events/index.js';

export interface FakeFile {
  bytes: Buffer;
  meta: FileMeta;
}

let inodes = 0;

export class FakeVm implements DriverSession {
  readonly vm: string;
  readonly bootId = '0'.repeat(32);
  readonly hostName = 'fake';
  readonly kernel = 'none';
  readonly driver = 'fake';
  readonly capabilities = 0;
  readonly peer = 'memory';
  readonly stats = null;
  open = true;
  readonly outstanding = 0;
  readonly files = new Map<string, FakeFile>();
  /** Bytes that travelled to the appliance. */
  bytesRead = 0;
  readonly forgotten: number[] = [];
  /** The guest lies about hashes. */
  lie: ((sha256: Buffer, path: string) => Buffer) | null = null;

  constructor(vm: string) {
    this.vm = vm;
  }

  /** @param ageMs how long ago it was changed */
  write(path: string, bytes: Buffer | string, ageMs = 60_000): FakeFile {
    const data = Buffer.from(bytes);
    const changed = BigInt(Date.now() - ageMs) * 1_000_000n;
    const file = { bytes: data, meta: { identity: identityKey({ device: 1n, inode: BigInt(++inodes), size: BigInt(data.length), mtimeNs: changed, ctimeNs: changed, change: 0n }), mode: 0o100644, uid: 1000, gid: 1000, nlink: 1 } };
    this.files.set(path, file);
    return file;
  }

  #need(path: string): FakeFile {
    const file = this.files.get(path);
    if (file === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return file;
  }

  #reader(path: string): ContentReader {
    const file = this.#need(path);
    return {
      size: file.bytes.length,
      fd: -1,
      read: async (offset, length) => {
        const part = this.#need(path).bytes.subarray(offset, offset + length);
        this.bytesRead += part.length;
        return part;
      },
      sha256: async () => {
        const now = this.#need(path);
        const real = createHash('sha256').update(now.bytes).digest();
        return { sha256: this.lie === null ? real : this.lie(real, path), identity: now.meta.identity, trusted: false };
      },
    };
  }

  event(path: string, more: Partial<FileEvent> = {}): FileEvent {
    const { meta, bytes } = this.#need(path);
    return {
      kind: 1, permission: true, session: this, path, meta, size: bytes.length, process: { pid: 7, uid: 1000, image: '/bin/cat' }, mount: '/', raisedMs: 0,
      deadlineMs: Infinity, content: this.#reader(path), cancelled: false, onCancel: null, ...more,
    };
  }

  async openFile(path: string): Promise<OpenedFile> {
    return { ...this.#reader(path), meta: this.#need(path).meta, close: async () => undefined };
  }

  async *list(path: string, hashUpTo: number): AsyncIterable<readonly Entry[]> {
    const base = path === '/' ? '' : path;
    const seen = new Set<string>();
    const entries: Entry[] = [];
    for (const [full, file] of this.files) {
      if (!full.startsWith(`${base}/`)) continue;
      const [name, ...rest] = full.slice(base.length + 1).split('/');
      if (seen.has(name!)) continue;
      seen.add(name!);
      const directory = rest.length > 0;
      const sha256 = !directory && file.bytes.length <= hashUpTo ? createHash('sha256').update(file.bytes).digest() : Buffer.alloc(0);
      entries.push({ name: name!, target: '', sha256, meta: directory ? { ...file.meta, mode: 0o040755 } : file.meta });
    }
    if (seen.size === 0) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    for (let at = 0; at < entries.length; at += 3) yield entries.slice(at, at + 3);
  }

  async remove(path: string, identity: string): Promise<void> {
    if (this.#need(path).meta.identity !== identity) throw Object.assign(new Error(`ESTALE: ${path}`), { code: 'ESTALE' });
    this.files.delete(path);
  }

  async restore(path: string, meta: RestoredMeta, content: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.files.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' });
    const parts: Uint8Array[] = [];
    for await (const part of content) parts.push(Uint8Array.from(part));
    const file = this.write(path, Buffer.concat(parts));
    file.meta = { ...file.meta, mode: meta.mode, uid: meta.uid, gid: meta.gid };
  }

  /** This VM writes no log, unless a test says otherwise. */
  follow: DriverSession['follow'] = async function* () {};

  forget(epoch: number): void {
    this.forgotten.push(epoch);
  }
}

export type { Disposition };
