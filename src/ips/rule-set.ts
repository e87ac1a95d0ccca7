/**
 * All compiled rules in the order they are judged, and the indexes by which the engine finds those worth judging: pattern
 * databases by buffer and direction, and short lists for rules without a pattern, split by protocol and direction.
 */
import { forEachRule, type Rule, type RuleError } from 'snort-rule-parser';
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_SYN } from '../packet/index.js';
import type { AppProtocol, BufferSpec } from '../protocols/index.js';
import { AppCatalog } from './app-catalog.js';
import { RuleCompiler, type CompileOptions } from './compile.js';
import { PortLists } from './port-lists.js';
import { PatternGroupBuilder, type PatternCache, type PatternGroup } from './pattern-group.js';
import { syntaxRefusal, type Refusal } from './refusal.js';
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

export interface RuleSetOptions extends CompileOptions {
  readonly cache?: PatternCache;
  /** Generation number of the policy the rules belong to. */
  readonly generation?: number;
  /** Judge every rule on everything instead of asking the databases: slow, and what tests compare with. */
  readonly withoutPrefilter?: boolean;
}

/** Rule text with the name that errors show. */
export interface RuleSource {
  readonly file: string;
  readonly text: string | Uint8Array;
}

const NO_RULES = new Int32Array(0);

export class RuleSet {
  readonly rules: readonly CompiledRule[];
  readonly refusals: readonly Refusal[];
  readonly apps: AppCatalog;
  readonly generation: number;
  readonly flowbits: number;
  /** Patterns in the largest database: how many hits one scan may have. */
  readonly maxPatterns: number;
  /** [class][direction] databases over packet payloads; [direction] databases over TCP streams. */
  readonly packetGroups: readonly (PatternGroup | null)[];
  readonly streamGroups: readonly (PatternGroup | null)[];
  /** Packet rules, and payload and stream rules without pattern, by class * 2 + direction (streams: by direction). */
  readonly packetAlways: readonly PortLists[];
  /** In place of packetAlways for TCP packets that open a connection (SYN alone), by direction: most scan rules want only those. */
  readonly synAlways: readonly PortLists[];
  readonly payloadAlways: readonly PortLists[];
  readonly streamAlways: readonly Int32Array[];
  /** The stream databases also tell which transaction rules may have their payload contents in the stream. */
  readonly findsPayloads: boolean;
  readonly ipOnly: readonly Int32Array[];
  readonly protocolOnly: readonly Int32Array[];
  /** Rules that wait for a decoder event, by event id; missing = none. */
  readonly byDecodeEvent: ReadonlyMap<number, Int32Array>;
  /** By application protocol id * 2 + direction; null = nothing to do. */
  readonly txPlans: readonly (TxPlan | null)[];
  /** Transaction rules have contents of the stream beside them: its last bytes are kept for these. */
  readonly keepsStreams: boolean;
  /** Some rule looks at flows without payload (header-only rules, flowbits): the data plane then attaches a Flow to each. */
  readonly needsFlowObjects: boolean;
  /** The same for the first packet of a TCP connection: a flood of them should cost no objects. */
  readonly needsFlowAtSyn: boolean;
  readonly #bySid = new Map<string, CompiledRule>();

