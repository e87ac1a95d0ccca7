/**
 * Who follows HTTP exchanges while they are read: the web application firewall. The parser calls it in the order of the bytes,
 * before the packet that brought them is let through, so that what it finds can still keep the packet back.
 */
import type { Flow } from '../flow/index.js';
import type { ByteSink } from '../util/index.js';
import type { ByteSlice } from './transaction.js';

/** One request and its response, whatever version of HTTP carries them. All bytes are lent: they change with the next call. */
export interface HttpExchange {
  /** Running number within the flow. */
  readonly id: number;
  /** The observer's state of this exchange. */
  observed: object | null;
  /** A request was seen for it; false for a response that came out of nowhere. */
  readonly hasRequest: boolean;
  /** Response status, 0 when it is no number from 100 to 999. */
  readonly status: number;
  /** The start line as it was sent, without line end. @returns false when there is none */
  startLine(dir: number, out: ByteSlice): boolean;
  requestMethod(out: ByteSlice): boolean;
  /** Request target as sent. */
  rawUri(out: ByteSlice): boolean;
  /** Protocol version as sent, of the request (dir 0) or the response. */
  protocol(dir: number, out: ByteSlice): boolean;
  /** Reason phrase of the response. */
  reason(out: ByteSlice): boolean;
  /** Host name in lower case without port. */
  host(out: ByteSlice): boolean;
  /** Fields of a head in the order in which they came, repeated ones as often as they did. */
  fieldCount(dir: number): number;
  /** Name as sent, '' for a line without colon; value without surrounding white space, folded lines joined. */
  field(dir: number, index: number, name: ByteSlice, value: ByteSlice): void;
  /** More fields came than are kept. */
  fieldsLost(dir: number): boolean;
}

export interface HttpObserver {
  /** The request line and all fields are there (of HTTP/0.9, the request line). */
  requestHead(flow: Flow, exchange: HttpExchange): void;
  /**
   * A body begins. @returns where its bytes go, transfer and content coding removed; null = nobody wants them. A sink that
   * returns false gets no more.
   */
  bodySink(flow: Flow, exchange: HttpExchange, dir: number): ByteSink | null;
  /** The request is complete, or as complete as it gets. */
  requestEnd(flow: Flow, exchange: HttpExchange): void;
  /** The head of the final response is there; interim responses (100, 103) are not reported. */
  responseHead(flow: Flow, exchange: HttpExchange): void;
  responseEnd(flow: Flow, exchange: HttpExchange): void;
  /** The exchange is given up for newer ones: the flow has too many. */
  evicted(flow: Flow, exchange: HttpExchange): void;
  /** What follows on this flow is not followed any more: another protocol by agreement, or bytes that are no HTTP. */
  ended(flow: Flow, why: 'upgrade' | 'parser-error'): void;
}
