/**
 * The prefilter on Vectorscan. Per place, expressions are sorted into tiers by the bytes that a value must hold for them to match: a
 * value without any such byte (a word, a number) is never searched for them. Each tier is one multi-pattern database; the
 * phrase lists of all rules are another. Compiled databases are kept under a hash of library, processor and patterns.
 *
 * Left to the operators themselves ("not covered"): what Vectorscan cannot compile, and what occurs in nearly every value.
 */
import { createHash } from 'node:crypto';
import {
  HS_FLAG_ALLOWEMPTY, HS_FLAG_CASELESS, HS_FLAG_DOTALL, HS_FLAG_MULTILINE, HsDatabase, PCRE_CASELESS, PCRE_DOLLAR_ENDONLY, PCRE_DOTALL, PCRE_MULTILINE, Pcre,
  hsVersion, type HsPattern,
} from '@drawbridge/native';
import { SCAN_PLACES, ScanPlace, type Prefilter, type PrefilterCache, type PrefilterFactory, type PrefilterPattern, type ScanPlaceCode } from '../prefilter.js';
import { toScratch, type ByteString } from '../value.js';
import { ByteSet } from './byte-set.js';
import { neededBytes } from './needed-bytes.js';

/** Counts up whenever the stored form changes. */
const FORMAT = 1;

/** A pattern of one tier: what is searched for and the slots it answers for. */
interface Item {
  readonly expressions: readonly string[];
  readonly flags: number;
  readonly slots: number[];
}

/** Options of PCRE that Vectorscan has as well. `$` before a final line feed it does not tell apart: that only adds hits. */
const KNOWN_OPTIONS = PCRE_CASELESS | PCRE_DOTALL | PCRE_MULTILINE | PCRE_DOLLAR_ENDONLY;

const WORD_BYTES = ByteSet.of('0-9A-Za-z');

/** Tier that each byte opens. */
const TIER = Uint8Array.from({ length: 256 }, (_, byte) => (ByteSet.SPECIAL.has(byte) ? 2 : WORD_BYTES.has(byte) ? 0 : 1));

/** Values of ordinary requests. An expression that occurs in most of them spares nothing. */
const PROBES = ['', 'a', '7', 'page', '1234567890', 'en-US,en;q=0.5', '/index.html', 'john.doe@example.com', 'the quick brown fox', 'no-cache', 'gzip, deflate', '2024-05-01T12:00:00Z'];

export const createPrefilter: PrefilterFactory = (patterns, slots, cache) => new VectorscanPrefilter(patterns, slots, cache);

class VectorscanPrefilter implements Prefilter {
  readonly covered: readonly Uint32Array[];
  readonly #places: readonly Place[];

  constructor(patterns: readonly PrefilterPattern[], slots: number, cache: PrefilterCache | null) {
    const usable = patterns.filter(({ hint }) => hint.kind === 'words' || isSelective(hint.expression, hint.options));
    const words = (slots + 31) >>> 5;
    this.#places = Array.from({ length: SCAN_PLACES }, (_, place) => new Place(place === ScanPlace.NONE ? [] : usable.filter((pattern) => (pattern.places & (1 << place)) !== 0), words, cache));
    this.covered = this.#places.map((place) => place.covered);
  }

  scan(value: ByteString, place: ScanPlaceCode, out: Uint32Array): void {
    this.#places[place]!.scan(value, out);
  }
}

/** What is searched for at one place. */
class Place {
  readonly covered: Uint32Array;
  /** For every value, for those with more than letters and digits, for those with special bytes. */
  readonly #words: Database | null;
  readonly #ordinary: Database | null;
  readonly #special: Database | null;
  readonly #phrases: Database | null;
  readonly #gates: Gates;

