/**
 * Filter expressions of mirrors and captures: a small part of tcpdump's language, and two words of our own.
 *
 *   expr      = term { "or" term } ;  term = factor { "and" factor } ;  factor = [ "not" ] ( "(" expr ")" | primitive )
 *   primitive = ip | ip6 | arp | tcp | udp | icmp | icmp6 | broadcast | multicast | dropped
 *             | [ src | dst ] host ADDRESS | [ src | dst ] net PREFIX | [ tcp | udp ] [ src | dst ] port N[-M]
 *             | ether [ src | dst | host ] MAC | ether proto N | proto N | vlan [ N ] | reason NAME
 *
 * An expression is compiled once to a flat program of tests, each with the test to go on with when it holds and when it does
 * not; evaluating one allocates nothing.
 */
import { ETHERTYPE_ARP, PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, isMulticastMac, parseMac, parsePrefix, prefixMask, type PacketView } from '../packet/index.js';
import { DROP_REASONS } from '../pipeline/index.js';
import { be16 } from '../util/index.js';

const ACCEPT = -1;
const REJECT = -2;

const OP_IP_VERSION = 0;
const OP_ETHER_TYPE = 1;
const OP_PROTO = 2;
const OP_MAC = 3;
const OP_NET4 = 4;
const OP_NET6 = 5;
const OP_PORT = 6;
const OP_VLAN = 7;
const OP_BROADCAST = 8;
const OP_MULTICAST = 9;
const OP_DROPPED = 10;
const OP_REASON = 11;

const SRC = 1;
const DST = 2;
/** op, where to go when it holds, where when not, up to nine arguments. */
const STRIDE = 12;
const ARGS = 3;
/** Tests of one expression: more than anybody writes by hand. */
const MOST_TESTS = 256;

type Node = { readonly kind: 'test'; readonly op: number; readonly args: readonly number[] } | { readonly kind: 'not'; readonly inner: Node } | { readonly kind: 'and' | 'or'; readonly left: Node; readonly right: Node };

export class FrameFilter {
  private readonly program: Int32Array;
  private readonly entry: number;

  /** @throws SyntaxError that names the place and what is expected there */
  constructor(text: string) {
    const node = new Parser(text).parse();
    const code: number[] = [];
    this.entry = emit(node, ACCEPT, REJECT, code);
    this.program = Int32Array.from(code);
  }

  /** Only see whether an expression is one. @throws SyntaxError */
  static check(text: string): void {
    new Parser(text).parse();
  }

  /**
   * @param view the decoded frame
   * @param dropped the frame left through no port, for DropReason `reason`
   */
  matches(view: PacketView, dropped: boolean, reason: number): boolean {
    const p = this.program;
    let at = this.entry;
    while (at >= 0) at = this.test(view, at, dropped, reason) ? p[at + 1]! : p[at + 2]!;
    return at === ACCEPT;
  }

  private test(view: PacketView, at: number, dropped: boolean, reason: number): boolean {
    const p = this.program;
    const a = p[at + ARGS]!;
    switch (p[at]) {
      case OP_IP_VERSION:
        return view.ipVersion === a;
      case OP_ETHER_TYPE:
        return view.etherType === a;
      case OP_PROTO:
        return view.ipVersion !== 0 && (view.fragment && view.ipVersion === 6 ? view.fragNext : view.proto) === a;
      case OP_MAC:
        return ((a & SRC) !== 0 && view.srcMacLo === p[at + ARGS + 2] && view.srcMacHi === p[at + ARGS + 1]) || ((a & DST) !== 0 && view.dstMacLo === p[at + ARGS + 2] && view.dstMacHi === p[at + ARGS + 1]);
      case OP_NET4:
        return this.net4(view, at, a);
      case OP_NET6:
        return view.ipVersion === 6 && (((a & SRC) !== 0 && this.in6(at, view.src0, view.src1, view.src2, view.src3)) || ((a & DST) !== 0 && this.in6(at, view.dst0, view.dst1, view.dst2, view.dst3)));
      case OP_PORT:
        return hasPorts(view) && (((a & SRC) !== 0 && this.inRange(at, view.srcPort)) || ((a & DST) !== 0 && this.inRange(at, view.dstPort)));
      case OP_VLAN:
        return view.vlanCount > 0 && (a === 0 || (view.vlan0 & 0xfff) === a || (view.vlanCount > 1 && (view.vlan1 & 0xfff) === a));
      case OP_BROADCAST:
        return view.dstMacHi === 0xffff && view.dstMacLo === -1;
      case OP_MULTICAST:
        return isMulticastMac(view.dstMacHi);
      case OP_DROPPED:
        return dropped;
      default:
        return dropped && reason === a;
    }
  }

