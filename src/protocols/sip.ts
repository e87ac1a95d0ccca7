/** SIP over UDP (RFC 3261): every request and response is a transaction. */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { CR, LF, SP, ascii, printable } from './bytes.js';
import { Directions, FRAME_MAX, FrameTransaction, MessageTransaction, bytesBuffer, frameBuffer } from './message.js';
import { PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const LINE_MAX = 4096;
const METHODS = ['REGISTER', 'INVITE', 'ACK', 'BYE', 'CANCEL', 'UPDATE', 'REFER', 'PRACK', 'SUBSCRIBE', 'NOTIFY', 'PUBLISH', 'MESSAGE', 'INFO', 'OPTIONS'].map((word) => ascii(`${word} `));
const VERSION = ascii('SIP/');

export class SipTransaction extends MessageTransaction {
  /** First line without its end. */
  line: Uint8Array = EMPTY;
  protocol: Uint8Array | null = null;
  method: Uint8Array | null = null;
  uri: Uint8Array | null = null;
  code: Uint8Array | null = null;
  reason: Uint8Array | null = null;

  override record(): TransactionRecord {
    const text = (bytes: Uint8Array | null): string => (bytes === null ? '' : printable(bytes, 0, bytes.length));
    const request = this.method !== null;
    const body = request
      ? { method: text(this.method), uri: text(this.uri), version: text(this.protocol), request_line: text(this.line) }
      : { version: text(this.protocol), code: text(this.code), reason: text(this.reason), response_line: text(this.line) };
    return { type: 'sip', body, toServer: this.dir === TO_SERVER };
  }
}

const EMPTY = new Uint8Array(0);

function startsWith(buf: Uint8Array, off: number, end: number, word: Uint8Array): boolean {
  if (end - off < word.length) return false;
  for (let i = 0; i < word.length; i++) if (buf[off + i] !== word[i]) return false;
  return true;
}

class SipParser implements AppParser {
  #nextId = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end && (buf[pos] === CR || buf[pos] === LF || buf[pos] === 0)) pos++; // keep-alive (RFC 5626 section 3.5.1)
    if (pos === end) return end - off;
    const tx = new SipTransaction(this.#nextId++, dir);
    flow.transactions.push(tx);
    if (flow.frames) flow.transactions.push(this.#frames(dir, buf, pos, end));
    if (!read(tx, buf, pos, end)) tx.addEvent('sip.invalid_data');
    return end - off;
  }

  /** The message, its first line, headers and body as frames. */
  #frames(dir: number, buf: Uint8Array, off: number, end: number): FrameTransaction {
    const cut = Math.min(end, off + FRAME_MAX);
    const head = Math.min(cut, find(buf, LF, off, cut) + 1);
    let body = cut;
    for (let i = head; i + 3 < cut && body === cut; i++) if (buf[i] === CR && buf[i + 1] === LF && buf[i + 2] === CR && buf[i + 3] === LF) body = i + 4;
    const side = startsWith(buf, off, end, VERSION) ? 'response' : 'request';
    return new FrameTransaction(this.#nextId++, dir, {
      pdu: buf.slice(off, cut),
      [`${side}.line`]: buf.slice(off, head),
      [`${side}.headers`]: buf.slice(head, body),
      [`${side}.body`]: buf.slice(body, cut),
    });
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // datagrams are whole
  }
}

function read(tx: SipTransaction, buf: Uint8Array, off: number, end: number): boolean {
  let lf = off;
  while (lf < end && lf - off < LINE_MAX && buf[lf] !== LF) lf++;
  let stop = lf;
  if (stop > off && buf[stop - 1] === CR) stop--;
  tx.line = buf.slice(off, stop);
  if (lf === end || buf[lf] !== LF) return false;
  const first = find(buf, SP, off, stop);
  const second = find(buf, SP, first + 1, stop);
  if (first === stop || second === stop) return startsWith(buf, off, stop, VERSION) && response(tx, buf, off, first, stop, stop);
  if (startsWith(buf, off, stop, VERSION)) return response(tx, buf, off, first, second, stop);
  if (!startsWith(buf, second + 1, stop, VERSION)) return false;
  tx.method = buf.slice(off, first);
  tx.uri = buf.slice(first + 1, second);
  tx.protocol = buf.slice(second + 1, stop);
  return true;
}

function response(tx: SipTransaction, buf: Uint8Array, off: number, first: number, second: number, stop: number): boolean {
  tx.protocol = buf.slice(off, first);
  tx.code = buf.slice(Math.min(stop, first + 1), second);
  tx.reason = buf.slice(Math.min(stop, second + 1), stop);
  return tx.code.length === 3;
}


function find(buf: Uint8Array, byte: number, off: number, end: number): number {
  let i = off;
  while (i < end && buf[i] !== byte) i++;
  return Math.min(i, end);
}

function probe(buf: Uint8Array, off: number, end: number): number {
  if (startsWith(buf, off, end, VERSION)) return PROBE_YES;
  for (const method of METHODS) if (startsWith(buf, off, end, method)) return PROBE_YES;
  return PROBE_NO;
}

const { TO_SERVER: REQUEST, TO_CLIENT: RESPONSE, BOTH } = Directions;
const field = (name: string, directions: number, bytes: (tx: SipTransaction) => Uint8Array | null): ReturnType<typeof bytesBuffer> =>
  bytesBuffer<SipTransaction>(name, directions, 1, (tx, _dir, index) => (index === 0 ? bytes(tx) : null));

export const SIP_PROTOCOL: AppProtocol = {
  name: 'sip',
  transports: ['udp'],
  ports: [5060, 5061],
  probe,
  create: () => new SipParser(),
  buffers: [
    field('sip.method', REQUEST, (tx) => tx.method),
    field('sip.uri', REQUEST, (tx) => tx.uri),
    field('sip.request_line', REQUEST, (tx) => (tx.method === null ? null : tx.line)),
    field('sip.stat_code', RESPONSE, (tx) => tx.code),
    field('sip.stat_msg', RESPONSE, (tx) => tx.reason),
    field('sip.response_line', RESPONSE, (tx) => (tx.code === null ? null : tx.line)),
    field('sip.protocol', BOTH, (tx) => tx.protocol),
    ...['pdu', 'request.line', 'request.headers', 'request.body', 'response.line', 'response.headers', 'response.body'].map((type) => frameBuffer('sip', type)),
  ],
  completeToServer: 1,
  completeToClient: 1,
  events: ['sip.incomplete_data', 'sip.invalid_data'],
};
