/** SNMP v1, v2c and v3 over UDP (RFC 1157, 3416, 3412): every message is a transaction. */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { printable } from './bytes.js';
import { Der } from './encoding/der.js';
import { Directions, MessageTransaction, bytesBuffer } from './message.js';
import { PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const Tag = { INTEGER: 2, OCTETS: 4, SEQUENCE: 0x30, CONTEXT: 0xa0 } as const;
const SECURITY_MODEL_USM = 3;
const PDU_MAX = 8;
const PDU_NAMES = ['get_request', 'get_next_request', 'response', 'set_request', 'trap_v1', 'get_bulk_request', 'inform_request', 'trap_v2', 'report'];

export class SnmpTransaction extends MessageTransaction {
  /** 1, 2 (v2c) or 3. */
  version = 0;
  community: Uint8Array | null = null;
  /** User name of the user-based security model. */
  usm: Uint8Array | null = null;
  pduType = -1;

  override integer(name: string): number {
    if (name === 'snmp.version') return this.version;
    return name === 'snmp.pdu_type' ? this.pduType : -1;
  }

  override record(): TransactionRecord {
    const body: Record<string, unknown> = { version: this.version };
    if (this.community !== null) body['community'] = printable(this.community, 0, this.community.length);
    if (this.usm !== null) body['usm'] = printable(this.usm, 0, this.usm.length);
    if (this.pduType >= 0) body['pdu_type'] = PDU_NAMES[this.pduType] ?? this.pduType;
    return { type: 'snmp', body, toServer: this.dir === TO_SERVER };
  }
}

/** Version of a message (1, 2, 3), 0 when it is no SNMP. Leaves `body` behind the version. */
function versionOf(body: Der): number {
  if (!body.expect(Tag.INTEGER)) return 0;
  const wire = body.unsigned();
  if (wire === 0) return 1;
  return wire === 1 ? 2 : wire === 3 ? 3 : 0;
}

class SnmpParser implements AppParser {
  #nextId = 0;
  #version = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    const tx = new SnmpTransaction(this.#nextId++, dir);
    flow.transactions.push(tx);
    if (!read(tx, buf, off, end)) tx.addEvent('snmp.malformed_data');
    else if (this.#version !== 0 && tx.version !== this.#version) tx.addEvent('snmp.version_mismatch');
    if (this.#version === 0) this.#version = tx.version;
    return end - off;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // datagrams are whole
  }
}

function read(tx: SnmpTransaction, buf: Uint8Array, off: number, end: number): boolean {
  const outer = new Der(buf, off, end);
  if (!outer.expect(Tag.SEQUENCE)) return false;
  const body = outer.inside();
  tx.version = versionOf(body);
  if (tx.version === 0) return false;
  if (tx.version < 3) {
    if (!body.expect(Tag.OCTETS)) return false;
    tx.community = body.bytes();
    return pdu(tx, body);
  }
  if (!body.expect(Tag.SEQUENCE)) return false;
  const global = body.inside();
  for (let i = 0; i < 3; i++) if (!global.next()) return false; // id, maximum size, flags
  if (!global.expect(Tag.INTEGER)) return false;
  const model = global.unsigned();
  if (!body.expect(Tag.OCTETS)) return false;
  if (model === SECURITY_MODEL_USM) {
    const outerUsm = body.inside();
    if (!outerUsm.expect(Tag.SEQUENCE)) return false;
    const usm = outerUsm.inside();
    for (let i = 0; i < 3; i++) if (!usm.next()) return false; // engine id, boots, time
    if (!usm.expect(Tag.OCTETS)) return false;
    tx.usm = usm.bytes();
  } else tx.addEvent('snmp.unknown_security_model');
  if (!body.next()) return false;
  if (body.tag === Tag.OCTETS) return true; // encrypted
  if (body.tag !== Tag.SEQUENCE) return false;
  const scoped = body.inside();
  return scoped.next() && scoped.next() && pdu(tx, scoped); // context engine id, context name
}

function pdu(tx: SnmpTransaction, der: Der): boolean {
  if (!der.next() || der.tag < Tag.CONTEXT || der.tag > Tag.CONTEXT + PDU_MAX) return false;
  tx.pduType = der.tag - Tag.CONTEXT;
  return true;
}

function probe(buf: Uint8Array, off: number, end: number): number {
  const outer = new Der(buf, off, end);
  if (!outer.expect(Tag.SEQUENCE)) return PROBE_NO;
  const body = outer.inside();
  const version = versionOf(body);
  if (version === 0 || !body.next()) return PROBE_NO;
  return body.tag === (version === 3 ? Tag.SEQUENCE : Tag.OCTETS) ? PROBE_YES : PROBE_NO;
}

export const SNMP_PROTOCOL: AppProtocol = {
  name: 'snmp',
  transports: ['udp'],
  ports: [161, 162],
  portsOnly: true,
  probe,
  create: () => new SnmpParser(),
  buffers: [
    bytesBuffer<SnmpTransaction>('snmp.community', Directions.BOTH, 1, (tx, _dir, index) => (index === 0 ? tx.community : null)),
    bytesBuffer<SnmpTransaction>('snmp.usm', Directions.BOTH, 1, (tx, _dir, index) => (index === 0 ? tx.usm : null)),
  ],
  completeToServer: 1,
  completeToClient: 1,
  events: ['snmp.malformed_data', 'snmp.unknown_security_model', 'snmp.version_mismatch'],
};
