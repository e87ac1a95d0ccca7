/**
 * Compiled pattern databases on disk (`ips.cache`), so that a restart with unchanged rules compiles nothing. A key names library
 * version, processor features and patterns; a wrong or damaged file is therefore never used, only compiled again.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { PatternCache } from '../ips/index.js';

/** Databases kept per directory; those used longest ago go first. ET Open has about twenty, 6 MiB together. */
const MOST_KEPT = 400;

/** The cache of the user who runs a command: $XDG_CACHE_HOME/drawbridge, else ~/.cache/drawbridge; undefined when it cannot be had. */
export function userPatternCache(): FilePatternCache | undefined {
  const base = process.env['XDG_CACHE_HOME'];
  try {
    return new FilePatternCache(join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'drawbridge'), () => undefined);
  } catch (error) {
    // No home, or one that cannot be written: a command that only reads captures works all the same.
    if (!(error instanceof Error && 'code' in error)) throw error;
    return undefined;
  }
}

export class FilePatternCache implements PatternCache {
  /** What is smaller compiles within milliseconds and would only fill the directory. */
  readonly smallest = 200;
  readonly #directory: string;
  readonly #log: (text: string) => void;

  /**
   * @param log told when a database could not be kept; the appliance works without
   * @throws the system error when the directory cannot be made
   */
  constructor(directory: string, log: (text: string) => void) {
    this.#directory = directory;
    this.#log = log;
    // Databases are handed to native code as they are: nobody else may write here.
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  load(key: string): Uint8Array | null {
    try {
      const path = this.#path(key);
      const database = readFileSync(path);
      const now = new Date();
      utimesSync(path, now, now);
      return database;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#log(`pattern cache: ${String(error)}`);
      return null;
    }
  }

  store(key: string, database: Uint8Array): void {
    const path = this.#path(key);
    const part = `${path}.${process.pid}.part`;
    try {
      writeFileSync(part, database, { mode: 0o600 });
      renameSync(part, path);
      this.#prune();
    } catch (error) {
      this.#log(`pattern cache: ${String(error)}`);
      if (existsSync(part)) rmSync(part, { force: true });
    }
  }

  #prune(): void {
    const files = readdirSync(this.#directory).filter((name) => name.endsWith('.hsdb'));
    if (files.length <= MOST_KEPT) return;
    const byAge = files.map((name) => join(this.#directory, name)).map((path) => ({ path, used: statSync(path).mtimeMs })).sort((a, b) => a.used - b.used);
    for (const { path } of byAge.slice(0, files.length - MOST_KEPT)) rmSync(path, { force: true });
  }

  #path(key: string): string {
    return join(this.#directory, `${key}.hsdb`);
  }
}
