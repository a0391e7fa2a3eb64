/**
 * Prunes: deletes letters that were settled long ago, and old rows of `spillway_usage`. It deletes a thousand rows a statement, so that no
 * statement is long, and stops at a deadline; the rest is left for the next time. A live or held letter is never deleted.
 */
import type { OldLetters } from "../store/old-letters.ts";
import type { UsageStore } from "../store/usage-store.ts";

/** Rows of one statement. */
const ROWS_MAX = 1000;

/** How old it must be, in days; 0: it is kept for ever. */
export interface PruneAges {
  lettersDays: number;
  usageDays: number;
}

export interface PruneReport {
  /** Letters that were deleted, or would be. */
  letters: number;
  /** The same of rows of `spillway_usage`. */
  usage: number;
  /** Whether nothing that is old enough is left. */
  isDone: boolean;
  isDryRun: boolean;
}

export interface PruneDeps {
  letters: OldLetters;
  usage: Pick<UsageStore, "countOld" | "deleteOld">;
  /** A clock that is never set back. */
  monotonicMs: () => number;
}

/** Counts what a prune would delete. Throws what the stores throw. */
export async function previewPrune({ letters, usage }: PruneDeps, ages: PruneAges): Promise<PruneReport> {
  const { lettersDays, usageDays } = ages;
  return {
    letters: lettersDays > 0 ? await letters.countOld(lettersDays) : 0,
    usage: usageDays > 0 ? await usage.countOld(usageDays) : 0,
    isDone: false,
    isDryRun: true,
  };
}

/** Deletes what is old, for `withinMs` at most; the statement that is running then is the last. May be repeated. Throws what the stores throw. */
export async function prune(deps: PruneDeps, ages: PruneAges, withinMs: number): Promise<PruneReport> {
  const deadlineAtMs = deps.monotonicMs() + withinMs;
  const letters = await deleteAll(deps, deps.letters, ages.lettersDays, deadlineAtMs);
  const usage = await deleteAll(deps, deps.usage, ages.usageDays, deadlineAtMs);
  const isDone = letters.isDone && usage.isDone;
  return { letters: letters.count, usage: usage.count, isDone, isDryRun: false };
}

async function deleteAll(
  { monotonicMs }: PruneDeps,
  store: Pick<OldLetters, "deleteOld">,
  days: number,
  deadlineAtMs: number,
): Promise<{ count: number; isDone: boolean }> {
  if (days === 0) return { count: 0, isDone: true };
  for (let count = 0; ; ) {
    if (monotonicMs() >= deadlineAtMs) return { count, isDone: false };
    const deleted = await store.deleteOld(days, ROWS_MAX);
    count += deleted;
    if (deleted < ROWS_MAX) return { count, isDone: true };
  }
}
