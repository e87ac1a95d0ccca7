/** Kerberos 5 (RFC 4120) over UDP and TCP: every message is a transaction. Encrypted parts are not looked into. */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { be32 } from '../util/index.js';
import { printable } from './bytes.js';
import { Der } from './encoding/der.js';
import { Directions, MessageTransaction, bytesBuffer } from './message.js';
import { PROBE_MORE, PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

export const KrbMessage = { AS_REQ: 10, AS_REP: 11, TGS_REQ: 12, TGS_REP: 13, AP_REQ: 14, ERROR: 30 } as const;
const NAMES: Readonly<Record<number, string>> = { 10: 'KRB_AS_REQ', 11: 'KRB_AS_REP', 12: 'KRB_TGS_REQ', 13: 'KRB_TGS_REP', 14: 'KRB_AP_REQ', 30: 'KRB_ERROR' };
const APPLICATION = 0x60;
const CONTEXT = 0xa0;
const SEQUENCE = 0x30;
const INTEGER = 2;
/** Longest message taken over TCP; larger lengths are no Kerberos (Suricata: 1 MB). */
const MESSAGE_MAX = 1 << 20;
const LIST_MAX = 64;
/** RFC 6649, 8429: DES, RC4 and their export variants. */
const WEAK = new Set([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 23, 24]);

export class Krb5Transaction extends MessageTransaction {
  messageType = -1;
  errorCode = -1;
  realm: Uint8Array | null = null;
  cname: Uint8Array[] = [];
  sname: Uint8Array[] = [];
  /** Encryption types asked for. */
  readonly encryptions: number[] = [];
  /** Encryption type of the encrypted part of a reply, and of its ticket; -1 = none. */
  encryption = -1;
  ticketEncryption = -1;

  override integer(name: string): number {
    switch (name) {
      case 'krb5.msg_type':
        return this.messageType;
      case 'krb5.err_code':
        return this.errorCode;
      case 'krb5.ticket_encryption':
        return this.ticketEncryption;
      default:
        return -1;
    }
  }

  override record(): TransactionRecord {
    const body: Record<string, unknown> = { msg_type: NAMES[this.messageType] ?? 'unknown' };
    const words = (name: readonly Uint8Array[]): string => name.map((part) => printable(part, 0, part.length)).join('/');
    body['cname'] = words(this.cname);
    if (this.realm !== null) body['realm'] = printable(this.realm, 0, this.realm.length);
    body['sname'] = words(this.sname);
    if (this.errorCode >= 0) body['error_code'] = this.errorCode;
    if (this.encryption >= 0) Object.assign(body, { encryption: this.encryption, weak_encryption: WEAK.has(this.encryption) });
    if (this.ticketEncryption >= 0) Object.assign(body, { ticket_encryption: this.ticketEncryption, ticket_weak_encryption: WEAK.has(this.ticketEncryption) });
    return { type: 'krb5', body, toServer: this.dir === TO_SERVER };
  }
}

class Krb5Parser implements AppParser {
  #nextId = 0;

  constructor(readonly stream: boolean) {}

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    if (!this.stream) {
      this.#message(flow, dir, buf, off, end);
      return end - off;
    }
    // RFC 4120 section 7.2.2: four bytes of length in front of every message
    let pos = off;
    while (end - pos >= 4) {
      const length = be32(buf, pos) >>> 0;
      if (length > MESSAGE_MAX) return -1;
      if (end - pos - 4 < length) break;
      this.#message(flow, dir, buf, pos + 4, pos + 4 + length);
      pos += 4 + length;
    }
    return pos - off;
  }

  #message(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): void {
    const tx = new Krb5Transaction(this.#nextId++, dir);
    flow.transactions.push(tx);
    if (!read(tx, buf, off, end)) tx.addEvent('krb5.malformed_data');
    if (WEAK.has(tx.encryption) || WEAK.has(tx.ticketEncryption)) tx.addEvent('krb5.weak_encryption');
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // messages are complete or not there
  }
}

/** The fields of an element [APPLICATION n] SEQUENCE { [0] ..., [1] ... }: `field` moves to the next. */
function read(tx: Krb5Transaction, buf: Uint8Array, off: number, end: number): boolean {
  const outer = new Der(buf, off, end);
  if (!outer.next() || (outer.tag & 0xe0) !== APPLICATION) return false;
  const type = outer.tag & 31;
  tx.messageType = type;
  const application = outer.inside();
  if (!application.expect(SEQUENCE)) return false;
  const fields = application.inside();
  switch (type) {
    case KrbMessage.AS_REQ:
    case KrbMessage.TGS_REQ:
      while (fields.next()) if (fields.tag === CONTEXT + 4) return requestBody(tx, fields.inside());
      return false;
    case KrbMessage.AS_REP:
    case KrbMessage.TGS_REP:
      return reply(tx, fields);
    case KrbMessage.ERROR:
      return krbError(tx, fields);
    default:
      return type === KrbMessage.AP_REQ || type === 15 || type === 20 || type === 21 || type === 22;
  }
}

