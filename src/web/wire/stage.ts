/**
 * Web protection as a stage of the pipeline. The HTTP parser tells it of every head, body piece and end while a packet is
 * being read; it hands them to the rule engine at once, and what the engine decides falls on that packet: the one that
 * completes a head, or brings the last byte of a body, is judged before it is let through.
 *
 * Calls per packet: `begin`, then the parser's, then `verdict`; after a block `answer` says what to send the two ends, and
 * `reply` what to tell a client that goes on talking. `release` when the flow record is given back.
 */
import { TO_CLIENT, TO_SERVER, type Flow } from '../../flow/index.js';
import { PROTO_TCP, TCP_FIN, formatIp, type PacketView } from '../../packet/index.js';
import { DropReason, Verdict, type WebEventOutput } from '../../pipeline/index.js';
import { ByteSlice, type HttpExchange, type HttpObserver, type Transaction } from '../../protocols/index.js';
import type { ByteSink } from '../../util/index.js';
import type { Intervention, RequestHead, WebConnection, WebPolicy, WebTransaction } from '../transaction.js';
import { WebCounters } from './counters.js';
import { WebExchange } from './exchange.js';
import { hostOf, requestHead, responseHead } from './heads.js';
import { blockPage } from './page.js';
import { WebMode, type WebPolicies } from './policies.js';
import { webRecord } from './record.js';

/** What the stage asks of the rule engine; WebEngine is one. */
export interface TransactionSource {
  transaction(connection: WebConnection, uniqueId: string, policy: WebPolicy): WebTransaction;
}

/** What happens to a request that cannot be judged. */
export type ExceptionPolicy = 'block' | 'pass';

export interface WebStageOptions {
  readonly engine: TransactionSource;
  readonly policies: WebPolicies;
  /** Time of the engine, in milliseconds since the epoch: that of the packet at hand. */
  readonly clock: { ms: number };
  readonly events: WebEventOutput;
  /** WebMode by the port of the server; the strictest of all where that is not known. */
  readonly portModes: Uint8Array;
  /** VM name by port, '' = none. */
  readonly vmNames: readonly string[];
  /** Frames may be kept back. */
  readonly enforce: boolean;
  /** Connections that stop being readable as HTTP. */
  readonly unparsable: ExceptionPolicy;
  /** Bytes of bodies kept for open transactions, per flow and altogether, and what happens to more. */
  readonly flowMemcap: number;
  readonly memcap: number;
  readonly memcapPolicy: ExceptionPolicy;
  /** Transactions of a flow that wait for their response at the same time; the oldest are logged without it. */
  readonly maxPipelined: number;
}

/** What the two ends of a blocked connection are sent. Sequence numbers are signed 32-bit. */
export interface BlockMessage {
  /** Response for the client, null = reset. */
  readonly page: Uint8Array | null;
  readonly clientSeq: number;
  readonly clientAck: number;
  readonly serverSeq: number;
  readonly serverAck: number;
}

/** State of a flow. */
class FlowWeb {
  readonly connection: WebConnection;
  readonly open: WebExchange[] = [];
  bytes = 0;
  /** It stopped being HTTP: nothing more is judged. */
  ended = false;
  /** The request whose head was judged and whose end was not. */
  current: WebExchange | null = null;
  /** Stream offset from which packets to the server wait to be let go; -1 = none do. */
  heldFrom = -1;
  message: BlockMessage | null = null;

  constructor(connection: WebConnection) {
    this.connection = connection;
  }
}

/** The decision about the packet at hand. */
interface Decision {
  readonly exchange: WebExchange | null;
  readonly intervention: Intervention;
  readonly uniqueId: string;
  readonly page: boolean;
}

/** Flow.appProto of what is judged. */
const HTTP1 = 'http';
const HTTP2 = 'http2';

const value = new ByteSlice();

/** A decision that no rule made. */
function exception(message: string, status: number): Intervention {
  return { action: 'drop', status, url: '', ruleId: 0, phase: 1, message };
}