  /** ARP counts by the addresses it speaks of, as in tcpdump. */
  private net4(view: PacketView, at: number, sides: number): boolean {
    const p = this.program;
    const word = p[at + ARGS + 1]!;
    const mask = p[at + ARGS + 2]!;
    if (view.ipVersion === 4) return ((sides & SRC) !== 0 && ((view.src0 ^ word) & mask) === 0) || ((sides & DST) !== 0 && ((view.dst0 ^ word) & mask) === 0);
    if (view.etherType !== ETHERTYPE_ARP || view.l3Off < 0 || view.end - view.l3Off < 28) return false;
    const arp = view.l3Off;
    const sender = (be16(view.buf, arp + 14) << 16) | be16(view.buf, arp + 16);
    const target = (be16(view.buf, arp + 24) << 16) | be16(view.buf, arp + 26);
    return ((sides & SRC) !== 0 && ((sender ^ word) & mask) === 0) || ((sides & DST) !== 0 && ((target ^ word) & mask) === 0);
  }

  private in6(at: number, w0: number, w1: number, w2: number, w3: number): boolean {
    const p = this.program;
    const i = at + ARGS + 1;
    return (((w0 ^ p[i]!) & p[i + 4]!) | ((w1 ^ p[i + 1]!) & p[i + 5]!) | ((w2 ^ p[i + 2]!) & p[i + 6]!) | ((w3 ^ p[i + 3]!) & p[i + 7]!)) === 0;
  }

  private inRange(at: number, port: number): boolean {
    return port >= this.program[at + ARGS + 1]! && port <= this.program[at + ARGS + 2]!;
  }
}

function hasPorts(view: PacketView): boolean {
  return view.l4Off >= 0 && (view.proto === PROTO_TCP || view.proto === PROTO_UDP || view.proto === 132);
}

/** Append the tests of `node`. @returns where to begin */
function emit(node: Node, yes: number, no: number, code: number[]): number {
  switch (node.kind) {
    case 'not':
      return emit(node.inner, no, yes, code);
    case 'and':
      return emit(node.left, emit(node.right, yes, no, code), no, code);
    case 'or':
      return emit(node.left, yes, emit(node.right, yes, no, code), code);
    default: {
      const at = code.length;
      const row = [node.op, yes, no, ...node.args];
      code.push(...row, ...Array.from({ length: STRIDE - row.length }, () => 0));
      return at;
    }
  }
}

const TOKEN = /[()]|[^\s()]+/g;
const EXPECTED = 'ip, ip6, arp, tcp, udp, icmp, icmp6, host, net, port, src, dst, ether, proto, vlan, broadcast, multicast, dropped or reason';

class Parser {
  private readonly tokens: { readonly word: string; readonly at: number }[];
  private next = 0;
  private tests = 0;

  constructor(text: string) {
    this.tokens = [...text.matchAll(TOKEN)].map((m) => ({ word: m[0], at: m.index + 1 }));
  }

  parse(): Node {
    const node = this.expression(0);
    const rest = this.tokens[this.next];
    if (rest !== undefined) this.fail(`"${rest.word}" where "and", "or" or the end is expected`);
    return node;
  }

  private fail(what: string): never {
    const here = this.tokens[this.next];
    throw new SyntaxError(`filter: ${here === undefined ? 'at the end' : `column ${here.at}`}: ${what}`);
  }

  private peek(): string {
    return this.tokens[this.next]?.word ?? '';
  }

  private accept(word: string): boolean {
    if (this.peek() !== word) return false;
    this.next++;
    return true;
  }

  private argument(what: string): string {
    const word = this.peek();
    if (word === '' || word === '(' || word === ')') this.fail(`${what} is expected`);
    this.next++;
    return word;
  }

  private expression(depth: number): Node {
    if (depth > 32) this.fail('too many parentheses');
    let node = this.term(depth);
    while (this.accept('or') || this.accept('||')) node = { kind: 'or', left: node, right: this.term(depth) };
    return node;
  }

  private term(depth: number): Node {
    let node = this.factor(depth);
    while (this.accept('and') || this.accept('&&')) node = { kind: 'and', left: node, right: this.factor(depth) };
    return node;
  }

  private factor(depth: number): Node {
    let negate = false;
    while (this.accept('not') || this.accept('!')) negate = !negate;
    let node: Node;
    if (this.accept('(')) {
      node = this.expression(depth + 1);
      if (!this.accept(')')) this.fail('")" is expected');
    } else node = this.primitive();
    return negate ? { kind: 'not', inner: node } : node;
  }