  private constructor(rules: readonly CompiledRule[], refusals: readonly Refusal[], apps: AppCatalog, flowbits: number, options: RuleSetOptions) {
    this.rules = rules;
    this.refusals = refusals;
    this.apps = apps;
    this.flowbits = flowbits;
    this.generation = options.generation ?? 0;
    rules.forEach((rule, index) => {
      rule.index = index;
      this.#bySid.set(`${rule.info.gid}:${rule.info.sid}`, rule);
    });
    const index = new IndexBuilder(rules, apps, options);
    const payloadAlways: Int32Array[] = [];
    this.packetGroups = index.groups(CLASSES * 2, (rule, slot) => rule.kind === RuleKind.PAYLOAD && (slot >> 1 === CLASS_TCP ? rule.onTcpPacket : rule.onPacket) && inPacketSlot(rule, slot), payloadAlways);
    const streamAlways: Int32Array[] = [];
    this.streamGroups = index.groups(2, (rule, slot) => rule.kind === RuleKind.PAYLOAD && rule.onStream && goes(rule, slot), streamAlways, (rule, slot) => rule.payloadPattern !== null && goes(rule, slot));
    this.streamAlways = streamAlways;
    this.findsPayloads = options.withoutPrefilter !== true;
    const lists = (slots: number, takes: (rule: CompiledRule, slot: number) => boolean): Int32Array[] =>
      Array.from({ length: slots }, (_, slot) => index.list((rule) => takes(rule, slot)));
    const byPort = (list: Int32Array): PortLists => new PortLists(Array.from(list, (rule) => rules[rule]!));
    this.payloadAlways = payloadAlways.map(byPort);
    const always = (rule: CompiledRule, slot: number): boolean => rule.kind === RuleKind.PACKET && rule.decodeEvents.length === 0 && inPacketSlot(rule, slot);
    this.packetAlways = lists(CLASSES * 2, (rule, slot) => always(rule, slot) && (slot >> 1 !== CLASS_TCP || takesFlags(rule, false))).map(byPort);
    this.synAlways = lists(2, (rule, slot) => always(rule, CLASS_TCP * 2 + slot) && takesFlags(rule, true)).map(byPort);
    this.ipOnly = lists(CLASSES * 2, (rule, slot) => rule.kind === RuleKind.IP_ONLY && inPacketSlot(rule, slot));
    this.protocolOnly = lists(2, (rule, slot) => rule.kind === RuleKind.PROTOCOL_ONLY && goes(rule, slot));
    const events = new Map<number, Int32Array>();
    for (const id of new Set(rules.flatMap((rule) => (rule.kind === RuleKind.PACKET ? rule.decodeEvents : [])))) {
      events.set(id, index.list((rule) => rule.kind === RuleKind.PACKET && rule.decodeEvents[0] === id));
    }
    this.byDecodeEvent = events;
    this.txPlans = index.plans();
    this.maxPatterns = Math.max(1, index.maxPatterns);
    this.keepsStreams = rules.some((rule) => rule.kind === RuleKind.TRANSACTION && rule.onStream && rule.payload.length > 0);
    this.needsFlowAtSyn = rules.some(
      (rule) =>
        (rule.kind === RuleKind.IP_ONLY || (rule.kind === RuleKind.PACKET && (rule.postMatches.length > 0 || rule.bypass || rule.action !== RuleAction.ALERT))) &&
        rule.header.takesProtocol(PROTO_TCP) && takesFlags(rule, true) && !rule.packetMatches.some((match) => match.afterHandshake),
    );
    this.needsFlowObjects = rules.some((rule) => rule.kind === RuleKind.IP_ONLY || rule.postMatches.length > 0 || rule.bypass);
  }

  /**
   * Compile rule files. Of rules with one gid and sid the highest revision stays; the others are reported as refused.
   * @param protocols the registry of the protocols room
   */
  static compile(sources: readonly RuleSource[], protocols: readonly AppProtocol[], options: RuleSetOptions = {}): RuleSet {
    const apps = new AppCatalog(protocols);
    const compiler = new RuleCompiler(apps, options);
    const refusals: Refusal[] = [];
    const chosen = new Map<string, CompiledRule>();
    for (const { file, text } of sources) {
      forEachRule(
        text,
        { file },
        {
          rule(rule: Rule) {
            const result = compiler.compile(rule);
            if (result.rule === null) {
              refusals.push(result.refusal);
              return;
            }
            const key = `${rule.gid}:${rule.sid}`;
            const known = chosen.get(key);
            const wins = known === undefined || result.rule.info.rev > known.info.rev;
            const loser = wins ? known : result.rule;
            if (loser !== undefined) refusals.push(duplicate(loser, wins ? result.rule : known!));
            if (wins) chosen.set(key, result.rule);
          },
          refused(errors: readonly RuleError[]) {
            if (errors.length > 0) refusals.push(syntaxRefusal(errors[0]!));
          },
        },
      );
    }
    const rules = [...chosen.values()].map((rule, position) => ({ rule, position })).sort((a, b) => order(a.rule, b.rule) || a.position - b.position);
    return new RuleSet(rules.map(({ rule }) => rule), refusals, apps, compiler.context.flowbits.size, options);
  }

  find(gid: number, sid: number): CompiledRule | undefined {
    return this.#bySid.get(`${gid}:${sid}`);
  }

  /** Bytes of all databases. */
  get databaseSize(): number {
    const groups = new Set<PatternGroup>();
    for (const group of [...this.packetGroups, ...this.streamGroups]) if (group !== null) groups.add(group);
    for (const plan of this.txPlans) for (const engine of plan?.engines ?? []) groups.add(engine.group);
    let size = 0;
    for (const group of groups) size += group.size;
    return size;
  }
}

