/**
 * The syntax tree of a rule. Text is latin-1: one UTF-16 unit per byte of the rule file, so `charCodeAt` is the byte
 * and nothing above 0x7f is lost. Address and port trees hold no absolute position, which lets all rules of a file
 * share one tree per distinct text; `Rule.sourceAddressAt` and its siblings say where in the rule the text stood.
 */
import type { Position } from './errors.js';

export const ACTIONS = [
  'alert',
  'pass',
  'drop',
  'reject',
  'rejectsrc',
  'rejectdst',
  'rejectboth',
  'log',
  'activate',
  'dynamic',
  'sdrop',
  'config',
] as const;

export type Action = (typeof ACTIONS)[number];

export const DIRECTIONS = ['->', '<>'] as const;

/** `->` source to destination, `<>` either way. */
export type Direction = (typeof DIRECTIONS)[number];

/** `snort3` marks a rule without addresses and ports (`alert http (...)`); anything else is `suricata`. */
export type Dialect = 'suricata' | 'snort3';

/** What every node of an address or port tree has. */
export interface ExprBase {
  /** True when a `!` stands before the node. */
  readonly negated: boolean;
  /** Offset of the node (its `!` included) from the start of the expression, in bytes. */
  readonly at: number;
  /** Length of the node's text, in bytes. */
  readonly length: number;
}

export interface AnyExpr extends ExprBase {
  readonly kind: 'any';
}

export interface VariableExpr extends ExprBase {
  readonly kind: 'variable';
  /** Name without the `$`. */
  readonly name: string;
}

/** One address, CIDR block, address with netmask (IPv4 only) or `first-last` range. */
export interface AddressLiteral extends ExprBase {
  readonly kind: 'address';
  readonly family: 4 | 6;
  /** As written, without `!`; already checked, so `parseAddressRange` cannot fail on it. */
  readonly text: string;
}

/** One port (`first === last`) or an inclusive range, 0..65535; open ends are filled in. */
export interface PortLiteral extends ExprBase {
  readonly kind: 'port';
  readonly first: number;
  readonly last: number;
}

export interface ListExpr<Item> extends ExprBase {
  readonly kind: 'list';
  /** At least one. */
  readonly items: readonly Item[];
}

export type AddressExpr = AnyExpr | VariableExpr | AddressLiteral | ListExpr<AddressExpr>;
export type PortExpr = AnyExpr | VariableExpr | PortLiteral | ListExpr<PortExpr>;

/** One `name;` or `name:value;` in rule order. */
export class RuleOption implements Position {
  constructor(
    /** Keyword as written. */
    readonly name: string,
    /** Text between `:` and `;` without surrounding blanks, escapes and quotes untouched; null for a bare keyword. */
    readonly value: string | null,
    /** Where the name starts, in the file. */
    readonly line: number,
    readonly column: number,
    readonly offset: number,
    /** Bytes from the name to the `;` inclusive, line continuations included. */
    readonly length: number,
  ) {}
}

/** `reference:type,id;` */
export interface Reference {
  readonly type: string;
  readonly id: string;
}

/** One `key value` pair of a `metadata` option; `value` is `''` for a lone key. */
export interface MetadataEntry {
  readonly key: string;
  readonly value: string;
}

/** Which end of the flow is the target of the attack (keyword `target`). */
export type Target = 'src_ip' | 'dest_ip';

/** Where a continuation line starts: in `SourceText.text` (`at`) and in the file (`offset`). */
export interface LineStart {
  readonly at: number;
  readonly offset: number;
}

/** A logical line (comment sign of a disabled rule removed, continuations joined) and the way back to the file. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
  /** Place of `text[0]`. */
  readonly line: number;
  readonly column: number;
  readonly offset: number;
  /** The second and later physical lines; each starts at column 1 of the next line. */
  readonly continuations: readonly LineStart[];
}

/** What a rule says, without where it stood: all that `printRule` needs. */
export interface RuleSyntax {
  readonly enabled: boolean;
  readonly dialect: Dialect;
  readonly action: Action;
  /** Lower case. The parser checks the shape only: which protocols exist is the engine's affair. */
  readonly protocol: string;
  readonly sourceAddress: AddressExpr;
  readonly sourcePort: PortExpr;
  readonly direction: Direction;
  readonly destinationAddress: AddressExpr;
  readonly destinationPort: PortExpr;
  readonly options: readonly Pick<RuleOption, 'name' | 'value'>[];
}

/** The keywords that describe a rule and match nothing. */
export interface RuleIdentity {
  /** 1..2^32-1; 0 only when the caller allowed rules without one. */
  readonly sid: number;
  /** Default 1. */
  readonly gid: number;
  /** Default 0. */
  readonly rev: number;
  /** Unescaped text, `''` when absent. */
  readonly msg: string;
  /** The first of them, `''` when absent. */
  readonly classtype: string;
  /** The smallest, that is most urgent, of them; `null` when absent: then the classtype decides. */
  readonly priority: number | null;
  readonly target: Target | null;
}

/** One rule of a file. Built by `parseRule` and `parseRules`. */
export class Rule implements RuleSyntax, RuleIdentity, Position {
  readonly sid: number;
  readonly gid: number;
  readonly rev: number;
  readonly msg: string;
  readonly classtype: string;
  readonly priority: number | null;
  readonly target: Target | null;

  constructor(
    readonly enabled: boolean,
    readonly dialect: Dialect,
    readonly action: Action,
    readonly protocol: string,
    readonly sourceAddress: AddressExpr,
    readonly sourcePort: PortExpr,
    readonly direction: Direction,
    readonly destinationAddress: AddressExpr,
    readonly destinationPort: PortExpr,
    readonly options: readonly RuleOption[],
    identity: RuleIdentity,
    /** Where the action starts, in the file. */
    readonly line: number,
    readonly column: number,
    readonly offset: number,
    readonly source: SourceText,
    /** Offsets of the four expressions in `source.text`; 0 in a rule without them. */
    readonly sourceAddressAt: number,
    readonly sourcePortAt: number,
    readonly destinationAddressAt: number,
    readonly destinationPortAt: number,
  ) {
    this.sid = identity.sid;
    this.gid = identity.gid;
    this.rev = identity.rev;
    this.msg = identity.msg;
    this.classtype = identity.classtype;
    this.priority = identity.priority;
    this.target = identity.target;
  }
}
