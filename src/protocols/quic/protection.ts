/** Protection of QUIC Initial packets (RFC 9001 section 5, RFC 9369): its keys follow from the packet itself. */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { fromHex } from '../../util/index.js';
import { ascii } from '../bytes.js';

export const QUIC_V1 = 1;
export const QUIC_V2 = 0x6b3343cf;
const DRAFT = 0xff0000;

const SALT_V1 = fromHex('38762cf7f55934b34d179ae6a4c80cadccbb7f0a');
const SALT_V2 = fromHex('0dede3def700a6db819381be6e269dcbf9bd2ed9');
const SALT_DRAFT_29 = fromHex('afbfec289993d24c9e9786f19c6111e04390a899');
const SALT_DRAFT_23 = fromHex('c3eef712c72ebb5a11a7d2432bb46365bef9f502');
const SAMPLE = 16;
const TAG = 16;

/** Salt of a version, null when its Initial packets cannot be read. */
function saltOf(version: number): Uint8Array | null {
  if (version === QUIC_V1) return SALT_V1;
  if (version === QUIC_V2) return SALT_V2;
  if (version >>> 8 !== DRAFT) return null;
  const draft = version & 255;
  if (draft >= 29 && draft <= 32) return SALT_DRAFT_29;
  return draft >= 23 && draft <= 28 ? SALT_DRAFT_23 : draft > 32 && draft <= 34 ? SALT_V1 : null;
}

/** HKDF-Expand-Label (RFC 8446 section 7.1) for at most one hash block. */
function expand(secret: Uint8Array, label: string, length: number): Uint8Array {
  const name = ascii(`tls13 ${label}`);
  const info = Uint8Array.from([0, length, name.length, ...name, 0, 1]);
  return createHmac('sha256', secret).update(info).digest().subarray(0, length);
}

class Keys {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly header: Uint8Array;

  constructor(initial: Uint8Array, side: string, prefix: string) {
    const secret = expand(initial, side, 32);
    this.key = expand(secret, `${prefix} key`, 16);
    this.iv = expand(secret, `${prefix} iv`, 12);
    this.header = expand(secret, `${prefix} hp`, 16);
  }
}

export class InitialProtection {
  readonly #sides: readonly [Keys, Keys];

  private constructor(salt: Uint8Array, connectionId: Uint8Array, prefix: string) {
    const initial = createHmac('sha256', salt).update(connectionId).digest();
    this.#sides = [new Keys(initial, 'client in', prefix), new Keys(initial, 'server in', prefix)];
  }

  /** Keys for the connection id the client chose first; null for versions that are not known. */
  static of(version: number, connectionId: Uint8Array): InitialProtection | null {
    const salt = saltOf(version);
    return salt === null ? null : new InitialProtection(salt, connectionId, version === QUIC_V2 ? 'quicv2' : 'quic');
  }

  /**
   * Payload of the packet buf[off, end) whose protected packet number is at `at`.
   * @param dir 0 = sent by the client. @returns null when it does not decrypt
   */
  open(dir: number, buf: Uint8Array, off: number, at: number, end: number): Uint8Array | null {
    if (at + 4 + SAMPLE > end) return null;
    const keys = this.#sides[dir]!;
    const mask = createCipheriv('aes-128-ecb', keys.header, null).setAutoPadding(false).update(buf.subarray(at + 4, at + 4 + SAMPLE));
    const header = buf.slice(off, at + 4);
    header[0] = header[0]! ^ (mask[0]! & 0x0f);
    const length = (header[0] & 3) + 1;
    const nonce = Uint8Array.from(keys.iv);
    for (let i = 0; i < length; i++) {
      const byte = header[at - off + i]! ^ mask[1 + i]!;
      header[at - off + i] = byte;
      nonce[12 - length + i] = nonce[12 - length + i]! ^ byte;
    }
    const from = at + length;
    if (end - from < TAG) return null;
    const cipher = createDecipheriv('aes-128-gcm', keys.key, nonce);
    cipher.setAAD(header.subarray(0, at - off + length));
    cipher.setAuthTag(buf.subarray(end - TAG, end));
    const plain = cipher.update(buf.subarray(from, end - TAG));
    try {
      cipher.final();
    } catch {
      return null; // not made with these keys
    }
    return plain;
  }
}
