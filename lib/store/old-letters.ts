/**
 * Finds and deletes letters that nobody needs any more: they were redriven, or their event is stored, long ago. A letter that is live or
 * held is never among them, nor one that could not be compared with its stream's table.
 */
import { and, isNull, not, type SQL, sql } from "drizzle-orm";
import type { Registry } from "../schema/registry.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { createLetterComparison } from "./letter-comparison.ts";
import { isLive } from "./store.ts";

export type OldLetters = ReturnType<typeof createOldLetters>;

/** Makes it on an open database whose client gives up after `timeoutMs`. */
export function createOldLetters(db: Database, streams: Registry, timeoutMs: number) {
  const compared = createLetterComparison({ db, timeoutMs, isLiveOf: isLive });

  /** Runs a statement on letters that were settled so many days ago, by Postgres's clock, and returns the number that it gives. */
  const withOld = (days: number, statement: (isOld: SQL) => SQL): Promise<number> =>
    compared([...streams.values()], async ({ isLive: live }) => {
      const lastAt = sql`greatest(${deadLetters.diedAt}, ${deadLetters.redrivenAt})`;
      const isLongAgo = sql`${lastAt} < now() - ${days}::float8 * interval '1 day'`;
      const isOld = and(isLongAgo, isNull(deadLetters.retryAt), not(live)) as SQL;
      const [, { rows }] = await db.batch([statementBound(db, timeoutMs), db.execute(statement(isOld))]);
      return (rows[0] as { n: number }).n;
    });

  /** Counts them. */
  const countOld = (days: number): Promise<number> =>
    withOld(days, (isOld) => sql`select count(*)::int as n from ${deadLetters} where ${isOld}`);

  /** Deletes them, `limit` at most, in one statement. Returns how many. May be repeated. */
  const deleteOld = (days: number, limit: number): Promise<number> =>
    // The condition stands twice: a letter that changed since the inner select must still fulfil it when it is deleted.
    withOld(
      days,
      (isOld) => sql`with gone as (delete from ${deadLetters} where ${isOld} and (stream, id) in
        (select stream, id from ${deadLetters} where ${isOld} limit ${limit}) returning 1)
        select count(*)::int as n from gone`,
    );

  return { countOld, deleteOld };
}
