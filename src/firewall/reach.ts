/**
 * "Can A reach B, and why": the opening packet of a connection judged by the compiled classifiers of both ends, as `Firewall`
 * judges it on the wire, with the rule that decided at each end; and whether the answers come back.
 */
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_SCTP, PROTO_TCP, PROTO_UDP, TCP_ACK, TCP_SYN, type IpAddress } from '../packet/index.js';
import { Decision, decisionOf, decisionRule, isPermitted } from './classifier.js';
import { compilePolicies, type CompiledPolicy } from './compiled-policy.js';
import { addressFault } from './hygiene.js';
import { Direction, type FirewallPolicy, type FirewallRule } from './model.js';
import { PacketKey } from './packet-key.js';
import { CheckAction, PostureCheck } from './posture.js';

/** A connection to ask about. Policies by name, null = that end is no VM with a policy. */
export interface ReachQuestion {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** IP protocol; for ICMP `icmp` holds type << 8 | code. */
  readonly proto: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp: number;
  readonly sourcePolicy: string | null;
  readonly destinationPolicy: string | null;
  /** When: seconds since the epoch, for schedules. */
  readonly seconds: number;
}

export interface ReachStep {
  readonly what: 'request' | 'answer';
  readonly policy: string;
  readonly direction: Direction;
  readonly permitted: boolean;
  /** Value of Decision; -1 when a setting of the policy decided and no rule was asked. */
  readonly decision: number;
  /** null = no rule matched: the default of the direction. */
  readonly rule: FirewallRule | null;
  /** One sentence. */
  readonly why: string;
}

export interface ReachAnswer {
  readonly reachable: boolean;
  readonly steps: readonly ReachStep[];
}

const DECISION_WORDS: Readonly<Record<number, string>> = {
  [Decision.DEFAULT_ALLOW]: 'no rule matches, and the direction has no allow rule, which leaves it open',
  [Decision.OUT_OF_ALLOWED]: 'no rule matches, and the direction has allow rules, which close it for everything else',
};

export class Reachability {
  readonly #policy: FirewallPolicy;
  readonly #compiled = new Map<string, CompiledPolicy | null>();

  constructor(policy: FirewallPolicy) {
    this.#policy = policy;
  }

  /** @throws RangeError when a policy does not exist, or the addresses are of different families */
  ask(question: ReachQuestion): ReachAnswer {
    if (question.source.version !== question.destination.version) throw new RangeError('source and destination are of different IP versions');
    const steps: ReachStep[] = [];
    const key = keyOf(question);
    const source = this.#end(question.sourcePolicy);
    const destination = this.#end(question.destinationPolicy);
    const ends = [[source, Direction.OUTGOING], [destination, Direction.INCOMING]] as const;
    for (const [end, direction] of ends) if (end !== null) steps.push(step('request', end, direction, key));
    let reachable = steps.every((s) => s.permitted);
    if (!reachable) return { reachable, steps };
    const back = answerKey(key);
    const bypassed = steps.every((s) => s.decision === Decision.BYPASS);
    for (const [end, direction] of [[destination, Direction.OUTGOING], [source, Direction.INCOMING]] as const) {
      if (end !== null) steps.push(this.#answer(end, direction, back, bypassed, key));
    }
    reachable = steps.every((s) => s.permitted);
    return { reachable, steps };
  }

  #end(name: string | null): CompiledPolicy | null {
    if (name === null) return null;
    const known = this.#compiled.get(name);
    if (known !== undefined) return known;
    const compiled = compilePolicies(this.#policy, [name])[0]!;
    this.#compiled.set(name, compiled);
    return compiled;
  }

  /** Answers belong to the connection, where there is one; bypassed and untracked ones need rules of their own. */
  #answer(end: CompiledPolicy, direction: Direction, back: PacketKey, bypassed: boolean, key: PacketKey): ReachStep {
    if (end.tracks(key.proto) && !bypassed) {
      return { what: 'answer', policy: end.policy.name, direction, permitted: true, decision: -1, rule: null, why: 'it belongs to the connection' };
    }
    const answer = step('answer', end, direction, back);
    if (!bypassed) return { ...answer, why: `the policy does not track this protocol; ${answer.why}` };
    // What answers without a connection is invalid to connection tracking: only Bypass, or the posture, lets it pass.
    const invalid = end.tracks(key.proto) && (key.proto === PROTO_TCP || key.proto === PROTO_ICMP || key.proto === PROTO_ICMPV6);
    const action = end.posture.action(PostureCheck.out_of_connection);
    const excused = key.proto === PROTO_TCP && direction === Direction.OUTGOING && (action === CheckAction.ALLOW || action === CheckAction.LOG_ONLY);
    if (invalid && end.inline && !excused && answer.decision !== Decision.BYPASS) return { ...answer, permitted: false, rule: null, decision: -1, why: 'the request is bypassed, so there is no connection to belong to, and no bypass rule for the answer' };
    return { ...answer, why: `the request is bypassed, so there is no connection to belong to; ${answer.why}` };
  }
}

