/** A rule while its options are read. Keywords add to it; `compile.ts` turns it into a CompiledRule. */
import type { Rule } from 'snort-rule-parser';
import type { BufferSpec } from '../protocols/index.js';
import type { AppCatalog } from './app-catalog.js';
import { LOWER, Needle } from './match/search.js';
import { MAX_BYTE_VARS } from './match/context.js';
import type { PacketMatch, PostMatch, TxMatch } from './match/match.js';
import type { ContentStep, Step } from './match/step.js';
import type { Arg, OptionText } from './option.js';
import { PACKET_BUFFERS } from './packet-buffer.js';
import { DatasetStore } from './state/dataset.js';
import type { Threshold } from './state/threshold.js';
import type { Transform } from './transform.js';

/** Names given to small numbers, shared by all rules of a set: flowbits, xbits, flowints. */
export class NameTable {
  readonly #ids = new Map<string, number>();

  id(name: string): number {
    let id = this.#ids.get(name);
    if (id === undefined) this.#ids.set(name, (id = this.#ids.size));
    return id;
  }

  get size(): number {
    return this.#ids.size;
  }
}

/**
 * The numbers behind the names of state that outlives packets. Handed on to the next generation of the rules, so that a
 * bit set under one is the same bit under the other; names that no rule uses any more keep their number.
 */
export class RuleNames {
  readonly flowbits = new NameTable();
  readonly flowints = new NameTable();
  readonly hostbits = new NameTable();
}

/** What all rules of a set share while it is compiled. */
export class CompileContext {
  readonly #needles = new Map<string, Needle>();
  readonly #specs = new Map<string, readonly (BufferSpec | null)[]>();

  /** @param hasKeyword does the registry have this keyword (for `requires`) */
  constructor(
    readonly apps: AppCatalog,
    readonly hasKeyword: (name: string) => boolean,
    readonly datasets: DatasetStore = new DatasetStore(),
    /** Content of a file that a rule names, null when it cannot be read. */
    readonly readFile: (name: string, ruleFile: string) => Uint8Array | null = () => null,
    readonly names: RuleNames = new RuleNames(),
  ) {}

  /** The searcher of a byte string, one for all rules that look for it. */
  needle(bytes: Uint8Array, nocase: boolean): Needle {
    const folded = nocase ? bytes.map((byte) => LOWER[byte]!) : bytes;
    const key = (nocase ? 'i' : 'c') + Buffer.from(folded).toString('latin1');
    let needle = this.#needles.get(key);
    if (needle === undefined) this.#needles.set(key, (needle = new Needle(folded, nocase)));
    return needle;
  }

  /** Where a buffer comes from, limited to some protocols; equal lists are one object. */
  specs(buffer: string, apps: readonly number[] | null): readonly (BufferSpec | null)[] {
    const key = `${buffer} ${apps === null ? '' : apps.join()}`;
    let specs = this.#specs.get(key);
    if (specs === undefined) {
      specs = this.apps.buffer(buffer)!.map((spec, app) => (apps === null || apps.includes(app) ? spec : null));
      this.#specs.set(key, specs);
    }
    return specs;
  }
}

export type BufferKind = 'payload' | 'packet' | 'tx' | 'base64';

/** One buffer of the rule with the steps that look at it. */
export class BufferDraft {
  readonly steps: Step[] = [];
  readonly transforms: Transform[] = [];

  constructor(
    readonly kind: BufferKind,
    readonly name: string,
  ) {}

  get transformed(): boolean {
    return this.transforms.length > 0;
  }
}

/** http_server_body and pcre's Q mean the response body, which file.data shows as well. */
export function sameBytes(a: string, b: string): boolean {
  return a === b || (a === 'file.data' && b === 'http.response_body');
}

export const DIR_TO_SERVER = 1;
export const DIR_TO_CLIENT = 2;
export const DIR_BOTH = 3;

export class RuleDraft {
  readonly payload = new BufferDraft('payload', 'payload');
  readonly buffers: BufferDraft[] = [this.payload];
  /** Where the next content goes. */
  current: BufferDraft = this.payload;
  /** Content the next modifier is about. */
  lastContent: { step: ContentStep; buffer: BufferDraft } | null = null;
  readonly packetMatches: PacketMatch[] = [];
  readonly txMatches: TxMatch[] = [];
  readonly postMatches: PostMatch[] = [];
  /** Directions the rule asks for. */
  directions = DIR_BOTH;
  needsFlow = false;
  /** Some match looks at single packets: dsize, flags, ttl ... */
  requiresPacket = false;
  onlyStream = false;
  /** Contents are looked for in single packets beside the stream. */
  packetsToo = false;
  noStream = false;
  /** A keyword occurred that may hold for one packet of a flow and not for the next: the rule is judged for every packet. */
  perPacket = false;
  /** app-layer-protocol occurred: with nothing per-packet beside it the rule is judged once the protocol is known. */
  protocolOnly = false;
  noalert = false;
  alert = false;
  bypass = false;
  threshold: Threshold | null = null;
  detectionFilter: Threshold | null = null;
  readonly decodeEvents: number[] = [];
  stateRank = 0;
  /** Application protocol the keywords imply, '' = none. */
  impliedApp = '';
  /** The rule asks for transferred files. */
  needsFiles = false;
  /** The rule asked for prefilter on something that is no content. */
  prefilter = false;
  fastPatternSeen = false;
  readonly #variables = new Map<string, number>();

