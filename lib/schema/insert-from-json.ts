/**
 * Rows as records in JSON, from which an insert selects. A record's keys are the table's fields, as in the rows themselves.
 *
 * All records are one parameter; or, where a column is jsonb and so may be large, each is one: the megabyte that 100 of them
 * can be is then never joined. Postgres takes large ones alike either way, and small ones faster together.
 */
import { Column, is, SQL, sql } from "drizzle-orm";
import { getTableConfig, type PgColumn, type PgTable } from "drizzle-orm/pg-core";

export interface Recordset {
  /** The columns that an insert names, in the order in which `select` gives them. */
  columns: readonly string[];
  /** The parameters that carry records. */
  parametersOf(records: readonly string[]): readonly string[];
  /** `select …` of every column of the table in its order, from such parameters; the record is `x`. */
  select(parameters: readonly string[]): SQL;
  /** The same from one record, as an SQL expression of type text. */
  selectOne(record: SQL): SQL;
  /** A record as JSON, of the values that Drizzle would insert. */
  encode(row: Record<string, unknown>): string;
  /** Whether JSON carries every column's values as they are. */
  isPlain: boolean;
}

/** Makes a table's recordset. Throws where a column's default is one that SQL can't state. */
export function makeRecordset(table: PgTable): Recordset {
  const fields = writableFields(table);
  const types = sql.join(
    fields.map(({ field, column }) => sql`${sql.identifier(field)} ${sql.raw(column.getSQLType())}`),
    sql`, `,
  );
  const values = sql.join(fields.map(selected), sql`, `);
  // A jsonb column takes its value from a jsonb record as it is; from a json record it would be parsed a second time.
  const columnTypes = fields.map(({ column }) => column.getSQLType());
  const isJsonb = columnTypes.includes("jsonb") && !columnTypes.includes("json");
  const writers = fields.map(({ field, column }) => ({ field, write: writerOf(column) }));
  return {
    columns: fields.map(({ column }) => column.name),
    parametersOf: (records) => (isJsonb ? records : [`[${records.join(",")}]`]),
    select: (parameters) => {
      const list = sql.join(
        parameters.map((parameter) => sql`${parameter}`),
        sql`, `,
      );
      const records = isJsonb
        ? sql`unnest(array[${list}]::jsonb[]) record, jsonb_to_record(record)`
        : sql`json_to_recordset(${list}::json)`;
      return sql`select ${values} from ${records} as x(${types})`;
    },
    selectOne: (record) =>
      isJsonb
        ? sql`select ${values} from jsonb_to_record(${record}::jsonb) as x(${types})`
        : sql`select ${values} from json_to_record(${record}::json) as x(${types})`,
    encode: (row) => {
      const record: Record<string, unknown> = {};
      for (const { field, write } of writers) {
        const value = row[field];
        if (value !== undefined && value !== null) record[field] = write ? write(value) : value;
      }
      return JSON.stringify(record); // a key that is left out reads as null
    },
    isPlain: writers.every(({ write }) => write === undefined),
  };
}

interface Field {
  column: PgColumn;
  /** Its name in rows, and so in records. */
  field: string;
}

/** The columns that an insert may name, in the order in which Drizzle names them. */
function writableFields(table: PgTable): Field[] {
  const writable = getTableConfig(table).columns.filter(
    ({ generated }) => generated === undefined || generated.type === "byDefault",
  );
  const names = new Map(Object.entries(table).map(([field, column]) => [column, field]));
  return writable.map((column) => ({ column, field: names.get(column) ?? column.name }));
}

/** A column takes its default where the record has none. */
function selected({ field, column }: Field): SQL {
  const given = sql`x.${sql.identifier(field)}`;
  if (!column.hasDefault) return given;
  if (column.default === undefined)
    throw new Error(
      `column ${column.name}: expected a default that SQL can state (default, defaultNow), got serial, identity or $defaultFn`,
    );
  return sql`coalesce(${given}, ${is(column.default, SQL) ? column.default : sql.param(column.default, column)})`;
}

/**
 * How a column's values become JSON; undefined: as they are. JSON columns keep theirs; the others take what Drizzle's
 * column makes of it, as text where JSON has no such type.
 */
function writerOf(column: PgColumn): ((value: unknown) => unknown) | undefined {
  if (column.dataType === "json") return undefined;
  const isPlain = ["string", "number", "boolean"].includes(column.dataType);
  if (isPlain && column.mapToDriverValue === Column.prototype.mapToDriverValue) return undefined;
  return (value) => {
    const driver = column.mapToDriverValue(value);
    if (typeof driver === "bigint") return driver.toString();
    if (driver instanceof Uint8Array) return `\\x${Buffer.from(driver).toString("hex")}`;
    return driver;
  };
}
