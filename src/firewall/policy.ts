/**
 * The firewall's judgement: an immutable snapshot of all VMs' compiled policies, applied to packets with their
 * connection-tracking state. Replaced whole when the policy changes (`generation`); what is remembered is in FirewallState.
 */
import { PROTO_TCP, PROTO_UDP, TCP_CWR, TCP_ECE, type PacketView } from '../packet/index.js';
import { isHalfOpen, R_SERIAL } from '../flow/index.js';
import { CtState, DropReason, Verdict } from '../pipeline/index.js';
import { Decision, decisionOf, decisionRule, isPermitted } from './classifier.js';
import { compilePolicies, type CompiledPolicy } from './compiled-policy.js';
import { addressFault, isSuspect, packetFault } from './hygiene.js';
import { Direction, FIREWALL_GID, type FirewallPolicy, type FirewallRule, type StatefulConfig } from './model.js';
import { PacketKey } from './packet-key.js';
import { CheckAction, checkOfInvalid, failedCheck, POSTURE_CHECKS } from './posture.js';
import type { FirewallState } from './state.js';

/** Where the firewall reports what is not a verdict. Calls are rare; arguments must not be kept. */
export interface FirewallLog {
  /** A Log Only rule matched a packet that passes. */
  logged(view: PacketView, vm: number, direction: Direction, ruleSid: number): void;
  /** A VM in tap mode, or a check that only logs, would have dropped this packet. `ruleSid` 0 = no rule. */
  wouldDrop(view: PacketView, vm: number, direction: Direction, reason: number, ruleSid: number): void;
}

/** Refusals no rule decides, as decision codes: negative, with the low bits of OUT_OF_ALLOWED so that they are not permitted. */
const INVALID = -1;
const SAME_ADDRESS = -9;

