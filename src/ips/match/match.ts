/** The three kinds of test outside inspection chains. One class per keyword, one method, no closures. */
import type { Transaction } from '../../protocols/index.js';
import type { InspectContext } from './context.js';

/** Looks at the packet or its flow: flags, dsize, flowbits:isset. */
export abstract class PacketMatch {
  abstract matches(ctx: InspectContext): boolean;

  /** Only packets of established connections match. */
  get afterHandshake(): boolean {
    return false;
  }

  /** May a packet with these TCP flags match? Sorts rules into lists when they are loaded. */
  takesTcpFlags(_flags: number): boolean {
    return true;
  }
}

/** Runs once the whole rule matched: flowbits:set, xbits:set. */
export abstract class PostMatch {
  abstract apply(ctx: InspectContext): void;
}

/** Outcome of a test on a transaction that still goes on. */
export const TxOutcome = { NO: 0, YES: 1, LATER: 2 } as const;

/** Looks at a transaction as a whole: app-layer-event. */
export abstract class TxMatch {
  /** Directions in which what is looked for exists: bit 0 to server, bit 1 to client. */
  readonly directions: number = 3;
  /** @param done nothing more will change in this direction */
  abstract evaluate(tx: Transaction, dir: number, done: boolean): number;
}
