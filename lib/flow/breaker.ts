/**
 * A circuit breaker on Redis. Three failures within ten seconds open it for thirty seconds. Then one request goes through as a
 * probe: if Redis answers it, the breaker closes; if not, it stays open for thirty more. While it is open, no other request
 * waits for a server that does not answer. Each change of state is one log event.
 */
import type { Log } from "../log.ts";

/** The failures that open the breaker, and the window in which they count. */
const FAILURES = 3;
const WINDOW_MS = 10_000;
/** How long the breaker stays open before a probe. */
const OPEN_MS = 30_000;

export class Breaker {
  readonly #now: () => number;
  readonly #log: Log;
  #failedAtMs: number[] = [];
  #openUntilMs: number | undefined;
  #isProbing = false;

  constructor(now: () => number, log: Log) {
    this.#now = now;
    this.#log = log;
  }

  /**
   * Whether a request may go to Redis now. While the breaker is open, only one probe at a time may. A caller that may go must
   * report one of the three outcomes below.
   */
  mayTry(): boolean {
    if (this.#openUntilMs === undefined) return true;
    if (this.#isProbing || this.#now() < this.#openUntilMs) return false;
    this.#isProbing = true;
    this.#log.info("breaker.probed");
    return true;
  }

  /** Reports that Redis answered. */
  succeeded(): void {
    this.#failedAtMs = [];
    this.#isProbing = false;
    if (this.#openUntilMs === undefined) return;
    this.#openUntilMs = undefined;
    this.#log.info("breaker.closed");
  }

  /** Reports that the request ended before Redis was asked. The next request may be the probe. */
  notAsked(): void {
    this.#isProbing = false;
  }

  /** Reports that Redis did not answer. `isFinal`: Redis refuses for a longer time, so the breaker opens at once. */
  failed(isFinal = false): void {
    const now = this.#now();
    this.#failedAtMs = [...this.#failedAtMs.filter((at) => at > now - WINDOW_MS), now];
    const isNew = this.#openUntilMs === undefined;
    if (!this.#isProbing && !isFinal && this.#failedAtMs.length < FAILURES) return;
    this.#openUntilMs = now + OPEN_MS;
    this.#isProbing = false;
    if (isNew) this.#log.warn("breaker.opened", { forSeconds: OPEN_MS / 1000 });
  }
}
