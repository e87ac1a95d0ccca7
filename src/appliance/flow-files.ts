/** Files of flows on their way from the data plane to the verdict path: bounded by what the main thread has not judged yet. */
import type { FlowFile, FlowOrigin } from '../file-events/index.js';
import { formatIp } from '../packet/index.js';
import type { FlowSummary } from './events/eve.js';
import { ipProtocolName } from './events/ip-protocol-name.js';

/** A file with the flow that carried it. */
export interface FlowFileMessage {
  readonly type: 'file';
  readonly file: FlowFile;
  readonly origin: FlowOrigin;
  /** Addresses of client and server as words. */
  readonly src: FlowSummary['src'];
  readonly dst: FlowSummary['dst'];
}

/** Cells shared by both threads. */
const KIB = 0;
const FILES = 1;
const DROPPED = 2;
/** Files that wait to be judged, without their bytes counted. */
const MAX_WAITING = 4096;

export class FlowFileWindow {
  readonly #cells: Int32Array;
  readonly #maxKib: number;

  /** @param shared made by `FlowFileWindow.shared`; @param maxBytes held between the threads */
  constructor(shared: SharedArrayBuffer, maxBytes: number) {
    this.#cells = new Int32Array(shared);
    this.#maxKib = maxBytes / 1024;
  }

  static shared(): SharedArrayBuffer {
    return new SharedArrayBuffer(12);
  }

  /** Files not judged because too many were waiting. */
  get dropped(): number {
    return Atomics.load(this.#cells, DROPPED);
  }

  /** @returns false when the file must be dropped; it is counted then */
  enter(file: FlowFile): boolean {
    const kib = kibOf(file);
    if (Atomics.load(this.#cells, KIB) + kib > this.#maxKib || Atomics.load(this.#cells, FILES) >= MAX_WAITING) {
      Atomics.add(this.#cells, DROPPED, 1);
      return false;
    }
    Atomics.add(this.#cells, KIB, kib);
    Atomics.add(this.#cells, FILES, 1);
    return true;
  }

  /** It was judged. @param kib from `kibOf`, before its bytes went elsewhere */
  leave(kib: number): void {
    Atomics.sub(this.#cells, KIB, kib);
    Atomics.sub(this.#cells, FILES, 1);
  }
}

export function kibOf(file: FlowFile): number {
  return Math.ceil((file.bytes?.length ?? 0) / 1024);
}

export function originOf(f: FlowSummary): FlowOrigin {
  return {
    flow_id: f.eveId,
    src_ip: formatIp(f.ipVersion, ...f.src),
    src_port: f.srcPort,
    dest_ip: formatIp(f.ipVersion, ...f.dst),
    dest_port: f.dstPort,
    proto: ipProtocolName(f.proto),
    app_proto: f.appProto,
    src_vm: f.srcVm,
    dest_vm: f.dstVm,
  };
}
