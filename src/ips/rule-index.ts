/**
 * The indexes by which the engine finds rules worth judging: pattern databases by buffer and direction, and short lists for
 * rules without a pattern, split by protocol and direction. Built in small steps, so that a data plane can do it between
 * two batches.
 */
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_SYN } from '../packet/index.js';
import type { BufferSpec } from '../protocols/index.js';
import type { AppCatalog } from './app-catalog.js';
import type { PortBitmap } from './header.js';
import { PatternGroupBuilder, type PatternCache, type PatternGroup } from './pattern-group.js';
import { PortFilter } from './port-filter.js';
import { PortLists } from './port-lists.js';
import { RuleAction, RuleKind, type CompiledRule } from './rule.js';
import { MAX_ENGINES } from './state/flow-detect.js';
import type { Transform } from './transform.js';

/** Classes of packets that always-checked rules are split by. */
export const CLASS_TCP = 0;
export const CLASS_UDP = 1;
export const CLASS_ICMP = 2;
export const CLASS_OTHER_IP = 3;
export const CLASS_NO_IP = 4;
const CLASSES = 5;

export function packetClass(ipVersion: number, proto: number): number {
  if (ipVersion === 0) return CLASS_NO_IP;
  if (proto === PROTO_TCP) return CLASS_TCP;
  if (proto === PROTO_UDP) return CLASS_UDP;
  return proto === PROTO_ICMP || proto === PROTO_ICMPV6 ? CLASS_ICMP : CLASS_OTHER_IP;
}

/** One prefilter of an application protocol's direction: a buffer, perhaps transformed, and its database. */
export class TxEngine {
  constructor(
    readonly spec: BufferSpec,
    readonly transforms: readonly Transform[],
    readonly group: PatternGroup,
  ) {}
}

/** What to do with a transaction of one protocol in one direction. */
export class TxPlan {
  constructor(
    /** In order of progress. */
    readonly engines: readonly TxEngine[],
    /** Rules without a pattern. */
    readonly always: Int32Array,
  ) {}
}

/** See RuleSet, which shows them. */
export interface RuleIndex {
  readonly packetGroups: readonly (PatternGroup | null)[];
  readonly streamGroups: readonly (PatternGroup | null)[];
  readonly packetAlways: readonly PortLists[];
  readonly synAlways: readonly PortLists[];
  readonly payloadAlways: readonly PortLists[];
  readonly streamAlways: readonly Int32Array[];
  readonly ipOnly: readonly Int32Array[];
  readonly protocolOnly: readonly Int32Array[];
  readonly byDecodeEvent: ReadonlyMap<number, Int32Array>;
  readonly txPlans: readonly (TxPlan | null)[];
  readonly maxPatterns: number;
  readonly needsFlowAtSyn: boolean;
}

/** Work that stops now and then, to be gone on with when there is time. */
export type Steps<T> = Generator<undefined, T>;

/** Do all of it now. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

const NO_RULES = new Int32Array(0);

/** Patterns taken up between two pauses: about a millisecond. */
const STEP_PATTERNS = 2000;

function goes(rule: CompiledRule, dir: number): boolean {
  return (rule.directions & (1 << dir)) !== 0;
}

/** May the rule match TCP packets that are (`syn`) or are not SYN alone, whatever their ECN bits? */
function takesFlags(rule: CompiledRule, syn: boolean): boolean {
  for (let flags = 0; flags < 256; flags++) {
    if (isSynAlone(flags) === syn && rule.packetMatches.every((match) => match.takesTcpFlags(flags))) return true;
  }
  return false;
}

/** SYN and no other flag but those of ECN (RFC 3168 section 6.1.1). */
export function isSynAlone(tcpFlags: number): boolean {
  return (tcpFlags & 0x3f) === TCP_SYN;
}

/** Does the rule belong to the list of `class * 2 + direction`? */
function inPacketSlot(rule: CompiledRule, slot: number): boolean {
  if (!goes(rule, slot & 1)) return false;
  const { header } = rule;
  switch (slot >> 1) {
    case CLASS_TCP:
      return header.takesProtocol(PROTO_TCP);
    case CLASS_UDP:
      return header.takesProtocol(PROTO_UDP);
    case CLASS_ICMP:
      return header.takesProtocol(PROTO_ICMP) || header.takesProtocol(PROTO_ICMPV6);
    case CLASS_OTHER_IP:
      return header.protocol.numbers === null || header.protocol.numbers.some((number) => ![PROTO_TCP, PROTO_UDP, PROTO_ICMP, PROTO_ICMPV6].includes(number));
    default:
      return header.protocol.anyFrame;
  }
}

/** Builds the indexes; groups with equal content are made once. */
export class IndexBuilder {
  #maxPatterns = 0;
  readonly #groups = new Map<string, PatternGroup>();

  /**
   * @param rules in the order of judgement, with their index
   * @param prefilter false: every rule is judged on everything
   * @param inlineStreams one database over TCP packets and streams
   */
  constructor(
    readonly rules: readonly CompiledRule[],
    readonly apps: AppCatalog,
    readonly cache: PatternCache | null,
    readonly prefilter: boolean,
    readonly inlineStreams: boolean,
  ) {}

