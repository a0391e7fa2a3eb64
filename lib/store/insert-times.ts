/** How long the last inserts of this process took, for the doctor: those that ended well, and those that took too long. */

const KEPT = 256;

export class InsertTimes {
  readonly #tookMs: number[] = [];
  #count = 0;

  note(tookMs: number): void {
    this.#tookMs[this.#count % KEPT] = tookMs;
    this.#count += 1;
  }

  /** The 99th percentile of the last 256, in milliseconds, and how many it is of; undefined: there was none. */
  p99(): { ms: number; count: number } | undefined {
    const sorted = [...this.#tookMs].sort((a, b) => a - b);
    const ms = sorted[Math.ceil(sorted.length * 0.99) - 1];
    return ms === undefined ? undefined : { ms, count: sorted.length };
  }
}
