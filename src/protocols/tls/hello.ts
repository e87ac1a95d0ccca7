/** ClientHello and ServerHello (RFC 8446 section 4.1), as far as rules, fingerprints and the log need them. */

const EXT_SNI = 0;
const EXT_GROUPS = 10;
const EXT_POINT_FORMATS = 11;
const EXT_SIGNATURES = 13;
const EXT_ALPN = 16;
const EXT_SUPPORTED_VERSIONS = 43;

export class Hello {
  /** legacy_version of the hello. */
  version = 0;
  /** Highest version offered or the one selected by supported_versions, else `version`. */
  realVersion = 0;
  random: Uint8Array = EMPTY;
  sessionIdLen = 0;
  ciphers: number[] = [];
  extensions: number[] = [];
  groups: number[] = [];
  pointFormats: number[] = [];
  signatures: number[] = [];
  alpn: Uint8Array = EMPTY;
  sni: Uint8Array | null = null;
  /** Event names about the extensions. */
  events: string[] = [];
}

const EMPTY = new Uint8Array(0);

/** GREASE values (RFC 8701): 0x?a?a with equal bytes. Fingerprints leave them out. */
export function isGrease(n: number): boolean {
  return (n & 0x0f0f) === 0x0a0a && n >> 8 === (n & 255);
}

/** Parse the body of a ClientHello (client) or ServerHello. @returns null when lengths do not fit */
export function parseHello(buf: Uint8Array, off: number, end: number, client: boolean): Hello | null {
  const hello = new Hello();
  let p = off;
  if (end - p < 35) return null;
  hello.version = hello.realVersion = (buf[p]! << 8) | buf[p + 1]!;
  hello.random = buf.slice(p + 2, p + 34);
  p += 34;
  hello.sessionIdLen = buf[p]!;
  p += 1 + hello.sessionIdLen;
  if (client) {
    if (p + 2 > end) return null;
    const len = (buf[p]! << 8) | buf[p + 1]!;
    p += 2;
    if (p + len > end) return null;
    readWords(buf, p, p + len, hello.ciphers);
    p += len;
    if (p + 1 > end) return null;
    p += 1 + buf[p]!;
  } else {
    if (p + 3 > end) return null;
    hello.ciphers.push((buf[p]! << 8) | buf[p + 1]!);
    p += 3;
  }
  if (p > end) return null;
  if (p + 2 > end) return hello; // no extensions
  const stop = Math.min(end, p + 2 + ((buf[p]! << 8) | buf[p + 1]!));
  p += 2;
  while (p + 4 <= stop) {
    const type = (buf[p]! << 8) | buf[p + 1]!;
    const len = (buf[p + 2]! << 8) | buf[p + 3]!;
    p += 4;
    if (p + len > stop) return null;
    hello.extensions.push(type);
    extension(hello, type, buf, p, p + len, client);
    p += len;
  }
  return hello;
}

function readWords(buf: Uint8Array, off: number, end: number, into: number[]): void {
  for (let p = off; p + 2 <= end; p += 2) into.push((buf[p]! << 8) | buf[p + 1]!);
}

function extension(hello: Hello, type: number, buf: Uint8Array, off: number, end: number, client: boolean): void {
  switch (type) {
    case EXT_SNI:
      if (client) serverName(hello, buf, off, end);
      break;
    case EXT_GROUPS:
      if (off + 2 <= end) readWords(buf, off + 2, end, hello.groups);
      break;
    case EXT_POINT_FORMATS:
      for (let p = off + 1; p < end; p++) hello.pointFormats.push(buf[p]!);
      break;
    case EXT_SIGNATURES:
      if (off + 2 <= end) readWords(buf, off + 2, end, hello.signatures);
      break;
    case EXT_ALPN:
      if (off + 3 <= end && off + 3 + buf[off + 2]! <= end) hello.alpn = buf.slice(off + 3, off + 3 + buf[off + 2]!);
      break;
    case EXT_SUPPORTED_VERSIONS:
      if (!client) {
        if (off + 2 <= end) hello.realVersion = (buf[off]! << 8) | buf[off + 1]!;
        break;
      }
      for (let p = off + 1; p + 2 <= end; p += 2) {
        const v = (buf[p]! << 8) | buf[p + 1]!;
        if (!isGrease(v) && v > hello.realVersion) hello.realVersion = v;
      }
      break;
    default:
  }
}

/** server_name (RFC 6066 section 3): the first host_name counts. */
function serverName(hello: Hello, buf: Uint8Array, off: number, end: number): void {
  if (end === off) return;
  if (off + 5 > end) {
    hello.events.push('tls.invalid_sni_length');
    return;
  }
  if (buf[off + 2] !== 0) {
    hello.events.push('tls.invalid_sni_type');
    return;
  }
  const len = (buf[off + 3]! << 8) | buf[off + 4]!;
  if (off + 5 + len > end || len === 0) hello.events.push('tls.invalid_sni_length');
  else if (hello.sni !== null) hello.events.push('tls.multiple_sni_extensions');
  else hello.sni = buf.slice(off + 5, off + 5 + len);
}