  *build(): Steps<RuleIndex> {
    const { rules, inlineStreams } = this;
    const onPacket = (rule: CompiledRule, slot: number): boolean => rule.kind === RuleKind.PAYLOAD && (slot >> 1 === CLASS_TCP ? rule.onTcpPacket : rule.onPacket) && inPacketSlot(rule, slot);
    const onStream = (rule: CompiledRule, dir: number): boolean => rule.kind === RuleKind.PAYLOAD && rule.onStream && goes(rule, dir);
    const payloadAlways: Int32Array[] = [];
    const packetGroups: (PatternGroup | null)[] = [];
    for (let slot = 0; slot < CLASSES * 2; slot++) {
      payloadAlways.push(this.#listOf((rule) => onPacket(rule, slot) && !this.#searched(rule)));
      const elsewhere = inlineStreams && slot >> 1 === CLASS_TCP;
      packetGroups.push(elsewhere ? null : yield* this.#groupOf((rule) => onPacket(rule, slot), () => false, slot & 1));
    }
    const streamAlways: Int32Array[] = [];
    const streamGroups: (PatternGroup | null)[] = [];
    for (let dir = 0; dir < 2; dir++) {
      const tcp = CLASS_TCP * 2 + dir;
      streamAlways.push(this.#listOf((rule) => onStream(rule, dir) && !this.#searched(rule)));
      streamGroups.push(yield* this.#groupOf((rule) => onStream(rule, dir) || (inlineStreams && onPacket(rule, tcp)), (rule) => rule.payloadPattern !== null && goes(rule, dir), dir));
      if (inlineStreams) packetGroups[tcp] = streamGroups[dir]!;
    }
    const always = (rule: CompiledRule, slot: number): boolean => rule.kind === RuleKind.PACKET && rule.decodeEvents.length === 0 && inPacketSlot(rule, slot);
    const packetAlways = yield* this.#lists(CLASSES * 2, (rule, slot) => always(rule, slot) && (slot >> 1 !== CLASS_TCP || takesFlags(rule, false)));
    const synAlways = yield* this.#lists(2, (rule, slot) => always(rule, CLASS_TCP * 2 + slot) && takesFlags(rule, true));
    return {
      packetGroups,
      streamGroups,
      packetAlways: yield* this.#byPort(packetAlways),
      synAlways: yield* this.#byPort(synAlways),
      payloadAlways: yield* this.#byPort(payloadAlways),
      streamAlways,
      ipOnly: yield* this.#lists(CLASSES * 2, (rule, slot) => rule.kind === RuleKind.IP_ONLY && inPacketSlot(rule, slot)),
      protocolOnly: yield* this.#lists(2, (rule, slot) => rule.kind === RuleKind.PROTOCOL_ONLY && goes(rule, slot)),
      byDecodeEvent: this.#decodeEvents(),
      txPlans: yield* this.#plans(),
      maxPatterns: Math.max(1, this.#maxPatterns),
      needsFlowAtSyn: rules.some(keepsSyns),
    };
  }

  #decodeEvents(): ReadonlyMap<number, Int32Array> {
    const waiting = this.rules.filter((rule) => rule.kind === RuleKind.PACKET && rule.decodeEvents.length > 0);
    const events = new Map<number, number[]>();
    for (const rule of waiting) {
      for (const id of rule.decodeEvents) if (!events.has(id)) events.set(id, []);
      events.get(rule.decodeEvents[0]!)!.push(rule.index);
    }
    return new Map(Array.from(events, ([id, list]) => [id, Int32Array.from(list)]));
  }

  *#lists(slots: number, takes: (rule: CompiledRule, slot: number) => boolean): Steps<Int32Array[]> {
    const lists: Int32Array[] = [];
    for (let slot = 0; slot < slots; slot++) {
      lists.push(Int32Array.from(this.rules.filter((rule) => takes(rule, slot)), (rule) => rule.index));
      yield;
    }
    return lists;
  }

  *#byPort(lists: readonly Int32Array[]): Steps<PortLists[]> {
    const out: PortLists[] = [];
    for (const list of lists) {
      out.push(new PortLists(Array.from(list, (rule) => this.rules[rule]!)));
      yield;
    }
    return out;
  }

  #listOf(takes: (rule: CompiledRule) => boolean): Int32Array {
    return Int32Array.from(this.rules.filter(takes), (rule) => rule.index);
  }

  /** A database over the patterns of the rules it takes, and over the payload patterns of those that `marks` takes. */
  *#groupOf(takes: (rule: CompiledRule) => boolean, marks: (rule: CompiledRule) => boolean, dir: number): Steps<PatternGroup | null> {
    const searched = this.rules.filter((rule) => this.#searched(rule) && takes(rule));
    yield;
    return yield* this.#group(searched, true, this.prefilter ? this.rules.filter(marks) : [], dir);
  }

  #searched(rule: CompiledRule): boolean {
    return rule.fastPattern !== null && this.prefilter;
  }

