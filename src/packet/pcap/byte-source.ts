/** Where capture bytes come from: anything that can be pulled synchronously. */
import { closeSync, openSync, readSync } from 'node:fs';

export interface ByteSource {
  /** Read up to `len` bytes to target[at..]. @returns bytes read, 0 at the end. @throws Error when the source is broken */
  read(target: Uint8Array, at: number, len: number): number;
  close(): void;
}

/** A file, or a pipe such as /dev/stdin. */
export class FileSource implements ByteSource {
  #fd: number;

  /** @throws the error of open(2): ENOENT, EACCES, EISDIR on the first read */
  constructor(path: string) {
    this.#fd = openSync(path, 'r');
  }

  read(target: Uint8Array, at: number, len: number): number {
    return this.#fd < 0 ? 0 : readSync(this.#fd, target, at, len, null);
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Bytes in memory. */
export class MemorySource implements ByteSource {
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  read(target: Uint8Array, at: number, len: number): number {
    const count = Math.min(len, this.bytes.length - this.#at);
    target.set(this.bytes.subarray(this.#at, this.#at + count), at);
    this.#at += count;
    return count;
  }

  close(): void {
    this.#at = this.bytes.length;
  }
}
