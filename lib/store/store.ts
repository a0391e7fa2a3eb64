/**
 * The store: what drain and ingest do in Postgres. It inserts events, buries them, and finds them again.
 *
 * Every statement runs in one round trip under the bound of database.ts. Errors pass through; `postgres-errors.ts`
 * reads them.
 */
import { and, count, eq, inArray, isNull, notExists, type SQL, sql } from "drizzle-orm";
import { makeRecordset } from "../schema/insert-from-json.ts";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { type IsolateOptions, isolateRows } from "./isolate.ts";
import { idOf } from "./stream-table.ts";

/** One event that is to be buried. */
export interface Letter {
  stream: string;
  id: string;
  envelope: string;
  sqlstate: string | undefined;
  reason: string;
  /** How many times this event became a dead letter, this time included. */
  burials: number;
  receivedAt: string | undefined;
}

export type Whereabouts = "stored" | "dead" | "unknown";

export type Store = ReturnType<typeof createStore>;

/** A live letter: not redriven, and not stored since (a stored event wins). */
export const isLive = (stream: Stream): SQL | undefined =>
  and(
    eq(deadLetters.stream, stream.name),
    isNull(deadLetters.redrivenAt),
    notExists(sql`(select 1 from ${stream.table} where ${idOf(stream)} = ${deadLetters.id})`),
  );

const letterRecordset = makeRecordset(deadLetters);

/** Stands for a parameter that carries rows, in an insert that is written once. */
const ROWS = "[rows]";
/** Parameters up to which an insert's text is kept. */
const KEPT_MAX = 500;

/** Makes a store on an open database whose client gives up after `timeoutMs`. */
export function createStore(db: Database, timeoutMs: number) {
  const bound = () => statementBound(db, timeoutMs);
  const boundQuery = bound().getQuery();
  const inserts = new Map<string, { text: string; params: unknown[] }>();

  /** A stream's insert of rows in so many parameters, which Drizzle writes once, with ROWS in place of each. */
  function insertOf(stream: Stream, count: number) {
    const name = `${stream.name}:${count}`;
    const known = inserts.get(name);
    if (known !== undefined) return known;
    const insert = db
      .insert(stream.table)
      .select(stream.recordset.select(Array<string>(count).fill(ROWS)))
      .onConflictDoNothing({ target: idOf(stream) });
    const { sql: text, params } = insert.toSQL();
    const made = { text, params };
    if (count <= KEPT_MAX) inserts.set(name, made);
    return made;
  }

  /**
   * Inserts rows in their order with one statement, and returns how many were new: a row whose id is there
   * already is left as it is. All or nothing. May be repeated.
   */
  async function insert(stream: Stream, rows: readonly Row[]): Promise<number> {
    const { query, transaction } = db.$client;
    const parameters = stream.recordset.parametersOf(rows.map(({ json }) => json));
    const { text, params } = insertOf(stream, parameters.length);
    let at = 0;
    const given = params.map((param) => (param === ROWS ? parameters[at++] : param));
    const [, result] = await transaction([query(boundQuery.sql, boundQuery.params), query(text, given)], {
      fullResults: true,
    });
    return result?.rowCount ?? 0;
  }

  /** Runs the same statement without rows: if that is refused too, no row is at fault. */
  const probe = (stream: Stream): Promise<number> => insert(stream, []);

  /** Asks whether Postgres answers at all. */
  const ping = async (): Promise<void> => {
    await db.batch([bound(), db.execute(sql`select 1`)]);
  };

  /** The ids among these that are stored. */
  async function present(stream: Stream, ids: readonly string[]): Promise<Set<string>> {
    const [, rows] = await db.batch([
      bound(),
      db
        .select({ id: sql<string>`${idOf(stream)}::text` })
        .from(stream.table)
        .where(inArray(idOf(stream), [...ids])),
    ]);
    return new Set(rows.map(({ id }) => id));
  }

  /**
   * Inserts rows one by one, each in a subtransaction, with one round trip, and returns each one's verdict in their order.
   * Throws what Postgres says of the whole: an answer of the server's (busy, locked, no answer) rolls everything back.
   */
  const isolate = (stream: Stream, rows: readonly Row[], options: IsolateOptions = {}) =>
    isolateRows(db, timeoutMs, stream, rows, options);

  /**
   * Buries events that are not stored. A letter that is there already changes only if the event was buried once more
   * since (after a redrive); then it waits to be looked at again. May be repeated.
   */
  async function bury(stream: Stream, letters: readonly Letter[]): Promise<void> {
    // Of copies of one event in one batch, the one with most burials, else the first.
    const byId = new Map<string, Letter>();
    for (const letter of letters)
      if (letter.burials > (byId.get(letter.id)?.burials ?? 0)) byId.set(letter.id, letter);
    const records = [...byId.values()].map((letter) =>
      JSON.stringify({
        ...letter,
        // Text that Postgres can hold, whatever somebody may have pushed into the list.
        envelope: letter.envelope.replaceAll("\0", "\ufffd").toWellFormed(),
        redrivenAt: null,
      }),
    );
    const { select, parametersOf } = letterRecordset;
    await db.batch([
      bound(),
      db
        .insert(deadLetters)
        .select(
          sql`${select(parametersOf(records))} where not exists (select 1 from ${stream.table} where ${idOf(stream)} = x.id)`,
        )
        .onConflictDoUpdate({
          target: [deadLetters.stream, deadLetters.id],
          set: {
            envelope: sql`excluded.envelope`,
            sqlstate: sql`excluded.sqlstate`,
            reason: sql`excluded.reason`,
            burials: sql`excluded.burials`,
            diedAt: sql`excluded.died_at`,
            redrivenAt: null,
          },
          setWhere: sql`${deadLetters.burials} < excluded.burials`,
        }),
    ]);
  }

  /** Where an event is, as far as Postgres knows. */
  async function find(stream: Stream, id: string): Promise<Whereabouts> {
    const [, stored, dead] = await db.batch([
      bound(),
      db
        .select({ id: idOf(stream) })
        .from(stream.table)
        .where(eq(idOf(stream), id)),
      db
        .select({ id: deadLetters.id })
        .from(deadLetters)
        .where(and(eq(deadLetters.id, id), isLive(stream))),
    ]);
    if (stored.length > 0) return "stored";
    return dead.length > 0 ? "dead" : "unknown";
  }

  /** How many dead letters of a stream wait for somebody to look. */
  async function countDeadLetters(stream: Stream): Promise<number> {
    const [, rows] = await db.batch([
      bound(),
      db.select({ n: count() }).from(deadLetters).where(isLive(stream)),
    ]);
    return rows[0]?.n ?? 0;
  }

  return { insert, probe, ping, present, isolate, bury, find, countDeadLetters };
}
