/**
 * How many events the drain of this process has newly stored, in quarters of an hour, for 26 hours: so a page can say what was stored today,
 * in its own time zone, without asking anybody. What was stored while answering is not in it, because ingest tells nobody.
 */
import type { LiveStoredSoFar } from "../contract/live.ts";
import { LIVE_COUNTED_MS, LIVE_QUARTER_MS } from "../contract/live-bounds.ts";
import type { LiveHappening } from "../contract/live-history.ts";
import { isInternal } from "../schema/registry.ts";

export class LiveStoredCounts {
  readonly #now: () => number;
  readonly #sinceMs: number;
  /** By the number of the quarter since 1970. */
  readonly #quarters = new Map<number, number>();

  /** `now`: the wall clock, because days go by it. */
  constructor(now: () => number) {
    this.#now = now;
    this.#sinceMs = now();
  }

  /** Adds what became of a batch, or of letters that were tried again. */
  add(happening: LiveHappening): void {
    if (happening.kind !== "batch" && happening.kind !== "retried") return;
    if (happening.stored === 0 || isInternal(happening.stream)) return;
    const quarter = Math.floor(this.#now() / LIVE_QUARTER_MS);
    const before = this.#quarters.get(quarter);
    if (before === undefined) this.#forget(quarter);
    this.#quarters.set(quarter, (before ?? 0) + happening.stored);
  }

  /** The counts. */
  report(): LiveStoredSoFar {
    const nowMs = this.#now();
    this.#forget(Math.floor(nowMs / LIVE_QUARTER_MS));
    return {
      sinceAt: new Date(Math.max(this.#sinceMs, nowMs - LIVE_COUNTED_MS)).toISOString(),
      quarters: [...this.#quarters].map(([quarter, stored]) => ({
        at: new Date(quarter * LIVE_QUARTER_MS).toISOString(),
        stored,
      })),
    };
  }

  #forget(quarter: number): void {
    const oldest = quarter - LIVE_COUNTED_MS / LIVE_QUARTER_MS;
    for (const one of this.#quarters.keys()) if (one < oldest) this.#quarters.delete(one);
  }
}
