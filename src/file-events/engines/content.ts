/**
 * Content to be scanned: a private copy with its SHA-256. It must be a copy. Hashing the live file and letting an engine read
 * it again would let its owner swap the bytes in between, and a clean verdict for a malicious hash would reach every VM.
 */
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface ScanContent {
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** The content while it is small enough to be held in memory, else null. */
  readonly bytes: Buffer | null;
  /** Descriptor of an unlinked private file with the content; -1 when `bytes` holds it. */
  readonly fd: number;
}

/** Content as it is fetched: at most `length` bytes from `offset`; an empty buffer at the end of the file. */
export type ReadChunk = (offset: number, length: number) => Promise<Uint8Array>;

/** Why content could not be had; `reason` is shown in events. */
export class ContentError extends Error {
  readonly reason: string;

  constructor(reason: string, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

/** Bytes up to here stay in memory; larger content goes to the spool. */
const IN_MEMORY = 4 * 1024 * 1024;
/** What a driver sends at once (MAX_CHUNK of the protocol). */
const CHUNK = 65_536;

/** Makes private copies, in memory or in unlinked files of one directory, within a bound for all of them together. */
export class ContentSpool {
  readonly #directory: string;
  readonly #maxBytes: number;
  #held = 0;
  /** Copies refused because the bound was reached. */
  refused = 0;

  /** @param maxBytes bound of all content held at a time, memory and disk together */
  constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
  }

  /** Bytes held now. */
  get held(): number {
    return this.#held;
  }

  /** The directory must exist before the first large file. @throws the system error */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
  }

  /**
   * Fetch content of `size` bytes and hash it. The caller releases it.
   * @throws ContentError: `spool-full`, `changed` (the file ended early), `unreadable`
   */
  async fetch(size: number, read: ReadChunk): Promise<ScanContent> {
    if (this.#held + size > this.#maxBytes) {
      this.refused++;
      throw new ContentError('spool-full', `${size} bytes more than the ${this.#maxBytes} bytes of content held at a time`);
    }
    this.#held += size;
    let fd = -1;
    try {
      const bytes = size <= IN_MEMORY ? Buffer.allocUnsafeSlow(size) : null;
      if (bytes === null) fd = this.#openSpoolFile();
      const hash = createHash('sha256');
      // What was appended since is not asked for: whoever trusts an identity looks at it again afterwards.
      for (let at = 0; at < size; ) {
        const chunk = await read(at, Math.min(CHUNK, size - at));
        if (chunk.length === 0) throw new ContentError('changed', `ended after ${at} of ${size} bytes`);
        hash.update(chunk);
        if (bytes !== null) bytes.set(chunk, at);
        else for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done, chunk.length - done, at + done);
        at += chunk.length;
      }
      return { size, sha256: hash.digest('hex'), bytes, fd };
    } catch (error) {
      if (fd >= 0) closeSync(fd);
      this.#held -= size;
      if (error instanceof ContentError) throw error;
      throw new ContentError('unreadable', error instanceof Error ? error.message : String(error));
    }
  }

  release(content: ScanContent): void {
    if (content.fd >= 0) closeSync(content.fd);
    this.#held -= content.size;
  }

  #openSpoolFile(): number {
    const path = join(this.#directory, `.spool-${randomBytes(8).toString('hex')}`);
    const fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return fd;
  }
}

/** Content from bytes at hand. */
export function contentOf(bytes: Buffer): ScanContent {
  return { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), bytes, fd: -1 };
}

/** The content piece by piece. The buffer is only valid until the next one is asked for. */
export function* chunksOf(content: ScanContent, chunkBytes = CHUNK): Generator<Buffer> {
  if (content.bytes !== null) {
    for (let at = 0; at < content.size; at += chunkBytes) yield content.bytes.subarray(at, Math.min(at + chunkBytes, content.size));
    return;
  }
  const buffer = Buffer.allocUnsafe(chunkBytes);
  for (let at = 0; at < content.size; ) {
    const n = readSync(content.fd, buffer, 0, Math.min(chunkBytes, content.size - at), at);
    if (n === 0) throw new ContentError('changed', `spool file ended at ${at} of ${content.size}`);
    yield buffer.subarray(0, n);
    at += n;
  }
}

/** All of it in one buffer. */
export function bytesOf(content: ScanContent): Buffer {
  if (content.bytes !== null) return content.bytes;
  const all = Buffer.allocUnsafe(content.size);
  let at = 0;
  for (const chunk of chunksOf(content)) at += chunk.copy(all, at);
  return all;
}
