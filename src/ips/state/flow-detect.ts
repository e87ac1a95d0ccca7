/** Detection state of one flow and of one transaction. Taken from pools; released when the flow ends or the transaction is done. */

import { StreamRows } from './stream-rows.js';

/** Rules under way on one transaction, per direction. */
export const MAX_PENDING_TX_RULES = 512;

/** The bits of ipOnlyDone and protocolDone say, this much higher: done by the rule set before this one. */
export const JUDGED_BEFORE = 2;

const NO_BITS = new Uint32Array(0);
const NO_INTS = new Float64Array(0);
const NO_INSTANCES = new Int32Array(0);

/** Marks kept per direction; a stream that has more is taken to have them all. */
const MAX_PAYLOAD_MARKS = 128;

class PayloadMarks {
  readonly #rules = new Int32Array(MAX_PAYLOAD_MARKS);
  #count = 0;

  add(rule: number): void {
    if (this.#count <= MAX_PAYLOAD_MARKS && !this.has(rule)) this.#rules[this.#count++] = rule;
  }

  has(rule: number): boolean {
    if (this.#count > MAX_PAYLOAD_MARKS) return true;
    for (let i = 0; i < this.#count; i++) if (this.#rules[i] === rule) return true;
    return false;
  }

  clear(): void {
    this.#count = 0;
  }

  follow(successors: Int32Array): void {
    if (this.#count > MAX_PAYLOAD_MARKS) return;
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      const rule = successors[this.#rules[i]!]!;
      if (rule >= 0) this.#rules[kept++] = rule;
    }
    this.#count = kept;
  }
}

export class FlowDetect {
  /** Flow bits by id; grown on first use to the size the rule set needs. */
  bits: Uint32Array = NO_BITS;
  /** Flow integers by id, NaN = not set; grown on first use. */
  ints: Float64Array = NO_INTS;
  /** Nothing on this flow is inspected any more (pass rule, bypass). */
  passed = false;
  bypassed = false;
  /** A rule condemned the flow. */
  dropped = false;
  dropGid = 0;
  dropSid = 0;
  /** Bit per direction: header-only rules were judged; protocol-detection-only rules were judged. */
  ipOnlyDone = 0;
  protocolDone = 0;
  /** Stream bytes that went through the stream prefilter, per direction. */
  readonly scanned = new Float64Array(2);
  /** Acknowledged bytes when transactions were judged last, per direction. */
  readonly judgedAck = new Float64Array(2);
  /** Stream rules under way; made on first need. */
  rowsToServer: StreamRows | null = null;
  rowsToClient: StreamRows | null = null;
  /** Application-layer events that wait for a packet of direction `lateDir`. */
  lateEvents: readonly string[] | null = null;
  lateDir = 0;
  /** Transaction rules whose payload literal occurred in the stream, per direction; null until one did. */
  #payloads: [PayloadMarks, PayloadMarks] | null = null;
  /** Last known application protocol: the one of transactions that an upgrade (CONNECT, STARTTLS) leaves behind. */
  app = 0;
  /** Rule set the indexes above belong to. */
  generation = 0;

  reset(): void {
    if (this.bits !== NO_BITS) this.bits.fill(0);
    if (this.ints !== NO_INTS) this.ints.fill(Number.NaN);
    this.passed = false;
    this.bypassed = false;
    this.dropped = false;
    this.dropGid = 0;
    this.dropSid = 0;
    this.ipOnlyDone = 0;
    this.protocolDone = 0;
    this.scanned.fill(0);
    this.judgedAck.fill(0);
    this.forgetRules();
    this.lateEvents = null;
    this.app = 0;
    this.generation = 0;
  }

  /** Rule indexes mean nothing to another rule set. */
  forgetRules(): void {
    this.rowsToServer?.clear();
    this.rowsToClient?.clear();
    if (this.#payloads !== null) for (const marks of this.#payloads) marks.clear();
  }

  /**
   * The flow is judged by another rule set from now on. Rules that only look at the flow as a whole are due again, those
   * that were judged before excepted.
   * @param successors index in the new set by index in the old one, -1 = not there; null = the old set is not known any more
   */
  follow(successors: Int32Array | null): void {
    if (successors === null) {
      this.forgetRules();
      this.ipOnlyDone = 0;
      this.protocolDone = 0;
      return;
    }
    this.rowsToServer?.follow(successors);
    this.rowsToClient?.follow(successors);
    if (this.#payloads !== null) for (const marks of this.#payloads) marks.follow(successors);
    this.ipOnlyDone = (this.ipOnlyDone & 3) << JUDGED_BEFORE;
    this.protocolDone = (this.protocolDone & 3) << JUDGED_BEFORE;
  }

  /** The payload literal of a transaction rule stands in the stream of direction `dir`. */
  markPayload(dir: number, rule: number): void {
    this.#payloads ??= [new PayloadMarks(), new PayloadMarks()];
    this.#payloads[dir]!.add(rule);
  }

  sawPayload(dir: number, rule: number): boolean {
    return this.#payloads !== null && this.#payloads[dir]!.has(rule);
  }

  rows(dir: number): StreamRows {
    if (dir === 0) return (this.rowsToServer ??= new StreamRows());
    return (this.rowsToClient ??= new StreamRows());
  }

  hasBit(id: number): boolean {
    const word = id >>> 5;
    return word < this.bits.length && (this.bits[word]! & (1 << (id & 31))) !== 0;
  }

  setBit(id: number): void {
    const word = id >>> 5;
    if (word >= this.bits.length) this.bits = grown(this.bits, word + 1);
    this.bits[word]! |= 1 << (id & 31);
  }

  clearBit(id: number): void {
    const word = id >>> 5;
    if (word < this.bits.length) this.bits[word]! &= ~(1 << (id & 31));
  }

  /** Value of a flow integer, NaN when it was never set. */
  intOf(id: number): number {
    return id < this.ints.length ? this.ints[id]! : Number.NaN;
  }

  setInt(id: number, value: number): void {
    if (id >= this.ints.length) {
      const next = new Float64Array(id + 8).fill(Number.NaN);
      next.set(this.ints);
      this.ints = next;
    }
    this.ints[id] = value;
  }
}


function grown(bits: Uint32Array, words: number): Uint32Array {
  const next = new Uint32Array(Math.max(words, bits.length * 2, 4));
  next.set(bits);
  return next;
}

export const ENGINE_WORDS = 4;
/** Prefilter engines (buffer databases) one application protocol may have per direction. */
export const MAX_ENGINES = ENGINE_WORDS * 32;

/** One direction of a transaction. */
export class TxDirection {
  /** Prefilter engines that are through with it: one bit each. */
  readonly engineDone = new Uint32Array(ENGINE_WORDS);
  /** Streaming engines: bytes scanned, and of which instance. Grown on first use. */
  scannedTo: Float64Array = NO_INTS;
  instance: Int32Array = NO_INSTANCES;
  /** Rules under way: index, and the bits of the buffers that matched already. */
  rules: Int32Array = NO_INSTANCES;
  bits: Int32Array = NO_INSTANCES;
  count = 0;
  /** The rules without a pattern were started. */
  started = false;
  /** Looked at for the last time. */
  closed = false;

  reset(): void {
    this.engineDone.fill(0);
    this.scannedTo.fill(0);
    this.instance.fill(0);
    this.count = 0;
    this.started = false;
    this.closed = false;
  }

  /** Judged by another rule set from now on: prefilters run again, what was found out about rules that stay is kept. */
  follow(successors: Int32Array): void {
    this.engineDone.fill(0);
    this.scannedTo.fill(0);
    this.instance.fill(0);
    this.started = false;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const rule = successors[this.rules[i]!]!;
      if (rule < 0) continue;
      this.rules[kept] = rule;
      this.bits[kept++] = this.bits[i]!;
    }
    this.count = kept;
  }

  engineIsDone(engine: number): boolean {
    return (this.engineDone[engine >>> 5]! & (1 << (engine & 31))) !== 0;
  }

  markEngine(engine: number): void {
    this.engineDone[engine >>> 5]! |= 1 << (engine & 31);
  }

  /** Make room for the marks of streaming engines. */
  streaming(): void {
    if (this.scannedTo !== NO_INTS) return;
    this.scannedTo = new Float64Array(MAX_ENGINES);
    this.instance = new Int32Array(MAX_ENGINES);
  }

  /** Row of a rule, or -1. Rows are few. */
  rowOf(rule: number): number {
    for (let i = 0; i < this.count; i++) if (this.rules[i] === rule) return i;
    return -1;
  }

  /** @returns the new row, or -1 when the table is full */
  add(rule: number): number {
    if (this.count >= MAX_PENDING_TX_RULES) return -1;
    if (this.count >= this.rules.length) {
      const size = Math.max(8, this.rules.length * 2);
      const rules = new Int32Array(size);
      rules.set(this.rules);
      this.rules = rules;
      const bits = new Int32Array(size);
      bits.set(this.bits);
      this.bits = bits;
    }
    this.rules[this.count] = rule;
    this.bits[this.count] = 0;
    return this.count++;
  }

  removeRow(row: number): void {
    this.count--;
    this.rules[row] = this.rules[this.count]!;
    this.bits[row] = this.bits[this.count]!;
  }
}

/** Both directions of one transaction. */
export class TxDetect {
  readonly toServer = new TxDirection();
  readonly toClient = new TxDirection();
  /** Rule set the rows belong to. */
  generation = -1;

  direction(dir: number): TxDirection {
    return dir === 0 ? this.toServer : this.toClient;
  }

  reset(): void {
    this.toServer.reset();
    this.toClient.reset();
    this.generation = -1;
  }

  /** @param successors as for FlowDetect.follow */
  follow(successors: Int32Array | null): void {
    if (successors === null) {
      this.reset();
      return;
    }
    this.toServer.follow(successors);
    this.toClient.follow(successors);
  }
}

