/**
 * The dead-letter store: how people read, redrive and delete dead letters, all of it SQL on `dead_letters`.
 * Burying is in bury.ts, and the rule for which letters still need attention in store.ts.
 *
 * Timestamps are text here, RFC 3339 in UTC with microseconds: a JavaScript date would round the `died_at` by which a
 * redrive recognises the burial it read. Errors pass through; `postgres-errors.ts` reads them.
 */
import { and, asc, eq, inArray, isNotNull, isNull, not, or, type SQL, sql } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";
import type { Registry } from "../schema/registry.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { type Comparison, createLetterComparison, type NotCompared } from "./letter-comparison.ts";
import { isLive } from "./store.ts";

/** Which letters. An empty list asks for nothing in particular. */
export interface LetterFilter {
  streams: readonly string[];
  /** Null: letters that it was not Postgres that refused. */
  sqlstates: readonly (string | null)[];
  ids: readonly string[];
  /** Died at or after this, RFC 3339. */
  since: string | undefined;
  /** Died before this, RFC 3339. */
  until: string | undefined;
  /** Only those that are held, or only those that are dead; undefined: both. */
  state?: "held" | "dead" | undefined;
  /** Also letters that need no attention: redriven, or stored since. */
  isAll: boolean;
}

/** One letter as it was read. */
export interface DeadLetter {
  stream: string;
  id: string;
  envelope: string;
  sqlstate: string | null;
  reason: string;
  burials: number;
  receivedAt: string | null;
  diedAt: string;
  redrivenAt: string | null;
  isLive: boolean;
  /** Whether it is tried again by itself, and when. */
  retryAt: string | null;
  /** Why it was not compared with its stream's table, so that its event may be stored; null: it was. */
  notCompared: string | null;
}

/** Letters that died alike. */
export interface LetterGroup {
  stream: string;
  sqlstate: string | null;
  reason: string;
  isHeld: boolean;
  letters: number;
  live: number;
  firstDiedAt: string;
  lastDiedAt: string;
  exampleId: string;
  /** Why they were not compared with their stream's table, so that some may be stored; null: they were. */
  notCompared: string | null;
}

/** How many letters a filter finds, and how many of them are live. */
export interface LetterCount {
  letters: number;
  live: number;
  /** Streams whose letters all count as live, because they were not compared with their table. */
  notCompared: readonly NotCompared[];
}

/** Where a page begins: after this letter. */
export type Cursor = Pick<DeadLetter, "stream" | "id" | "diedAt">;

export type DeadLetterStore = ReturnType<typeof createDeadLetterStore>;

