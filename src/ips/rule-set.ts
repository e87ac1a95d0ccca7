/**
 * All compiled rules in the order they are judged, with the indexes by which the engine finds those worth judging
 * (rule-index.ts). Immutable; a reload makes a new one of the next generation.
 */
import { readRules, Rule } from 'snort-rule-parser';
import type { AppProtocol } from '../protocols/index.js';
import { AppCatalog } from './app-catalog.js';
import { RuleCompiler, type CompileOptions } from './compile.js';
import type { CompileContext, RuleNames } from './draft.js';
import type { PatternCache, PatternGroup } from './pattern-group.js';
import type { PortLists } from './port-lists.js';
import { syntaxRefusal, type Refusal } from './refusal.js';
import { RuleKind, type CompiledRule } from './rule.js';
import { IndexBuilder, finish, type RuleIndex, type Steps, type TxPlan } from './rule-index.js';
import type { DatasetStore } from './state/dataset.js';

export { isSynAlone, packetClass, TxEngine, TxPlan } from './rule-index.js';

/** Rules compiled between two pauses: about a millisecond. */
const STEP_RULES = 16;

export interface RuleSetOptions extends CompileOptions {
  readonly cache?: PatternCache;
  /** Generation number of the policy the rules belong to. */
  readonly generation?: number;
  /** Judge every rule on everything instead of asking the databases: slow, and what tests compare with. */
  readonly withoutPrefilter?: boolean;
  /**
   * TCP payloads and streams are searched by one database, for engines that look at both with every packet. Default false:
   * engines that look at streams in pieces search them with one of their own.
   */
  readonly inlineStreams?: boolean;
  /** The rules that judge now; state about rules that stay as they are is carried over. */
  readonly previous?: RuleSet;
}

/** Rule text with the name that errors show. */
export interface RuleSource {
  readonly file: string;
  readonly text: string | Uint8Array;
}

export class RuleSet {
  readonly rules: readonly CompiledRule[];
  readonly refusals: readonly Refusal[];
  readonly apps: AppCatalog;
  readonly generation: number;
  /** Patterns in the largest database: how many hits one scan may have. */
  readonly maxPatterns: number;
  /** The TCP databases over packets are those over streams. */
  readonly inlineStreams: boolean;
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
  /** Some rule looks at protocol data units (keyword frame). */
  readonly needsFrames: boolean;
  /** Some rule looks at flows without payload (header-only rules, flowbits): the data plane then attaches a Flow to each. */
  readonly needsFlowObjects: boolean;
  /** The same for the first packet of a TCP connection: a flood of them should cost no objects. */
  readonly needsFlowAtSyn: boolean;

  /** The numbers behind flowbits and kin, for the rules that come after these. */
  readonly names: RuleNames;
  readonly datasets: DatasetStore;
  /** Rules of ipOnly and protocolOnly that the set before this one did not have. */
  readonly ipOnlyAdded: readonly Int32Array[];
  readonly protocolOnlyAdded: readonly Int32Array[];
  readonly #previousGeneration: number;
  readonly #successors: Int32Array | null;
  readonly #bySid: ReadonlyMap<string, CompiledRule>;

