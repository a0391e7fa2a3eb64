/**
 * The store: what drain and ingest do in Postgres. It inserts events, buries them, and finds them again.
 *
 * Every statement runs in one round trip under the bound of database.ts. Errors pass through; `postgres-errors.ts`
 * reads them.
 */
import { and, eq, fillPlaceholders, inArray, isNotNull, isNull, notExists, type SQL, sql } from "drizzle-orm";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { buryLetters } from "./bury.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { findDiffering } from "./differing.ts";
import { createHeldLetters } from "./held-letters.ts";
import { createIdCheck } from "./id-check.ts";
import { type IsolateOptions, isolateRows } from "./isolate.ts";
import type { Letter } from "./letter.ts";
import { PartSizes } from "./part-sizes.ts";
import { idOf } from "./stream-table.ts";

/** The live letters of a stream. */
export interface LetterCounts {
  dead: number;
  held: number;
  /** How long the oldest held one has been, in milliseconds. */
  heldForMs: number | null;
  /** The reason that most held ones have. */
  heldReason: string | null;
}

/** Where events are, by their ids. An id that is not in it is unknown to Postgres. */
export type Found = ReadonlyMap<string, "stored" | "dead">;

export type Store = ReturnType<typeof createStore>;

/** A live letter, held or dead: not redriven, and not stored since (a stored event wins). */
export const isLive = (stream: Stream): SQL | undefined =>
  and(
    eq(deadLetters.stream, stream.name),
    isNull(deadLetters.redrivenAt),
    notExists(sql`(select 1 from ${stream.table} where ${idOf(stream)} = ${deadLetters.id})`),
  );

/** Parameters up to which an insert's text is kept. */
const KEPT_MAX = 500;

