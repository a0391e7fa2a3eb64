/**
 * Checks that each column can hold its value, before an event is accepted. A value that only Postgres refuses costs several
 * statements and a dead letter. A value that is rejected here costs its sender a clear 422.
 *
 * Ranges are those of PostgreSQL's documentation, chapter 8 (numeric, character and date/time types).
 */
import { getTableColumns } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import type { InputError } from "./input-error.ts";

export type ColumnCheck = (row: Record<string, unknown>) => InputError | undefined;

type ValueCheck = (value: unknown) => string | undefined;

const integerWithin =
  (min: number, max: number): ValueCheck =>
  (value) =>
    typeof value === "number" && !(Number.isInteger(value) && value >= min && value <= max)
      ? `expected a whole number from ${min} to ${max}`
      : undefined;

const real: ValueCheck = (value) =>
  typeof value === "number" && Math.abs(value) > 3.4028234663852886e38
    ? "expected a number within ±3.4e38"
    : undefined;

const validDate: ValueCheck = (value) =>
  value instanceof Date && !(value.getTime() >= -62_135_596_800_000 && value.getTime() <= 253_402_300_799_999)
    ? "expected a date from year 1 to 9999"
    : undefined;

/** At most `length` characters. Postgres counts code points, so this does, too. */
const charactersWithin =
  (length: number): ValueCheck =>
  (value) =>
    typeof value === "string" && value.length > length && [...value].length > length
      ? `expected at most ${length} characters`
      : undefined;

function checkOf(column: PgColumn): ValueCheck | undefined {
  const type = column.getSQLType();
  const length = /^(?:var)?char\((\d+)\)$/.exec(type)?.[1];
  if (length !== undefined) return charactersWithin(Number(length));
  if (type === "smallint") return integerWithin(-32_768, 32_767);
  if (type === "integer") return integerWithin(-2_147_483_648, 2_147_483_647);
  if (type === "bigint") return integerWithin(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  if (type === "real") return real;
  if (type.startsWith("timestamp") || type === "date") return validDate;
  if (column.enumValues !== undefined) {
    const allowed = new Set<unknown>(column.enumValues);
    return (value) => (allowed.has(value) ? undefined : `expected one of ${column.enumValues?.join(", ")}`);
  }
  return undefined;
}

/**
 * Whether JSON's null is a value of this column. In a json column that may be null, and in one with a default, it stands for
 * SQL's null.
 */
export const takesJsonNull = (column: PgColumn): boolean =>
  ["json", "jsonb"].includes(column.getSQLType()) && column.notNull && !column.hasDefault;

/** Makes the check of a table's columns, without the fields in `except`. An error's path is the field of its column. */
export function checkColumns(table: PgTable, except: readonly string[]): ColumnCheck {
  const checks = Object.entries(getTableColumns(table))
    .filter(([field]) => !except.includes(field))
    .map(([field, column]) => ({
      field,
      required: column.notNull && !column.hasDefault,
      takesNull: takesJsonNull(column),
      check: checkOf(column),
    }));
  return (row) => {
    for (const { field, required, takesNull, check } of checks) {
      const value = row[field];
      if (value === null && takesNull) continue;
      if (value === undefined || value === null) {
        if (required) return { path: field, message: "expected a value" };
        continue;
      }
      const message = check?.(value);
      if (message !== undefined) return { path: field, message };
    }
    return undefined;
  };
}
