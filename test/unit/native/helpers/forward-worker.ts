/** Worker thread that joins two ports with an IoLoop until it is told to stop; see live.test.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { IoLoop } from '@drawbridge/native';
import { D_GSO_TYPE, D_PORT, D_STRIDE, FrameBatch, T_STATUS, T_STRIDE } from '../../../../src/packet/frame-batch.js';

export interface ForwardPort {
  fd: number;
  kind: 0 | 1;
  vnetHdrLen: number;
  mtu: number;
  /** T_VLAN of frames sent to this port. */
  tag: number;
}
export interface ForwardData {
  ports: ForwardPort[];
  /** [0] becomes 1 to stop (then wake). */
  stop: SharedArrayBuffer;
}
export interface ForwardReport {
  frames: number;
  /** Frames received as GSO super-frames. */
  gso: number;
  /** errno -> rows that failed with it. */
  failed: Record<number, number>;
}

const data = workerData as ForwardData;
const stop = new Int32Array(data.stop);
const batch = new FrameBatch();
const loop = new IoLoop(batch.arena, batch.desc, batch.tx, batch.batchSize);
for (const [index, p] of data.ports.entries()) loop.addPort(index, p.fd, p.kind, p.vnetHdrLen, p.mtu);
const report: ForwardReport = { frames: 0, gso: 0, failed: {} };
parentPort?.postMessage(loop.wakeFd);
while (Atomics.load(stop, 0) === 0) {
  const n = loop.rx(-1);
  batch.txCount = 0;
  for (let row = 0; row < n; row++) {
    const to = 1 - batch.desc[row * D_STRIDE + D_PORT];
    if (batch.desc[row * D_STRIDE + D_GSO_TYPE] !== 0) report.gso++;
    batch.send(row, to, data.ports[to].tag);
  }
  report.frames += n;
  if (loop.flush(batch.txCount) === 0) continue;
  for (let row = 0; row < batch.txCount; row++) {
    const status = batch.tx[row * T_STRIDE + T_STATUS];
    if (status !== 0) report.failed[status] = (report.failed[status] ?? 0) + 1;
  }
}
loop.close();
parentPort?.postMessage(report);
