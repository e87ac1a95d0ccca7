/** Rule tree -> CompiledRule, or the reason why not. */
import { AddressResolver, parseAddressExpr, PortResolver, type AddressExpr, type AddressSet, type PortExpr, type PortSet, type Rule } from 'snort-rule-parser';
import { PROTO_TCP, PROTO_UDP } from '../packet/index.js';
import type { AppCatalog } from './app-catalog.js';
import { DEFAULT_CLASSES, type Classification } from './classification.js';
import { CompileContext, DIR_TO_CLIENT, DIR_TO_SERVER, RuleDraft, type BufferDraft, type RuleNames } from './draft.js';
import { chooseFastPattern, type PatternPlace } from './fast-pattern.js';
import { AddressIntervals, HEADER_PROTOCOLS, PortBitmap, RuleHeader, type HeaderProtocol } from './header.js';
import { ContentStep, type Step } from './match/step.js';
import { OptionText } from './option.js';
import { PACKET_BUFFERS } from './packet-buffer.js';
import { RuleRefused, toRefusal, type Refusal } from './refusal.js';
import { findKeyword, keywordNames } from './registry.js';
import { CompiledRule, PacketChain, RuleAction, RuleKind, TxChain, type RejectSides } from './rule.js';
import type { DatasetStore } from './state/dataset.js';
import { Signature } from './signature.js';
import { DEFAULT_VARS, type RuleVars } from './vars.js';

export interface CompileOptions {
  readonly vars?: RuleVars;
  readonly classes?: Readonly<Record<string, Classification>>;
  /** Datasets that outlive a reload of the rules. */
  readonly datasets?: DatasetStore;
  /** Numbers of flowbits and kin that the rules before these gave out. */
  readonly names?: RuleNames;
  /** Reads a file that a rule names (datasets, hash lists), relative to the rule's own file; null when there is none. */
  readonly readFile?: (name: string, ruleFile: string) => Uint8Array | null;
}

export type CompileResult = { readonly rule: CompiledRule; readonly refusal: null } | { readonly rule: null; readonly refusal: Refusal };

/** What a rule action of the grammar does. */
const ACTIONS: Readonly<Record<string, { readonly action: RuleAction; readonly sides?: RejectSides; readonly silent?: boolean }>> = {
  alert: { action: RuleAction.ALERT },
  log: { action: RuleAction.ALERT },
  pass: { action: RuleAction.PASS },
  drop: { action: RuleAction.DROP },
  sdrop: { action: RuleAction.DROP, silent: true },
  reject: { action: RuleAction.REJECT, sides: 'auto' },
  rejectsrc: { action: RuleAction.REJECT, sides: 'src' },
  rejectdst: { action: RuleAction.REJECT, sides: 'dst' },
  rejectboth: { action: RuleAction.REJECT, sides: 'both' },
};

/** Longest list of accepted words in a refusal. */
const MAX_ACCEPTED = 60;

/** Key of the payload in fast-pattern choices. */
export const PAYLOAD_KEY = 'payload';

export class RuleCompiler {
  readonly context: CompileContext;
  readonly #addresses: AddressResolver;
  readonly #ports: PortResolver;
  readonly #classes: Readonly<Record<string, Classification>>;
  readonly #vars: RuleVars;
  readonly #classtypes = new Map<string, string>();
  readonly #addressSets = new Map<AddressSet, AddressIntervals | null>();
  readonly #portSets = new Map<PortSet, PortBitmap | null>();

  constructor(apps: AppCatalog, options: CompileOptions = {}) {
    this.context = new CompileContext(apps, (name) => findKeyword(name) !== undefined || apps.buffer(name) !== null, options.datasets, options.readFile, options.names);
    const vars = options.vars ?? DEFAULT_VARS;
    this.#vars = vars;
    const own = (table: Readonly<Record<string, string>>, name: string): string | undefined => (Object.hasOwn(table, name) ? table[name] : undefined);
    this.#addresses = new AddressResolver((name) => own(vars.addresses, name));
    this.#ports = new PortResolver((name) => own(vars.ports, name));
    this.#classes = options.classes ?? DEFAULT_CLASSES;
  }

