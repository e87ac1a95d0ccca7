/**
 * Quarantine: malicious files, encrypted (AES-256-GCM, a fresh key for each file, wrapped by the store's key) so that no
 * scanner, backup or careless command brings them to life again. Bounded; a file that does not fit is refused, never half kept.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, readSync, readdirSync, renameSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface QuarantineMeta {
  readonly vm: string;
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly signature: string;
  readonly engine: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Decimal nanoseconds: JSON has no 64-bit numbers. */
  readonly mtimeNs: string;
  /** ISO 8601. */
  readonly quarantined: string;
}

export interface QuarantineEntry extends QuarantineMeta {
  readonly id: string;
}

/** `reason`: store-full, too-large, changed, not-found, damaged. */
export class QuarantineError extends Error {
  readonly reason: string;

  constructor(reason: string, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

const MAGIC = Buffer.from('DBQ1');
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const ID = /^[0-9]{8}-[0-9a-f]{16}$/;
const MAX_META = 64 * 1024;

/**
 * File layout: magic, u32 length of the sealed header, sealed header (iv, {meta, file key} by the store's key, tag), then iv,
 * content by the file key with the header as associated data, tag. The tag of the content ends the file.
 */
export class QuarantineStore {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #maxFile: number;
  readonly #key: Buffer;
  #bytes = 0;
  readonly #entries = new Map<string, QuarantineEntry>();
  /** Files of the directory that could not be read, with the reason. */
  readonly damaged: string[] = [];

  /**
   * Open or create the store; its key is made on first use (`key`, mode 0600).
   * @param maxBytes of all files kept; @param maxFile of one
   * @throws the system error
   */
  constructor(directory: string, maxBytes: number, maxFile: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
    this.#maxFile = maxFile;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const keyFile = join(directory, 'key');
    if (!existsSync(keyFile)) {
      writeFileSync(`${keyFile}.new`, randomBytes(KEY_BYTES), { mode: 0o600, flag: 'w', flush: true });
      renameSync(`${keyFile}.new`, keyFile);
    }
    chmodSync(keyFile, 0o600);
    this.#key = readFileSync(keyFile);
    if (this.#key.length !== KEY_BYTES) throw new QuarantineError('damaged', `${keyFile} is not a key of ${KEY_BYTES} bytes`);
    for (const name of readdirSync(directory)) this.#index(name);
  }

  get bytes(): number {
    return this.#bytes;
  }

  list(): QuarantineEntry[] {
    return [...this.#entries.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  get(id: string): QuarantineEntry | undefined {
    return this.#entries.get(id);
  }

  /**
   * Keep a file. It is on disk, synchronised, when this returns; only then may the original be removed.
   * @param chunks its content
   * @throws QuarantineError store-full, too-large; changed when the content is not what `meta` says
   */
  async put(meta: QuarantineMeta, chunks: AsyncIterable<Uint8Array>): Promise<QuarantineEntry> {
    if (meta.size > this.#maxFile) throw new QuarantineError('too-large', `${meta.size} bytes, at most ${this.#maxFile}`);
    if (this.#bytes + meta.size > this.#maxBytes) throw new QuarantineError('store-full', `${this.#bytes} of ${this.#maxBytes} bytes are used`);
    this.#bytes += meta.size;
    const id = `${meta.quarantined.slice(0, 10).replaceAll('-', '')}-${randomBytes(8).toString('hex')}`;
    const path = join(this.#directory, `${id}.q`);
    const fd = openSync(`${path}.new`, 'wx', 0o600);
    let kept = false;
    try {
      const fileKey = randomBytes(KEY_BYTES);
      const header = this.#seal(JSON.stringify({ ...meta, key: fileKey.toString('base64') }));
      const length = Buffer.alloc(4);
      length.writeUInt32BE(header.length);
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', fileKey, iv).setAAD(header);
      const hash = createHash('sha256');
      const write = (b: Uint8Array): void => {
        for (let at = 0; at < b.length; ) at += writeSync(fd, b, at);
      };
      for (const part of [MAGIC, length, header, iv]) write(part);
      let size = 0;
      for await (const chunk of chunks) {
        size += chunk.length;
        if (size > meta.size) break;
        hash.update(chunk);
        write(cipher.update(chunk));
      }
      if (size !== meta.size || hash.digest('hex') !== meta.sha256) throw new QuarantineError('changed', `${meta.path} is not the file any more that was judged`);
      write(cipher.final());
      write(cipher.getAuthTag());
      fsyncSync(fd);
      renameSync(`${path}.new`, path);
      kept = true;
    } finally {
      closeSync(fd);
      if (!kept) {
        rmSync(`${path}.new`, { force: true });
        this.#bytes -= meta.size;
      }
    }
    const entry = { id, ...meta };
    this.#entries.set(id, entry);
    return entry;
  }

  /**
   * The content of a kept file. Chunks must not be used before the iteration has ended without an error: only then are they
   * known to be unaltered.
   * @throws QuarantineError not-found, damaged
   */
  async *content(id: string): AsyncGenerator<Uint8Array> {
    if (!this.#entries.has(id)) throw new QuarantineError('not-found', id);
    const path = join(this.#directory, `${id}.q`);
    const fd = openSync(path, 'r');
    try {
      const { header, key, start } = this.#open(fd);
      const end = statSync(path).size - TAG_BYTES;
      const decipher = createDecipheriv('aes-256-gcm', key, readExactly(fd, start, IV_BYTES)).setAAD(header).setAuthTag(readExactly(fd, end, TAG_BYTES));
      for (let at = start + IV_BYTES; at < end; ) {
        const part = readExactly(fd, at, Math.min(256 * 1024, end - at));
        at += part.length;
        yield decipher.update(part);
      }
      try {
        decipher.final();
      } catch {
        throw new QuarantineError('damaged', `${path} was altered`);
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Remove a kept file for ever. @returns false when there is none */
  remove(id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    rmSync(join(this.#directory, `${id}.q`), { force: true });
    this.#entries.delete(id);
    this.#bytes -= entry.size;
    return true;
  }

  #index(name: string): void {
    const id = name.replace(/\.q$/, '');
    // What a crash left half written was never promised to anybody.
    if (name.endsWith('.q.new')) rmSync(join(this.#directory, name), { force: true });
    if (!name.endsWith('.q') || !ID.test(id)) return;
    const fd = openSync(join(this.#directory, name), 'r');
    try {
      const { meta } = this.#open(fd);
      this.#entries.set(id, { id, ...meta });
      this.#bytes += meta.size;
    } catch (error) {
      this.damaged.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      closeSync(fd);
    }
  }

  #seal(text: string): Buffer {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv).setAAD(MAGIC);
    return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  }

  #open(fd: number): { meta: QuarantineMeta; key: Buffer; header: Buffer; start: number } {
    const front = readExactly(fd, 0, 8);
    const length = front.readUInt32BE(4);
    if (!front.subarray(0, 4).equals(MAGIC) || length < IV_BYTES + TAG_BYTES || length > MAX_META) throw new QuarantineError('damaged', 'not a quarantine file');
    const header = readExactly(fd, 8, length);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, header.subarray(0, IV_BYTES)).setAAD(MAGIC).setAuthTag(header.subarray(-TAG_BYTES));
    try {
      const text = Buffer.concat([decipher.update(header.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString('utf8');
      const { key, ...meta } = JSON.parse(text) as QuarantineMeta & { key: string };
      return { meta, key: Buffer.from(key, 'base64'), header, start: 8 + length };
    } catch {
      throw new QuarantineError('damaged', 'altered, or of another store');
    }
  }
}

function readExactly(fd: number, at: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const n = readSync(fd, buffer, done, length - done, at + done);
    if (n === 0) throw new QuarantineError('damaged', 'shorter than it should be');
    done += n;
  }
  return buffer;
}
