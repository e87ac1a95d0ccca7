/**
 * A directory of this host as a tree of files. Every step goes through the descriptor of the directory before it
 * (/proc/self/fd, what openat(2) is for): a running container that replaces a directory by a link to /etc gets nowhere.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, lstatSync, openSync, read, readSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { identityKey } from '../protocol/identity.js';
import type { FileMeta } from '../protocol/messages.js';
import { pathFromBytes, pathToBytes } from '../protocol/path-bytes.js';
import { kindOf, type FileTree, type TreeEntry, type TreeFile } from './tree.js';

const readAsync = promisify(read);
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** O_NONBLOCK: opening a pipe that somebody put there must not wait for its writer. */
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** For reading without an await in between. */
const scratch = Buffer.allocUnsafeSlow(256 * 1024);

export class LocalTree implements FileTree {
  readonly lost = false;
  readonly #root: number;
  /** The directory opened last: a walk asks for its files one after the other. */
  #last: { readonly path: string; readonly fd: number } | null = null;

  /** @throws the system error when it is no directory */
  constructor(root: string) {
    this.#root = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  async list(path: string): Promise<TreeEntry[]> {
    const fd = this.#directory(components(path));
    const names = readdirSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' });
    const entries: TreeEntry[] = [];
    for (const raw of names) {
      const at = Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), raw]);
      let s: BigIntStats;
      try {
        s = lstatSync(at, { bigint: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        throw error;
      }
      const kind = kindOf(Number(s.mode));
      entries.push({ name: pathFromBytes(raw, 0, raw.length), kind, meta: metaOf(s), size: Number(s.size), target: kind === 'symlink' ? target(at) : '', claim: '' });
    }
    return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async open(path: string): Promise<TreeFile> {
    const parts = components(path);
    const name = parts.pop();
    if (name === undefined) throw Object.assign(new Error(`EISDIR: ${path}`), { code: 'EISDIR' });
    const fd = openSync(Buffer.concat([Buffer.from(`/proc/self/fd/${this.#directory(parts)}/`), pathToBytes(name)]), FILE);
    const s = fstatSync(fd, { bigint: true });
    if (!s.isFile()) {
      closeSync(fd);
      throw Object.assign(new Error(`${path} is no regular file`), { code: 'EINVAL' });
    }
    const meta = metaOf(s);
    return {
      size: Number(s.size),
      fd,
      meta,
      async read(offset, length) {
        const buffer = Buffer.allocUnsafe(length);
        const { bytesRead } = await readAsync(fd, buffer, 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
      async sha256() {
        const hash = createHash('sha256');
        const buffer = scratch;
        for (let at = 0, n = 0; (n = readSync(fd, buffer, 0, buffer.length, at)) > 0; at += n) hash.update(buffer.subarray(0, n));
        return { sha256: hash.digest(), identity: metaOf(fstatSync(fd, { bigint: true })).identity, trusted: true };
      },
      async close() {
        closeSync(fd);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#last !== null) closeSync(this.#last.fd);
    this.#last = null;
    closeSync(this.#root);
  }

  /** Descriptor of a directory below the root; valid until the next call. */
  #directory(parts: readonly string[]): number {
    if (parts.length === 0) return this.#root;
    const path = parts.join('/');
    if (this.#last?.path === path) return this.#last.fd;
    let fd = this.#root;
    for (const part of parts) {
      const at = Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), pathToBytes(part)]);
      try {
        const next = openSync(at, DIRECTORY);
        if (fd !== this.#root) closeSync(fd);
        fd = next;
      } catch (error) {
        if (fd !== this.#root) closeSync(fd);
        throw error;
      }
    }
    if (this.#last !== null) closeSync(this.#last.fd);
    this.#last = { path, fd };
    return fd;
  }
}

function components(path: string): string[] {
  const parts = path.split('/').filter((p) => p !== '' && p !== '.');
  if (parts.includes('..')) throw Object.assign(new Error(`EINVAL: ".." in ${path}`), { code: 'EINVAL' });
  return parts;
}

function metaOf(s: BigIntStats): FileMeta {
  return {
    identity: identityKey({ device: s.dev, inode: s.ino, size: s.size, mtimeNs: s.mtimeNs, ctimeNs: s.ctimeNs, change: 0n }),
    mode: Number(s.mode),
    uid: Number(s.uid),
    gid: Number(s.gid),
    nlink: Number(s.nlink),
  };
}

function target(at: Buffer): string {
  try {
    const raw = readlinkSync(at, { encoding: 'buffer' });
    return pathFromBytes(raw, 0, raw.length);
  } catch {
    return '';
  }
}
