/**
 * Log rules in OSSEC's model: level 0 to 15 (0 = ignore), groups, rules that refine others, and rules that fire when another
 * matched so often within a time. The most special rule that matches a line counts, the higher level among equals.
 */
import { LRUCache } from 'lru-cache';
import { Decoder, type DecodedLine, type DecoderSpec } from './decoder.js';

export interface LogRuleSpec {
  readonly id: number;
  /** 0 to 15. */
  readonly level: number;
  readonly description: string;
  readonly groups?: readonly string[];
  readonly program?: string;
  readonly decoded_as?: string;
  /** Any of these texts in the message. */
  readonly match?: readonly string[];
  /** Regular expression over the message. */
  readonly regex?: string;
  /** Field -> regular expression over its value. */
  readonly field?: Readonly<Record<string, string>>;
  /** Only where this rule, or a rule of this group, matched the same line. */
  readonly if_sid?: number;
  readonly if_group?: string;
  /** Fires on a line that matches `if_sid` or `if_group` when that happened `frequency` times within `timeframe` seconds ... */
  readonly frequency?: number;
  readonly timeframe?: number;
  /** ... with the same values of these fields. */
  readonly same?: readonly string[];
  /** Seconds in which it does not fire again after it did, for the same values. */
  readonly ignore?: number;
}

export interface LogRuleFile {
  readonly decoders?: readonly DecoderSpec[];
  readonly rules?: readonly LogRuleSpec[];
}

export interface LogMatch {
  readonly rule: LogRuleSpec;
  readonly decoded: DecodedLine;
  /** Lines that made a frequency rule fire; 1 otherwise. */
  readonly count: number;
}

interface Compiled {
  readonly spec: LogRuleSpec;
  readonly regex: RegExp | null;
  readonly fields: readonly (readonly [string, RegExp])[];
  readonly children: Compiled[];
}

/** Combinations of rule, source and field values counted at a time. */
const MAX_COUNTED = 20_000;
/** Longer lines are cut: nobody writes them by accident. */
export const MAX_LINE = 4096;

export class LogEngine {
  /** Lines, and those that a rule above level 0 matched. */
  readonly counts = { lines: 0, matched: 0 };
  readonly rules: number;
  readonly #decoder: Decoder;
  readonly #roots: Compiled[] = [];
  readonly #byGroup = new Map<string, Compiled[]>();
  /** Times (ms) of the latest matches. */
  readonly #times = new LRUCache<string, number[]>({ max: MAX_COUNTED });
  readonly #quietUntil = new LRUCache<string, number>({ max: MAX_COUNTED });

  /** @throws Error that names the rule or decoder and what is wrong with it */
  constructor(files: readonly LogRuleFile[]) {
    this.#decoder = new Decoder(files.flatMap((f) => f.decoders ?? []));
    const specs = files.flatMap((f) => f.rules ?? []);
    this.rules = specs.length;
    const byId = new Map<number, Compiled>();
    for (const spec of specs) {
      if (byId.has(spec.id)) throw new Error(`log rule ${spec.id} is there twice`);
      byId.set(spec.id, compile(spec));
    }
    for (const rule of byId.values()) {
      const { id, if_sid: parent, if_group: group } = rule.spec;
      if (parent !== undefined) {
        const above = byId.get(parent);
        if (above === undefined) throw new Error(`log rule ${id}: there is no rule ${parent}`);
        above.children.push(rule);
      } else if (group !== undefined) this.#byGroup.set(group, [...(this.#byGroup.get(group) ?? []), rule]);
      else this.#roots.push(rule);
    }
    for (const rule of byId.values()) {
      const seen = new Set<number>();
      for (let at: Compiled | undefined = rule; at !== undefined; at = at.spec.if_sid === undefined ? undefined : byId.get(at.spec.if_sid)) {
        if (seen.has(at.spec.id)) throw new Error(`log rule ${at.spec.id} depends on itself`);
        seen.add(at.spec.id);
      }
    }
    const order = (a: Compiled, b: Compiled): number => b.spec.level - a.spec.level || a.spec.id - b.spec.id;
    this.#roots.sort(order);
    for (const rule of byId.values()) rule.children.sort(order);
  }

