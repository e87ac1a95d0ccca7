/**
 * Between reassembly and detection: finds out which protocol a flow speaks, feeds its parser, keeps the list of live
 * transactions short, and hands finished ones to the log.
 *
 * Calls per packet: data/datagram/gap/end as flow delivers, then detection reads `transactionsOf(flow)` and
 * `packetEvents`, then `settle`. `release` when the flow record is given back.
 */
import { Expectations, TO_CLIENT, TO_SERVER, type Flow, type StreamHalf } from '../flow/index.js';
import type { PacketView } from '../packet/packet-view.js';
import type { EventOutput } from '../pipeline/index.js';
import type { HttpObserver } from './http-observer.js';
import { HttpTransaction } from './http1/index.js';
import { printable } from './bytes.js';
import { PROBE_MORE, PROBE_YES, type AppParser } from './parser.js';
import { ProbeTable } from './probe-table.js';
import { ProtocolRegistry } from './registry.js';
import { endFiles, followFiles, type FileObserver } from './files.js';
import type { Transaction } from './transaction.js';

/** Bytes of a direction after which an undecided probe counts as "no". */
const PROBE_LIMIT = 2048;
/** Bytes kept of a direction nobody recognises, in case the other direction is recognised (Suricata: 100 kB). */
const UNDECIDED_LIMIT = 102400;
/** Datagrams of a flow that are probed. */
const DATAGRAM_PROBES = 8;
/** Live transactions of a flow; the oldest is given up for a new one (libhtp's max_tx). */
const TRANSACTION_LIMIT = 512;
const STATE_POOL = 1024;

const UNKNOWN = 0;
const FAILED = -1;

/** Detection and parser state of one flow; sits in flow.parser. */
class AppState {
  parser: AppParser | null = null;
  /** Per direction: 0 still probing, -1 not recognised, otherwise the protocol id. */
  readonly found = new Int16Array(2);
  /** Direction of the first bytes, -1 = none yet. */
  firstDir = -1;
  /** The parser has been given bytes. */
  fed = false;
  onlyOne = false;
  /** Announcements of this connection were looked for. */
  sought = false;
  /** Stream offsets at which detection started (not 0 after an upgrade). */
  readonly start = new Float64Array(2);

  reset(): void {
    this.parser = null;
    this.found.fill(UNKNOWN);
    this.firstDir = -1;
    this.fed = false;
    this.onlyOne = false;
    this.sought = false;
    this.start.fill(0);
  }
}

/** The live transactions of a flow, oldest first. */
export function transactionsOf(flow: Flow): readonly Transaction[] {
  return flow.transactions as Transaction[];
}

/** Counters, read by metrics. */
export interface AppLayerStats {
  /** Flows whose protocol was recognised / could not be. */
  recognised: number;
  unrecognised: number;
  /** Parsers that gave up on a flow. */
  parserErrors: number;
  /** Transactions opened, logged, and given up because a flow had too many. */
  transactions: number;
  logged: number;
  evicted: number;
}

export class AppLayer {
  readonly registry: ProtocolRegistry;
  readonly stats: AppLayerStats = { recognised: 0, unrecognised: 0, parserErrors: 0, transactions: 0, logged: 0, evicted: 0 };
  /** Events of the packet at hand that belong to no transaction (`app-layer-event:applayer_...`); cleared by `settle`. */
  readonly packetEvents: string[] = [];
  /** The packet at hand opened more transactions than are kept: some were given up before detection saw them. Cleared by `settle`. */
  unjudged = false;
  /** Follows HTTP exchanges as they are read; set before the first packet. */
  observer: HttpObserver | null = null;
  /** Follows files; set before the first packet. */
  files: FileObserver | null = null;
  /** Packets wait for the verdict: what clients send to protocols that ask for it is followed without end. */
  inline = false;
  /** Somebody looks at protocol data units (keyword frame). */
  frames = false;
  readonly #output: EventOutput;
  readonly expectations: Expectations;
  readonly #pool: AppState[] = [];
  readonly #tcp: ProbeTable;
  readonly #udp: ProbeTable;

