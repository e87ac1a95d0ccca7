/**
 * Text of the configuration -> typed sets. Every value that takes a set may be one item, a list of items, `$name` of a named
 * list, `{ not: ... }`, or one item with `!` in front. Nothing is half accepted: a bad item makes the whole value null.
 */
import { parseIp, parseIpv4, parseMac, parsePrefix, prefixMask, type MacAddress } from '../../packet/index.js';
import { AddressSet, addressValue, type AddressRange } from '../address-set.js';
import { MacSet } from '../mac-set.js';
import type { Match, TcpFlagMatch } from '../model.js';
import { NumberSet } from '../number-set.js';
import { ETHERTYPE_NAMES, ICMP_NAMES, PROTOCOL_NAMES, TCP_FLAG_BITS } from './names.js';
import { asMap, show, type Path, type Problems } from './problems.js';

/** A kind of value: how one item reads, how items make a set, what to tell the operator. */
export interface Kind<T, S> {
  readonly accepted: string;
  /** @returns undefined when the text is not of this kind */
  item(text: string): readonly T[] | undefined;
  make(items: readonly T[]): S;
  /** Key under `lists`, when items may name lists. */
  readonly lists?: string;
}

type NumberRange = readonly [number, number];

export const ADDRESS: Kind<AddressRange, AddressSet> = {
  accepted: '192.0.2.1, 192.0.2.0/24, 192.0.2.0/255.255.255.0, 192.0.2.1-192.0.2.9, 2001:db8::/32 or $list',
  item: parseAddressItem,
  make: (items) => new AddressSet(items),
  lists: 'addresses',
};

export const MAC: Kind<MacAddress, MacSet> = {
  accepted: '02:00:00:00:00:01 or $list',
  item: (text) => attempt(() => [parseMac(text)]),
  make: (items) => new MacSet(items),
  lists: 'macs',
};

export const PORT: Kind<NumberRange, NumberSet> = {
  accepted: 'a port 0 to 65535, a range as 8000-8100, or $list',
  item: (text) => range(text, 65535),
  make: (items) => new NumberSet(items),
  lists: 'ports',
};

export const PROTOCOL: Kind<NumberRange, NumberSet> = {
  accepted: `${Object.keys(PROTOCOL_NAMES).join(', ')}, or a number 0 to 255`,
  item: (text) => named(PROTOCOL_NAMES, text) ?? range(text, 255),
  make: (items) => new NumberSet(items),
};

export const FRAME: Kind<NumberRange, NumberSet> = {
  accepted: `${Object.keys(ETHERTYPE_NAMES).join(', ')}, or an EtherType as 0x88cc (0x0600 to 0xffff)`,
  item: (text) => named(ETHERTYPE_NAMES, text) ?? etherType(text),
  make: (items) => new NumberSet(items),
};

export const ICMP: Kind<NumberRange, NumberSet> = {
  accepted: `${Object.keys(ICMP_NAMES).join(', ')}, a type as 8, or type/code as 3/4`,
  item: icmpItem,
  make: (items) => new NumberSet(items),
};

/** Named lists of the configuration, by kind and name; resolved once and shared by the rules. */
export type NamedLists = ReadonlyMap<string, ReadonlyMap<string, readonly unknown[]>>;

/**
 * Read a set. `any` and undefined mean no constraint.
 * @returns null for no constraint, undefined when a problem was reported
 */
export function parseMatch<T, S>(value: unknown, kind: Kind<T, S>, lists: NamedLists, path: Path, problems: Problems): Match<S> | null | undefined {
  let inner = value;
  let not = false;
  let at = path;
  const map = asMap(value);
  if (map !== undefined) {
    const keys = Object.keys(map);
    if (keys.length !== 1 || keys[0] !== 'not') {
      problems.error(path, `${show(value)}: a mapping here has the one key "not"; accepted: ${kind.accepted}, a list of these, or { not: ... }`);
      return undefined;
    }
    inner = map['not'];
    not = true;
    at = [...path, 'not'];
  } else if (typeof value === 'string' && value.trim().startsWith('!')) {
    inner = value.trim().slice(1).trim();
    not = true;
  }
  if (inner === undefined || inner === null || inner === 'any') {
    if (!not) return null;
    problems.error(at, `"not any" can never match; leave the setting out, or accepted: ${kind.accepted}`);
    return undefined;
  }
  const items = parseItems(inner, kind, lists, at, problems);
  return items === undefined ? undefined : { set: kind.make(items), not };
}

/** The items of one value or list. An empty list is a problem: it could never match (or always, inverted). */
export function parseItems<T, S>(value: unknown, kind: Kind<T, S>, lists: NamedLists, path: Path, problems: Problems): T[] | undefined {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) {
    problems.error(path, `an empty list matches nothing; accepted: ${kind.accepted}`);
    return undefined;
  }
  const out: T[] = [];
  let failed = false;
  values.forEach((v, i) => {
    const at = Array.isArray(value) ? [...path, i] : path;
    const items = parseItem(v, kind, lists, at, problems);
    if (items === undefined) failed = true;
    else for (const item of items) out.push(item);
  });
  return failed ? undefined : out;
}

