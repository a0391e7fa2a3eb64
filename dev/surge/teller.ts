/** Makes a line of each second of a load: what the generator says, with what Postgres and Redis show. The lines come in order. */
import type { SurgeLine, SurgeSecond } from "../../lib/contract/surge.ts";
import type { LoadTick } from "../load/load-job.ts";
import type { Place } from "./place.ts";
import type { Target } from "./targets.ts";
import { Watch } from "./watch.ts";

type Of = Pick<SurgeSecond, "target" | "part">;

const QUIET = {
  ...{ offered: 0, answered: 0, errors: 0, waiting: 0, lateMs: 0, sinceMs: 0 },
  ...{ p50Ms: null, p99Ms: null, allP50Ms: null, allP99Ms: null },
} satisfies LoadTick;

export class Teller {
  readonly #watch: Watch;
  readonly #of: Of;
  readonly #say: (line: SurgeLine) => void;
  #told: Promise<void> = Promise.resolve();
  #second = 0;

  constructor(place: Place, { name }: Target, of: Of, say: (line: SurgeLine) => void) {
    this.#watch = new Watch(place, name);
    this.#of = of;
    this.#say = say;
  }

  /** Tells a second, as soon as the one before was told. */
  tell(tick: LoadTick, rate: number): void {
    this.#second += 1;
    const second = this.#second;
    this.#told = this.#told.then(async () =>
      this.#say({ ...this.#lineOf(tick, rate, second), ...(await this.#watch.lookSoon()) }),
    );
  }

  /** Tells a second in which nothing is offered, and returns what waits. */
  async tellQuiet(): Promise<number> {
    this.#second += 1;
    const seen = await this.#watch.look();
    this.#say({ ...this.#lineOf(QUIET, 0, this.#second), ...seen });
    return seen.waiting;
  }

  /** What waits. */
  async countWaiting(): Promise<number> {
    return (await this.#watch.look()).waiting;
  }

  /** Resolves when all is told. */
  end(): Promise<void> {
    return this.#told;
  }

  #lineOf(tick: LoadTick, rate: number, second: number) {
    const { sinceMs: _sinceMs, waiting: unanswered, ...figures } = tick;
    return { kind: "second", ...this.#of, second, rate, ...figures, unanswered } as const;
  }
}
