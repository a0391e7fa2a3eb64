/**
 * The store: what drain and ingest do in Postgres. It inserts events, buries them, and finds them again.
 *
 * Every statement runs in one round trip under the bound of database.ts. Errors pass through; `postgres-errors.ts`
 * reads them.
 */
import { and, eq, inArray, isNull, not, type SQL, sql } from "drizzle-orm";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { buryLetters } from "./bury.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { findDiffering } from "./differing.ts";
import { findSettled } from "./find-settled.ts";
import { createHeldLetters } from "./held-letters.ts";
import { createInsert } from "./insert.ts";
import { InsertTimes } from "./insert-times.ts";
import { isStored } from "./is-stored.ts";
import { type IsolateOptions, isolateRows } from "./isolate.ts";
import { createKeyCheck } from "./key-check.ts";
import type { Letter } from "./letter.ts";
import { createLetterComparison } from "./letter-comparison.ts";
import { countLettersOf, findStreamsWithLetters } from "./letter-counts.ts";
import { countLetterVersions } from "./letter-versions.ts";
import { findNewestRows } from "./newest-rows.ts";
import { PartSizes } from "./part-sizes.ts";
import { isOfData } from "./readable-keys.ts";
import { findStoredRow, type StoredRow } from "./stored-row.ts";
import { idOf } from "./stream-table.ts";

/** Where events are, by their ids. An id that is not in it is unknown to Postgres. */
export type Found = ReadonlyMap<string, "stored" | "dead">;

export type Store = ReturnType<typeof createStore>;

const isNotRedriven = (stream: Stream): SQL | undefined =>
  and(eq(deadLetters.stream, stream.name), isNull(deadLetters.redrivenAt));

/** A live letter, held or dead: not redriven, and not stored since (a stored event wins). */
export const isLive = (stream: Stream): SQL | undefined =>
  and(
    isNotRedriven(stream),
    not(isStored(stream, { id: sql`${deadLetters.id}`, key: sql`${deadLetters.key}` })),
  );

/** Makes a store on an open database whose client gives up after `timeoutMs`. */
export function createStore(db: Database, timeoutMs: number) {
  const bound = () => statementBound(db, timeoutMs);
  /**
   * Tries what `isolate` would do, and rolls it back: nothing is changed, but sequences may advance. Throws, too, what Postgres
   * says of the same insert without rows.
   */
  const trial = (stream: Stream, rows: readonly Row[]) =>
    isolateRows(db, timeoutMs, stream, rows, { isTrial: true });
  /** How many rows an insert may have, after one timed out. */
  const sizes = new PartSizes(timeoutMs);
  const times = new InsertTimes();
  const checkKeys = createKeyCheck(trial);
  const insert = createInsert(db, timeoutMs, checkKeys);

  /** Runs the same statement without rows: if that is refused too, no row is at fault. */
  const probe = (stream: Stream): Promise<unknown> => insert(stream, []);

  /** Asks whether Postgres answers at all. */
  const ping = async (): Promise<void> => {
    await db.batch([bound(), db.execute(sql`select 1`)]);
  };

  const storedAmong = (stream: Stream, ids: readonly string[]) => {
    const id = idOf(stream);
    return db
      .select({ id: sql<string>`${id}::text` })
      .from(stream.table)
      .where(inArray(id, [...ids]));
  };

  const deadLettersAmong = (stream: Stream, ids: readonly string[], isLiveOf: typeof isLive) =>
    db
      .select({ id: deadLetters.id })
      .from(deadLetters)
      .where(and(inArray(deadLetters.id, [...ids]), isNull(deadLetters.retryAt), isLiveOf(stream)));

  /**
   * Runs a query on letters. If one of them has a key that Postgres can't read, because the column had another type when it was set
   * aside, then none of them is compared with the table.
   */
  async function comparing<T>(run: (isLiveOf: typeof isLive) => Promise<T>): Promise<T> {
    try {
      return await run(isLive);
    } catch (error) {
      if (!isOfData(error)) throw error;
      return run(isNotRedriven);
    }
  }

  /** See `findSettled`. */
  const settledAmong = <R extends Row>(stream: Stream, rows: readonly R[]) =>
    findSettled(db, timeoutMs, stream, rows);

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

  /**
   * Finds events by their ids; stored wins over dead. Held ones, and those still buffered, are not found, nor stored ones of a stream
   * that keeps no ids.
   */
  async function find(stream: Stream, ids: readonly string[]): Promise<Found> {
    if (!stream.key.keepsIds)
      return new Map([...(await deadAmong(stream, ids))].map((id) => [id, "dead"] as const));
    const [, stored, dead] = await comparing((isLiveOf) =>
      db.batch([bound(), storedAmong(stream, ids), deadLettersAmong(stream, ids, isLiveOf)]),
    );
    return new Map([
      ...dead.map(({ id }) => [id, "dead"] as const),
      ...stored.map(({ id }) => [id, "stored"] as const),
    ]);
  }

  /** The ids among these that are live dead letters. */
  async function deadAmong(stream: Stream, ids: readonly string[]): Promise<Set<string>> {
    const [, rows] = await comparing((isLiveOf) =>
      db.batch([bound(), deadLettersAmong(stream, ids, isLiveOf)]),
    );
    return new Set(rows.map(({ id }) => id));
  }

  const compared = createLetterComparison({ db, timeoutMs, isLiveOf: isLive });

  /** See `countLettersOf`. */
  const countLetters = (stream: Stream) =>
    compared([stream], (comparison) => countLettersOf(db, timeoutMs, stream, comparison));

  /** See `findStreamsWithLetters`. */
  const streamsWithLetters = (names: readonly string[]) => findStreamsWithLetters(db, timeoutMs, names);

  /** How many of a stream's live letters have which version. */
  const letterVersions = (stream: Stream) =>
    compared([stream], (comparison) =>
      countLetterVersions(db, timeoutMs, and(eq(deadLetters.stream, stream.name), comparison.isLive)),
    );

  /** The newest rows of a stream's table; see `findNewestRows`. */
  const newestRows = (stream: Stream, most: number) => findNewestRows(db, timeoutMs, stream, most);

  /** See `findStoredRow`. */
  const storedRow = (stream: Stream, id: string, bytesMax: number): Promise<StoredRow | undefined> =>
    findStoredRow(db, timeoutMs, stream, id, bytesMax);

  const held = createHeldLetters(db, timeoutMs);
  return {
    newestRows,
    storedRow,
    sizes,
    times,
    insert,
    probe,
    ping,
    settledAmong,
    differing,
    isolate,
    trial,
    bury,
    find,
    deadAmong,
    countLetters,
    streamsWithLetters,
    letterVersions,
    ...held,
  };
}
