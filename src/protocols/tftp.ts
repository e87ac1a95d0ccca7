/** TFTP requests (RFC 1350): the transfer itself runs between other ports. */
import { TO_SERVER, type Expectations, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { printable } from './bytes.js';
import { MessageTransaction } from './message.js';
import { PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const READ = 1;
const WRITE = 2;
/** Longest name or mode taken. */
const WORD_MAX = 512;

export class TftpTransaction extends MessageTransaction {
  constructor(
    id: number,
    dir: number,
    readonly opcode: number,
    readonly file: Uint8Array,
    readonly mode: Uint8Array,
  ) {
    super(id, dir);
  }

  override record(): TransactionRecord {
    const body = {
      packet: this.opcode === READ ? 'read' : 'write',
      file: printable(this.file, 0, this.file.length),
      mode: printable(this.mode, 0, this.mode.length).toLowerCase(),
    };
    return { type: 'tftp', body, toServer: this.dir === TO_SERVER };
  }
}

/** End of the word that starts at `off`: its NUL, or `end`. */
function wordEnd(buf: Uint8Array, off: number, end: number): number {
  let i = off;
  while (i < end && i - off < WORD_MAX && buf[i] !== 0) i++;
  return i;
}

class TftpParser implements AppParser {
  #nextId = 0;

  constructor(readonly expectations: Expectations) {}

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    const opcode = end - off >= 4 ? (buf[off]! << 8) | buf[off + 1]! : 0;
    if (opcode !== READ && opcode !== WRITE) return end - off;
    // RFC 1350 section 4: the answer comes from a port the server picks for this transfer.
    if (dir === TO_SERVER) this.expectations.admit('tftp', 'server', this.expectations.clientPort);
    const file = wordEnd(buf, off + 2, end);
    const mode = wordEnd(buf, file + 1, end);
    flow.transactions.push(new TftpTransaction(this.#nextId++, dir, opcode, buf.slice(off + 2, file), buf.slice(Math.min(end, file + 1), mode)));
    return end - off;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // datagrams are whole
  }
}

function probe(buf: Uint8Array, off: number, end: number, dir: number): number {
  if (dir !== TO_SERVER || end - off < 6 || buf[off] !== 0) return PROBE_NO;
  const opcode = buf[off + 1]!;
  return opcode === READ || opcode === WRITE ? PROBE_YES : PROBE_NO;
}

export const TFTP_PROTOCOL: AppProtocol = {
  name: 'tftp',
  transports: ['udp'],
  ports: [69],
  portsOnly: true,
  probe,
  create: (_flow, expectations) => new TftpParser(expectations),
  buffers: [],
  completeToServer: 1,
  completeToClient: 1,
  events: [],
};
