/**
 * Passive port: sees a copy of the traffic of an interface (a mirror port, an optical tap) through libpcap, and can answer
 * it with TCP resets or ICMP errors. Three parts: a capture process (mirror-capture.ts) with the packages `cap` and
 * `raw-socket`, a bridge thread (mirror-bridge.ts), and this end, which takes frames out of a bounded shared ring. Frames
 * that find the ring full are counted in `lost`.
 */
import { Worker } from 'node:worker_threads';
import { D_LINK_TYPE, D_OFF, D_STRIDE, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PacketView, TCP_RST, decodeBatchRow, isIcmpError, isIcmpv6Error, type FrameBatch } from '../../packet/index.js';
import { SpscRing, le32 } from '../../util/index.js';
import {
  C_ERROR_LEN,
  C_LOST,
  C_RESPONSES,
  C_STATE,
  CONTROL_CELLS,
  ERROR_BYTES,
  KIND_FRAME,
  MAX_RECORD,
  RECORD_HEADER,
  STATE_FAILED,
  STATE_RUNNING,
  STATE_STARTING,
  type BridgeData,
} from './mirror-protocol.js';
import { ENOBUFS, EOPNOTSUPP, receiveRow, type JsPort, type PortEnvironment } from './port.js';

export const MIRROR_RING_DEFAULT = 8 * 1024 * 1024;

export interface MirrorPortOptions {
  /** Interface to listen on. */
  readonly interface: string;
  /** Filter in libpcap's language. Default none. */
  readonly filter?: string;
  /** Bytes of the ring between capture and data plane, a power of two. Default 8 MiB. */
  readonly ringBytes?: number;
  /** Send the resets and ICMP errors of reject verdicts. Default false. */
  readonly activeResponse?: boolean;
}

/** Responses on their way; more are refused with ENOBUFS. */
const MAX_RESPONSES = 1024;
const START_TIMEOUT_MS = 10_000;

export class MirrorPort implements JsPort {
  readonly type = 'mirror';
  readonly kind = 'js';
  readonly wakes = true;
  private readonly options: MirrorPortOptions;
  private readonly ring: SpscRing;
  private readonly control: Int32Array;
  private readonly errorText: Uint8Array;
  private readonly record = new Uint8Array(RECORD_HEADER + MAX_RECORD);
  /** Length of the record that was taken from the ring and did not fit the last batch, 0 = none. */
  private held = 0;
  private readonly view = new PacketView();
  private bridge: Worker | null = null;

  /** @throws RangeError for a ring size that is no power of two, or too small for a frame */
  constructor(options: MirrorPortOptions) {
    this.options = options;
    this.ring = new SpscRing(options.ringBytes ?? MIRROR_RING_DEFAULT);
    if (this.ring.capacity < 4 * MAX_RECORD) throw new RangeError(`ringBytes must be at least ${4 * MAX_RECORD}`);
    const shared = new SharedArrayBuffer(CONTROL_CELLS * 4 + ERROR_BYTES);
    this.control = new Int32Array(shared, 0, CONTROL_CELLS);
    this.errorText = new Uint8Array(shared, CONTROL_CELLS * 4, ERROR_BYTES);
  }

  /** Starts capturing; waits until it runs. @throws Error naming the interface and the cause: no such device, no permission, package missing */
  open(environment: PortEnvironment): void {
    const { interface: interfaceName, filter = '', activeResponse = false } = this.options;
    const workerData: BridgeData = {
      interfaceName,
      filter,
      activeResponse,
      ring: this.ring.buffer,
      control: this.control.buffer as SharedArrayBuffer,
      wakeFd: environment.wakeFd,
    };
    this.bridge = new Worker(new URL('mirror-bridge.js', import.meta.url), { workerData });
    // An end it did not report itself shows in `ended`; an unhandled event would end the process.
    this.bridge.on('error', (error) => this.fail(error.message));
    this.bridge.unref();
    Atomics.wait(this.control, C_STATE, STATE_STARTING, START_TIMEOUT_MS);
    if (Atomics.load(this.control, C_STATE) === STATE_RUNNING) return;
    const why = this.error ?? `no answer within ${START_TIMEOUT_MS} ms`;
    this.close();
    throw new Error(`mirror of ${interfaceName}: ${why}`);
  }

  private fail(text: string): void {
    const bytes = Buffer.from(text).subarray(0, ERROR_BYTES);
    this.errorText.set(bytes);
    Atomics.store(this.control, C_ERROR_LEN, bytes.length);
    Atomics.store(this.control, C_STATE, STATE_FAILED);
  }

  close(): void {
    this.bridge?.postMessage(null);
    this.bridge = null;
  }

  /** Why capturing failed or ended, null while it runs. */
  get error(): string | null {
    if (Atomics.load(this.control, C_STATE) !== STATE_FAILED) return null;
    return Buffer.from(this.errorText.slice(0, Atomics.load(this.control, C_ERROR_LEN))).toString();
  }

  get pending(): boolean {
    return this.held > 0 || this.ring.used > 0;
  }

  get ended(): boolean {
    return Atomics.load(this.control, C_STATE) === STATE_FAILED && !this.pending;
  }

  get lost(): number {
    return Atomics.load(this.control, C_LOST) >>> 0;
  }

  receive(batch: FrameBatch, index: number, limit: number): number {
    const record = this.record;
    let count = 0;
    while (count < limit) {
      const len = this.held > 0 ? this.held : this.ring.pop(record, 0);
      if (len < 0) break;
      const row = receiveRow(batch, len - RECORD_HEADER, index, le32(record, 8), le32(record, 12));
      if (row < 0) {
        this.held = len;
        break;
      }
      this.held = 0;
      const d = row * D_STRIDE;
      batch.arena.set(record.subarray(RECORD_HEADER, len), batch.desc[d + D_OFF]!);
      batch.desc[d + D_LINK_TYPE] = le32(record, 0) - KIND_FRAME;
      count++;
    }
    return count;
  }

  /** Only answers leave a passive port: TCP resets and ICMP errors, as IP packets routed by the host. */
  send(batch: FrameBatch, row: number, _tag: number): number {
    if (this.bridge === null || this.options.activeResponse !== true) return EOPNOTSUPP;
    const view = this.view;
    decodeBatchRow(view, batch, row);
    if (!isAnswer(view)) return EOPNOTSUPP;
    if (Atomics.load(this.control, C_RESPONSES) >= MAX_RESPONSES) return ENOBUFS;
    Atomics.add(this.control, C_RESPONSES, 1);
    this.bridge.postMessage(batch.arena.slice(view.l3Off, view.ipEnd));
    return 0;
  }
}

function isAnswer(view: PacketView): boolean {
  if (view.ipVersion === 0 || view.l4Off < 0 || view.fragment) return false;
  if (view.proto === PROTO_TCP) return (view.tcpFlags & TCP_RST) !== 0;
  if (view.proto === PROTO_ICMP) return isIcmpError(view.icmpType);
  return view.proto === PROTO_ICMPV6 && isIcmpv6Error(view.icmpType);
}
