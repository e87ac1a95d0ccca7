/**
 * What is known about contents, by SHA-256, for all VMs together. A verdict counts only under the signature epoch it was given
 * in; after new signatures the record stays (who holds the content, how often it was asked for) and waits to be judged again.
 */
import { LRUCache } from 'lru-cache';
import type { ScanResult } from '../engines/engine.js';
import { VmSet } from './vm-set.js';

/** Where a content was last seen: where to read it again when new signatures arrive. */
export interface Whereabouts {
  readonly vm: number;
  readonly path: string;
}

export interface ContentRecord {
  /** Names this record in identity tables; never used twice. */
  readonly serial: number;
  readonly sha256: string;
  readonly size: number;
  result: ScanResult;
  /** Epoch the result was given in. */
  epoch: string;
  /** Answers given from it. */
  hits: number;
  /** VMs known to hold the content. */
  readonly holders: VmSet;
  seen: Whereabouts | null;
}

export class VerdictCache {
  /** Records that gave way because the cache is full. */
  evicted = 0;
  readonly #records: LRUCache<string, ContentRecord>;
  readonly #bySerial = new Map<number, ContentRecord>();
  #nextSerial = 1;

  /** @param max contents remembered */
  constructor(max: number) {
    this.#records = new LRUCache<string, ContentRecord>({
      max,
      dispose: (record, _key, reason) => {
        this.#bySerial.delete(record.serial);
        if (reason === 'evict') this.evicted++;
      },
    });
  }

  get size(): number {
    return this.#records.size;
  }

  /** The record if its verdict was given in `epoch`. */
  get(sha256: string, epoch: string): ContentRecord | undefined {
    const record = this.#records.get(sha256);
    return record?.epoch === epoch ? record : undefined;
  }

  /** As get, by the serial an identity table held; undefined also when the record gave way since. */
  bySerial(serial: number, epoch: string): ContentRecord | undefined {
    const record = this.#bySerial.get(serial);
    if (record === undefined || record.epoch !== epoch) return undefined;
    // Counts as use: what is asked for through identities must not look cold to the cache.
    this.#records.get(record.sha256);
    return record;
  }

  /** Remember a verdict; holders and hits of an older one are kept. */
  put(sha256: string, size: number, result: ScanResult, epoch: string): ContentRecord {
    const known = this.#records.get(sha256);
    if (known !== undefined) {
      known.result = result;
      known.epoch = epoch;
      return known;
    }
    if (this.#nextSerial > 0xffffffff) this.clear();
    const record: ContentRecord = { serial: this.#nextSerial++, sha256, size, result, epoch, hits: 0, holders: new VmSet(), seen: null };
    this.#bySerial.set(record.serial, record);
    this.#records.set(sha256, record);
    return record;
  }

  /** Records judged under other signatures than `epoch`, most asked for first. */
  stale(epoch: string): ContentRecord[] {
    return [...this.#records.values()].filter((r) => r.epoch !== epoch).toSorted((a, b) => b.hits - a.hits);
  }

  /** Malicious contents under `epoch`. */
  malicious(epoch: string): ContentRecord[] {
    return [...this.#records.values()].filter((r) => r.epoch === epoch && r.result.outcome === 'malicious');
  }

  /** Forget everything, also where identities point to. */
  clear(): void {
    this.#records.clear();
    this.#bySerial.clear();
    this.#nextSerial = 1;
  }
}

/** Whether asking again could give another answer although neither content nor signatures changed: such results are not kept. */
export function isLasting(result: ScanResult): boolean {
  if (result.outcome === 'failed') return false;
  return result.outcome !== 'not-fully-scanned' || !/time|MaxScanTime|spool/i.test(result.reason);
}
