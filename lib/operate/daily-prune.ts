/**
 * Prunes once a day, in a tick that has reached Postgres anyway, so that an idle database is not woken. Redis remembers the day; beside
 * that, a process asks once an hour at most.
 */
import type { PruneTurn } from "../buffer/prune-turn.ts";
import { describeError, type Log } from "../log.ts";
import { type PruneAges, type PruneDeps, prune } from "./prune.ts";

const ASK_EVERY_MS = 3_600_000;
/** How long a tick may take longer for it, in milliseconds. */
const WITHIN_MS = 5000;
/** When the next part of a long prune comes, in milliseconds. */
const NEXT_PART_MS = 60_000;

interface Deps extends PruneDeps {
  turn: PruneTurn;
  ages: PruneAges;
  log: Log;
}

/** Makes the daily prune. It never throws: a failure is logged, and the next try is an hour later. */
export function createDailyPrune(deps: Deps): () => Promise<void> {
  const { turn, ages, monotonicMs, log } = deps;
  let nextAtMs = ages.lettersDays + ages.usageDays > 0 ? 0 : Number.POSITIVE_INFINITY;

  async function run(): Promise<void> {
    if (!(await turn.take())) return;
    try {
      const { letters, usage, isDone } = await prune(deps, ages, WITHIN_MS);
      log.info("prune.finished", { letters, usage, isDone });
      if (isDone) return;
      nextAtMs = monotonicMs() + NEXT_PART_MS;
      await turn.comeAgain(NEXT_PART_MS);
    } catch (error) {
      await turn.comeAgain(ASK_EVERY_MS);
      throw error;
    }
  }

  return async () => {
    if (monotonicMs() < nextAtMs) return;
    nextAtMs = monotonicMs() + ASK_EVERY_MS;
    await run().catch((error: unknown) => log.warn("prune.failed", describeError(error)));
  };
}
