/** How an insert without a buffer makes rows of requests: which table a path names, and a request's row with its id and time. */
import type { PgTable } from "drizzle-orm/pg-core";
import { newId } from "../../lib/schema/event-ids.ts";

/** The tables by the names that paths give them. */
export type Tables = Readonly<Record<string, PgTable>>;

export interface Item {
  stream: string;
  row: { id: string; receivedAt: string };
}

/** The row that a request asks for. Its fields are taken as they come: nothing is validated. */
export const itemOf = (path: string, body: object): Item => ({
  stream: path.split("/")[2] ?? "",
  row: { ...body, id: newId(), receivedAt: new Date().toISOString() },
});

/** The part of an insert that every Drizzle driver has. */
interface Inserter {
  insert(table: PgTable): { values(rows: Item["row"][]): PromiseLike<unknown> };
}

/** Inserts items the way Drizzle's documentation shows: one `insert().values()` for each table. */
export async function insertRows(db: unknown, tables: Tables, items: readonly Item[]): Promise<void> {
  for (const [stream, table] of Object.entries(tables)) {
    const rows = items.filter((item) => item.stream === stream).map(({ row }) => row);
    if (rows.length > 0) await (db as Inserter).insert(table).values(rows);
  }
}
