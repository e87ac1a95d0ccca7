/**
 * DNS over UDP and TCP (RFC 1035, 7766). Every message is a transaction of its own, as in Suricata 7.
 * Progress: 0 nothing, 1 message parsed (complete).
 */
import type { Flow } from '../../flow/index.js';
import { TO_SERVER } from '../../flow/index.js';
import type { TransactionRecord } from '../../pipeline/index.js';
import { printable } from '../bytes.js';
import { MessageTransaction } from '../message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from '../parser.js';
import { type Transaction, type BufferSpec, type ByteSlice } from '../transaction.js';
import { DnsMessage, NameFlag, type ResourceRecord } from './message.js';
import { rcodeName, rdataText, typeName } from './names.js';

const QR = 0x8000;
const Z = 0x0040;

export class DnsTransaction extends MessageTransaction {
  readonly message: DnsMessage;
  constructor(id: number, dir: number, message: DnsMessage) {
    super(id, dir);
    this.message = message;
  }

  get opcode(): number {
    return (this.message.flags >> 11) & 15;
  }

  override integer(name: string, dir: number): number {
    if (dir !== this.dir) return -1;
    if (name === 'dns.opcode') return this.opcode;
    return name === 'dns.rcode' && (this.message.flags & QR) !== 0 ? this.message.flags & 15 : -1;
  }

  text(off: number, len: number): string {
    return printable(this.message.arena, off, len);
  }

  /** Suricata's EVE dns object, version 2. */
  override record(): TransactionRecord | null {
    const { message } = this;
    const question = message.questions[0];
    if (question === undefined) return null;
    const body: Record<string, unknown> = {};
    const answer = (message.flags & QR) !== 0;
    if (answer) body['version'] = 2;
    body['type'] = answer ? 'answer' : 'query';
    body['id'] = message.id;
    if (answer) {
      body['flags'] = message.flags.toString(16);
      body['qr'] = true;
      if (message.flags & 0x0400) body['aa'] = true;
      if (message.flags & 0x0200) body['tc'] = true;
      if (message.flags & 0x0100) body['rd'] = true;
      if (message.flags & 0x0080) body['ra'] = true;
      if (message.flags & Z) body['z'] = true;
    }
    body['rrname'] = this.text(question.name, question.nameLen);
    body['rrtype'] = typeName(question.type);
    if (answer) {
      body['rcode'] = rcodeName(message.flags & 15);
      if (message.answers.length > 0) {
        body['answers'] = message.answers.map((rr) => this.#record(rr));
        body['grouped'] = this.#grouped();
      }
      if (message.authorities.length > 0) body['authorities'] = message.authorities.map((rr) => this.#record(rr));
    } else body['tx_id'] = this.id;
    body['opcode'] = this.opcode;
    return { type: 'dns', body, toServer: this.dir === TO_SERVER };
  }

  #record(rr: ResourceRecord): Record<string, unknown> {
    const out: Record<string, unknown> = { rrname: this.text(rr.name, rr.nameLen), rrtype: typeName(rr.type), ttl: rr.ttl };
    const data = rdataText(rr.type, this.message.arena, rr.data, rr.dataLen);
    if (data !== null) out['rdata'] = data;
    return out;
  }

  #grouped(): Record<string, string[]> {
    const groups: Record<string, string[]> = {};
    for (const rr of this.message.answers) {
      const data = rdataText(rr.type, this.message.arena, rr.data, rr.dataLen);
      if (data !== null) (groups[typeName(rr.type)] ??= []).push(data);
    }
    return groups;
  }
}

class DnsParser implements AppParser {
  readonly #framed: boolean;
  #nextId = 0;

