/** Requests on the way to a driver, by id, each with a time limit. */
import type { DriverMessage } from '../protocol/messages.js';
import { DriverError } from './errors.js';

export type Answer = Extract<DriverMessage, { status: number }>;

interface Waiting {
  readonly type: number;
  readonly deadlineMs: number;
  readonly settle: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** More than any engine has on the way; a bound against a verdict path that forgets to wait. */
const MAX_WAITING = 4096;

export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** A fresh id, also for streams. */
  nextId(): number {
    this.#last = (this.#last + 1) & 0x7fff_ffff;
    return this.#last;
  }

  /** @param type of the message that answers it. @throws DriverError when too many are waiting */
  expect<A extends Answer>(id: number, type: A['type'], deadlineMs: number): Promise<A> {
    if (this.#waiting.size >= MAX_WAITING) throw new DriverError('EBUSY', 'too many requests on the way');
    return new Promise<Answer>((settle, reject) => this.#waiting.set(id, { type, deadlineMs, settle, reject })) as Promise<A>;
  }

  /** @returns false when nobody waits for it (it timed out, or the driver made it up) */
  answer(message: Answer): boolean {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined || waiting.type !== message.type) return false;
    this.#waiting.delete(message.id);
    waiting.settle(message);
    return true;
  }

  /** @returns how many timed out */
  expire(nowMs: number): number {
    let n = 0;
    for (const [id, waiting] of this.#waiting) {
      if (waiting.deadlineMs > nowMs) continue;
      this.#waiting.delete(id);
      waiting.reject(new DriverError('ETIMEDOUT', 'no answer from the driver'));
      n++;
    }
    return n;
  }

  failAll(error: DriverError): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}
