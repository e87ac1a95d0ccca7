/**
 * The one queue in front of the engines of this host. Strict priority between classes, deficit round robin between VMs within
 * a class (Shreedhar and Varghese 1995; cost = bytes), one limit on scans under way. Bounded per VM and in all.
 */

/** Classes, most urgent first. */
export const Priority = { ON_ACCESS: 0, ON_DEMAND: 1, SCHEDULED: 2, REJUDGE: 3 } as const;
export type Priority = (typeof Priority)[keyof typeof Priority];
export const PRIORITY_NAMES = ['on-access', 'on-demand', 'scheduled', 're-judge'] as const;

/** Why a task did not run: `full` (queue), `vm-full` (share of its VM), `expired` (its deadline passed while waiting), `closed`. */
export type Refusal = 'full' | 'vm-full' | 'expired' | 'closed';

export interface ScanTask {
  readonly vm: number;
  /** Bytes to be read and scanned. */
  readonly cost: number;
  /** Server clock, ms; Infinity = none. */
  readonly deadlineMs: number;
  /** Must not reject. */
  run(): Promise<void>;
  /** Called instead of `run`, at most once, when the task will not run. */
  refuse(why: Refusal): void;
}

export interface ScanQueueOptions {
  /** Scans under way at a time on this host. */
  readonly concurrency: number;
  /** Of these, how many may be taken by classes below on-access: an open must not wait behind a long scheduled scan. */
  readonly background: number;
  readonly maxWaiting: number;
  readonly maxWaitingPerVm: number;
}

/** Even an empty file costs a scan. */
const MIN_COST = 16 * 1024;
/** Bytes a VM may spend per round. */
const QUANTUM = 1024 * 1024;

interface Waiting {
  readonly task: ScanTask;
  readonly sinceMs: number;
  /** Moved to another class: this entry is skipped. */
  gone: boolean;
}

interface VmQueue {
  readonly vm: number;
  readonly entries: Waiting[];
  deficit: number;
}

/** One class: VMs with work, in turn. */
class Round {
  readonly #vms = new Map<number, VmQueue>();
  #order: VmQueue[] = [];

  push(entry: Waiting): void {
    let q = this.#vms.get(entry.task.vm);
    if (q === undefined) {
      q = { vm: entry.task.vm, entries: [], deficit: 0 };
      this.#vms.set(q.vm, q);
      this.#order.push(q);
    }
    q.entries.push(entry);
  }

  /** The next entry in turn, undefined = none. */
  pop(): Waiting | undefined {
    for (;;) {
      const q = this.#order[0];
      if (q === undefined) return undefined;
      while (q.entries[0]?.gone === true) q.entries.shift();
      const head = q.entries[0];
      if (head === undefined) {
        // A VM without work keeps no credit: it must not come back with a burst.
        this.#order.shift();
        this.#vms.delete(q.vm);
        continue;
      }
      const cost = Math.max(MIN_COST, head.task.cost);
      if (q.deficit >= cost) {
        q.deficit -= cost;
        q.entries.shift();
        return head;
      }
      q.deficit += QUANTUM;
      if (this.#order.length > 1) this.#order.push(this.#order.shift()!);
    }
  }

  /** Everything still waiting, in no order; empties the class. */
  drain(): Waiting[] {
    const all = this.#order.flatMap((q) => q.entries.filter((e) => !e.gone));
    this.#order = [];
    this.#vms.clear();
    return all;
  }
}

export class ScanQueue {
  readonly #o: ScanQueueOptions;
  readonly #now: () => number;
  readonly #rounds = PRIORITY_NAMES.map(() => new Round());
  readonly #waiting = new Map<ScanTask, { entry: Waiting; priority: Priority }>();
  readonly #perVm = new Map<number, number>();
  readonly #depths = [0, 0, 0, 0];
  #running = 0;
  #background = 0;
  #closed = false;
  /** Tasks by what became of them. */
  readonly counts = { started: [0, 0, 0, 0], full: 0, 'vm-full': 0, expired: 0, closed: 0, raised: 0 };
  /** Sum of waits of started tasks per class, ms. */
  readonly waitMs = [0, 0, 0, 0];
  /** Sees each wait (ms) as a task starts. */
  onWait: ((priority: Priority, ms: number) => void) | null = null;