  /** Never throws on a parsed rule. */
  compile(rule: Rule): CompileResult {
    try {
      return { rule: this.#compile(rule), refusal: null };
    } catch (error) {
      if (!(error instanceof RuleRefused)) throw error;
      return { rule: null, refusal: toRefusal(rule, error) };
    }
  }

  #compile(rule: Rule): CompiledRule {
    const action = Object.hasOwn(ACTIONS, rule.action) ? ACTIONS[rule.action]! : undefined;
    if (action === undefined) throw headerFault(0, rule.action, 'the action is not supported', Object.keys(ACTIONS), 'not-supported');
    const { protocol, apps: headerApps } = this.#protocol(rule);
    const draft = new RuleDraft(rule, this.context);
    for (const option of rule.options) readOption(draft, new OptionText(option));
    if (action.silent === true) draft.noalert = true;

    const last = new OptionText(rule.options.at(-1)!);
    const buffers = draft.buffers.filter((buffer) => buffer.steps.length > 0);
    for (const buffer of buffers) finishSteps(buffer.steps, this.context);
    for (const buffer of draft.buffers) {
      // A transform behind the last content of its buffer is without effect, as in Suricata.
      const repeated = draft.buffers.some((other) => other !== buffer && other.name === buffer.name && other.steps.length > 0);
      if (buffer.kind === 'tx' && buffer.steps.length === 0 && !repeated) {
        last.fail(null, `the sticky buffer ${buffer.name} has no content`, ['a content or pcre after it'], 'conflict');
      }
    }

    const txDrafts = buffers.filter((buffer) => buffer.kind === 'tx');
    const isTransaction = txDrafts.length > 0 || draft.txMatches.length > 0;
    const apps = this.#apps(draft, headerApps, txDrafts, last);
    const header = this.#header(rule, this.#transport(protocol, apps));
    const txChains = txDrafts.map((buffer) => this.#txChain(buffer, apps));
    const directions = isTransaction ? directionsOf(draft, txChains, last) : draft.directions;
    const packetDrafts = buffers.filter((buffer) => buffer.kind === 'packet');
    if (isTransaction && (packetDrafts.length > 0 || draft.requiresPacket)) {
      last.fail(null, 'packet tests (dsize, flags, ttl, tcp.hdr ...) cannot stand beside buffers of an application protocol', [], 'conflict');
    }

    const { onPacket, onTcpPacket, onStream } = payloadModes(draft, protocol, header, last, isTransaction);
    const perPacket = draft.perPacket || packetDrafts.length > 0 || header.protocol.anyFrame;
    const negated = this.#negated(rule.sourceAddress) || this.#negated(rule.destinationAddress);
    const kind = kindOf(draft, isTransaction, perPacket, negated, headerApps !== null);
    const places: PatternPlace[] = isTransaction
      ? txChains.map((chain) => ({ key: chain.key, buffer: chain.buffer, steps: chain.steps }))
      : [{ key: PAYLOAD_KEY, buffer: PAYLOAD_KEY, steps: draft.payload.steps }];
    return new CompiledRule({
      info: this.#info(rule),
      action: action.action,
      rejectSides: action.sides ?? 'auto',
      noalert: draft.noalert || (action.action === RuleAction.PASS && !draft.alert),
      bypass: draft.bypass,
      kind,
      // Rules about a flow as a whole act on the flow, even those that negated addresses keep from being judged only once.
      flowAction: kind === RuleKind.PACKET ? !perPacket && !draft.needsFlow : kind !== RuleKind.PAYLOAD,
      header,
      apps,
      directions,
      needsFlow: draft.needsFlow,
      packetMatches: draft.packetMatches,
      payload: draft.payload.steps,
      onPacket,
      onTcpPacket,
      onStream,
      packetChains: packetDrafts.map(
        (buffer) => new PacketChain(PACKET_BUFFERS.find((candidate) => candidate.name === buffer.name)!, buffer.transforms, buffer.steps),
      ),
      txChains,
      txMatches: draft.txMatches,
      postMatches: draft.postMatches,
      threshold: draft.threshold,
      detectionFilter: draft.detectionFilter,
      fastPattern: chooseFastPattern(places),
      payloadPattern: isTransaction ? chooseFastPattern([{ key: PAYLOAD_KEY, buffer: PAYLOAD_KEY, steps: draft.payload.steps }]) : null,
      decodeEvents: draft.decodeEvents,
      stateRank: draft.stateRank,
      file: rule.source.file,
      line: rule.line,
      digest: digestOf(rule.source.text),
      classtype: this.#classtype(rule.classtype),
    });
  }

  #protocol(rule: Rule): { protocol: HeaderProtocol | null; apps: readonly number[] | null } {
    const name = rule.protocol;
    if (Object.hasOwn(HEADER_PROTOCOLS, name)) return { protocol: HEADER_PROTOCOLS[name]!, apps: null };
    const apps = this.context.apps.ids(name);
    if (apps === null) {
      const at = rule.source.text.indexOf(name, rule.source.text.indexOf(rule.action) + rule.action.length);
      const accepted = [...Object.keys(HEADER_PROTOCOLS), ...this.context.apps.names];
      throw headerFault(at, name, 'no parser for this protocol', accepted, 'unknown-protocol');
    }
    return { protocol: null, apps };
  }