  /**
   * @param source keeps counts of different VMs apart
   * @param nowMs time of the line
   * @returns the rule that counts for this line, null when none does or it is one of level 0
   */
  inspect(source: string, line: string, nowMs: number): LogMatch | null {
    this.counts.lines++;
    const decoded = this.#decoder.decode(line.length > MAX_LINE ? line.slice(0, MAX_LINE) : line);
    for (const root of this.#roots) {
      if (!matches(root, decoded)) continue;
      const found = this.#refine(source, root, decoded, nowMs);
      if (found === null || found.rule.level === 0) return null;
      this.counts.matched++;
      return found;
    }
    return null;
  }

  #refine(source: string, rule: Compiled, decoded: DecodedLine, nowMs: number): LogMatch | null {
    const { spec } = rule;
    let count = 1;
    if (spec.frequency !== undefined) {
      count = this.#count(source, spec, decoded, nowMs);
      if (count < spec.frequency) return null;
    }
    if (spec.ignore !== undefined && this.#quiet(source, spec, decoded, nowMs)) return null;
    for (const child of [...rule.children, ...(spec.groups ?? []).flatMap((g) => this.#byGroup.get(g) ?? [])]) {
      if (child === rule || !matches(child, decoded)) continue;
      const found = this.#refine(source, child, decoded, nowMs);
      if (found !== null) return found;
    }
    return { rule: spec, decoded, count };
  }

  #count(source: string, spec: LogRuleSpec, decoded: DecodedLine, nowMs: number): number {
    const key = keyOf(source, spec, decoded);
    const since = nowMs - (spec.timeframe ?? 60) * 1000;
    const times = (this.#times.get(key) ?? []).filter((at) => at > since);
    times.push(nowMs);
    const n = times.length;
    // It fires once for so many lines, then counts anew.
    this.#times.set(key, n >= spec.frequency! ? [] : times);
    return n;
  }

  #quiet(source: string, spec: LogRuleSpec, decoded: DecodedLine, nowMs: number): boolean {
    const key = keyOf(source, spec, decoded);
    if (nowMs < (this.#quietUntil.get(key) ?? 0)) return true;
    this.#quietUntil.set(key, nowMs + spec.ignore! * 1000);
    return false;
  }
}

function keyOf(source: string, spec: LogRuleSpec, { fields }: DecodedLine): string {
  return `${source}\0${spec.id}\0${(spec.same ?? []).map((name) => fields[name] ?? '').join('\0')}`;
}

function matches({ spec, regex, fields }: Compiled, d: DecodedLine): boolean {
  if (spec.program !== undefined && spec.program !== d.program) return false;
  if (spec.decoded_as !== undefined && spec.decoded_as !== d.decoder) return false;
  if (spec.match !== undefined && !spec.match.some((text) => d.message.includes(text))) return false;
  if (regex !== null && !regex.test(d.message)) return false;
  return fields.every(([name, value]) => d.fields[name] !== undefined && value.test(d.fields[name]));
}

function compile(spec: LogRuleSpec): Compiled {
  try {
    if (!Number.isInteger(spec.level) || spec.level < 0 || spec.level > 15) throw new Error('level must be a whole number from 0 to 15');
    if (spec.frequency !== undefined && (spec.frequency < 2 || (spec.if_sid === undefined && spec.if_group === undefined))) throw new Error('frequency needs if_sid or if_group, and is at least 2');
    return { spec, regex: spec.regex === undefined ? null : new RegExp(spec.regex, 's'), fields: Object.entries(spec.field ?? {}).map(([name, source]) => [name, new RegExp(source)] as const), children: [] };
  } catch (error) {
    throw new Error(`log rule ${spec.id}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
