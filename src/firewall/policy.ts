/**
 * The firewall's judgement: an immutable snapshot of all VMs' compiled policies, applied to packets with their
 * connection-tracking state. Replaced whole when the policy changes (`generation`); what is remembered is in FirewallState.
 */
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_CWR, TCP_ECE, type PacketView } from '../packet/index.js';
import { isHalfOpen } from '../flow/index.js';
import { CtState, DropReason, Verdict } from '../pipeline/index.js';
import { Classifier, Decision, decisionOf, decisionRule, isPermitted } from './classifier.js';
import { Direction, FIREWALL_GID, type FirewallPolicy, type FirewallRule, type VmPolicy } from './model.js';
import { PacketKey } from './packet-key.js';
import type { FirewallState } from './state.js';

/** Where the firewall reports what is not a verdict. Calls are rare; arguments must not be kept. */
export interface FirewallLog {
  /** A Log Only rule matched a packet that passes. */
  logged(view: PacketView, vm: number, direction: Direction, ruleSid: number): void;
  /** A VM in tap mode would have dropped this packet. `ruleSid` 0 = no rule. */
  wouldDrop(view: PacketView, vm: number, direction: Direction, reason: number, ruleSid: number): void;
}

/** Refusals no rule decides, as decision codes: negative, with the low bits of OUT_OF_ALLOWED so that they are not permitted. */
const INVALID = -1;
const SAME_ADDRESS = -9;

/** One VM's policy, ready to judge. */
class CompiledPolicy {
  readonly policy: VmPolicy;
  readonly classifier: Classifier;
  readonly inline: boolean;
  /** Checks every packet has to pass, established ones too. */
  readonly checksPackets: boolean;
  readonly limited: boolean;

  constructor(policy: VmPolicy, classifier: Classifier) {
    this.policy = policy;
    this.classifier = classifier;
    this.inline = policy.mode === 'inline';
    const s = policy.stateful;
    this.checksPackets = s.denyFragments || s.denyCongestionFlags;
    this.limited = s.maxIncomingPerPeer + s.maxOutgoingPerPeer + s.maxHalfOpenPerPeer > 0;
  }

  /** Is connection tracking believed for this protocol? Others than TCP, UDP and ICMP always follow their flow. */
  tracks(proto: number): boolean {
    const s = this.policy.stateful;
    if (proto === PROTO_TCP) return s.tcp;
    if (proto === PROTO_UDP) return s.udp;
    if (proto === PROTO_ICMP || proto === PROTO_ICMPV6) return s.icmp;
    return true;
  }
}

export class Firewall {
  readonly generation: number;
  readonly policy: FirewallPolicy;
  readonly #state: FirewallState;
  readonly #log: FirewallLog;
  readonly #vms: readonly (CompiledPolicy | null)[];
  /** Some VM has checks that established packets must pass too. */
  readonly #checksPackets: boolean;
  readonly #key = new PacketKey();
  readonly #opening = new PacketKey();
  /** What the two ends decided about the packet judged last; `opened` stores it with the flow. */
  #outgoing: number = Decision.DEFAULT_ALLOW;
  #incoming: number = Decision.DEFAULT_ALLOW;
  /** The packet at hand belongs to a connection that another one announced (FTP data, TFTP). */
  #announced = false;

