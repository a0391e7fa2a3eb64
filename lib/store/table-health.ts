/** Reads how well Postgres keeps up with cleaning tables, from its statistics: one query for any number of tables. */
import { sql } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/pg-core";
import type { Stream } from "../schema/stream.ts";
import { apiKeys } from "./api-keys-table.ts";
import { type Database, statementBound } from "./database.ts";
import { deadLetters } from "./dead-letters-table.ts";
import { rolloutTable } from "./rollout-stream.ts";
import { usageTable } from "./usage-stream.ts";

/** A table, with all its partitions. */
export interface TableHealth {
  /** As sentences name it. */
  table: string;
  live: number;
  dead: number;
  /** Since autovacuum, or somebody, last cleaned it; null: never since the statistics began. */
  vacuumedSecondsAgo: number | null;
}

const OURS = [deadLetters, apiKeys, usageTable, rolloutTable];

/** Returns our tables and the streams', as far as they exist. One without a schema is looked for along the search path. */
export async function readTableHealth(
  db: Database,
  timeoutMs: number,
  streams: readonly Stream[],
): Promise<TableHealth[]> {
  const tables = new Set([...OURS, ...streams.map(({ table }) => table)]);
  const wanted = [...tables].map(getTableConfig).map(({ schema, name }, ord) => ({ ord, schema, name }));
  const [, { rows }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(sql`
      select concat_ws('.', w.schema, w.name) as "table", sum(s.n_live_tup)::float8 as live, sum(s.n_dead_tup)::float8 as dead,
        extract(epoch from now() - max(greatest(s.last_autovacuum, s.last_vacuum)))::float8 as "vacuumedSecondsAgo"
      from json_to_recordset(${JSON.stringify(wanted)}::json) as w(ord integer, schema text, name text)
        join pg_class c on c.relname = w.name and c.relkind in ('r', 'p')
        join pg_namespace n on n.oid = c.relnamespace
          and case when w.schema is null then pg_table_is_visible(c.oid) else n.nspname = w.schema end
        cross join lateral (select c.oid as relid union select relid::oid from pg_partition_tree(c.oid)) t
        join pg_stat_all_tables s on s.relid = t.relid
      group by w.ord, w.schema, w.name order by w.ord`),
  ]);
  return rows as unknown as TableHealth[];
}
