/** Kinds of encapsulation a packet may be the outside of. `decodeInner` (decode.ts) goes one level in. */
import type { PacketView } from './packet-view.js';

export const TunnelKind = {
  NONE: 0,
  GRE: 1,
  VXLAN: 2,
  GENEVE: 3,
  TEREDO: 4,
  /** IPv4 as IP protocol 4, in IPv4 or IPv6 (RFC 2003, RFC 2473). */
  IPIP: 5,
  /** IPv6 as IP protocol 41, in IPv4 or IPv6 (RFC 4213, RFC 2473). */
  SIT: 6,
  ERSPAN: 7,
} as const;
export type TunnelKind = (typeof TunnelKind)[keyof typeof TunnelKind];
export const TUNNEL_NAMES = ['none', 'gre', 'vxlan', 'geneve', 'teredo', 'ipip', 'sit', 'erspan'] as const;

/** Tunnels in tunnels that are followed; deeper ones raise too_many_layers. */
export const MAX_TUNNEL_DEPTH = 4;

/** Note that the payload of `view` holds another packet, `innerType` (an EtherType) at `innerOff`. */
export function setTunnel(view: PacketView, kind: TunnelKind, innerOff: number, innerType: number): void {
  view.tunnel = kind;
  view.innerOff = innerOff;
  view.innerType = innerType;
}
