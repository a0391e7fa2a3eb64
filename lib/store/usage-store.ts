/** Reads the use of ingest, and deletes what is old. Errors pass through; `postgres-errors.ts` reads them. */
import { and, asc, desc, eq, isNull, type SQL, sql } from "drizzle-orm";
import { type Database, statementBound } from "./database.ts";
import { usageTable } from "./usage-stream.ts";

/** Which use. */
export interface UsageFilter {
  /** Hours that began at or after this, RFC 3339. */
  since: string;
  /** Hours that began before this, RFC 3339. */
  until: string;
  /** One key; null: requests without a known key; undefined: all. */
  key?: string | null | undefined;
  /** One stream; null: requests without a known stream; undefined: all. */
  stream?: string | null | undefined;
}

/** The sums of one hour, key and stream; usage-stream.ts says what is counted. */
export interface UsageRow {
  /** When the hour began, RFC 3339. */
  hour: string;
  key: string | null;
  stream: string | null;
  accepted: number;
  rejected: number;
  throttled: number;
  shed: number;
  bytes: number;
}

export type UsageStore = ReturnType<typeof createUsageStore>;

/** Makes a usage store on an open database whose client gives up after `timeoutMs`. */
export function createUsageStore(db: Database, timeoutMs: number) {
  const bound = () => statementBound(db, timeoutMs);

  /** Reads the sums, the newest hour first; `limit` at most. */
  async function read(filter: UsageFilter, limit: number): Promise<UsageRow[]> {
    const { hour, key, stream } = usageTable;
    const [, rows] = await db.batch([
      bound(),
      db
        .select({
          hour: sql<string>`to_char(${hour} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`,
          ...{ key, stream },
          accepted: sumOf(usageTable.accepted),
          rejected: sumOf(usageTable.rejected),
          throttled: sumOf(usageTable.throttled),
          shed: sumOf(usageTable.shed),
          bytes: sumOf(usageTable.bytes),
        })
        .from(usageTable)
        .where(
          and(
            sql`${hour} >= ${filter.since}::timestamptz`,
            sql`${hour} < ${filter.until}::timestamptz`,
            isOf(key, filter.key),
            isOf(stream, filter.stream),
          ),
        )
        .groupBy(hour, key, stream)
        .orderBy(desc(hour), asc(key), asc(stream))
        .limit(limit),
    ]);
    return rows;
  }

  /** Hours that are so old; `days` by Postgres's clock. */
  const isOld = (days: number): SQL => sql`${usageTable.hour} < now() - ${days}::float8 * interval '1 day'`;

  /** Counts the rows that are older. */
  async function countOld(days: number): Promise<number> {
    const [, rows] = await db.batch([
      bound(),
      db.select({ n: sql<number>`count(*)::int` }).from(usageTable).where(isOld(days)),
    ]);
    return rows[0]?.n ?? 0;
  }

  /** Deletes rows that are older, `limit` at most, in one statement. Returns how many. May be repeated. */
  async function deleteOld(days: number, limit: number): Promise<number> {
    const [, { rows }] = await db.batch([
      bound(),
      db.execute(sql`with gone as (delete from ${usageTable} where ${usageTable.id} in
        (select id from ${usageTable} where ${isOld(days)} limit ${limit}) returning 1)
        select count(*)::int as n from gone`),
    ]);
    return (rows[0] as { n: number }).n;
  }

  return { read, countOld, deleteOld };
}

const sumOf = (column: SQL | (typeof usageTable)["accepted"]) => sql<number>`sum(${column})::float8`;

const isOf = (
  column: (typeof usageTable)["key"] | (typeof usageTable)["stream"],
  name: string | null | undefined,
): SQL | undefined => (name === undefined ? undefined : name === null ? isNull(column) : eq(column, name));
