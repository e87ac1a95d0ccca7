/**
 * Files on the wire, in the data plane: hashes each as it passes and keeps its bytes, within bounds, until it is complete.
 * Whoever judges it sits in the control plane; what leaves here is one message a file.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Flow } from '../../flow/index.js';
import type { AppFile, FileObserver } from '../../protocols/index.js';
import type { ByteSink } from '../../util/index.js';

/** A file that a flow has delivered completely. */
export interface FlowFile {
  /** Name as sent, as text; '' when there is none. */
  readonly name: string;
  /** What file(1) would say, '' when not known. */
  readonly magic: string;
  readonly size: number;
  readonly sha256: string;
  /** The content; null when it was too large to be kept. */
  readonly bytes: Uint8Array<ArrayBuffer> | null;
  /** It went to the side that accepted the connection. */
  readonly toServer: boolean;
}

export interface FlowFileLimits {
  /** Largest file whose bytes are kept, and so can be scanned when its hash is not known. */
  readonly maxFile: number;
  /** Bytes kept of all files under way. */
  readonly maxBytes: number;
  /** Files followed at a time. */
  readonly maxFiles: number;
}

export class FlowFileCollector implements FileObserver {
  /** Files by what became of them. */
  readonly counts = { followed: 0, complete: 0, cut: 0, tooLarge: 0, refused: 0 };
  readonly #limits: FlowFileLimits;
  readonly #emit: (flow: Flow, file: FlowFile) => void;
  readonly #under = new Map<AppFile, FileSink>();
  #held = 0;

  /** @param emit takes a complete file; the bytes are its own */
  constructor(limits: FlowFileLimits, emit: (flow: Flow, file: FlowFile) => void) {
    this.#limits = limits;
    this.#emit = emit;
  }

  /** Bytes held of files under way. */
  get held(): number {
    return this.#held;
  }

  begin(_flow: Flow, file: AppFile): ByteSink | null {
    if (this.#under.size >= this.#limits.maxFiles) {
      this.counts.refused++;
      return null;
    }
    this.counts.followed++;
    const sink = new FileSink((bytes) => this.#take(bytes), this.#limits.maxFile);
    this.#under.set(file, sink);
    return sink;
  }

  end(flow: Flow, file: AppFile): void {
    const sink = this.#under.get(file);
    if (sink === undefined) return;
    this.#under.delete(file);
    this.#held -= sink.kept;
    // A file cut short, or one whose bytes were not all shown to us, has the hash of nothing.
    if (!file.content.complete || sink.size !== file.content.total) {
      this.counts.cut++;
      return;
    }
    if (sink.size === 0) return;
    this.counts.complete++;
    if (sink.lost) this.counts.tooLarge++;
    const magic = file.magic();
    this.#emit(flow, {
      name: Buffer.from(file.name).toString('utf8'),
      magic: magic === null ? '' : Buffer.from(magic).toString('latin1'),
      size: sink.size,
      sha256: sink.digest(),
      bytes: sink.bytes(),
      toServer: file.toServer,
    });
  }

  /** @returns false when there is no room for so many bytes more */
  #take(bytes: number): boolean {
    if (this.#held + bytes > this.#limits.maxBytes) return false;
    this.#held += bytes;
    return true;
  }
}

class FileSink implements ByteSink {
  size = 0;
  kept = 0;
  /** Bytes are not kept any more: too many, or no room. */
  lost = false;
  readonly #take: (bytes: number) => boolean;
  readonly #max: number;
  readonly #hash: Hash = createHash('sha256');
  #parts: Uint8Array[] = [];

  constructor(take: (bytes: number) => boolean, max: number) {
    this.#take = take;
    this.#max = max;
  }

  write(buf: Uint8Array, off: number, len: number): boolean {
    const part = buf.subarray(off, off + len);
    this.#hash.update(part);
    this.size += len;
    if (!this.lost && (this.size > this.#max || !this.#take(len))) {
      this.lost = true;
      this.#parts = [];
    }
    if (!this.lost) {
      this.#parts.push(Uint8Array.from(part));
      this.kept += len;
    }
    return true;
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  bytes(): Uint8Array<ArrayBuffer> | null {
    if (this.lost) return null;
    const all = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
