/** TLS 1.2 ClientHello with a server name (RFC 5246, RFC 6066), and the alert of a server that will not go on. */
import { latin1 } from './text.mjs';

const CIPHERS = [0xc02f, 0xc030, 0xc02b, 0xc02c, 0x009c, 0x009d];

function u16(value) {
  return Buffer.of(value >>> 8, value & 0xff);
}

function sized(bytes) {
  return Buffer.concat([u16(bytes.length), bytes]);
}

function extension(type, body) {
  return Buffer.concat([u16(type), sized(body)]);
}

/** @param {string} serverName */
export function clientHello(serverName) {
  const random = Buffer.from(Array.from({ length: 32 }, (_, i) => (i * 73 + 41) & 0xff));
  const extensions = Buffer.concat([
    extension(0, sized(Buffer.concat([Buffer.of(0), sized(latin1(serverName))]))),
    extension(10, sized(Buffer.concat([u16(0x001d), u16(0x0017)]))),
    extension(11, Buffer.of(1, 0)),
    extension(13, sized(Buffer.concat([u16(0x0403), u16(0x0401), u16(0x0804)]))),
  ]);
  const hello = Buffer.concat([
    u16(0x0303),
    random,
    Buffer.of(0),
    sized(Buffer.concat(CIPHERS.map(u16))),
    Buffer.of(1, 0),
    sized(extensions),
  ]);
  const handshake = Buffer.concat([Buffer.of(1, 0), sized(hello)]);
  return Buffer.concat([Buffer.of(22, 3, 1), sized(handshake)]);
}

/** Fatal alert handshake_failure. */
export const HANDSHAKE_FAILURE = Buffer.of(21, 3, 3, 0, 2, 2, 40);
