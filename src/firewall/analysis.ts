/** What is odd about a set of rules, for `drawbridge check`: rules that can never decide, and rules that undo others. */
import { covers, isEmpty, mirrored, overlaps, shapeOf, type Shape } from './coverage.js';
import { ACTION_NAMES, compareRules, DIRECTION_NAMES, permits, RuleAction, type FirewallPolicy, type FirewallRule, type VmPolicy } from './model.js';

export type FindingKind =
  /** Contradicting fields: no packet can match. */
  | 'never-matches'
  /** A rule evaluated before covers it. */
  | 'shadowed'
  /** An Allow that a Deny covers. */
  | 'allow-denied'
  /** A Deny that a Force Allow or Bypass covers. */
  | 'deny-defeated'
  /** A Deny that a Force Allow or Bypass of no lower precedence partly undoes. */
  | 'deny-weakened'
  | 'bypass-without-mirror'
  | 'unused-rule'
  /** Its context is not active. */
  | 'inactive'
  /** Too many rules to compare with one another. */
  | 'not-analysed';

export interface Finding {
  readonly kind: FindingKind;
  readonly severity: 'warning' | 'info';
  /** Policy in which it holds, '' = in none. */
  readonly policy: string;
  readonly rule: string;
  /** The other rule, '' = none. */
  readonly by: string;
  /** One sentence with both names and the reason. */
  readonly message: string;
  /** Path of `rule` in the configuration. */
  readonly path: readonly (string | number)[];
}

/** Each rule is compared with each other one; beyond this many in one direction that takes too long for a check. */
const MAX_COMPARED = 4000;

export function analyse(policy: FirewallPolicy): Finding[] {
  const findings: Finding[] = [];
  const used = new Set<FirewallRule>();
  for (const vmPolicy of policy.policies.values()) {
    for (const rule of vmPolicy.rules) used.add(rule);
    for (const direction of [0, 1]) findings.push(...analyseDirection(vmPolicy, direction, policy.activeContexts));
  }
  for (const rule of policy.rules) {
    if (!used.has(rule) && !rule.implicit) findings.push(finding('unused-rule', 'info', '', rule, undefined, 'no policy uses it'));
  }
  return distinct(findings);
}

function analyseDirection(policy: VmPolicy, direction: number, contexts: ReadonlySet<string>): Finding[] {
  const findings: Finding[] = [];
  const rules = policy.rules.filter((r) => (r.directions & (1 << direction)) !== 0).toSorted(compareRules);
  const shapes: Shape[] = [];
  for (const rule of rules) {
    const shape = shapeOf(rule);
    if (isEmpty(shape)) findings.push(finding('never-matches', 'warning', policy.name, rule, undefined, 'its conditions contradict one another, no packet can match'));
    else if (rule.context !== null && !contexts.has(rule.context)) findings.push(finding('inactive', 'info', policy.name, rule, undefined, `its context "${rule.context}" is not active`));
    else shapes.push(shape);
  }
  if (shapes.length > MAX_COMPARED) {
    const message = `the ${shapes.length} rules of direction ${DIRECTION_NAMES[direction]} are too many to compare with one another (limit ${MAX_COMPARED})`;
    return [...findings, finding('not-analysed', 'info', policy.name, shapes[0]!.rule, undefined, message)];
  }
  shapes.forEach((shape, i) => findings.push(...compareWithEarlier(policy, shape, shapes.slice(0, i))));
  return [...findings, ...missingMirrors(policy, shapes, direction)];
}

/** Findings about `shape` from the rules evaluated before it: the first that covers it, else those that weaken a Deny. */
function compareWithEarlier(policy: VmPolicy, shape: Shape, earlier: readonly Shape[]): Finding[] {
  const { rule } = shape;
  if (rule.implicit) return [];
  // Log Only never decides, so it hides nothing.
  const deciding = earlier.filter((e) => e.rule.action !== RuleAction.LOG_ONLY);
  const cover = deciding.find((e) => covers(e, shape));
  if (cover !== undefined) return [coverFinding(policy, rule, cover.rule)];
  if (rule.action !== RuleAction.DENY || rule.emergency >= 0) return [];
  return deciding
    .filter((e) => permits(e.rule.action) && !e.rule.implicit && e.rule.emergency < 0 && overlaps(e, shape))
    .map((e) => finding('deny-weakened', 'info', policy.name, rule, e.rule, `${describe(e.rule)} is evaluated before it and permits part of what it denies`));
}

function coverFinding(policy: VmPolicy, rule: FirewallRule, by: FirewallRule): Finding {
  const why = `${describe(by)} is evaluated before it and matches everything it matches`;
  if (rule.action === RuleAction.ALLOW && !permits(by.action)) return finding('allow-denied', 'warning', policy.name, rule, by, `it permits nothing: ${why}`);
  if (rule.action === RuleAction.DENY && permits(by.action)) return finding('deny-defeated', 'warning', policy.name, rule, by, `it denies nothing: ${why}`);
  return finding('shadowed', 'warning', policy.name, rule, by, `it never decides: ${why}`);
}

/** Bypass has no state, so replies need a Bypass the other way. */
function missingMirrors(policy: VmPolicy, shapes: readonly Shape[], direction: number): Finding[] {
  const back = policy.rules.filter((r) => r.action === RuleAction.BYPASS && (r.directions & (1 << (direction ^ 1))) !== 0).map(shapeOf);
  return shapes
    .filter((s) => s.rule.action === RuleAction.BYPASS && !back.some((b) => covers({ ...b, flags: null, icmp: null }, mirrored(s))))
    .map((s) => finding('bypass-without-mirror', 'warning', policy.name, s.rule, undefined, `no bypass rule of direction ${DIRECTION_NAMES[direction ^ 1]} covers the replies, which will be dropped as belonging to no connection`));
}

function finding(kind: FindingKind, severity: Finding['severity'], policy: string, rule: FirewallRule, by: FirewallRule | undefined, reason: string): Finding {
  const where = policy === '' ? '' : ` of policy "${policy}"`;
  return { kind, severity, policy, rule: rule.name, by: by?.name ?? '', message: `rule "${rule.name}" (${ACTION_NAMES[rule.action]})${where}: ${reason}`, path: rule.path };
}

function describe(rule: FirewallRule): string {
  return rule.emergency >= 0 ? `emergency rule "${rule.name}"` : `rule "${rule.name}" (${ACTION_NAMES[rule.action]}, priority ${rule.priority})`;
}

/** An emergency rule for both directions is found in each. */
function distinct(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((f) => [`${f.kind} ${f.message}`, f])).values()];
}