  private leaf(op: number, ...args: number[]): Node {
    if (++this.tests > MOST_TESTS) this.fail(`more than ${MOST_TESTS} tests`);
    return { kind: 'test', op, args };
  }

  private primitive(): Node {
    const word = this.peek();
    this.next++;
    switch (word) {
      case 'ip':
        return this.leaf(OP_IP_VERSION, 4);
      case 'ip6':
        return this.leaf(OP_IP_VERSION, 6);
      case 'arp':
        return this.leaf(OP_ETHER_TYPE, ETHERTYPE_ARP);
      case 'icmp':
        return this.leaf(OP_PROTO, PROTO_ICMP);
      case 'icmp6':
        return this.leaf(OP_PROTO, PROTO_ICMPV6);
      case 'broadcast':
        return this.leaf(OP_BROADCAST);
      case 'multicast':
        return this.leaf(OP_MULTICAST);
      case 'dropped':
        return this.leaf(OP_DROPPED);
      case 'tcp':
      case 'udp': {
        const proto = this.leaf(OP_PROTO, word === 'tcp' ? PROTO_TCP : PROTO_UDP);
        return ['src', 'dst', 'port'].includes(this.peek()) ? { kind: 'and', left: proto, right: this.sided('port') } : proto;
      }
      case 'src':
      case 'dst':
      case 'host':
      case 'net':
      case 'port':
        this.next--;
        return this.sided();
      case 'ether':
        return this.ether();
      case 'proto':
        return this.leaf(OP_PROTO, this.number('a protocol number', 0, 255));
      case 'vlan':
        return this.leaf(OP_VLAN, /^\d+$/.test(this.peek()) ? this.number('a VLAN', 1, 4094) : 0);
      case 'reason':
        return this.reason();
      default:
        this.next--;
        return this.fail(word === '' ? `${EXPECTED} is expected` : `"${word}" is unknown; expected: ${EXPECTED}`);
    }
  }

  /** [src|dst] host|net|port; only `port` behind tcp and udp. */
  private sided(only?: 'port'): Node {
    const sides = this.accept('src') ? SRC : this.accept('dst') ? DST : SRC | DST;
    const what = this.argument(only ?? 'host, net or port');
    if (what === 'port') return this.port(sides);
    if (only !== undefined || (what !== 'host' && what !== 'net')) {
      this.next--;
      this.fail(`"${what}" where ${only ?? 'host, net or port'} is expected`);
    }
    const text = this.argument('an address');
    try {
      const prefix = parsePrefix(text);
      if (what === 'host' && prefix.prefixLen !== (prefix.version === 4 ? 32 : 128)) throw new SyntaxError(`"${text}" is a network: write net`);
      if (prefix.version === 4) return this.leaf(OP_NET4, sides, prefix.words[0]!, prefixMask(prefix.prefixLen));
      return this.leaf(OP_NET6, sides, ...prefix.words, ...[0, 32, 64, 96].map((bit) => prefixMask(prefix.prefixLen - bit)));
    } catch (error) {
      this.next--;
      return this.fail(error instanceof Error ? error.message : String(error));
    }
  }

  private port(sides: number): Node {
    const text = this.argument('a port or a range such as 80-90');
    const m = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
    const first = Number(m?.[1]);
    const last = Number(m?.[2] ?? m?.[1]);
    if (m === null || last > 65535 || last < first) {
      this.next--;
      this.fail(`"${text}" is no port (0 to 65535) and no range such as 80-90`);
    }
    return this.leaf(OP_PORT, sides, first, last);
  }

  private ether(): Node {
    if (this.accept('proto')) return this.leaf(OP_ETHER_TYPE, this.number('an EtherType', 0, 0xffff));
    const sides = this.accept('src') ? SRC : this.accept('dst') ? DST : SRC | DST;
    this.accept('host');
    const text = this.argument('a MAC address');
    try {
      const { hi, lo } = parseMac(text);
      return this.leaf(OP_MAC, sides, hi, lo);
    } catch (error) {
      this.next--;
      return this.fail(error instanceof Error ? error.message : String(error));
    }
  }

  private number(what: string, min: number, max: number): number {
    const text = this.argument(what);
    const n = Number(text);
    if (!Number.isInteger(n) || n < min || n > max) {
      this.next--;
      this.fail(`"${text}" is not ${what} (${min} to ${max})`);
    }
    return n;
  }

  private reason(): Node {
    const name = this.argument('the name of a drop reason');
    const id = DROP_REASONS.findIndex((row) => row.name === name);
    if (id < 1) {
      this.next--;
      this.fail(`"${name}" is no drop reason (docs/drop-reasons.md)`);
    }
    return this.leaf(OP_REASON, id);
  }
}
