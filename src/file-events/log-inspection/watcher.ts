/** Follows the log files of VMs, through their drivers or in a root directory of this host, and shows each line to the rules. */
import { StringDecoder } from 'node:string_decoder';
import { reasonOf } from '../engines/engine.js';
import type { DriverSession } from '../handler.js';
import { describeIdentity } from '../protocol/identity.js';
import { LocalTree } from '../scan/local-tree.js';
import { MAX_LINE, type LogEngine, type LogMatch } from './engine.js';

export interface LogSource {
  readonly path: string;
  /** Names of VMs; absent = all. */
  readonly vms?: readonly string[];
}

export interface LogFinding {
  readonly vm: string;
  readonly path: string;
  readonly match: LogMatch;
}

export interface WatcherParts {
  readonly engine: LogEngine;
  readonly sources: readonly LogSource[];
  /** Matches below are counted and not reported. */
  readonly minLevel: number;
  /** VM -> absolute root directory on this host. */
  readonly roots: ReadonlyMap<string, string>;
  readonly report: (finding: LogFinding) => void;
  readonly log: (text: string) => void;
  readonly wall: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** A log that is not there, or whose connection broke, is tried again after this. */
const RETRY_MS = 10_000;
/** Bytes of one local log read per poll: a log that grows faster is read later, not lost. */
const MAX_POLL = 1024 * 1024;

/** Bytes to lines; a line without an end is cut at MAX_LINE. */
export class LineSplitter {
  #decoder = new StringDecoder('utf8');
  #rest = '';

  *push(bytes: Uint8Array): Generator<string> {
    const lines = (this.#rest + this.#decoder.write(Buffer.from(bytes))).split('\n');
    this.#rest = lines.pop()!.slice(0, MAX_LINE);
    for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
  }

  /** Another file begins. */
  reset(): void {
    this.#decoder = new StringDecoder('utf8');
    this.#rest = '';
  }
}

interface Tail {
  readonly vm: string;
  readonly path: string;
  readonly splitter: LineSplitter;
  /** -1 = not seen yet: what is there already is old. */
  offset: number;
  inode: bigint;
}

export class LogWatcher {
  /** Findings reported, and those below the minimum level. */
  readonly counts = { reported: 0, below: 0, bytes: 0 };
  readonly #p: WatcherParts;
  readonly #tails: Tail[] = [];
  #closed = false;

  constructor(parts: WatcherParts) {
    this.#p = parts;
    for (const vm of parts.roots.keys()) {
      for (const { path } of this.#sourcesOf(vm)) this.#tails.push({ vm, path, splitter: new LineSplitter(), offset: -1, inode: -1n });
    }
  }

  /** A driver is there: follow its VM's logs from their ends, until the connection ends. */
  connected(session: DriverSession): void {
    if (this.#p.roots.has(session.vm)) return;
    for (const { path } of this.#sourcesOf(session.vm)) void this.#follow(session, path);
  }

  async #follow(session: DriverSession, path: string): Promise<void> {
    const splitter = new LineSplitter();
    let told = false;
    while (!this.#closed && session.open) {
      try {
        for await (const chunk of session.follow(path, -1)) {
          if (chunk.rotated) splitter.reset();
          this.#bytes(session.vm, path, splitter, chunk.bytes);
          if (this.#closed) return;
        }
      } catch (error) {
        if (!told && session.open) this.#p.log(`log ${path} of ${session.vm}: ${reasonOf(error)}`);
        told = true;
      }
      await this.#p.sleep(RETRY_MS);
    }
  }

  /** Read what was appended to the logs below root directories; call about every second. */
  async poll(): Promise<void> {
    for (const tail of this.#tails) {
      if (this.#closed) return;
      await this.#read(tail);
    }
  }

  async #read(tail: Tail): Promise<void> {
    let tree: LocalTree | null = null;
    try {
      tree = new LocalTree(this.#p.roots.get(tail.vm)!);
      const file = await tree.open(tail.path);
      try {
        const { inode } = describeIdentity(file.meta.identity);
        const rotated = tail.offset >= 0 && (inode !== tail.inode || file.size < tail.offset);
        if (tail.offset < 0) tail.offset = file.size;
        if (rotated) {
          tail.offset = 0;
          tail.splitter.reset();
        }
        tail.inode = inode;
        for (let n = 0; n < MAX_POLL && tail.offset < file.size; ) {
          const bytes = await file.read(tail.offset, 65_536);
          if (bytes.length === 0) break;
          tail.offset += bytes.length;
          n += bytes.length;
          this.#bytes(tail.vm, tail.path, tail.splitter, bytes);
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      // Not there: from its first byte on once it is.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') tail.offset = 0;
      else this.#p.log(`log ${tail.path} of ${tail.vm}: ${reasonOf(error)}`);
    } finally {
      await tree?.close();
    }
  }

  close(): void {
    this.#closed = true;
  }

  #bytes(vm: string, path: string, splitter: LineSplitter, bytes: Uint8Array): void {
    this.counts.bytes += bytes.length;
    for (const line of splitter.push(bytes)) {
      const match = this.#p.engine.inspect(vm, line, this.#p.wall());
      if (match === null) continue;
      if (match.rule.level < this.#p.minLevel) {
        this.counts.below++;
        continue;
      }
      this.counts.reported++;
      this.#p.report({ vm, path, match });
    }
  }

  #sourcesOf(vm: string): LogSource[] {
    return this.#p.sources.filter((s) => s.vms === undefined || s.vms.includes(vm));
  }
}
