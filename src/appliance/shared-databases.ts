/** Compiled pattern databases on their way from a helper thread to the data plane. */
import type { PatternCache } from '../ips/index.js';
import { shared } from './reload.js';

/** Keeps every database in shared memory, whether compiled now or found in the cache on disk. */
export class SharedDatabases implements PatternCache {
  readonly smallest = 1;
  readonly found = new Map<string, Uint8Array<SharedArrayBuffer>>();
  readonly #disk: PatternCache | null;
  readonly #keptBytes: number;

  /** @param keptBytes smaller ones are not written to disk: they are quick to compile, and the directory is not filled with them */
  constructor(disk: PatternCache | null, keptBytes = 65_536) {
    this.#disk = disk;
    this.#keptBytes = keptBytes;
  }

  load(key: string): Uint8Array | null {
    const database = this.#disk?.load(key) ?? null;
    if (database !== null) this.found.set(key, shared(database));
    return database;
  }

  store(key: string, database: Uint8Array): void {
    this.found.set(key, shared(database));
    if (database.length >= this.#keptBytes) this.#disk?.store(key, database);
  }
}
