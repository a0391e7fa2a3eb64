/**
 * A circuit breaker on a server. Three failures within ten seconds open it for thirty seconds. Then one run goes through as a
 * probe: if the server answers it, the breaker closes; if not, the breaker stays open for thirty more. While it is open, no
 * other run waits for a server that does not answer. Each change of state is one log event.
 */
import type { Log } from "../log.ts";

/** The failures that open the breaker, and the window in which they count. */
const FAILURES = 3;
const WINDOW_MS = 10_000;
/** How long the breaker stays open before a probe. */
const OPEN_MS = 30_000;

/** What the error of a run says about the server. */
export type Verdict =
  /** It answered: the breaker closes. */
  | "answered"
  /** It did not answer: one failure. */
  | "silent"
  /** It refuses everything for a longer time: the breaker opens at once. */
  | "refusing"
  /** It was not asked, so the error says nothing: a probe is given back, and the next run is the probe. */
  | "not-asked";

interface Deps {
  /** A clock that is never set back. */
  monotonicMs: () => number;
  log: Log;
  /** Reads the error of a run. A run that succeeds says "answered". */
  verdictOf(error: unknown): Verdict;
}

/**
 * Runs work while the server answers.
 *
 * @example
 * const verdictOf = (error: unknown) => (error instanceof TimedOut ? "silent" : "answered");
 * const breaker = new Breaker({ monotonicMs: () => performance.now(), log, verdictOf });
 * const reply = await breaker.run(() => redis.lpush(key, text)); // "open": nothing was run
 */
export class Breaker {
  readonly #deps: Deps;
  #failedAtMs: number[] = [];
  #openUntilMs: number | undefined;
  #isProbing = false;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Runs `work` and notes how it ended, or returns "open" at once. While open, one run at a time may probe. Throws work's error. */
  async run<T>(work: () => Promise<T>): Promise<T | "open"> {
    const isProbe = this.#openUntilMs !== undefined;
    if (isProbe && !this.#mayProbe()) return "open";
    this.#isProbing = isProbe;
    let verdict: Verdict = "not-asked";
    try {
      const result = await work();
      verdict = "answered";
      return result;
    } catch (error) {
      verdict = this.#deps.verdictOf(error);
      throw error;
    } finally {
      if (isProbe) this.#isProbing = false;
      if (verdict !== "not-asked") this.#note(verdict, isProbe);
    }
  }

  #mayProbe(): boolean {
    return !this.#isProbing && this.#deps.monotonicMs() >= (this.#openUntilMs ?? 0);
  }

  #note(verdict: Verdict, isProbe: boolean): void {
    if (isProbe) this.#deps.log.info("breaker.probed");
    if (verdict === "answered") this.#close();
    else if (isProbe || verdict === "refusing" || this.#countFailure() >= FAILURES) this.#open();
  }

  /** Counts a failure of now. Returns the number of failures in the window. */
  #countFailure(): number {
    const nowMs = this.#deps.monotonicMs();
    this.#failedAtMs = [...this.#failedAtMs.filter((at) => at > nowMs - WINDOW_MS), nowMs];
    return this.#failedAtMs.length;
  }

  #open(): void {
    const isNew = this.#openUntilMs === undefined;
    this.#openUntilMs = this.#deps.monotonicMs() + OPEN_MS;
    if (isNew) this.#deps.log.warn("breaker.opened", { forSeconds: OPEN_MS / 1000 });
  }

  #close(): void {
    this.#failedAtMs = [];
    if (this.#openUntilMs === undefined) return;
    this.#openUntilMs = undefined;
    this.#deps.log.info("breaker.closed");
  }
}
