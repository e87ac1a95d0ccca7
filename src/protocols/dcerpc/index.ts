/** DCE/RPC over TCP (connection-oriented) and UDP (connectionless): a transaction per call. */
import { TO_SERVER, type Flow } from '../../flow/index.js';
import type { TransactionRecord } from '../../pipeline/index.js';
import { be16, be32, le16, le32 } from '../../util/index.js';
import { Directions, bytesBuffer } from '../message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from '../parser.js';
import { Transaction, type BufferSpec } from '../transaction.js';
import { DceCall, DcePipe, PDU_HEADER, PduType, uuidText } from './pipe.js';

export { DceCall, DcePipe, type DceListener } from './pipe.js';

/** Connectionless header (C706 section 12.5.1). */
const UDP_HEADER = 80;

/** A transaction that carries a call: DCE/RPC itself, or SMB around it. */
export abstract class DceTransaction extends Transaction {
  call: DceCall | null = null;

  override get littleEndian(): boolean {
    return this.call?.littleEndian ?? true;
  }

  override integer(name: string): number {
    return name === 'dcerpc.opnum' ? (this.call?.opnum ?? -1) : -1;
  }
}

/** The stub data of a call, once all its fragments are there. */
export const STUB_BUFFER: BufferSpec<Transaction> = bytesBuffer<DceTransaction>('dcerpc.stub_data', Directions.BOTH, 0, (tx, dir, index) => {
  const stub = index === 0 && tx.call !== null ? tx.call.stub(dir) : null;
  return stub !== null && stub.complete && stub.length > 0 ? stub.bytes.subarray(0, stub.length) : null;
});

export class DceRpcTransaction extends DceTransaction {
  override record(): TransactionRecord | null {
    const { call } = this;
    if (call === null) return null;
    const body: Record<string, unknown> = { request: 'REQUEST', call_id: call.callId, req: { opnum: call.opnum, stub_data_size: call.request.length } };
    if (call.iface !== null) body['interfaces'] = [{ uuid: call.iface.uuid, version: `${call.iface.version}.0` }];
    if (call.response.complete) body['res'] = { stub_data_size: call.response.length };
    return { type: 'dcerpc', body, toServer: true };
  }
}

/** Progress of the transaction that carries a call, after data came in direction `dir`. */
export function advance(tx: DceTransaction, call: DceCall, dir: number): void {
  if (dir === TO_SERVER) tx.dirtyToServer = true;
  else tx.dirtyToClient = true;
  if (call.request.complete) {
    tx.progressToServer = 1;
    tx.doneToServer = true;
  }
  if (call.response.complete) {
    tx.progressToClient = 1;
    tx.doneToClient = true;
  }
}

class DceTcpParser implements AppParser {
  readonly #pipe = new DcePipe();
  readonly #byCall = new WeakMap<DceCall, DceRpcTransaction>();
  #nextId = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end) {
      const length = DcePipe.length(buf, pos, end);
      if (length < 0) return -1;
      if (length === 0 || end - pos < length) break;
      this.#pipe.pdu(dir, buf, pos, pos + length, {
        call: (call, side, isNew) => this.#call(flow, call, side, isNew),
        malformed: () => undefined,
      });
      pos += length;
    }
    return pos - off;
  }

  #call(flow: Flow, call: DceCall, dir: number, isNew: boolean): void {
    let tx = this.#byCall.get(call);
    if (tx === undefined) {
      if (!isNew) return;
      tx = new DceRpcTransaction();
      tx.id = this.#nextId++;
      tx.call = call;
      this.#byCall.set(call, tx);
      flow.transactions.push(tx);
      tx.dirtyToClient = false;
    }
    advance(tx, call, dir);
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // PDUs are complete or not there
  }
}

class DceUdpParser implements AppParser {
  #nextId = 0;
  readonly #open = new Map<number, DceRpcTransaction>();

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    if (end - off < UDP_HEADER) return -1;
    const type = buf[off + 1]!;
    if (type !== PduType.REQUEST && type !== PduType.RESPONSE) return end - off;
    const little = (buf[off + 4]! & 0x10) !== 0;
    const sequence = (little ? le32(buf, off + 64) : be32(buf, off + 64)) >>> 0;
    let tx = this.#open.get(sequence);
    if (tx === undefined) {
      if (this.#open.size >= 256) this.#open.clear();
      tx = new DceRpcTransaction();
      tx.id = this.#nextId++;
      const version = (little ? le32(buf, off + 60) : be32(buf, off + 60)) >>> 0;
      const iface = { uuid: uuidText(buf, off + 24, little), version: version & 0xffff, accepted: true };
      tx.call = new DceCall(sequence, 0, little ? le16(buf, off + 68) : be16(buf, off + 68), iface);
      tx.call.littleEndian = little;
      tx.dirtyToServer = dir === TO_SERVER;
      tx.dirtyToClient = dir !== TO_SERVER;
      this.#open.set(sequence, tx);
      flow.transactions.push(tx);
    }
    const call = tx.call!;
    const stub = call.stub(dir);
    stub.append(buf, off + UDP_HEADER, Math.min(end, off + UDP_HEADER + (little ? le16(buf, off + 74) : be16(buf, off + 74))));
    const fragmented = (buf[off + 2]! & 4) !== 0;
    stub.complete = !fragmented || (buf[off + 2]! & 2) !== 0;
    advance(tx, call, dir);
    if (call.response.complete) this.#open.delete(sequence);
    return end - off;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // datagrams are whole
  }
}

function probeStream(buf: Uint8Array, off: number, end: number): number {
  if (buf[off] !== 5 || (end - off > 1 && buf[off + 1]! > 2)) return PROBE_NO;
  if (end - off < PDU_HEADER) return PROBE_MORE;
  const type = buf[off + 2]!;
  return DcePipe.length(buf, off, end) > 0 && type <= 19 && (buf[off + 4]! & 0xee) === 0 && buf[off + 6] === 0 && buf[off + 7] === 0 ? PROBE_YES : PROBE_NO;
}

function probeDatagram(buf: Uint8Array, off: number, end: number): number {
  if (end - off < UDP_HEADER || buf[off] !== 4 || buf[off + 1]! > 10 || (buf[off + 2]! & 0x81) !== 0 || (buf[off + 3]! & 0xfc) !== 0 || (buf[off + 4]! & 0xee) !== 0) return PROBE_NO;
  return buf[off + 5]! <= 3 && buf[off + 79] === 0 ? PROBE_YES : PROBE_NO;
}

const COMMON = { name: 'dcerpc', ports: [135], buffers: [STUB_BUFFER], completeToServer: 1, completeToClient: 1, events: [] } as const;

export const DCERPC_TCP: AppProtocol = { ...COMMON, transports: ['tcp'], probe: probeStream, create: () => new DceTcpParser() };
export const DCERPC_UDP: AppProtocol = { ...COMMON, transports: ['udp'], probe: probeDatagram, create: () => new DceUdpParser() };
