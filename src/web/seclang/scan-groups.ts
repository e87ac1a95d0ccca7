/** Groups of rules that look at the same targets through the same transformations (see ScanGroup). */
import { ScanPlace } from '../prefilter.js';
import type { Rule, ScanGroup, Selector, Target } from '../rule.js';

/** Gives every rule that allows it, links included, its group. */
export function scanGroups(rules: readonly Rule[]): ScanGroup[] {
  const groups = new Map<string, ScanGroup>();
  for (const starter of rules) {
    for (let rule: Rule | null = starter; rule !== null; rule = rule.next) {
      const use = rule.operator;
      if (use === null || use.slot < 0 || use.negated || !rule.targets.every(holdsStill)) continue;
      const nodes = rule.path ?? [rule.node];
      const key = `${nodes.join(',')} ${rule.targets.map(targetKey).toSorted().join('|')}`;
      let group = groups.get(key);
      if (group === undefined) {
        group = { id: groups.size, targets: rule.targets, nodes };
        groups.set(key, group);
      }
      rule.group = group;
    }
  }
  return [...groups.values()];
}

/** By slot: bit p is set when rules ask for it at place p. */
export function scanPlaces(rules: readonly Rule[], slots: number): Uint8Array {
  const places = new Uint8Array(slots);
  for (const starter of rules) {
    for (let rule: Rule | null = starter; rule !== null; rule = rule.next) {
      const slot = rule.operator?.slot ?? -1;
      if (slot < 0) continue;
      for (const target of rule.targets) if (!target.count && target.variable.place !== ScanPlace.NONE) places[slot]! |= 1 << target.variable.place;
    }
  }
  return places;
}

/** The target's values cannot change while a phase runs. */
function holdsStill(target: Target): boolean {
  return !target.count && !target.variable.volatile;
}

function targetKey(target: Target): string {
  return [target, ...(target.exclusions ?? [])].map(selectorKey).join('!');
}

function selectorKey({ variable, name, pattern, expression }: Selector): string {
  return JSON.stringify([variable.name, name, pattern?.text ?? null, expression]);
}
