/**
 * Which rules count for which switch port. All ports share one compiled rule set; a port's policy is a bitmap over it and
 * a mode. A packet between two ports is judged by both: a rule counts when either side has it.
 */
import type { PacketView } from '../packet/packet-view.js';

export class PortPolicies {
  static readonly OFF = 0;
  static readonly DETECT = 1;
  static readonly PREVENT = 2;

  readonly #rules: (Uint32Array | null)[] = [];
  readonly #modes: number[] = [];
  #any = false;

  /**
   * @param rules one bit per rule index (RuleSet.rules), null = all of them
   * @param mode OFF: not inspected for this port; DETECT: alerts only; PREVENT: drops
   */
  set(port: number, mode: number, rules: Uint32Array | null): void {
    while (this.#rules.length <= port) {
      this.#rules.push(null);
      this.#modes.push(PortPolicies.PREVENT);
    }
    this.#rules[port] = rules;
    this.#modes[port] = mode;
    this.#any = true;
  }

  /** The stricter mode of both ends; PREVENT where no port has a policy. */
  modeOf(view: PacketView): number {
    if (!this.#any) return PortPolicies.PREVENT;
    return Math.max(this.#mode(view.ingress), view.egress >= 0 ? this.#mode(view.egress) : PortPolicies.OFF);
  }

  enables(view: PacketView, rule: number): boolean {
    if (!this.#any) return true;
    return this.#enabled(view.ingress, rule) || (view.egress >= 0 && this.#enabled(view.egress, rule));
  }

  #mode(port: number): number {
    return port >= 0 && port < this.#modes.length ? this.#modes[port]! : PortPolicies.PREVENT;
  }

  #enabled(port: number, rule: number): boolean {
    if (this.#mode(port) === PortPolicies.OFF) return false;
    const bitmap = port >= 0 && port < this.#rules.length ? this.#rules[port]! : null;
    return bitmap === null || (bitmap[rule >>> 5]! & (1 << (rule & 31))) !== 0;
  }
}
