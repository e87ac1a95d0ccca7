/**
 * IKE over UDP, version 1 (RFC 2408, 2409) and 2 (RFC 7296), as far as it is in the clear: every message is a transaction.
 * Proposals are judged for weak algorithms.
 */
import { TO_SERVER, type Flow } from '../flow/index.js';
import type { TransactionRecord } from '../pipeline/index.js';
import { be16, be32, toHex } from '../util/index.js';
import { ascii } from './bytes.js';
import { Directions, MessageTransaction, bytesBuffer } from './message.js';
import { PROBE_NO, PROBE_YES, type AppParser, type AppProtocol } from './parser.js';

const HEADER = 28;
const PAYLOADS_MAX = 64;
const TRANSFORMS_MAX = 256;
const VENDORS_MAX = 64;
const V1_ENCRYPTED = 1;

const Payload1 = { SA: 1, KEY_EXCHANGE: 4, NONCE: 10, VENDOR: 13 } as const;
const Payload2 = { SA: 33, KEY_EXCHANGE: 34, NONCE: 40, VENDOR: 43, ENCRYPTED: 46 } as const;
const Exchange2 = { SA_INIT: 34, INFORMATIONAL: 37 } as const;

/** Attributes of a version 1 transform (RFC 2409 appendix A) by the names rules use. */
const ATTRIBUTES: Readonly<Record<number, string>> = {
  1: 'alg_enc', 2: 'alg_hash', 3: 'alg_auth', 4: 'alg_dh', 5: 'sa_group_type', 11: 'sa_life_type', 12: 'sa_life_duration', 13: 'alg_prf', 14: 'sa_key_length', 15: 'sa_field_size',
};
export const IKE_ATTRIBUTES: readonly string[] = Object.values(ATTRIBUTES);

const Transform = { ENCRYPTION: 1, PRF: 2, INTEGRITY: 3, DH: 4 } as const;
/** Version 2 algorithms not to be used (RFC 8247): DES, 3DES ... by transform type. */
const WEAK: Readonly<Record<number, ReadonlySet<number>>> = {
  [Transform.ENCRYPTION]: new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 11]),
  [Transform.PRF]: new Set([1, 3]),
  [Transform.INTEGRITY]: new Set([0, 1, 2, 3, 4, 6]),
  [Transform.DH]: new Set([0, 1, 2, 5, 22, 23, 24]),
};
const WEAK_EVENT: Readonly<Record<number, string>> = { 1: 'weak_crypto_enc', 2: 'weak_crypto_prf', 3: 'weak_crypto_auth', 4: 'weak_crypto_dh' };

export class IkeTransaction extends MessageTransaction {
  readonly initSpi: Uint8Array;
  readonly respSpi: Uint8Array;
  readonly vendors: Uint8Array[] = [];
  keyExchange: Uint8Array | null = null;
  nonce: Uint8Array | null = null;
  /** First transform of the responder's proposal. */
  readonly chosen = new Map<string, number>();

  constructor(
    id: number,
    dir: number,
    readonly version: number,
    readonly exchange: number,
    buf: Uint8Array,
    off: number,
  ) {
    super(id, dir);
    this.initSpi = ascii(toHex(buf, off, 8));
    this.respSpi = ascii(toHex(buf, off + 8, 8));
  }

  override integer(name: string): number {
    switch (name) {
      case 'ike.exchtype':
        return this.exchange;
      case 'ike.key_exchange_payload_length':
        return this.keyExchange?.length ?? -1;
      case 'ike.nonce_payload_length':
        return this.nonce?.length ?? -1;
      default:
        return name.startsWith('ike.sa.') ? (this.chosen.get(name.slice(7)) ?? -1) : -1;
    }
  }

  override record(): TransactionRecord {
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
    const body: Record<string, unknown> = { version_major: this.version, exchange_type: this.exchange, init_spi: text(this.initSpi), resp_spi: text(this.respSpi) };
    if (this.vendors.length > 0) body['vendors'] = this.vendors.map(text);
    for (const [name, value] of this.chosen) body[name] = value;
    return { type: 'ike', body, toServer: this.dir === TO_SERVER };
  }
}

