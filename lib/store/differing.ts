/** Compares rows with those stored under their ids: of two different events with one id the first is kept. */
import { sql } from "drizzle-orm";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";

/**
 * Returns the id of each row that holds another event than the stored row of its key. A row that is not found is not among them, nor one
 * over which a newer event won. If a trigger changes what is stored, equal events differ, too.
 */
export async function findDiffering(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  rows: readonly Row[],
): Promise<string[]> {
  const { recordset, table, keySql } = stream;
  const records = recordset.numbered(recordset.parametersOf(rows.map(({ json }) => json)));
  const [, { rows: found }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(
      sql`select r.ord::int as ord from ${records}, ${table} as t
        where ${keySql.isSameKey} and ${keySql.isSame} and (${recordset.differs})`,
    ),
  ]);
  return (found as { ord: number }[]).flatMap(({ ord }) => rows[ord - 1]?.id ?? []);
}