export class WebStage implements HttpObserver {
  readonly counters = new WebCounters();
  /** Told in words what was decided; null while nobody asks. */
  trace: ((text: string) => void) | null = null;
  #o: WebStageOptions;
  #strictest: WebMode;
  // The packet at hand.
  #view: PacketView | null = null;
  #mode: WebMode = WebMode.OFF;
  #decision: Decision | null = null;
  /** Stream offsets before the packet: what each receiver has been let through to. */
  #serverEnd = 0;
  #clientEnd = 0;
  /** No part of a response was under way before the packet. */
  #clientIdle = false;

  constructor(options: WebStageOptions) {
    this.#o = options;
    this.#strictest = Math.max(...options.portModes, WebMode.OFF) as WebMode;
  }

  /** Judge transactions that begin from now on by another engine. Call between two packets. */
  replaceEngine(next: Omit<WebStageOptions, 'events' | 'portModes' | 'vmNames' | 'enforce'>): void {
    this.#o = { ...this.#o, ...next };
  }

  /** Other modes for the ports. Call between two packets. */
  replaceModes(modes: readonly WebMode[]): void {
    this.#o = { ...this.#o, portModes: Uint8Array.from(modes) };
    this.#strictest = Math.max(...modes, WebMode.OFF) as WebMode;
  }

  /** Is web traffic of this packet's connection judged? By the port of the server. */
  wants(view: PacketView): boolean {
    return view.proto === PROTO_TCP && this.#modeOf(view) !== WebMode.OFF;
  }

