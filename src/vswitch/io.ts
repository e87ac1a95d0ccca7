/**
 * PortSet: many ports, one batch. Native ports are polled by one native loop, JavaScript ports one after another; both fill
 * the same rows and take the same transmit rows. Waiting happens only in the native loop, so that a set of JavaScript
 * ports without a waker never blocks.
 */
import { T_DESC, T_PORT, T_STATUS, T_STRIDE, T_VLAN, type FrameBatch } from '../packet/index.js';
import { loadNative, type NativeLoop } from './native.js';
import { ENODEV, type JsPort, type NativePort, type Port } from './ports/port.js';
import type { FrameOutput } from './switch-types.js';

export class PortSet implements FrameOutput {
  private readonly batch: FrameBatch;
  private readonly ports: (Port | undefined)[] = [];
  /** JavaScript ports and their indexes, in polling order. */
  private js: JsPort[] = [];
  private jsIndex: number[] = [];
  private loop: NativeLoop | null = null;
  /** JavaScript port that is polled first; moves on so that none starves another. */
  private turn = 0;

  constructor(batch: FrameBatch) {
    this.batch = batch;
  }

  /** Open a port and put it in service under `index`. @throws what opening throws; the set is unchanged then */
  add(index: number, port: Port): void {
    if (this.ports[index] !== undefined) throw new RangeError(`port index ${index} is taken`);
    if (port.kind === 'native' || port.wakes) this.needLoop();
    port.open({ wakeFd: this.wakeFd });
    if (port.kind === 'native') this.addNative(index, port);
    this.ports[index] = port;
    this.refreshJs();
  }

  private addNative(index: number, port: NativePort): void {
    try {
      if (port.ioKind === 2 || port.ioKind === 3) this.loop!.addUnixPort(index, port.fd, port.ioKind, port.peerPath ?? '', port.mtu);
      else this.loop!.addPort(index, port.fd, port.ioKind, port.vnetHdrLen, port.mtu);
    } catch (error) {
      port.close();
      throw error;
    }
  }

  /** Take a port out of service and close it. Rows of the current batch must be done with. */
  remove(index: number): void {
    const port = this.ports[index];
    if (port === undefined) return;
    if (port.kind === 'native') this.loop!.removePort(index);
    this.ports[index] = undefined;
    this.refreshJs();
    port.close();
  }

  get(index: number): Port | undefined {
    return this.ports[index];
  }

  /** eventfd that ends a blocking poll (native `wakeFd`), -1 while no port needs one. */
  get wakeFd(): number {
    return this.loop === null ? -1 : this.loop.wakeFd;
  }

  /** Let `poll` block and be woken even while all ports are JavaScript ones. @returns the eventfd */
  needLoop(): number {
    const { arena, desc, tx, batchSize } = this.batch;
    this.loop ??= new (loadNative().IoLoop)(arena, desc, tx, batchSize);
    return this.loop.wakeFd;
  }

  /** Every port is a JavaScript one and has delivered its last frame. */
  get ended(): boolean {
    return this.js.length === this.ports.filter((port) => port !== undefined).length && this.js.every((port) => port.ended);
  }

  /** errno of the last failed receive of a native port, 0 if none: 5, 19, 100 mean the device is gone or down, 107 that no peer is connected. */
  portError(index: number): number {
    return this.ports[index]?.kind === 'native' ? this.loop!.portError(index) : 0;
  }

  private refreshJs(): void {
    this.js = [];
    this.jsIndex = [];
    for (const [index, port] of this.ports.entries()) {
      if (port === undefined || port.kind !== 'js') continue;
      this.js.push(port);
      this.jsIndex.push(index);
    }
    this.turn = 0;
  }

  /**
   * Fill the batch with received frames.
   * @param timeoutMs how long to wait for a first frame: 0 not at all, -1 for ever. Without a native loop: not at all
   * @returns frames received
   */
  poll(timeoutMs: number): number {
    const batch = this.batch;
    batch.reset();
    if (this.loop !== null) {
      const received = this.loop.rx(this.anyPending() ? 0 : timeoutMs);
      batch.rxCount = received;
      batch.descCount = received;
      batch.arenaUsed = this.loop.arenaUsed;
    }
    if (this.js.length > 0) this.pollJs();
    return batch.rxCount;
  }

  /** JavaScript ports share what the native ones left of the batch, and have a quarter of it in any case. */
  private pollJs(): void {
    const batch = this.batch;
    const count = this.js.length;
    let left = Math.max(batch.batchSize - batch.rxCount, batch.batchSize >> 2);
    if (++this.turn >= count) this.turn = 0;
    for (let i = 0; i < count && left > 0; i++) {
      let at = this.turn + i;
      if (at >= count) at -= count;
      const port = this.js[at]!;
      if (!port.pending) continue;
      const share = Math.max(1, Math.ceil(left / (count - i)));
      left -= port.receive(batch, this.jsIndex[at]!, share);
    }
  }

  private anyPending(): boolean {
    for (let i = 0; i < this.js.length; i++) if (this.js[i]!.pending) return true;
    return false;
  }

  /** Send the first `count` transmit rows and write their T_STATUS. @returns rows that failed */
  flush(count: number): number {
    const tx = this.batch.tx;
    let failed = this.loop === null ? 0 : this.loop.flush(count);
    if (this.loop !== null && this.js.length === 0) return failed;
    failed = 0;
    for (let i = 0; i < count; i++) {
      const t = i * T_STRIDE;
      const port = this.ports[tx[t + T_PORT]!];
      // The native loop has answered for its own rows, and ENODEV for those it does not know.
      if (port === undefined) tx[t + T_STATUS] = ENODEV;
      else if (port.kind === 'js') tx[t + T_STATUS] = port.send(this.batch, tx[t + T_DESC]!, tx[t + T_VLAN]!);
      if (tx[t + T_STATUS] !== 0) failed++;
    }
    return failed;
  }

  /** Close all ports and the loop. */
  close(): void {
    for (const index of this.ports.keys()) this.remove(index);
    this.loop?.close();
    this.loop = null;
  }
}


