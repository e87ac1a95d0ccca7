/**
 * Fair budgets: what one owner - a VM with all its ports, or a port that belongs to no VM - may take of the tables that all
 * share. The noisy one runs into its own limit and is told so by the drop reason; its neighbours notice nothing.
 */
import { TokenBuckets } from '../util/index.js';

/** Limits of one owner. Absent = no limit but the table's own. */
export interface Budget {
  /** Flows it opened that may be in the table. */
  readonly flows?: number;
  /** TCP handshakes among them that are not complete. */
  readonly halfOpen?: number;
  /** Flows it may open per second; half a second's worth at once. */
  readonly newFlowsPerSecond?: number;
  /** Bytes of reassembly memory that data it sent may hold. */
  readonly streamBytes?: number;
  /** Bytes and datagrams of the fragment table. */
  readonly fragmentBytes?: number;
  readonly datagrams?: number;
  /** Refused packets of it that are answered per second (TCP RST, ICMP unreachable); a fifth of a second's worth at once. */
  readonly answersPerSecond?: number;
}

/** Switch ports that are told apart; higher indexes share the last row. */
export const BUDGET_PORTS = 4096;
const MAX_INT = 0x7fff_ffff;

export class Budgets {
  /** Row of each switch port: ports of one VM share one. */
  readonly rows = Int32Array.from({ length: BUDGET_PORTS }, (_, port) => port);
  /** Limits by row. */
  readonly flows = new Int32Array(BUDGET_PORTS).fill(MAX_INT);
  readonly halfOpen = new Int32Array(BUDGET_PORTS).fill(MAX_INT);
  readonly streamBytes = new Float64Array(BUDGET_PORTS).fill(Number.POSITIVE_INFINITY);
  readonly fragmentBytes = new Float64Array(BUDGET_PORTS).fill(Number.POSITIVE_INFINITY);
  readonly datagrams = new Int32Array(BUDGET_PORTS).fill(MAX_INT);
  /** One bucket a row: flows opened per second. */
  readonly rate = new TokenBuckets(BUDGET_PORTS);
  /** Some row has a rate limit: without one nothing is asked. */
  rated = false;
  /** One bucket a row: answers to refused packets per second. */
  readonly answers = new TokenBuckets(BUDGET_PORTS);

  /** Row of a switch port. */
  row(port: number): number {
    return this.rows[portRow(port)]!;
  }

  /**
   * Let the ports share one budget.
   * @param ports switch ports of one owner, at least one; the first one's index becomes their row
   * @throws RangeError for a port that cannot be told apart
   */
  assign(ports: readonly number[], budget: Budget): void {
    const row = ports[0]!;
    for (const port of ports) {
      if (!Number.isInteger(port) || port < 0 || port >= BUDGET_PORTS) throw new RangeError(`no budget for port ${port}: ports are 0 to ${BUDGET_PORTS - 1}`);
      this.rows[port] = row;
    }
    this.flows[row] = atMost(budget.flows);
    this.halfOpen[row] = atMost(budget.halfOpen);
    this.streamBytes[row] = budget.streamBytes ?? Number.POSITIVE_INFINITY;
    this.fragmentBytes[row] = budget.fragmentBytes ?? Number.POSITIVE_INFINITY;
    this.datagrams[row] = atMost(budget.datagrams);
    const rate = budget.newFlowsPerSecond ?? 0;
    this.rate.configure(row, rate, Math.max(1, rate / 2));
    if (rate > 0) this.rated = true;
    const answers = budget.answersPerSecond ?? 0;
    this.answers.configure(row, answers, Math.max(1, answers / 5));
  }
}

/** Index of a port in tables of BUDGET_PORTS rows. */
export function portRow(port: number): number {
  return port >= 0 && port < BUDGET_PORTS ? port : BUDGET_PORTS - 1;
}

function atMost(limit: number | undefined): number {
  return limit === undefined ? MAX_INT : Math.max(0, Math.min(MAX_INT, Math.floor(limit)));
}
