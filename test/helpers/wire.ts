/**
 * Frames written byte by byte for tests, with every field open to abuse: wrong checksums, odd options, fragments, tags.
 * Independent of src/packet on purpose: what attacks the appliance must not share its mistakes.
 */

export const MAC_CLIENT = [2, 0, 0, 0, 0, 0x0a];
export const MAC_SERVER = [2, 0, 0, 0, 0, 0x0b];
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const URG = 32;

export const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((p) => [...p]));
}

export const be16 = (n: number): number[] => [(n >>> 8) & 0xff, n & 0xff];
export const be32 = (n: number): number[] => [...be16(n >>> 16), ...be16(n & 0xffff)];

/** RFC 1071, folded, not inverted. */
export function sum(bytes: ArrayLike<number>, start = 0): number {
  let s = start;
  for (let i = 0; i < bytes.length; i++) s += i & 1 ? bytes[i]! : bytes[i]! << 8;
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000);
  return s;
}

export interface Addresses {
  readonly v6: boolean;
  readonly src: readonly number[];
  readonly dst: readonly number[];
}

const V4_CLIENT = [10, 0, 0, 1];
const V4_SERVER = [10, 0, 0, 2];
const V6_CLIENT = [0xfd, ...Array<number>(14).fill(0), 1];
const V6_SERVER = [0xfd, ...Array<number>(14).fill(0), 2];

/** @param dir 0 = client to server */
export function addresses(dir: number, v6 = false): Addresses {
  const [c, s] = v6 ? [V6_CLIENT, V6_SERVER] : [V4_CLIENT, V4_SERVER];
  return dir === 0 ? { v6, src: c, dst: s } : { v6, src: s, dst: c };
}

function pseudo(a: Addresses, proto: number, len: number): number {
  return sum(a.src) + sum(a.dst) + proto + len;
}

export interface TcpFields {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window?: number;
  readonly urgent?: number;
  readonly options?: readonly number[];
  readonly data?: Uint8Array;
  readonly badSum?: boolean;
}

/** A TCP segment with its checksum. */
export function tcpSegment(a: Addresses, f: TcpFields): Uint8Array {
  const options = [...(f.options ?? [])];
  while (options.length % 4 !== 0) options.push(1);
  const segment = concat(
    be16(f.srcPort), be16(f.dstPort), be32(f.seq), be32(f.ack),
    [((20 + options.length) / 4) << 4, f.flags], be16(f.window ?? 65535), [0, 0], be16(f.urgent ?? 0), options, f.data ?? [],
  );
  const checksum = ~sum(segment, pseudo(a, 6, segment.length)) & 0xffff;
  segment.set(be16(f.badSum === true ? checksum ^ 0x5555 : checksum), 16);
  return segment;
}

export function udpDatagram(a: Addresses, srcPort: number, dstPort: number, data: Uint8Array, badSum = false): Uint8Array {
  const d = concat(be16(srcPort), be16(dstPort), be16(8 + data.length), [0, 0], data);
  const checksum = (~sum(d, pseudo(a, 17, d.length)) & 0xffff) || 0xffff;
  d.set(be16(badSum ? checksum ^ 0x5555 : checksum), 6);
  return d;
}

export interface IpFields {
  readonly proto: number;
  readonly ttl?: number;
  readonly id?: number;
  /** IPv4 options, a multiple of four bytes. */
  readonly options?: readonly number[];
  /** Fragment: byte offset, and whether more follow. */
  readonly offset?: number;
  readonly more?: boolean;
  readonly badHeaderSum?: boolean;
}

/** One IPv4 packet or fragment around `payload`. */
export function ipv4(a: Addresses, f: IpFields, payload: Uint8Array): Uint8Array {
  const options = f.options ?? [];
  const fragment = ((f.offset ?? 0) >>> 3) | (f.more === true ? 0x2000 : 0);
  const header = concat(
    [0x40 | ((20 + options.length) / 4), 0], be16(20 + options.length + payload.length), be16(f.id ?? 0), be16(fragment),
    [f.ttl ?? 64, f.proto, 0, 0], a.src, a.dst, options,
  );
  const checksum = ~sum(header) & 0xffff;
  header.set(be16(f.badHeaderSum === true ? checksum ^ 0x5555 : checksum), 10);
  return concat(header, payload);
}

/** One IPv6 packet; `extensions` stand in front of the payload as they are, `first` is the type of the first header. */
export function ipv6(a: Addresses, first: number, extensions: Uint8Array | readonly number[], payload: Uint8Array, hops = 64): Uint8Array {
  return concat([0x60, 0, 0, 0], be16(extensions.length + payload.length), [first, hops], a.src, a.dst, extensions, payload);
}

/** IPv6 fragment header. */
export function fragmentHeader(next: number, offset: number, more: boolean, id: number): number[] {
  return [next, 0, ...be16((offset & 0xfff8) | (more ? 1 : 0)), ...be32(id)];
}

export interface LinkFields {
  readonly tags?: readonly { readonly tpid: number; readonly tci: number }[];
  readonly dstMac?: readonly number[];
  readonly srcMac?: readonly number[];
}

/** Ethernet around an IP packet. */
export function ethernet(dir: number, packet: Uint8Array, link: LinkFields = {}, type = packet[0]! >>> 4 === 6 ? 0x86dd : 0x0800): Uint8Array {
  const dst = link.dstMac ?? (dir === 0 ? MAC_SERVER : MAC_CLIENT);
  const src = link.srcMac ?? (dir === 0 ? MAC_CLIENT : MAC_SERVER);
  const tags = (link.tags ?? []).flatMap((t) => [...be16(t.tpid), ...be16(t.tci)]);
  return concat(dst, src, tags, be16(type), packet);
}
