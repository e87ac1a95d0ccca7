/**
 * Collections that outlive a transaction: IP, GLOBAL, SESSION, USER, RESOURCE. Records are kept in memory, each collection
 * bounded with the least recently used record going first, each record bounded in names and bytes; every refusal is counted.
 * Changes are seen by all transactions of the thread at once, so counters do not lose updates.
 */
import { detached, lowerAscii, type ByteString } from '../value.js';

export const PERSISTENT_COLLECTIONS = ['global', 'ip', 'session', 'user', 'resource'] as const;
export type PersistentName = (typeof PERSISTENT_COLLECTIONS)[number];

export interface PersistentLimits {
  /** Records per collection. */
  readonly records: number;
  /** Variables per record. */
  readonly variables: number;
  /** Bytes of a value; longer ones are cut. */
  readonly valueLength: number;
}

export const DEFAULT_PERSISTENT_LIMITS: PersistentLimits = { records: 16_384, variables: 64, valueLength: 1024 };

interface PersistentValue {
  readonly name: ByteString;
  value: ByteString;
  /** Milliseconds; Infinity = with the record. */
  expires: number;
}

export interface PersistentCounters {
  evictedRecords: number;
  expiredRecords: number;
  refusedVariables: number;
}

export class PersistentRecord {
  readonly key: ByteString;
  readonly created: number;
  readonly isNew: boolean;
  /** Transactions that changed the record. */
  updates = 0;
  lastUpdate: number;
  /** Milliseconds after which an untouched record is gone. */
  expires: number;
  readonly #values = new Map<ByteString, PersistentValue>();
  readonly #limits: PersistentLimits;
  readonly #counters: PersistentCounters;

  constructor(key: ByteString, now: number, timeout: number, limits: PersistentLimits, counters: PersistentCounters) {
    this.key = key;
    this.created = now;
    this.lastUpdate = now;
    this.expires = now + timeout;
    this.isNew = true;
    this.#limits = limits;
    this.#counters = counters;
  }

  get(lowerName: ByteString, now: number): ByteString | undefined {
    const entry = this.#values.get(lowerName);
    if (entry === undefined) return undefined;
    if (entry.expires > now) return entry.value;
    this.#values.delete(lowerName);
    return undefined;
  }

  set(name: ByteString, value: ByteString): void {
    const kept = detached(value.length > this.#limits.valueLength ? value.slice(0, this.#limits.valueLength) : value);
    const key = lowerAscii(name);
    const entry = this.#values.get(key);
    if (entry !== undefined) entry.value = kept;
    else if (this.#values.size < this.#limits.variables) this.#values.set(detached(key), { name: detached(name), value: kept, expires: Infinity });
    else this.#counters.refusedVariables++;
  }

  delete(lowerName: ByteString): void {
    this.#values.delete(lowerName);
  }

  /** expirevar: the variable is gone `seconds` from now. */
  expire(lowerName: ByteString, at: number): void {
    const entry = this.#values.get(lowerName);
    if (entry !== undefined) entry.expires = at;
  }

  *entries(now: number): Generator<{ readonly name: ByteString; readonly value: ByteString }> {
    for (const entry of this.#values.values()) if (entry.expires > now) yield entry;
  }
}

export class PersistentStore {
  readonly counters: PersistentCounters = { evictedRecords: 0, expiredRecords: 0, refusedVariables: 0 };
  readonly #collections = new Map<PersistentName, Map<ByteString, PersistentRecord>>(PERSISTENT_COLLECTIONS.map((name) => [name, new Map()]));
  readonly #limits: PersistentLimits;

  constructor(limits: PersistentLimits = DEFAULT_PERSISTENT_LIMITS) {
    this.#limits = limits;
  }

  size(name: PersistentName): number {
    return this.#collections.get(name)!.size;
  }

  /**
   * The record of `key`, made when there is none (initcol).
   * @param now milliseconds
   * @param timeout milliseconds that a new record lives when nothing changes it (SecCollectionTimeout)
   */
  open(name: PersistentName, key: ByteString, now: number, timeout: number): PersistentRecord {
    const records = this.#collections.get(name)!;
    let record = records.get(key);
    if (record !== undefined) {
      // a Map keeps insertion order: taking a record out and in again makes it the youngest
      records.delete(key);
      if (record.expires > now) {
        records.set(record.key, record);
        return record;
      }
      this.counters.expiredRecords++;
    }
    record = new PersistentRecord(detached(key), now, timeout, this.#limits, this.counters);
    records.set(record.key, record);
    if (records.size > this.#limits.records) {
      const oldest = records.keys().next();
      if (oldest.done !== true) records.delete(oldest.value);
      this.counters.evictedRecords++;
    }
    return record;
  }
}
