/** The newest rows of a stream's table, however they came there. */
import { and, desc, type SQL, sql } from "drizzle-orm";
import type { Stream } from "../schema/stream.ts";
import { type Database, statementBound } from "./database.ts";
import { ownColumnsOf } from "./stream-table.ts";

const WITHIN = sql`interval '15 minutes'`;

/** The first id that Spillway could have made at a moment: its ids are UUIDs of version 7. */
export const firstIdAt = (moment: SQL): SQL =>
  sql`(lpad(to_hex((extract(epoch from ${moment}) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid`;

/** Whether the table tells its newest rows: its ids are UUIDs, and it has the time of receipt. */
export function hasNewestRows(stream: Stream): boolean {
  const { id, receivedAt } = ownColumnsOf(stream);
  return stream.key.keepsIds && id.getSQLType() === "uuid" && receivedAt !== undefined;
}

/**
 * Finds rows of the last 15 minutes, newest first, by a range of the primary key's index. It may miss rows whose id Spillway did not
 * make. Only for a stream of which `hasNewestRows` is true.
 */
export async function findNewestRows(
  db: Database,
  timeoutMs: number,
  stream: Stream,
  most: number,
): Promise<{ id: string; receivedAt: string }[]> {
  const { id, receivedAt } = ownColumnsOf(stream);
  const [, rows] = await db.batch([
    statementBound(db, timeoutMs),
    db
      .select({
        id: sql<string>`${id}::text`,
        ms: sql<number>`(extract(epoch from ${receivedAt}) * 1000)::float8`,
      })
      .from(stream.table)
      .where(
        and(
          sql`${id} > ${firstIdAt(sql`now() - ${WITHIN}`)}`,
          sql`${id} < ${firstIdAt(sql`now() + interval '1 minute'`)}`,
          sql`${receivedAt} > now() - ${WITHIN}`,
        ),
      )
      .orderBy(desc(id))
      .limit(most),
  ]);
  return rows.map((row) => ({ id: row.id, receivedAt: new Date(row.ms).toISOString() }));
}
