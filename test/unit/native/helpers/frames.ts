/** Frames built from fields, with checksums computed the slow way: the oracle for what native code produces. */

export interface FrameFields {
  ipv6: boolean;
  udp: boolean;
  /** TCI of each 802.1Q tag, outermost first. */
  tags: readonly number[];
  /** IPv4 options or IPv6 extension header bytes (multiple of 4, respectively 8; may be empty). */
  ipExtra: Uint8Array;
  tcpOptions: Uint8Array;
  tcpFlags: number;
  seq: number;
  ipId: number;
  payload: Uint8Array;
}

function sum16(parts: readonly Uint8Array[]): number {
  const bytes = Buffer.concat(parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i] * 256 + (i + 1 < bytes.length ? bytes[i + 1] : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

const u16 = (v: number): number[] => [(v >> 8) & 255, v & 255];
const u32 = (v: number): number[] => [v >>> 24, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];
const MACS = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

export interface BuiltFrame {
  bytes: Uint8Array;
  l3: number;
  l4: number;
  headers: number;
}

/** @param partial leave the pseudo-header sum in the checksum field, as the kernel does before segmentation offload */
export function buildFrame(f: FrameFields, partial: boolean): BuiltFrame {
  const type = f.ipv6 ? 0x86dd : 0x0800;
  const link = Uint8Array.from([...MACS, ...f.tags.flatMap((tci) => [0x81, 0, ...u16(tci)]), ...u16(type)]);
  const proto = f.udp ? 17 : 6;
  const l4Length = (f.udp ? 8 : 20 + f.tcpOptions.length) + f.payload.length;
  const addresses = f.ipv6
    ? Uint8Array.from([0xfd, 0, ...new Uint8Array(13), 1, 0xfd, 0, ...new Uint8Array(13).fill(7), 2])
    : Uint8Array.of(10, 1, 2, 3, 10, 4, 5, 6);
  let ip: Uint8Array;
  if (f.ipv6) {
    // The extra bytes become one destination options header whose content is padding.
    const extra = Uint8Array.from(f.ipExtra);
    if (extra.length > 0) {
      extra[0] = proto;
      extra[1] = extra.length / 8 - 1;
    }
    const next = extra.length > 0 ? 60 : proto;
    ip = Uint8Array.from([0x60, 0, 0, 0, ...u16(extra.length + l4Length), next, 64, ...addresses, ...extra]);
  } else {
    const words = 5 + f.ipExtra.length / 4;
    const total = words * 4 + l4Length;
    ip = Uint8Array.from([0x40 | words, 0, ...u16(total), ...u16(f.ipId), 0x40, 0, 64, proto, 0, 0, ...addresses, ...f.ipExtra]);
    ip.set(u16(0xffff - sum16([ip])), 10);
  }
  const l4 = f.udp
    ? Uint8Array.from([...u16(5000), ...u16(53), ...u16(l4Length), 0, 0])
    : Uint8Array.from([
        ...u16(40000), ...u16(80), ...u32(f.seq), ...u32(77), ((20 + f.tcpOptions.length) / 4) << 4, f.tcpFlags,
        ...u16(512), 0, 0, ...u16(0), ...f.tcpOptions,
      ]);
  const pseudo = Uint8Array.from([...addresses, ...u32(l4Length), ...u32(proto)]);
  const whole = 0xffff - sum16([pseudo, l4, f.payload]);
  const field = partial ? sum16([pseudo]) : whole === 0 ? 0xffff : whole;
  l4.set(u16(field), f.udp ? 6 : 16);
  return {
    bytes: Buffer.concat([link, ip, l4, f.payload]),
    l3: link.length,
    l4: link.length + ip.length,
    headers: link.length + ip.length + l4.length,
  };
}

/** What a network card with segmentation offload puts on the wire for `f`. */
export function expectedSegments(f: FrameFields, gsoSize: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0, i = 0; at < f.payload.length || i === 0; at += gsoSize, i++) {
    const last = at + gsoSize >= f.payload.length;
    const flags = f.tcpFlags & (last ? 0xff : ~0x09) & (i === 0 ? 0xff : ~0x80);
    const part = {
      ...f,
      payload: f.payload.subarray(at, at + gsoSize),
      seq: (f.seq + at) >>> 0,
      ipId: (f.ipId + i) & 0xffff,
      tcpFlags: flags,
    };
    out.push(buildFrame(part, false).bytes);
  }
  return out;
}
