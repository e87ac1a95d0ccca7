/**
 * One content, one scan: whoever asks for a content that is being fetched or scanned waits for the same answer, and whoever
 * asks afterwards gets it from the cache. Everything that reads or scans goes through the queue.
 */
import type { ContentRecord, VerdictCache } from '../cache/verdict-cache.js';
import { isLasting } from '../cache/verdict-cache.js';
import { ContentError, type ContentSpool, type ReadChunk, type ScanContent } from '../engines/content.js';
import { failed, notFullyScanned, reasonOf, type ScanResult } from '../engines/engine.js';
import type { EngineSet } from '../engines/engine-set.js';
import { Priority, type Refusal, type ScanQueue, type ScanTask } from '../queue/scan-queue.js';

export interface ScanRequest {
  /** Number of the VM that pays for it. */
  readonly vm: number;
  readonly path: string;
  readonly size: number;
  readonly priority: Priority;
  /** Server clock, ms; Infinity = whenever. */
  readonly deadlineMs: number;
  /** Requests with the same key are the same content, or `claim` tells afterwards that they were not. */
  readonly key: string;
  /** SHA-256 that a guest claims; '' = the key alone can be trusted. */
  readonly claim: string;
  readonly read: ReadChunk;
}

export interface Judgement {
  readonly result: ScanResult;
  /** Hash of the bytes that were judged; '' when they could not be read. */
  readonly sha256: string;
  /** The cache's record; null when the result is not one to keep. */
  readonly record: ContentRecord | null;
  /** It was read and judged for this request, not joined or cached. */
  readonly fresh: boolean;
}

interface Flight {
  readonly task: ScanTask;
  /** null: the one who was to read it could not; try yourself. */
  readonly done: Promise<Judgement | null>;
}

/** How often somebody tries again whose predecessor could not read. */
const ATTEMPTS = 3;

export class FileScanner {
  readonly #cache: VerdictCache;
  readonly #engines: EngineSet;
  readonly #queue: ScanQueue;
  readonly #spool: ContentSpool;
  readonly #maxFileSize: number;
  /** Scans that may begin now, and those that wait for one to end. */
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #byKey = new Map<string, Flight>();
  readonly #byHash = new Map<string, Promise<ScanResult>>();
  /** What became of requests. `saved` and `fetched` are bytes. */
  readonly counts = { requests: 0, joined: 0, cached: 0, scanned: 0, savedBytes: 0, fetchedBytes: 0, refused: 0, unreadable: 0, tooLarge: 0 };
  /** Sees the time of each scan (ms, engines only). */
  onScan: ((ms: number) => void) | null = null;
  readonly #now: () => number;

  /** @param parts `scans` contents at most are shown to the engines at a time; reading goes ahead of that, as the queue allows */
  constructor(parts: { cache: VerdictCache; engines: EngineSet; queue: ScanQueue; spool: ContentSpool; maxFileSize: number; scans: number; now: () => number }) {
    this.#cache = parts.cache;
    this.#engines = parts.engines;
    this.#queue = parts.queue;
    this.#spool = parts.spool;
    this.#maxFileSize = parts.maxFileSize;
    this.#now = parts.now;
    this.#free = parts.scans;
  }

  /** Never rejects: whatever prevents a verdict is a `failed` result. */
  async judge(request: ScanRequest): Promise<Judgement> {
    this.counts.requests++;
    if (request.size > this.#maxFileSize) {
      this.counts.tooLarge++;
      return unread(notFullyScanned('', `limit: larger than ${this.#maxFileSize} bytes`));
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const flight = this.#byKey.get(request.key);
      if (flight === undefined) return this.#fly(request);
      this.#queue.raise(flight.task, request.priority);
      const judged = await flight.done;
      // Somebody else may have claimed a hash that is not that of his file: then this request has learned nothing.
      if (judged !== null && (request.claim === '' || judged.sha256 === request.claim)) {
        this.counts.joined++;
        this.counts.savedBytes += request.size;
        return { ...judged, fresh: false };
      }
    }
    return this.#fly({ ...request, key: `${request.key}/${request.vm}/${request.path}` });
  }

  async #fly(request: ScanRequest): Promise<Judgement> {
    let settle: (judged: Judgement | null) => void = () => undefined;
    const done = new Promise<Judgement | null>((go) => {
      settle = go;
    });
    let own: Judgement = unread(failed('', 'unavailable'));
    const task: ScanTask = {
      vm: request.vm,
      cost: request.size,
      deadlineMs: request.deadlineMs,
      run: async () => {
        own = await this.#run(request);
        settle(own.sha256 === '' ? null : own);
      },
      refuse: (why: Refusal) => {
        this.counts.refused++;
        own = unread(failed('', `queue: ${why}`));
        settle(null);
      },
    };
    this.#byKey.set(request.key, { task, done });
    this.#queue.submit(task, request.priority);
    await done;
    this.#byKey.delete(request.key);
    return own;
  }

  async #run(request: ScanRequest): Promise<Judgement> {
    let content: ScanContent;
    try {
      content = await this.#spool.fetch(request.size, request.read);
    } catch (error) {
      this.counts.unreadable++;
      return unread(failed('', error instanceof ContentError ? error.message : `unreadable: ${reasonOf(error)}`));
    }
    this.counts.fetchedBytes += content.size;
    try {
      return await this.#judgeContent(request, content);
    } finally {
      this.#spool.release(content);
    }
  }

  /** Judge content at hand, whatever it came from, without queueing. The caller keeps it until the answer is there. */
  async #judgeContent(request: Pick<ScanRequest, 'vm' | 'path'>, content: ScanContent): Promise<Judgement> {
    const { sha256, size } = content;
    const epoch = this.#engines.epoch;
    const known = this.#cache.get(sha256, epoch);
    if (known !== undefined) {
      this.counts.cached++;
      return { result: known.result, sha256, record: known, fresh: false };
    }
    const under = this.#byHash.get(sha256);
    if (under !== undefined) this.counts.joined++;
    const scan = under ?? this.#scan(content);
    const result = await scan;
    // Signatures that arrived meanwhile may or may not have been asked: the result counts for the older ones.
    const record = isLasting(result) ? this.#cache.put(sha256, size, result, epoch) : null;
    if (record !== null) record.seen = { vm: request.vm, path: request.path };
    return { result, sha256, record, fresh: under === undefined };
  }

  async #scan(content: ScanContent): Promise<ScanResult> {
    const scan = this.#inTurn(content);
    this.#byHash.set(content.sha256, scan);
    try {
      return await scan;
    } finally {
      this.#byHash.delete(content.sha256);
    }
  }

  async #inTurn(content: ScanContent): Promise<ScanResult> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((go) => this.#waiting.push(go));
    this.counts.scanned++;
    const started = this.#now();
    try {
      return await this.#engines.scan(content);
    } finally {
      this.onScan?.(this.#now() - started);
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

function unread(result: ScanResult): Judgement {
  return { result, sha256: '', record: null, fresh: true };
}
