/** HTTP/1 on one connection: the two readers and how their transactions belong together. */
import type { Flow } from '../../flow/index.js';
import { TO_SERVER } from '../../flow/index.js';
import type { HttpObserver } from '../http-observer.js';
import type { AppParser, Upgrade } from '../parser.js';
import type { Http1Options } from './options.js';
import { RequestReader } from './request-reader.js';
import { ResponseReader } from './response-reader.js';
import { State } from './message-reader.js';
import { HttpTransaction } from './transaction.js';

export class Http1Parser implements AppParser {
  readonly options: Http1Options;
  upgrade: Upgrade = '';
  /** Told of everything as it is read; null when nobody wants to know. */
  observer: HttpObserver | null = null;
  readonly #request = new RequestReader(this);
  readonly #response = new ResponseReader(this);
  #nextId = 0;
  /** Id of the transaction the next response belongs to. */
  #nextResponse = 0;

  constructor(options: Http1Options) {
    this.options = options;
  }

  observe(observer: HttpObserver): void {
    this.observer = observer;
  }

  openTransaction(flow: Flow, hasRequest: boolean): HttpTransaction {
    const tx = new HttpTransaction(this.#nextId++, this.options.uri, hasRequest);
    if (this.observer !== null) tx.request.keepsAll = tx.response.keepsAll = true;
    flow.transactions.push(tx);
    return tx;
  }

  /** The transaction the next response belongs to; a new one when no request was seen for it. */
  nextResponse(flow: Flow): HttpTransaction {
    const id = this.#nextResponse++;
    const list = flow.transactions as HttpTransaction[];
    for (let i = 0; i < list.length; i++) {
      const tx = list[i]!;
      if (tx.id === id && tx instanceof HttpTransaction) return tx;
      if (tx.id > id) break;
    }
    const tx = this.openTransaction(flow, false);
    tx.doneToServer = true;
    tx.addEvent('http.unable_to_match_response_to_request');
    // a response without request uses up its number; one whose transaction was evicted keeps the order
    if (tx.id === id) this.#nextResponse = this.#nextId;
    return tx;
  }

  /** The response to CONNECT arrived: go on in the tunnel, or read the next request. */
  connectAnswered(flow: Flow, accepted: boolean): void {
    if (accepted) this.upgraded(flow);
    else if (this.#request.state === State.WAIT) this.#request.state = State.LINE;
  }

  /** Both directions go on in another protocol. */
  upgraded(flow: Flow): void {
    this.observer?.ended(flow, 'upgrade');
    this.upgrade = 'any';
    this.#request.state = State.WAIT;
    this.#response.state = State.WAIT;
  }

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    return this.#take(flow, dir, buf, off, end, false);
  }

  #take(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number, closed: boolean): number {
    return (dir === TO_SERVER ? this.#request : this.#response).run(flow, buf, off, end, closed);
  }

  gap(_flow: Flow, dir: number, _position: number, length: number): boolean {
    return (dir === TO_SERVER ? this.#request : this.#response).skip(length);
  }

  close(flow: Flow, dir: number): void {
    const half = flow.half(dir);
    const from = half.parsed - half.base;
    if (from >= 0 && from < half.len) this.#take(flow, dir, half.buf, from, half.len, true);
    (dir === TO_SERVER ? this.#request : this.#response).end();
  }
}
