/**
 * Addresses as text and as numbers: IPv4 and IPv6 as the 4 + 4 int32 words of PacketView, MAC as high 16 and low 32 bits.
 * Text is for configuration and events; the packet path compares words. Formatting follows RFC 5952.
 */
import { toHex } from '../util/index.js';
import type { PacketView } from './packet-view.js';

/** An IP address. `words` has one entry for IPv4, four for IPv6 (signed int32, network order). */
export interface IpAddress {
  readonly version: 4 | 6;
  readonly words: readonly number[];
}

/** A network: the address has no bits set beyond the prefix length. */
export interface IpPrefix extends IpAddress {
  readonly prefixLen: number;
}

export interface MacAddress {
  readonly hi: number;
  readonly lo: number;
}

const DECIMAL_OCTET = /^(0|[1-9]\d{0,2})$/;

/** Dotted quad -> int32 word, or undefined. Leading zeros are refused: some parsers read them as octal. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let word = 0;
  for (const part of parts) {
    if (!DECIMAL_OCTET.test(part) || Number(part) > 255) return undefined;
    word = (word << 8) | Number(part);
  }
  return word;
}

/** IPv6 text (RFC 4291 section 2.2, all three forms, no zone) -> four words, or undefined. */
export function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  const words: number[] = [];
  for (let i = 0; i < 8; i += 2) words.push((groups[i]! << 16) | groups[i + 1]!);
  return words;
}

/** 16-bit groups of one side of `::`; a dotted quad may end the address. */
function parseGroups(text: string, mayEndDotted: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (part.includes('.') && mayEndDotted && i === parts.length - 1) {
      const word = parseIpv4(part);
      if (word === undefined) return undefined;
      groups.push(word >>> 16, word & 0xffff);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

/** IPv4 or IPv6 text -> address. @throws SyntaxError */
export function parseIp(text: string): IpAddress {
  const word = parseIpv4(text);
  if (word !== undefined) return { version: 4, words: [word] };
  const words = parseIpv6(text);
  if (words !== undefined) return { version: 6, words };
  throw new SyntaxError(`"${text}" is not an IP address`);
}

/**
 * `address` or `address/length` -> network; host bits are cleared (rule languages accept 10.1.2.3/8).
 * @throws SyntaxError
 */
export function parsePrefix(text: string): IpPrefix {
  const slash = text.indexOf('/');
  const address = parseIp(slash < 0 ? text : text.slice(0, slash));
  const bits = address.version === 4 ? 32 : 128;
  if (slash < 0) return { ...address, prefixLen: bits };
  const length = text.slice(slash + 1);
  if (!DECIMAL_OCTET.test(length) || Number(length) > bits) throw new SyntaxError(`"${text}": prefix length must be 0 to ${bits}`);
  const prefixLen = Number(length);
  return { version: address.version, words: address.words.map((word, i) => word & prefixMask(prefixLen - i * 32)), prefixLen };
}

/** Mask word with the upper `bits` bits set (below 0: none, above 32: all). */
export function prefixMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

/** True when the address lies in the network. */
export function prefixContains(prefix: IpPrefix, address: IpAddress): boolean {
  if (prefix.version !== address.version) return false;
  return prefix.words.every((word, i) => ((word ^ address.words[i]!) & prefixMask(prefix.prefixLen - i * 32)) === 0);
}

export function formatIpv4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
export function formatIpv6(w0: number, w1: number, w2: number, w3: number): string {
  const groups = [w0, w1, w2, w3].flatMap((word) => [word >>> 16, word & 0xffff]);
  // Section 5: IPv4-mapped addresses are written with a dotted quad.
  if (w0 === 0 && w1 === 0 && w2 === 0xffff) return `::ffff:${formatIpv4(w3)}`;
  let best = -1;
  let bestLen = 1;
  for (let i = 0; i < 8; i++) {
    let len = 0;
    while (i + len < 8 && groups[i + len] === 0) len++;
    if (len > bestLen) {
      best = i;
      bestLen = len;
    }
    i += len;
  }
  const text = groups.map((group) => group.toString(16));
  if (best < 0) return text.join(':');
  return `${text.slice(0, best).join(':')}::${text.slice(best + bestLen).join(':')}`;
}

export function formatIp(version: number, w0: number, w1: number, w2: number, w3: number): string {
  return version === 4 ? formatIpv4(w0) : formatIpv6(w0, w1, w2, w3);
}

/** Source address of a decoded packet as text; '' when it has no IP header. */
export function sourceIp(view: PacketView): string {
  return view.ipVersion === 0 ? '' : formatIp(view.ipVersion, view.src0, view.src1, view.src2, view.src3);
}

/** Destination address of a decoded packet as text; '' when it has no IP header. */
export function destinationIp(view: PacketView): string {
  return view.ipVersion === 0 ? '' : formatIp(view.ipVersion, view.dst0, view.dst1, view.dst2, view.dst3);
}

/** `00:11:22:33:44:55` (also with '-') -> MAC. @throws SyntaxError */
export function parseMac(text: string): MacAddress {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) throw new SyntaxError(`"${text}" is not a MAC address`);
  const digits = text.replace(/[:-]/g, '');
  return { hi: Number.parseInt(digits.slice(0, 4), 16), lo: Number.parseInt(digits.slice(4), 16) | 0 };
}

export function formatMac(hi: number, lo: number): string {
  const digits = (hi & 0xffff).toString(16).padStart(4, '0') + (lo >>> 0).toString(16).padStart(8, '0');
  return digits.match(/../g)!.join(':');
}

/** Group bit of a MAC (multicast or broadcast). */
export function isMulticastMac(hi: number): boolean {
  return (hi & 0x0100) !== 0;
}

/** An address as bytes in hex, for keys and tests. */
export function ipKey(address: IpAddress): string {
  const bytes = new Uint8Array(address.words.length * 4);
  const data = new DataView(bytes.buffer);
  for (const [i, word] of address.words.entries()) data.setInt32(i * 4, word);
  return toHex(bytes);
}
