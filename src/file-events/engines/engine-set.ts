/** All engines together: one epoch, one answer. Clean only when every engine says so. */
import { createHash } from 'node:crypto';
import type { ScanContent } from './content.js';
import { CLEAN, failed, reasonOf, type Engine, type ScanResult } from './engine.js';
import { HashListEngine } from './hash-list.js';

/** How bad an answer is; the worst of all engines counts, and a found signature before everything. */
const RANK = { clean: 0, 'not-fully-scanned': 1, failed: 2, malicious: 3 } as const;

export interface EngineStats {
  scans: number;
  bytes: number;
  /** Sum of scan times, ms. */
  ms: number;
  readonly outcomes: Record<ScanResult['outcome'], number>;
  timeouts: number;
}

export class EngineSet {
  readonly engines: readonly Engine[];
  /** By engine name. */
  readonly stats = new Map<string, EngineStats>();
  #epoch = '';
  readonly #timeoutMs: number;
  readonly #now: () => number;
  #refreshing: Promise<boolean> | null = null;

  /**
   * @param engines asked in this order, cheap ones first
   * @param timeoutMs time limit of one scan
   * @param now monotonic clock, ms
   */
  constructor(engines: readonly Engine[], timeoutMs: number, now: () => number) {
    this.engines = engines;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
    for (const { name } of engines) this.stats.set(name, { scans: 0, bytes: 0, ms: 0, outcomes: { clean: 0, malicious: 0, 'not-fully-scanned': 0, failed: 0 }, timeouts: 0 });
  }

  /** Identifies all signatures in force. */
  get epoch(): string {
    return this.#epoch;
  }

  /** The epoch as drivers are told it: the same after a restart with the same signatures. */
  get epochNumber(): number {
    return Number.parseInt(this.#epoch.slice(0, 8), 16);
  }

  /** @throws Error naming the engine that does not start; none is left running then */
  async start(): Promise<void> {
    for (const engine of this.engines) {
      try {
        await engine.start();
      } catch (error) {
        await this.close();
        throw new Error(`engine ${engine.name}: ${reasonOf(error)}`);
      }
    }
    this.#stamp();
  }

  /** @returns the worst any engine says. Never rejects */
  async scan(content: ScanContent): Promise<ScanResult> {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    let worst = CLEAN;
    for (const engine of this.engines) {
      if (engine instanceof HashListEngine && engine.knownGood(content)) return CLEAN;
      const started = this.#now();
      const result = await engine.scan(content, signal).catch((error: unknown) => failed(engine.name, `engine-error: ${reasonOf(error)}`));
      const stats = this.stats.get(engine.name)!;
      stats.scans++;
      stats.bytes += content.size;
      stats.ms += this.#now() - started;
      stats.outcomes[result.outcome]++;
      if (result.reason.startsWith('timeout')) stats.timeouts++;
      if (RANK[result.outcome] > RANK[worst.outcome]) worst = result;
      if (worst.outcome === 'malicious') return worst;
    }
    return worst;
  }

  /** What the hash lists say about content that nobody has: malicious or undefined. */
  async byHash(sha256: string): Promise<ScanResult | undefined> {
    for (const engine of this.engines) {
      if (!(engine instanceof HashListEngine)) continue;
      const result = await engine.scan({ sha256 });
      if (result.outcome === 'malicious') return result;
    }
    return undefined;
  }

  /**
   * Take new signatures of every engine. An engine that cannot keeps its old ones.
   * @param complain told what went wrong, in one line
   * @returns true when the epoch changed
   */
  refresh(complain: (text: string) => void): Promise<boolean> {
    this.#refreshing ??= this.#refresh(complain).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(complain: (text: string) => void): Promise<boolean> {
    let changed = false;
    for (const engine of this.engines) {
      try {
        changed = (await engine.refresh()) || changed;
      } catch (error) {
        complain(`engine ${engine.name}: ${reasonOf(error)}`);
      }
    }
    if (changed) this.#stamp();
    return changed;
  }

  async close(): Promise<void> {
    for (const engine of this.engines) await engine.close();
  }

  #stamp(): void {
    const hash = createHash('sha256');
    for (const { name, epoch } of this.engines) hash.update(`${name}:${epoch}\n`);
    this.#epoch = hash.digest('hex').slice(0, 16);
  }
}
