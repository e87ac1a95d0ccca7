/**
 * Modbus over TCP (Modbus Application Protocol v1.1b3, Modbus Messaging on TCP/IP v1.0b): a transaction per request with its
 * response, paired by the transaction identifier. Progress: 1 request read, 2 response read.
 */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { be16 } from '../util/index.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';
import { Transaction } from './transaction.js';

const HEADER = 7;
/** MBAP length counts the unit identifier and the PDU, which has at most 253 bytes. */
const LENGTH_MAX = 254;
/** Requests without a response after which the peer floods (Suricata: request-flood). */
const FLOOD = 500;
const EXCEPTION = 0x80;

export const ModbusFunction = {
  READ_COILS: 1,
  READ_DISCRETES: 2,
  READ_HOLDING: 3,
  READ_INPUT: 4,
  WRITE_COIL: 5,
  WRITE_REGISTER: 6,
  DIAGNOSTIC: 8,
  WRITE_COILS: 15,
  WRITE_REGISTERS: 16,
  MASK_WRITE: 22,
  READ_WRITE: 23,
  MEI: 43,
} as const;

/** What a request accesses; bits. */
export const ModbusAccess = { READ: 1, WRITE: 2, COILS: 4, HOLDING: 8, DISCRETES: 16, INPUT: 32 } as const;
/** Kinds of function codes; bits. */
export const ModbusCategory = { ASSIGNED: 1, UNASSIGNED: 2, USER: 4, RESERVED: 8 } as const;

const { READ, WRITE, COILS, HOLDING, DISCRETES, INPUT } = ModbusAccess;
const ACCESS: Readonly<Record<number, number>> = {
  [ModbusFunction.READ_COILS]: READ | COILS,
  [ModbusFunction.READ_DISCRETES]: READ | DISCRETES,
  [ModbusFunction.READ_HOLDING]: READ | HOLDING,
  [ModbusFunction.READ_INPUT]: READ | INPUT,
  [ModbusFunction.WRITE_COIL]: WRITE | COILS,
  [ModbusFunction.WRITE_REGISTER]: WRITE | HOLDING,
  [ModbusFunction.WRITE_COILS]: WRITE | COILS,
  [ModbusFunction.WRITE_REGISTERS]: WRITE | HOLDING,
  [ModbusFunction.MASK_WRITE]: WRITE | HOLDING,
  [ModbusFunction.READ_WRITE]: READ | WRITE | HOLDING,
};

const PUBLIC = new Set([1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 16, 17, 20, 21, 22, 23, 24, 43]);

/** Section 5 of the specification: which codes are public, user-defined, reserved. */
function categoryOf(code: number, subfunction: number): number {
  if (code === ModbusFunction.DIAGNOSTIC) {
    const assigned = subfunction <= 4 || (subfunction >= 10 && subfunction <= 18) || subfunction === 20;
    return assigned ? ModbusCategory.ASSIGNED : ModbusCategory.RESERVED;
  }
  if (code === ModbusFunction.MEI) return subfunction === 13 || subfunction === 14 ? ModbusCategory.ASSIGNED : ModbusCategory.RESERVED;
  if (PUBLIC.has(code)) return ModbusCategory.ASSIGNED;
  if ((code >= 65 && code <= 72) || (code >= 100 && code <= 110)) return ModbusCategory.USER;
  if ([9, 10, 13, 14, 41, 42, 90, 91, 125, 126, 127].includes(code)) return ModbusCategory.RESERVED;
  return code > 0 && code < EXCEPTION ? ModbusCategory.UNASSIGNED : 0;
}

export class ModbusTransaction extends Transaction {
  readonly access: number;
  readonly category: number;
  /** Sub-function of diagnostics, MEI type of encapsulated transports; -1 = none. */
  subfunction = -1;
  /** First and last item accessed, counted from 1 as the data model does; 0 = no address. */
  addressFrom = 0;
  addressTo = 0;
  /** Values written: registers, or coils as 0 and 1 (0xff00 for a single one). */
  readonly values: number[] = [];
  exception = -1;

