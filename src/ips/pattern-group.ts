/**
 * One multi-pattern database: the fast patterns of all rules that look into one buffer in one direction. A scan yields the
 * rules whose pattern occurs; only those are judged. Databases are cached by the hash of their patterns and of the library
 * version, since compiling a large one takes seconds and loading it milliseconds.
 */
import { createHash } from 'node:crypto';
import { HS_FLAG_CASELESS, HS_FLAG_SINGLEMATCH, HsDatabase, hsVersion, type HsPattern } from '@drawbridge/native';
import type { Candidates } from './candidates.js';
import type { PortBitmap } from './header.js';
import type { PortFilter } from './port-filter.js';
import type { FastPatternChoice } from './rule.js';

/** Where serialised databases are kept. Errors of the store are its own affair: a miss costs time, nothing else. */
export interface PatternCache {
  /** Databases of fewer patterns are not worth keeping. */
  readonly smallest: number;
  load(key: string): Uint8Array | null;
  store(key: string, database: Uint8Array): void;
}

/** Literal as a regular expression: every byte escaped, so that NUL and metacharacters need no thought. */
export function escapeLiteral(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += `\\x${byte.toString(16).padStart(2, '0')}`;
  return text;
}

export class PatternGroup {
  readonly #database: HsDatabase;
  /** Rules of pattern i: #rules[#first[i] .. #first[i + 1]). */
  readonly #first: Int32Array;
  readonly #rules: Int32Array;
  /** Row of the port filter of each entry in #rules, -1 = all ports. */
  readonly #ports: Int32Array;
  readonly #filter: PortFilter | null;

  constructor(
    database: HsDatabase,
    first: Int32Array,
    rules: Int32Array,
    ports: Int32Array,
    filter: PortFilter | null,
    /** Longest pattern: bytes of overlap that a scan in pieces needs, plus one. */
    readonly maxLength: number,
  ) {
    this.#database = database;
    this.#first = first;
    this.#rules = rules;
    this.#ports = ports;
    this.#filter = filter;
  }

  get patterns(): number {
    return this.#first.length - 1;
  }

  /** Does some pattern bring up this rule? */
  finds(rule: number): boolean {
    return this.#rules.includes(rule);
  }

  /** Bytes of the database in memory. */
  get size(): number {
    return this.#database.size;
  }

  /**
   * Add the rules whose pattern lies in buf[off, off+len). `hits` holds at least `patterns` ids.
   * @param port the port that the group was built with; rules that do not take it are left out
   */
  scan(buf: Uint8Array, off: number, len: number, hits: Uint32Array, out: Candidates, port = 0): void {
    const found = this.#database.scan(buf, off, len, hits);
    const count = found < 0 ? hits.length : found;
    if (count === 0) return;
    const filter = this.#filter;
    const portClass = filter === null ? 0 : filter.classOf(port);
    for (let i = 0; i < count; i++) {
      const pattern = hits[i]!;
      const end = this.#first[pattern + 1]!;
      for (let r = this.#first[pattern]!; r < end; r++) {
        const row = this.#ports[r]!;
        if (row < 0 || filter!.takes(row, portClass)) out.add(this.#rules[r]!);
      }
    }
  }
}

export class PatternGroupBuilder {
  readonly #patterns = new Map<string, { readonly choice: FastPatternChoice; readonly rules: number[]; readonly ports: number[] }>();
  readonly #filter: PortFilter | null;

  /** @param filter built with the port sets of all rules that will be added with one */
  constructor(filter: PortFilter | null = null) {
    this.#filter = filter;
  }

  /** @param ports the ports that the rule takes, null = all */
  add(choice: FastPatternChoice, rule: number, ports: PortBitmap | null = null): void {
    const bytes = Buffer.from(choice.bytes).toString('latin1');
    const key = choice.nocase ? `i${bytes.toLowerCase()}` : `c${bytes}`;
    const known = this.#patterns.get(key);
    const row = this.#filter === null ? -1 : this.#filter.rowOf(ports);
    if (known === undefined) this.#patterns.set(key, { choice, rules: [rule], ports: [row] });
    else {
      known.rules.push(rule);
      known.ports.push(row);
    }
  }

  /**
   * @param large the buffer is long (payload, body): each pattern is then reported once per scan. On short buffers that
   *   bookkeeping costs more than the repeated reports (measured: twice the time on URIs, a third on repetitive streams).
   */
  *build(cache: PatternCache | null, large: boolean): Generator<undefined, PatternGroup> {
    const keys = [...this.#patterns.keys()].sort();
    yield;
    const first = new Int32Array(keys.length + 1);
    const rules: number[] = [];
    const ports: number[] = [];
    let maxLength = 0;
    const hash = createHash('sha256').update(`${hsVersion()} ${large ? 'large' : 'small'}`);
    for (const [id, key] of keys.entries()) {
      const { choice, rules: own, ports: ownPorts } = this.#patterns.get(key)!;
      maxLength = Math.max(maxLength, choice.bytes.length);
      hash.update(`\n${key.length}:`).update(Buffer.from(key, 'latin1'));
      rules.push(...own);
      ports.push(...ownPorts);
      first[id + 1] = rules.length;
      if (id % STEP_KEYS === STEP_KEYS - 1) yield;
    }
    const cacheKey = hash.digest('hex');
    const expressions = (): HsPattern[] =>
      keys.map((key, id) => {
        const { choice } = this.#patterns.get(key)!;
        return { id, expression: escapeLiteral(choice.bytes), flags: (large ? HS_FLAG_SINGLEMATCH : 0) | (choice.nocase ? HS_FLAG_CASELESS : 0) };
      });
    const database = obtain(expressions, cacheKey, keys.length < (cache?.smallest ?? 0) ? null : cache);
    yield;
    return new PatternGroup(database, first, Int32Array.from(rules), Int32Array.from(ports), this.#filter, maxLength);
  }
}

/** Keys between two pauses: about a millisecond. */
const STEP_KEYS = 500;

function obtain(expressions: () => HsPattern[], key: string, cache: PatternCache | null): HsDatabase {
  const stored = cache?.load(key) ?? null;
  if (stored !== null) {
    try {
      return HsDatabase.deserialize(stored);
    } catch (error) {
      // A damaged or foreign entry is compiled again and overwritten; anything but the library's refusal is a fault.
      if (!(error instanceof Error)) throw error;
    }
  }
  const database = HsDatabase.compile(expressions());
  cache?.store(key, database.serialize());
  return database;
}