function requestBody(tx: Krb5Transaction, outer: Der): boolean {
  if (!outer.expect(SEQUENCE)) return false;
  const body = outer.inside();
  while (body.next()) {
    const value = body.inside();
    switch (body.tag) {
      case CONTEXT + 1:
        principal(value, tx.cname);
        break;
      case CONTEXT + 2:
        if (value.next()) tx.realm = value.bytes();
        break;
      case CONTEXT + 3:
        principal(value, tx.sname);
        break;
      case CONTEXT + 8: {
        if (!value.expect(SEQUENCE)) return false;
        const list = value.inside();
        while (tx.encryptions.length < LIST_MAX && list.expect(INTEGER)) tx.encryptions.push(list.unsigned());
        break;
      }
      default:
    }
  }
  return true;
}

function reply(tx: Krb5Transaction, fields: Der): boolean {
  while (fields.next()) {
    const value = fields.inside();
    if (fields.tag === CONTEXT + 3 && value.next()) tx.realm = value.bytes();
    else if (fields.tag === CONTEXT + 4) principal(value, tx.cname);
    else if (fields.tag === CONTEXT + 5) {
      if (!value.next()) return false; // [APPLICATION 1] Ticket
      const ticket = value.inside();
      if (!ticket.expect(SEQUENCE)) return false;
      const parts = ticket.inside();
      while (parts.next()) {
        if (parts.tag === CONTEXT + 2) principal(parts.inside(), tx.sname);
        else if (parts.tag === CONTEXT + 3) tx.ticketEncryption = encryptionOf(parts.inside());
      }
    } else if (fields.tag === CONTEXT + 6) tx.encryption = encryptionOf(value);
  }
  return true;
}

function krbError(tx: Krb5Transaction, fields: Der): boolean {
  while (fields.next()) {
    const value = fields.inside();
    if (fields.tag === CONTEXT + 6 && value.expect(INTEGER)) tx.errorCode = value.unsigned();
    else if (fields.tag === CONTEXT + 8) principal(value, tx.cname);
    else if (fields.tag === CONTEXT + 9 && value.next()) tx.realm = value.bytes();
    else if (fields.tag === CONTEXT + 10) principal(value, tx.sname);
  }
  return true;
}

/** EncryptedData ::= SEQUENCE { etype [0] Int32, ... } */
function encryptionOf(outer: Der): number {
  if (!outer.expect(SEQUENCE)) return -1;
  const data = outer.inside();
  if (!data.expect(CONTEXT)) return -1;
  const type = data.inside();
  return type.expect(INTEGER) ? type.unsigned() : -1;
}

/** PrincipalName ::= SEQUENCE { name-type [0], name-string [1] SEQUENCE OF KerberosString } */
function principal(outer: Der, into: Uint8Array[]): void {
  if (!outer.expect(SEQUENCE)) return;
  const fields = outer.inside();
  while (fields.next()) {
    if (fields.tag !== CONTEXT + 1) continue;
    const value = fields.inside();
    if (!value.expect(SEQUENCE)) return;
    const parts = value.inside();
    while (into.length < LIST_MAX && parts.next()) into.push(parts.bytes());
  }
}

function plausible(buf: Uint8Array, off: number, end: number): boolean {
  if (end - off < 10) return false;
  const tag = buf[off]!;
  const type = tag & 31;
  return (tag & 0xe0) === APPLICATION && ((type >= KrbMessage.AS_REQ && type <= 15) || (type >= 20 && type <= 22) || type === KrbMessage.ERROR);
}

function probeStream(buf: Uint8Array, off: number, end: number): number {
  if (end - off < 14) return PROBE_MORE;
  const length = be32(buf, off) >>> 0;
  return length >= 10 && length <= MESSAGE_MAX && plausible(buf, off + 4, end) ? PROBE_YES : PROBE_NO;
}

const COMMON = {
  name: 'krb5',
  ports: [88],
  portsOnly: true,
  buffers: [
    bytesBuffer<Krb5Transaction>('krb5.cname', Directions.BOTH, 1, (tx, _dir, index) => tx.cname[index]),
    bytesBuffer<Krb5Transaction>('krb5.sname', Directions.BOTH, 1, (tx, _dir, index) => tx.sname[index]),
  ],
  completeToServer: 1,
  completeToClient: 1,
  events: ['krb5.malformed_data', 'krb5.weak_encryption'],
} as const;

export const KRB5_UDP: AppProtocol = { ...COMMON, transports: ['udp'], probe: (buf, off, end) => (plausible(buf, off, end) ? PROBE_YES : PROBE_NO), create: () => new Krb5Parser(false) };
export const KRB5_TCP: AppProtocol = { ...COMMON, transports: ['tcp'], probe: probeStream, create: () => new Krb5Parser(true) };