function duplicate(loser: CompiledRule, winner: CompiledRule): Refusal {
  return {
    reason: 'duplicate',
    file: loser.file,
    line: loser.line,
    column: 1,
    gid: loser.info.gid,
    sid: loser.info.sid,
    keyword: 'sid',
    token: String(loser.info.sid),
    message: `revision ${winner.info.rev} of this rule is loaded from ${winner.file}:${winner.line}, this is revision ${loser.info.rev}`,
    accepted: [],
  };
}

/** Order of judgement: action (pass, drop, reject, alert), setters of state before readers, severity, then file order. */
function order(a: CompiledRule, b: CompiledRule): number {
  return a.action - b.action || rank(a) - rank(b) || a.info.severity - b.info.severity;
}

/** Only sets (0) before sets and reads (1) before only reads (2); rules without state last as Suricata sorts them. */
function rank(rule: CompiledRule): number {
  switch (rule.stateRank) {
    case 1:
      return 0;
    case 3:
      return 1;
    case 2:
      return 2;
    default:
      return 3;
  }
}

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
class IndexBuilder {
  maxPatterns = 0;
  readonly #groups = new Map<string, PatternGroup>();

  constructor(
    readonly rules: readonly CompiledRule[],
    readonly apps: AppCatalog,
    readonly options: RuleSetOptions,
  ) {}

  list(takes: (rule: CompiledRule) => boolean): Int32Array {
    return Int32Array.from(this.rules.filter(takes), (rule) => rule.index);
  }

  /** One database per slot over the rules it takes; those without pattern go to `always`. `marks` adds rules by their payloadPattern. */
  groups(
    slots: number,
    takes: (rule: CompiledRule, slot: number) => boolean,
    always: Int32Array[],
    marks: (rule: CompiledRule, slot: number) => boolean = () => false,
  ): (PatternGroup | null)[] {
    return Array.from({ length: slots }, (_, slot) => {
      const own = this.rules.filter((rule) => takes(rule, slot));
      const searched = own.filter((rule) => this.#searched(rule));
      always[slot] = Int32Array.from(own.filter((rule) => !this.#searched(rule)), (rule) => rule.index);
      return this.#group(searched, true, this.options.withoutPrefilter === true ? [] : this.rules.filter((rule) => marks(rule, slot)));
    });
  }

  #searched(rule: CompiledRule): boolean {
    return rule.fastPattern !== null && this.options.withoutPrefilter !== true;
  }

  #group(rules: readonly CompiledRule[], large: boolean, marked: readonly CompiledRule[] = []): PatternGroup | null {
    if (rules.length + marked.length === 0) return null;
    const key = `${rules.map((rule) => rule.index).join(',')};${marked.map((rule) => rule.index).join(',')}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      const builder = new PatternGroupBuilder();
      for (const rule of rules) builder.add(rule.fastPattern!, rule.index);
      for (const rule of marked) builder.add(rule.payloadPattern!, rule.index);
      group = builder.build(this.options.cache ?? null, large);
      this.maxPatterns = Math.max(this.maxPatterns, group.patterns);
      this.#groups.set(key, group);
    }
    return group;
  }

  plans(): (TxPlan | null)[] {
    const rules = this.rules.filter((rule) => rule.kind === RuleKind.TRANSACTION);
    return Array.from({ length: this.apps.protocols.length * 2 }, (_, slot) => {
      const app = slot >> 1;
      const dir = slot & 1;
      if (app === 0) return null;
      const own = rules.filter((rule) => goes(rule, dir) && rule.takesApp(app));
      if (own.length === 0) return null;
      const byBuffer = new Map<string, CompiledRule[]>();
      const always: number[] = [];
      for (const rule of own) {
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
      const engines = joined(sources, dir).map(({ list, spec, transforms }) => new TxEngine(spec, transforms, this.#group(list, spec.streaming === true)!));
      engines.sort((a, b) => a.spec.minProgress - b.spec.minProgress);
      if (engines.length > MAX_ENGINES) throw new RangeError(`${engines.length} buffers of one protocol with patterns, more than ${MAX_ENGINES}`);
      return new TxPlan(engines, always.length === 0 ? NO_RULES : Int32Array.from(always));
    });
  }
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
