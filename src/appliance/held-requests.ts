/**
 * `web.hold: request`: packets of a request that is not complete yet wait here, so that its server sees nothing of it before it
 * has been judged as a whole. What waits is let go in order in front of the packet that completes the request. The client's
 * system repeats what nobody acknowledges: that is the clock, and a client that repeats itself after `timeoutMs` gets through
 * piece by piece as without holding. Packets that wait count as consumed; those sent on later as injected.
 */
import { TO_SERVER, type Flow } from '../flow/index.js';
import { D_CSUM_OFF, D_LINK_TYPE, D_OFF, D_STRIDE, D_VNET_FLAGS, type FrameBatch, type PacketView } from '../packet/index.js';
import type { WebStage } from '../web/index.js';

/** A packet that waits: its bytes, its offloads, and the way it was to leave by. */
interface HeldFrame {
  readonly bytes: Uint8Array;
  /** Columns D_VNET_FLAGS to D_CSUM_OFF of its descriptor. */
  readonly offloads: Int32Array;
  readonly linkType: number;
  readonly ingress: number;
  readonly egress: number;
  readonly tag: number;
}

/** What waits of one flow. */
class Waiting {
  readonly frames: HeldFrame[] = [];
  bytes = 0;
  sinceMs = 0;
}

export interface HoldOptions {
  /** Bytes that wait of one request, and of all. */
  readonly requestBytes: number;
  readonly memcap: number;
  readonly timeoutMs: number;
}

export class HeldRequests {
  /** Bytes waiting now. */
  bytes = 0;
  readonly #o: HoldOptions;
  readonly #batch: FrameBatch;
  readonly #stage: WebStage;
  readonly #flows = new Map<number, Waiting>();

  constructor(options: HoldOptions, batch: FrameBatch, stage: WebStage) {
    this.#o = options;
    this.#batch = batch;
    this.#stage = stage;
  }

  /**
   * A packet that may pass: keep it, or let go of what waits before it.
   * @returns true when it waits here now, or repeats what does
   */
  keep(view: PacketView, flow: Flow): boolean {
    if (view.flowDir !== TO_SERVER) return false;
    const waiting = this.#flows.get(flow.id);
    const open = this.#stage.requestOpen(flow, this.#o.requestBytes);
    if (waiting === undefined) return open && view.payloadLen > 0 && this.#start(view, flow);
    if (open) {
      // Acknowledgements of what the server sends need not wait.
      if (view.payloadLen === 0) return false;
      const repeated = this.#stage.repeats(view, flow);
      if (!repeated && this.#add(waiting, view)) return true;
      if (repeated && millis(view) - waiting.sinceMs < this.#o.timeoutMs) return true;
      this.#stage.stopHolding(flow);
    }
    this.#release(flow, waiting, view);
    return false;
  }

  /** The flow was condemned or is over. */
  discard(flow: Flow): void {
    const waiting = this.#flows.get(flow.id);
    if (waiting !== undefined) this.#forget(flow, waiting);
  }

  #start(view: PacketView, flow: Flow): boolean {
    const waiting = new Waiting();
    waiting.sinceMs = millis(view);
    if (!this.#add(waiting, view)) {
      this.#stage.stopHolding(flow);
      return false;
    }
    this.#flows.set(flow.id, waiting);
    this.#stage.holds(flow);
    return true;
  }

  #add(waiting: Waiting, view: PacketView): boolean {
    const len = view.end - view.off;
    // A rewritten packet has checksums to be finished on its way out, one of many ways has many tags.
    if (view.modified || view.egress < 0 || view.desc < 0 || waiting.bytes + len > this.#o.requestBytes || this.bytes + len > this.#o.memcap) return false;
    const d = view.desc * D_STRIDE;
    const { desc } = this.#batch;
    waiting.frames.push({
      bytes: view.buf.slice(view.off, view.end),
      offloads: desc.slice(d + D_VNET_FLAGS, d + D_CSUM_OFF + 1),
      linkType: desc[d + D_LINK_TYPE]!,
      ingress: view.ingress,
      egress: view.egress,
      tag: view.egressTag,
    });
    waiting.bytes += len;
    this.bytes += len;
    return true;
  }

  #release(flow: Flow, waiting: Waiting, view: PacketView): void {
    const batch = this.#batch;
    for (const frame of waiting.frames) {
      const row = batch.inject(frame.bytes.length, frame.ingress, view.tsSec, view.tsUsec);
      // Without room the client's repetition takes its place.
      if (row < 0) break;
      const d = row * D_STRIDE;
      batch.arena.set(frame.bytes, batch.desc[d + D_OFF]);
      batch.desc.set(frame.offloads, d + D_VNET_FLAGS);
      batch.desc[d + D_LINK_TYPE] = frame.linkType;
      batch.send(row, frame.egress, frame.tag);
    }
    this.#forget(flow, waiting);
  }

  #forget(flow: Flow, waiting: Waiting): void {
    this.bytes -= waiting.bytes;
    this.#flows.delete(flow.id);
    this.#stage.released(flow);
  }
}

function millis(view: PacketView): number {
  return view.tsSec * 1000 + Math.floor(view.tsUsec / 1000);
}
