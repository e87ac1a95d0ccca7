/** The compiled rule set with what its transactions share: caches, prefilter, persistent collections. One per thread. */
import { NamePattern } from '../name-pattern.js';
import type { OperatorLookups } from '../operators/operator.js';
import type { PrefilterCache, PrefilterFactory } from '../prefilter.js';
import { createPrefilter } from '../prefilter/vectorscan.js';
import type { RuleSet } from '../rule-set.js';
import { loadRules, type RuleFiles, type RuleSource } from '../seclang/loader.js';
import type { CompiledExclusion, WebConnection, WebPolicy, WebTransaction } from '../transaction.js';
import type { ByteString } from '../value.js';
import { Evaluator } from './evaluate.js';
import { Exclusion, type ExclusionSpec } from './exclusion.js';
import { PersistentStore, type PersistentCounters, type PersistentLimits, type PersistentName, type PersistentRecord } from './persistent-store.js';
import type { EngineSettings } from './settings.js';
import { Transaction } from './transaction.js';
import { Scanner, ValueCache, type ValueCacheStats } from './value-cache.js';

export interface WebEngineOptions {
  readonly files: RuleFiles;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly lookups?: OperatorLookups;
  /** Multi-pattern search, by default that on Vectorscan; null: every rule is judged on every value. */
  readonly prefilter?: PrefilterFactory | null;
  readonly prefilterCache?: PrefilterCache;
  readonly persistent?: PersistentLimits;
}

export interface WebEngineStats {
  readonly values: Readonly<ValueCacheStats>;
  readonly persistent: Readonly<PersistentCounters>;
}

export class WebEngine {
  readonly ruleSet: RuleSet;
  readonly clock: () => number;
  readonly evaluator: Evaluator;
  readonly #cache = new ValueCache();
  readonly #store: PersistentStore;
  readonly #relevantStatus: NamePattern | null;

  private constructor(ruleSet: RuleSet, options: WebEngineOptions) {
    this.ruleSet = ruleSet;
    this.clock = options.clock;
    this.#store = new PersistentStore(options.persistent);
    const create = options.prefilter === undefined ? createPrefilter : options.prefilter;
    const prefilter = create?.(ruleSet.patterns, ruleSet.slots, options.prefilterCache ?? null) ?? null;
    this.evaluator = new Evaluator(ruleSet.tree, this.#cache, new Scanner(ruleSet.slots, prefilter), ruleSet.groups.length);
    const { auditRelevantStatus } = ruleSet.settings;
    this.#relevantStatus = auditRelevantStatus === '' ? null : new NamePattern(auditRelevantStatus, false);
  }

  /**
   * Read and compile rules. Lines that cannot be used are refused one by one: see `ruleSet.refusals`.
   * @param sources files and texts in the order in which they hold
   */
  static compile(sources: readonly RuleSource[], options: WebEngineOptions): WebEngine {
    return new WebEngine(loadRules(sources, options), options);
  }

  get settings(): EngineSettings {
    return this.ruleSet.settings;
  }

  get stats(): WebEngineStats {
    return { values: this.#cache.stats, persistent: this.#store.counters };
  }

  /** @param uniqueId UNIQUE_ID of the transaction, best random */
  transaction(connection: WebConnection, uniqueId: string, policy: WebPolicy = {}): WebTransaction {
    return new Transaction(this, connection, uniqueId, policy);
  }

  /** @throws Error naming what is wrong with the exclusion */
  exclusion(spec: ExclusionSpec): CompiledExclusion {
    return new Exclusion(spec, this.ruleSet.rules);
  }

  // ---- for its transactions ----

  openRecord(collection: PersistentName, key: ByteString): PersistentRecord {
    return this.#store.open(collection, key, this.clock(), this.settings.collectionTimeout);
  }

  touch(record: PersistentRecord, now: number): void {
    record.updates++;
    record.lastUpdate = now;
    record.expires = now + this.settings.collectionTimeout;
  }

  relevantStatus(status: number): boolean {
    return this.#relevantStatus?.test(String(status)) ?? false;
  }
}
