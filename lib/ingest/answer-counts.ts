/**
 * Counts the events that ingest answered, by stream, and logs the counts at most every ten seconds as `ingest.counted`. They
 * are logged when a request is answered, because Cloud Run gives no CPU between requests, and when the process ends.
 */
import type { Log } from "../log.ts";

const EVERY_MS = 10_000;

const NOTHING = { accepted: 0, rejected: 0, shed: 0, storedThrough: 0, threw: 0 };
export type Counted = typeof NOTHING;

export class AnswerCounts {
  readonly #log: Log;
  readonly #monotonicMs: () => number;
  #byStream = new Map<string, Counted>();
  #loggedAtMs: number;

  constructor(log: Log, monotonicMs: () => number) {
    this.#log = log;
    this.#monotonicMs = monotonicMs;
    this.#loggedAtMs = monotonicMs();
  }

  /** Adds to a stream's counts. Logs all counts if ten seconds have passed since the last time. */
  add(stream: string, counted: Partial<Counted>): void {
    const sums = this.#byStream.get(stream) ?? { ...NOTHING };
    for (const name of Object.keys(counted) as (keyof Counted)[]) sums[name] += counted[name] ?? 0;
    this.#byStream.set(stream, sums);
    if (this.#monotonicMs() - this.#loggedAtMs >= EVERY_MS) this.logCounts();
  }

  /** Logs the counts since the last time, and starts again at zero. */
  logCounts(): void {
    for (const [stream, sums] of this.#byStream) this.#log.info("ingest.counted", { stream, ...sums });
    this.#byStream = new Map();
    this.#loggedAtMs = this.#monotonicMs();
  }
}