function step(what: ReachStep['what'], end: CompiledPolicy, direction: Direction, key: PacketKey): ReachStep {
  const base = { what, policy: end.policy.name, direction };
  const refuse = (why: string): ReachStep => ({ ...base, permitted: !end.inline, decision: -1, rule: null, why: end.inline ? why : `${why}, but the policy is in tap mode and only reports it` });
  if (addressFault(key, end.policy.hygiene.checks) !== 0) return refuse('hygiene refuses one of the addresses');
  if (end.policy.blockSameAddress && key.src0 === key.dst0 && key.src1 === key.dst1 && key.src2 === key.dst2 && key.src3 === key.dst3) return refuse('source and destination address are the same (implicit.block_same_address)');
  const code = end.classifier.evaluateKey(key, direction);
  const decision = decisionOf(code);
  const rule = decisionRule(code) === 0 ? null : (end.policy.rules.find((r) => r.index === decisionRule(code) - 1) ?? null);
  const allowed = isPermitted(decision);
  const reason = rule === null ? DECISION_WORDS[decision]! : words(rule);
  return { ...base, permitted: allowed || !end.inline, decision, rule, why: allowed || end.inline ? reason : `${reason}; the policy is in tap mode and only reports it` };
}

function words(rule: FirewallRule): string {
  const verbs = ['', 'allows it', 'denies it', 'forces it through', '', 'lets it bypass firewall and inspection', 'rejects it'];
  const rank = rule.emergency >= 0 ? `emergency rule ${rule.emergency + 1}` : rule.implicit ? 'implicit rule' : `rule of priority ${rule.priority},`;
  return `${rank} "${rule.name}" ${verbs[rule.action]!}`;
}

function keyOf(q: ReachQuestion): PacketKey {
  const key = new PacketKey();
  const [s, d] = [words4(q.source), words4(q.destination)];
  key.ipVersion = q.source.version;
  key.etherType = q.source.version === 4 ? 0x0800 : 0x86dd;
  key.proto = q.proto;
  [key.src0, key.src1, key.src2, key.src3] = s;
  [key.dst0, key.dst1, key.dst2, key.dst3] = d;
  if (q.proto === PROTO_TCP || q.proto === PROTO_UDP || q.proto === PROTO_SCTP) {
    key.srcPort = q.sourcePort;
    key.dstPort = q.destinationPort;
  }
  if (q.proto === PROTO_TCP) key.tcpFlags = TCP_SYN;
  if (q.proto === PROTO_ICMP || q.proto === PROTO_ICMPV6) key.icmp = q.icmp;
  key.seconds = q.seconds;
  return key;
}

/** The first packet back. */
function answerKey(key: PacketKey): PacketKey {
  const back = new PacketKey();
  Object.assign(back, key);
  [back.src0, back.src1, back.src2, back.src3] = [key.dst0, key.dst1, key.dst2, key.dst3];
  [back.dst0, back.dst1, back.dst2, back.dst3] = [key.src0, key.src1, key.src2, key.src3];
  [back.srcPort, back.dstPort] = [key.dstPort, key.srcPort];
  if (key.proto === PROTO_TCP) back.tcpFlags = TCP_SYN | TCP_ACK;
  // Echo request and echo reply: RFC 792, RFC 4443.
  if (key.icmp >> 8 === 8 && key.proto === PROTO_ICMP) back.icmp = key.icmp & 0xff;
  if (key.icmp >> 8 === 128 && key.proto === PROTO_ICMPV6) back.icmp = (129 << 8) | (key.icmp & 0xff);
  return back;
}

function words4(address: IpAddress): [number, number, number, number] {
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = address.words;
  return [w0, w1, w2, w3];
}