export class Firewall {
  readonly generation: number;
  readonly policy: FirewallPolicy;
  readonly #state: FirewallState;
  readonly #log: FirewallLog;
  readonly #vms: readonly (CompiledPolicy | null)[];
  /** Some VM has checks that established packets must pass too. */
  readonly #checksPackets: boolean;
  readonly #hygienic: boolean;
  readonly #key = new PacketKey();
  readonly #opening = new PacketKey();
  /** What the two ends decided about the packet judged last; `opened` stores it with the flow. */
  #outgoing: number = Decision.DEFAULT_ALLOW;
  #incoming: number = Decision.DEFAULT_ALLOW;
  /** Set when a packet is dropped that shall have no event (posture `deny-silent`); the data plane clears it before each packet. */
  silent = false;
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
    this.#vms = compilePolicies(policy, vmPolicies);
    this.#checksPackets = this.#vms.some((vm) => vm !== null && vm.checksPackets);
    this.#hygienic = this.#vms.some((vm) => vm !== null && vm.hygienic);
    if (this.#vms.some((vm) => vm !== null && vm.posture.needsTimestamps)) state.enableTimestamps();
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
    if (this.#hygienic && isSuspect(view) && this.#failsHygiene(view, false, src, dst, srcVm, dstVm)) return Verdict.DROP;
    const known = view.flowId >= 0 && (ctState === CtState.ESTABLISHED || ctState === CtState.NEW);
    if (known) {
      const permitted = view.flowDir === 0 ? state.isPermitted(view.flowId, this.generation, srcVm, dstVm) : state.isPermitted(view.flowId, this.generation, dstVm, srcVm);
      if (permitted) return Verdict.PASS;
    }
    if (this.#hygienic && this.#failsHygiene(view, true, src, dst, srcVm, dstVm)) return Verdict.DROP;
    return this.#evaluate(view, known ? CtState.ESTABLISHED : ctState, src, dst, srcVm, dstVm);
  }

  /**
   * A fragment by itself: may it wait for the rest of its datagram? The datagram is judged when it is whole.
   * @returns NONE or DROP with view.reason
   */
  judgeFragment(view: PacketView, srcVm: number, dstVm: number): Verdict {
    const src = srcVm < 0 ? null : this.#vms[srcVm]!;
    const dst = dstVm < 0 ? null : this.#vms[dstVm]!;
    if (this.#checksPackets && this.#failsPacketChecks(view, src, dst, srcVm, dstVm)) return Verdict.DROP;
    return this.#hygienic && this.#failsHygiene(view, false, src, dst, srcVm, dstVm) ? Verdict.DROP : Verdict.NONE;
  }

  /**
   * A fault that other stages found, and the posture decides about: a wrong checksum, a retransmission with other bytes.
   * @param check of PostureCheck
   * @returns NONE when no end has a policy, PASS, or DROP (view.reason stays the caller's)
   */
  judgeFault(view: PacketView, check: number, srcVm: number, dstVm: number): Verdict {
    const src = srcVm < 0 ? null : this.#vms[srcVm]!;
    const dst = dstVm < 0 ? null : this.#vms[dstVm]!;
    if (src === null && dst === null) return Verdict.NONE;
    const refused = (src !== null && this.#denies(view, src, check, srcVm, Direction.OUTGOING)) || (dst !== null && this.#denies(view, dst, check, dstVm, Direction.INCOMING));
    return refused ? Verdict.DROP : Verdict.PASS;
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
    let verdict = combine(src, outgoing, dst, incoming);
    // Nobody with a policy objects to what connection tracking refuses: posture or tap mode let it pass.
    if (ctState === CtState.INVALID && verdict === Verdict.NONE) verdict = Verdict.PASS;
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
    const code = this.#endCode(view, ctState, end, vm, direction, reply);
    if (end.inline || isPermitted(code & 7)) return code;
    this.#log.wouldDrop(view, vm, direction, reasonOf(view, code), code < 0 ? 0 : decisionRule(code));
    return Decision.DEFAULT_ALLOW;
  }

  #endCode(view: PacketView, ctState: number, end: CompiledPolicy, vm: number, direction: Direction, reply: boolean): number {
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
        if (decisionOf(code) === Decision.BYPASS) return code;
        // What the posture lets pass is judged by the rules, without state.
        const check = checkOfInvalid(view, direction === Direction.OUTGOING);
        return check < 0 || this.#denies(view, end, check, vm, direction) ? INVALID : end.classifier.evaluateKey(key, direction);
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
    const reason = statefulReason(view, end.policy.stateful);
    if (reason !== DropReason.none) return this.#drops(view, end, vm, direction, reason);
    const { posture } = end;
    if (posture.perPacket === 0) return false;
    const { flows, timestamps } = this.#state;
    const opens = view.flowId < 0 || isHalfOpen(flows.state(view.flowId));
    const age = posture.needsTimestamps && timestamps !== null && view.flowId >= 0 ? timestamps.age(view, flows.word(view.flowId, R_SERIAL), posture.config.pawsWindow) : 0;
    const check = failedCheck(view, posture.perPacket, opens, age);
    if (check < 0 || !this.#denies(view, end, check, vm, direction)) return false;
    view.reason = DropReason[POSTURE_CHECKS[check]![3]];
    return true;
  }

  /** What the posture of an end says about a check that failed; reports it where it only logs. */
  #denies(view: PacketView, end: CompiledPolicy, check: number, vm: number, direction: Direction): boolean {
    const action = end.posture.action(check);
    if (action === CheckAction.ALLOW) return false;
    if (!end.inline || action === CheckAction.LOG_ONLY) {
      this.#log.wouldDrop(view, vm, direction, DropReason[POSTURE_CHECKS[check]![3]], 0);
      return false;
    }
    if (action === CheckAction.DENY_SILENT) this.silent = true;
    return true;
  }

  #failsHygiene(view: PacketView, addresses: boolean, src: CompiledPolicy | null, dst: CompiledPolicy | null, srcVm: number, dstVm: number): boolean {
    return (src !== null && this.#unclean(view, addresses, src, srcVm, Direction.OUTGOING)) || (dst !== null && this.#unclean(view, addresses, dst, dstVm, Direction.INCOMING));
  }

  #unclean(view: PacketView, addresses: boolean, end: CompiledPolicy, vm: number, direction: Direction): boolean {
    if (!end.hygienic) return false;
    const { hygiene } = end.policy;
    const reason = addresses ? addressFault(view, hygiene.checks) : packetFault(view, hygiene);
    return reason !== DropReason.none && this.#drops(view, end, vm, direction, reason);
  }

  /** Drop for a reason no rule gave, unless the end is in tap mode. */
  #drops(view: PacketView, end: CompiledPolicy, vm: number, direction: Direction, reason: number): boolean {
    if (this.#tapped(view, end, vm, direction, reason)) return false;
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

function statefulReason(view: PacketView, s: StatefulConfig): number {
  if (s.denyFragments && view.fragment) return DropReason.defrag_denied;
  if (s.denyCongestionFlags && view.proto === PROTO_TCP && (view.tcpFlags & (TCP_CWR | TCP_ECE)) !== 0) return DropReason.firewall_congestion_flags;
  return DropReason.none;
}