  constructor(
    id: number,
    readonly wireId: number,
    readonly unit: number,
    readonly code: number,
    buf: Uint8Array,
    off: number,
    end: number,
  ) {
    super();
    this.id = id;
    this.access = ACCESS[code] ?? 0;
    if (!this.#read(buf, off, end)) this.addEvent('modbus.invalid_length');
    this.category = categoryOf(code, this.subfunction);
    if (this.category === 0) this.addEvent('modbus.invalid_function_code');
  }

  /** Data of the request behind the function code. */
  #read(buf: Uint8Array, off: number, end: number): boolean {
    const length = end - off;
    switch (this.code) {
      case ModbusFunction.READ_COILS:
      case ModbusFunction.READ_DISCRETES:
      case ModbusFunction.READ_HOLDING:
      case ModbusFunction.READ_INPUT:
        if (length !== 4) return false;
        this.#range(be16(buf, off), be16(buf, off + 2), this.code <= ModbusFunction.READ_DISCRETES ? 2000 : 125);
        return true;
      case ModbusFunction.WRITE_COIL:
      case ModbusFunction.WRITE_REGISTER: {
        if (length !== 4) return false;
        this.#range(be16(buf, off), 1, 1);
        const value = be16(buf, off + 2);
        this.values.push(value);
        if (this.code === ModbusFunction.WRITE_COIL && value !== 0 && value !== 0xff00) this.addEvent('modbus.invalid_value');
        return true;
      }
      case ModbusFunction.WRITE_COILS:
      case ModbusFunction.WRITE_REGISTERS:
        return length >= 5 && this.#write(buf, off, end);
      case ModbusFunction.MASK_WRITE:
        if (length !== 6) return false;
        this.#range(be16(buf, off), 1, 1);
        this.values.push((be16(buf, off + 2) & 0xffff) | be16(buf, off + 4));
        return true;
      case ModbusFunction.READ_WRITE:
        return length >= 9 && this.#write(buf, off + 4, end);
      case ModbusFunction.DIAGNOSTIC:
        if (length < 2) return false;
        this.subfunction = be16(buf, off);
        return true;
      case ModbusFunction.MEI:
        if (length < 1) return false;
        this.subfunction = buf[off]!;
        return true;
      default:
        return true;
    }
  }

  #write(buf: Uint8Array, off: number, end: number): boolean {
    const coils = this.code === ModbusFunction.WRITE_COILS;
    const quantity = be16(buf, off + 2);
    const bytes = buf[off + 4]!;
    if (off + 5 + bytes !== end) return false;
    if (bytes !== (coils ? (quantity + 7) >> 3 : quantity * 2)) this.addEvent('modbus.invalid_value');
    this.#range(be16(buf, off), quantity, coils ? 1968 : 123);
    for (let i = 0; i < quantity; i++) {
      const at = off + 5 + (coils ? i >> 3 : i * 2);
      if (at + (coils ? 1 : 2) > end) break;
      this.values.push(coils ? (buf[at]! >> (i & 7)) & 1 : be16(buf, at));
    }
    return true;
  }

  #range(address: number, quantity: number, max: number): void {
    if (quantity === 0 || quantity > max) this.addEvent('modbus.invalid_value');
    this.addressFrom = address + 1;
    this.addressTo = address + Math.max(1, quantity);
  }

  override record(): TransactionRecord {
    const body: Record<string, unknown> = { id: this.id, request: { transaction_id: this.wireId, unit_id: this.unit, function_raw: this.code } };
    if (this.exception >= 0) body['response'] = { exception_raw: this.exception };
    return { type: 'modbus', body, toServer: true };
  }
}

