/**
 * Judges the transactions of a flow. For each direction of each transaction that the parser touched: run the prefilters of
 * the buffers that are there by now, then judge the rules they name together with those still under way. A rule alerts
 * once per transaction and direction.
 */
import type { Flow } from '../flow/index.js';
import { ByteSlice, type BufferSpec, type Transaction } from '../protocols/index.js';
import type { Candidates } from './candidates.js';
import type { IpsCounters } from './counters.js';
import type { Ips } from './engine.js';
import type { ChainInspector } from './match/chain.js';
import type { InspectContext } from './match/context.js';
import { TxOutcome } from './match/match.js';
import type { CompiledRule, TxChain } from './rule.js';
import type { RuleSet, TxEngine, TxPlan } from './rule-set.js';
import { TxDetect, type FlowDetect, type TxDirection } from './state/flow-detect.js';
import type { DetectPool } from './state/pool.js';
import type { TransformRunner } from './transform-runner.js';

/** Bits of a rule's row beyond those of its buffers. */
const ALERTED = 1 << 30;
const HEADER_DONE = 1 << 29;
const PAYLOAD_DONE = 1 << 28;
/** Bit of the first transaction-wide test; buffers have the bits below. */
const FIRST_TEST = 20;
/** Instances of one buffer that are looked at (names in a DNS message, headers, files). */
const MAX_INSTANCES = 1024;

/** Which transactions of a flow are judged. */
export const TxSweep = {
  /** Those that the parser touched. */
  TOUCHED: 0,
  /** Of these those that are complete in both directions, and would be forgotten unjudged. */
  FINISHED: 1,
  /** All, for the last time: the flow is over. */
  ALL: 2,
} as const;
export type TxSweep = (typeof TxSweep)[keyof typeof TxSweep];

/** Stands in for the state of transactions that are judged in both directions. */
const FINISHED = Object.freeze({});

/** Protocol of a flow's transactions; after an upgrade the flow itself has none yet, or another. */
function protocolOf(flow: Flow): number {
  return flow.app > 0 ? flow.app : ((flow.detect as FlowDetect | null)?.app ?? 0);
}

export class TxInspector {
  readonly #slice = new ByteSlice();

  constructor(
    readonly rules: RuleSet,
    readonly ctx: InspectContext,
    readonly chains: ChainInspector,
    readonly transforms: TransformRunner,
    readonly candidates: Candidates,
    readonly hits: Uint32Array,
    readonly pool: DetectPool,
    readonly counters: IpsCounters,
    readonly engine: Ips,
  ) {}

  inspect(flow: Flow, dir: number, sweep: TxSweep): void {
    const atEnd = sweep === TxSweep.ALL;
    this.ctx.app = protocolOf(flow);
    const plan = this.rules.txPlans[this.ctx.app * 2 + dir] ?? null;
    const transactions = flow.transactions as Transaction[];
    for (let i = 0; i < transactions.length; i++) {
      const tx = transactions[i]!;
      const dirty = dir === 0 ? tx.dirtyToServer : tx.dirtyToClient;
      if (!dirty && !atEnd) continue;
      if (sweep === TxSweep.FINISHED && !(tx.doneToServer && tx.doneToClient)) continue;
      if (dir === 0) tx.dirtyToServer = false;
      else tx.dirtyToClient = false;
      if (plan !== null && tx.detect !== FINISHED) this.#inspectOne(plan, tx, dir, atEnd);
    }
  }

  /** Is there a transaction done in both directions that was touched in `dir` and not judged since? */
  finishedUnjudged(flow: Flow, dir: number): boolean {
    if (flow.transactions.length === 0 || (this.rules.txPlans[protocolOf(flow) * 2 + dir] ?? null) === null) return false;
    const transactions = flow.transactions as Transaction[];
    for (let i = 0; i < transactions.length; i++) {
      const tx = transactions[i]!;
      if (tx.doneToServer && tx.doneToClient && (dir === 0 ? tx.dirtyToServer : tx.dirtyToClient)) return true;
    }
    return false;
  }

  /** The transaction is gone. */
  release(tx: Transaction): void {
    if (tx.detect instanceof TxDetect) this.pool.releaseTransaction(tx.detect);
    tx.detect = null;
  }