  /** Application protocols the rule can match on, null = it does not care. */
  #apps(draft: RuleDraft, headerApps: readonly number[] | null, txDrafts: readonly BufferDraft[], last: OptionText): readonly number[] | null {
    let apps = headerApps;
    if (draft.impliedApp !== '') {
      const implied = this.context.apps.ids(draft.impliedApp) ?? [];
      apps = apps === null ? implied : apps.filter((app) => implied.includes(app));
    }
    if (draft.needsFiles) {
      const carriers = (this.context.apps.buffer('file.data') ?? []).flatMap((spec, app) => (spec === null ? [] : [app]));
      apps = apps === null ? carriers : apps.filter((app) => carriers.includes(app));
    }
    for (const buffer of txDrafts) {
      const specs = this.context.apps.buffer(buffer.name)!;
      const offering = specs.flatMap((spec, app) => (spec === null ? [] : [app]));
      apps = apps === null ? offering : apps.filter((app) => offering.includes(app));
    }
    if (apps !== null && apps.length === 0) last.fail(null, 'no application protocol has all buffers the rule asks for', [], 'conflict');
    return apps;
  }

  /** IP protocols of a header that names an application protocol. */
  #transport(protocol: HeaderProtocol | null, apps: readonly number[] | null): HeaderProtocol {
    if (protocol !== null) return protocol;
    const transports = new Set((apps ?? []).flatMap((app) => this.context.apps.protocols[app]!.transports));
    const numbers = [...(transports.has('tcp') ? [PROTO_TCP] : []), ...(transports.has('udp') ? [PROTO_UDP] : [])];
    return { numbers, version: 0, only: '', anyFrame: false };
  }

  #header(rule: Rule, protocol: HeaderProtocol): RuleHeader {
    return new RuleHeader(
      protocol,
      this.#addressSet(rule.sourceAddress, rule.sourceAddressAt),
      this.#portSet(rule.sourcePort, rule.sourcePortAt),
      this.#addressSet(rule.destinationAddress, rule.destinationAddressAt),
      this.#portSet(rule.destinationPort, rule.destinationPortAt),
      rule.direction === '<>',
    );
  }

  #addressSet(expr: AddressExpr, at: number): AddressIntervals | null {
    const { set, error } = this.#addresses.resolve(expr);
    if (error !== null) throw headerFault(at + error.offset, error.token, error.message, error.accepted, error.kind === 'unknown-variable' ? 'unknown-variable' : 'bad-header');
    let intervals = this.#addressSets.get(set);
    if (intervals === undefined) this.#addressSets.set(set, (intervals = set.any ? null : new AddressIntervals(set)));
    return intervals;
  }

  /** Is some part of an address expression negated, in itself or in a variable it uses? Variables were resolved before. */
  #negated(expr: AddressExpr): boolean {
    if (expr.negated) return true;
    if (expr.kind === 'list') return expr.items.some((item) => this.#negated(item));
    if (expr.kind !== 'variable') return false;
    const { expr: value } = parseAddressExpr(this.#vars.addresses[expr.name]!);
    return value !== null && this.#negated(value);
  }

  #portSet(expr: PortExpr, at: number): PortBitmap | null {
    const { set, error } = this.#ports.resolve(expr);
    if (error !== null) throw headerFault(at + error.offset, error.token, error.message, error.accepted, error.kind === 'unknown-variable' ? 'unknown-variable' : 'bad-header');
    let ports = this.#portSets.get(set);
    if (ports === undefined) this.#portSets.set(set, (ports = set.any ? null : new PortBitmap(set)));
    return ports;
  }

  #txChain(buffer: BufferDraft, apps: readonly number[] | null): TxChain {
    const specs = this.context.specs(buffer.name, apps);
    const key = [buffer.name, ...buffer.transforms.map((transform) => transform.key)].join('|');
    return new TxChain(buffer.name, specs, buffer.transforms, buffer.steps, key);
  }

  /** One string for all rules of a class, that does not keep the text of the rules alive. */
  #classtype(name: string): string {
    let known = this.#classtypes.get(name);
    if (known === undefined) {
      known = Buffer.from(name, 'utf8').toString('utf8');
      this.#classtypes.set(known, known);
    }
    return known;
  }

  #info(rule: Rule): Signature {
    return new Signature(rule, Object.hasOwn(this.#classes, rule.classtype) ? this.#classes[rule.classtype] : undefined);
  }
}

/** FNV-1a of the rule's text in 52 bits: tells whether a reload changed it. */
function digestOf(text: string): number {
  let a = 0x811c9dc5;
  let b = 0x1234567;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x01000193) ^ (a >>> 15);
  }
  return (a >>> 0) * 0x10_0000 + ((b >>> 0) & 0xf_ffff);
}

function headerFault(at: number, token: string, message: string, accepted: readonly string[], reason: RuleRefused['reason']): RuleRefused {
  return new RuleRefused(reason, null, at, token, message, accepted.slice(0, MAX_ACCEPTED));
}

