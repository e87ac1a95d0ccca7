/** Frames of a LIST or FOLLOW as an async iterable: the driver may send STREAM_WINDOW of them ahead of the consumer. */
import { STREAM_WINDOW } from '../protocol/limits.js';
import { ProtocolError } from '../protocol/wire.js';
import type { DriverError } from './errors.js';

export class Stream<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [];
  #credit = STREAM_WINDOW;
  #ended = false;
  #error: DriverError | null = null;
  #waiter: { settle: (r: IteratorResult<T>) => void; reject: (e: Error) => void } | null = null;
  readonly #more: () => void;
  readonly #stop: () => void;

  /** @param more tells the driver that it may send one frame more. @param stop tells it to end the stream */
  constructor(more: () => void, stop: () => void) {
    this.#more = more;
    this.#stop = stop;
  }

  /** @throws ProtocolError when the driver sends more than it may */
  push(item: T): void {
    if (this.#ended) return;
    if (this.#credit === 0) throw new ProtocolError('stream frame without credit');
    this.#credit--;
    const waiter = this.#waiter;
    if (waiter === null) {
      this.#items.push(item);
      return;
    }
    this.#waiter = null;
    this.#taken();
    waiter.settle({ value: item, done: false });
  }

  /** No more frames; those that arrived are still delivered. */
  end(error: DriverError | null = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) return;
    this.#error = null;
    if (error === null) waiter.settle({ value: undefined, done: true });
    else waiter.reject(error);
  }

  async next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift();
    if (item !== undefined) {
      if (!this.#ended) this.#taken();
      return { value: item, done: false };
    }
    if (this.#ended) {
      const error = this.#error;
      this.#error = null;
      if (error !== null) throw error;
      return { value: undefined, done: true };
    }
    return new Promise((settle, reject) => {
      this.#waiter = { settle, reject };
    });
  }

  async return(): Promise<IteratorResult<T>> {
    if (!this.#ended) {
      this.end();
      this.#stop();
    }
    this.#items.length = 0;
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #taken(): void {
    this.#credit++;
    this.#more();
  }
}
