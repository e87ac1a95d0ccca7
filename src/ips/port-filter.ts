/**
 * Which rules a packet's port leaves over, asked for every rule that a pattern brings up: one look into a table. Ports between
 * which no rule tells a difference form one class, so the table has one row for each distinct set of ports and one column for
 * each class.
 */
import { PORT_COUNT, type PortBitmap } from './header.js';

export class PortFilter {
  readonly #classOf = new Uint16Array(PORT_COUNT);
  readonly #rows = new Map<PortBitmap, number>();
  readonly #allowed: Uint8Array;
  readonly #classes: number;

  /** @param sets the port sets of the rules; equal sets may be one object */
  constructor(sets: Iterable<PortBitmap>) {
    for (const set of sets) if (!this.#rows.has(set)) this.#rows.set(set, this.#rows.size);
    const starts = new Set<number>([0]);
    for (const set of this.#rows.keys()) set.forEachChange((port) => starts.add(port));
    const sorted = Uint32Array.from(starts).sort();
    this.#classes = sorted.length;
    sorted.forEach((from, number) => this.#classOf.fill(number, from, sorted[number + 1] ?? PORT_COUNT));
    this.#allowed = new Uint8Array(this.#rows.size * this.#classes);
    for (const [set, row] of this.#rows) sorted.forEach((port, number) => (this.#allowed[row * this.#classes + number] = set.contains(port) ? 1 : 0));
  }

  /** Number of a rule's port set, for `takes`; -1 = all ports. */
  rowOf(set: PortBitmap | null): number {
    return set === null ? -1 : this.#rows.get(set)!;
  }

  classOf(port: number): number {
    return this.#classOf[port]!;
  }

  /** @param row a number from `rowOf`, not -1 */
  takes(row: number, portClass: number): boolean {
    return this.#allowed[row * this.#classes + portClass] !== 0;
  }
}
