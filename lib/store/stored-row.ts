/** One stored event, as its table has it: the columns that the stream declares, each under its field's name. */
import { eq, getTableColumns, type SQL, sql } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { idOf } from "./stream-table.ts";

/** A row as JSON text, so that each number stays as Postgres has it. */
export interface StoredRow {
  /** Null: it is longer than was asked for. */
  row: string | null;
  /** The length of the text. */
  bytes: number;
}

/** Finds a row by its id, which is a UUID; undefined: there is none. Only for a stream whose key keeps ids. Errors pass through. */
export async function findStoredRow(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  id: string,
  bytesMax: number,
): Promise<StoredRow | undefined> {
  const [, { rows }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(sql`select case when octet_length(found.text) <= ${bytesMax}::int then found.text end as row,
      octet_length(found.text) as bytes
      from (select to_json(one)::text as text from
        (select ${fieldsOf(stream)} from ${stream.table} where ${eq(idOf(stream), id)} limit 1) as one) as found`),
  ]);
  const [found] = rows as unknown as StoredRow[];
  return found && { row: found.row, bytes: Number(found.bytes) };
}

const fieldsOf = ({ table }: Stream): SQL =>
  sql.join(
    Object.entries(getTableColumns(table)).map(
      ([field, column]) => sql`${column} as ${sql.identifier(field)}`,
    ),
    sql`, `,
  );
