/**
 * When does one rule match everything another one matches? Each field is reduced to the set of values it admits, including
 * what other fields imply (a port implies TCP, UDP or SCTP, an IPv4 address an IPv4 frame). Sound but not complete: rules
 * that only together cover another one are not found.
 */
import type { AddressSet } from './address-set.js';
import type { EndMatch, FirewallRule, Match, TcpFlagMatch } from './model.js';
import { NumberSet } from './number-set.js';

const IPV4_FRAME = 0x0800;
const IPV6_FRAME = 0x86dd;
const ALL_NUMBERS = new NumberSet([[0, 0xffff]]);
const ALL_PROTOCOLS = new NumberSet([[0, 255]]);
const WITH_PORTS = NumberSet.of(6, 17, 132);

/** What a rule admits, field by field; null = any value and absent as well. */
export interface Shape {
  readonly frame: NumberSet;
  readonly protocol: NumberSet | null;
  readonly source: EndShape;
  readonly destination: EndShape;
  /** Cell per value of the eight flags, null = any. */
  readonly flags: Uint8Array | null;
  readonly icmp: NumberSet | null;
  readonly rule: FirewallRule;
}

export interface EndShape {
  readonly address: AddressSet | null;
  readonly port: NumberSet | null;
  readonly mac: EndMatch['mac'];
}

export function shapeOf(rule: FirewallRule): Shape {
  const source = endShape(rule.source);
  const destination = endShape(rule.destination);
  const protocol = impliedProtocol(rule, source, destination);
  const needsIp = protocol !== null || source.address !== null || destination.address !== null;
  let frame = rule.frame === null ? ALL_NUMBERS : effective(rule.frame, ALL_NUMBERS);
  if (needsIp) {
    const versions = ([4, 6] as const).filter((v) => (source.address?.hasVersion(v) ?? true) && (destination.address?.hasVersion(v) ?? true));
    frame = intersection(frame, NumberSet.of(...versions.map((v) => (v === 4 ? IPV4_FRAME : IPV6_FRAME))));
  }
  return { frame, protocol, source, destination, flags: rule.tcpFlags === null ? null : flagCells(rule.tcpFlags), icmp: rule.icmp === null ? null : effective(rule.icmp, ALL_NUMBERS), rule };
}

/** True when no packet at all can match. */
export function isEmpty(s: Shape): boolean {
  const sets = [s.frame, s.protocol, s.icmp, s.source.port, s.destination.port];
  if (sets.some((set) => set !== null && set.size === 0)) return true;
  if ([s.source.address, s.destination.address].some((set) => set !== null && set.ranges.length === 0)) return true;
  if (s.flags !== null && !s.flags.includes(1)) return true;
  return s.rule.schedule !== null && !s.rule.schedule.hours.includes(1);
}

/** True when every packet that matches `b` matches `a`, at any time. */
export function covers(a: Shape, b: Shape): boolean {
  return (
    a.frame.covers(b.frame) &&
    within(b.protocol, a.protocol) &&
    within(b.icmp, a.icmp) &&
    coversFlags(a.flags, b.flags) &&
    coversEnd(a.source, b.source) &&
    coversEnd(a.destination, b.destination) &&
    coversTime(a.rule, b.rule)
  );
}

/** True when some packet can match both, going by the fields that are most often told apart. */
export function overlaps(a: Shape, b: Shape): boolean {
  const meet = (x: NumberSet | null, y: NumberSet | null): boolean => x === null || y === null || x.intersects(y);
  const meetEnd = (x: EndShape, y: EndShape): boolean => meet(x.port, y.port) && (x.address === null || y.address === null || x.address.intersects(y.address));
  return meetEnd(a.source, b.source) && meetEnd(a.destination, b.destination) && meet(a.frame, b.frame) && meet(a.protocol, b.protocol) && meet(a.icmp, b.icmp);
}

/** The rule for packets the other way, as a Bypass needs it: ends swapped, no flags and no ICMP type. */
export function mirrored(s: Shape): Shape {
  return { ...s, source: s.destination, destination: s.source, flags: null, icmp: null };
}

function endShape(end: EndMatch): EndShape {
  const { address, port, mac } = end;
  return {
    address: address === null ? null : address.not ? address.set.invert() : address.set,
    port: port === null ? null : effective(port, ALL_NUMBERS),
    mac,
  };
}

function impliedProtocol(rule: FirewallRule, source: EndShape, destination: EndShape): NumberSet | null {
  const parts: NumberSet[] = [];
  if (rule.protocol !== null) parts.push(effective(rule.protocol, ALL_PROTOCOLS));
  if (source.port !== null || destination.port !== null) parts.push(WITH_PORTS);
  if (rule.tcpFlags !== null) parts.push(NumberSet.of(6));
  if (rule.icmp !== null) parts.push(NumberSet.of(1, 58));
  if (parts.length === 0) return null;
  return parts.reduce(intersection);
}

function effective(match: Match<NumberSet>, all: NumberSet): NumberSet {
  if (!match.not) return match.set;
  let next = all.ranges()[0]![0];
  const last = all.ranges()[0]![1];
  const out: [number, number][] = [];
  for (const [low, high] of match.set.ranges()) {
    if (low > next) out.push([next, low - 1]);
    next = high + 1;
  }
  if (next <= last) out.push([next, last]);
  return new NumberSet(out);
}

function intersection(a: NumberSet, b: NumberSet): NumberSet {
  const out: [number, number][] = [];
  for (const [al, ah] of a.ranges()) for (const [bl, bh] of b.ranges()) if (Math.max(al, bl) <= Math.min(ah, bh)) out.push([Math.max(al, bl), Math.min(ah, bh)]);
  return new NumberSet(out);
}

/** `inner` (null = anything, even absent) lies within `outer`. */
function within(inner: NumberSet | null, outer: NumberSet | null): boolean {
  return outer === null || (inner !== null && outer.covers(inner));
}

function coversEnd(a: EndShape, b: EndShape): boolean {
  if (!within(b.port, a.port)) return false;
  if (a.mac !== null && !coversMac(a.mac, b.mac)) return false;
  return a.address === null || (b.address !== null && a.address.covers(b.address));
}

function coversMac(a: NonNullable<EndMatch['mac']>, b: EndMatch['mac']): boolean {
  if (b === null) return false;
  if (!a.not) return !b.not && a.set.covers(b.set);
  return b.not ? b.set.covers(a.set) : !a.set.intersects(b.set);
}

function coversFlags(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || (b !== null && b.every((cell, flags) => cell === 0 || a[flags] === 1));
}

function coversTime(a: FirewallRule, b: FirewallRule): boolean {
  if (a.context !== null && a.context !== b.context) return false;
  if (a.schedule === null) return true;
  if (b.schedule === null) return !a.schedule.hours.includes(0);
  return a.schedule.utcOffset === b.schedule.utcOffset && b.schedule.hours.every((on, hour) => on === 0 || a.schedule!.hours[hour] === 1);
}

function flagCells(match: TcpFlagMatch): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, flags) => (((flags & match.mask) === match.value) !== match.not ? 1 : 0));
}