  #inspectOne(plan: TxPlan, tx: Transaction, dir: number, atEnd: boolean): void {
    const state = (tx.detect ??= this.pool.transaction()) as TxDetect;
    if (state.generation !== this.rules.generation) {
      state.follow(this.rules.successorsOf(state.generation));
      state.generation = this.rules.generation;
    }
    const own = state.direction(dir);
    if (own.closed) return;
    this.ctx.tx = tx;
    this.ctx.dceLittleEndian = tx.littleEndian;
    const done = atEnd || (dir === 0 ? tx.doneToServer : tx.doneToClient);
    const progress = dir === 0 ? tx.progressToServer : tx.progressToClient;
    const { candidates } = this;
    candidates.clear();
    const { engines } = plan;
    for (let i = 0; i < engines.length; i++) {
      const engine = engines[i]!;
      if (progress < engine.spec.minProgress && !done) break;
      if (!own.engineIsDone(i)) this.#scan(engine, i, tx, dir, own, done);
    }
    if (!own.started) {
      own.started = true;
      candidates.addAll(plan.always);
    }
    for (let i = 0; i < own.count; i++) if ((own.bits[i]! & ALERTED) === 0) candidates.add(own.rules[i]!);
    candidates.sort();
    for (let i = 0; i < candidates.count; i++) this.#judge(this.rules.rules[candidates.ids[i]!]!, tx, dir, own, progress, done);
    if (done) this.#close(state, tx, own);
    this.ctx.tx = null;
  }

  #close(state: TxDetect, tx: Transaction, own: TxDirection): void {
    own.closed = true;
    if (!state.toServer.closed || !state.toClient.closed) return;
    this.pool.releaseTransaction(state);
    tx.detect = FINISHED;
  }

  /** Run one prefilter over the instances of its buffer; of streaming buffers over the new bytes only. */
  #scan(engine: TxEngine, index: number, tx: Transaction, dir: number, own: TxDirection, done: boolean): void {
    const { spec, transforms, group } = engine;
    const slice = this.#slice;
    if (spec.streaming === true) {
      own.streaming();
      for (; own.instance[index]! < MAX_INSTANCES; own.instance[index]!++) {
        if (!spec.get(tx, dir, own.instance[index]!, slice)) break;
        const end = slice.position + slice.len;
        const scanned = own.scannedTo[index]!;
        if (end > scanned) {
          const from = transforms.length > 0 ? slice.position : Math.max(slice.position, scanned - group.maxLength + 1);
          this.#scanBytes(engine, slice.off + from - slice.position, end - from);
          own.scannedTo[index] = end;
        }
        if (!slice.complete) break;
        own.scannedTo[index] = 0;
      }
      if (done) own.markEngine(index);
      return;
    }
    let found = false;
    for (let instance = 0; instance < MAX_INSTANCES && spec.get(tx, dir, instance, slice); instance++) {
      found = true;
      this.#scanBytes(engine, slice.off, slice.len);
    }
    if (found || done) own.markEngine(index);
  }

  #scanBytes({ transforms, group }: TxEngine, off: number, len: number): void {
    if (!this.transforms.apply(this.ctx, transforms, this.#slice.buf, off, len, 0, true)) return;
    const { ctx } = this;
    if (ctx.len > 0) group.scan(ctx.buf, ctx.off, ctx.len, this.hits, this.candidates);
  }

  #judge(rule: CompiledRule, tx: Transaction, dir: number, own: TxDirection, progress: number, done: boolean): void {
    const { profile } = this.engine;
    if (profile === null) return this.#judgeRule(rule, tx, dir, own, progress, done);
    profile.begin();
    this.#judgeRule(rule, tx, dir, own, progress, done);
    profile.end(rule.index);
  }

  #judgeRule(rule: CompiledRule, tx: Transaction, dir: number, own: TxDirection, progress: number, done: boolean): void {
    let row = own.rowOf(rule.index);
    let bits = row < 0 ? 0 : own.bits[row]!;
    if ((bits & ALERTED) !== 0) return;
    let outcome: number;
    if ((bits & HEADER_DONE) === 0 && !this.engine.matchesHeader(rule, this.ctx.view)) {
      // Rules without a pattern get another chance with the next packet; the others were found by one that will not come again.
      outcome = rule.fastPattern === null && !done ? TxOutcome.LATER : TxOutcome.NO;
    } else {
      this.#bits = bits | HEADER_DONE;
      outcome = this.#evaluate(rule, tx, dir, progress, done);
      bits = this.#bits;
    }
    if (outcome === TxOutcome.YES) {
      bits |= ALERTED;
      this.engine.matched(rule, tx, true, false);
    }
    if (outcome === TxOutcome.NO) {
      if (row >= 0) own.removeRow(row);
      return;
    }
    if (row < 0) row = own.add(rule.index);
    if (row < 0) this.counters.stateLost++;
    else own.bits[row] = bits;
  }

  #bits = 0;

  /** All tests of a rule, in order of progress; what held before is not asked again. */
  #evaluate(rule: CompiledRule, tx: Transaction, dir: number, progress: number, done: boolean): number {
    const { app } = this.ctx;
    let outcome: number = TxOutcome.YES;
    const chains = rule.txChains;
    for (let i = 0; i < chains.length; i++) {
      if ((this.#bits & (1 << i)) !== 0) continue;
      const chain = chains[i]!;
      const spec = chain.specs[app]!;
      const answer = progress < spec.minProgress && !done ? TxOutcome.LATER : this.#chain(chain, spec, tx, dir, done);
      if (answer === TxOutcome.NO) return TxOutcome.NO;
      if (answer === TxOutcome.YES) this.#bits |= 1 << i;
      else outcome = TxOutcome.LATER;
    }
    const tests = rule.txMatches;
    for (let i = 0; i < tests.length; i++) {
      if ((this.#bits & (1 << (FIRST_TEST + i))) !== 0) continue;
      const answer = tests[i]!.evaluate(tx, dir, done);
      if (answer === TxOutcome.NO) return TxOutcome.NO;
      if (answer === TxOutcome.YES) this.#bits |= 1 << (FIRST_TEST + i);
      else outcome = TxOutcome.LATER;
    }
    if (rule.payload.length > 0 && (this.#bits & PAYLOAD_DONE) === 0) {
      if (this.engine.matchesTransactionPayload(rule)) this.#bits |= PAYLOAD_DONE;
      else return done ? TxOutcome.NO : TxOutcome.LATER;
    }
    return outcome;
  }

  /** One chain over the instances of its buffer. */
  #chain(chain: TxChain, spec: BufferSpec, tx: Transaction, dir: number, done: boolean): number {
    const slice = this.#slice;
    let more = false;
    let instance = 0;
    for (; instance < MAX_INSTANCES && spec.get(tx, dir, instance, slice); instance++) {
      if (!slice.complete && !done) more = true;
      if (!this.transforms.apply(this.ctx, chain.transforms, slice.buf, slice.off, slice.len, slice.position, slice.complete || done)) continue;
      if (this.chains.matches(this.ctx, chain.steps)) return TxOutcome.YES;
    }
    if (done) return TxOutcome.NO;
    return more || instance === 0 || spec.streaming === true ? TxOutcome.LATER : TxOutcome.NO;
  }
}
