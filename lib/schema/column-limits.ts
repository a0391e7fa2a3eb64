/**
 * Checks that each column can hold its value, before an event is accepted. A value that only Postgres refuses costs several
 * statements and a dead letter. A value that is rejected here costs its sender a clear 422.
 *
 * Ranges are those of PostgreSQL's documentation, chapter 8 (numeric, character and date/time types).
 */
import { is } from "drizzle-orm";
import { PgArray, type PgColumn, type PgTable } from "drizzle-orm/pg-core";
import { decimalBeyond } from "./decimal-limits.ts";
import { fieldOf } from "./field-of.ts";
import type { InputError } from "./input-error.ts";
import { errorOfTime } from "./timestamp.ts";
import { valueTypeOf, writtenColumns } from "./written-columns.ts";

export type ColumnCheck = (row: Record<string, unknown>) => InputError | undefined;

/** Says what was expected of a value. */
type ValueCheck = (value: unknown) => string | undefined;
/** The same, with the path of the value, or of the item that does not fit. */
type PathCheck = (value: unknown, path: string) => InputError | undefined;

/** The whole numbers that a column holds, by its type: from, to. A number of JSON is safe up to 2^53−1. */
export const WHOLE_NUMBERS = {
  smallint: [-32_768, 32_767],
  integer: [-2_147_483_648, 2_147_483_647],
  bigint: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
} as const;

const integerWithin =
  ([min, max]: readonly [number, number]): ValueCheck =>
  (value) =>
    typeof value === "number" && !(Number.isInteger(value) && value >= min && value <= max)
      ? `expected a whole number from ${min} to ${max}`
      : undefined;

/** A number of JSON is safe up to 2^53−1; a bigint, of `toRow`, is all that the column has. */
const bigint: ValueCheck = (value) =>
  typeof value === "bigint" && BigInt.asIntN(64, value) !== value
    ? "expected a whole number from -2^63 to 2^63-1"
    : integerWithin(WHOLE_NUMBERS.bigint)(value);

/** Postgres rounds to the nearest 4-byte float, but refuses what would be infinite or become 0. */
const real: ValueCheck = (value) =>
  typeof value === "number" &&
  value !== 0 &&
  [0, Number.POSITIVE_INFINITY].includes(Math.abs(Math.fround(value)))
    ? "expected 0, or a number from 1.4e-45 to 3.4e38 or its negative"
    : undefined;

function decimal(precision: string | undefined, scale = "0"): ValueCheck {
  const isBeyond = decimalBeyond(
    precision === undefined ? undefined : { precision: Number(precision), scale: Number(scale) },
  );
  const limit =
    precision === undefined
      ? "fewer digits"
      : `at most ${precision} digits, ${scale} of them after the point`;
  return (value) =>
    (typeof value === "string" || typeof value === "number") && isBeyond(String(value))
      ? `expected ${limit}`
      : undefined;
}

const time =
  (hasZone: boolean): ValueCheck =>
  (value) => {
    if (typeof value === "string") return errorOfTime(value, hasZone);
    const isBeyond =
      value instanceof Date &&
      !(value.getTime() >= -62_135_596_800_000 && value.getTime() <= 253_402_300_799_999);
    return isBeyond ? "expected a date from year 1 to 9999" : undefined;
  };

/** At most `length` characters. Postgres counts code points, so this does, too. */
const charactersWithin =
  (length: number): ValueCheck =>
  (value) =>
    typeof value === "string" && value.length > length && [...value].length > length
      ? `expected at most ${length} characters`
      : undefined;

function checkOf(column: PgColumn): ValueCheck | undefined {
  const type = valueTypeOf(column);
  const length = /^(?:var)?char\((\d+)\)$/.exec(type)?.[1];
  if (length !== undefined) return charactersWithin(Number(length));
  if (type === "bigint") return bigint;
  if (type === "smallint" || type === "integer") return integerWithin(WHOLE_NUMBERS[type]);
  if (type === "real") return real;
  const numeric = /^numeric(?:\((\d+)(?:, ?(-?\d+))?\))?$/.exec(type);
  if (numeric) return decimal(numeric[1], numeric[2]);
  if (type.startsWith("timestamp") || type === "date") return time(type.endsWith("with time zone"));
  if (column.enumValues !== undefined) {
    const allowed = new Set<unknown>(column.enumValues);
    return (value) => (allowed.has(value) ? undefined : `expected one of ${column.enumValues?.join(", ")}`);
  }
  return undefined;
}

/** Makes the check of a column, if it has a limit. In an array each item must fit, and null fits. */
function pathCheckOf(column: PgColumn): PathCheck | undefined {
  if (is(column, PgArray)) return itemsCheckOf(column.baseColumn);
  const check = checkOf(column);
  return (
    check &&
    ((value, path) => {
      const message = check(value);
      return message === undefined ? undefined : { path, message };
    })
  );
}

function itemsCheckOf(item: PgColumn): PathCheck | undefined {
  const check = pathCheckOf(item);
  return (
    check &&
    ((value, path) => {
      if (!Array.isArray(value)) return undefined;
      for (const [i, one] of value.entries()) {
        const error = one === null ? undefined : check(one, `${path}.${i}`);
        if (error) return error;
      }
      return undefined;
    })
  );
}

/**
 * Whether JSON's null is a value of this column. In a json column that may be null, and in one with a default, it stands for
 * SQL's null.
 */
export const takesJsonNull = (column: PgColumn): boolean =>
  ["json", "jsonb"].includes(column.getSQLType()) && column.notNull && !column.hasDefault;

interface Rows {
  /** The fields whose values the data always give; see written-columns.ts. */
  given?: ReadonlySet<string>;
  /** Whether a row may have fields that are not the table's: each row's fields are looked at. @default false */
  areOpen?: boolean;
}

/**
 * Makes the check of the columns that an insert writes, without the fields in `except`. An error's path begins with the field of its
 * column, or is a field that has no such column.
 */
export function checkColumns(
  table: PgTable,
  except: readonly string[],
  { given, areOpen = false }: Rows = {},
): ColumnCheck {
  const checks = writtenColumns(table, given)
    .filter(({ field }) => !except.includes(field))
    .map(({ field, column }) => ({
      field,
      required: column.notNull && !column.hasDefault,
      takesNull: takesJsonNull(column),
      check: pathCheckOf(column),
    }));
  const checkValues: ColumnCheck = (row) => {
    for (const { field, required, takesNull, check } of checks) {
      const value = fieldOf(row, field);
      if (value === null && takesNull) continue;
      if (value === undefined || value === null) {
        if (required) return { path: field, message: "expected a value" };
        continue;
      }
      const error = check?.(value, field);
      if (error) return error;
    }
    return undefined;
  };
  if (!areOpen) return checkValues;
  const known = new Set(checks.map(({ field }) => field));
  return (row) => checkValues(row) ?? errorOfOthers(row, known);
}

/** Refuses a field whose value would be lost: the insert reads the fields of columns only. */
function errorOfOthers(row: Record<string, unknown>, known: ReadonlySet<string>): InputError | undefined {
  for (const field of Object.keys(row))
    if (!known.has(field) && row[field] !== undefined)
      return { path: field, message: "has no column that an event fills" };
  return undefined;
}
