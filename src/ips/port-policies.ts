/**
 * Which rules count for which switch port. All ports share one compiled rule set; a port's policy is a bitmap over it and
 * a mode. A packet between two ports is judged by both: a rule counts when either side has it.
 */
import type { PacketView } from '../packet/packet-view.js';

/** `view.egress` of a frame that goes to several ports. */
const EGRESS_MANY = -1;

export class PortPolicies {
  static readonly OFF = 0;
  static readonly DETECT = 1;
  static readonly PREVENT = 2;

  readonly #rules: (Uint32Array | null)[] = [];
  readonly #modes: number[] = [];
  #any = false;
  /** Ports that overhear traffic: what comes in by them goes nowhere. */
  readonly #passive: boolean[] = [];

  /**
   * @param rules one bit per rule index (RuleSet.rules), null = all of them
   * @param mode OFF: not inspected for this port; DETECT: alerts only; PREVENT: drops
   * @param passive frames of the port are not forwarded, and none are sent to it
   */
  set(port: number, mode: number, rules: Uint32Array | null, passive = false): void {
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
    if (!this.#any || this.#enabled(view.ingress, rule)) return true;
    if (view.egress >= 0) return this.#enabled(view.egress, rule);
    if (!this.#goesToMany(view)) return false;
    for (let port = 0; port < this.#modes.length; port++) if (!this.#passive[port]! && this.#enabled(port, rule)) return true;
    return false;
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

  #enabled(port: number, rule: number): boolean {
    if (this.#mode(port) === PortPolicies.OFF) return false;
    const bitmap = port >= 0 && port < this.#rules.length ? this.#rules[port]! : null;
    return bitmap === null || (bitmap[rule >>> 5]! & (1 << (rule & 31))) !== 0;
  }
}
