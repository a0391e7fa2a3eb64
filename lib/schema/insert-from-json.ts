/**
 * Turns rows into JSON records, from which an insert selects. A record's keys are the table's field names, as in the rows.
 *
 * All records are one parameter. But if a column is jsonb and no column is json, each record is a parameter of its own. A
 * jsonb value may be large: 100 records can be a megabyte, which is then never joined into one text. Postgres takes large
 * records equally fast either way, and small records faster as one parameter.
 *
 * Postgres's functions that read a record make SQL's null of JSON's. A column for which JSON's null is a value of its own takes its
 * value from the record itself (`record -> 'field'`).
 */
import { Column, is, type Placeholder, SQL, sql } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import { takesJsonNull } from "./column-limits.ts";
import { fieldOf } from "./field-of.ts";
import { sqlLiteral } from "./sql-literal.ts";
import { BASE_FIELDS, OF_INGEST, sqlTypeOf, type WrittenColumn, writtenColumns } from "./written-columns.ts";

export interface Recordset {
  /** The columns that an insert names, in the order in which `select` gives them. */
  columns: readonly string[];
  /** Returns the parameters that carry these records. */
  parametersOf(records: readonly string[]): readonly string[];
  /**
   * Returns the records as rows of a table `x`, whose columns are the fields, from such parameters or their placeholders. Where a
   * column keeps JSON's null, the records themselves are a table `r`.
   */
  from(parameters: readonly (string | Placeholder)[]): SQL;
  /** The same with their numbers, from 1: the records are a table `r` with `ord`. */
  numbered(parameters: readonly (string | Placeholder)[]): SQL;
  /** The values of `columns`, in that order, of the rows that `from` returns. */
  values: SQL;
  /**
   * A condition on a record `x` and a stored row `t`: they hold different events. The columns that every stream has are left out, and a
   * default that was computed.
   */
  differs: SQL;
  /** Returns `select …` of the values of one record. `record` is an SQL expression of type text. */
  selectOne(record: SQL): SQL;
  /** Returns a row as a JSON record, with the values that Drizzle would insert. */
  encode(row: Record<string, unknown>): string;
  /** Whether every column's value is written to JSON unchanged. */
  isPlain: boolean;
}

/** Makes a table's recordset. `given`: the fields whose values the data always give; see written-columns.ts. */
export function makeRecordset(table: PgTable, given?: ReadonlySet<string>): Recordset {
  const fields: Field[] = writtenColumns(table, given).map((written) => ({
    ...written,
    keepsNull: takesJsonNull(written.column),
  }));
  const types = sql.join(
    fields
      .filter(({ keepsNull }) => !keepsNull)
      .map(({ field, column }) => sql`${sql.identifier(field)} ${sqlTypeOf(column)}`),
    sql`, `,
  );
  const values = sql.join(fields.map(selected), sql`, `);
  // A jsonb column takes its value from a jsonb record as it is; from a json record it would be parsed a second time.
  const columnTypes = fields.map(({ column }) => column.getSQLType());
  const isJsonb = columnTypes.includes("jsonb") && !columnTypes.includes("json");
  const type = sql.raw(isJsonb ? "jsonb" : "json");
  const writers = fields.map((field) => ({ ...field, write: writerOf(field) }));
  const listOf = (parameters: readonly (string | Placeholder)[]) =>
    sql.join(
      parameters.map((parameter) => sql`${parameter}`),
      sql`, `,
    );
  const numbered = (parameters: readonly (string | Placeholder)[]) => {
    const list = listOf(parameters);
    const records = isJsonb ? sql`unnest(array[${list}]::jsonb[])` : sql`json_array_elements(${list}::json)`;
    return sql`${records} with ordinality as r(record, ord), ${type}_to_record(r.record) as x(${types})`;
  };
  const from = (parameters: readonly (string | Placeholder)[]) =>
    isJsonb || fields.some(({ keepsNull }) => keepsNull)
      ? numbered(parameters)
      : sql`json_to_recordset(${listOf(parameters)}::json) as x(${types})`;
  return {
    columns: fields.map(({ column }) => column.name),
    parametersOf: (records) => (isJsonb ? records : [`[${records.join(",")}]`]),
    from,
    numbered,
    values,
    differs: sql.join([sql`false`, ...fields.flatMap(differing)], sql` or `),
    selectOne: (record) =>
      sql`select ${values} from (select ${record}::${type}) as r(record), ${type}_to_record(r.record) as x(${types})`,
    encode: (row) => encodeRecord(writers, row),
    isPlain: writers.every(({ write }) => write === undefined),
  };
}

interface Writer extends Field {
  write: ReturnType<typeof writerOf>;
}

/** Leaves out what is absent: Postgres reads a missing key as null. */
function encodeRecord(writers: readonly Writer[], row: Record<string, unknown>): string {
  const record: Record<string, unknown> = {};
  for (const { field, keepsNull, write } of writers) {
    const value = fieldOf(row, field);
    if (value === null && keepsNull) record[field] = null;
    else if (value !== undefined && value !== null) record[field] = write ? write(value) : value;
  }
  return JSON.stringify(record);
}

interface Field extends WrittenColumn {
  /** Whether JSON's null is a value of the column. */
  keepsNull: boolean;
}

/** The SQL for a column's value. If the record has no value, the column takes its default, if SQL can state it. */
function selected({ field, column, keepsNull }: Field): SQL {
  if (keepsNull) return sql`(r.record -> ${sql.raw(sqlLiteral(field))})::${sql.raw(column.getSQLType())}`;
  const given = sql`x.${sql.identifier(field)}`;
  if (column.default === undefined || OF_INGEST.includes(field)) return given;
  return sql`coalesce(${given}, ${is(column.default, SQL) ? column.default : sql.param(column.default, column)})`;
}

/**
 * Makes the condition that a column's value differs; none if the column is not compared. It compares texts: json and some other
 * types have no equality, and box has one that compares areas. Postgres computed a default of SQL at another time, so that one is
 * not compared.
 */
function differing(field: Field): SQL[] {
  if (BASE_FIELDS.includes(field.field)) return [];
  const stored = sql`t.${sql.identifier(field.column.name)}`;
  const differs = sql`${selected(field)}::text is distinct from ${stored}::text`;
  if (!is(field.column.default, SQL)) return [differs];
  return [sql`(x.${sql.identifier(field.field)} is not null and ${differs})`];
}

/**
 * Returns the function that makes a column's value ready for JSON; undefined: the value needs no change. The value of a json
 * or jsonb column stays as it is, and so do the texts that ingest makes. Any other column takes the value from Drizzle's
 * `mapToDriverValue`. JSON has no type for a bigint or for bytes, so they become text.
 */
function writerOf({ field, column }: WrittenColumn): ((value: unknown) => unknown) | undefined {
  if (column.dataType === "json" || OF_INGEST.includes(field)) return undefined;
  const isPlain = ["string", "number", "boolean"].includes(column.dataType);
  if (isPlain && column.mapToDriverValue === Column.prototype.mapToDriverValue) return undefined;
  return (value) => {
    const driver = column.mapToDriverValue(value);
    if (typeof driver === "bigint") return driver.toString();
    if (driver instanceof Uint8Array) return `\\x${Buffer.from(driver).toString("hex")}`;
    return driver;
  };
}
