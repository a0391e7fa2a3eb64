/** Compares rows with those stored under their ids: of two different events with one id the first is kept. */
import { sql } from "drizzle-orm";
import type { Row } from "../schema/json-row.ts";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { idOf } from "./stream-table.ts";

/**
 * Returns the id of each row that holds another event than the stored row of that id. A row that is not found is not among them. If a
 * trigger changes what is stored, equal events differ, too.
 */
export async function findDiffering(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  rows: readonly Row[],
): Promise<string[]> {
  const { recordset, table } = stream;
  const records = recordset.from(recordset.parametersOf(rows.map(({ json }) => json)));
  const id = sql.identifier(idOf(stream).name);
  const [, { rows: found }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(
      sql`select t.${id}::text as id from ${records} join ${table} as t on t.${id} = x.id where ${recordset.differs}`,
    ),
  ]);
  return (found as { id: string }[]).map((one) => one.id);
}