  /** @param expectations shared with connection tracking, which admits the connections announced there */
  constructor(registry: ProtocolRegistry, output: EventOutput, expectations: Expectations = new Expectations()) {
    this.registry = registry;
    this.expectations = expectations;
    this.#output = output;
    this.#tcp = new ProbeTable(registry, registry.tcp);
    this.#udp = new ProbeTable(registry, registry.udp);
  }

  /** New contiguous bytes of a TCP direction. Advances half.parsed over what is not needed any more. */
  data(view: PacketView, flow: Flow, dir: number): void {
    const half = flow.half(dir);
    if (half.parseDone) {
      half.parsed = half.end;
      return;
    }
    const state = this.#state(flow);
    if (state.firstDir < 0) state.firstDir = dir;
    this.#advance(view, flow, state, dir);
    if (this.files !== null && flow.transactions.length > 0) this.#followFiles(flow, this.files);
  }

  #followFiles(flow: Flow, observer: FileObserver): void {
    for (const tx of flow.transactions as Transaction[]) if (tx.files !== null) followFiles(observer, flow, tx);
  }

  /** A UDP datagram with payload. */
  datagram(view: PacketView, flow: Flow): void {
    if (flow.app < 0 || view.payloadLen === 0) return;
    const dir = view.flowDir;
    const off = view.payloadOff;
    const end = off + view.payloadLen;
    if (flow.app === UNKNOWN) {
      const id = this.#probe(view, this.#udp, dir, view.buf, off, end, true);
      if (id <= 0) {
        if (++flow.probes >= DATAGRAM_PROBES || this.registry.udp.length === 0) this.#unrecognised(flow);
        return;
      }
      this.#recognise(flow, this.#state(flow), id);
    }
    const state = this.#state(flow);
    const parser = state.parser;
    if (parser === null) return;
    const before = flow.transactions.length;
    flow.frames = this.frames;
    this.expectations.aim(view);
    if (parser.data(flow, dir, view.buf, off, end, 0) < 0) this.#parserFailed(view, flow, state);
    this.#bound(flow, before);
  }

  /** `length` bytes are missing at stream offset `position` and will not come. Continue with `data` behind them. */
  gap(flow: Flow, dir: number, position: number, length: number): void {
    const half = flow.half(dir);
    if (half.parseDone) return;
    const state = this.#state(flow);
    const parser = state.parser;
    if (parser === null) {
      // the beginning of this direction is lost: it cannot be recognised any more
      state.found[dir] = FAILED;
      half.parsed = Math.max(half.parsed, position + length);
      if (state.found[1 - dir] === FAILED) this.#unrecognised(flow);
      return;
    }
    if (parser.gap(flow, dir, position, length)) half.parsed = position + length;
    else {
      flow.uninspected = 'gap';
      this.#stop(flow, state);
    }
  }

  /** The direction was closed (FIN in order, RST, or the flow timed out). */
  end(flow: Flow, dir: number): void {
    const state = flow.parser as AppState | null;
    const half = flow.half(dir);
    if (state === null || state.parser === null) return;
    if (!half.parseDone) state.parser.close(flow, dir);
    half.parsed = half.end;
    half.parseDone = true;
    this.#finish(flow, dir);
  }

  /** Detection has looked at the packet: log what is finished and forget it. */
  settle(view: PacketView | null, flow: Flow): void {
    this.unjudged = false;
    if (this.packetEvents.length > 0) this.packetEvents.length = 0;
    if (flow.transactions.length > 0) this.#log(view, flow);
  }

  /** The flow record is given back: log what was never finished, free everything. */
  release(flow: Flow): void {
    const list = flow.transactions as Transaction[];
    for (const tx of list) {
      this.#logOne(null, flow, tx);
      tx.release();
    }
    list.length = 0;
    const state = flow.parser as AppState | null;
    flow.parser = null;
    if (state === null) return;
    state.reset();
    if (this.#pool.length < STATE_POOL) this.#pool.push(state);
  }

  #state(flow: Flow): AppState {
    const state = flow.parser as AppState | null;
    if (state !== null) return state;
    const fresh = this.#pool.pop() ?? new AppState();
    flow.parser = fresh;
    return fresh;
  }

  #advance(view: PacketView, flow: Flow, state: AppState, dir: number): void {
    if (state.found[dir] === UNKNOWN) this.#detect(view, flow, state, dir);
    if (state.parser === null) {
      this.#checkUndecided(view, flow, state, dir);
      return;
    }
    // the direction that spoke first is read first, as the peers did
    const first = state.fed ? dir : state.firstDir;
    this.#feed(view, flow, state, first);
    if (state.parser !== null) this.#feed(view, flow, state, 1 - first);
    // an answer can release bytes the other direction held back (CONNECT)
    const other = flow.half(1 - dir);
    if (state.parser !== null && !other.parseDone && other.parsed < other.end) this.#feed(view, flow, state, 1 - dir);
    if (state.parser?.encrypted === true) {
      flow.uninspected = 'encrypted';
      this.#stop(flow, state);
      return;
    }
    const upgrade = state.parser?.upgrade;
    if (upgrade !== undefined && upgrade !== '') this.#upgrade(view, flow, state, dir);
  }

  /** Bytes of a direction nobody recognised are kept for a while: the other direction may tell. */
  #checkUndecided(view: PacketView, flow: Flow, state: AppState, dir: number): void {
    const half = flow.half(dir);
    if (flow.app !== UNKNOWN || state.found[dir] !== FAILED || half.end - half.parsed <= UNDECIDED_LIMIT) return;
    if (flow.half(1 - dir).end === 0) this.#raise(view, flow, 'applayer_proto_detection_skipped');
    this.#unrecognised(flow);
  }

  #feed(view: PacketView, flow: Flow, state: AppState, dir: number): void {
    const half = flow.half(dir);
    const parser = state.parser!;
    if (half.parseDone || half.parsed >= half.end || state.found[dir] === UNKNOWN) return;
    if (state.found[dir] === FAILED && !state.onlyOne) {
      state.onlyOne = true;
      this.#raise(view, flow, 'applayer_detect_protocol_only_one_direction');
    }
    state.fed = true;
    this.expectations.aim(view);
    const before = flow.transactions.length;
    flow.frames = this.frames;
    const from = Math.max(half.parsed, half.base);
    const n = parser.data(flow, dir, half.buf, from - half.base, half.len, from);
    if (n < 0) this.#parserFailed(view, flow, state);
    else half.parsed = from + n;
    this.#bound(flow, before);
    this.#settleStopped(flow, state, dir);
    const list = flow.transactions as Transaction[];
    const flushes = flow.app > 0 && this.registry.get(flow.app).keepsPieces !== true;
    let between = half.parsed === half.end;
    for (let i = 0; i < list.length; i++) {
      const { doneToServer, doneToClient } = list[i]!;
      if (doneToServer && flushes) flow.toServer.flushRaw = true;
      if (doneToClient && flushes) flow.toClient.flushRaw = true;
      if (dir === TO_SERVER ? !doneToServer : !doneToClient) between = false;
    }
    // What comes next begins a message of its own, with a depth of its own.
    if (between) half.depthFrom = half.end;
  }

  /**
   * Reassembly has given up a direction (depth, memory): what is open in it is as complete as it gets, and so is whatever
   * the other direction opens from now on. Without this a connection would collect exchanges that nothing ever answers.
   */
  #settleStopped(flow: Flow, state: AppState, dir: number): void {
    const half = flow.half(dir);
    const other = flow.half(1 - dir);
    if (half.stopped && !half.parseDone) {
      state.parser?.close(flow, dir);
      half.parsed = half.end;
      half.parseDone = true;
      this.#finish(flow, dir);
    }
    if (other.stopped || other.parseDone) this.#finish(flow, 1 - dir);
  }

  /** Decide the protocol of one direction, as far as its bytes allow. */
  #detect(view: PacketView, flow: Flow, state: AppState, dir: number): void {
    const half = flow.half(dir);
    const from = Math.max(state.start[dir]!, half.base) - half.base;
    const len = half.len - from;
    if (len <= 0) return;
    if (flow.app === UNKNOWN && !state.sought) {
      state.sought = true;
      const expected = this.expectations.take(view);
      const announcedId = expected === null ? 0 : this.registry.idOf(expected.protocol);
      if (announcedId > 0) {
        state.found.fill(announcedId);
        this.#recognise(flow, state, announcedId, expected!.detail);
        return;
      }
    }
    const id = this.#probe(view, this.#tcp, dir, half.buf, from, half.len, len >= PROBE_LIMIT);
    const other = state.found[1 - dir]!;
    if (id === PROBE_MORE) return;
    state.found[dir] = id;
    if (id > 0) {
      if (other > 0 && other !== id) {
        this.#raise(view, flow, 'applayer_mismatch_protocol_both_directions');
        return; // what the other direction started goes on
      }
      if (other > 0) return;
      const firstDir = this.registry.get(id).firstDir;
      this.#recognise(flow, state, id);
      if (firstDir !== undefined && firstDir !== state.firstDir && !state.fed && !flow.midstream) {
        this.#raise(view, flow, 'applayer_wrong_direction_first_data');
        flow.uninspected = 'unknown-protocol';
        this.#stop(flow, state);
      }
      return;
    }
    if (other === FAILED) this.#unrecognised(flow);
  }

  /**
   * Ask the protocols, those of the server port first. @param last no more bytes will be waited for
   * @returns protocol id, PROBE_MORE, or PROBE_NO
   */
  #probe(view: PacketView, table: ProbeTable, dir: number, buf: Uint8Array, off: number, end: number, last: boolean): number {
    const toServer = view.flowDir === TO_SERVER;
    const here = table.of(toServer ? view.dstPort : view.srcPort, toServer ? view.srcPort : view.dstPort);
    let more = false;
    for (let pass = 0; pass < 2; pass++) {
      for (let left = pass === 0 ? here : table.anywhere & ~here; left !== 0; left &= left - 1) {
        const k = 31 - Math.clz32(left & -left);
        const answer = table.protocols[k]!.probe(buf, off, end, dir, pass === 0);
        if (answer === PROBE_YES) return table.ids[k]!;
        if (answer === PROBE_MORE) more = true;
      }
    }
    return more && !last ? PROBE_MORE : FAILED;
  }

  #recognise(flow: Flow, state: AppState, id: number, announced: object | null = null): void {
    const protocol = this.registry.get(id);
    flow.app = this.registry.idOf(protocol.name);
    flow.appProto = protocol.eveName ?? protocol.name;
    state.parser = protocol.create(flow, this.expectations, announced);
    if (this.observer !== null) state.parser.observe?.(this.observer);
    if (this.inline && protocol.endlessToServer === true) flow.toServer.unlimited = true;
    this.stats.recognised++;
  }

  #unrecognised(flow: Flow): void {
    flow.app = -1;
    flow.appProto = 'failed';
    flow.uninspected = 'unknown-protocol';
    this.stats.unrecognised++;
    giveUp(flow.toServer);
    giveUp(flow.toClient);
  }

  #parserFailed(view: PacketView, flow: Flow, state: AppState): void {
    this.stats.parserErrors++;
    flow.uninspected = 'parser-error';
    if (state.parser?.observe !== undefined) this.observer?.ended(flow, 'parser-error');
    this.#raise(view, flow, 'applayer_parser_error');
    this.#stop(flow, state);
  }

  /** No more parsing on this flow; what was found so far stays. */
  #stop(flow: Flow, state: AppState): void {
    state.parser = null;
    giveUp(flow.toServer);
    giveUp(flow.toClient);
    this.#finish(flow, TO_SERVER);
    this.#finish(flow, TO_CLIENT);
  }

  /** The next bytes of both directions are another protocol: detect from here. */
  #upgrade(view: PacketView, flow: Flow, state: AppState, dir: number): void {
    const client = flow.toServer;
    const server = flow.toClient;
    state.reset();
    state.start[0] = client.parsed;
    state.start[1] = server.parsed;
    flow.app = UNKNOWN;
    const pending = client.parsed < client.end ? TO_SERVER : server.parsed < server.end ? TO_CLIENT : -1;
    if (pending < 0) return;
    state.firstDir = pending;
    this.#advance(view, flow, state, pending);
    if (flow.app >= 0 && pending !== dir && flow.half(dir).parsed < flow.half(dir).end) this.#advance(view, flow, state, dir);
  }

  #raise(view: PacketView, flow: Flow, name: string): void {
    this.packetEvents.push(name);
    this.#output.anomaly(view, flow, 'applayer', name);
  }

  /** Everything open in this direction is as complete as it gets. */
  #finish(flow: Flow, dir: number): void {
    const protocol = flow.app > 0 ? this.registry.get(flow.app) : null;
    const list = flow.transactions as Transaction[];
    for (let i = 0; i < list.length; i++) {
      const tx = list[i]!;
      if (dir === TO_SERVER && !tx.doneToServer) {
        tx.doneToServer = tx.dirtyToServer = true;
        if (protocol !== null) tx.progressToServer = protocol.completeToServer;
      } else if (dir === TO_CLIENT && !tx.doneToClient) {
        tx.doneToClient = tx.dirtyToClient = true;
        if (protocol !== null) tx.progressToClient = protocol.completeToClient;
      }
    }
  }

  #bound(flow: Flow, before: number): void {
    const list = flow.transactions as Transaction[];
    if (list.length > before) this.stats.transactions += list.length - before;
    if (list.length <= TRANSACTION_LIMIT) return;
    const excess = list.length - TRANSACTION_LIMIT;
    for (let i = 0; i < excess; i++) {
      const tx = list[i]!;
      this.stats.evicted++;
      if (tx.dirtyToServer || tx.dirtyToClient) this.unjudged = true;
      if (this.observer !== null && tx instanceof HttpTransaction) this.observer.evicted(flow, tx);
      this.#logOne(null, flow, tx);
      tx.doneToServer = tx.doneToClient = true;
    }
    list.splice(0, excess);
  }

  #log(view: PacketView | null, flow: Flow): void {
    const list = flow.transactions as Transaction[];
    let kept = 0;
    for (let i = 0; i < list.length; i++) {
      const tx = list[i]!;
      if (tx.doneToServer && tx.doneToClient) {
        this.#logOne(view, flow, tx);
        tx.release();
      } else list[kept++] = tx;
    }
    list.length = kept;
  }

  #logFiles(view: PacketView | null, flow: Flow, tx: Transaction): void {
    for (const file of tx.files ?? []) {
      const { total, complete } = file.content;
      if (total === 0) continue;
      const magic = file.magic();
      // Hashing all that is transferred would cost more than all the rest.
      const digest = file.store ? file.digest('sha256') : null;
      const body = {
        filename: printable(file.name, 0, file.name.length),
        ...(magic === null ? {} : { magic: printable(magic, 0, magic.length) }),
        gaps: false,
        state: complete ? 'CLOSED' : 'TRUNCATED',
        ...(digest === null ? {} : { sha256: Buffer.from(digest).toString('hex') }),
        stored: file.store,
        size: total,
        tx_id: tx.id,
      };
      this.#output.transaction(view, flow, { type: 'fileinfo', body, toServer: file.toServer });
    }
  }

  #logOne(view: PacketView | null, flow: Flow, tx: Transaction): void {
    if (tx.logged) return;
    tx.logged = true;
    if (this.files !== null && tx.files !== null) endFiles(this.files, flow, tx);
    if (view !== null && tx.events !== null) for (const name of tx.events) this.#output.anomaly(view, flow, 'applayer', name);
    if (this.#output.logsFiles === true) this.#logFiles(view, flow, tx);
    if (!this.#output.logsTransactions) return;
    const record = tx.record();
    if (record === null) return;
    this.stats.logged++;
    this.#output.transaction(view, flow, record);
  }
}

function giveUp(half: StreamHalf): void {
  half.flushRaw = true;
  half.parsed = half.end;
  half.parseDone = true;
}
