/**
 * The prefilter on Vectorscan. Per place there is one multi-pattern database for each tier of values: those of letters and digits
 * alone, those with ordinary separators, prose, everything. Expressions are cut down to what they can match over the tier's bytes,
 * which leaves little of most of them; a value is searched in the database of its tier. The phrase lists of all rules are
 * another database. Compiled databases are kept under a hash of library, processor and patterns.
 *
 * Left to the operators themselves: what occurs in nearly every value ("not covered"), and in a tier what Vectorscan cannot
 * compile, unless the value lacks bytes that the expression needs.
 */
import { createHash } from 'node:crypto';
import {
  HS_FLAG_ALLOWEMPTY, HS_FLAG_CASELESS, HS_FLAG_DOTALL, HS_FLAG_MULTILINE, HsDatabase, PCRE_CASELESS, PCRE_DOLLAR_ENDONLY, PCRE_DOTALL, PCRE_MULTILINE, Pcre,
  hsVersion, type HsPattern,
} from '@drawbridge/native';
import { SCAN_PLACES, ScanPlace, type Prefilter, type PrefilterCache, type PrefilterFactory, type PrefilterPattern, type ScanPlaceCode } from '../prefilter.js';
import { toScratch, type ByteString } from '../value.js';
import { ByteSet } from './byte-set.js';
import { ExampleMaker } from './examples.js';
import { neededBytes } from './needed-bytes.js';
import { parseRegex, type Node } from './regex-tree.js';
import { RegexPrinter, isCaseless, restrict } from './restrict.js';

/** Counts up whenever the stored form changes. */
const FORMAT = 4;

/** A pattern of one tier: what is searched for and the slots it answers for. */
interface Item {
  readonly expressions: readonly string[];
  readonly flags: number;
  readonly slots: number[];
  /** What the expression matches, for trying the database. */
  readonly trial: Trial | null;
}

interface Trial {
  readonly tree: Node;
  readonly alphabet: ByteSet;
  readonly regex: Pcre;
}

/** Options of PCRE that Vectorscan has as well. `$` before a final line feed it does not tell apart: that only adds hits. */
const KNOWN_OPTIONS = PCRE_CASELESS | PCRE_DOTALL | PCRE_MULTILINE | PCRE_DOLLAR_ENDONLY;

const WORD = ByteSet.of('0-9A-Za-z');
const PROSE = ByteSet.ORDINARY.union(ByteSet.of('\t\n\r!"#\'()*;'));

/** By place: bytes of the values of each tier, the smallest first. Where rules are few or values all alike, tiers gain nothing. */
const ALPHABETS: readonly (readonly ByteSet[])[] = Array.from({ length: SCAN_PLACES }, (_, place) => {
  switch (place) {
    case ScanPlace.PARAMETER:
      return [WORD, ByteSet.ORDINARY, PROSE, ByteSet.ALL];
    case ScanPlace.HEADER:
      return [ByteSet.ORDINARY, ByteSet.ALL];
    default:
      return [ByteSet.ALL];
  }
});

/** Values of ordinary requests. An expression that occurs in most of them spares nothing. */
const PROBES = ['', 'a', '7', 'page', '1234567890', 'en-US,en;q=0.5', '/index.html', 'john.doe@example.com', 'the quick brown fox', 'no-cache', 'gzip, deflate', '2024-05-01T12:00:00Z'];

export const createPrefilter: PrefilterFactory = (patterns, slots, cache) => new VectorscanPrefilter(patterns, slots, cache);

class VectorscanPrefilter implements Prefilter {
  readonly covered: readonly Uint32Array[];
  readonly #places: readonly Place[];

  constructor(patterns: readonly PrefilterPattern[], slots: number, cache: PrefilterCache | null) {
    const usable = patterns.filter(({ hint }) => hint.kind === 'words' || isSelective(hint.expression, hint.options));
    const words = (slots + 31) >>> 5;
    this.#places = Array.from({ length: SCAN_PLACES }, (_, place) => new Place(ALPHABETS[place]!, place === ScanPlace.NONE ? [] : usable.filter((pattern) => (pattern.places & (1 << place)) !== 0), words, cache));
    this.covered = this.#places.map((place) => place.covered);
  }

  scan(value: ByteString, place: ScanPlaceCode, out: Uint32Array): void {
    this.#places[place]!.scan(value, out);
  }
}

