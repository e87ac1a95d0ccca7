/**
 * Which rules count for which switch port. All ports share one compiled rule set; a port's policy is a mode and bitmaps over
 * it. A packet between two ports is judged by both: a rule counts when either side has it, drops when a side that has it
 * prevents, and passes traffic when no side objects.
 */
import type { PacketView } from '../packet/packet-view.js';
import type { RuleBitmaps } from './rule-policy.js';

/** `view.egress` of a frame that goes to several ports. */
const EGRESS_MANY = -1;

export class PortPolicies {
  static readonly OFF = 0;
  static readonly DETECT = 1;
  static readonly PREVENT = 2;

  readonly #rules: (RuleBitmaps | null)[] = [];
  readonly #modes: number[] = [];
  #any = false;
  /** Ports that overhear traffic: what comes in by them goes nowhere. */
  readonly #passive: boolean[] = [];

  /**
   * @param mode OFF: not inspected for this port; DETECT: alerts only; PREVENT: drops
   * @param rules null = all rules, in the mode of the port
   * @param passive frames of the port are not forwarded, and none are sent to it
   */
  set(port: number, mode: number, rules: RuleBitmaps | null, passive = false): void {
    while (this.#rules.length <= port) {
      this.#rules.push(null);
      this.#modes.push(PortPolicies.PREVENT);
      this.#passive.push(false);
    }
    this.#rules[port] = rules;
    this.#modes[port] = mode;
    this.#passive[port] = passive;
    this.#any = true;
  }

  /** The strictest mode of the ends, of all ports when the frame goes to several; PREVENT where no port has a policy. */
  modeOf(view: PacketView): number {
    if (!this.#any) return PortPolicies.PREVENT;
    const mode = this.#mode(view.ingress);
    if (view.egress >= 0) return Math.max(mode, this.#mode(view.egress));
    return this.#goesToMany(view) ? Math.max(mode, this.#strictest()) : mode;
  }

  enables(view: PacketView, rule: number): boolean {
    return this.modeOfRule(view, rule) !== PortPolicies.OFF;
  }

  /** What the ends want of one rule: the strictest of those that have it, OFF when none does. */
  modeOfRule(view: PacketView, rule: number): number {
    if (!this.#any) return PortPolicies.PREVENT;
    let mode = this.#ruleMode(view.ingress, rule);
    if (view.egress >= 0) return Math.max(mode, this.#ruleMode(view.egress, rule));
    if (!this.#goesToMany(view)) return mode;
    for (let port = 0; port < this.#modes.length && mode < PortPolicies.PREVENT; port++) {
      if (!this.#passive[port]!) mode = Math.max(mode, this.#ruleMode(port, rule));
    }
    return mode;
  }

  /** Do all ends that inspect have the rule? What one VM lets pass is no reason to spare another. */
  agree(view: PacketView, rule: number): boolean {
    if (!this.#any) return true;
    if (!this.#accepts(view.ingress, rule)) return false;
    if (view.egress >= 0) return this.#accepts(view.egress, rule);
    if (!this.#goesToMany(view)) return true;
    for (let port = 0; port < this.#modes.length; port++) if (!this.#passive[port]! && !this.#accepts(port, rule)) return false;
    return true;
  }

  #goesToMany(view: PacketView): boolean {
    return view.egress === EGRESS_MANY && this.#passive[view.ingress] !== true;
  }

  #strictest(): number {
    let mode: number = PortPolicies.OFF;
    for (let port = 0; port < this.#modes.length; port++) if (!this.#passive[port]! && this.#modes[port]! > mode) mode = this.#modes[port]!;
    return mode;
  }

  #mode(port: number): number {
    return port >= 0 && port < this.#modes.length ? this.#modes[port]! : PortPolicies.PREVENT;
  }

  #ruleMode(port: number, rule: number): number {
    const mode = this.#mode(port);
    const rules = port >= 0 && port < this.#rules.length ? this.#rules[port]! : null;
    if (rules === null || mode === PortPolicies.OFF) return mode;
    const bit = 1 << (rule & 31);
    if ((rules.enabled[rule >>> 5]! & bit) === 0) return PortPolicies.OFF;
    return (rules.detectOnly[rule >>> 5]! & bit) === 0 ? mode : PortPolicies.DETECT;
  }

  #accepts(port: number, rule: number): boolean {
    return this.#mode(port) === PortPolicies.OFF || this.#ruleMode(port, rule) !== PortPolicies.OFF;
  }
}
