/** The header of a rule: protocol, addresses, ports, direction - compiled to typed arrays, shared between equal rules. */
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_SCTP, PROTO_TCP, PROTO_UDP } from '../packet/index.js';
import type { PacketView } from '../packet/packet-view.js';
import type { AddressSet, PortSet } from 'snort-rule-parser';

/** Sorted disjoint address intervals of both families. */
export class AddressIntervals {
  readonly #first4: Uint32Array;
  readonly #last4: Uint32Array;
  /** Bounds of IPv6 intervals, four unsigned words each. */
  readonly #first6: Uint32Array;
  readonly #last6: Uint32Array;

  constructor(set: AddressSet) {
    this.#first4 = Uint32Array.from(set.v4, (range) => range.first);
    this.#last4 = Uint32Array.from(set.v4, (range) => range.last);
    this.#first6 = words(set.v6.map((range) => range.first));
    this.#last6 = words(set.v6.map((range) => range.last));
  }

  /** @param version 4 or 6. Words as PacketView stores them: signed, IPv4 in the first. */
  contains(version: number, w0: number, w1: number, w2: number, w3: number): boolean {
    return version === 4 ? this.#contains4(w0 >>> 0) : version === 6 && this.#contains6(w0 >>> 0, w1 >>> 0, w2 >>> 0, w3 >>> 0);
  }

  #contains4(address: number): boolean {
    const first = this.#first4;
    let low = 0;
    let high = first.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (first[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && address <= this.#last4[low - 1]!;
  }

  #contains6(w0: number, w1: number, w2: number, w3: number): boolean {
    const first = this.#first6;
    let low = 0;
    let high = first.length / 4;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare6(first, middle, w0, w1, w2, w3) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && compare6(this.#last6, low - 1, w0, w1, w2, w3) >= 0;
  }
}

function words(values: readonly bigint[]): Uint32Array {
  const out = new Uint32Array(values.length * 4);
  values.forEach((value, i) => {
    for (let word = 0; word < 4; word++) out[i * 4 + word] = Number((value >> BigInt(96 - 32 * word)) & 0xffff_ffffn);
  });
  return out;
}

function compare6(bounds: Uint32Array, row: number, w0: number, w1: number, w2: number, w3: number): number {
  const at = row * 4;
  return (bounds[at]! - w0) || (bounds[at + 1]! - w1) || (bounds[at + 2]! - w2) || (bounds[at + 3]! - w3);
}

export const PORT_COUNT = 65536;

/** One bit per port. */
export class PortBitmap {
  readonly #bits = new Uint32Array(2048);

  constructor(set: PortSet) {
    for (const { first, last } of set.ranges) {
      for (let port = first; port <= last; port++) this.#bits[port >>> 5]! |= 1 << (port & 31);
    }
  }

  contains(port: number): boolean {
    return (this.#bits[port >>> 5]! & (1 << (port & 31))) !== 0;
  }

  /** Tell every port whose predecessor is not on its side of the set. */
  forEachChange(tell: (port: number) => void): void {
    let inside = this.contains(0);
    for (let word = 0; word < this.#bits.length; word++) {
      if (this.#bits[word] === (inside ? 0xffff_ffff : 0)) continue;
      for (let port = word * 32; port < word * 32 + 32; port++) {
        if (this.contains(port) === inside) continue;
        inside = !inside;
        tell(port);
      }
    }
  }
}

/** Protocol words of rule headers that are not application protocols. */
export interface HeaderProtocol {
  /** IP protocol numbers, null = any. */
  readonly numbers: readonly number[] | null;
  /** 4, 6 or 0 = either. */
  readonly version: 0 | 4 | 6;
  /** Only single packets (tcp-pkt) or only the stream (tcp-stream). */
  readonly only: '' | 'packet' | 'stream';
  /** Also frames without an IP header (pkthdr). */
  readonly anyFrame: boolean;
}

function proto(numbers: readonly number[] | null, version: 0 | 4 | 6 = 0, only: HeaderProtocol['only'] = '', anyFrame = false): HeaderProtocol {
  return { numbers, version, only, anyFrame };
}

export const HEADER_PROTOCOLS: Readonly<Record<string, HeaderProtocol>> = {
  ip: proto(null),
  ipv4: proto(null, 4),
  ip4: proto(null, 4),
  ipv6: proto(null, 6),
  ip6: proto(null, 6),
  tcp: proto([PROTO_TCP]),
  'tcp-pkt': proto([PROTO_TCP], 0, 'packet'),
  'tcp-stream': proto([PROTO_TCP], 0, 'stream'),
  udp: proto([PROTO_UDP]),
  icmp: proto([PROTO_ICMP, PROTO_ICMPV6]),
  icmpv4: proto([PROTO_ICMP]),
  icmpv6: proto([PROTO_ICMPV6]),
  sctp: proto([PROTO_SCTP]),
  pkthdr: proto(null, 0, '', true),
};

export class RuleHeader {
  /** One bit per IP protocol, null = any. */
  readonly #protocols: Uint32Array | null;

  constructor(
    readonly protocol: HeaderProtocol,
    readonly source: AddressIntervals | null,
    readonly sourcePorts: PortBitmap | null,
    readonly destination: AddressIntervals | null,
    readonly destinationPorts: PortBitmap | null,
    readonly bidirectional: boolean,
  ) {
    this.#protocols = protocol.numbers === null ? null : new Uint32Array(8);
    for (const number of protocol.numbers ?? []) this.#protocols![number >>> 5]! |= 1 << (number & 31);
  }

  get anyAddress(): boolean {
    return this.source === null && this.destination === null;
  }

  get anyPort(): boolean {
    return this.sourcePorts === null && this.destinationPorts === null;
  }

  takesProtocol(number: number): boolean {
    return this.#protocols === null || (this.#protocols[number >>> 5]! & (1 << (number & 31))) !== 0;
  }

  matches(view: PacketView): boolean {
    if (view.ipVersion === 0) return this.protocol.anyFrame && this.anyAddress && this.anyPort;
    if (this.protocol.version !== 0 && this.protocol.version !== view.ipVersion) return false;
    if (!this.takesProtocol(view.proto)) return false;
    return this.#forward(view) || (this.bidirectional && this.#backward(view));
  }

  #forward(view: PacketView): boolean {
    if (this.destinationPorts !== null && !this.destinationPorts.contains(view.dstPort)) return false;
    if (this.sourcePorts !== null && !this.sourcePorts.contains(view.srcPort)) return false;
    // A later fragment has no ports: rules that name ports cannot be judged on it.
    if (view.l4Off < 0 && !this.anyPort) return false;
    const version = view.ipVersion;
    if (this.source !== null && !this.source.contains(version, view.src0, view.src1, view.src2, view.src3)) return false;
    return this.destination === null || this.destination.contains(version, view.dst0, view.dst1, view.dst2, view.dst3);
  }

  #backward(view: PacketView): boolean {
    if (this.destinationPorts !== null && !this.destinationPorts.contains(view.srcPort)) return false;
    if (this.sourcePorts !== null && !this.sourcePorts.contains(view.dstPort)) return false;
    if (view.l4Off < 0 && !this.anyPort) return false;
    const version = view.ipVersion;
    if (this.source !== null && !this.source.contains(version, view.dst0, view.dst1, view.dst2, view.dst3)) return false;
    return this.destination === null || this.destination.contains(version, view.src0, view.src1, view.src2, view.src3);
  }
}
