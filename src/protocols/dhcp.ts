/** DHCP over UDP (RFC 2131, 2132): every message is a transaction. */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { be32, toHex } from '../util/index.js';
import { MessageTransaction } from './message.js';
import { PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const HEADER = 240;
const MAGIC = 0x63825363;
const Option = { PAD: 0, HOSTNAME: 12, LEASE_TIME: 51, MESSAGE_TYPE: 53, RENEWAL_TIME: 58, REBINDING_TIME: 59, CLIENT_ID: 61, END: 255 } as const;
const TYPES = ['', 'discover', 'offer', 'request', 'decline', 'ack', 'nak', 'release', 'inform'];

export class DhcpTransaction extends MessageTransaction {
  readonly xid: number;
  readonly mac: string;
  readonly assigned: number;
  messageType = -1;
  leaseTime = -1;
  renewalTime = -1;
  rebindingTime = -1;

  constructor(id: number, dir: number, buf: Uint8Array, off: number, end: number) {
    super(id, dir);
    this.xid = be32(buf, off + 4) >>> 0;
    this.assigned = be32(buf, off + 16) >>> 0;
    this.mac = toHex(buf, off + 28, Math.min(6, buf[off + 2]!)).replace(/..(?=.)/g, '$&:');
    this.#options(buf, off + HEADER, end);
  }

  #options(buf: Uint8Array, off: number, end: number): void {
    let pos = off;
    for (;;) {
      if (pos >= end) {
        this.addEvent('dhcp.truncated_options');
        return;
      }
      const code = buf[pos++]!;
      if (code === Option.END) return;
      if (code === Option.PAD) continue;
      const len = pos < end ? buf[pos]! : 0;
      if (pos + 1 + len > end) {
        this.addEvent('dhcp.truncated_options');
        return;
      }
      pos++;
      const fixed = code === Option.LEASE_TIME || code === Option.RENEWAL_TIME || code === Option.REBINDING_TIME ? 4 : 0;
      if (len < fixed || (code === Option.CLIENT_ID && len < 2)) {
        this.addEvent('dhcp.malformed_options');
        return;
      }
      if (code === Option.LEASE_TIME) this.leaseTime = be32(buf, pos) >>> 0;
      else if (code === Option.RENEWAL_TIME) this.renewalTime = be32(buf, pos) >>> 0;
      else if (code === Option.REBINDING_TIME) this.rebindingTime = be32(buf, pos) >>> 0;
      else if (code === Option.MESSAGE_TYPE && len > 0) this.messageType = buf[pos]!;
      pos += len;
    }
  }

  override integer(name: string): number {
    if (name === 'dhcp.leasetime') return this.leaseTime;
    if (name === 'dhcp.renewal_time') return this.renewalTime;
    return name === 'dhcp.rebinding_time' ? this.rebindingTime : -1;
  }

  override record(): TransactionRecord {
    const body: Record<string, unknown> = {
      type: this.dir === TO_SERVER ? 'request' : 'reply',
      id: this.xid,
      client_mac: this.mac,
      assigned_ip: [24, 16, 8, 0].map((shift) => (this.assigned >>> shift) & 255).join('.'),
    };
    if (this.messageType >= 0) body['dhcp_type'] = TYPES[this.messageType] ?? String(this.messageType);
    if (this.leaseTime >= 0) body['lease_time'] = this.leaseTime;
    if (this.renewalTime >= 0) body['renewal_time'] = this.renewalTime;
    if (this.rebindingTime >= 0) body['rebinding_time'] = this.rebindingTime;
    return { type: 'dhcp', body, toServer: this.dir === TO_SERVER };
  }
}

class DhcpParser implements AppParser {
  #nextId = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    if (end - off < HEADER) return -1;
    flow.transactions.push(new DhcpTransaction(this.#nextId++, dir, buf, off, end));
    return end - off;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // datagrams are whole
  }
}

function probe(buf: Uint8Array, off: number, end: number): number {
  return end - off >= HEADER && be32(buf, off + 236) === MAGIC ? PROBE_YES : PROBE_NO;
}

export const DHCP_PROTOCOL: AppProtocol = {
  name: 'dhcp',
  transports: ['udp'],
  ports: [67, 68],
  portsOnly: true,
  probe,
  create: () => new DhcpParser(),
  buffers: [],
  completeToServer: 1,
  completeToClient: 1,
  events: ['dhcp.malformed_options', 'dhcp.truncated_options'],
};