  /** @param dir of packets whose port near the server is looked at, -1 = ports do not count */
  *#group(rules: readonly CompiledRule[], large: boolean, marked: readonly CompiledRule[], dir: number): Steps<PatternGroup | null> {
    if (rules.length + marked.length === 0) return null;
    const key = `${dir};${rules.map((rule) => rule.index).join(',')};${marked.map((rule) => rule.index).join(',')}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      const portsOf = (rule: CompiledRule): PortBitmap | null => (dir < 0 ? null : serverPorts(rule, dir));
      const builder = new PatternGroupBuilder(dir < 0 ? null : new PortFilter([...rules, ...marked].map(portsOf).filter((set) => set !== null)));
      yield;
      let added = 0;
      for (const rule of rules) {
        builder.add(rule.fastPattern!, rule.index, portsOf(rule));
        if (++added % STEP_PATTERNS === 0) yield;
      }
      for (const rule of marked) builder.add(rule.payloadPattern!, rule.index, portsOf(rule));
      group = yield* builder.build(this.cache, large);
      this.#maxPatterns = Math.max(this.#maxPatterns, group.patterns);
      this.#groups.set(key, group);
    }
    return group;
  }

  *#plans(): Steps<(TxPlan | null)[]> {
    const rules = this.rules.filter((rule) => rule.kind === RuleKind.TRANSACTION);
    const plans: (TxPlan | null)[] = [];
    for (let slot = 0; slot < this.apps.protocols.length * 2; slot++) {
      const app = slot >> 1;
      const own = app === 0 ? [] : rules.filter((rule) => goes(rule, slot & 1) && rule.takesApp(app));
      plans.push(own.length === 0 ? null : yield* this.#plan(own, app, slot & 1));
      yield;
    }
    return plans;
  }

  *#plan(rules: readonly CompiledRule[], app: number, dir: number): Steps<TxPlan> {
    const byBuffer = new Map<string, CompiledRule[]>();
    const always: number[] = [];
    for (const rule of rules) {
      const spec = this.#searched(rule) ? specOf(rule, app) : null;
      if (spec === null) {
        always.push(rule.index);
        continue;
      }
      const list = byBuffer.get(rule.fastPattern!.buffer);
      if (list === undefined) byBuffer.set(rule.fastPattern!.buffer, [rule]);
      else list.push(rule);
    }
    const sources = [...byBuffer.values()].map((list) => {
      const chain = list[0]!.txChains.find((candidate) => candidate.key === list[0]!.fastPattern!.buffer)!;
      return { list, spec: chain.specs[app]!, transforms: chain.transforms };
    });
    const engines: TxEngine[] = [];
    for (const { list, spec, transforms } of joined(sources, dir)) {
      const group = yield* this.#group(list, spec.streaming === true, [], -1);
      engines.push(new TxEngine(spec, transforms, group!));
    }
    engines.sort((a, b) => a.spec.minProgress - b.spec.minProgress);
    if (engines.length > MAX_ENGINES) throw new RangeError(`${engines.length} buffers of one protocol with patterns, more than ${MAX_ENGINES}`);
    return new TxPlan(engines, always.length === 0 ? NO_RULES : Int32Array.from(always));
  }
}

/** Does the rule keep something about the first packet of a TCP connection? */
function keepsSyns(rule: CompiledRule): boolean {
  return (
    (rule.kind === RuleKind.IP_ONLY || (rule.kind === RuleKind.PACKET && (rule.postMatches.length > 0 || rule.bypass || rule.action !== RuleAction.ALERT))) &&
    rule.header.takesProtocol(PROTO_TCP) &&
    takesFlags(rule, true) &&
    !rule.packetMatches.some((match) => match.afterHandshake)
  );
}

/**
 * The ports one of which a packet of direction `dir` must have for the rule: to the server its destination, from the server
 * its source. null = any.
 */
function serverPorts({ header }: CompiledRule, dir: number): PortBitmap | null {
  if (header.bidirectional) return null;
  return dir === 0 ? header.destinationPorts : header.sourcePorts;
}

/** Rules whose fast pattern lies in one buffer. */
interface PatternSource {
  readonly list: CompiledRule[];
  readonly spec: BufferSpec;
  readonly transforms: readonly Transform[];
}

/** Buffers that lie whole within another one are searched with it: a prefilter may find too much, never too little. */
function joined(sources: readonly PatternSource[], dir: number): readonly PatternSource[] {
  if (dir === 0) return sources;
  const plain = new Map(sources.filter((source) => source.transforms.length === 0).map((source) => [source.spec.name, source]));
  return sources.filter(({ list, spec, transforms }) => {
    const around = spec.withinToClient === undefined || transforms.length > 0 ? undefined : plain.get(spec.withinToClient);
    if (around === undefined) return true;
    around.list.push(...list);
    return false;
  });
}

function specOf(rule: CompiledRule, app: number): BufferSpec | null {
  return rule.txChains.find((chain) => chain.key === rule.fastPattern!.buffer)?.specs[app] ?? null;
}
