/** The records of the flow table and what is read from and marked in one. Layout: flow-record.ts. */
import * as R from './flow-record.js';

/**
 * Large buffers come from mmap by way of malloc, which leaves 16 bytes at the start of the page to itself. The records are
 * shifted to the next cache line, so that line 0 of a record is one line; were it otherwise, only time would be lost.
 */
const LINE = 64;
const MALLOC_HEADER = 16;
/** 2^24 records are 2 GiB. */
const MAX_CAPACITY = 2 ** 24 - 1;

export class FlowRecords {
  readonly capacity: number;
  readonly records: Int32Array;

  /** @throws RangeError when there cannot be so many */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
      throw new RangeError(`flow table capacity must be a whole number from 1 to ${MAX_CAPACITY}, not ${capacity}`);
    }
    this.capacity = capacity;
    const bytes = capacity * R.R_STRIDE * 4;
    this.records = new Int32Array(new ArrayBuffer(bytes + LINE), LINE - MALLOC_HEADER, bytes / 4);
  }

  state(id: number): number {
    return this.records[id * R.R_STRIDE + R.R_STATE] & R.S_STATE;
  }

  packets(id: number, dir: number): number {
    return this.records[id * R.R_STRIDE + R.R_PACKETS_A + dir] >>> 0;
  }

  /** Bytes on the wire in a direction (48 bits). */
  bytes(id: number, dir: number): number {
    const at = id * R.R_STRIDE;
    const high = (this.records[at + R.R_BYTES_HIGH] >>> (dir * 16)) & 0xffff;
    return high * 2 ** 32 + (this.records[at + R.R_BYTES_A + dir] >>> 0);
  }

  /** Union of the TCP flags seen in a direction. */
  tcpFlags(id: number, dir: number): number {
    return (this.records[id * R.R_STRIDE + R.R_STATE] >>> (R.S_FLAGS_A + dir * 8)) & 0xff;
  }

  /** One word of the record (columns of flow-record.ts), for reports. */
  word(id: number, column: number): number {
    return this.records[id * R.R_STRIDE + column];
  }

  proto(id: number): number {
    return this.records[id * R.R_STRIDE + R.R_META] & 0xff;
  }

  /** 4 or 6; 0 for a free record. */
  ipVersion(id: number): number {
    const code = (this.records[id * R.R_STRIDE + R.R_META] >>> 8) & 3;
    return code === 0 ? 0 : code === 1 ? 4 : 6;
  }

  /** Switch port of the VM at end 0 (originator) or 1; PORT_UNKNOWN when no packet came from there yet. */
  switchPort(id: number, end: number): number {
    return (this.records[id * R.R_STRIDE + R.R_SWITCH_PORTS] >>> (end * 16)) & 0xffff;
  }

  /** Identifier for EVE flow_id: unique within the process, positive, below 2^53. */
  eveId(id: number): number {
    const at = id * R.R_STRIDE;
    return ((this.records[at + R.R_HASH] >>> 12) & 0xf_ffff) * 2 ** 32 + (this.records[at + R.R_SERIAL] >>> 0);
  }

  /** Set bits of R_STATE that packets check: S_DROPPED, S_BYPASS. */
  setFlags(id: number, bits: number): void {
    this.records[id * R.R_STRIDE + R.R_STATE] |= bits;
  }

  hasFlags(id: number, bits: number): boolean {
    return (this.records[id * R.R_STRIDE + R.R_STATE] & bits) !== 0;
  }

  /** Set M_* bits. */
  mark(id: number, bits: number): void {
    this.records[id * R.R_STRIDE + R.R_MARKS] |= bits;
  }

  /** Another connection announced this one. */
  isExpected(id: number): boolean {
    return (this.records[id * R.R_STRIDE + R.R_MARKS] & R.M_EXPECTED) !== 0;
  }

  /** Remember which firewall rule admitted the flow, under which policy generation. */
  setRule(id: number, rule: number, generation: number): void {
    this.records[id * R.R_STRIDE + R.R_RULE] = rule;
    this.records[id * R.R_STRIDE + R.R_GENERATION] = generation;
  }

  /** Visit every flow (console, tests). `visit` may remove the flow it is given. */
  forEach(visit: (id: number) => void): void {
    for (let id = 0; id < this.capacity; id++) if (this.records[id * R.R_STRIDE + R.R_META] !== 0) visit(id);
  }
}
