/**
 * Captures as the traffic of configured ports. A capture has no ports, but a configuration that names its VMs' MAC addresses
 * tells who sent each frame: so a replay with it judges both ends by their policies, exactly as the frames were judged live.
 */
import { D_LEN, D_LINK_TYPE, D_OFF, D_PORT, D_STRIDE, ETHERNET_HEADER_LEN, LinkType, TAG_KEEP, parseMac, type CaptureError, type FrameBatch } from '../packet/index.js';
import { be16, be32 } from '../util/index.js';
import { OUTCOME_DROPPED, PcapPort, type FrameObserver, type JsPort, type PortEnvironment } from '../vswitch/index.js';

export interface MacOwner {
  readonly mac: string;
  readonly port: number;
}

/**
 * Reads a capture. A frame belongs to the port that owns its source MAC; one from a stranger to a known MAC comes in by
 * `outside`; the rest (other link types, strangers among themselves) by the capture's own port, which only listens.
 */
export class CapturePort implements JsPort {
  readonly type = 'capture';
  readonly kind = 'js';
  readonly wakes = false;
  readonly #source: PcapPort;
  readonly #hi: Int32Array;
  readonly #lo: Int32Array;
  readonly #port: Int32Array;
  readonly #outside: number;

  /** @param outside port index, used only when `owners` is not empty */
  constructor(file: string, owners: readonly MacOwner[], outside: number) {
    this.#source = new PcapPort({ read: file });
    const macs = owners.map((o) => parseMac(o.mac));
    this.#hi = Int32Array.from(macs, (m) => m.hi);
    this.#lo = Int32Array.from(macs, (m) => m.lo);
    this.#port = Int32Array.from(owners, (o) => o.port);
    this.#outside = outside;
  }

  open(environment: PortEnvironment): void {
    this.#source.open(environment);
  }

  close(): void {
    this.#source.close();
  }

  get pending(): boolean {
    return this.#source.pending;
  }

  get ended(): boolean {
    return this.#source.ended;
  }

  get lost(): number {
    return this.#source.lost;
  }

  /** Why reading stopped before the end of the file, null otherwise. */
  get error(): CaptureError | null {
    return this.#source.error;
  }

  receive(batch: FrameBatch, index: number, limit: number): number {
    const first = batch.rxCount;
    const count = this.#source.receive(batch, index, limit);
    if (this.#port.length > 0) for (let row = first; row < first + count; row++) this.#assign(batch, row);
    return count;
  }

  #assign(batch: FrameBatch, row: number): void {
    const d = row * D_STRIDE;
    const { desc, arena } = batch;
    if (desc[d + D_LINK_TYPE] !== LinkType.ETHERNET || desc[d + D_LEN]! < ETHERNET_HEADER_LEN) return;
    const at = desc[d + D_OFF]!;
    const from = this.#find(be16(arena, at + 6), be32(arena, at + 8));
    if (from >= 0) desc[d + D_PORT] = from;
    else if (this.#find(be16(arena, at), be32(arena, at + 2)) >= 0) desc[d + D_PORT] = this.#outside;
  }

  #find(hi: number, lo: number): number {
    for (let i = 0; i < this.#port.length; i++) if (this.#lo[i] === lo && this.#hi[i] === hi) return this.#port[i]!;
    return -1;
  }

  send(): number {
    return 0;
  }
}

/** Where a replay's frames go: nowhere. */
export class SinkPort implements JsPort {
  readonly type = 'sink';
  readonly kind = 'js';
  readonly wakes = false;
  readonly pending = false;
  readonly ended = true;
  readonly lost = 0;

  open(): void {
    // There is nothing to open.
  }

  close(): void {
    // Nor to close.
  }

  receive(): number {
    return 0;
  }

  send(): number {
    return 0;
  }
}

/** Writes each frame that was not dropped to a capture file, once, as it was passed on. */
export class PassedFrames implements FrameObserver {
  /** Frames that could not be written: another link type than Ethernet, or a failing disk. */
  failed = 0;
  readonly #out: PcapPort;

  /** @throws the error of open(2) */
  constructor(file: string) {
    this.#out = new PcapPort({ write: file });
    this.#out.open({ wakeFd: -1 });
  }

  ingress(batch: FrameBatch, row: number, _port: number, _vlan: number, outcome: number): void {
    if (outcome !== OUTCOME_DROPPED && this.#out.send(batch, row, TAG_KEEP) !== 0) this.failed++;
  }

  egress(): void {
    // Copies are not written: each frame counts once.
  }

  close(): void {
    this.#out.close();
  }
}
