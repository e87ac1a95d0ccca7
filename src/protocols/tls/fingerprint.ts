/** JA3, JA3S and JA4 fingerprints of hellos. */
import { createHash } from 'node:crypto';
import { isGrease, type Hello } from './hello.js';

function list(values: readonly number[]): string {
  return values.filter((v) => !isGrease(v)).join('-');
}

/** "version,ciphers,extensions,groups,point formats" in decimal, without GREASE. */
export function ja3String(hello: Hello): string {
  return `${hello.version},${list(hello.ciphers)},${list(hello.extensions)},${list(hello.groups)},${hello.pointFormats.join('-')}`;
}

/** "version,cipher,extensions" of a ServerHello. */
export function ja3sString(hello: Hello): string {
  return `${hello.version},${hello.ciphers[0] ?? ''},${hello.extensions.join('-')}`;
}

export function md5Hex(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

const VERSIONS: Readonly<Record<number, string>> = { 0x0304: '13', 0x0303: '12', 0x0302: '11', 0x0301: '10', 0x0300: 's3', 0x0002: 's2', 0xfeff: 'd1', 0xfefd: 'd2', 0xfefc: 'd3' };

function hex4(n: number): string {
  return n.toString(16).padStart(4, '0');
}

function hash12(text: string): string {
  return text === '' ? '000000000000' : createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function alpnCode(alpn: Uint8Array): string {
  if (alpn.length === 0) return '00';
  const first = alpn[0]!;
  const last = alpn[alpn.length - 1]!;
  const alnum = (c: number): boolean => (c >= 48 && c <= 57) || ((c | 32) >= 97 && (c | 32) <= 122);
  if (alnum(first) && alnum(last)) return String.fromCharCode(first, last);
  return first.toString(16).padStart(2, '0')[0]! + last.toString(16).padStart(2, '0')[1]!;
}

/** JA4 of a ClientHello; transport 't' for TCP, 'q' for QUIC. */
export function ja4(hello: Hello, transport: 't' | 'q'): string {
  const ciphers = hello.ciphers.filter((v) => !isGrease(v));
  const extensions = hello.extensions.filter((v) => !isGrease(v));
  const count = (n: number): string => String(Math.min(99, n)).padStart(2, '0');
  const a = `${transport}${VERSIONS[hello.realVersion] ?? '00'}${hello.extensions.includes(0) ? 'd' : 'i'}${count(ciphers.length)}${count(extensions.length)}${alpnCode(hello.alpn)}`;
  const b = hash12(ciphers.map(hex4).sort().join(','));
  const sorted = extensions
    .filter((v) => v !== 0 && v !== 16)
    .map(hex4)
    .sort()
    .join(',');
  const signatures = hello.signatures.filter((v) => !isGrease(v)).map(hex4).join(',');
  return `${a}_${b}_${hash12(signatures === '' ? sorted : `${sorted}_${signatures}`)}`;
}
