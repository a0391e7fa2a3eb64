/**
 * A circuit breaker on Redis: three failures within ten seconds open it for thirty; then one probe decides.
 * While it is open nobody waits for a server that does not answer. Each change of state is one log event.
 */
import type { Log } from "../log.ts";

/** Failures that open it, and the window in which they count. */
const FAILURES = 3;
const WINDOW_MS = 10_000;
/** How long it stays open before a probe. */
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

  /** Whether a request may go to Redis now. While the breaker is open, only one probe at a time may. */
  mayTry(): boolean {
    if (this.#openUntilMs === undefined) return true;
    if (this.#isProbing || this.#now() < this.#openUntilMs) return false;
    this.#isProbing = true;
    this.#log.info("breaker.probed");
    return true;
  }

  /** Redis answered. */
  succeeded(): void {
    this.#failedAtMs = [];
    this.#isProbing = false;
    if (this.#openUntilMs === undefined) return;
    this.#openUntilMs = undefined;
    this.#log.info("breaker.closed");
  }

  /** The request that was let through never got as far as asking Redis: the next may probe. */
  notAsked(): void {
    this.#isProbing = false;
  }

  /** Redis did not answer, or `isFinal`: it said that it will not for a while. */
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
