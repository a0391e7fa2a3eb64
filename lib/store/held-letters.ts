/**
 * Held letters: how they are taken up, and what becomes of them. All of it SQL on `dead_letters`, by Postgres's own clock.
 *
 *     held ─take─▶ under way ─┬─ stored ─▶ gone
 *                             ├─ refused, proven ─▶ dead
 *                             └─ refused otherwise ─▶ held, with a longer pause
 *
 * Taking a letter up sets its next try a minute ahead, so that a call that ends without a verdict leaves it held.
 */
import { and, eq, inArray, isNotNull, isNull, or, type SQL, sql } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { BREAKS } from "./letter.ts";
import { firstIdAt, hasNewestRows } from "./newest-rows.ts";
import { pauseAfter } from "./pause.ts";
import { ownColumnsOf } from "./stream-table.ts";

/** A held letter that is tried now. */
export interface HeldLetter {
  id: string;
  envelope: string;
  sqlstate: string | null;
  reason: string;
  /** Refusals so far. */
  tries: number;
  /** How long it has been held, in milliseconds. */
  heldForMs: number;
}

/** The verdict on a held letter that was refused again. */
export interface HeldVerdict {
  id: string;
  sqlstate: string | undefined;
  reason: string;
  isDead: boolean;
  /** Refusals by now. */
  tries: number;
}

/** A letter that may stop a whole statement, or the server: it is tried without company, after the others. */
const isTriedAlone = or(eq(deadLetters.reason, BREAKS), eq(deadLetters.sqlstate, "57014")) as SQL;

/** Makes the statements on held letters. Errors pass through; `postgres-errors.ts` reads them. */
export function createHeldLetters(db: Database, timeoutMs: number) {
  const bound = () => statementBound(db, timeoutMs);
  const isHeld = and(isNotNull(deadLetters.retryAt), isNull(deadLetters.redrivenAt));

  /**
   * Takes up to `limit` letters that are due, those that have waited longest first. No other call takes them for a minute; a page
   * that takes longer may be tried twice, and the primary key absorbs that.
   * `alone`: one of those that are tried without company. It counts a refusal already, because whoever tries it may not
   * come back; its `tries` say so.
   */
  async function takeHeld(stream: Stream, limit: number | "alone"): Promise<HeldLetter[]> {
    const isAlone = limit === "alone";
    const due = db
      .select({ id: deadLetters.id })
      .from(deadLetters)
      .where(
        and(
          eq(deadLetters.stream, stream.name),
          isHeld,
          sql`${deadLetters.retryAt} <= now()`,
          sql`coalesce(${isTriedAlone}, false) = ${isAlone}`,
        ),
      )
      .orderBy(deadLetters.retryAt)
      .limit(isAlone ? 1 : limit)
      .for("update", { skipLocked: true });
    const [, letters] = await db.batch([
      bound(),
      db
        .update(deadLetters)
        .set({
          retryAt: sql`now() + ${isAlone ? pauseAfter(sql`${deadLetters.tries} + 1`) : sql`interval '1 minute'`}`,
          ...(isAlone ? { tries: sql`${deadLetters.tries} + 1` } : {}),
        })
        // array(): a plan that runs the subquery more than once would take more than the limit.
        .where(and(eq(deadLetters.stream, stream.name), sql`${deadLetters.id} = any(array(${due}))`))
        .returning({
          id: deadLetters.id,
          envelope: deadLetters.envelope,
          sqlstate: deadLetters.sqlstate,
          reason: deadLetters.reason,
          tries: deadLetters.tries,
          heldForMs: sql<number>`(extract(epoch from now() - ${deadLetters.diedAt}) * 1000)::float8`,
        }),
    ]);
    return letters;
  }

  /** Notes what became of letters that were taken up: those of `storedIds` are gone. May be repeated. */
  async function settleHeld(
    stream: Stream,
    storedIds: readonly string[],
    refused: readonly HeldVerdict[],
  ): Promise<void> {
    const verdicts = JSON.stringify(
      refused.map(({ id, sqlstate, reason, isDead, tries }) => ({
        ...{ id, sqlstate, reason, tries, is_dead: isDead },
      })),
    );
    await db.batch([
      bound(),
      db
        .delete(deadLetters)
        .where(and(eq(deadLetters.stream, stream.name), isHeld, inArray(deadLetters.id, [...storedIds]))),
      db.execute(sql`
        update ${deadLetters} set
          tries = v.tries, sqlstate = v.sqlstate, reason = v.reason,
          retry_at = case when not v.is_dead then now() + ${pauseAfter(sql`v.tries`)} end,
          died_at = case when v.is_dead then now() else ${deadLetters.diedAt} end
        from json_to_recordset(${verdicts}::json) as v (id uuid, sqlstate text, reason text, tries integer, is_dead boolean)
        where ${deadLetters.stream} = ${stream.name} and ${deadLetters.id} = v.id and ${isHeld}`),
    ]);
  }

  /**
   * Makes held letters due at once: all of a stream, or those that were refused for one of `reasons`, but for the ids in
   * `except`. May be repeated.
   */
  async function hastenHeld(
    stream: string,
    only?: { reasons: readonly string[]; except: readonly string[] },
  ): Promise<void> {
    const { reasons, except } = only ?? { reasons: [], except: [] };
    await db.batch([
      bound(),
      db
        .update(deadLetters)
        .set({ retryAt: sql`now()` })
        .where(
          and(
            eq(deadLetters.stream, stream),
            isHeld,
            sql`${deadLetters.retryAt} > now()`,
            only && inArray(deadLetters.reason, [...reasons]),
            sql`${deadLetters.id} not in (select value::uuid from json_array_elements_text(${JSON.stringify(except)}::json))`,
          ),
        ),
    ]);
  }

  /** In how many milliseconds the next held letter of these streams is due, 0 at least; undefined: none is held. */
  async function nextHeldInMs(streams: readonly string[]): Promise<number | undefined> {
    const [, rows] = await db.batch([
      bound(),
      db
        .select({
          ms: sql<number | null>`(extract(epoch from min(${deadLetters.retryAt}) - now()) * 1000)::float8`,
        })
        .from(deadLetters)
        .where(and(isHeld, inArray(deadLetters.stream, [...streams]))),
    ]);
    const ms = rows[0]?.ms ?? undefined;
    return ms && Math.max(0, ms);
  }

  /**
   * Whether the table took a row within the last `ms` milliseconds but one minute: one that was received since, and whose id is a UUID of
   * version 7 made since, because that is a range of the primary key's index. It may miss rows, and finds none that is older; of a table
   * without these it knows nothing.
   */
  async function tookRowWithin(stream: Stream, ms: number): Promise<boolean> {
    const { id, receivedAt } = ownColumnsOf(stream);
    if (!hasNewestRows(stream)) return false;
    const since = sql`now() - (${ms}::float8 - 60000) * interval '1 ms'`;
    const [, { rows }] = await db.batch([
      bound(),
      db.execute(
        sql`select exists (select 1 from ${stream.table}
          where ${id} > ${firstIdAt(since)} and ${id} < ${firstIdAt(sql`now()`)} and ${receivedAt} > ${since}) as took`,
      ),
    ]);
    return (rows[0] as { took: boolean }).took;
  }

  return { tookRowWithin, takeHeld, settleHeld, hastenHeld, nextHeldInMs };
}