/** What is searched for at one place. */
class Place {
  readonly covered: Uint32Array;
  readonly #tiers: readonly Tier[];
  /** First tier that has the byte. */
  readonly #tierOf: Uint8Array;
  readonly #phrases: Database | null;

  constructor(alphabets: readonly ByteSet[], patterns: readonly PrefilterPattern[], words: number, cache: PrefilterCache | null) {
    const phrases = new Map<string, Item>();
    const expressions = new Map<string, Expression>();
    this.covered = new Uint32Array(words);
    for (const { hint, slot } of patterns) {
      setBit(this.covered, slot);
      if (hint.kind === 'words') {
        addItem(phrases, hint.words.map(escapeLiteral), HS_FLAG_CASELESS, slot, null);
        continue;
      }
      const key = `${hint.options} ${hint.expression}`;
      const known = expressions.get(key);
      if (known === undefined) expressions.set(key, { text: hint.expression, options: hint.options, tree: parseRegex(hint.expression, (hint.options & PCRE_CASELESS) !== 0), slots: [slot] });
      else known.slots.push(slot);
    }
    this.#phrases = Database.obtain(phrases, cache);
    this.#tierOf = Uint8Array.from({ length: 256 }, (_, byte) => alphabets.findIndex((alphabet) => alphabet.has(byte)));
    this.#tiers = alphabets.map((alphabet) => new Tier([...expressions.values()], alphabet, words, cache));
  }

  scan(value: ByteString, out: Uint32Array): void {
    const length = value.length;
    const buf = toScratch(value);
    this.#phrases?.scan(buf, length, out);
    const table = this.#tierOf;
    const last = this.#tiers.length - 1;
    let tier = 0;
    for (let i = 0; i < length && tier < last; i++) if (table[buf[i]!]! > tier) tier = table[buf[i]!]!;
    this.#tiers[tier]!.scan(buf, length, out);
  }
}

interface Expression {
  readonly text: string;
  readonly options: number;
  readonly tree: Node | null;
  readonly slots: number[];
}

/** Values whose bytes are those of one alphabet. */
class Tier {
  readonly #databases: readonly Database[];
  readonly #gates: Gates;