class ModbusParser implements AppParser {
  #nextId = 0;
  #unanswered = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (end - pos >= HEADER + 1) {
      const length = be16(buf, pos + 4);
      const good = be16(buf, pos + 2) === 0 && length >= 2 && length <= LENGTH_MAX;
      if (good && end - pos < 6 + length) break;
      if (dir === TO_SERVER) this.#request(flow, buf, pos, pos + 6 + length, good);
      else this.#response(flow, buf, pos, pos + 6 + length, good);
      if (!good) return -1;
      pos += 6 + length;
    }
    return pos - off;
  }

  #request(flow: Flow, buf: Uint8Array, off: number, end: number, good: boolean): void {
    const stop = good ? end : off + HEADER + 1;
    const tx = new ModbusTransaction(this.#nextId++, be16(buf, off), buf[off + 6]!, buf[off + 7]!, buf, off + 8, stop);
    flow.transactions.push(tx);
    tx.progressToServer = 1;
    tx.doneToServer = true;
    if (!good) tx.addEvent(be16(buf, off + 2) !== 0 ? 'modbus.invalid_protocol_id' : 'modbus.invalid_length');
    if (++this.#unanswered > FLOOD) tx.addEvent('modbus.flooded');
  }

  #response(flow: Flow, buf: Uint8Array, off: number, end: number, good: boolean): void {
    const list = flow.transactions as ModbusTransaction[];
    const wireId = be16(buf, off);
    let tx = list.find((candidate) => candidate.wireId === wireId && !candidate.doneToClient);
    if (tx === undefined) {
      tx = new ModbusTransaction(this.#nextId++, wireId, buf[off + 6]!, 0, buf, off, off);
      tx.doneToServer = true;
      tx.dirtyToServer = false;
      tx.events = null;
      tx.addEvent('modbus.unsolicited_response');
      list.push(tx);
    } else {
      if (this.#unanswered > 0) this.#unanswered--;
      if (tx.unit !== buf[off + 6]) tx.addEvent('modbus.invalid_unit_identifier');
      const code = buf[off + 7]!;
      if (code === (tx.code | EXCEPTION)) {
        tx.exception = end > off + 8 ? buf[off + 8]! : 0;
        if (tx.exception < 1 || tx.exception > 11 || tx.exception === 9) tx.addEvent('modbus.invalid_exception_code');
      } else if (code !== tx.code) tx.addEvent('modbus.value_mismatch');
    }
    if (!good) tx.addEvent(be16(buf, off + 2) !== 0 ? 'modbus.invalid_protocol_id' : 'modbus.invalid_length');
    tx.progressToClient = 2;
    tx.doneToClient = tx.dirtyToClient = true;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // messages are complete or not there
  }
}

function probe(buf: Uint8Array, off: number, end: number, dir: number): number {
  if (end - off < HEADER + 1) return PROBE_MORE;
  const length = be16(buf, off + 4);
  // a client that sends what only servers do is the server of a reversed flow
  if (dir === TO_SERVER && (buf[off + 7]! >= EXCEPTION || (buf[off + 7]! <= ModbusFunction.WRITE_REGISTER && length !== 6))) return PROBE_NO;
  return be16(buf, off + 2) === 0 && length >= 2 && length <= LENGTH_MAX && buf[off + 7] !== 0 ? PROBE_YES : PROBE_NO;
}

export const MODBUS_PROTOCOL: AppProtocol = {
  name: 'modbus',
  transports: ['tcp'],
  ports: [502],
  portsOnly: true,
  probe,
  create: () => new ModbusParser(),
  buffers: [],
  completeToServer: 1,
  completeToClient: 2,
  events: [
    'modbus.invalid_protocol_id',
    'modbus.unsolicited_response',
    'modbus.invalid_length',
    'modbus.invalid_unit_identifier',
    'modbus.invalid_function_code',
    'modbus.invalid_value',
    'modbus.invalid_exception_code',
    'modbus.value_mismatch',
    'modbus.flooded',
  ],
};
