/**
 * Token buckets in typed arrays: `rate` tokens flow in per second, at most `burst` are kept. Time is an argument (seconds and
 * microseconds); a clock that steps back adds nothing and is followed from there, so a replay over several captures never
 * stops a bucket for good.
 */
export class TokenBuckets {
  readonly count: number;
  private readonly rate: Float64Array; //  tokens per microsecond, 0 = no limit
  private readonly burst: Float64Array;
  private readonly tokens: Float64Array;
  private readonly last: Float64Array; //  microseconds of the last refill, -1 = never used

  constructor(count: number) {
    this.count = count;
    this.rate = new Float64Array(count);
    this.burst = new Float64Array(count);
    this.tokens = new Float64Array(count);
    this.last = new Float64Array(count).fill(-1);
  }

  /**
   * Set one bucket and fill it up.
   * @param perSecond tokens per second; 0 removes the limit
   * @param burst tokens the bucket holds, at least 1
   * @throws RangeError
   */
  configure(bucket: number, perSecond: number, burst: number): void {
    if (bucket < 0 || bucket >= this.count) throw new RangeError(`no token bucket ${bucket}`);
    if (!(perSecond >= 0) || !(burst >= 1)) throw new RangeError(`token bucket needs a rate >= 0 and a burst >= 1, not ${perSecond} and ${burst}`);
    this.rate[bucket] = perSecond / 1e6;
    this.burst[bucket] = burst;
    this.tokens[bucket] = burst;
    this.last[bucket] = -1;
  }

  /** Take `n` tokens at the given time. @returns false, and takes none, when there are fewer (a larger `n` than the burst asks for a full bucket) */
  take(bucket: number, n: number, sec: number, usec: number): boolean {
    const rate = this.rate[bucket]!;
    if (rate === 0) return true;
    const now = sec * 1e6 + usec;
    const last = this.last[bucket]!;
    const burst = this.burst[bucket]!;
    let tokens = this.tokens[bucket]!;
    if (last >= 0 && now > last) tokens = Math.min(burst, tokens + (now - last) * rate);
    this.last[bucket] = now;
    const enough = tokens >= Math.min(n, burst);
    this.tokens[bucket] = enough ? Math.max(0, tokens - n) : tokens;
    return enough;
  }
}
