/**
 * A hashed timing wheel over dense integer ids (Varghese and Lauck, scheme 6), one pending timer per id. All state is in
 * two int32 columns, so arming and cancelling allocate nothing and cost a handful of stores.
 *
 * The wheel is meant to be used lazily: activity on an id does not touch the wheel; when a timer falls due its owner is
 * asked for the real deadline and may name a later one. Deadlines further away than the wheel is wide are parked in the
 * furthest slot and asked again, so any timeout works with any width.
 */
export class TimerWheel {
  /** Deadlines are whole ticks; the owner decides what a tick is (the flow room: one second). */
  readonly slots: number;
  /** Ids currently armed. */
  armed = 0;
  /** Doubly linked rings: cells 0..capacity-1 are ids, capacity + s is the head of slot s. UNARMED when in no ring. */
  readonly #next: Int32Array;
  readonly #prev: Int32Array;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #onDue: (id: number, now: number) => number;
  /** Tick whose slot is being worked off; everything before it is done. -1 until the first call. */
  #now = -1;

  /**
   * @param capacity ids are 0..capacity-1
   * @param slots width in ticks, rounded up to a power of two
   * @param onDue called with an id that was taken off the wheel; returns its next deadline, or -1 to leave it off.
   *              May arm and cancel other ids.
   */
  constructor(capacity: number, slots: number, onDue: (id: number, now: number) => number) {
    this.slots = 2 ** Math.ceil(Math.log2(Math.max(2, slots)));
    this.#mask = this.slots - 1;
    this.#capacity = capacity;
    this.#onDue = onDue;
    this.#next = new Int32Array(capacity + this.slots).fill(UNARMED, 0, capacity);
    this.#prev = new Int32Array(capacity + this.slots);
    for (let head = capacity; head < capacity + this.slots; head++) {
      this.#next[head] = head;
      this.#prev[head] = head;
    }
  }

  /** True when a timer is pending for `id`. */
  has(id: number): boolean {
    return this.#next[id] !== UNARMED;
  }

  /**
   * Set or move the timer of `id`. A deadline that has passed falls due at the next tick.
   * @param now current tick; only used to start the clock on the very first call
   */
  arm(id: number, deadline: number, now: number): void {
    if (this.#now < 0) this.#now = now;
    if (this.#next[id] !== UNARMED) this.#unlink(id);
    let ahead = deadline - this.#now;
    if (ahead < 1) ahead = 1;
    else if (ahead > this.#mask) ahead = this.#mask;
    const head = this.#capacity + ((this.#now + ahead) & this.#mask);
    const last = this.#prev[head];
    this.#next[last] = id;
    this.#prev[id] = last;
    this.#next[id] = head;
    this.#prev[head] = id;
    this.armed++;
  }

  cancel(id: number): void {
    if (this.#next[id] !== UNARMED) this.#unlink(id);
  }

  /**
   * Work off what fell due up to tick `now`, at most `budget` ids; the rest waits for the next call. A clock that runs
   * backwards is ignored.
   * @returns ids handled
   */
  advance(now: number, budget: number): number {
    if (this.#now < 0) this.#now = now;
    // After a long silence every slot needs one visit, not one per elapsed tick.
    if (now - this.#now > this.slots) this.#now = now - this.slots;
    let handled = 0;
    while (this.#now <= now) {
      const head = this.#capacity + (this.#now & this.#mask);
      for (let id = this.#next[head]; id !== head; id = this.#next[head]) {
        if (handled >= budget) return handled;
        handled++;
        this.#unlink(id);
        const deadline = this.#onDue(id, now);
        if (deadline >= 0 && this.#next[id] === UNARMED) this.arm(id, deadline, now);
      }
      if (this.#now === now) break;
      this.#now++;
    }
    return handled;
  }

  #unlink(id: number): void {
    const next = this.#next[id];
    const prev = this.#prev[id];
    this.#next[prev] = next;
    this.#prev[next] = prev;
    this.#next[id] = UNARMED;
    this.armed--;
  }
}

const UNARMED = -1;
