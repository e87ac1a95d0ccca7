/**
 * RDP connection set-up (MS-RDPBCGR 1.3.1.1): X.224 connection request and confirm inside TPKT, one transaction each. What
 * follows is TLS, CredSSP or encrypted by RDP itself and is not taken apart.
 */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { be16, le32 } from '../util/index.js';
import { ascii, printable, startsNoCase } from './bytes.js';
import { MessageTransaction } from './message.js';
import { PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const TPKT = 3;
const TLS_HANDSHAKE = 22;
const TPKT_HEADER = 4;
const X224_CONNECTION_REQUEST = 0xe0;
const X224_CONNECTION_CONFIRM = 0xd0;
const NEGOTIATION_LENGTH = 8;
const NegotiationType = { REQUEST: 1, RESPONSE: 2, FAILURE: 3 } as const;
/** Packets after which the parser stops looking for the connection sequence. */
const PACKETS_MAX = 64;
const COOKIE = ascii('cookie: mstshash=');
const CR = 13;

export class RdpTransaction extends MessageTransaction {
  cookie: Uint8Array | null = null;
  /** Security protocols offered or chosen, or the code of the failure; -1 = none sent. */
  protocols = -1;
  failed = false;

  override record(): TransactionRecord {
    const toServer = this.dir === TO_SERVER;
    const body: Record<string, unknown> = { tx_id: this.id, event_type: toServer ? 'initial_request' : this.failed ? 'initial_response_failure' : 'initial_response' };
    if (this.cookie !== null) body['cookie'] = printable(this.cookie, 0, this.cookie.length);
    if (this.protocols >= 0) body[this.failed ? 'error_code' : 'protocol'] = this.protocols;
    return { type: 'rdp', body, toServer };
  }
}

class RdpParser implements AppParser {
  encrypted = false;
  #nextId = 0;
  #packets = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end) {
      if (buf[pos] !== TPKT) {
        this.encrypted = true;
        return end - off;
      }
      if (end - pos < TPKT_HEADER) break;
      const length = be16(buf, pos + 2);
      if (length < TPKT_HEADER + 3) {
        this.encrypted = true;
        return end - off;
      }
      if (end - pos < length) break;
      this.#packet(flow, dir, buf, pos + TPKT_HEADER, pos + length);
      pos += length;
      if (++this.#packets > PACKETS_MAX) this.encrypted = true;
    }
    return pos - off;
  }

  #packet(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): void {
    const type = buf[off + 1]! & 0xf0;
    if (type !== (dir === TO_SERVER ? X224_CONNECTION_REQUEST : X224_CONNECTION_CONFIRM)) return;
    const tx = new RdpTransaction(this.#nextId++, dir);
    flow.transactions.push(tx);
    let pos = off + 7;
    if (startsNoCase(buf, pos, end, COOKIE)) {
      const from = pos + COOKIE.length;
      let to = from;
      while (to < end && buf[to] !== CR) to++;
      tx.cookie = buf.slice(from, to);
      pos = Math.min(end, to + 2);
    }
    if (end - pos < NEGOTIATION_LENGTH || buf[pos]! < NegotiationType.REQUEST || buf[pos]! > NegotiationType.FAILURE) return;
    tx.failed = buf[pos] === NegotiationType.FAILURE;
    tx.protocols = le32(buf, pos + 4) >>> 0;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // packets are whole
  }
}

function probe(buf: Uint8Array, off: number): number {
  return buf[off] === TPKT || buf[off] === TLS_HANDSHAKE ? PROBE_YES : PROBE_NO;
}

export const RDP_PROTOCOL: AppProtocol = {
  name: 'rdp',
  transports: ['tcp'],
  ports: [3389],
  portsOnly: true,
  probe,
  create: () => new RdpParser(),
  buffers: [],
  completeToServer: 1,
  completeToClient: 1,
  events: [],
};
