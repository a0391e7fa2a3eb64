/** Tells the load generator's parent, each second, what happened since the second before. */
import { Histogram } from "./histogram.ts";
import type { LoadTick } from "./load-job.ts";

export class LoadTicks {
  readonly #startedAtMs = performance.now();
  readonly #all = new Histogram();
  readonly #waiting: () => number;
  readonly #timer: NodeJS.Timeout;
  #now = new Histogram();
  #offered = 0;
  #errors = 0;
  #lateMs = 0;

  /** Begins. `waiting` counts the requests that are due and have no answer. */
  constructor(waiting: () => number) {
    this.#waiting = waiting;
    this.#timer = setInterval(() => this.#tell(), 1000);
  }

  /** A request became due, `lateMs` ago. */
  offer(lateMs: number): void {
    this.#offered += 1;
    if (lateMs > this.#lateMs) this.#lateMs = lateMs;
  }

  /** A request was answered, or failed. */
  note(isAccepted: boolean, latencyMs: number): void {
    if (!isAccepted) this.#errors += 1;
    else {
      this.#now.addMs(latencyMs);
      this.#all.addMs(latencyMs);
    }
  }

  /** Tells the rest. */
  end(): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  #tell(): void {
    const tick: LoadTick = {
      sinceMs: performance.now() - this.#startedAtMs,
      ...{ offered: this.#offered, answered: this.#now.total, errors: this.#errors },
      ...{ waiting: this.#waiting(), lateMs: this.#lateMs },
      ...{ p50Ms: this.#now.percentileOrNull(0.5), p99Ms: this.#now.percentileOrNull(0.99) },
      ...{ allP50Ms: this.#all.percentileOrNull(0.5), allP99Ms: this.#all.percentileOrNull(0.99) },
    };
    process.send?.({ tick });
    this.#now = new Histogram();
    this.#offered = this.#errors = this.#lateMs = 0;
  }
}
