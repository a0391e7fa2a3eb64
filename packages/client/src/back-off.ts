/** One back-off for a client: waits max(Retry-After, full jitter). Times are of the monotonic clock, in milliseconds. */

export class BackOff {
  #failures = 0;
  #failedAtMs = Number.NEGATIVE_INFINITY;
  /** No request before this moment. */
  untilMs = 0;
  /** No request before this moment, because Spillway asked for it. */
  askedUntilMs = 0;
  readonly #baseMs: number;
  readonly #maxMs: number;

  constructor({ baseMs, maxMs }: { baseMs: number; maxMs: number }) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
  }

  get isOn(): boolean {
    return this.#failures > 0;
  }

  /** A request that began at `beganAtMs` failed. Requests that fail beside each other count once. */
  fail(beganAtMs: number, nowMs: number, retryAfterMs: number): void {
    if (beganAtMs >= this.#failedAtMs) this.#failures++;
    this.#failedAtMs = nowMs;
    const mostMs = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#failures - 1, 20));
    this.askedUntilMs = Math.max(this.askedUntilMs, nowMs + retryAfterMs);
    this.untilMs = Math.max(this.askedUntilMs, nowMs + Math.random() * mostMs);
  }

  /** A request got through. */
  succeed(): void {
    this.#failures = 0;
    this.untilMs = this.askedUntilMs;
  }

  /** The network is back, or time runs out: only what Spillway asked for counts. */
  cutShort(): void {
    this.untilMs = this.askedUntilMs;
  }
}