  constructor(patterns: readonly PrefilterPattern[], words: number, cache: PrefilterCache | null) {
    const tiers: [Map<string, Item>, Map<string, Item>, Map<string, Item>] = [new Map(), new Map(), new Map()];
    const phrases = new Map<string, Item>();
    for (const { hint, slot } of patterns) {
      if (hint.kind === 'words') addItem(phrases, hint.words.map(escapeLiteral), HS_FLAG_CASELESS, slot);
      else addItem(tiers[tierOf(hint.expression, hint.options)], [hint.expression], hsFlags(hint.options), slot);
    }
    this.#words = Database.obtain(tiers[0], cache);
    this.#ordinary = Database.obtain(tiers[1], cache);
    this.#special = Database.obtain(tiers[2], cache);
    this.#phrases = Database.obtain(phrases, cache);
    this.covered = new Uint32Array(words);
    for (const database of [this.#words, this.#ordinary, this.#special, this.#phrases]) database?.cover(this.covered);
    this.#gates = new Gates(patterns.filter(({ slot }) => (this.covered[slot >>> 5]! & (1 << (slot & 31))) === 0));
    this.#gates.cover(this.covered);
  }

  scan(value: ByteString, out: Uint32Array): void {
    const length = value.length;
    const buf = toScratch(value);
    this.#phrases?.scan(buf, length, out);
    this.#words?.scan(buf, length, out);
    const tier = highestTier(buf, length);
    if (tier >= 1) this.#ordinary?.scan(buf, length, out);
    if (tier === 2) this.#special?.scan(buf, length, out);
    this.#gates.scan(buf, length, out);
  }
}

/** Expressions that Vectorscan cannot compile: those whose needed bytes a value lacks are spared all the same. */
class Gates {
  /** Slots of gate i, of which byte b opens those with bit i in #opens[b]. */
  readonly #slots: readonly number[];
  readonly #opens = new Uint32Array(256);

  constructor(patterns: readonly PrefilterPattern[]) {
    const slots: number[] = [];
    for (const { hint, slot } of patterns) {
      const need = hint.kind === 'regex' ? neededBytes(hint.expression, (hint.options & PCRE_CASELESS) !== 0) : null;
      if (need === null || slots.length === MAX_GATES) continue;
      for (let byte = 0; byte < 256; byte++) if (need.has(byte)) this.#opens[byte]! |= 1 << slots.length;
      slots.push(slot);
    }
    this.#slots = slots;
  }

  cover(covered: Uint32Array): void {
    for (const slot of this.#slots) covered[slot >>> 5]! |= 1 << (slot & 31);
  }

  scan(buf: Uint8Array, length: number, out: Uint32Array): void {
    const slots = this.#slots;
    if (slots.length === 0) return;
    const all = slots.length === MAX_GATES ? -1 : (1 << slots.length) - 1;
    let open = 0;
    for (let i = 0; i < length && open !== all; i++) open |= this.#opens[buf[i]!]!;
    for (let gate = 0; gate < slots.length; gate++) {
      if ((open & (1 << gate)) !== 0) out[slots[gate]! >>> 5]! |= 1 << (slots[gate]! & 31);
    }
  }
}

/** Gates per place: bits of a word. */
const MAX_GATES = 32;

function highestTier(buf: Uint8Array, length: number): number {
  let tier = 0;
  for (let i = 0; i < length && tier < 2; i++) if (TIER[buf[i]!]! > tier) tier = TIER[buf[i]!]!;
  return tier;
}

function addItem(items: Map<string, Item>, expressions: readonly string[], flags: number, slot: number): void {
  const key = `${flags}:${expressions.length}:${expressions.join('\n')}`;
  const known = items.get(key);
  if (known === undefined) items.set(key, { expressions, flags, slots: [slot] });
  else known.slots.push(slot);
}

/** 0: may occur in words and numbers; 1: needs at least an ordinary separator; 2: needs a special byte. */
function tierOf(expression: string, options: number): 0 | 1 | 2 {
  const need = neededBytes(expression, (options & PCRE_CASELESS) !== 0);
  if (need === null) return 0;
  if (need.isSubsetOf(ByteSet.SPECIAL)) return 2;
  return need.isSubsetOf(WORD_BYTES.complement()) ? 1 : 0;
}

function hsFlags(options: number): number {
  let flags = HS_FLAG_ALLOWEMPTY;
  if ((options & PCRE_CASELESS) !== 0) flags |= HS_FLAG_CASELESS;
  if ((options & PCRE_DOTALL) !== 0) flags |= HS_FLAG_DOTALL;
  if ((options & PCRE_MULTILINE) !== 0) flags |= HS_FLAG_MULTILINE;
  return flags;
}

/** Does the expression tell values apart, and can Vectorscan know its options? */
function isSelective(expression: string, options: number): boolean {
  if ((options & ~KNOWN_OPTIONS) !== 0) return false;
  const regex = new Pcre(expression, options);
  const groups = new Int32Array(2);
  let occurs = 0;
  for (const probe of PROBES) if (regex.exec(toScratch(probe), 0, probe.length, 0, groups) > 0) occurs++;
  return 2 * occurs < PROBES.length;
}

/** Literal as a regular expression: every byte escaped. */
function escapeLiteral(text: ByteString): string {
  return text.replace(/[^]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

class Database {
  readonly #database: HsDatabase;
  /** Slots of item i: #slots[#first[i] .. #first[i + 1]); none for those that could not be compiled. */
  readonly #first: Int32Array;
  readonly #slots: Int32Array;
  readonly #hits: Uint32Array;

  private constructor(database: HsDatabase, items: readonly Item[], rejected: ReadonlySet<number>) {
    this.#database = database;
    this.#first = new Int32Array(items.length + 1);
    const slots: number[] = [];
    items.forEach((item, i) => {
      if (!rejected.has(i)) slots.push(...item.slots);
      this.#first[i + 1] = slots.length;
    });
    this.#slots = Int32Array.from(slots);
    this.#hits = new Uint32Array(items.length);
  }

  /** From the cache, else compiled and stored there. Null when there is nothing to search for. */
  static obtain(items: ReadonlyMap<string, Item>, cache: PrefilterCache | null): Database | null {
    if (items.size === 0) return null;
    const keys = [...items.keys()].sort();
    const list = keys.map((key) => items.get(key)!);
    const hash = createHash('sha256').update(`web ${FORMAT} ${hsVersion()}`);
    for (const key of keys) hash.update(`\n${key.length}:`).update(Buffer.from(key, 'latin1'));
    const id = hash.digest('hex');
    const stored = cache?.load(id) ?? null;
    if (stored !== null) {
      const database = unpack(stored);
      if (database !== null) return new Database(database.database, list, database.rejected);
    }
    const compiled = compile(list);
    if (compiled === null) return null;
    cache?.store(id, pack(compiled));
    return new Database(compiled.database, list, compiled.rejected);
  }

  cover(covered: Uint32Array): void {
    for (const slot of this.#slots) covered[slot >>> 5]! |= 1 << (slot & 31);
  }

  scan(buf: Uint8Array, length: number, out: Uint32Array): void {
    const hits = this.#hits;
    const count = this.#database.scan(buf, 0, length, hits);
    for (let i = 0; i < count; i++) {
      const item = hits[i]!;
      const end = this.#first[item + 1]!;
      for (let s = this.#first[item]!; s < end; s++) {
        const slot = this.#slots[s]!;
        out[slot >>> 5]! |= 1 << (slot & 31);
      }
    }
  }
}

interface Compiled {
  readonly database: HsDatabase;
  /** Items that Vectorscan refused: too large, or with an anchor inside. */
  readonly rejected: ReadonlySet<number>;
}

/** Expressions from this length on are tried alone first: a refusal inside a set costs all of its work up to there. */
const TRIED_ALONE = 3000;

function compile(items: readonly Item[]): Compiled | null {
  const rejected = new Set<number>();
  items.forEach(({ expressions, flags }, id) => {
    if (expressions.some((expression) => expression.length >= TRIED_ALONE && !compiles(expression, flags))) rejected.add(id);
  });
  for (;;) {
    const patterns: HsPattern[] = [];
    items.forEach(({ expressions, flags }, id) => {
      if (!rejected.has(id)) for (const expression of expressions) patterns.push({ id, expression, flags });
    });
    if (patterns.length === 0) return null;
    try {
      return { database: HsDatabase.compile(patterns), rejected };
    } catch (error) {
      const index = error instanceof Error && 'pattern' in error ? Number(error.pattern) : -1;
      const refused = patterns[index];
      if (refused === undefined) throw error;
      rejected.add(refused.id);
    }
  }
}

function compiles(expression: string, flags: number): boolean {
  try {
    HsDatabase.compile([{ id: 0, expression, flags }]);
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return false;
  }
}

/** Stored form: number of rejected items, their indexes (32 bits each, little-endian), the serialised database. */
function pack({ database, rejected }: Compiled): Uint8Array {
  const bytes = database.serialize();
  const head = Buffer.alloc(4 * (1 + rejected.size));
  head.writeUInt32LE(rejected.size, 0);
  [...rejected].forEach((item, i) => head.writeUInt32LE(item, 4 * (i + 1)));
  return Buffer.concat([head, bytes]);
}

/** @returns null when the entry is damaged or of another library: it is compiled anew and overwritten */
function unpack(stored: Uint8Array): Compiled | null {
  const buf = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  if (buf.length < 4 || buf.length < 4 * (1 + buf.readUInt32LE(0))) return null;
  const count = buf.readUInt32LE(0);
  const rejected = new Set(Array.from({ length: count }, (_, i) => buf.readUInt32LE(4 * (i + 1))));
  try {
    return { database: HsDatabase.deserialize(buf.subarray(4 * (1 + count))), rejected };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return null;
  }
}
