/** The fields of an X.509 certificate that rules and the log use, by a bounded walk over its DER (RFC 5280 section 4.1). */
import { createHash } from 'node:crypto';
import { ascii, printable } from '../bytes.js';
import { Der } from '../encoding/der.js';

export interface Certificate {
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  /** "AA:BB:..." */
  readonly serial: Uint8Array;
  /** SHA-1 of the DER as "aa:bb:...". */
  readonly fingerprint: Uint8Array;
  /** Seconds since the epoch, NaN when unreadable. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Distinguished names keep at most this many attributes. */
const ATTRIBUTES_MAX = 64;

const ABBREVIATIONS: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN', '2.5.4.4': 'SN', '2.5.4.5': 'serialNumber', '2.5.4.6': 'C', '2.5.4.7': 'L', '2.5.4.8': 'ST', '2.5.4.9': 'STREET', '2.5.4.10': 'O', '2.5.4.11': 'OU',
  '2.5.4.12': 'title', '2.5.4.15': 'businessCategory', '2.5.4.17': 'postalCode', '2.5.4.42': 'GN', '2.5.4.43': 'initials', '2.5.4.97': 'organizationIdentifier',
  '0.9.2342.19200300.100.1.1': 'UID', '0.9.2342.19200300.100.1.25': 'DC', '1.2.840.113549.1.9.1': 'emailAddress',
  '1.3.6.1.4.1.311.60.2.1.1': 'jurisdictionL', '1.3.6.1.4.1.311.60.2.1.2': 'jurisdictionST', '1.3.6.1.4.1.311.60.2.1.3': 'jurisdictionC',
};

function oidText(buf: Uint8Array, off: number, end: number): string {
  if (off >= end) return '';
  const first = buf[off]!;
  let text = `${Math.min(2, (first / 40) | 0)}.${first - Math.min(2, (first / 40) | 0) * 40}`;
  let n = 0;
  for (let i = off + 1; i < end && i < off + 32; i++) {
    n = n * 128 + (buf[i]! & 127);
    if (buf[i]! < 128) {
      text += `.${n}`;
      n = 0;
    }
  }
  return text;
}

/** Name ::= SEQUENCE OF SET OF SEQUENCE { type, value }, as "C=FR, O=Example, CN=host". */
function nameText(der: Der): string {
  const names: string[] = [];
  const rdns = der.inside();
  while (names.length < ATTRIBUTES_MAX && rdns.expect(0x31)) {
    const set = rdns.inside();
    const parts: string[] = [];
    while (parts.length < ATTRIBUTES_MAX && set.expect(0x30)) {
      const pair = set.inside();
      if (!pair.expect(6)) break;
      const oid = oidText(pair.buf, pair.off, pair.stop);
      if (!pair.next()) break;
      const value = pair.tag === 30 ? bmpText(pair.buf, pair.off, pair.stop) : printable(pair.buf, pair.off, pair.stop - pair.off);
      parts.push(`${ABBREVIATIONS[oid] ?? oid}=${value}`);
    }
    if (parts.length > 0) names.push(parts.join(' + '));
  }
  return names.join(', ');
}

function bmpText(buf: Uint8Array, off: number, end: number): string {
  let text = '';
  for (let i = off; i + 1 < end; i += 2) text += String.fromCharCode((buf[i]! << 8) | buf[i + 1]!);
  return text;
}

/** UTCTime or GeneralizedTime to seconds since the epoch. */
function timeOf(der: Der): number {
  if (!der.next() || (der.tag !== 23 && der.tag !== 24)) return NaN;
  let text = printable(der.buf, der.off, der.stop - der.off);
  if (der.tag === 23) text = (Number(text.slice(0, 2)) < 50 ? '20' : '19') + text;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?/.exec(text);
  if (parts === null) return NaN;
  const [, year, month, day, hour, minute, second] = parts;
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second ?? 0)) / 1000;
}

function hexPairs(buf: Uint8Array, off: number, end: number): string {
  const pairs: string[] = [];
  for (let i = off; i < end && i < off + 64; i++) pairs.push(buf[i]!.toString(16).padStart(2, '0'));
  return pairs.join(':');
}

/** @returns null when the DER is not a certificate */
export function parseCertificate(der: Uint8Array): Certificate | null {
  const outer = new Der(der, 0, der.length);
  if (!outer.expect(0x30)) return null;
  const certificate = outer.inside();
  if (!certificate.expect(0x30)) return null;
  const tbs = certificate.inside();
  if (!tbs.next()) return null;
  if (tbs.tag === 0xa0 && !tbs.next()) return null; // [0] version
  if (tbs.tag !== 2) return null;
  const serial = hexPairs(der, tbs.off, tbs.stop).toUpperCase();
  if (!tbs.expect(0x30)) return null; // signature algorithm
  if (!tbs.expect(0x30)) return null;
  const issuer = nameText(tbs);
  if (!tbs.expect(0x30)) return null;
  const validity = tbs.inside();
  const notBefore = timeOf(validity);
  const notAfter = timeOf(validity);
  if (!tbs.expect(0x30)) return null;
  const subject = nameText(tbs);
  const digest = createHash('sha1').update(der).digest();
  return {
    subject: Buffer.from(subject, 'utf8'),
    issuer: Buffer.from(issuer, 'utf8'),
    serial: ascii(serial),
    fingerprint: ascii(hexPairs(digest, 0, digest.length)),
    notBefore,
    notAfter,
  };
}
