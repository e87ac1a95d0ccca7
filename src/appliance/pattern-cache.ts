/**
 * Compiled pattern databases on disk (`ips.cache`), so that a restart with unchanged rules compiles nothing. A key names library
 * version, processor features and patterns; a wrong or damaged file is therefore never used, only compiled again.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PatternCache } from '../ips/index.js';

export class FilePatternCache implements PatternCache {
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
      return readFileSync(this.#path(key));
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
    } catch (error) {
      this.#log(`pattern cache: ${String(error)}`);
      if (existsSync(part)) rmSync(part, { force: true });
    }
  }

  #path(key: string): string {
    return join(this.#directory, `${key}.hsdb`);
  }
}
