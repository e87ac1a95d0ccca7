/** EtherNet/IP encapsulation with CIP (ODVA CIP volume 2, chapter 2) over TCP and UDP: every message is a transaction. */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { le16, le32 } from '../util/index.js';
import { MessageTransaction } from './message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const HEADER = 24;
const Command = { NOP: 0, LIST_SERVICES: 4, LIST_IDENTITY: 0x63, LIST_INTERFACES: 0x64, REGISTER: 0x65, UNREGISTER: 0x66, SEND_RR: 0x6f, SEND_UNIT: 0x70, INDICATE_STATUS: 0x72, CANCEL: 0x73 } as const;
const COMMANDS: ReadonlySet<number> = new Set(Object.values(Command));
const Item = { CONNECTED: 0xb1, UNCONNECTED: 0xb2 } as const;
const ITEMS_MAX = 16;
const SERVICES_MAX = 64;
const MULTIPLE_SERVICE = 0x0a;
const RESPONSE_BIT = 0x80;

/** One CIP request: service, and class, attribute of its path (-1 = not in the path). */
export interface CipService {
  readonly service: number;
  readonly classId: number;
  readonly attribute: number;
}

export class EnipTransaction extends MessageTransaction {
  readonly services: CipService[] = [];

  constructor(
    id: number,
    dir: number,
    readonly command: number,
    readonly status: number,
  ) {
    super(id, dir);
  }

  override integer(name: string): number {
    if (name === 'enip.command') return this.command;
    return name === 'enip.status' ? this.status : -1;
  }

  override record(): TransactionRecord {
    const side = this.dir === TO_SERVER ? 'request' : 'response';
    return { type: 'enip', body: { [side]: { command: this.command, status: this.status, services: this.services.map((s) => s.service) } }, toServer: this.dir === TO_SERVER };
  }
}

class EnipParser implements AppParser {
  #nextId = 0;

  constructor(readonly stream: boolean) {}

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    let pos = off;
    while (end - pos >= HEADER) {
      const length = HEADER + le16(buf, pos + 2);
      if (end - pos < length) break;
      const tx = new EnipTransaction(this.#nextId++, dir, le16(buf, pos), le32(buf, pos + 8) >>> 0);
      if (tx.command === Command.SEND_RR || tx.command === Command.SEND_UNIT) items(tx, buf, pos + HEADER, pos + length);
      flow.transactions.push(tx);
      pos += length;
    }
    return this.stream ? pos - off : end - off;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // messages are complete or not there
  }
}

/** Common packet format: the data items hold CIP. */
function items(tx: EnipTransaction, buf: Uint8Array, off: number, end: number): void {
  let pos = off + 6; // interface handle, timeout
  if (pos + 2 > end) return;
  const count = Math.min(ITEMS_MAX, le16(buf, pos));
  pos += 2;
  for (let i = 0; i < count && pos + 4 <= end; i++) {
    const type = le16(buf, pos);
    const stop = pos + 4 + le16(buf, pos + 2);
    if (stop > end) return;
    if (type === Item.UNCONNECTED) cip(tx, buf, pos + 4, stop, 0);
    else if (type === Item.CONNECTED) cip(tx, buf, pos + 6, stop, 0); // sequence count in front
    pos = stop;
  }
}

function cip(tx: EnipTransaction, buf: Uint8Array, off: number, end: number, depth: number): void {
  if (end - off < 2 || tx.services.length >= SERVICES_MAX) return;
  const service = buf[off]!;
  if ((service & RESPONSE_BIT) !== 0) {
    tx.services.push({ service: service & ~RESPONSE_BIT, classId: -1, attribute: -1 });
    return;
  }
  const stop = off + 2 + buf[off + 1]! * 2;
  if (stop > end) return;
  let classId = -1;
  let attribute = -1;
  for (let pos = off + 2; pos + 2 <= stop; ) {
    // logical segments (CIP volume 1, C-1.4.2): 0x20 class, 0x24 instance, 0x30 attribute; the low bit pair gives the width
    const kind = buf[pos]! & 0xfc;
    const wide = (buf[pos]! & 3) === 1;
    if ((buf[pos]! & 0xe0) !== 0x20 || (wide && pos + 4 > stop)) break;
    const value = wide ? le16(buf, pos + 2) : buf[pos + 1]!;
    if (kind === 0x20) classId = value;
    else if (kind === 0x30) attribute = value;
    pos += wide ? 4 : 2;
  }
  tx.services.push({ service, classId, attribute });
  if (service !== MULTIPLE_SERVICE || depth > 0 || stop + 2 > end) return;
  const count = Math.min(SERVICES_MAX, le16(buf, stop));
  for (let i = 0; i < count && stop + 4 + i * 2 <= end; i++) {
    const at = stop + le16(buf, stop + 2 + i * 2);
    if (at < end) cip(tx, buf, at, end, depth + 1);
  }
}

function probe(stream: boolean, buf: Uint8Array, off: number, end: number): number {
  if (end - off < HEADER) return stream && (end - off < 2 || COMMANDS.has(le16(buf, off))) ? PROBE_MORE : PROBE_NO;
  if (!COMMANDS.has(le16(buf, off)) || (le32(buf, off + 20) !== 0 && le16(buf, off) !== Command.NOP)) return PROBE_NO;
  return stream || le16(buf, off + 2) === end - off - HEADER ? PROBE_YES : PROBE_NO;
}

const COMMON = { name: 'enip', ports: [44818], portsOnly: true, buffers: [], completeToServer: 1, completeToClient: 1, events: [] } as const;

export const ENIP_TCP: AppProtocol = { ...COMMON, transports: ['tcp'], probe: (buf, off, end) => probe(true, buf, off, end), create: () => new EnipParser(true) };
export const ENIP_UDP: AppProtocol = { ...COMMON, transports: ['udp'], probe: (buf, off, end) => probe(false, buf, off, end), create: () => new EnipParser(false) };