/** Makes a dead-letter store on an open database whose client gives up after `timeoutMs`. */
export function createDeadLetterStore(db: Database, streams: Registry, timeoutMs: number) {
  const bound = () => statementBound(db, timeoutMs);

  const compared = createLetterComparison({ db, timeoutMs, isLiveOf: isLive });

  /** Runs a statement that compares the letters that are asked for with the tables of their streams, and with no others. */
  const withLive = <T>({ streams: asked }: LetterFilter, run: (comparison: Comparison) => Promise<T>) =>
    compared(
      [...streams.values()].filter(({ name }) => asked.length === 0 || asked.includes(name)),
      run,
    );

  const matching = (filter: LetterFilter, { isLive: live }: Comparison): SQL | undefined =>
    and(
      filter.streams.length > 0 ? inArray(deadLetters.stream, [...filter.streams]) : undefined,
      filter.ids.length > 0 ? inArray(deadLetters.id, [...filter.ids]) : undefined,
      sqlstateIn(filter.sqlstates),
      filter.since === undefined ? undefined : sql`${deadLetters.diedAt} >= ${filter.since}::timestamptz`,
      filter.until === undefined ? undefined : sql`${deadLetters.diedAt} < ${filter.until}::timestamptz`,
      filter.state === "held" ? isHeld : filter.state === "dead" ? not(isHeld) : undefined,
      filter.isAll ? undefined : live,
    );

  /** Postgres's own clock, by which letters die. */
  async function now(): Promise<string> {
    const [, { rows }] = await db.batch([
      bound(),
      db.execute(sql`select ${exactly<string>(sql`now()`)} as now`),
    ]);
    return (rows[0] as { now: string }).now;
  }

  /** Groups letters by stream, SQLSTATE and reason, the largest group first. */
  const group = (filter: LetterFilter, limit: number): Promise<LetterGroup[]> =>
    withLive(filter, async (comparison) => {
      const letters = sql<number>`count(*)::int`;
      const [, groups] = await db.batch([
        bound(),
        db
          .select({
            stream: deadLetters.stream,
            sqlstate: deadLetters.sqlstate,
            reason: deadLetters.reason,
            isHeld: sql<boolean>`${isHeld}`,
            letters,
            live: sql<number>`(count(*) filter (where ${comparison.isLive}))::int`,
            firstDiedAt: exactly<string>(sql`min(${deadLetters.diedAt})`),
            lastDiedAt: exactly<string>(sql`max(${deadLetters.diedAt})`),
            exampleId: sql<string>`max(${deadLetters.id}::text)`,
          })
          .from(deadLetters)
          .where(matching(filter, comparison))
          .groupBy(deadLetters.stream, deadLetters.sqlstate, deadLetters.reason, sql`${isHeld}`)
          .orderBy(sql`${letters} desc`, asc(deadLetters.stream), asc(deadLetters.reason))
          .limit(limit),
      ]);
      return groups.map((one) => ({ ...one, notCompared: comparison.whyNot(one.stream) }));
    });

  /** Runs a statement that returns letters with `is_live`, and counts them. */
  const countLetters = (filter: LetterFilter, letters: (comparison: Comparison) => SQL) =>
    withLive(filter, async (comparison): Promise<LetterCount> => {
      const [, { rows }] = await db.batch([bound(), db.execute(countOf(letters(comparison)))]);
      const counts = rows[0] as unknown as Omit<LetterCount, "notCompared">;
      return { ...counts, notCompared: comparison.notCompared };
    });

  /** Counts the letters that a purge under the same terms would delete. */
  const count = (filter: LetterFilter, limit: number | undefined): Promise<LetterCount> =>
    countLetters(
      filter,
      (comparison) => sql`select ${comparison.isLive} as is_live from ${deadLetters}
        where ${matching(filter, comparison) ?? sql`true`} limit ${limit ?? null}`,
    );

  /** Reads letters with their envelopes, those that died first first. */
  const read = (filter: LetterFilter, limit: number, after?: Cursor): Promise<DeadLetter[]> =>
    withLive(filter, async (comparison) => {
      const { stream, id, diedAt } = deadLetters;
      const [, letters] = await db.batch([
        bound(),
        db
          .select({
            stream,
            id,
            envelope: deadLetters.envelope,
            sqlstate: deadLetters.sqlstate,
            reason: deadLetters.reason,
            burials: deadLetters.burials,
            receivedAt: exactly<string | null>(deadLetters.receivedAt),
            diedAt: exactly<string>(diedAt),
            redrivenAt: exactly<string | null>(deadLetters.redrivenAt),
            retryAt: exactly<string | null>(deadLetters.retryAt),
            isLive: sql<boolean>`${comparison.isLive}`,
          })
          .from(deadLetters)
          .where(
            and(
              matching(filter, comparison),
              after &&
                sql`(${diedAt}, ${stream}, ${id}) > (${after.diedAt}::timestamptz, ${after.stream}, ${after.id}::uuid)`,
            ),
          )
          .orderBy(asc(diedAt), asc(stream), asc(id))
          .limit(limit),
      ]);
      return letters.map((letter) => ({ ...letter, notCompared: comparison.whyNot(letter.stream) }));
    });

  /**
   * Marks letters of one stream as redriven, each only if it is still the burial that was read: one that was buried
   * again since must stay visible. Returns the ids that were marked. May be repeated.
   */
  async function markRedriven(
    stream: string,
    letters: readonly Pick<DeadLetter, "id" | "diedAt">[],
  ): Promise<Set<string>> {
    const read = JSON.stringify(letters.map(({ id, diedAt }) => ({ id, died_at: diedAt })));
    const [, marked] = await db.batch([
      bound(),
      db
        .update(deadLetters)
        .set({ redrivenAt: sql`now()`, retryAt: null })
        .where(
          and(
            eq(deadLetters.stream, stream),
            sql`(${deadLetters.id}, ${deadLetters.diedAt}) in
              (select id, died_at from json_to_recordset(${read}::json) as x(id uuid, died_at timestamptz))`,
          ),
        )
        .returning({ id: deadLetters.id }),
    ]);
    return new Set(marked.map(({ id }) => id));
  }

  /** Deletes letters, all or nothing, and says how many of them were live: those events are lost. */
  const purge = (filter: LetterFilter, limit: number | undefined): Promise<LetterCount> =>
    countLetters(filter, (comparison) => {
      const matches = matching(filter, comparison) ?? sql`true`;
      // The filter stands twice: a letter that changed since the inner select must still match when it is deleted.
      const isChosen =
        limit === undefined
          ? sql`true`
          : sql`(${deadLetters.stream}, ${deadLetters.id}) in
              (select stream, id from ${deadLetters} where ${matches} order by died_at, stream, id limit ${limit})`;
      return sql`delete from ${deadLetters} where ${matches} and ${isChosen} returning ${comparison.isLive} as is_live`;
    });

  return { now, group, count, read, markRedriven, purge };
}

/** It is tried again by itself, because nothing proves yet that its event is at fault. */
const isHeld = isNotNull(deadLetters.retryAt);

/** A timestamp as RFC 3339 in UTC with all its microseconds. */
const exactly = <T>(timestamp: PgColumn | SQL) =>
  sql<T>`to_char(${timestamp} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** Counts the rows of a statement, and those whose `is_live` is true. */
const countOf = (letters: SQL) =>
  sql`with found as (${letters})
    select count(*)::int as letters, (count(*) filter (where is_live))::int as live from found`;

function sqlstateIn(sqlstates: readonly (string | null)[]): SQL | undefined {
  if (sqlstates.length === 0) return undefined;
  const codes = sqlstates.filter((code) => code !== null);
  return or(
    codes.length > 0 ? inArray(deadLetters.sqlstate, codes) : undefined,
    codes.length < sqlstates.length ? isNull(deadLetters.sqlstate) : undefined,
  );
}
