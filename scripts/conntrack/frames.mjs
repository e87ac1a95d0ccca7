/** Frames for the comparison with the kernel: IP packets of captures behind Ethernet headers whose source MAC is their number. */
import { D_LEN, D_LINK_TYPE, D_OFF, D_STRIDE, decode, FrameBatch, internetChecksum, openCapture, PacketView } from '../../dist/src/packet/index.js';

const ETHERNET = 14;

/**
 * Behind an Ethernet header, with a right IPv4 header checksum: captures from a sender's own card hold none, and the kernel
 * throws such packets away before it looks at their connection.
 * @param {Uint8Array} packet from its IP header on
 * @param {number} number of the frame, below 2^32
 */
export function numbered(packet, number) {
  const frame = Buffer.alloc(ETHERNET + packet.length);
  frame.writeUIntBE(0x02ff_0000_0001, 0, 6);
  frame.writeUInt16BE(0x0200, 6);
  frame.writeUInt32BE(number, 8);
  frame.writeUInt16BE(packet[0] >> 4 === 4 ? 0x0800 : 0x86dd, 12);
  frame.set(packet, ETHERNET);
  const header = (packet[0] & 0x0f) << 2;
  if (packet[0] >> 4 === 4 && header >= 20 && header <= packet.length) {
    frame.writeUInt16BE(0, ETHERNET + 10);
    frame.writeUInt16BE(internetChecksum(frame, ETHERNET, header), ETHERNET + 10);
  }
  return frame;
}

/** The IP packets of a capture, outermost header first; what is damaged before IP is left out. */
export function* packetsOf(file) {
  const source = openCapture(file);
  const batch = new FrameBatch();
  const view = new PacketView();
  try {
    for (;;) {
      const n = source.fillBatch(batch);
      if (n === 0) return;
      for (let row = 0; row < n; row++) {
        const d = row * D_STRIDE;
        const off = batch.desc[d + D_OFF];
        decode(view, batch.arena, off, batch.desc[d + D_LEN], batch.desc[d + D_LINK_TYPE]);
        if (view.ipVersion !== 0 && view.l3Off >= 0 && view.ipEnd > view.l3Off) yield batch.arena.slice(view.l3Off, view.ipEnd);
      }
    }
  } finally {
    source.close();
  }
}
