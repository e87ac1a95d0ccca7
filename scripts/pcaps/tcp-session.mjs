/** A whole TCP session as two well-behaved hosts on one segment would have it: handshake, data with acknowledgements, FIN. */
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_SYN } from '../../dist/src/packet/index.js';

const WINDOW = 64_240;
export const MSS = 1460;
/** Microseconds: one way on the wire, and until a host answers. */
const WIRE = 120;
const THINK = 700;
const NOTHING = new Uint8Array(0);

/** Initial sequence number: any will do, but it must be the same in every run. */
function initialSequence(port, salt) {
  return (Math.imul(port + salt, 0x9e3779b1) >>> 0) || 1;
}

/**
 * @param {import('./capture.mjs').Capture} capture
 * @param {{client: object, server: object, clientPort: number, serverPort: number, segment?: number}} ends
 *   `segment`: most bytes of data in one segment, default the MSS
 * @param {{from: 'client'|'server', data: Uint8Array}[]} steps who says what, in turn
 */
export function tcpSession(capture, ends, steps) {
  const segment = ends.segment ?? MSS;
  const sides = {
    client: { host: ends.client, port: ends.clientPort, seq: initialSequence(ends.clientPort, 1), peer: 'server' },
    server: { host: ends.server, port: ends.serverPort, seq: initialSequence(ends.clientPort, 2), peer: 'client' },
  };
  const send = (side, flags, data = NOTHING, mss = 0) => {
    const peer = sides[side.peer];
    const ack = (flags & TCP_ACK) === 0 ? 0 : peer.seq;
    capture.tcp(side.host, side.port, peer.host, peer.port, side.seq, ack, flags, WINDOW, data, mss);
    side.seq = (side.seq + data.length + ((flags & (TCP_SYN | TCP_FIN)) === 0 ? 0 : 1)) >>> 0;
    capture.wait(WIRE);
  };
  const { client, server } = sides;

  send(client, TCP_SYN, NOTHING, MSS);
  send(server, TCP_SYN | TCP_ACK, NOTHING, MSS);
  send(client, TCP_ACK);

  for (const { from, data } of steps) {
    const sender = sides[from];
    const receiver = sides[sender.peer];
    capture.wait(THINK);
    let unacknowledged = 0;
    for (let at = 0; at < data.length; at += segment) {
      const end = Math.min(data.length, at + segment);
      send(sender, end === data.length ? TCP_ACK | TCP_PSH : TCP_ACK, data.subarray(at, end));
      // RFC 9293 section 3.8.6.3: at least every second segment is acknowledged.
      if (++unacknowledged === 2 || end === data.length) {
        send(receiver, TCP_ACK);
        unacknowledged = 0;
      }
    }
  }

  capture.wait(THINK);
  send(client, TCP_ACK | TCP_FIN);
  send(server, TCP_ACK | TCP_FIN);
  send(client, TCP_ACK);
}
