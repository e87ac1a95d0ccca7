/**
 * What carries the frames of a port. Two kinds: `native` ports are file descriptors that the native loop reads and writes;
 * `js` ports move frames in JavaScript. PortSet treats both alike.
 */
import { MAX_FRAME, type FrameBatch } from '../../packet/index.js';

/** Given to a port when it is opened. */
export interface PortEnvironment {
  /** eventfd that ends a blocking poll, from any thread; -1 when nothing blocks (only ports without `wakes`). */
  readonly wakeFd: number;
}

interface PortBase {
  /** Name of the type in the registry. */
  readonly type: string;
  /** Acquire what the port stands for. @throws with the port's name and the cause */
  open(environment: PortEnvironment): void;
  /** Release it. Safe to call more than once, and on a port that was never opened. */
  close(): void;
}

export interface NativePort extends PortBase {
  readonly kind: 'native';
  /** Valid after open: descriptor (-1: it connects to peerPath by itself), native PORT_ kind, bytes of virtio_net_hdr, MTU, and the interface's own name and MAC. */
  readonly fd: number;
  readonly ioKind: 0 | 1 | 2 | 3;
  /** UNIX sockets (kinds 2 and 3): where the peer is. */
  readonly peerPath?: string;
  readonly vnetHdrLen: number;
  readonly mtu: number;
  readonly interfaceName: string;
  readonly interfaceMac: string;
}

export interface JsPort extends PortBase {
  readonly kind: 'js';
  /** Frames arrive from another thread, which writes to the wakeFd: a poll may block although the port is quiet. */
  readonly wakes: boolean;
  /** A receive now may yield frames. */
  readonly pending: boolean;
  /** No frame will ever come again (end of a capture file). */
  readonly ended: boolean;
  /** Frames lost before they reached the batch (ring full). */
  readonly lost: number;
  /** Append up to `limit` frames to the received rows of the batch, with ingress port `index`. @returns how many */
  receive(batch: FrameBatch, index: number, limit: number): number;
  /** Take the frame of descriptor `row` with tag action `tag`. @returns 0 or a positive errno */
  send(batch: FrameBatch, row: number, tag: number): number;
}

export type Port = NativePort | JsPort;

export const ENODEV = 19;
export const ENOBUFS = 105;
export const EOPNOTSUPP = 95;

/** Arena bytes received frames may still take; the rest of the arena belongs to frames the pipeline builds. */
function receiveRoom(batch: FrameBatch): number {
  return batch.batchSize * MAX_FRAME - batch.arenaUsed;
}

/**
 * Reserve a received row of `len` bytes.
 * @returns the row, or -1 when the batch is full; the bytes start at its D_OFF
 */
export function receiveRow(batch: FrameBatch, len: number, index: number, tsSec: number, tsUsec: number): number {
  if (len > receiveRoom(batch) || batch.rxCount !== batch.descCount) return -1;
  const row = batch.inject(len, index, tsSec, tsUsec);
  if (row >= 0) batch.rxCount = batch.descCount;
  return row;
}
