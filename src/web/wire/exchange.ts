/** One HTTP exchange under judgement: the engine's transaction and what the wire has to remember about it. */
import type { ByteSink } from '../../util/index.js';
import type { HttpExchange } from '../../protocols/index.js';
import type { WebTransaction } from '../transaction.js';
import type { BlockAnswer } from './policies.js';

export class WebExchange {
  readonly transaction: WebTransaction;
  readonly http: HttpExchange;
  readonly block: BlockAnswer;
  readonly policyNames: readonly string[];
  readonly host: string;
  readonly method: string;
  readonly target: string;
  /** Response status, 0 before there is one. */
  status = 0;
  responseHeadSeen = false;
  requestEnded = false;
  /** Its packets may be made to wait for its end: it may be blocked, and its client does not wait for an answer to the head. */
  holdable = false;
  /** Bytes of body that its head announced. */
  announced = 0;
  /** Where body bytes of each direction go; made when a body begins. */
  readonly sinks: [ByteSink | null, ByteSink | null] = [null, null];
  /** Body bytes that were handed to the engine, which keeps them until the transaction is logged. */
  bytes = 0;
  logged = false;

  constructor(transaction: WebTransaction, http: HttpExchange, block: BlockAnswer, policyNames: readonly string[], host: string, method: string, target: string) {
    this.transaction = transaction;
    this.http = http;
    this.block = block;
    this.policyNames = policyNames;
    this.host = host;
    this.method = method;
    this.target = target;
  }
}