  constructor(framed: boolean) {
    this.#framed = framed;
  }

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    if (!this.#framed) {
      this.#message(flow, dir, buf, off, end);
      return end - off;
    }
    // RFC 1035 section 4.2.2: two bytes of length in front of every message
    let pos = off;
    while (pos + 2 <= end) {
      const len = (buf[pos]! << 8) | buf[pos + 1]!;
      if (pos + 2 + len > end) break;
      if (len > 0) this.#message(flow, dir, buf, pos + 2, pos + 2 + len);
      pos += 2 + len;
    }
    return pos - off;
  }

  #message(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): void {
    const message = new DnsMessage();
    const good = message.parse(buf, off, end);
    const tx = new DnsTransaction(this.#nextId++, dir, message);
    flow.transactions.push(tx);
    if (!good) tx.addEvent('dns.malformed_data');
    if (dir === TO_SERVER && (message.flags & QR) !== 0) tx.addEvent('dns.not_request');
    if (dir !== TO_SERVER && (message.flags & QR) === 0) tx.addEvent('dns.not_response');
    if (message.flags & Z) tx.addEvent('dns.z_flag_set');
    if (tx.opcode >= 7) tx.addEvent('dns.invalid_opcode');
    if (message.nameFlags & NameFlag.TRUNCATED) tx.addEvent('dns.name_too_long');
    if (message.nameFlags & NameFlag.LOOP) tx.addEvent('dns.infinite_loop');
    if (message.nameFlags & NameFlag.TOO_MANY_LABELS) tx.addEvent('dns.too_many_labels');
  }

  gap(): boolean {
    return false; // the message boundaries are lost
  }

  close(): void {
    // messages are complete or not there: nothing to finish
  }
}

/** A header that makes sense: known opcode, few questions, and counts that fit the length. */
function plausible(buf: Uint8Array, off: number, end: number): boolean {
  const flags = (buf[off + 2]! << 8) | buf[off + 3]!;
  const questions = (buf[off + 4]! << 8) | buf[off + 5]!;
  const answers = (buf[off + 6]! << 8) | buf[off + 7]!;
  if (((flags >> 11) & 15) >= 7) return false;
  if (questions + answers === 0) return (flags & QR) !== 0;
  return questions * 5 + answers * 11 <= end - off - 12;
}

function probeDatagram(buf: Uint8Array, off: number, end: number): number {
  return end - off >= 12 && plausible(buf, off, end) ? PROBE_YES : PROBE_NO;
}

function probeStream(buf: Uint8Array, off: number, end: number): number {
  if (end - off < 14) return PROBE_MORE;
  const len = (buf[off]! << 8) | buf[off + 1]!;
  return len >= 12 && plausible(buf, off + 2, off + 2 + len) ? PROBE_YES : PROBE_NO;
}

function nameBuffer(name: string, toServer: boolean, toClient: boolean, section: 'questions' | 'answers'): BufferSpec<Transaction> {
  return {
    name,
    toServer,
    toClient,
    minProgress: 1,
    get(tx: Transaction, dir: number, index: number, out: ByteSlice): boolean {
      const dns = tx as DnsTransaction;
      const rr = dns.dir === dir ? dns.message[section][index] : undefined;
      return rr !== undefined && out.set(dns.message.arena, rr.name, rr.nameLen);
    },
  };
}

const BUFFERS: readonly BufferSpec<Transaction>[] = [
  nameBuffer('dns.query', true, false, 'questions'),
  nameBuffer('dns.query.name', true, true, 'questions'),
  nameBuffer('dns.answer.name', true, true, 'answers'),
];

export const DNS_EVENTS = [
  'dns.malformed_data',
  'dns.not_request',
  'dns.not_response',
  'dns.z_flag_set',
  'dns.invalid_opcode',
  'dns.name_too_long',
  'dns.infinite_loop',
  'dns.too_many_labels',
] as const;

const COMMON = { name: 'dns', ports: [53], portsOnly: true, buffers: BUFFERS, completeToServer: 1, completeToClient: 1, events: DNS_EVENTS } as const;

export const DNS_UDP: AppProtocol = { ...COMMON, transports: ['udp'], probe: probeDatagram, create: () => new DnsParser(false) };
export const DNS_TCP: AppProtocol = { ...COMMON, transports: ['tcp'], probe: probeStream, create: () => new DnsParser(true) };
