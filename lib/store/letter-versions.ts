/** Counts letters by the version of their data, which stands at the head of their envelopes. */
import { type SQL, sql } from "drizzle-orm";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";

/** Longer than the head up to the version: Postgres needs not unpack the whole envelope. */
const HEAD_LENGTH = 20;

/** How many of the letters that fulfil a condition have which version. A letter whose text is not an envelope has none. */
export async function countLetterVersions(
  db: Database,
  timeoutMs: number,
  condition: SQL | undefined,
): Promise<ReadonlyMap<number, number>> {
  const head = sql`substr(${deadLetters.envelope}, 1, ${HEAD_LENGTH})`;
  const v = sql<number | null>`substring(${head} from '^\{"v":([1-9][0-9]{0,8}),')::int`;
  const [, rows] = await db.batch([
    statementBound(db, timeoutMs),
    db.select({ v, letters: sql<number>`count(*)::int` }).from(deadLetters).where(condition).groupBy(sql`1`),
  ]);
  return new Map(rows.flatMap(({ v: version, letters }) => (version === null ? [] : [[version, letters]])));
}