  constructor(
    readonly rule: Rule,
    readonly context: CompileContext,
  ) {}

  /** Go on in a sticky buffer of an application protocol. */
  select(option: OptionText, name: string): void {
    const buffer = this.bufferNamed(option, name);
    this.current = buffer;
    this.lastContent = null;
  }

  /** The draft of a buffer by name, created on first use. */
  bufferNamed(option: OptionText, name: string): BufferDraft {
    const packet = PACKET_BUFFERS.some((buffer) => buffer.name === name);
    if (!packet && this.context.apps.buffer(name) === null) {
      option.fail(null, `no protocol parser offers the buffer ${name}`, [], 'unknown-buffer');
    }
    if (!this.context.apps.isMultiInstance(name)) {
      const known = this.buffers.find((buffer) => buffer.name === name && !buffer.transformed);
      if (known !== undefined) return known;
    }
    const buffer = new BufferDraft(packet ? 'packet' : 'tx', name);
    this.buffers.push(buffer);
    return buffer;
  }

  /** Another draft of the same buffer, for contents that look at it differently. */
  again(buffer: BufferDraft): BufferDraft {
    const next = new BufferDraft(buffer.kind, buffer.name);
    this.buffers.push(next);
    this.current = next;
    this.lastContent = null;
    return next;
  }

  /** Back to the packet payload. */
  selectPayload(): void {
    this.current = this.payload;
    this.lastContent = null;
  }

  /** A relative step outside of sticky buffers looks where the content before it does, which a legacy modifier may have moved. */
  add(step: Step): void {
    const { current, lastContent } = this;
    const target = step.relative && current === this.payload && lastContent !== null ? lastContent.buffer : current;
    target.steps.push(step);
  }

  addContent(step: ContentStep): void {
    this.current.steps.push(step);
    this.lastContent = { step, buffer: this.current };
  }

  /** The content a modifier follows; refuses the rule when there is none. */
  content(option: OptionText): ContentStep {
    if (this.lastContent === null) option.fail(null, 'has to follow a content', ['content:"..."; ' + option.name], 'conflict');
    return this.lastContent.step;
  }

  /** Move the last content to a buffer (the legacy modifiers http_uri and kin). */
  moveContent(option: OptionText, name: string): void {
    const content = this.content(option);
    const from = this.lastContent!.buffer;
    if (sameBytes(from.name, name)) return;
    const to = this.buffers.find((buffer) => buffer.name === name && !buffer.transformed) ?? this.bufferNamed(option, name);
    const at = from.steps.indexOf(content);
    if (at >= 0) from.steps.splice(at, 1);
    to.steps.push(content);
    this.lastContent = { step: content, buffer: to };
  }

  /** Slot of a new byte variable. */
  defineVariable(option: OptionText, arg: Arg): number {
    if (!/^[a-z_][\w.-]*$/i.test(arg.text)) option.fail(arg, 'not a name for a variable', ['a letter, then letters, digits, _']);
    const known = this.#variables.get(arg.text);
    if (known !== undefined) return known;
    if (this.#variables.size >= MAX_BYTE_VARS) option.fail(arg, `more than ${MAX_BYTE_VARS} variables in one rule`, [], 'limit');
    this.#variables.set(arg.text, this.#variables.size);
    return this.#variables.size - 1;
  }

  /** Slot of a variable that an earlier byte_extract or byte_math defined. */
  variable(option: OptionText, arg: Arg): number {
    const slot = this.#variables.get(arg.text);
    if (slot === undefined) {
      option.fail(arg, 'neither a number nor a variable defined before by byte_extract or byte_math', [...this.#variables.keys()]);
    }
    return slot;
  }

  /** Restrict the directions; refuses the rule when nothing is left. */
  restrict(option: OptionText, directions: number): void {
    this.directions &= directions;
    this.needsFlow = true;
    if (this.directions === 0) option.fail(null, 'to_server and to_client exclude each other', [], 'conflict');
  }

  addPacketMatch(match: PacketMatch, requiresPacket = true): void {
    this.packetMatches.push(match);
    this.perPacket = true;
    if (requiresPacket) this.requiresPacket = true;
  }
}
