/** Firewall evaluation as the field guide words it, straight from the configuration, one rule after another. */

export type RuleText = Readonly<Record<string, unknown>> & { readonly action: string; readonly direction: string; readonly priority?: number };

export interface NaivePacket {
  readonly etherType: number;
  readonly src: string | undefined;
  readonly dst: string | undefined;
  readonly proto: number;
  readonly ports: readonly [number, number] | undefined;
  readonly flags: number | undefined;
  readonly icmp: readonly [number, number] | undefined;
  readonly smac: string;
  readonly dmac: string;
  readonly seconds: number;
}

const PRECEDENCE = ['allow', 'deny', 'force-allow', 'log-only', 'bypass'];
const PROTOCOLS: Record<string, number[]> = { tcp: [6], udp: [17], 'tcp+udp': [6, 17], icmp: [1], icmpv6: [58], sctp: [132] };
const FRAMES: Record<string, number[]> = { ip: [0x800, 0x86dd], ipv4: [0x800], ipv6: [0x86dd], arp: [0x806] };
const FLAGS: Record<string, number> = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 };

export function naiveEvaluate(rules: readonly RuleText[], p: NaivePacket, direction: string): { outcome: string; rule: number } {
  let best = -1;
  const weight = (r: RuleText): number => (r.priority ?? 0) * 10 + PRECEDENCE.indexOf(r.action);
  rules.forEach((r, i) => {
    if (r.direction === direction && matches(r, p) && (best < 0 || weight(r) > weight(rules[best]!))) best = i;
  });
  if (best >= 0) return { outcome: rules[best]!.action, rule: best };
  return { outcome: rules.some((r) => r.direction === direction && r.action === 'allow') ? 'out-of-allowed' : 'default', rule: -1 };
}

function matches(r: RuleText, p: NaivePacket): boolean {
  const isIp = p.src !== undefined;
  const source = side(r['source']);
  const destination = side(r['destination']);
  const numbers = (table: Record<string, number[]>) => (v: unknown): number[] => table[String(v)] ?? [Number(v)];
  if (!holds(r['frame'], (v) => numbers(FRAMES)(v).includes(p.etherType), true)) return false;
  if (!holds(r['protocol'], (v) => numbers(PROTOCOLS)(v).includes(p.proto), isIp)) return false;
  if (!holds(source['address'], (v) => inNetwork(p.src!, String(v)), isIp)) return false;
  if (!holds(destination['address'], (v) => inNetwork(p.dst!, String(v)), isIp)) return false;
  if (!holds(source['mac'], (v) => v === p.smac, true)) return false;
  if (!holds(destination['mac'], (v) => v === p.dmac, true)) return false;
  if (!holds(source['port'], (v) => inPorts(p.ports![0], String(v)), p.ports !== undefined)) return false;
  if (!holds(destination['port'], (v) => inPorts(p.ports![1], String(v)), p.ports !== undefined)) return false;
  if (!holds(r['icmp'], (v) => inIcmp(p.icmp!, String(v)), p.icmp !== undefined)) return false;
  if (r['tcp_flags'] !== undefined && (p.flags === undefined || !flagsHold(String(r['tcp_flags']), p.flags))) return false;
  if (r['schedule'] !== undefined) {
    const date = new Date(p.seconds * 1000);
    if (date.getUTCDay() === 0 || date.getUTCDay() === 6 || date.getUTCHours() < 8 || date.getUTCHours() >= 18) return false;
  }
  return true;
}

function side(value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  return typeof value === 'object' && !Array.isArray(value) && !('not' in (value as object)) ? (value as Record<string, unknown>) : { address: value };
}

function holds(value: unknown, is: (v: unknown) => boolean, present: boolean): boolean {
  if (value === undefined || value === 'any') return true;
  if (!present) return false;
  if (typeof value === 'string' && value.startsWith('!')) return !is(value.slice(1));
  if (typeof value === 'object' && value !== null && 'not' in value) return ![value.not].flat().some(is);
  return [value].flat().some(is);
}

function inNetwork(address: string, network: string): boolean {
  if (address.includes(':') !== network.includes(':')) return false;
  const value = toBig(address);
  if (network.includes('-')) {
    const [low, high] = network.split('-');
    return toBig(low!) <= value && value <= toBig(high!);
  }
  const [base, length] = network.split('/');
  const bits = address.includes(':') ? 128 : 32;
  const shift = BigInt(bits - Number(length ?? bits));
  return value >> shift === toBig(base!) >> shift;
}

function toBig(text: string): bigint {
  if (!text.includes(':')) return text.split('.').reduce((v, part) => v * 256n + BigInt(part), 0n);
  const [head, tail] = text.split('::');
  const left = head === '' ? [] : head!.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return groups.reduce((v, g) => v * 65536n + BigInt(`0x${g}`), 0n);
}

function inPorts(port: number, text: string): boolean {
  const [low, high] = text.split('-').map(Number);
  return low! <= port && port <= (high ?? low!);
}

function inIcmp([type, code]: readonly [number, number], text: string): boolean {
  const [t, c] = text.split('/').map(Number);
  return t === type && (c === undefined || c === code);
}

function flagsHold(text: string, flags: number): boolean {
  const not = text.startsWith('!');
  const [set, of] = text.replace('!', '').split('/');
  const bits = (list: string): number => (list === 'none' ? 0 : list.split(',').reduce((b, f) => b | FLAGS[f]!, 0));
  const mask = of === undefined ? (set === 'none' ? 0xff : bits(set!)) : bits(of);
  return ((flags & mask) === bits(set!)) !== not;
}