function readOption(draft: RuleDraft, option: OptionText): void {
  const keyword = findKeyword(option.name);
  if (keyword === undefined) {
    if (option.option.value === null && draft.context.apps.buffer(option.name) !== null) {
      draft.select(option, option.name);
      return;
    }
    option.fail(null, 'unknown keyword', similar(option.name), 'unknown-keyword');
  }
  const given = option.option.value !== null;
  if (keyword.value === 'none' && given) option.fail(option.whole(), 'takes no value', [keyword.name]);
  if (keyword.value === 'required' && !given) option.fail(null, 'needs a value', keyword.usage);
  keyword.parse(draft, option);
}

/** Keywords that look like `name`, for the message. */
function similar(name: string): string[] {
  const stem = name.toLowerCase().replace(/[._-]/g, '').slice(0, 4);
  return keywordNames().filter((known) => known.replace(/[._-]/g, '').startsWith(stem)).slice(0, MAX_ACCEPTED);
}

/** Relations between neighbours, and what the searcher needs. */
function finishSteps(steps: readonly Step[], context: CompileContext): void {
  steps.forEach((step, i) => {
    step.nextRelative = steps[i + 1]?.relative ?? false;
    if (!(step instanceof ContentStep)) return;
    // Depth counts from the offset; the searcher wants the end as an offset of its own.
    if (step.hasDepth && step.depthVar < 0 && step.offsetVar < 0 && !step.relative) step.depth += step.offset;
    step.needle = context.needle(step.bytes, step.nocase);
    step.bytes = step.needle.bytes;
  });
}

/** Directions in which every buffer of the rule exists. */
function directionsOf(draft: RuleDraft, chains: readonly TxChain[], last: OptionText): number {
  let directions = draft.directions;
  for (const match of draft.txMatches) directions &= match.directions;
  for (const chain of chains) {
    let offered = 0;
    for (const spec of chain.specs) if (spec !== null) offered |= (spec.toServer ? DIR_TO_SERVER : 0) | (spec.toClient ? DIR_TO_CLIENT : 0);
    directions &= offered;
  }
  if (directions === 0) {
    const names = chains.map((chain) => chain.buffer).join(', ');
    last.fail(null, `the buffers (${names}) and the flow direction exclude each other`, ['flow:to_server', 'flow:to_client', 'two rules and flowbits'], 'conflict');
  }
  return directions;
}

/**
 * Where the payload contents are looked for. TCP: the stream, unless packet tests or tcp-pkt ask for packets; contents
 * with offset or depth are looked for in both, since old rules mean the packet by them. Everything else: the packet.
 */
function payloadModes(draft: RuleDraft, protocol: HeaderProtocol | null, header: RuleHeader, last: OptionText, isTransaction: boolean): { onPacket: boolean; onTcpPacket: boolean; onStream: boolean } {
  const { steps } = draft.payload;
  const tcp = header.takesProtocol(PROTO_TCP);
  const wantsStream = draft.onlyStream || protocol?.only === 'stream';
  const wantsPacket = draft.requiresPacket || draft.noStream || protocol?.only === 'packet';
  if (wantsStream && wantsPacket) {
    last.fail(null, 'packet tests (dsize, flags, ttl ..., no_stream) cannot stand beside tcp-stream or flow:only_stream', [], 'conflict');
  }
  if (steps.length === 0) return { onPacket: false, onTcpPacket: false, onStream: false };
  if (!tcp) return { onPacket: true, onTcpPacket: false, onStream: false };
  if (wantsPacket) return { onPacket: true, onTcpPacket: true, onStream: false };
  if (wantsStream) return { onPacket: false, onTcpPacket: false, onStream: true };
  const anchored = draft.packetsToo || steps.some((step) => step instanceof ContentStep && (step.hasDepth || step.hasOffset));
  const others = header.protocol.numbers === null || header.protocol.numbers.some((number) => number !== PROTO_TCP);
  return { onPacket: !isTransaction && (anchored || others), onTcpPacket: !isTransaction && anchored, onStream: true };
}

/**
 * Suricata's rule types. Judged once per flow and direction: headers alone, ports included, and keywords that hold for the
 * flow; negated addresses cost a rule that place.
 */
function kindOf(draft: RuleDraft, isTransaction: boolean, perPacket: boolean, negated: boolean, headerApp: boolean): RuleKind {
  if (isTransaction) return RuleKind.TRANSACTION;
  if (draft.payload.steps.length > 0) return RuleKind.PAYLOAD;
  if (perPacket || headerApp) return RuleKind.PACKET;
  if (draft.protocolOnly && !draft.requiresPacket) return RuleKind.PROTOCOL_ONLY;
  return draft.protocolOnly || draft.needsFlow || negated ? RuleKind.PACKET : RuleKind.IP_ONLY;
}
