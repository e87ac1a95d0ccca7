/** What the rules that matched a packet come to: thresholds, alerts, state of the flow, one verdict. */
import type { Flow } from '../flow/index.js';
import type { PacketView } from '../packet/index.js';
import { DropReason, Verdict, type EventOutput } from '../pipeline/index.js';
import { AlertQueue } from './alert-queue.js';
import type { IpsCounters } from './counters.js';
import { PortPolicies } from './port-policies.js';
import { RuleAction, type CompiledRule } from './rule.js';
import type { FlowDetect } from './state/flow-detect.js';
import type { SharedState } from './state/shared-state.js';
import { ThresholdOutcome } from './state/threshold.js';

export class Outcome {
  /** The matches of the packet in hand. */
  readonly queue = new AlertQueue();
  readonly #rules: readonly CompiledRule[];
  readonly #events: EventOutput;
  readonly #ports: PortPolicies;
  readonly #shared: SharedState;
  readonly #counters: IpsCounters;
  readonly #prevent: boolean;
  readonly #maxAlerts: number;

  /** @param prevent drop and reject rules keep packets back. @param maxAlerts reported per packet at most */
  constructor(rules: readonly CompiledRule[], events: EventOutput, ports: PortPolicies, shared: SharedState, counters: IpsCounters, prevent: boolean, maxAlerts: number) {
    this.#rules = rules;
    this.#events = events;
    this.#ports = ports;
    this.#shared = shared;
    this.#counters = counters;
    this.#prevent = prevent;
    this.#maxAlerts = maxAlerts;
  }

  /**
   * Apply the matches of the packet in rule order: pass, drop, reject, alert; a pass ends it. Empties the queue.
   * @param mode of the packet's ports, a PortPolicies value
   * @returns a Verdict; on a drop view.reason, ruleGid and ruleSid are set
   */
  apply(view: PacketView, flow: Flow | null, state: FlowDetect | null, mode: number): number {
    const { queue } = this;
    let verdict: number = Verdict.NONE;
    let alerts = 0;
    let bypass = false;
    for (let i = 0; i < queue.count; i++) {
      const rule = this.#rules[queue.rules[i]!]!;
      if (rule.detectionFilter !== null && rule.detectionFilter.judge(this.#shared, rule.info, view) === ThresholdOutcome.NONE) continue;
      if (rule.action === RuleAction.PASS && !this.#ports.agree(view, rule.index)) continue;
      const enforce = mode === PortPolicies.PREVENT && this.enforces(this.#ports.modeOfRule(view, rule.index));
      let report = !rule.noalert;
      if (rule.threshold !== null) {
        const outcome = rule.threshold.judge(this.#shared, rule.info, view);
        if (outcome === ThresholdOutcome.NONE) {
          this.#counters.alertsSuppressed++;
          continue;
        }
        if (outcome === ThresholdOutcome.SILENT) {
          report = false;
          this.#counters.alertsSuppressed++;
        }
      }
      const flowScoped = queue.flowScoped[i] === 1 && state !== null;
      bypass ||= rule.bypass;
      let blocked = false;
      if (rule.action === RuleAction.PASS) {
        if (verdict === Verdict.NONE) verdict = Verdict.PASS;
        if (flowScoped && !state.dropped) state.passed = true;
      } else if (rule.action === RuleAction.DROP || rule.action === RuleAction.REJECT) {
        // A reject answers the sender whatever the mode, so its alert says blocked even when the packet goes on.
        blocked = enforce || rule.action === RuleAction.REJECT;
        verdict = this.#condemn(view, state, rule, flowScoped, enforce, verdict);
      }
      if (report) {
        if (alerts < this.#maxAlerts) {
          alerts++;
          this.#counters.alerts++;
          if (blocked) this.#counters.alertsBlocked++;
          const tx = queue.transactions[i]!;
          this.#events.alert(view, flow, rule.info, blocked, tx === null ? null : tx.record(), queue.fromStream[i] === 1);
        } else {
          this.#counters.alertsDiscarded++;
        }
      }
      if (rule.action === RuleAction.PASS) break;
    }
    queue.clear();
    if (bypass && state !== null) {
      state.bypassed = true;
      flow!.uninspected = 'bypass';
      if (verdict < Verdict.BYPASS) verdict = Verdict.BYPASS;
    }
    return verdict;
  }

  /** Note a drop or reject. The first rule that drops is the one that is named. */
  #condemn(view: PacketView, state: FlowDetect | null, rule: CompiledRule, flowScoped: boolean, enforce: boolean, before: number): number {
    // Where the engine may drop and the policies of the ends do not want it, the flow goes on under the eyes of all rules.
    if (!enforce && this.#prevent) return before;
    if (flowScoped && state !== null && !state.dropped) {
      state.dropped = true;
      state.dropGid = rule.info.gid;
      state.dropSid = rule.info.sid;
    }
    if (!enforce) return before;
    if (before < Verdict.DROP) {
      view.reason = DropReason.ips_rule;
      view.ruleGid = rule.info.gid;
      view.ruleSid = rule.info.sid;
    }
    const reject = rule.action === RuleAction.REJECT;
    const now = flowScoped ? (reject ? Verdict.REJECT_FLOW : Verdict.DROP_FLOW) : reject ? Verdict.REJECT : Verdict.DROP;
    return Math.max(before, now);
  }

  enforces(mode: number): boolean {
    return this.#prevent && mode === PortPolicies.PREVENT;
  }

  /** The flow was condemned by an earlier packet. */
  dropAsFlow(view: PacketView, state: FlowDetect): number {
    view.reason = DropReason.flow_dropped;
    view.ruleGid = state.dropGid;
    view.ruleSid = state.dropSid;
    return Verdict.DROP;
  }
}
