/** One TLS connection's handshake: the only transaction of a TLS flow. */
import type { TransactionRecord } from '../../pipeline/index.js';
import { ascii, printable } from '../bytes.js';
import { Transaction } from '../transaction.js';
import type { Certificate } from './certificate.js';
import { ja3String, ja3sString, ja4, md5Hex } from './fingerprint.js';
import type { Hello } from './hello.js';

/** Progress of a direction: its hello, its certificate chain, the end of what can be read. */
export const TlsProgress = { STARTED: 0, HELLO: 1, CERTIFICATE: 2, DONE: 3 } as const;

/** What one peer sent. */
export class TlsPeer {
  hello: Hello | null = null;
  /** DER certificates, leaf first. */
  certificates: Uint8Array[] = [];
  /** The leaf. */
  certificate: Certificate | null = null;
  /** Length of the chain as sent. */
  chainLength = -1;
}

const VERSION_NAMES: Readonly<Record<number, string>> = { 0x0002: 'SSLv2', 0x0300: 'SSLv3', 0x0301: 'TLSv1', 0x0302: 'TLS 1.1', 0x0303: 'TLS 1.2', 0x0304: 'TLS 1.3' };

export class TlsTransaction extends Transaction {
  readonly client = new TlsPeer();
  readonly server = new TlsPeer();
  /** Some rule asked for the certificates in the log. */
  keepCertificates = false;
  #ja3: Uint8Array | null = null;
  #ja3Hash: Uint8Array | null = null;
  #ja3s: Uint8Array | null = null;
  #ja3sHash: Uint8Array | null = null;
  #ja4: Uint8Array | null = null;

  peer(dir: number): TlsPeer {
    return dir === 0 ? this.client : this.server;
  }

  /** Negotiated version, or the offered one while the server is silent; 0 unknown. */
  get version(): number {
    return this.server.hello?.realVersion ?? this.client.hello?.version ?? 0;
  }

  ja3(): Uint8Array | null {
    return (this.#ja3 ??= this.client.hello && ascii(ja3String(this.client.hello)));
  }

  ja3Hash(): Uint8Array | null {
    return (this.#ja3Hash ??= this.client.hello && ascii(md5Hex(ja3String(this.client.hello))));
  }

  ja3s(): Uint8Array | null {
    return (this.#ja3s ??= this.server.hello && ascii(ja3sString(this.server.hello)));
  }

  ja3sHash(): Uint8Array | null {
    return (this.#ja3sHash ??= this.server.hello && ascii(md5Hex(ja3sString(this.server.hello))));
  }

  ja4(): Uint8Array | null {
    return (this.#ja4 ??= this.client.hello && ascii(ja4(this.client.hello, 't')));
  }

  override integer(name: string, dir: number): number {
    const peer = this.peer(dir);
    switch (name) {
      case 'tls.cert_chain_len':
        return peer.chainLength;
      case 'tls.version':
        return this.version || -1;
      case 'tls.cert_notbefore':
        return peer.certificate !== null && peer.certificate.notBefore >= 0 ? peer.certificate.notBefore : -1;
      case 'tls.cert_notafter':
        return peer.certificate !== null && peer.certificate.notAfter >= 0 ? peer.certificate.notAfter : -1;
      default:
        return -1;
    }
  }

  /** Suricata's EVE tls object (the extended form, its default). */
  override record(): TransactionRecord | null {
    const { client, server } = this;
    if (client.hello === null && server.hello === null) return null;
    const body: Record<string, unknown> = {};
    const certificate = server.certificate;
    if (certificate !== null) {
      body['subject'] = text(certificate.subject);
      body['issuerdn'] = text(certificate.issuer);
      body['serial'] = text(certificate.serial);
      body['fingerprint'] = text(certificate.fingerprint);
    } else if (server.hello !== null && client.hello !== null && client.hello.sessionIdLen > 0 && server.hello.realVersion < 0x0304) body['session_resumed'] = true;
    if (client.hello?.sni) body['sni'] = text(client.hello.sni);
    body['version'] = VERSION_NAMES[this.version] ?? 'UNDETERMINED';
    if (this.keepCertificates && server.certificates.length > 0) body['chain'] = server.certificates.map((der) => Buffer.from(der).toString('base64'));
    if (certificate !== null) {
      if (!Number.isNaN(certificate.notBefore)) body['notbefore'] = new Date(certificate.notBefore * 1000).toISOString().slice(0, 19);
      if (!Number.isNaN(certificate.notAfter)) body['notafter'] = new Date(certificate.notAfter * 1000).toISOString().slice(0, 19);
    }
    const ja3 = this.ja3();
    if (ja3 !== null) body['ja3'] = { hash: text(this.ja3Hash()!), string: text(ja3) };
    const ja3s = this.ja3s();
    if (ja3s !== null) body['ja3s'] = { hash: text(this.ja3sHash()!), string: text(ja3s) };
    const four = this.ja4();
    if (four !== null) body['ja4'] = text(four);
    return { type: 'tls', body, toServer: true };
  }
}

function text(bytes: Uint8Array): string {
  return printable(bytes, 0, bytes.length);
}
