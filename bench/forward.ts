/**
 * The floor of our I/O: two ports, every frame of one sent out of the other, no inspection, one thread. What a full
 * pipeline adds is measured against this.
 *
 *   node dist/bench/forward.js --tap A --tap B [--no-offloads]
 *   node dist/bench/forward.js --packet A --packet B      existing interfaces, by AF_PACKET
 *
 * Prints READY when it forwards. Comparable to a C loop of read() and write() with vnet headers.
 */
import { parseArgs } from 'node:util';
import { IoLoop, openPacket, openTap, PORT_PACKET, PORT_TAP } from '@drawbridge/native';
import { D_PORT, D_STRIDE, FrameBatch } from '../src/packet/frame-batch.js';

const { values } = parseArgs({
  options: {
    tap: { type: 'string', multiple: true, default: [] },
    packet: { type: 'string', multiple: true, default: [] },
    'no-offloads': { type: 'boolean', default: false },
  },
});
const offloads = !values['no-offloads'];
if (values.tap.length + values.packet.length !== 2) {
  console.error('usage: forward (--tap NAME | --packet NAME) twice [--no-offloads]');
  process.exit(2);
}

const batch = new FrameBatch();
const loop = new IoLoop(batch.arena, batch.desc, batch.tx, batch.batchSize);
let index = 0;
for (const name of values.tap) {
  const port = openTap(name, { offloads });
  loop.addPort(index++, port.fd, PORT_TAP, port.vnetHdrLen, port.mtu);
}
for (const name of values.packet) {
  const port = openPacket(name, { offloads });
  loop.addPort(index++, port.fd, PORT_PACKET, port.vnetHdrLen, port.mtu);
}
console.log('READY');
for (;;) {
  const frames = loop.rx(-1);
  batch.txCount = 0;
  for (let row = 0; row < frames; row++) batch.send(row, 1 - batch.desc[row * D_STRIDE + D_PORT]);
  loop.flush(batch.txCount);
}
