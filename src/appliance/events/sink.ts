/** Where finished EVE lines go: a file (replay, or the main thread), or a shared-memory ring to the main thread. */
import { closeSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { SpscRing } from '../../util/index.js';

export interface EventSink {
  /** @param keep the event explains a blocked packet and must not be shed */
  write(line: string, keep: boolean): void;
  flush(): void;
  close(): void;
}

/** Takes everything and keeps nothing: for replays that only count. */
export class NullSink implements EventSink {
  write(_line: string, _keep: boolean): void {
    // Nobody asked for events.
  }

  flush(): void {
    // Nothing is held.
  }

  close(): void {
    // Nothing is open.
  }
}

const BUFFER = 64 * 1024;

/** Buffered file sink. Rotates by size when asked to: `eve.json` -> `eve.json.1` -> ... The oldest is removed. */
export class FileSink implements EventSink {
  readonly path: string;
  /** Lines that could not be written (disk full, ...), with the last error. */
  failed = 0;
  lastError = '';
  #fd: number;
  #size: number;
  #pending: string[] = [];
  #pendingBytes = 0;
  readonly #maxBytes: number;
  readonly #keep: number;

  /**
   * @param maxBytes rotate once the file is larger; 0 = never
   * @param keep rotated files kept
   * @throws the system error when the file cannot be opened
   */
  constructor(path: string, options: { append: boolean; maxBytes?: number; keep?: number }) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, options.append ? 'a' : 'w', 0o640);
    this.#size = statSync(path).size;
    this.#maxBytes = options.maxBytes ?? 0;
    this.#keep = options.keep ?? 5;
  }

  write(line: string, _keep: boolean): void {
    this.#pending.push(line);
    this.#pendingBytes += line.length + 1;
    if (this.#pendingBytes >= BUFFER) this.flush();
  }

  flush(): void {
    if (this.#pending.length === 0) return;
    const lines = this.#pending.length;
    const bytes = Buffer.from(`${this.#pending.join('\n')}\n`, 'utf8');
    this.#pending.length = 0;
    this.#pendingBytes = 0;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
      this.#size += bytes.length;
      if (this.#maxBytes > 0 && this.#size >= this.#maxBytes) this.#rotate();
    } catch (error) {
      this.failed += lines;
      this.lastError = String(error);
    }
  }

  close(): void {
    this.flush();
    closeSync(this.#fd);
  }

  #rotate(): void {
    closeSync(this.#fd);
    for (let i = this.#keep - 1; i >= 1; i--) {
      try {
        renameSync(`${this.path}.${i}`, `${this.path}.${i + 1}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    if (this.#keep > 0) renameSync(this.path, `${this.path}.1`);
    this.#fd = openSync(this.path, 'w', 0o640);
    this.#size = 0;
  }
}

/**
 * Producer side of the worker's event ring. When the ring is full ordinary events are shed and counted; events that explain
 * a block wait in a bounded overflow list, and when that is full too the data plane waits for the reader.
 */
export class RingSink implements EventSink {
  /** Ordinary events lost because the ring was full. */
  lost = 0;
  readonly #ring: SpscRing;
  readonly #encoder = new TextEncoder();
  #scratch = new Uint8Array(64 * 1024);
  readonly #overflow: string[] = [];
  readonly #overflowLimit: number;
  readonly #waitMs: (ms: number) => void;

  /** @param waitMs blocks the calling thread for about that long */
  constructor(ring: SpscRing, waitMs: (ms: number) => void, overflowLimit = 4096) {
    this.#ring = ring;
    this.#waitMs = waitMs;
    this.#overflowLimit = overflowLimit;
  }

  write(line: string, keep: boolean): void {
    if (this.#overflow.length > 0) this.#drain();
    if (this.#overflow.length === 0 && this.#push(line)) return;
    if (!keep) {
      this.lost++;
      return;
    }
    this.#overflow.push(line);
    while (this.#overflow.length >= this.#overflowLimit) {
      this.#waitMs(1);
      this.#drain();
    }
  }

  flush(): void {
    this.#drain();
  }

  close(): void {
    for (let waited = 0; this.#overflow.length > 0 && waited < 2000; waited++) {
      this.#drain();
      this.#waitMs(1);
    }
  }

  #drain(): void {
    let done = 0;
    while (done < this.#overflow.length && this.#push(this.#overflow[done]!)) done++;
    if (done > 0) this.#overflow.splice(0, done);
  }

  #push(line: string): boolean {
    if (line.length * 3 > this.#scratch.length) this.#scratch = new Uint8Array(line.length * 3);
    const { written } = this.#encoder.encodeInto(line, this.#scratch);
    return this.#ring.push(this.#scratch, 0, written);
  }
}
