/** Finds the rows whose events Postgres has no more use for: they are stored, or a newer event of their key is. */
import { type SQL, sql } from "drizzle-orm";
import type { Row } from "../schema/json-row.ts";
import { keyRecordOf, keyRecordsOf } from "../schema/key-record.ts";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { isOfData, readableKeys } from "./readable-keys.ts";

/** `stored`: its key is there. `superseded`: a newer event of its key is there, where the newest wins. */
export type Settling = "stored" | "superseded";

/** Rows that are settled, and how. The others are not found. */
export type SettledRows<R extends Row = Row> = ReadonlyMap<R, Settling>;

/** Returns which of these rows are settled; a row whose key can't be read is not. May be repeated. */
export async function findSettled<R extends Row>(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  rows: readonly R[],
): Promise<SettledRows<R>> {
  try {
    return await settledAmong(db, timeoutMs, stream, rows);
  } catch (error) {
    if (!isOfData(error)) throw error;
    const records = rows.map((row) => keyRecordOf(stream, row));
    const areReadable = await readableKeys(db, timeoutMs, stream, records);
    return settledAmong(
      db,
      timeoutMs,
      stream,
      rows.filter((_, i) => areReadable[i]),
    );
  }
}

async function settledAmong<R extends Row>(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  rows: readonly R[],
): Promise<SettledRows<R>> {
  const [, { rows: found }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(selectSettled(stream, sql`${keyRecordsOf(stream, rows)}`)),
  ]);
  return settledRowsOf(rows, found as unknown as FoundRow[]);
}

/** A row of `selectSettled`: a number from 1, and whether it is the event itself. */
interface FoundRow {
  ord: number;
  same: boolean;
}

/** Selects the numbers of key records whose events are settled. */
export const selectSettled = ({ table, keySql }: Stream, records: SQL): SQL =>
  sql`select r.ord::int as ord, (${keySql.isSame}) as same from ${keySql.from(records)}, ${table} as t
    where ${keySql.isSameKey} and ${keySql.isSettled}`;

export const settledRowsOf = <R extends Row>(
  rows: readonly R[],
  found: readonly FoundRow[],
): SettledRows<R> =>
  new Map(found.map(({ ord, same }) => [rows[ord - 1] as R, same ? "stored" : "superseded"]));
