/**
 * The one representation of bytes in this room: a byte string, that is a JavaScript string whose code units are the bytes
 * 0..255 (Latin-1). Chosen once for speed: V8 stores it in one byte per character, compares and hashes it natively (caches
 * and collections are keyed by it), cuts it without copying, and `Buffer` moves it to and from a Uint8Array at memcpy speed.
 * A string with a unit above 255 never enters the room: text of rule files is read as Latin-1 as well, so that a rule's UTF-8
 * bytes meet the same bytes of the traffic.
 */
export type ByteString = string;

/** Bytes buf[off, off+len) as a byte string. */
export function byteString(buf: Uint8Array, off: number, len: number): ByteString {
  return asBuffer(buf).toString('latin1', off, off + len);
}

/** A Buffer over the same memory. */
export function asBuffer(buf: Uint8Array): Buffer {
  return Buffer.isBuffer(buf) ? buf : Buffer.from(buf.buffer, buf.byteOffset, buf.byteLength);
}

/** Bytes; grows to the longest value seen, which the body limits bound. */
const INITIAL_SCRATCH = 1 << 16;
let scratchBuffer = Buffer.allocUnsafeSlow(INITIAL_SCRATCH);

/**
 * The bytes of `value` at the start of a shared buffer, for the native matchers: valid until the next call of this function
 * in the same thread, so never keep it and never call it twice for one operation.
 */
export function toScratch(value: ByteString): Buffer {
  const length = value.length;
  if (length > scratchBuffer.length) scratchBuffer = Buffer.allocUnsafeSlow(Math.max(length, 2 * scratchBuffer.length));
  scratchBuffer.write(value, 0, length, 'latin1');
  return scratchBuffer;
}

/** ASCII letters in lower case, all other bytes as they are (String.toLowerCase would also change 0xc0..0xde). */
export function lowerAscii(value: ByteString): ByteString {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c >= 0x41 && c <= 0x5a) return lowerFrom(value, i);
  }
  return value;
}

const ONLY_ASCII = /^[\0-\x7f]*$/;

function lowerFrom(value: ByteString, from: number): ByteString {
  if (ONLY_ASCII.test(value)) return value.toLowerCase();
  const length = value.length;
  const buf = toScratch(value);
  for (let i = from; i < length; i++) {
    const c = buf[i]!;
    if (c >= 0x41 && c <= 0x5a) buf[i] = c + 32;
  }
  return buf.toString('latin1', 0, length);
}

/** A copy that holds no larger string alive: for what outlives the transaction. */
export function detached(value: ByteString): ByteString {
  return Buffer.from(value, 'latin1').toString('latin1');
}

/** Bytes as printable text for events: bytes that are UTF-8 become their characters, others \xHH. */
export function displayText(value: ByteString): string {
  if (ONLY_PRINTABLE.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  try {
    return UTF8.decode(bytes).replace(CONTROL, escapeUnit);
  } catch {
    // not UTF-8: every byte outside printable ASCII by its number
    return value.replace(NOT_PRINTABLE, escapeUnit);
  }
}

const ONLY_PRINTABLE = /^[\x20-\x7e]*$/;
const NOT_PRINTABLE = /[^\x20-\x7e]/g;
const CONTROL = /\p{Cc}/gu;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function escapeUnit(unit: string): string {
  return `\\x${unit.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
