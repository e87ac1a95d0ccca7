/**
 * RFB, the protocol of VNC (RFC 6143), up to the end of its initialisation: one transaction per connection. The screen
 * updates behind it are not taken apart.
 */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { be32 } from '../util/index.js';
import { ascii, printable } from './bytes.js';
import { Directions, FRAME_MAX, FrameTransaction, bytesBuffer, frameBuffer } from './message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';
import { Transaction } from './transaction.js';

/** What is expected next, in the order of the handshake (sections 7.1 to 7.3). */
const Expect = { SERVER_VERSION: 0, CLIENT_VERSION: 1, SECURITY_TYPES: 2, SECURITY_TYPE: 3, SELECTION: 4, CHALLENGE: 5, RESPONSE: 6, RESULT: 7, REASON: 8, CLIENT_INIT: 9, SERVER_INIT: 10, DONE: 11 } as const;
const VERSION_LENGTH = 12;
const CHALLENGE_LENGTH = 16;
const SERVER_INIT_LENGTH = 24;
const TEXT_MAX = 4096;
const SecurityType = { NONE: 1, VNC: 2 } as const;
const PREFIX = ascii('RFB ');

export class RfbTransaction extends Transaction {
  serverVersion = '';
  clientVersion = '';
  securityType = -1;
  /** 0 ok, 1 failed, 2 failed: too many attempts. */
  result = -1;
  name: Uint8Array | null = null;
  reason: Uint8Array | null = null;

  override integer(name: string): number {
    if (name === 'rfb.sectype') return this.securityType;
    return name === 'rfb.secresult' ? this.result : -1;
  }

  override record(): TransactionRecord {
    const body: Record<string, unknown> = { server_protocol_version: this.serverVersion, client_protocol_version: this.clientVersion };
    if (this.securityType >= 0) body['authentication'] = { security_type: this.securityType, ...(this.result < 0 ? {} : { security_result: ['OK', 'FAIL', 'TOOMANY'][this.result] ?? 'UNKNOWN' }) };
    if (this.name !== null) body['framebuffer'] = { name: printable(this.name, 0, this.name.length) };
    if (this.reason !== null) body['server_security_failure_reason'] = printable(this.reason, 0, this.reason.length);
    return { type: 'rfb', body, toServer: true };
  }
}