  /**
   * @param vmPolicies name of the policy of each VM index; null = none, everything passes
   * @param generation greater than that of the snapshot before; at least 1
   * @throws RangeError when a VM names a policy that does not exist
   */
  constructor(policy: FirewallPolicy, vmPolicies: readonly (string | null)[], generation: number, state: FirewallState, log: FirewallLog) {
    if (generation < 1) throw new RangeError(`policy generation must be 1 or more, not ${generation}`);
    this.policy = policy;
    this.generation = generation;
    this.#state = state;
    this.#log = log;
    this.#vms = compile(policy, vmPolicies);
    this.#checksPackets = this.#vms.some((vm) => vm !== null && vm.checksPackets);
    if (this.#vms.some((vm) => vm !== null && vm.limited)) state.enableLimits();
    state.recon.configure(policy.recon);
  }

  /** Rule behind a `ruleSid`, for events and `explain`. */
  rule(sid: number): FirewallRule | undefined {
    return this.policy.rules[sid - 1];
  }

  /**
   * Judge a packet by the outgoing rules of the VM it comes from and the incoming rules of the VM it goes to.
   * Sets view.reason, ruleGid and ruleSid when the packet must not pass, or is bypassed.
   * @param srcVm dstVm VM index, -1 = not a VM (uplink, or several destinations)
   */
  judge(view: PacketView, ctState: number, srcVm: number, dstVm: number): Verdict {
    const src = srcVm < 0 ? null : this.#vms[srcVm]!;
    const dst = dstVm < 0 ? null : this.#vms[dstVm]!;
    if (src === null && dst === null) return Verdict.NONE;
    const state = this.#state;
    if (state.recon.blockedSources > 0 && state.recon.isBlocked(view) && ((src !== null && src.inline) || (dst !== null && dst.inline))) {
      view.reason = DropReason.firewall_recon;
      return Verdict.DROP;
    }
    if (this.#checksPackets && this.#failsPacketChecks(view, src, dst, srcVm, dstVm)) return Verdict.DROP;
    const known = view.flowId >= 0 && (ctState === CtState.ESTABLISHED || ctState === CtState.NEW);
    if (known) {
      const permitted = view.flowDir === 0 ? state.isPermitted(view.flowId, this.generation, srcVm, dstVm) : state.isPermitted(view.flowId, this.generation, dstVm, srcVm);
      if (permitted) return Verdict.PASS;
    }
    return this.#evaluate(view, known ? CtState.ESTABLISHED : ctState, src, dst, srcVm, dstVm);
  }

  /**
   * The flow of the packet judged last was entered into the flow table under `view.flowId`. Call it directly after; it
   * stores the decision with the flow and counts the connection. The state's `closed` takes it back.
   */
  opened(view: PacketView, srcVm: number, dstVm: number): void {
    const flowId = view.flowId;
    if (flowId < 0) return;
    this.#state.forget(flowId);
    // A flow picked up at its SYN+ACK runs against this packet: its next packet is judged as its opening would have been.
    if (view.flowDir !== 0) return;
    const src = srcVm < 0 ? null : this.#vms[srcVm]!;
    const dst = dstVm < 0 ? null : this.#vms[dstVm]!;
    const { limits, flows } = this.#state;
    if (limits !== null) {
      limits.close(flowId);
      const halfOpen = view.proto === PROTO_TCP && isHalfOpen(flows.state(flowId));
      if (src !== null && src.limited) limits.open(flowId, srcVm, Direction.OUTGOING, view.dst0, view.dst1, view.dst2, view.dst3, false);
      if (dst !== null && dst.limited) limits.open(flowId, dstVm, Direction.INCOMING, view.src0, view.src1, view.src2, view.src3, halfOpen);
    }
    this.#remember(view, src, dst, srcVm, dstVm);
  }

  /** `ctState` ESTABLISHED stands for any packet of a flow in the table, answered or not. */
  #evaluate(view: PacketView, ctState: number, src: CompiledPolicy | null, dst: CompiledPolicy | null, srcVm: number, dstVm: number): Verdict {
    this.#key.load(view);
    const reply = view.flowDir === 1;
    this.#announced = ctState === CtState.RELATED ? view.proto === PROTO_TCP || view.proto === PROTO_UDP : ctState === CtState.ESTABLISHED && this.#state.flows.isExpected(view.flowId);
    if (ctState === CtState.ESTABLISHED) {
      this.#opening.load(view);
      this.#opening.toOpening(reply);
    }
    const outgoing = this.#judgeEnd(view, ctState, src, srcVm, Direction.OUTGOING, reply);
    if (!isPermitted(outgoing & 7)) return this.#refuse(view, outgoing);
    const incoming = this.#judgeEnd(view, ctState, dst, dstVm, Direction.INCOMING, reply);
    if (!isPermitted(incoming & 7)) return this.#refuse(view, incoming);
    // What connection tracking complained about is not the reason of anything when the packet passes (Bypass, tap mode).
    view.reason = DropReason.none;
    const verdict = combine(src, outgoing, dst, incoming);
    if (verdict === Verdict.BYPASS) {
      view.ruleGid = FIREWALL_GID;
      view.ruleSid = decisionRule(incoming) || decisionRule(outgoing);
    } else if ((ctState === CtState.NEW || this.#announced) && ctState !== CtState.ESTABLISHED && this.#overLimit(view, src, dst, srcVm, dstVm)) {
      view.reason = DropReason.ct_limit;
      return Verdict.DROP;
    }
    this.#outgoing = outgoing;
    this.#incoming = incoming;
    if (ctState === CtState.ESTABLISHED) this.#establishedAgain(view, src, dst, srcVm, dstVm);
    else this.#report(view, src, dst, srcVm, dstVm);
    return verdict;
  }

  /** @returns decision code of one end; in tap mode a refusal is reported and becomes DEFAULT_ALLOW */
  #judgeEnd(view: PacketView, ctState: number, end: CompiledPolicy | null, vm: number, direction: Direction, reply: boolean): number {
    if (end === null) return Decision.DEFAULT_ALLOW;
    const code = this.#endCode(ctState, end, direction, reply);
    if (end.inline || isPermitted(code & 7)) return code;
    this.#log.wouldDrop(view, vm, direction, reasonOf(view, code), code < 0 ? 0 : decisionRule(code));
    return Decision.DEFAULT_ALLOW;
  }

  #endCode(ctState: number, end: CompiledPolicy, direction: Direction, reply: boolean): number {
    const key = this.#key;
    if (end.policy.blockSameAddress && isSameAddress(key)) return SAME_ADDRESS;
    if (!end.tracks(key.proto)) return end.classifier.evaluateKey(key, direction);
    switch (ctState) {
      case CtState.ESTABLISHED: {
        // The opening packet went the other way for a reply: this VM was at its other end.
        const code = end.classifier.evaluateKey(this.#opening, reply ? (direction ^ 1) as Direction : direction);
        return this.#announced ? announcedCode(code) : code;
      }
      case CtState.RELATED:
        // An ICMP error about a flow passes with the flow; a connection that another one announced needs no Allow rule.
        return this.#announced ? announcedCode(end.classifier.evaluateKey(key, direction)) : Decision.DEFAULT_ALLOW;
      case CtState.INVALID: {
        // Bypass is stateless: replies of bypassed connections are invalid to connection tracking.
        const code = end.classifier.hasBypass ? end.classifier.evaluateKey(key, direction) : Decision.DEFAULT_ALLOW;
        return decisionOf(code) === Decision.BYPASS ? code : INVALID;
      }
      default:
        return end.classifier.evaluateKey(key, direction);
    }
  }

  #refuse(view: PacketView, code: number): Verdict {
    view.reason = reasonOf(view, code);
    if (code < 0) return Verdict.DROP;
    const sid = decisionRule(code);
    if (sid !== 0) {
      view.ruleGid = FIREWALL_GID;
      view.ruleSid = sid;
    }
    return decisionOf(code) === Decision.REJECT ? Verdict.REJECT : Verdict.DROP;
  }

