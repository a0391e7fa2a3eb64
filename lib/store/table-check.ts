/**
 * The table check: compares the table that a stream declares with the table that Postgres has, in one query on the catalog.
 * Postgres gives no column's name with SQLSTATE 42703, so whoever was refused asks here what differs.
 *
 * A difference is a plain sentence with names of the schema, and never data. A difference that is not certain is not told.
 */
import { sql } from "drizzle-orm";
import { getTableConfig, type PgColumn } from "drizzle-orm/pg-core";
import type { Stream } from "../schema/stream.ts";
import { isSameType } from "./column-types.ts";
import { type Database, statementBound } from "./database.ts";
import { failureOf } from "./postgres-errors.ts";
import { idOf } from "./stream-table.ts";

/** How long an answer is kept, in milliseconds: a refusal comes from many partitions at once, and with each tick again. */
const KEPT_MS = 60_000;

export type TableCheck = ReturnType<typeof createTableCheck>;

/** The table as the catalog has it. */
interface ActualTable {
  exists: boolean;
  columns: ActualColumn[];
  /** Whether ON CONFLICT (id) finds an index, or it is not a table of which one can tell. */
  hasIdIndex: boolean;
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

/** Makes a table check on an open database whose client gives up after `timeoutMs`. `monotonicMs`: a clock that is never set back. */
export function createTableCheck(db: Database, timeoutMs: number, monotonicMs: () => number) {
  const kept = new Map<Stream, { atMs: number; differences: Promise<string[]> }>();

  async function readTable(stream: Stream): Promise<ActualTable> {
    const [, { rows }] = await db.batch([
      statementBound(db, timeoutMs),
      db.execute(catalogOf(quotedName(stream), idOf(stream).name)),
    ]);
    return rows[0] as unknown as ActualTable;
  }

  /** Throws an error that is neither Postgres's nor the network's. */
  async function compare(stream: Stream): Promise<string[]> {
    try {
      return differencesBetween(stream, await readTable(stream));
    } catch (error) {
      failureOf(error, stream.name);
      return [];
    }
  }

  /**
   * Returns how the stream's table differs from its declaration; first the differences that make Postgres refuse every row.
   * Asks Postgres at most once a minute for each stream. Returns none if Postgres gives no answer: a check is never a second
   * failure. Throws an error that is neither Postgres's nor the network's.
   */
  function differencesOf(stream: Stream): Promise<string[]> {
    const atMs = monotonicMs();
    const known = kept.get(stream);
    const isFresh = known !== undefined && atMs < known.atMs + KEPT_MS;
    if (isFresh) return known.differences;
    const differences = compare(stream);
    kept.set(stream, { atMs, differences });
    return differences;
  }

  return { differencesOf };
}

/** As SQL names it: without a schema, the search path finds the table. */
function quotedName(stream: Stream): string {
  const { schema, name } = getTableConfig(stream.table);
  const quoted = (part: string) => `"${part.replaceAll('"', '""')}"`;
  return schema === undefined ? quoted(name) : `${quoted(schema)}.${quoted(name)}`;
}

/** As sentences name it. */
function plainName(stream: Stream): string {
  const { schema, name } = getTableConfig(stream.table);
  return schema === undefined ? name : `${schema}.${name}`;
}

/**
 * One row, ActualTable. ON CONFLICT takes a whole, valid unique index that is checked at once; columns that an index only
 * includes do not count. Through a view it takes the index of the table behind, so only tables are asked for theirs.
 */
const catalogOf = (table: string, idColumn: string) => sql`
  select c.oid is not null as "exists",
    (select coalesce(json_agg(json_build_object(
        'name', a.attname,
        'type', case when t.typnamespace = 'pg_catalog'::regnamespace or t.typtype = 'e'
          then format_type(a.atttypid, a.atttypmod) end,
        'isNotNull', a.attnotnull,
        'isFilled', d.oid is not null or a.attidentity <> '' or t.typdefault is not null,
        'isGeneratedAlways', a.attgenerated <> '' or a.attidentity = 'a'
      ) order by a.attnum), '[]')
      from pg_attribute a join pg_type t on t.oid = a.atttypid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
    coalesce(c.relkind not in ('r', 'p'), false) or exists (
      select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
        and i.indnkeyatts = 1 and a.attname = ${idColumn}) as "hasIdIndex"
  from (select to_regclass(${table}) as oid) named left join pg_class c on c.oid = named.oid`;

function differencesBetween(stream: Stream, actual: ActualTable): string[] {
  const table = `table ${plainName(stream)}`;
  if (!actual.exists) return [`${table} is missing`];
  const { columns: declared } = getTableConfig(stream.table);
  const declaredNames = new Set(declared.map(({ name }) => name));
  const byName = new Map(actual.columns.map((column) => [column.name, column]));
  const pairs = declared.flatMap((column) => {
    const found = byName.get(column.name);
    return found === undefined ? [] : [{ column, found, named: `column ${column.name} of ${table}` }];
  });
  const inserted = new Set(stream.recordset.columns);
  return [
    ...declared.filter(({ name }) => !byName.has(name)).map(({ name }) => `${table} lacks column ${name}`),
    ...pairs
      .filter(({ column, found }) => found.isGeneratedAlways && inserted.has(column.name))
      .map(({ named }) => `${named} is GENERATED ALWAYS, and the insert names it`),
    ...(actual.hasIdIndex ? [] : [`${table} has no unique index on exactly its column ${idOf(stream).name}`]),
    ...actual.columns
      .filter(({ name, isNotNull, isFilled }) => isNotNull && !isFilled && !declaredNames.has(name))
      .map(
        ({ name }) =>
          `column ${name} of ${table} is NOT NULL without a default, and the stream does not declare it`,
      ),
    ...pairs
      .filter(({ column, found }) => found.type !== null && !isSameType(column.getSQLType(), found.type))
      .map(
        ({ column, found, named }) =>
          `${named} is ${found.type}, and the stream declares ${column.getSQLType()}`,
      ),
    ...pairs
      .filter(({ column, found }) => found.isNotNull && mayBeNull(column))
      .map(({ named }) => `${named} is NOT NULL, and a row may lack it`),
  ];
}

/** Whether the insert may give null: a declared default takes its place (insert-from-json.ts). */
const mayBeNull = ({ notNull, hasDefault, generated, generatedIdentity }: PgColumn): boolean =>
  !notNull && !hasDefault && generated === undefined && generatedIdentity === undefined;
