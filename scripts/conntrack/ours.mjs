/**
 * What Drawbridge's connection tracking says of the same frames, in the letters of kernel.py; M = malformed. FTP and TFTP
 * control connections are parsed, as kernel.py gives them helpers. The clock stands still: neither side sees a timeout.
 */
import { ConnTrack, Defragmenter, DefragResult, Expectations, FlowPool, FlowTable, StreamEngine } from '../../dist/src/flow/index.js';
import { decode, LinkType, PacketView, PROTO_TCP, PROTO_UDP } from '../../dist/src/packet/index.js';
import { CtState } from '../../dist/src/pipeline/index.js';
import { AppLayer, ProtocolRegistry } from '../../dist/src/protocols/index.js';

const LETTERS = { [CtState.UNTRACKED]: 'U', [CtState.NEW]: 'N', [CtState.ESTABLISHED]: 'E', [CtState.RELATED]: 'R', [CtState.INVALID]: 'I' };
const NOW = 1000;
const FTP = 21;
const TFTP = 69;
const nothing = () => undefined;
const SILENT = { alert: nothing, drop: nothing, transaction: nothing, anomaly: nothing, logsTransactions: false };
const registry = new ProtocolRegistry({ ports: {} });

export class Ours {
  #tracker;
  #defrag;
  #pool;
  #streams;
  #app;
  #midstream;
  #view = new PacketView();
  #whole = new PacketView();
  /** Number of the first fragment of each datagram, as the kernel numbers whole datagrams. */
  #first = new Map();
  /** By frame number: state letter. */
  states = new Map();

  /** @param {{loose: boolean}} options as nf_conntrack_tcp_loose */
  constructor(options) {
    this.#midstream = options.loose ? 'loose' : 'off';
    this.forget();
  }

  forget() {
    const table = new FlowTable({ capacity: 32_768, seed: 1 });
    const expectations = new Expectations();
    this.#tracker = new ConnTrack(table, { strict: true, midstream: this.#midstream, expectations });
    this.#pool = new FlowPool(table, 4096);
    this.#app = new AppLayer(registry, SILENT, expectations);
    const sink = { data: (view, flow, dir) => this.#app.data(view, flow, dir), gap: nothing, end: nothing };
    this.#streams = new StreamEngine(table, this.#tracker.events, sink, { inline: true });
    this.#defrag = new Defragmenter({ seed: 1 });
    this.#first.clear();
  }

  frame(bytes, number) {
    const view = this.#view;
    decode(view, bytes, 0, bytes.length, LinkType.ETHERNET);
    view.ingress = 0;
    view.egress = -1;
    view.tsSec = NOW;
    view.reason = 0;
    if (view.malformed !== 0) {
      this.states.set(number, 'M');
      return;
    }
    if (!view.fragment) {
      this.#judge(view, number);
      return;
    }
    const key = [view.src0, view.src3, view.dst0, view.dst3, view.ipId].join();
    if (view.fragOff === 0) this.#first.set(key, number);
    if (this.#defrag.add(view, this.#whole) === DefragResult.COMPLETE) this.#judge(this.#whole, this.#first.get(key));
  }

  #judge(view, number) {
    const state = this.#tracker.lookup(view);
    this.states.set(number, LETTERS[state]);
    if (state === CtState.INVALID) return;
    if (state !== CtState.ESTABLISHED && view.flowId < 0) this.#tracker.commit(view);
    const control = (port) => view.srcPort === port || view.dstPort === port;
    if (view.proto === PROTO_TCP && control(FTP)) {
      const flow = this.#pool.attach(view);
      if (flow !== null) this.#streams.segment(view, flow);
    } else if (view.proto === PROTO_UDP && control(TFTP)) {
      const flow = this.#pool.attach(view);
      if (flow !== null) this.#app.datagram(view, flow);
    }
  }
}
