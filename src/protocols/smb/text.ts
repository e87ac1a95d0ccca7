/** Strings of SMB and NTLMSSP: UTF-16 little endian or bytes, given to rules as UTF-8. */
import { le16, le32 } from '../../util/index.js';

/** Text of buf[off, end) up to its NUL. */
export function smbText(buf: Uint8Array, off: number, end: number, unicode: boolean): Uint8Array {
  let stop = off;
  if (!unicode) {
    while (stop < end && buf[stop] !== 0) stop++;
    return buf.slice(off, stop);
  }
  while (stop + 1 < end && (buf[stop] !== 0 || buf[stop + 1] !== 0)) stop += 2;
  return Buffer.from(Buffer.from(buf.buffer, buf.byteOffset + off, stop - off).toString('utf16le'), 'utf8');
}

const SIGNATURE = [0x4e, 0x54, 0x4c, 0x4d, 0x53, 0x53, 0x50, 0];
const AUTHENTICATE = 3;
const HEADER = 64;

/** Offset of an NTLMSSP AUTHENTICATE message (MS-NLMP 2.2.1.3) in buf[off, end), -1 when there is none. */
export function findAuthenticate(buf: Uint8Array, off: number, end: number): number {
  for (let i = off; i + HEADER <= end; i++) {
    let k = 0;
    while (k < 8 && buf[i + k] === SIGNATURE[k]) k++;
    if (k === 8) return le32(buf, i + 8) === AUTHENTICATE ? i : -1;
  }
  return -1;
}

/** A field of the message at `at`: length, maximum, offset from its start. */
export function ntlmField(buf: Uint8Array, at: number, field: number, end: number): Uint8Array {
  const length = le16(buf, at + field);
  const offset = le32(buf, at + field + 4) >>> 0;
  const unicode = (le32(buf, at + 60) & 1) !== 0;
  return at + offset + length <= end ? smbText(buf, at + offset, at + offset + length, unicode) : new Uint8Array(0);
}
