/** Telnet (RFC 854): text and command sequences of each direction, line by line. Its only buffers are frames. */
import { type Flow } from '../flow/index.js';
import { FrameTransaction, frameBuffer } from './message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const IAC = 255;
const SB = 250;
const SE = 240;
const WILL = 251;
const LF = 10;
/** Longest line or subnegotiation kept in one piece. */
const LINE_MAX = 4096;

class TelnetParser implements AppParser {
  #nextId = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (pos < end) {
      const control = buf[pos] === IAC;
      const n = control ? commandLength(buf, pos, end) : lineLength(buf, pos, end);
      if (n === 0) break;
      if (flow.frames) {
        const unit = buf.slice(pos, pos + n);
        flow.transactions.push(new FrameTransaction(this.#nextId++, dir, control ? { pdu: unit, ctl: unit } : { pdu: unit, data: unit }));
      }
      pos += n;
    }
    return pos - off;
  }

  gap(): boolean {
    return true;
  }

  close(): void {
    // an unfinished line is not looked at
  }
}

/** Bytes up to the line end or the next command, 0 when neither is there yet. */
function lineLength(buf: Uint8Array, off: number, end: number): number {
  const stop = Math.min(end, off + LINE_MAX);
  for (let i = off; i < stop; i++) {
    if (buf[i] === LF) return i + 1 - off;
    if (buf[i] === IAC) return i - off;
  }
  return stop - off === LINE_MAX ? LINE_MAX : 0;
}

/** Length of a command sequence, 0 when it is not complete. */
function commandLength(buf: Uint8Array, off: number, end: number): number {
  if (end - off < 2) return 0;
  const command = buf[off + 1]!;
  if (command === SB) {
    const stop = Math.min(end, off + LINE_MAX);
    for (let i = off + 2; i + 1 < stop; i++) if (buf[i] === IAC && buf[i + 1] === SE) return i + 2 - off;
    return stop - off === LINE_MAX ? LINE_MAX : 0;
  }
  if (command >= WILL && command < IAC) return end - off >= 3 ? 3 : 0;
  return 2;
}

/** Servers and clients open with option negotiation. */
function probe(buf: Uint8Array, off: number, end: number, _dir: number, onPort: boolean): number {
  if (buf[off] !== IAC) return onPort && isText(buf, off, end) ? PROBE_YES : PROBE_NO;
  if (end - off < 2) return PROBE_MORE;
  return buf[off + 1]! >= SB && buf[off + 1]! < IAC ? PROBE_YES : PROBE_NO;
}

function isText(buf: Uint8Array, off: number, end: number): boolean {
  for (let i = off; i < end && i < off + 32; i++) if (buf[i]! > 126 || (buf[i]! < 32 && (buf[i]! < 7 || buf[i]! > 13) && buf[i] !== 27 && buf[i] !== 0)) return false;
  return true;
}

export const TELNET_PROTOCOL: AppProtocol = {
  name: 'telnet',
  transports: ['tcp'],
  ports: [23],
  portsOnly: true,
  probe,
  create: () => new TelnetParser(),
  buffers: [frameBuffer('telnet', 'pdu'), frameBuffer('telnet', 'data'), frameBuffer('telnet', 'ctl')],
  completeToServer: 1,
  completeToClient: 1,
  events: [],
};
