/** What the driver server counts; read by metrics whenever they are scraped. */

/** Upper bounds in milliseconds of `waits`: from the event in the guest to its disposition here. */
export const WAIT_BOUNDS_MS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] as const;

export class ServerCounters {
  /** Connections that began, by how they ended or what became of them. */
  connections = 0;
  refused = 0;
  protocolErrors = 0;
  tooSlow = 0;
  replaced = 0;
  /** Events by kind (index of EVENT_KIND_NAMES). */
  readonly events = [0, 0, 0, 0, 0];
  allowed = 0;
  denied = 0;
  /** Answered by the driver itself because nobody here did in time. */
  cancelled = 0;
  /** The verdict path failed: nothing was answered. */
  failed = 0;
  changes = 0;
  bytesRead = 0;
  requestTimeouts = 0;
  /** Descriptors that came, and those that were no regular files. */
  descriptors = 0;
  descriptorsRefused = 0;
  /** One more place than bounds: above the last. */
  readonly waits: number[] = WAIT_BOUNDS_MS.map(() => 0).concat(0);
  waitSumMs = 0;

  /** @param ms time from the event in the guest to its disposition */
  waited(ms: number): void {
    let i = 0;
    while (i < WAIT_BOUNDS_MS.length && ms > WAIT_BOUNDS_MS[i]!) i++;
    this.waits[i]!++;
    this.waitSumMs += ms;
  }
}
