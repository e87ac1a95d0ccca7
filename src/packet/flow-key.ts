/** Flow hashing: the same value for both directions of a connection, keyed by a per-process seed. */
import { fmix32, mix32 } from '../util/index.js';
import type { PacketView } from './packet-view.js';

/**
 * Symmetric hash of addresses, ports, protocol and the VLAN ids (both tags: equal addresses in two VLANs are two flows).
 * @param seed random per process, so that nobody outside can aim flows at one bucket
 * @returns signed int32
 */
export function flowHash(view: PacketView, seed: number): number {
  const vlan = ((view.vlan1 & 0x0fff) << 12) | (view.vlan0 & 0x0fff);
  return flowHashOf(view.src0, view.src1, view.src2, view.src3, view.dst0, view.dst1, view.dst2, view.dst3, view.srcPort, view.dstPort, view.proto, vlan, seed);
}

/** The same from its parts (for keys that are not in a view, e.g. the flow an ICMP error quotes); `vlan` is inner id << 12 | outer id. */
export function flowHashOf(
  s0: number,
  s1: number,
  s2: number,
  s3: number,
  d0: number,
  d1: number,
  d2: number,
  d3: number,
  srcPort: number,
  dstPort: number,
  proto: number,
  vlan: number,
  seed: number,
): number {
  // Each end is hashed by itself, then the two are combined by operations that do not care for order. A sum and a
  // product-like mix of both keep what a plain xor would lose when the ends are alike.
  const a = endpointHash(s0, s1, s2, s3, srcPort, seed);
  const b = endpointHash(d0, d1, d2, d3, dstPort, seed);
  return fmix32(mix32((a + b) | 0, a ^ b ^ (proto << 24) ^ vlan));
}

function endpointHash(w0: number, w1: number, w2: number, w3: number, port: number, seed: number): number {
  let h = mix32(seed, w0);
  // IPv4 (and nothing else worth a shortcut) has zeros here.
  if ((w1 | w2 | w3) !== 0) h = mix32(mix32(mix32(h, w1), w2), w3);
  return mix32(h, port);
}

/**
 * Order of the two ends for a canonical key: true when the source is the lower one (by address words, then port, unsigned).
 */
export function sourceIsLower(view: PacketView): boolean {
  if (view.src0 !== view.dst0) return view.src0 >>> 0 < view.dst0 >>> 0;
  if (view.src1 !== view.dst1) return view.src1 >>> 0 < view.dst1 >>> 0;
  if (view.src2 !== view.dst2) return view.src2 >>> 0 < view.dst2 >>> 0;
  if (view.src3 !== view.dst3) return view.src3 >>> 0 < view.dst3 >>> 0;
  return view.srcPort <= view.dstPort;
}