/** Makes a store on an open database whose client gives up after `timeoutMs`. */
export function createStore(db: Database, timeoutMs: number) {
  const bound = () => statementBound(db, timeoutMs);
  const boundQuery = bound().getQuery();
  /**
   * Tries what `isolate` would do, and rolls it back: nothing is changed, but sequences may advance. Throws, too, what Postgres
   * says of the same insert without rows.
   */
  const trial = (stream: Stream, rows: readonly Row[]) =>
    isolateRows(db, timeoutMs, stream, rows, { isTrial: true });
  /** How many rows an insert may have, after one timed out. */
  const sizes = new PartSizes(timeoutMs);
  const checkIds = createIdCheck(trial);
  const inserts = new Map<string, { text: string; params: unknown[] }>();

  /** A stream's insert of rows in so many parameters, which Drizzle writes once, with a placeholder for each. */
  function insertOf(stream: Stream, count: number, isNaming: boolean) {
    const name = `${stream.name}:${count}:${isNaming}`;
    const known = inserts.get(name);
    if (known !== undefined) return known;
    const insert = db
      .insert(stream.table)
      .select(stream.recordset.select(Array.from({ length: count }, (_, i) => sql.placeholder(String(i)))))
      .onConflictDoNothing({ target: idOf(stream) });
    const id = sql<string>`${idOf(stream)}::text`.as("id");
    const { sql: text, params } = isNaming ? insert.returning({ id }).toSQL() : insert.toSQL();
    const made = { text, params };
    if (count <= KEPT_MAX) inserts.set(name, made);
    return made;
  }

  /**
   * Inserts rows in their order with one statement, and returns how many were new, or with `isNaming` the ids of those (that takes
   * a third longer): a row whose id is there already is left as it is. All or nothing. May be repeated. Throws OtherIds if the table
   * changes their ids.
   */
  async function insert(
    stream: Stream,
    rows: readonly Row[],
    { isNaming = false } = {},
  ): Promise<number | ReadonlySet<string>> {
    await checkIds(stream, rows);
    const { query, transaction } = db.$client;
    const parameters = stream.recordset.parametersOf(rows.map(({ json }) => json));
    const { text, params } = insertOf(stream, parameters.length, isNaming);
    const given = fillPlaceholders(params, { ...parameters });
    const [, result] = await transaction([query(boundQuery.sql, boundQuery.params), query(text, given)], {
      fullResults: true,
    });
    if (!isNaming) return result?.rowCount ?? 0;
    return new Set((result?.rows as { id: string }[] | undefined)?.map(({ id }) => id));
  }

  /** Runs the same statement without rows: if that is refused too, no row is at fault. */
  const probe = (stream: Stream): Promise<unknown> => insert(stream, []);

  /** Asks whether Postgres answers at all. */
  const ping = async (): Promise<void> => {
    await db.batch([bound(), db.execute(sql`select 1`)]);
  };

  const storedAmong = (stream: Stream, ids: readonly string[]) =>
    db
      .select({ id: sql<string>`${idOf(stream)}::text` })
      .from(stream.table)
      .where(inArray(idOf(stream), [...ids]));

  const deadLettersAmong = (stream: Stream, ids: readonly string[]) =>
    db
      .select({ id: deadLetters.id })
      .from(deadLetters)
      .where(and(inArray(deadLetters.id, [...ids]), isNull(deadLetters.retryAt), isLive(stream)));

  /** The ids among these that are stored. */
  async function present(stream: Stream, ids: readonly string[]): Promise<Set<string>> {
    const [, rows] = await db.batch([bound(), storedAmong(stream, ids)]);
    return new Set(rows.map(({ id }) => id));
  }

  /** See `findDiffering`. */
  const differing = (stream: Stream, rows: readonly Row[]) => findDiffering(db, timeoutMs, stream, rows);

  /**
   * Inserts rows one by one, each in a subtransaction, with one round trip, and returns each one's verdict in their order.
   * Throws what Postgres says of the whole: an answer of the server's (busy, locked, no answer) rolls everything back.
   */
  const isolate = (stream: Stream, rows: readonly Row[], options: IsolateOptions = {}) =>
    isolateRows(db, timeoutMs, stream, rows, options);

  /**
   * Sets events aside that are not stored, held or dead. A letter that is there already changes only if the event was buried
   * once more since (after a redrive). May be repeated.
   */
  const bury = (stream: Stream, letters: readonly Letter[]) => buryLetters(db, timeoutMs, stream, letters);

  /** Finds events by their ids; stored wins over dead. Held ones, and those still buffered, are not found. */
  async function find(stream: Stream, ids: readonly string[]): Promise<Found> {
    const [, stored, dead] = await db.batch([
      bound(),
      storedAmong(stream, ids),
      deadLettersAmong(stream, ids),
    ]);
    return new Map([
      ...dead.map(({ id }) => [id, "dead"] as const),
      ...stored.map(({ id }) => [id, "stored"] as const),
    ]);
  }

  /** The ids among these that are live dead letters. */
  async function deadAmong(stream: Stream, ids: readonly string[]): Promise<Set<string>> {
    const [, rows] = await db.batch([bound(), deadLettersAmong(stream, ids)]);
    return new Set(rows.map(({ id }) => id));
  }

  /** How many letters of a stream are dead and wait for somebody to look, and how many are held, and why. */
  async function countLetters(stream: Stream): Promise<LetterCounts> {
    const [, rows] = await db.batch([
      bound(),
      db
        .select({
          dead: sql<number>`(count(*) filter (where ${isNull(deadLetters.retryAt)}))::int`,
          held: sql<number>`(count(*) filter (where ${isNotNull(deadLetters.retryAt)}))::int`,
          heldForMs: sql<
            number | null
          >`(extract(epoch from now() - min(${deadLetters.diedAt}) filter (where ${isNotNull(deadLetters.retryAt)})) * 1000)::float8`,
          heldReason: sql<
            string | null
          >`mode() within group (order by ${deadLetters.reason}) filter (where ${isNotNull(deadLetters.retryAt)})`,
        })
        .from(deadLetters)
        .where(isLive(stream)),
    ]);
    return rows[0] ?? { dead: 0, held: 0, heldForMs: null, heldReason: null };
  }

  const held = createHeldLetters(db, timeoutMs);
  return {
    sizes,
    insert,
    probe,
    ping,
    present,
    differing,
    isolate,
    trial,
    bury,
    find,
    deadAmong,
    countLetters,
    ...held,
  };
}
