/**
 * Says in the log which key is throttled: whoever is on call hears of a sender that needs another rate, or another pace. The table
 * spillway_usage has the same by the hour; this is for the minute in which it happens.
 */
import type { Log } from "../log.ts";

/** How often a key is said at most, in milliseconds. */
const SAY_EVERY_MS = 60_000;

interface Deps {
  monotonicMs: () => number;
  log: Log;
}

export class ThrottledKeys {
  readonly #deps: Deps;
  /** By the key's name. */
  readonly #byKey = new Map<string, { requests: number; saidAtMs: number }>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Counts a request of the key that was answered 429. Says the count since the last time, at once and then once a minute at most. */
  note(key: string): void {
    const { monotonicMs, log } = this.#deps;
    const nowMs = monotonicMs();
    const known = this.#byKey.get(key) ?? { requests: 0, saidAtMs: Number.NEGATIVE_INFINITY };
    known.requests += 1;
    this.#byKey.set(key, known);
    if (nowMs - known.saidAtMs < SAY_EVERY_MS) return;
    log.warn("key.throttled", { key, requests: known.requests });
    this.#byKey.set(key, { requests: 0, saidAtMs: nowMs });
  }
}