function parseItem<T, S>(value: unknown, kind: Kind<T, S>, lists: NamedLists, path: Path, problems: Problems): readonly T[] | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') {
    problems.error(path, `${show(value)} is not a text or number; accepted: ${kind.accepted}`);
    return undefined;
  }
  const text = String(value).trim();
  if (text.startsWith('!')) {
    problems.error(path, `${show(value)}: "!" inverts a whole value, not one item of a list; write { not: [...] }`);
    return undefined;
  }
  if (text.startsWith('$') && kind.lists !== undefined) {
    const known = lists.get(kind.lists);
    const found = known?.get(text.slice(1));
    if (found === undefined) problems.error(path, `there is no list "${text.slice(1)}" under lists.${kind.lists}; known: ${[...(known?.keys() ?? [])].join(', ') || 'none'}`);
    // The map holds, under this key, what this kind's item() returned.
    return found as readonly T[] | undefined;
  }
  const items = kind.item(text);
  if (items === undefined) problems.error(path, `${show(value)} is not accepted here; accepted: ${kind.accepted}`);
  return items;
}

/**
 * `syn`, `syn,ack`: these are set; `syn/syn,ack`: of the flags behind the slash exactly those in front are set;
 * `none`: no flag is set. `!` in front inverts.
 */
export function parseTcpFlags(value: unknown, path: Path, problems: Problems): TcpFlagMatch | null | undefined {
  if (value === undefined || value === null || value === 'any') return null;
  const accepted = `${Object.keys(TCP_FLAG_BITS).join(', ')} joined by commas, optionally "/" and the flags looked at (syn/syn,ack), or none`;
  const fail = (): undefined => {
    problems.error(path, `${show(value)} is not a set of TCP flags; accepted: ${accepted}`);
    return undefined;
  };
  const listed = Array.isArray(value) ? value.join(',') : value;
  if (typeof listed !== 'string') return fail();
  const not = listed.trim().startsWith('!');
  const [set, of, ...rest] = listed.trim().slice(not ? 1 : 0).split('/');
  const valueBits = flagBits(set!);
  const maskBits = of === undefined ? (set!.trim() === 'none' ? 0xff : valueBits) : flagBits(of);
  if (rest.length > 0 || valueBits === undefined || maskBits === undefined) return fail();
  if ((valueBits & ~maskBits) !== 0) {
    problems.error(path, `${show(value)}: flags that must be set have to be among the flags looked at (behind "/")`);
    return undefined;
  }
  return { value: valueBits, mask: maskBits, not };
}

function flagBits(text: string): number | undefined {
  if (text.trim() === 'none') return 0;
  let bits = 0;
  for (const name of text.split(',')) {
    const key = name.trim().toLowerCase();
    if (!Object.hasOwn(TCP_FLAG_BITS, key)) return undefined;
    bits |= TCP_FLAG_BITS[key]!;
  }
  return bits;
}

function parseAddressItem(text: string): AddressRange[] | undefined {
  const dash = text.split('-');
  return attempt(() => {
    if (dash.length === 2) {
      const low = parseIp(dash[0]!.trim());
      const high = parseIp(dash[1]!.trim());
      if (low.version !== high.version || addressValue(low) > addressValue(high)) return undefined;
      return [{ version: low.version, low: addressValue(low), high: addressValue(high) }];
    }
    const prefix = parsePrefix(withPrefixLength(text));
    const low = addressValue(prefix);
    const bits = (prefix.version === 4 ? 32 : 128) - prefix.prefixLen;
    return [{ version: prefix.version, low, high: low + (1n << BigInt(bits)) - 1n }];
  });
}

/** `10.0.0.0/255.0.0.0` -> `10.0.0.0/8`; other text unchanged. A mask with holes keeps its text, which parsePrefix refuses. */
function withPrefixLength(text: string): string {
  const slash = text.indexOf('/');
  const mask = slash < 0 ? undefined : parseIpv4(text.slice(slash + 1));
  if (mask === undefined) return text;
  const length = Math.clz32(~mask);
  return prefixMask(length) === mask ? `${text.slice(0, slash)}/${length}` : text;
}

function icmpItem(text: string): NumberRange[] | undefined {
  const name = text.toLowerCase();
  if (Object.hasOwn(ICMP_NAMES, name)) return [ICMP_NAMES[name]!];
  const parts = /^(\d{1,3})(?:\/(\d{1,3}))?$/.exec(text);
  if (parts === null || Number(parts[1]) > 255 || Number(parts[2] ?? 0) > 255) return undefined;
  const type = Number(parts[1]) << 8;
  return parts[2] === undefined ? [[type, type | 0xff]] : [[type | Number(parts[2]), type | Number(parts[2])]];
}

function etherType(text: string): NumberRange[] | undefined {
  const value = /^(0x[0-9a-f]{1,4}|\d{1,5})$/i.test(text) ? Number(text) : Number.NaN;
  return value >= 0x600 && value <= 0xffff ? [[value, value]] : undefined;
}

function named(table: Readonly<Record<string, readonly number[]>>, text: string): NumberRange[] | undefined {
  const key = text.toLowerCase();
  return Object.hasOwn(table, key) ? table[key]!.map((v) => [v, v] as const) : undefined;
}

function range(text: string, max: number): NumberRange[] | undefined {
  const parts = /^(\d{1,5})(?:\s*-\s*(\d{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const low = Number(parts[1]);
  const high = Number(parts[2] ?? parts[1]);
  return low <= high && high <= max ? [[low, high]] : undefined;
}

/** Result of a parser that throws SyntaxError on bad text; undefined then. Other errors pass. */
function attempt<T>(parse: () => T | undefined): T | undefined {
  try {
    return parse();
  } catch (e) {
    if (e instanceof SyntaxError) return undefined;
    throw e;
  }
}
