/** Engine `hash-list`: SHA-256 of files known to be bad, and of files known to be good that no further engine looks at. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CLEAN, malicious, type Engine, type ScanResult } from './engine.js';
import type { ScanContent } from './content.js';

export interface HashListOptions {
  /** Files of known bad hashes. */
  readonly deny: readonly string[];
  /** Files of known good hashes. */
  readonly allow: readonly string[];
}

const DIGEST = 32;

/** Sorted digests, 32 bytes each: a million hashes take 32 MB, where a Map of strings would take 120. */
class DigestTable {
  readonly #digests: Buffer;
  /** Names, where the list gave one. */
  readonly #names: ReadonlyMap<string, string>;

  /** @param hashes lower-case hex -> name or '' */
  constructor(hashes: ReadonlyMap<string, string>) {
    const sorted = [...hashes.keys()].toSorted();
    this.#digests = Buffer.allocUnsafe(sorted.length * DIGEST);
    sorted.forEach((hex, i) => this.#digests.write(hex, i * DIGEST, 'hex'));
    this.#names = new Map([...hashes].filter(([, name]) => name !== ''));
  }

  get size(): number {
    return this.#digests.length / DIGEST;
  }

  /** @returns the name, '' when listed without one, undefined when not listed */
  find(hex: string): string | undefined {
    const wanted = Buffer.from(hex, 'hex');
    let low = 0;
    let high = this.size - 1;
    while (low <= high) {
      const mid = (low + high) >>> 1;
      const order = this.#digests.compare(wanted, 0, DIGEST, mid * DIGEST, (mid + 1) * DIGEST);
      if (order === 0) return this.#names.get(hex) ?? '';
      if (order < 0) low = mid + 1;
      else high = mid - 1;
    }
    return undefined;
  }
}

const EMPTY = new DigestTable(new Map());

export class HashListEngine implements Engine {
  readonly name = 'hash-list';
  epoch = '';
  #deny = EMPTY;
  #allow = EMPTY;
  readonly #options: HashListOptions;

  constructor(options: HashListOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.refresh();
  }

  /** True when no further engine has to look: the content is on the list of good files and not on that of bad ones. */
  knownGood(content: ScanContent): boolean {
    return this.#allow.find(content.sha256) !== undefined && this.#deny.find(content.sha256) === undefined;
  }

  async scan(content: Pick<ScanContent, 'sha256'>): Promise<ScanResult> {
    const name = this.#deny.find(content.sha256);
    return name === undefined ? CLEAN : malicious(this.name, name === '' ? `hash:${content.sha256.slice(0, 16)}` : name);
  }

  async refresh(): Promise<boolean> {
    const stamp = createHash('sha256');
    const load = async (files: readonly string[]): Promise<DigestTable> => {
      const hashes = new Map<string, string>();
      for (const file of files) {
        const text = await readFile(file, 'utf8');
        stamp.update(text).update('\0');
        parseHashList(file, text, hashes);
      }
      stamp.update('\x01');
      return new DigestTable(hashes);
    };
    const [deny, allow] = [await load(this.#options.deny), await load(this.#options.allow)];
    const epoch = stamp.digest('hex').slice(0, 16);
    if (epoch === this.epoch) return false;
    this.#deny = deny;
    this.#allow = allow;
    this.epoch = epoch;
    return true;
  }

  async close(): Promise<void> {
    this.#deny = this.#allow = EMPTY;
  }
}

/**
 * One SHA-256 a line in hex, then optionally white space and a name; `#` starts a comment. What `sha256sum` prints is valid.
 * @throws Error with file, line and what is accepted
 */
export function parseHashList(file: string, text: string, into: Map<string, string>): void {
  let number = 0;
  for (const raw of text.split('\n')) {
    number++;
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    if (line === '') continue;
    const m = /^([0-9a-fA-F]{64})(?:\s+\*?(.*))?$/.exec(line);
    if (m === null) throw new Error(`${file}:${number}: "${line.slice(0, 40)}" is not a hash: expected 64 hexadecimal digits (SHA-256), then optionally a name`);
    into.set(m[1]!.toLowerCase(), m[2] ?? '');
  }
}
