/**
 * The columns that an insert writes. A serial, identity, generated or `$defaultFn` column is left to Postgres, unless the data always
 * give its value. JavaScript's defaults ($defaultFn, $onUpdate) are never called: rows are made in SQL, where they are unknown.
 */
import { getTableColumns, is, type SQL, sql } from "drizzle-orm";
import { PgArray, type PgColumn, PgEnumColumn, PgEnumObjectColumn, type PgTable } from "drizzle-orm/pg-core";

/** The fields that ingest makes. Every row has their values. */
export const OF_INGEST: readonly string[] = ["id", "receivedAt"];
/** The fields that are never the data's, in a table that has them. */
export const BASE_FIELDS: readonly string[] = [...OF_INGEST, "storedAt"];

export interface WrittenColumn {
  /** The column's name in rows and in records. */
  field: string;
  column: PgColumn;
}

/** Lists the columns that an insert writes, in Drizzle's order. `given`: the fields whose values the data always give. */
export const writtenColumns = (table: PgTable, given: ReadonlySet<string> = new Set()): WrittenColumn[] =>
  Object.entries(getTableColumns(table))
    .map(([field, column]) => ({ field, column }))
    .filter(({ field, column }) =>
      OF_INGEST.includes(field) || given.has(field)
        ? !isComputed(column)
        : !isLeftToPostgres(column) && !(field === "storedAt" && column.default === undefined),
    );

/** Whether Postgres refuses an insert that names the column. */
export const isComputed = ({ generated, generatedIdentity }: PgColumn): boolean =>
  generated !== undefined || generatedIdentity?.type === "always";

/** Whether Drizzle has a default only in JavaScript: Postgres may have none. */
export const hasDefaultInJavaScript = (column: PgColumn): boolean =>
  column.default === undefined && (column.defaultFn !== undefined || column.onUpdateFn !== undefined);

/** Whether Postgres makes the column's value, if anybody does. */
export const isLeftToPostgres = (column: PgColumn): boolean =>
  isComputed(column) ||
  column.generatedIdentity !== undefined ||
  column.defaultFn !== undefined ||
  (column.hasDefault && column.default === undefined);

const SERIALS = new Map([
  ["serial", "integer"],
  ["bigserial", "bigint"],
  ["smallserial", "smallint"],
]);

/** The type of a column's values, without the sequence that a serial has. */
export function valueTypeOf(column: PgColumn): string {
  const type = column.getSQLType();
  return SERIALS.get(type) ?? type;
}

/** The same as SQL. Drizzle writes an enum's name without quotes and without its schema. */
export function sqlTypeOf(column: PgColumn): SQL {
  if (is(column, PgArray)) {
    const size = column.size === undefined ? "" : column.size;
    return sql`${sqlTypeOf(column.baseColumn)}${sql.raw(`[${size}]`)}`;
  }
  if (!is(column, PgEnumColumn) && !is(column, PgEnumObjectColumn)) return sql.raw(valueTypeOf(column));
  const { schema, enumName } = column.enum;
  const name = sql.identifier(enumName);
  return schema === undefined ? sql`${name}` : sql`${sql.identifier(schema)}.${name}`;
}