class RfbParser implements AppParser {
  encrypted = false;
  #expect: number = Expect.SERVER_VERSION;
  #tx: RfbTransaction | null = null;
  #nextId = 1;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let tx = this.#tx;
    if (tx === null) {
      tx = this.#tx = new RfbTransaction();
      flow.transactions.push(tx);
    }
    let pos = off;
    while (pos < end && !this.encrypted) {
      if (isClientTurn(this.#expect) !== (dir === TO_SERVER)) break; // the other side speaks first
      const n = this.#step(tx, buf, pos, end);
      if (n < 0) {
        tx.addEvent('rfb.malformed_message');
        return -1;
      }
      if (n === 0) break;
      if (flow.frames) flow.transactions.push(new FrameTransaction(this.#nextId++, dir, { pdu: buf.slice(pos, pos + Math.min(n, FRAME_MAX)) }));
      if (dir === TO_SERVER) tx.dirtyToServer = true;
      else tx.dirtyToClient = true;
      tx.progressToServer = tx.progressToClient = Math.max(1, this.#expect);
      pos += n;
      if (this.#expect !== Expect.DONE) continue;
      tx.doneToServer = tx.doneToClient = true;
      tx.dirtyToServer = tx.dirtyToClient = true;
      this.encrypted = true;
      pos = end;
    }
    return pos - off;
  }

  /** One message. @returns its length, 0 = not there yet, -1 = not RFB */
  #step(tx: RfbTransaction, buf: Uint8Array, pos: number, end: number): number {
    const have = end - pos;
    switch (this.#expect) {
      case Expect.SERVER_VERSION:
      case Expect.CLIENT_VERSION: {
        if (have < VERSION_LENGTH) return 0;
        if (!startsWithPrefix(buf, pos)) return -1;
        const version = printable(buf, pos + 4, 7);
        if (this.#expect === Expect.SERVER_VERSION) {
          tx.serverVersion = version;
          this.#expect = Expect.CLIENT_VERSION;
        } else {
          tx.clientVersion = version;
          this.#expect = version === '003.003' ? Expect.SECURITY_TYPE : Expect.SECURITY_TYPES;
        }
        return VERSION_LENGTH;
      }
      case Expect.SECURITY_TYPES: {
        const length = 1 + buf[pos]!;
        if (have < length) return 0;
        this.#expect = length === 1 ? Expect.REASON : Expect.SELECTION;
        return length;
      }
      case Expect.SECURITY_TYPE:
        if (have < 4) return 0;
        tx.securityType = be32(buf, pos) >>> 0;
        return this.#chosen(tx, 4);
      case Expect.SELECTION:
        tx.securityType = buf[pos]!;
        return this.#chosen(tx, 1);
      case Expect.CHALLENGE:
      case Expect.RESPONSE:
        if (have < CHALLENGE_LENGTH) return 0;
        this.#expect++;
        return CHALLENGE_LENGTH;
      case Expect.RESULT:
        if (have < 4) return 0;
        tx.result = be32(buf, pos) >>> 0;
        this.#expect = tx.result === 0 ? Expect.CLIENT_INIT : Expect.REASON;
        return 4;
      case Expect.REASON: {
        if (have < 4) return 0;
        const length = be32(buf, pos) >>> 0;
        if (length > TEXT_MAX) return -1;
        if (have < 4 + length) return 0;
        tx.reason = buf.slice(pos + 4, pos + 4 + length);
        this.#expect = Expect.DONE;
        return 4 + length;
      }
      case Expect.CLIENT_INIT:
        this.#expect = Expect.SERVER_INIT;
        return 1;
      default: {
        if (have < SERVER_INIT_LENGTH) return 0;
        const length = be32(buf, pos + 20) >>> 0;
        if (length > TEXT_MAX) return -1;
        if (have < SERVER_INIT_LENGTH + length) return 0;
        tx.name = buf.slice(pos + SERVER_INIT_LENGTH, pos + SERVER_INIT_LENGTH + length);
        this.#expect = Expect.DONE;
        return SERVER_INIT_LENGTH + length;
      }
    }
  }

  #chosen(tx: RfbTransaction, length: number): number {
    if (tx.securityType === SecurityType.VNC) this.#expect = Expect.CHALLENGE;
    else if (tx.securityType === SecurityType.NONE) this.#expect = Expect.CLIENT_INIT;
    else if (tx.securityType === 0) this.#expect = Expect.REASON;
    else {
      tx.addEvent('rfb.unimplemented_security_type');
      this.#expect = Expect.DONE;
    }
    return length;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // messages are complete or not there
  }
}

function isClientTurn(expect: number): boolean {
  return expect === Expect.CLIENT_VERSION || expect === Expect.SELECTION || expect === Expect.RESPONSE || expect === Expect.CLIENT_INIT;
}

function startsWithPrefix(buf: Uint8Array, off: number): boolean {
  for (let i = 0; i < PREFIX.length; i++) if (buf[off + i] !== PREFIX[i]) return false;
  return true;
}

function probe(buf: Uint8Array, off: number, end: number): number {
  for (let i = 0; i < PREFIX.length; i++) {
    if (off + i >= end) return PROBE_MORE;
    if (buf[off + i] !== PREFIX[i]) return PROBE_NO;
  }
  return PROBE_YES;
}

const { TO_CLIENT } = Directions;

export const RFB_PROTOCOL: AppProtocol = {
  name: 'rfb',
  transports: ['tcp'],
  ports: [5900, 5901, 5902, 5903, 5904, 5905, 5906, 5907, 5908, 5909],
  firstDir: 1,
  probe,
  create: () => new RfbParser(),
  buffers: [
    bytesBuffer<RfbTransaction>('rfb.name', TO_CLIENT, 1, (tx, _dir, index) => (index === 0 ? tx.name : null)),
    frameBuffer('rfb', 'pdu'),
  ],
  completeToServer: Expect.DONE,
  completeToClient: Expect.DONE,
  events: ['rfb.unimplemented_security_type', 'rfb.unknown_security_result', 'rfb.malformed_message'],
};
