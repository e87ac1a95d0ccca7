/**
 * Reading and writing integers in byte arrays. The readers do not check bounds: the caller has compared the length
 * once before (reading past the end yields 0 bits and costs an optimisation bail-out, never memory safety).
 */

/** Unsigned 16 bits, network order. */
export function be16(buf: Uint8Array, off: number): number {
  return (buf[off]! << 8) | buf[off + 1]!;
}

/** 32 bits, network order, as *signed* int32 (print with `>>> 0`). */
export function be32(buf: Uint8Array, off: number): number {
  return (buf[off]! << 24) | (buf[off + 1]! << 16) | (buf[off + 2]! << 8) | buf[off + 3]!;
}

/** Unsigned 16 bits, little endian. */
export function le16(buf: Uint8Array, off: number): number {
  return buf[off]! | (buf[off + 1]! << 8);
}

/** 32 bits, little endian, as *signed* int32. */
export function le32(buf: Uint8Array, off: number): number {
  return buf[off]! | (buf[off + 1]! << 8) | (buf[off + 2]! << 16) | (buf[off + 3]! << 24);
}

export function putBe16(buf: Uint8Array, off: number, value: number): void {
  buf[off] = value >>> 8;
  buf[off + 1] = value;
}

export function putBe32(buf: Uint8Array, off: number, value: number): void {
  buf[off] = value >>> 24;
  buf[off + 1] = value >>> 16;
  buf[off + 2] = value >>> 8;
  buf[off + 3] = value;
}

export function putLe16(buf: Uint8Array, off: number, value: number): void {
  buf[off] = value;
  buf[off + 1] = value >>> 8;
}

export function putLe32(buf: Uint8Array, off: number, value: number): void {
  buf[off] = value;
  buf[off + 1] = value >>> 8;
  buf[off + 2] = value >>> 16;
  buf[off + 3] = value >>> 24;
}

/** Lower-case hex without separators (logs and tests; allocates). */
export function toHex(buf: Uint8Array, off = 0, len = buf.length - off): string {
  let text = '';
  for (let i = 0; i < len; i++) text += buf[off + i]!.toString(16).padStart(2, '0');
  return text;
}

/**
 * Bytes of a hex string; white space and ':' between bytes are ignored.
 * @throws SyntaxError on anything else
 */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]+/g, '');
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits)) throw new SyntaxError('not a hex string');
  const out = new Uint8Array(digits.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16);
  return out;
}
