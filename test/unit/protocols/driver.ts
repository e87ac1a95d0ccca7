/** Drives an AppLayer with the bytes of a connection, cut as the test wants, and records what detection would see. */
import { Flow, TO_CLIENT, TO_SERVER } from '../../../src/flow/index.js';
import { PacketView } from '../../../src/packet/packet-view.js';
import type { EventOutput, TransactionRecord } from '../../../src/pipeline/index.js';
import { AppLayer, ByteSlice, ProtocolRegistry, transactionsOf, type ProtocolOptions, type Transaction } from '../../../src/protocols/index.js';

export function bytes(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
}

export function concat(...parts: (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(parts.map(bytes));
}

export class Driver {
  readonly registry: ProtocolRegistry;
  readonly app: AppLayer;
  readonly flow = new Flow();
  readonly view = new PacketView();
  readonly records: TransactionRecord[] = [];
  readonly anomalies: string[] = [];
  /** "name[id.index]" -> last content seen, for every buffer of every transaction. */
  readonly buffers = new Map<string, string>();
  readonly txEvents = new Set<string>();
  readonly serverPort: number;
  /** Buffers are read after every piece; switch off for fuzzing speed. */
  watch = true;

  /** IPv4 addresses of the two ends. */
  client = 0;
  server = 0;

  /** @param shared the application layer of another connection, where the two belong together */
  constructor(serverPort = 80, options: ProtocolOptions = {}, shared: AppLayer | null = null) {
    this.serverPort = serverPort;
    this.registry = new ProtocolRegistry(options);
    const output: EventOutput = {
      logsTransactions: true,
      alert: () => undefined,
      drop: () => undefined,
      transaction: (_view, _flow, record) => void this.records.push(record),
      anomaly: (_view, _flow, _layer, name) => void this.anomalies.push(name),
    };
    this.app = shared ?? new AppLayer(this.registry, output);
    this.app.frames = true;
  }

  #aim(dir: number): void {
    this.view.flowDir = dir;
    this.view.src0 = dir === TO_SERVER ? this.client : this.server;
    this.view.dst0 = dir === TO_SERVER ? this.server : this.client;
    this.view.srcPort = dir === TO_SERVER ? 40000 : this.serverPort;
    this.view.dstPort = dir === TO_SERVER ? this.serverPort : 40000;
  }

  /** Append bytes to a direction of the stream, in pieces of `step` bytes (0 = at once). */
  send(dir: number, data: string | Uint8Array, step = 0): void {
    this.#aim(dir);
    const half = this.flow.half(dir);
    const all = bytes(data);
    const size = step || all.length || 1;
    for (let i = 0; i < all.length; i += size) {
      const piece = all.subarray(i, i + size);
      // as the stream engine does: slide over what was parsed, then append
      const keep = half.end - Math.max(half.parsed, half.base);
      const next = new Uint8Array(keep + piece.length);
      next.set(half.buf.subarray(half.len - keep, half.len));
      next.set(piece, keep);
      half.base = half.end - keep;
      half.buf = next;
      half.len = next.length;
      this.app.data(this.view, this.flow, dir);
      this.look();
      this.app.settle(this.view, this.flow);
    }
  }

  datagram(dir: number, data: string | Uint8Array): void {
    this.#aim(dir);
    this.view.buf = bytes(data);
    this.view.payloadOff = 0;
    this.view.payloadLen = this.view.buf.length;
    this.app.datagram(this.view, this.flow);
    this.look();
    this.app.settle(this.view, this.flow);
  }

  close(): void {
    for (const dir of [TO_SERVER, TO_CLIENT]) {
      this.#aim(dir);
      this.app.end(this.flow, dir);
      this.look();
      this.app.settle(this.view, this.flow);
    }
    this.app.release(this.flow);
  }

  look(): void {
    if (!this.watch || this.flow.app <= 0) return;
    const out = new ByteSlice();
    for (const tx of transactionsOf(this.flow)) {
      for (const name of tx.events ?? []) this.txEvents.add(name);
      for (const spec of this.registry.get(this.flow.app).buffers) {
        for (const dir of [TO_SERVER, TO_CLIENT]) {
          if (!(dir === TO_SERVER ? spec.toServer : spec.toClient)) continue;
          if ((dir === TO_SERVER ? tx.progressToServer : tx.progressToClient) < spec.minProgress) continue;
          for (let index = 0; spec.get(tx, dir, index, out); index++) this.buffers.set(this.#key(spec.name, tx, dir, index), sliceText(out));
        }
      }
    }
  }

  #key(name: string, tx: Transaction, dir: number, index: number): string {
    return `${name}${dir === TO_SERVER ? '>' : '<'}${tx.id}.${index}`;
  }

  /** Buffer content of a transaction, undefined when it never was there. */
  buffer(name: string, dir: number = TO_SERVER, id = 0, index = 0): string | undefined {
    return this.buffers.get(`${name}${dir === TO_SERVER ? '>' : '<'}${id}.${index}`);
  }
}

export function sliceText(slice: ByteSlice): string {
  return Buffer.from(slice.buf.buffer, slice.buf.byteOffset + slice.off, slice.len).toString('latin1');
}
