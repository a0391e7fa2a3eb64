/**
 * Reads tables from Postgres's catalog: in one query for any number of them, which reads no table, takes no lock on one, and needs no
 * right to one.
 */
import { sql } from "drizzle-orm";
import { getTableConfig, type PgTable } from "drizzle-orm/pg-core";
import { type Database, statementBound } from "./database.ts";

/** A table as the catalog has it. */
export interface ActualTable {
  columns: ActualColumn[];
  /** Whether it is a table, of which the catalog says what it takes; a view takes what the table behind it does. */
  isTable: boolean;
  /** The columns of each unique index that ON CONFLICT may use. */
  uniqueKeys: string[][];
  /** What this role may do, with the table as a whole or with some column of it. */
  mayInsert: boolean;
  maySelect: boolean;
  mayUpdate: boolean;
}

interface ActualColumn {
  name: string;
  /** As format_type writes it; null for a domain and for other types of which one can't tell what they take. */
  type: string | null;
  isNotNull: boolean;
  /** Postgres fills it: default, identity or generated. */
  isFilled: boolean;
  isGeneratedAlways: boolean;
}

/** Returns the tables in the order given; null: there is none of this name, or its schema may not be used. */
export async function readTables(
  db: Database,
  timeoutMs: number,
  tables: readonly PgTable[],
): Promise<(ActualTable | null)[]> {
  const wanted = tables.map((table, ord) => {
    const { schema = null, name } = getTableConfig(table);
    return { ord, schema, name };
  });
  const [, { rows }] = await db.batch([
    statementBound(db, timeoutMs),
    db.execute(catalogOf(JSON.stringify(wanted))),
  ]);
  return (rows as { table: ActualTable | null }[]).map(({ table }) => table);
}

/**
 * One row for each table that is wanted. A table without a schema is looked for along the search path. ON CONFLICT takes a whole, valid
 * unique index that is checked at once; columns that an index only includes do not count.
 */
const catalogOf = (wanted: string) => sql`
  select (select json_build_object(
      'isTable', c.relkind in ('r', 'p'),
      'mayInsert', has_any_column_privilege(c.oid, 'insert'),
      'maySelect', has_any_column_privilege(c.oid, 'select'),
      'mayUpdate', has_any_column_privilege(c.oid, 'update'),
      'columns', (select coalesce(json_agg(json_build_object(
          'name', a.attname,
          'type', case when t.typnamespace = 'pg_catalog'::regnamespace or t.typtype = 'e'
            then format_type(a.atttypid, a.atttypmod) end,
          'isNotNull', a.attnotnull,
          'isFilled', d.oid is not null or a.attidentity <> '' or t.typdefault is not null,
          'isGeneratedAlways', a.attgenerated <> '' or a.attidentity = 'a'
        ) order by a.attnum), '[]')
        from pg_attribute a join pg_type t on t.oid = a.atttypid
          left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
      'uniqueKeys', (select coalesce(json_agg(array(
          select a.attname from unnest(i.indkey::int2[]) with ordinality as k(attnum, ord)
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
          where k.ord <= i.indnkeyatts)), '[]')
        from pg_index i
        where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate and not i.indisexclusion
          and i.indpred is null and i.indexprs is null))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relname = w.name and c.relkind in ('r', 'p', 'v', 'f', 'm')
      and case when w.schema is null then pg_table_is_visible(c.oid)
        else n.nspname = w.schema and has_schema_privilege(n.oid, 'usage') end
    limit 1) as "table"
  from json_to_recordset(${wanted}::json) as w(ord integer, schema text, name text)
  order by w.ord`;
