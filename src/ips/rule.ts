/** A compiled rule: everything the engine needs, in the shape it needs it. Immutable after loading. */
import type { BufferSpec } from '../protocols/index.js';
import type { RuleHeader } from './header.js';
import type { PacketMatch, PostMatch, TxMatch } from './match/match.js';
import type { Step } from './match/step.js';
import type { PacketBuffer } from './packet-buffer.js';
import type { Signature } from './signature.js';
import type { Threshold } from './state/threshold.js';
import type { Transform } from './transform.js';

/** What a rule does, in order of precedence (lowest number is judged first). */
export const RuleAction = { PASS: 0, DROP: 1, REJECT: 2, ALERT: 3, CONFIG: 4 } as const;
export type RuleAction = (typeof RuleAction)[keyof typeof RuleAction];

/** Whom a reject answers: the source, the destination, both, or (plain `reject`) whoever still waits. */
export type RejectSides = 'auto' | 'src' | 'dst' | 'both';

/** Which sweep of the engine a rule belongs to. */
export const RuleKind = {
  /** Header only: judged once per flow and direction. */
  IP_ONLY: 0,
  /** Judged once per flow and direction, when its application protocol is known. */
  PROTOCOL_ONLY: 1,
  /** Packet header and packet tests: judged for every packet. */
  PACKET: 2,
  /** Contents in the packet payload and/or the reassembled stream. */
  PAYLOAD: 3,
  /** Buffers of application transactions. */
  TRANSACTION: 4,
} as const;
export type RuleKind = (typeof RuleKind)[keyof typeof RuleKind];

/** A buffer of an application protocol with its chain. */
export class TxChain {
  constructor(
    readonly buffer: string,
    /** Where the buffer comes from, by application protocol id (index 0 unused). */
    readonly specs: readonly (BufferSpec | null)[],
    readonly transforms: readonly Transform[],
    readonly steps: readonly Step[],
    /** Names the bytes: buffer and transforms. Chains of equal key share one prefilter database and one transformed copy. */
    readonly key: string,
  ) {}
}

/** A header of the packet (ipv4.hdr, tcp.hdr ...) with its chain. */
export class PacketChain {
  constructor(
    readonly buffer: PacketBuffer,
    readonly transforms: readonly Transform[],
    readonly steps: readonly Step[],
  ) {}
}

/** The literal a rule is found by. */
export interface FastPatternChoice {
  /** Key of the buffer it lies in: a TxChain's key, or 'payload'. */
  readonly buffer: string;
  readonly bytes: Uint8Array;
  readonly nocase: boolean;
  /** True when the rule asked for it, false when the compiler chose. */
  readonly explicit: boolean;
}

export interface RuleParts {
  readonly info: Signature;
  readonly action: RuleAction;
  readonly rejectSides: RejectSides;
  readonly noalert: boolean;
  readonly bypass: boolean;
  readonly kind: RuleKind;
  /** Pass, drop and reject hold for the flow, not only for the packet; of payload rules those that matched in a stream do. */
  readonly flowAction: boolean;
  readonly header: RuleHeader;
  /** Application protocols the rule is about, null = any. */
  readonly apps: readonly number[] | null;
  /** Directions it can match in: bit 0 to server, bit 1 to client. */
  readonly directions: number;
  /** The rule names a direction, so it needs a flow. */
  readonly needsFlow: boolean;
  readonly packetMatches: readonly PacketMatch[];
  readonly payload: readonly Step[];
  /** Contents are looked for in single packets (TCP: those with offset or depth, for old rules mean the packet by them) / in the stream. */
  readonly onPacket: boolean;
  readonly onTcpPacket: boolean;
  readonly onStream: boolean;
  readonly packetChains: readonly PacketChain[];
  readonly txChains: readonly TxChain[];
  readonly txMatches: readonly TxMatch[];
  readonly postMatches: readonly PostMatch[];
  readonly threshold: Threshold | null;
  readonly detectionFilter: Threshold | null;
  readonly fastPattern: FastPatternChoice | null;
  /** Transaction rules with payload contents: literal without which the stream cannot match, null = none. */
  readonly payloadPattern: FastPatternChoice | null;
  /** Ids of decoder events the rule waits for; empty = none. */
  readonly decodeEvents: readonly number[];
  /** Rank of the flowbits and kin for rule order: setters before readers. */
  readonly stateRank: number;
  readonly file: string;
  readonly line: number;
  /** Of the rule's text. */
  readonly digest: number;
  readonly classtype: string;
}

export class CompiledRule {
  /** Position in the rule set's evaluation order. */
  index = -1;
  readonly info: Signature;
  readonly action: RuleAction;
  readonly rejectSides: RejectSides;
  readonly noalert: boolean;
  readonly bypass: boolean;
  readonly kind: RuleKind;
  /** Pass, drop and reject hold for the flow, not only for the packet; of payload rules those that matched in a stream do. */
  readonly flowAction: boolean;
  readonly header: RuleHeader;
  readonly apps: readonly number[] | null;
  readonly directions: number;
  readonly needsFlow: boolean;
  readonly packetMatches: readonly PacketMatch[];
  readonly payload: readonly Step[];
  readonly onPacket: boolean;
  readonly onTcpPacket: boolean;
  readonly onStream: boolean;
  readonly packetChains: readonly PacketChain[];
  readonly txChains: readonly TxChain[];
  readonly txMatches: readonly TxMatch[];
  readonly postMatches: readonly PostMatch[];
  readonly threshold: Threshold | null;
  readonly detectionFilter: Threshold | null;
  readonly fastPattern: FastPatternChoice | null;
  readonly payloadPattern: FastPatternChoice | null;
  readonly decodeEvents: readonly number[];
  readonly stateRank: number;
  readonly file: string;
  readonly line: number;
  readonly digest: number;
  readonly classtype: string;

  constructor(parts: RuleParts) {
    this.info = parts.info;
    this.action = parts.action;
    this.rejectSides = parts.rejectSides;
    this.noalert = parts.noalert;
    this.bypass = parts.bypass;
    this.kind = parts.kind;
    this.flowAction = parts.flowAction;
    this.header = parts.header;
    this.apps = parts.apps;
    this.directions = parts.directions;
    this.needsFlow = parts.needsFlow;
    this.packetMatches = parts.packetMatches;
    this.payload = parts.payload;
    this.onPacket = parts.onPacket;
    this.onTcpPacket = parts.onTcpPacket;
    this.onStream = parts.onStream;
    this.packetChains = parts.packetChains;
    this.txChains = parts.txChains;
    this.txMatches = parts.txMatches;
    this.postMatches = parts.postMatches;
    this.threshold = parts.threshold;
    this.detectionFilter = parts.detectionFilter;
    this.fastPattern = parts.fastPattern;
    this.payloadPattern = parts.payloadPattern;
    this.decodeEvents = parts.decodeEvents;
    this.stateRank = parts.stateRank;
    this.file = parts.file;
    this.line = parts.line;
    this.digest = parts.digest;
    this.classtype = parts.classtype;
  }

  /** Is the flow's application protocol one the rule is about? */
  takesApp(app: number): boolean {
    return this.apps === null || this.apps.includes(app);
  }
}
