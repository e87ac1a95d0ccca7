/** Frames for the firewall's tests, built with the packet room and decoded again. */
import { decode, finishIpv4, finishIpv6, PacketView, parseIp, parseMac, putEthernet, putIcmp, putIpv4, putIpv6, putTcp, putUdp } from '../../../src/packet/index.js';
import { putBe16, putBe32 } from '../../../src/util/index.js';

export interface FrameSpec {
  readonly src?: string;
  readonly dst?: string;
  readonly proto?: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | number;
  readonly sport?: number;
  readonly dport?: number;
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly urgPtr?: number;
  readonly icmp?: readonly [number, number];
  readonly payload?: number;
  /** Bytes of fragment offset and MF flag: the frame is a fragment. */
  readonly fragment?: { readonly offset: number; readonly more: boolean };
  readonly etherType?: number;
  readonly smac?: string;
  readonly dmac?: string;
  readonly vlans?: readonly number[];
  readonly seconds?: number;
}

const PROTO = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58 } as const;

/** The bytes of a frame. Without `src` and with an etherType: a frame without IP. */
export function frame(spec: FrameSpec): Uint8Array {
  const buf = new Uint8Array(2048);
  const s = parseMac(spec.smac ?? '02:00:00:00:00:01');
  const d = parseMac(spec.dmac ?? '02:00:00:00:00:02');
  const src = spec.src === undefined ? undefined : parseIp(spec.src);
  const type = spec.etherType ?? (src === undefined ? 0x88cc : src.version === 4 ? 0x0800 : 0x86dd);
  const vlans = spec.vlans ?? [];
  let at = putEthernet(buf, 0, d.hi, d.lo, s.hi, s.lo, vlans.length > 0 ? 0x8100 : type);
  vlans.forEach((tci, i) => {
    putBe16(buf, at, tci);
    putBe16(buf, at + 2, i + 1 < vlans.length ? 0x8100 : type);
    at += 4;
  });
  if (src === undefined) return buf.slice(0, at + 46);
  const dst = parseIp(spec.dst!);
  const proto = typeof spec.proto === 'number' ? spec.proto : PROTO[spec.proto ?? 'tcp'];
  const l3 = at;
  const [s0, s1, s2, s3] = src.words as [number, number, number, number];
  const [d0, d1, d2, d3] = dst.words as [number, number, number, number];
  const v6 = src.version === 6;
  at = v6 ? putIpv6(buf, at, s0, s1, s2, s3, d0, d1, d2, d3, spec.fragment ? 44 : proto, 64) : putIpv4(buf, at, s0, d0, proto, 64);
  if (spec.fragment) {
    const { offset, more } = spec.fragment;
    if (v6) {
      buf[at] = proto;
      putBe16(buf, at + 2, offset | (more ? 1 : 0));
      putBe32(buf, at + 4, 77);
      at += 8;
    } else {
      putBe16(buf, l3 + 4, 77);
      putBe16(buf, l3 + 6, (more ? 0x2000 : 0) | (offset >> 3));
    }
  }
  const l4 = at;
  if (spec.fragment === undefined || spec.fragment.offset === 0) {
    if (proto === 6) at = putTcp(buf, at, spec.sport ?? 40000, spec.dport ?? 80, spec.seq ?? 1000, spec.ack ?? 0, spec.flags ?? 2, 65535);
    else if (proto === 17) at = putUdp(buf, at, spec.sport ?? 40000, spec.dport ?? 80);
    else if (proto === 1 || proto === 58) at = putIcmp(buf, at, spec.icmp?.[0] ?? (proto === 1 ? 8 : 128), spec.icmp?.[1] ?? 0, 0x00010001);
    if (proto === 6) putBe16(buf, l4 + 18, spec.urgPtr ?? 0);
  }
  at += spec.payload ?? (spec.fragment ? 64 : 0);
  if (v6) finishIpv6(buf, l3, at, spec.fragment ? 59 : proto, l4);
  else finishIpv4(buf, l3, at);
  return buf.slice(0, Math.max(at, 60));
}

/** The frame decoded into a view of its own. */
export function packet(spec: FrameSpec): PacketView {
  const bytes = frame(spec);
  const view = new PacketView();
  decode(view, bytes, 0, bytes.length, 1);
  view.tsSec = spec.seconds ?? 0;
  return view;
}
