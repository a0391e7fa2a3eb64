/** Counts the letters of a stream that wait for something. */
import { and, eq, isNotNull, isNull, sql } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import type { Comparison } from "./letter-comparison.ts";

/** The live letters of a stream. */
export interface LetterCounts {
  dead: number;
  held: number;
  /** How long the oldest held one has been, in milliseconds. */
  heldForMs: number | null;
  /** The reason that most held ones have. */
  heldReason: string | null;
  /** Why they were not compared with the stream's table, so that some may be stored; null: they were. */
  notCompared: string | null;
}

const isHeld = isNotNull(deadLetters.retryAt);

/** The streams among these that have letters which were not redriven: a look into the primary key for each. */
export async function findStreamsWithLetters(
  db: Database,
  timeoutMs: number,
  names: readonly string[],
): Promise<string[]> {
  const [, { rows }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(sql`select name from unnest(${sql.param(names)}::text[]) as name
      where exists (select from ${deadLetters} where ${deadLetters.stream} = name and ${isNull(deadLetters.redrivenAt)})`),
  ]);
  return rows.map(({ name }) => name as string);
}

/** Counts the letters of a stream that are dead and wait for somebody to look, and those that are held, and why. */
export async function countLettersOf(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  { isLive, whyNot }: Comparison,
): Promise<LetterCounts> {
  const [, rows] = await db.batch([
    statementBound(db, timeoutMs),
    db
      .select({
        dead: sql<number>`(count(*) filter (where ${isNull(deadLetters.retryAt)}))::int`,
        held: sql<number>`(count(*) filter (where ${isHeld}))::int`,
        heldForMs: sql<
          number | null
        >`(extract(epoch from now() - min(${deadLetters.diedAt}) filter (where ${isHeld})) * 1000)::float8`,
        heldReason: sql<
          string | null
        >`mode() within group (order by ${deadLetters.reason}) filter (where ${isHeld})`,
      })
      .from(deadLetters)
      .where(and(eq(deadLetters.stream, stream.name), isLive)),
  ]);
  const counts = rows[0] ?? { dead: 0, held: 0, heldForMs: null, heldReason: null };
  return { ...counts, notCompared: whyNot(stream.name) };
}
