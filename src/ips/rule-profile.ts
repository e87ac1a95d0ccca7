/** What judging each rule has cost: filled by an engine that was given one, for `drawbridge rules profile`. Costs two clock readings a check. */

export class RuleProfile {
  checks = new Float64Array(0);
  matches = new Float64Array(0);
  /** Milliseconds spent on judging the rule, what found it not included. */
  time = new Float64Array(0);
  readonly #clock: () => number;
  #started = 0;

  /** @param clock milliseconds of a clock that only goes forward */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Make room for a rule set. */
  size(rules: number): void {
    if (this.checks.length >= rules) return;
    this.checks = new Float64Array(rules);
    this.matches = new Float64Array(rules);
    this.time = new Float64Array(rules);
  }

  begin(): void {
    this.#started = this.#clock();
  }

  end(rule: number): void {
    this.checks[rule]! += 1;
    this.time[rule]! += this.#clock() - this.#started;
  }

  matched(rule: number): void {
    this.matches[rule]! += 1;
  }
}
