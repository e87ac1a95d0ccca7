/** Detection state of one flow and of one transaction. Taken from pools; released when the flow ends or the transaction is done. */

/** Raw stream rules whose pattern was seen but which did not match yet, per direction. */
export const MAX_PENDING_STREAM_RULES = 64;
/** Rules under way on one transaction, per direction. */
export const MAX_PENDING_TX_RULES = 512;

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
  /** Waiting stream rules: index of the rule, and the stream offset up to which its pattern lies. */
  readonly pendingRule = new Int32Array(2 * MAX_PENDING_STREAM_RULES);
  readonly pendingEnd = new Float64Array(2 * MAX_PENDING_STREAM_RULES);
  readonly pendingCount = new Int32Array(2);
  /** Packets and bytes still to be tagged, 0 = none (keyword tag). */
  tagUntilPackets = 0;
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
    this.pendingCount.fill(0);
    this.tagUntilPackets = 0;
    this.generation = 0;
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

const NO_BITS = new Uint32Array(0);
const NO_INTS = new Float64Array(0);

function grown(bits: Uint32Array, words: number): Uint32Array {
  const next = new Uint32Array(Math.max(words, bits.length * 2, 4));
  next.set(bits);
  return next;
}

/** Marks a rule in TxDetect.bits that has already alerted. */
export const TX_MATCHED = 1 << 30;

export class TxDetect {
  /** Prefilter engines that are through with this transaction, per direction: bit = engine number in its list. */
  readonly engineDone = new Uint32Array(2 * ENGINE_WORDS);
  /** Streaming engines: bytes scanned of which instance. Index = direction * MAX_ENGINES + engine number. */
  scannedTo: Float64Array = NO_INTS;
  instance: Int32Array = NO_INSTANCES;
  /** Rules under way: index and the bits of their buffers that matched. */
  rules: Int32Array = new Int32Array(16);
  bits: Int32Array = new Int32Array(16);
  /** Rules of direction 0 are rows [0, count0), those of direction 1 are kept in a second pair. */
  count = 0;
  /** The rules without a pattern were started. */
  started = false;
  closed = false;

  reset(): void {
    this.engineDone.fill(0);
    if (this.scannedTo !== NO_INTS) {
      this.scannedTo.fill(0);
      this.instance.fill(0);
    }
    this.count = 0;
    this.started = false;
    this.closed = false;
  }
}

export const ENGINE_WORDS = 4;
export const MAX_ENGINES = ENGINE_WORDS * 32;
const NO_INSTANCES = new Int32Array(0);