  private constructor(rules: readonly CompiledRule[], bySid: ReadonlyMap<string, CompiledRule>, refusals: readonly Refusal[], context: CompileContext, index: RuleIndex, options: RuleSetOptions) {
    this.rules = rules;
    this.#bySid = bySid;
    this.refusals = refusals;
    this.apps = context.apps;
    this.names = context.names;
    this.datasets = context.datasets;
    this.generation = options.generation ?? 0;
    const { previous } = options;
    this.#previousGeneration = previous?.generation ?? -1;
    this.#successors = previous === undefined ? null : successors(previous, bySid);
    const inherited = new Set(this.#successors ?? []);
    const added = (list: Int32Array): Int32Array => list.filter((rule) => !inherited.has(rule));
    this.ipOnlyAdded = index.ipOnly.map(added);
    this.protocolOnlyAdded = index.protocolOnly.map(added);
    this.inlineStreams = options.inlineStreams ?? false;
    this.packetGroups = index.packetGroups;
    this.streamGroups = index.streamGroups;
    this.packetAlways = index.packetAlways;
    this.synAlways = index.synAlways;
    this.payloadAlways = index.payloadAlways;
    this.streamAlways = index.streamAlways;
    this.findsPayloads = options.withoutPrefilter !== true;
    this.ipOnly = index.ipOnly;
    this.protocolOnly = index.protocolOnly;
    this.byDecodeEvent = index.byDecodeEvent;
    this.txPlans = index.txPlans;
    this.maxPatterns = index.maxPatterns;
    this.needsFlowAtSyn = index.needsFlowAtSyn;
    this.keepsStreams = rules.some((rule) => rule.kind === RuleKind.TRANSACTION && rule.onStream && rule.payload.length > 0);
    this.needsFrames = rules.some((rule) => rule.txChains.some((chain) => chain.buffer.startsWith('frame.')));
    this.needsFlowObjects = rules.some((rule) => rule.kind === RuleKind.IP_ONLY || rule.postMatches.length > 0 || rule.bypass);
  }

  /**
   * Compile rule files. Of rules with one gid and sid the highest revision stays; the others are reported as refused.
   * @param protocols the registry of the protocols room
   */
  static compile(sources: readonly RuleSource[], protocols: readonly AppProtocol[], options: RuleSetOptions = {}): RuleSet {
    return finish(RuleSet.compileSteps(sources, protocols, options));
  }

  /** The same in steps of about a millisecond, for callers that judge packets meanwhile. */
  static *compileSteps(sources: readonly RuleSource[], protocols: readonly AppProtocol[], options: RuleSetOptions = {}): Steps<RuleSet> {
    const compiler = new RuleCompiler(new AppCatalog(protocols), options);
    const refusals: Refusal[] = [];
    const chosen = new Map<string, CompiledRule>();
    let read = 0;
    for (const { file, text } of sources) {
      for (const parsed of readRules(text, { file })) {
        if (++read % STEP_RULES === 0) yield;
        if (!(parsed instanceof Rule)) {
          refusals.push(syntaxRefusal(parsed[0]!));
          continue;
        }
        const result = compiler.compile(parsed);
        if (result.rule === null) {
          refusals.push(result.refusal);
          continue;
        }
        const key = `${parsed.gid}:${parsed.sid}`;
        const known = chosen.get(key);
        const wins = known === undefined || result.rule.info.rev > known.info.rev;
        const loser = wins ? known : result.rule;
        if (loser !== undefined) refusals.push(duplicate(loser, wins ? result.rule : known!));
        if (wins) chosen.set(key, result.rule);
      }
    }
    const rules = inOrder([...chosen.values()]);
    yield;
    rules.forEach((rule, index) => {
      rule.index = index;
    });
    const index = yield* new IndexBuilder(rules, compiler.context.apps, options.cache ?? null, options.withoutPrefilter !== true, options.inlineStreams === true).build();
    return new RuleSet(rules, chosen, refusals, compiler.context, index, options);
  }

  /**
   * Where the rules of an earlier generation are now: by index there the index here, -1 = gone or changed. null when this
   * set knows nothing of that generation.
   */
  successorsOf(generation: number): Int32Array | null {
    return generation === this.#previousGeneration ? this.#successors : null;
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

/** Where the rules of `previous` are now: only those whose text is the same. */
function successors(previous: RuleSet, bySid: ReadonlyMap<string, CompiledRule>): Int32Array {
  return Int32Array.from(previous.rules, ({ info, digest }) => {
    const rule = bySid.get(`${info.gid}:${info.sid}`);
    return rule !== undefined && rule.digest === digest ? rule.index : -1;
  });
}

/**
 * Order of judgement: action (pass, drop, reject, alert), setters of state before readers, severity, then file order.
 * Dealt into heaps rather than sorted: linear, and fast enough to do between two batches.
 */
function inOrder(rules: readonly CompiledRule[]): CompiledRule[] {
  const heaps = new Map<number, CompiledRule[]>();
  for (const rule of rules) {
    const key = (rule.action * RANKS + rank(rule)) * SEVERITIES + rule.info.severity;
    const heap = heaps.get(key);
    if (heap === undefined) heaps.set(key, [rule]);
    else heap.push(rule);
  }
  return [...heaps.keys()].sort((a, b) => a - b).flatMap((key) => heaps.get(key)!);
}

const RANKS = 4;
/** More than a priority can be. */
const SEVERITIES = 0x1_0000_0000;

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