  constructor(expressions: readonly Expression[], alphabet: ByteSet, words: number, cache: PrefilterCache | null) {
    const items = new Map<string, Item>();
    const possible: Expression[] = [];
    for (const expression of expressions) {
      const left = overAlphabet(expression, alphabet);
      if (left === NEVER) continue;
      possible.push(expression);
      if (left !== null) for (const slot of expression.slots) addItem(items, [left.text], left.flags, slot, left.trial);
    }
    this.#databases = parts(items).flatMap((part) => Database.obtain(part, cache) ?? []);
    const found = new Uint32Array(words);
    for (const database of this.#databases) database.cover(found);
    this.#gates = new Gates(possible.filter(({ slots }) => slots.some((slot) => !hasBit(found, slot))), alphabet, words);
  }

  scan(buf: Uint8Array, length: number, out: Uint32Array): void {
    for (const database of this.#databases) database.scan(buf, length, out);
    this.#gates.scan(buf, length, out);
  }
}

/**
 * Expressions per database. Compiling takes more than proportionally long, and searching several small databases proved no
 * slower than searching a large one.
 */
const MOST_TOGETHER = 64;

function parts(items: ReadonlyMap<string, Item>): Map<string, Item>[] {
  const count = Math.ceil(items.size / MOST_TOGETHER);
  const keys = [...items.keys()].sort();
  return Array.from({ length: count }, (_, part) => new Map(keys.filter((_key, i) => i % count === part).map((key) => [key, items.get(key)!])));
}

interface Restricted {
  readonly text: string;
  readonly flags: number;
  readonly trial: Trial | null;
}

/** Stands for an expression that matches nothing over an alphabet. */
const NEVER = Symbol('never');

/** The expression as far as it matters over the alphabet; null when that is not known. */
function overAlphabet({ text, tree, options }: Expression, alphabet: ByteSet): Restricted | null | typeof NEVER {
  const flags = hsFlags(options);
  const regex = new Pcre(text, options);
  if (tree === null || alphabet === ByteSet.ALL) return { text, flags, trial: tree === null ? null : { tree, alphabet, regex } };
  const left = restrict(tree, alphabet);
  if (left === null) return NEVER;
  const caseless = isCaseless(left);
  const printed = new RegexPrinter(alphabet, caseless).print(left);
  return printed === null ? null : { text: printed, flags: (caseless ? flags | HS_FLAG_CASELESS : flags & ~HS_FLAG_CASELESS) | HS_FLAG_DOTALL, trial: { tree: left, alphabet, regex } };
}

/** Expressions that Vectorscan cannot compile: those whose needed bytes a value lacks are spared all the same. */
class Gates {
  /** Slots that are open whatever the value. */
  readonly #always: Uint32Array;
  /** Slots of gate i, of which byte b opens those with bit i in #opens[b]. */
  readonly #slots: (readonly number[])[] = [];
  readonly #opens = new Uint32Array(256);

  constructor(expressions: readonly Expression[], alphabet: ByteSet, words: number) {
    this.#always = new Uint32Array(words);
    for (const { tree, slots } of expressions) {
      const left = tree === null ? null : restrict(tree, alphabet);
      const need = left === null ? null : neededBytes(left);
      if (need === null || this.#slots.length === MAX_GATES) {
        for (const slot of slots) setBit(this.#always, slot);
        continue;
      }
      for (let byte = 0; byte < 256; byte++) if (need.has(byte)) this.#opens[byte]! |= 1 << this.#slots.length;
      this.#slots.push(slots);
    }
  }

  scan(buf: Uint8Array, length: number, out: Uint32Array): void {
    const always = this.#always;
    for (let w = 0; w < always.length; w++) out[w]! |= always[w]!;
    const count = this.#slots.length;
    if (count === 0) return;
    const all = count === MAX_GATES ? -1 : (1 << count) - 1;
    let open = 0;
    for (let i = 0; i < length && open !== all; i++) open |= this.#opens[buf[i]!]!;
    for (let gate = 0; gate < count; gate++) {
      if ((open & (1 << gate)) !== 0) for (const slot of this.#slots[gate]!) setBit(out, slot);
    }
  }
}

/** Gates per tier: bits of a word. */
const MAX_GATES = 32;

function addItem(items: Map<string, Item>, expressions: readonly string[], flags: number, slot: number, trial: Trial | null): void {
  const key = `${flags}:${expressions.length}:${expressions.join('\n')}`;
  const known = items.get(key);
  if (known === undefined) items.set(key, { expressions, flags, slots: [slot], trial });
  else known.slots.push(slot);
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

function setBit(bits: Uint32Array, slot: number): void {
  bits[slot >>> 5]! |= 1 << (slot & 31);
}

function hasBit(bits: Uint32Array, slot: number): boolean {
  return (bits[slot >>> 5]! & (1 << (slot & 31))) !== 0;
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
    for (const slot of this.#slots) setBit(covered, slot);
  }

  scan(buf: Uint8Array, length: number, out: Uint32Array): void {
    const hits = this.#hits;
    const count = this.#database.scan(buf, 0, length, hits);
    for (let i = 0; i < count; i++) {
      const item = hits[i]!;
      const end = this.#first[item + 1]!;
      for (let s = this.#first[item]!; s < end; s++) {
        const slot = this.#slots[s]!;
        setBit(out, slot);
      }
    }
  }
}

interface Compiled {
  readonly database: HsDatabase;
  /** Items that Vectorscan refused (too large, an anchor inside) or whose examples it missed. */
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
      const database = HsDatabase.compile(patterns);
      const missed = missedBy(database, items, rejected);
      if (missed.size > 0) for (const id of missed) rejected.add(id);
      return { database, rejected };
    } catch (error) {
      const index = error instanceof Error && 'pattern' in error ? Number(error.pattern) : -1;
      const refused = patterns[index];
      if (refused === undefined) throw error;
      rejected.add(refused.id);
    }
  }
}

/** Examples tried of every expression. */
const TRIALS = 300;

/** Items of which the database misses an example that PCRE2 finds. */
function missedBy(database: HsDatabase, items: readonly Item[], rejected: ReadonlySet<number>): Set<number> {
  const missed = new Set<number>();
  const hits = new Uint32Array(items.length);
  const groups = new Int32Array(2);
  items.forEach(({ trial }, id) => {
    if (trial === null || rejected.has(id)) return;
    const maker = new ExampleMaker(id);
    for (let i = 0; i < TRIALS && !missed.has(id); i++) {
      const example = maker.make(trial.tree, trial.alphabet);
      if (example === null) continue;
      const buf = toScratch(example);
      if (trial.regex.exec(buf, 0, example.length, 0, groups) <= 0) continue;
      const count = database.scan(buf, 0, example.length, hits);
      if (!hits.subarray(0, count).includes(id)) missed.add(id);
    }
  });
  return missed;
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
