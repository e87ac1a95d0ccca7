/** Keeps a process that tries the same file a thousand times from writing a thousand events. */
import { LRUCache } from 'lru-cache';

/** The same finding is reported again after this. */
const PAUSE_MS = 30_000;
const MAX = 4096;

export class Repeats {
  readonly #seen = new LRUCache<string, { sinceMs: number; count: number }>({ max: MAX });
  readonly #now: () => number;

  /** @param now monotonic clock, ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * @param important report it whatever was reported before
   * @returns -1 = leave it out, else how many were left out since the last one
   */
  pass(key: string, important: boolean): number {
    const now = this.#now();
    const last = this.#seen.get(key);
    if (last !== undefined && !important && now - last.sinceMs < PAUSE_MS) {
      last.count++;
      return -1;
    }
    this.#seen.set(key, { sinceMs: now, count: 0 });
    return last?.count ?? 0;
  }
}
