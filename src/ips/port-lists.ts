/** A short list of rules split by destination port, so that a packet meets only those whose header may take it. */
import type { CompiledRule } from './rule.js';

const PORTS = 65536;
/** Longer lists stay whole: they only occur when the prefilter is switched off. */
const MOST = 256;

export class PortLists {
  /** Number of the list by destination port; null = one list for all. */
  readonly #number: Uint16Array | null;
  readonly #lists: readonly Int32Array[];

  /** @param rules in the order of judgement */
  constructor(rules: readonly CompiledRule[]) {
    const all = Int32Array.from(rules, (rule) => rule.index);
    if (rules.length > MOST || rules.every(takesAllPorts)) {
      this.#number = null;
      this.#lists = [all];
      return;
    }
    const lists: Int32Array[] = [];
    const known = new Map<string, number>();
    this.#number = new Uint16Array(PORTS);
    const restricted = rules.filter((rule) => !takesAllPorts(rule)).map((rule) => rule.header.destinationPorts!);
    for (let port = 0; port < PORTS; port++) {
      if (port > 0 && restricted.every((ports) => ports.contains(port) === ports.contains(port - 1))) {
        this.#number[port] = this.#number[port - 1]!;
        continue;
      }
      const own = rules.filter((rule) => takesAllPorts(rule) || rule.header.destinationPorts!.contains(port));
      const key = own.length === rules.length ? 'all' : own.map((rule) => rule.index).join(',');
      let number = known.get(key);
      if (number === undefined) {
        number = lists.push(Int32Array.from(own, (rule) => rule.index)) - 1;
        known.set(key, number);
      }
      this.#number[port] = number;
    }
    this.#lists = lists;
  }

  /** Rules that may match a packet to this port. */
  of(destinationPort: number): Int32Array {
    return this.#lists[this.#number === null ? 0 : this.#number[destinationPort]!]!;
  }
}

function takesAllPorts({ header }: CompiledRule): boolean {
  return header.destinationPorts === null || header.bidirectional;
}