  /** @param now monotonic clock, ms */
  constructor(options: ScanQueueOptions, now: () => number) {
    this.#o = options;
    this.#now = now;
  }

  get depth(): number {
    return this.#waiting.size;
  }

  get running(): number {
    return this.#running;
  }

  depthOf(priority: Priority): number {
    return this.#depths[priority]!;
  }

  /** Queue a task, or refuse it at once. */
  submit(task: ScanTask, priority: Priority): void {
    const mine = this.#perVm.get(task.vm) ?? 0;
    const why: Refusal | null = this.#closed ? 'closed' : this.#waiting.size >= this.#o.maxWaiting ? 'full' : mine >= this.#o.maxWaitingPerVm ? 'vm-full' : null;
    if (why !== null) {
      this.counts[why]++;
      task.refuse(why);
      return;
    }
    this.#add(task, priority, this.#now());
    this.#pump();
  }

  /** Somebody more urgent wants the same: move a waiting task up. No effect once it runs. */
  raise(task: ScanTask, priority: Priority): void {
    const w = this.#waiting.get(task);
    if (w === undefined || w.priority <= priority) return;
    w.entry.gone = true;
    this.#remove(task);
    this.counts.raised++;
    this.#add(task, priority, w.entry.sinceMs);
    this.#pump();
  }

  /** Refuse what waits; what runs goes on. */
  close(): void {
    this.#closed = true;
    for (const round of this.#rounds) {
      for (const { task } of round.drain()) {
        this.#remove(task);
        this.counts.closed++;
        task.refuse('closed');
      }
    }
  }

  #add(task: ScanTask, priority: Priority, sinceMs: number): void {
    const entry: Waiting = { task, sinceMs, gone: false };
    this.#waiting.set(task, { entry, priority });
    this.#depths[priority]!++;
    this.#perVm.set(task.vm, (this.#perVm.get(task.vm) ?? 0) + 1);
    this.#rounds[priority]!.push(entry);
  }

  #remove(task: ScanTask): void {
    this.#depths[this.#waiting.get(task)!.priority]!--;
    this.#waiting.delete(task);
    const left = (this.#perVm.get(task.vm) ?? 1) - 1;
    if (left === 0) this.#perVm.delete(task.vm);
    else this.#perVm.set(task.vm, left);
  }

  #pump(): void {
    while (this.#running < this.#o.concurrency) {
      let entry: Waiting | undefined;
      let priority: Priority = Priority.ON_ACCESS;
      for (const p of Object.values(Priority)) {
        if (p !== Priority.ON_ACCESS && this.#background >= this.#o.background) break;
        entry = this.#rounds[p]!.pop();
        priority = p;
        if (entry !== undefined) break;
      }
      if (entry === undefined) return;
      const { task } = entry;
      this.#remove(task);
      const now = this.#now();
      if (task.deadlineMs <= now) {
        this.counts.expired++;
        task.refuse('expired');
        continue;
      }
      this.#start(task, priority, now - entry.sinceMs);
    }
  }

  #start(task: ScanTask, priority: Priority, waitedMs: number): void {
    const background = priority !== Priority.ON_ACCESS;
    this.#running++;
    if (background) this.#background++;
    this.counts.started[priority]!++;
    this.waitMs[priority]! += waitedMs;
    this.onWait?.(priority, waitedMs);
    const done = (): void => {
      this.#running--;
      if (background) this.#background--;
      this.#pump();
    };
    task.run().then(done, done);
  }
}
