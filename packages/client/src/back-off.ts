/** One back-off for a client: waits max(Retry-After, full jitter). Times are of the monotonic clock, in milliseconds. */
import type { Pace } from "./options.ts";
import { now } from "./timer.ts";

export function createBackOff({ backOffBaseMs, backOffMaxMs }: Pace) {
  let failures = 0;
  let failedAtMs = -1;
  let jitterUntilMs = 0;
  let askedUntilMs = 0;
  return {
    /** Whether the last request failed. */
    isOn: () => !!failures,
    /** No request before this moment. */
    until: () => Math.max(askedUntilMs, jitterUntilMs),
    /** No request before this moment, because Spillway asked for it. */
    askedUntil: () => askedUntilMs,
    /** A request that began at `beganAtMs` failed. Requests that fail beside each other count once. */
    fail(beganAtMs: number, retryAfterMs = 0): void {
      if (beganAtMs >= failedAtMs) failures++;
      failedAtMs = now();
      askedUntilMs = Math.max(askedUntilMs, failedAtMs + retryAfterMs);
      jitterUntilMs =
        failedAtMs + Math.random() * Math.min(backOffMaxMs, backOffBaseMs * 2 ** (failures - 1));
    },
    /** A request got through, or the network is back: only what Spillway asked for counts. */
    reset(): void {
      failures = jitterUntilMs = 0;
    },
  };
}