class IkeParser implements AppParser {
  #nextId = 0;

  data(flow: Flow, dir: number, buf: Uint8Array, off: number, end: number): number {
    // RFC 3948: on port 4500 four zero bytes stand in front
    const start = end - off > HEADER + 4 && be32(buf, off) === 0 ? off + 4 : off;
    if (end - start < HEADER) return -1;
    const version = buf[start + 17]! >> 4;
    const tx = new IkeTransaction(this.#nextId++, dir, version, buf[start + 18]!, buf, start);
    flow.transactions.push(tx);
    const length = be32(buf, start + 24) >>> 0;
    const stop = Math.min(end, start + Math.max(HEADER, length));
    const encrypted = version === 1 && (buf[start + 19]! & V1_ENCRYPTED) !== 0;
    if (!encrypted && !payloads(tx, buf, start, stop)) tx.addEvent('ike.malformed_data');
    return end - off;
  }

  gap(): boolean {
    return false;
  }

  close(): void {
    // datagrams are whole
  }
}

/** The chain of payloads (RFC 7296 section 3.2, the same in version 1). */
function payloads(tx: IkeTransaction, buf: Uint8Array, start: number, end: number): boolean {
  let type = buf[start + 16]!;
  let pos = start + HEADER;
  for (let n = 0; type !== 0 && n < PAYLOADS_MAX; n++) {
    if (tx.version === 2 && type === Payload2.ENCRYPTED) return true;
    if (pos + 4 > end) return false;
    const length = be16(buf, pos + 2);
    if (length < 4 || pos + length > end) return false;
    payload(tx, type, buf, pos + 4, pos + length);
    type = buf[pos]!;
    pos += length;
  }
  if (type === 0 && pos < end) tx.addEvent('ike.payload_extra_data');
  return true;
}

function payload(tx: IkeTransaction, type: number, buf: Uint8Array, off: number, end: number): void {
  const one = tx.version === 1;
  if (type === (one ? Payload1.SA : Payload2.SA)) proposals(tx, buf, one ? off + 8 : off, end);
  else if (type === (one ? Payload1.KEY_EXCHANGE : Payload2.KEY_EXCHANGE)) tx.keyExchange = buf.slice(Math.min(end, one ? off : off + 4), end);
  else if (type === (one ? Payload1.NONCE : Payload2.NONCE)) tx.nonce = buf.slice(off, end);
  else if (type === (one ? Payload1.VENDOR : Payload2.VENDOR) && tx.vendors.length < VENDORS_MAX) tx.vendors.push(ascii(toHex(buf, off, end - off)));
}

/** Proposals and their transforms (RFC 2408 section 3.5, RFC 7296 section 3.3). */
function proposals(tx: IkeTransaction, buf: Uint8Array, off: number, end: number): void {
  let count = 0;
  let seen = 0;
  for (let pos = off; pos + 8 <= end; ) {
    const length = be16(buf, pos + 2);
    if (length < 8 || pos + length > end) return;
    seen++;
    let at = pos + 8 + buf[pos + 6]!; // behind the SPI
    let integrity = false;
    let combined = false;
    let types = 0;
    while (at + 8 <= pos + length && count++ < TRANSFORMS_MAX) {
      const size = be16(buf, at + 2);
      if (size < 8 || at + size > pos + length) return;
      if (tx.version === 1) attributes(tx, buf, at + 8, at + size, count === 1 && seen === 1);
      else {
        const type = buf[at + 4]!;
        const id = be16(buf, at + 6);
        if (WEAK[type]?.has(id) === true) raise(tx, WEAK_EVENT[type]!);
        if (type === Transform.ENCRYPTION && (id === 14 || id === 15 || id === 16 || id === 18 || id === 19 || id === 20 || id === 28)) combined = true;
        if (type === Transform.INTEGRITY) integrity = true;
        if (type === Transform.DH && id === 0) raise(tx, 'weak_crypto_nodh');
        types |= 1 << Math.min(type, 8);
      }
      at += size;
    }
    if (tx.version === 2) {
      if ((types & (1 << Transform.DH)) === 0) raise(tx, 'weak_crypto_nodh');
      if (!integrity && !combined) raise(tx, 'weak_crypto_noauth');
    }
    pos += length;
  }
  if (tx.version === 1 && tx.dir !== TO_SERVER && count > 1) tx.addEvent('ike.multiple_server_proposal');
}

/** IKEv2 events carry the old name of the parser as well. */
function raise(tx: IkeTransaction, event: string): void {
  tx.addEvent(`ike.${event}`);
  tx.addEvent(`ikev2.${event}`);
}

function attributes(tx: IkeTransaction, buf: Uint8Array, off: number, end: number, first: boolean): void {
  if (!first || tx.dir === TO_SERVER) return; // rules ask for what the responder chose
  for (let pos = off; pos + 4 <= end; ) {
    const type = be16(buf, pos) & 0x7fff;
    const short = (buf[pos]! & 0x80) !== 0;
    const length = short ? 0 : be16(buf, pos + 2);
    if (pos + 4 + length > end) return;
    let value = short ? be16(buf, pos + 2) : 0;
    for (let i = 0; i < Math.min(length, 6); i++) value = value * 256 + buf[pos + 4 + i]!;
    const name = ATTRIBUTES[type];
    if (name !== undefined && !tx.chosen.has(name)) tx.chosen.set(name, value);
    pos += 4 + length;
  }
}

function probe(buf: Uint8Array, off: number, end: number): number {
  const start = end - off > HEADER + 4 && be32(buf, off) === 0 ? off + 4 : off;
  if (end - start < HEADER) return PROBE_NO;
  if (be32(buf, start) === 0 && be32(buf, start + 4) === 0) return PROBE_NO;
  const version = buf[start + 17]! >> 4;
  const length = be32(buf, start + 24) >>> 0;
  const exchange = buf[start + 18]!;
  if (length !== end - start) return PROBE_NO;
  if (version === 1) return exchange <= 5 || (exchange >= 32 && exchange <= 33) || exchange === 6 ? PROBE_YES : PROBE_NO;
  return version === 2 && exchange >= Exchange2.SA_INIT && exchange <= Exchange2.INFORMATIONAL ? PROBE_YES : PROBE_NO;
}

const EVENTS = ['weak_crypto_enc', 'weak_crypto_prf', 'weak_crypto_auth', 'weak_crypto_dh', 'weak_crypto_nodh', 'weak_crypto_noauth'];
const { TO_SERVER: INITIATOR, TO_CLIENT: RESPONDER, BOTH } = Directions;

export const IKE_PROTOCOL: AppProtocol = {
  name: 'ike',
  transports: ['udp'],
  ports: [500, 4500],
  portsOnly: true,
  probe,
  create: () => new IkeParser(),
  buffers: [
    bytesBuffer<IkeTransaction>('ike.init_spi', INITIATOR, 1, (tx, _dir, index) => (index === 0 ? tx.initSpi : null)),
    bytesBuffer<IkeTransaction>('ike.resp_spi', RESPONDER, 1, (tx, _dir, index) => (index === 0 ? tx.respSpi : null)),
    bytesBuffer<IkeTransaction>('ike.vendor', INITIATOR, 1, (tx, _dir, index) => tx.vendors[index]),
    bytesBuffer<IkeTransaction>('ike.key_exchange_payload', BOTH, 1, (tx, _dir, index) => (index === 0 ? tx.keyExchange : null)),
    bytesBuffer<IkeTransaction>('ike.nonce_payload', BOTH, 1, (tx, _dir, index) => (index === 0 ? tx.nonce : null)),
  ],
  completeToServer: 1,
  completeToClient: 1,
  events: ['ike.malformed_data', 'ike.payload_extra_data', 'ike.multiple_server_proposal', ...EVENTS.flatMap((event) => [`ike.${event}`, `ikev2.${event}`])],
};
