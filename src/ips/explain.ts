/** How a rule was compiled, in words: for `rules explain SID`. */
import { PAYLOAD_KEY } from './compile.js';
import { encodeContent } from 'snort-rule-parser';
import { strength } from './fast-pattern.js';
import { RuleAction, RuleKind, type CompiledRule } from './rule.js';
import type { RuleSet } from './rule-set.js';

export interface RuleExplanation {
  readonly gid: number;
  readonly sid: number;
  readonly rev: number;
  readonly msg: string;
  readonly file: string;
  readonly line: number;
  readonly action: string;
  /** Sweep of the engine: ip-only, protocol-only, packet, payload, transaction. */
  readonly kind: string;
  /** Position in the order of judgement, from 0. */
  readonly order: number;
  readonly directions: readonly string[];
  readonly applications: readonly string[];
  /** Buffers that are looked at, in order, with the number of their steps. */
  readonly buffers: readonly { readonly name: string; readonly steps: number }[];
  /** Literal by which the rule is found, null = judged on every packet or transaction of its group. */
  readonly fastPattern: { readonly buffer: string; readonly pattern: string; readonly nocase: boolean; readonly chosenBy: 'rule' | 'compiler' } | null;
  /** Databases that hold the pattern, with how many patterns they search for at once. */
  readonly groups: readonly { readonly name: string; readonly patterns: number }[];
  /** Rough expected cost: 'low' = found by a strong pattern, 'medium' = by a short one, 'high' = judged always. */
  readonly cost: 'low' | 'medium' | 'high';
}

const DIRECTIONS = ['to server', 'to client'];
/** In the order of rule-index.ts. */
const CLASS_NAMES = ['TCP', 'UDP', 'ICMP', 'other IP', 'no IP'];
const KINDS = ['ip-only', 'protocol-only', 'packet', 'payload', 'transaction'];
const ACTIONS = ['pass', 'drop', 'reject', 'alert', 'config'];
/** Patterns weaker than this (about three letters) occur by chance. */
const WEAK = 10;

/** @returns null when no such rule is loaded */
export function explainRule(rules: RuleSet, gid: number, sid: number): RuleExplanation | null {
  const rule = rules.find(gid, sid);
  if (rule === undefined) return null;
  const { info, fastPattern } = rule;
  return {
    gid: info.gid,
    sid: info.sid,
    rev: info.rev,
    msg: info.msg,
    file: rule.file,
    line: rule.line,
    action: rule.action === RuleAction.REJECT ? `reject (${rule.rejectSides})` : ACTIONS[rule.action]!,
    kind: KINDS[rule.kind]!,
    order: rule.index,
    directions: DIRECTIONS.filter((_, dir) => (rule.directions & (1 << dir)) !== 0),
    applications: (rule.apps ?? []).map((app) => rules.apps.protocols[app]!.name),
    buffers: buffersOf(rule),
    fastPattern:
      fastPattern === null
        ? null
        : {
            buffer: fastPattern.buffer,
            pattern: encodeContent(fastPattern.bytes),
            nocase: fastPattern.nocase,
            chosenBy: fastPattern.explicit ? 'rule' : 'compiler',
          },
    groups: groupsOf(rules, rule),
    cost: costOf(rule),
  };
}

function buffersOf(rule: CompiledRule): { name: string; steps: number }[] {
  const buffers = [
    ...rule.packetChains.map((chain) => ({ name: chain.buffer.name, steps: chain.steps.length })),
    ...rule.txChains.map((chain) => ({ name: chain.key, steps: chain.steps.length })),
  ];
  if (rule.payload.length === 0) return buffers;
  const where = rule.onStream ? (rule.onPacket ? 'stream and packet' : 'stream') : 'packet';
  return [{ name: `${PAYLOAD_KEY} (${where})`, steps: rule.payload.length }, ...buffers];
}

function groupsOf(set: RuleSet, rule: CompiledRule): { name: string; patterns: number }[] {
  const { fastPattern } = rule;
  if (fastPattern === null) return [];
  return DIRECTIONS.flatMap((direction, dir) => {
    if ((rule.directions & (1 << dir)) === 0) return [];
    if (rule.kind === RuleKind.TRANSACTION) {
      return (rule.apps ?? []).flatMap((app) => {
        const engine = set.txPlans[app * 2 + dir]?.engines.find(({ group }) => group.finds(rule.index));
        return engine === undefined ? [] : [{ name: `${set.apps.protocols[app]!.name} ${engine.spec.name} ${direction}`, patterns: engine.group.patterns }];
      });
    }
    const places = [
      { name: `stream ${direction}`, group: set.streamGroups[dir] ?? null },
      ...CLASS_NAMES.map((name, index) => ({ name: `${name} packets ${direction}`, group: set.packetGroups[index * 2 + dir] ?? null })),
    ];
    return places.flatMap(({ name, group }) => (group !== null && group.finds(rule.index) ? [{ name, patterns: group.patterns }] : []));
  });
}

function costOf(rule: CompiledRule): 'low' | 'medium' | 'high' {
  if (rule.kind === RuleKind.IP_ONLY || rule.kind === RuleKind.PROTOCOL_ONLY || rule.decodeEvents.length > 0) return 'low';
  if (rule.fastPattern === null) return 'high';
  return strength(rule.fastPattern.bytes) < WEAK ? 'medium' : 'low';
}