  #modeOf(view: PacketView): WebMode {
    const port = view.flowDir === TO_SERVER ? view.egress : view.ingress;
    return port < 0 || port >= this.#o.portModes.length ? this.#strictest : (this.#o.portModes[port] as WebMode);
  }

  /** A packet of an HTTP flow, or of one that may turn out to be, goes to reassembly next. */
  begin(view: PacketView, flow: Flow): void {
    this.#view = view;
    this.#o.clock.ms = view.tsSec * 1000 + Math.floor(view.tsUsec / 1000);
    this.#mode = this.#modeOf(view);
    this.#decision = null;
    const { toServer, toClient } = flow;
    this.#serverEnd = toServer.end;
    this.#clientEnd = toClient.end;
    this.#clientIdle = toClient.parsed === toClient.end && !isResponding(flow);
    // The next request may come after any number of bytes.
    toServer.unlimited = toClient.unlimited = flow.appProto === HTTP1 || flow.appProto === HTTP2;
  }

  /** What became of the packet. On a block view.reason and view.ruleSid are set. */
  verdict(view: PacketView, flow: Flow): number {
    const decision = this.#decision;
    this.#view = null;
    if (decision === null) return Verdict.NONE;
    this.#decision = null;
    view.reason = DropReason.web_rule;
    view.ruleGid = 0;
    view.ruleSid = decision.intervention.ruleId;
    const state = flow.web as FlowWeb;
    state.message = this.#message(view, flow, decision);
    return Verdict.DROP_FLOW;
  }

  /** What to send the ends of the flow that `verdict` has just condemned. */
  answer(flow: Flow): BlockMessage | null {
    return flow.web instanceof FlowWeb ? flow.web.message : null;
  }

  // ---- holding requests (HeldRequests) -----------------------------------------------------------------------------

  /** Is a request under way whose packets are to wait for its end? Not those that will not fit in `limit` bytes anyway. */
  requestOpen(flow: Flow, limit: number): boolean {
    if (!(flow.web instanceof FlowWeb)) return false;
    const { current } = flow.web;
    return current !== null && current.holdable && current.announced <= limit;
  }

  /** Did all bytes of this packet come before? */
  repeats(view: PacketView, flow: Flow): boolean {
    return ((view.seq + view.payloadLen - ((flow.toServer.isn + this.#serverEnd) | 0)) | 0) <= 0;
  }

  /** The packet at hand is the first of its request that waits. */
  holds(flow: Flow): void {
    (flow.web as FlowWeb).heldFrom = this.#serverEnd;
  }

  /** The request at hand is not to be held any longer. */
  stopHolding(flow: Flow): void {
    const { current } = flow.web as FlowWeb;
    if (current === null) return;
    current.holdable = false;
    this.counters.holdsGivenUp++;
  }

  /** Nothing of the flow waits any more. */
  released(flow: Flow): void {
    if (flow.web instanceof FlowWeb) flow.web.heldFrom = -1;
  }

  // ---- HttpObserver ----------------------------------------------------------------------------------------------

  requestHead(flow: Flow, http: HttpExchange): void {
    if (this.#mode === WebMode.OFF || this.#decision !== null) return;
    const state = this.#stateOf(flow);
    if (state === null || state.ended) return;
    const host = hostOf(http);
    const serverPort = this.#serverPort();
    const { mode, block, policy, names } = this.#o.policies.of(this.#o.vmNames[serverPort] ?? '', host, this.#mode, this.#o.enforce);
    const head = requestHead(http);
    const transaction = mode === WebMode.OFF ? null : this.#o.engine.transaction(state.connection, uniqueId(flow, http), policy);
    if (transaction === null || !transaction.active) {
      this.counters.exempt++;
      return;
    }
    const exchange = new WebExchange(transaction, http, block, names, host, head.method, head.target);
    http.observed = exchange;
    state.current = exchange;
    // Streams of HTTP/2 share a connection: what waits for one would keep the others waiting.
    exchange.holdable = mode === WebMode.ON && flow.appProto === HTTP1 && !hasField(head, 'expect');
    exchange.announced = announcedLength(head);
    this.counters.transactions++;
    this.counters.open++;
    state.open.push(exchange);
    if (state.open.length > this.#o.maxPipelined) {
      this.counters.responsesSkipped++;
      this.#close(flow, state, state.open[0]!);
    }
    if (http.fieldsLost(TO_SERVER) && this.#o.unparsable === 'block' && mode === WebMode.ON) this.#decide(flow, exchange, exception('too many header fields', 400));
    else this.#decide(flow, exchange, transaction.requestHeaders(head));
  }

  bodySink(flow: Flow, http: HttpExchange, dir: number): ByteSink | null {
    const exchange = http.observed as WebExchange | null;
    if (exchange === null || exchange.logged) return null;
    if (dir === TO_CLIENT && !exchange.responseHeadSeen) this.responseHead(flow, http);
    const wanted = dir === TO_SERVER ? exchange.transaction.wantsRequestBody : exchange.transaction.wantsResponseBody;
    return wanted && !exchange.logged ? { write: (buf, off, len) => this.#body(flow, exchange, dir, buf, off, len) } : null;
  }

  requestEnd(flow: Flow, http: HttpExchange): void {
    // The connection ended within the head: some servers act on it all the same.
    if (http.observed === null && http.startLine(TO_SERVER, value)) this.requestHead(flow, http);
    const exchange = http.observed as WebExchange | null;
    if (exchange === null || exchange.logged || exchange.requestEnded || this.#view === null) return;
    exchange.requestEnded = true;
    const state = flow.web as FlowWeb;
    if (state.current === exchange) state.current = null;
    this.#decide(flow, exchange, exchange.transaction.endRequestBody());
  }

  responseHead(flow: Flow, http: HttpExchange): void {
    const exchange = http.observed as WebExchange | null;
    if (exchange === null || exchange.logged || exchange.responseHeadSeen) return;
    exchange.responseHeadSeen = true;
    exchange.status = http.status;
    // A server may answer before it has all of the request; phases keep their order.
    if (!exchange.requestEnded) {
      exchange.requestEnded = true;
      this.#decide(flow, exchange, exchange.transaction.endRequestBody());
      if (exchange.logged) return;
    }
    this.#decide(flow, exchange, exchange.transaction.responseHeaders(responseHead(http)));
  }

  responseEnd(flow: Flow, http: HttpExchange): void {
    const exchange = http.observed as WebExchange | null;
    if (exchange === null || exchange.logged || this.#view === null) return;
    if (exchange.responseHeadSeen) this.#decide(flow, exchange, exchange.transaction.endResponseBody());
    if (!exchange.logged) this.#close(flow, flow.web as FlowWeb, exchange);
  }

  evicted(flow: Flow, http: HttpExchange): void {
    const exchange = http.observed as WebExchange | null;
    if (exchange === null || exchange.logged) return;
    this.counters.responsesSkipped++;
    this.#close(flow, flow.web as FlowWeb, exchange);
  }

  ended(flow: Flow, why: 'upgrade' | 'parser-error'): void {
    if (this.#mode === WebMode.OFF) return;
    if (why === 'upgrade') {
      this.counters.upgrades++;
      return;
    }
    const state = this.#stateOf(flow);
    if (state === null || state.ended) return;
    state.ended = true;
    this.counters.unparsable++;
    this.trace?.('the connection is no HTTP any more');
    if (this.#o.unparsable === 'pass' || !this.#o.enforce || this.#mode !== WebMode.ON || this.#decision !== null) return;
    this.counters.blocked++;
    const intervention = exception('not readable as HTTP', 400);
    this.#decision = { exchange: null, intervention, uniqueId: '', page: false };
    this.#o.events.web(this.#view, flow, { body: { action: 'blocked', reason: intervention.message, answer: 'reset' }, rules: [], blocked: true });
  }

  /** The flow is over: log what waits for a response that will not come. */
  release(flow: Flow): void {
    if (!(flow.web instanceof FlowWeb)) return;
    this.#view = null;
    const state = flow.web;
    flow.web = null;
    // Memory is given back even where a rule engine that threw before throws again.
    const open = state.open.splice(0);
    for (const exchange of open) this.#account(state, exchange);
    for (const exchange of open) this.#report(flow, exchange, null, '');
  }

  // ---- deciding --------------------------------------------------------------------------------------------------

  #body(flow: Flow, exchange: WebExchange, dir: number, buf: Uint8Array, off: number, len: number): boolean {
    if (exchange.logged || this.#decision !== null) return false;
    const { transaction } = exchange;
    const state = flow.web as FlowWeb;
    if (state.bytes + len > this.#o.flowMemcap || this.counters.bytes + len > this.#o.memcap) {
      this.counters.memcap++;
      if (this.#o.memcapPolicy === 'block' && this.#mode === WebMode.ON && this.#o.enforce) this.#decide(flow, exchange, exception('memory for bodies is used up', 503));
      return false;
    }
    state.bytes += len;
    exchange.bytes += len;
    this.counters.bytes += len;
    const intervention = dir === TO_SERVER ? transaction.requestBody(buf, off, len) : transaction.responseBody(buf, off, len);
    this.#decide(flow, exchange, intervention);
    return intervention === null;
  }

  #decide(flow: Flow, exchange: WebExchange, intervention: Intervention | null): void {
    if (intervention === null || this.#decision !== null) return;
    const page = intervention.action !== 'drop' && exchange.block === 'page' && this.#canAnswer(flow, exchange);
    this.#decision = { exchange, intervention, uniqueId: exchange.transaction.uniqueId, page };
    this.counters.blocked++;
    this.trace?.(`rule ${intervention.ruleId} blocks in phase ${intervention.phase}: ${intervention.message}`);
    this.#close(flow, flow.web as FlowWeb, exchange, intervention, page ? 'page' : 'reset');
  }

  /** A page can only stand in for a response of which nothing has left, and only in its turn. It is written in HTTP/1. */
  #canAnswer(flow: Flow, exchange: WebExchange): boolean {
    if (!this.#clientIdle || flow.appProto !== HTTP1) return false;
    for (const tx of flow.transactions as Transaction[]) {
      if (tx === (exchange.http as unknown)) return true;
      if (!tx.doneToClient) return false;
    }
    return false;
  }

  /** Log an exchange and let go of it. */
  #close(flow: Flow, state: FlowWeb, exchange: WebExchange, blockedBy: Intervention | null = null, answer = ''): void {
    if (state.current === exchange) state.current = null;
    state.open.splice(state.open.indexOf(exchange), 1);
    this.#account(state, exchange);
    this.#report(flow, exchange, blockedBy, answer);
  }

  #account(state: FlowWeb, exchange: WebExchange): void {
    exchange.logged = true;
    state.bytes -= exchange.bytes;
    this.counters.open--;
    this.counters.bytes -= exchange.bytes;
  }

  #report(flow: Flow, exchange: WebExchange, blockedBy: Intervention | null, answer: string): void {
    const report = exchange.transaction.logging();
    if (report.matches.length === 0 && blockedBy === null) return;
    this.counters.matched++;
    if (blockedBy === null && report.wouldIntervene !== null) this.counters.wouldBlock++;
    const { trace } = this;
    if (trace !== null) for (const m of report.matches) trace(`rule ${m.id} "${m.message}" matched ${m.variable}`);
    this.#o.events.web(this.#view, flow, webRecord(exchange, report, blockedBy, answer));
  }

  #stateOf(flow: Flow): FlowWeb | null {
    if (flow.web !== null) return flow.web as FlowWeb;
    const view = this.#view;
    if (view === null) return null;
    const a = formatIp(view.ipVersion, view.src0, view.src1, view.src2, view.src3);
    const b = formatIp(view.ipVersion, view.dst0, view.dst1, view.dst2, view.dst3);
    const state = new FlowWeb(
      view.flowDir === TO_SERVER
        ? { clientAddress: a, clientPort: view.srcPort, serverAddress: b, serverPort: view.dstPort }
        : { clientAddress: b, clientPort: view.dstPort, serverAddress: a, serverPort: view.srcPort },
    );
    flow.web = state;
    return state;
  }

  #serverPort(): number {
    const view = this.#view;
    if (view === null) return -1;
    return view.flowDir === TO_SERVER ? view.egress : view.ingress;
  }

  /** Numbers as each end expects them, whatever the packet said: it may repeat old bytes or run ahead. */
  #message(view: PacketView, flow: Flow, { intervention, uniqueId: id, page }: Decision): BlockMessage {
    const toServer = view.flowDir === TO_SERVER;
    const clientSeq = (flow.toClient.isn + this.#clientEnd) | 0;
    const { heldFrom } = flow.web as FlowWeb;
    const serverSeq = (flow.toServer.isn + (heldFrom >= 0 ? heldFrom : this.#serverEnd)) | 0;
    const sent = (view.seq + view.payloadLen + ((view.tcpFlags & TCP_FIN) === 0 ? 0 : 1)) | 0;
    return {
      page: page ? blockPage(intervention, id) : null,
      clientSeq,
      clientAck: toServer ? sent : view.ack,
      serverSeq,
      serverAck: toServer ? view.ack : sent,
    };
  }
}

/** Value of the first field of that name in lower case, null when there is none. */
function fieldOf({ fields }: RequestHead, name: string): string | null {
  for (let i = 0; i < fields.length; i += 2) if (fields[i]!.length === name.length && fields[i]!.toLowerCase() === name) return fields[i + 1]!;
  return null;
}

function hasField(head: RequestHead, name: string): boolean {
  return fieldOf(head, name) !== null;
}

/** Bytes of body that a head announces; 0 when it says nothing that can be believed. */
function announcedLength(head: RequestHead): number {
  const n = Number(fieldOf(head, 'content-length') ?? 0);
  return n >= 0 ? n : 0;
}

/** Has some of a response been read that is not complete? */
function isResponding(flow: Flow): boolean {
  for (const tx of flow.transactions as Transaction[]) if (!tx.doneToClient && (tx as Transaction & { responding?: boolean }).responding === true) return true;
  return false;
}

/** Unique among all transactions of an appliance, the same in every replay of a capture. */
function uniqueId(flow: Flow, http: HttpExchange): string {
  return `${flow.startSec.toString(36)}-${flow.eveId.toString(36)}-${http.id}`;
}