  /** A flow was judged again: by a new generation, or because its handshake was not complete. */
  #establishedAgain(view: PacketView, src: CompiledPolicy | null, dst: CompiledPolicy | null, srcVm: number, dstVm: number): void {
    const { limits, flows } = this.#state;
    if (limits !== null && limits.isHalfOpen(view.flowId) && !isHalfOpen(flows.state(view.flowId))) limits.completed(view.flowId);
    this.#remember(view, src, dst, srcVm, dstVm);
  }

  /** Let the flow's next packets pass unjudged, unless an end wants to see each of them. */
  #remember(view: PacketView, src: CompiledPolicy | null, dst: CompiledPolicy | null, srcVm: number, dstVm: number): void {
    const { flowId, flowDir, proto } = view;
    if ((src !== null && !src.tracks(proto)) || (dst !== null && !dst.tracks(proto))) return;
    const { limits } = this.#state;
    if (limits !== null && limits.isHalfOpen(flowId)) return;
    // Bypass has no state: every packet has to match its rule.
    if (combine(src, this.#outgoing, dst, this.#incoming) === Verdict.BYPASS) return;
    const rule = decisionRule(this.#incoming) || decisionRule(this.#outgoing);
    if (flowDir === 0) this.#state.permit(flowId, this.generation, srcVm, dstVm, rule);
    else this.#state.permit(flowId, this.generation, dstVm, srcVm, rule);
  }

  /** Tell about Log Only rules. A packet that may pass because nothing denies it is still logged. */
  #report(view: PacketView, src: CompiledPolicy | null, dst: CompiledPolicy | null, srcVm: number, dstVm: number): void {
    if (src !== null) {
      const sid = src.classifier.loggingRule(this.#key, Direction.OUTGOING, this.#outgoing);
      if (sid !== 0) this.#log.logged(view, srcVm, Direction.OUTGOING, sid);
    }
    if (dst !== null) {
      const sid = dst.classifier.loggingRule(this.#key, Direction.INCOMING, this.#incoming);
      if (sid !== 0) this.#log.logged(view, dstVm, Direction.INCOMING, sid);
    }
  }

  #overLimit(view: PacketView, src: CompiledPolicy | null, dst: CompiledPolicy | null, srcVm: number, dstVm: number): boolean {
    const limits = this.#state.limits;
    if (limits === null) return false;
    if (src !== null && src.policy.stateful.maxOutgoingPerPeer > 0) {
      const open = limits.connections(limits.find(srcVm, Direction.OUTGOING, view.dst0, view.dst1, view.dst2, view.dst3));
      if (open >= src.policy.stateful.maxOutgoingPerPeer && !this.#tapped(view, src, srcVm, Direction.OUTGOING, DropReason.ct_limit)) return true;
    }
    if (dst === null || !dst.limited) return false;
    const { maxIncomingPerPeer, maxHalfOpenPerPeer } = dst.policy.stateful;
    const row = limits.find(dstVm, Direction.INCOMING, view.src0, view.src1, view.src2, view.src3);
    const over =
      (maxIncomingPerPeer > 0 && limits.connections(row) >= maxIncomingPerPeer) ||
      (maxHalfOpenPerPeer > 0 && view.proto === PROTO_TCP && limits.halfOpen(row) >= maxHalfOpenPerPeer);
    return over && !this.#tapped(view, dst, dstVm, Direction.INCOMING, DropReason.ct_limit);
  }

  #failsPacketChecks(view: PacketView, src: CompiledPolicy | null, dst: CompiledPolicy | null, srcVm: number, dstVm: number): boolean {
    if (view.ipVersion === 0) return false;
    return (src !== null && this.#failsEnd(view, src, srcVm, Direction.OUTGOING)) || (dst !== null && this.#failsEnd(view, dst, dstVm, Direction.INCOMING));
  }

  #failsEnd(view: PacketView, end: CompiledPolicy, vm: number, direction: Direction): boolean {
    const reason = packetReason(view, end.policy);
    if (reason === DropReason.none || this.#tapped(view, end, vm, direction, reason)) return false;
    view.reason = reason;
    return true;
  }

  /** In tap mode: report the drop that does not happen. */
  #tapped(view: PacketView, end: CompiledPolicy, vm: number, direction: Direction, reason: number): boolean {
    if (end.inline) return false;
    this.#log.wouldDrop(view, vm, direction, reason, 0);
    return true;
  }
}

/** Policies of the VMs; VMs with the same rules share one classifier. */
function compile(policy: FirewallPolicy, vmPolicies: readonly (string | null)[]): (CompiledPolicy | null)[] {
  const compiled = new Map<string, CompiledPolicy | null>();
  const classifiers = new Map<string, Classifier>();
  return vmPolicies.map((name, vm) => {
    if (name === null) return null;
    const known = compiled.get(name);
    if (known !== undefined) return known;
    const vmPolicy = policy.policies.get(name);
    if (vmPolicy === undefined) throw new RangeError(`VM ${vm} names the firewall policy "${name}", which does not exist`);
    const signature = vmPolicy.rules.map((r) => r.index).join();
    let classifier = classifiers.get(signature);
    if (classifier === undefined) classifiers.set(signature, (classifier = new Classifier(vmPolicy.rules, policy.activeContexts)));
    const result = vmPolicy.mode === 'off' ? null : new CompiledPolicy(vmPolicy, classifier);
    compiled.set(name, result);
    return result;
  });
}

/** Not being allowed is no reason to stop an announced connection; being denied is. */
function announcedCode(code: number): number {
  return decisionOf(code) === Decision.OUT_OF_ALLOWED ? Decision.DEFAULT_ALLOW : code;
}

/** Bypass only when every end that has a policy says so: the other end's inspection is not ours to waive. */
function combine(src: CompiledPolicy | null, outgoing: number, dst: CompiledPolicy | null, incoming: number): Verdict {
  const out = decisionOf(outgoing);
  const into = decisionOf(incoming);
  if ((src === null || out === Decision.BYPASS) && (dst === null || into === Decision.BYPASS)) return Verdict.BYPASS;
  return out === Decision.DEFAULT_ALLOW && into === Decision.DEFAULT_ALLOW ? Verdict.NONE : Verdict.PASS;
}

function reasonOf(view: PacketView, code: number): number {
  if (code === SAME_ADDRESS) return DropReason.firewall_same_address;
  // Connection tracking leaves what it found in view.reason.
  if (code === INVALID) return view.reason === DropReason.none ? DropReason.ct_invalid : view.reason;
  const decision = decisionOf(code);
  if (decision === Decision.DENY) return DropReason.firewall_deny;
  return decision === Decision.REJECT ? DropReason.firewall_reject : DropReason.firewall_out_of_allowed;
}

function isSameAddress(key: PacketKey): boolean {
  return key.ipVersion !== 0 && key.src0 === key.dst0 && key.src1 === key.dst1 && key.src2 === key.dst2 && key.src3 === key.dst3;
}

function packetReason(view: PacketView, policy: VmPolicy): number {
  const s = policy.stateful;
  if (s.denyFragments && view.fragment) return DropReason.defrag_denied;
  if (s.denyCongestionFlags && view.proto === PROTO_TCP && (view.tcpFlags & (TCP_CWR | TCP_ECE)) !== 0) return DropReason.firewall_congestion_flags;
  return DropReason.none;
}
