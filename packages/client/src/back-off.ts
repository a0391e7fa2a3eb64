/** One back-off for a client: waits max(Retry-After, full jitter). Times are of the monotonic clock, in milliseconds. */
import type { Pace } from "./options.ts";

export class BackOff {
  #failedAtMs = -1;
  /** How many requests have failed one after the other. */
  failures = 0;
  /** No request before this moment. */
  untilMs = 0;
  /** No request before this moment, because Spillway asked for it. */
  askedUntilMs = 0;

  /** A request that began at `beganAtMs` failed. Requests that fail beside each other count once. */
  fail({ backOffBaseMs, backOffMaxMs }: Pace, beganAtMs: number, nowMs: number, retryAfterMs = 0): void {
    if (beganAtMs >= this.#failedAtMs) this.failures++;
    this.#failedAtMs = nowMs;
    this.askedUntilMs = Math.max(this.askedUntilMs, nowMs + retryAfterMs);
    const jitterMs = Math.random() * Math.min(backOffMaxMs, backOffBaseMs * 2 ** (this.failures - 1));
    this.untilMs = Math.max(this.askedUntilMs, nowMs + jitterMs);
  }

  /** A request got through, or the network is back: only what Spillway asked for counts. */
  reset(): void {
    this.failures = 0;
    this.untilMs = this.askedUntilMs;
  }
}
