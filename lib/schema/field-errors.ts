/**
 * Finds what can't work between a schema's fields and a table's columns: a field without a column would be dropped in silence, and a
 * column that nobody fills refuses every row. Types find most of it in the editor; this finds the rest at start.
 */
import { getTableColumns } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { presenceIn, type SchemaFields } from "./schema-fields.ts";
import {
  BASE_FIELDS,
  hasDefaultInJavaScript,
  isComputed,
  isLeftToPostgres,
  OF_INGEST,
  writtenColumns,
} from "./written-columns.ts";

export interface FieldsDeclaration {
  table: PgTable;
  /** The fields of today's data. */
  schemaFields: SchemaFields;
  /** The fields of earlier versions' data, by version. */
  earlierFields: ReadonlyMap<string, SchemaFields>;
  /** Whether earlier data are turned into today's before anything else. */
  areUpgraded: boolean;
  /** Whether `toRow` makes the row; else the data are the row. */
  hasToRow: boolean;
  /** Whether the table is somebody else's: it may have defaults that are not declared. */
  existing: boolean;
}

/** The fields whose values the data always give, in every version that is stored as it is. None if `toRow` makes the row. */
export function fieldsGiven(declaration: FieldsDeclaration): ReadonlySet<string> {
  const { schemaFields, earlierFields, areUpgraded, hasToRow } = declaration;
  if (hasToRow) return new Set();
  const versions = [schemaFields, ...(areUpgraded ? [] : earlierFields.values())];
  const always = (field: string) => versions.every((fields) => presenceIn(fields, field) === "always");
  return new Set([...schemaFields.fields.keys()].filter(always));
}

/** Yields what is wrong, each as a sentence; the first is the one to mend. */
export function* fieldErrors(declaration: FieldsDeclaration): Generator<string> {
  const { table, schemaFields, hasToRow } = declaration;
  const columns = new Map<string, PgColumn>(Object.entries(getTableColumns(table)));
  const given = fieldsGiven(declaration);
  for (const field of columns.keys()) yield* errorsOfName(field);
  if (!hasToRow) yield* errorsOfData(schemaFields, columns, given);
  const written = new Set(writtenColumns(table, given).map(({ field }) => field));
  for (const [field, column] of columns) {
    const isFilled = written.has(field) && (hasToRow || mayFill(field, column, schemaFields));
    if (column.notNull && !isFilled) yield* errorsOfUnfilled(declaration, field, column);
  }
}

/** Postgres cuts longer names off. It would look for a record's field under the rest of its name, and find null. */
const NAME_MAX_BYTES = 63;

function* errorsOfName(field: string): Generator<string> {
  const bytes = Buffer.byteLength(field);
  if (bytes === 0 || bytes > NAME_MAX_BYTES)
    yield `field "${field}" of the table has ${bytes} bytes: expected a name of 1 to ${NAME_MAX_BYTES} bytes, because Postgres reads a row's fields by their names; its column may have any name`;
}

/** Of a column that is NOT NULL and that an insert leaves out. */
function* errorsOfUnfilled(
  { hasToRow, existing }: FieldsDeclaration,
  field: string,
  column: PgColumn,
): Generator<string> {
  const mayHaveDefault = existing && (isLeftToPostgres(column) || field === "storedAt");
  if (mayHaveDefault) return;
  if (hasDefaultInJavaScript(column))
    yield `column ${column.name} has a default in JavaScript only ($defaultFn, $onUpdate), which Spillway does not call: expected default(…), or none and a value from ${hasToRow ? "toRow" : "a field that the schema requires"}`;
  else if (!isLeftToPostgres(column))
    yield `column ${column.name} is NOT NULL without a default, and nothing fills it: expected a default${field === "storedAt" ? "" : `, or a field "${field}" in the schema`}`;
}

/** Of a stream whose data are its rows. */
function* errorsOfData(
  { fields, isOpen }: SchemaFields,
  columns: ReadonlyMap<string, PgColumn>,
  given: ReadonlySet<string>,
): Generator<string> {
  if (isOpen)
    yield `the schema takes any field, and the insert knows columns only: expected z.strictObject, or toRow`;
  for (const field of fields.keys()) {
    const column = columns.get(field);
    const named = `field "${field}" of the schema`;
    if (BASE_FIELDS.includes(field))
      yield `${named} is not the data's, because ingest or Postgres makes it: leave it out of the schema, or declare toRow`;
    else if (column === undefined)
      yield `${named} has no column: expected one in the table; else leave the field out of the schema, or declare toRow`;
    else if (isComputed(column))
      yield `${named} has a column that Postgres computes: leave the field out of the schema`;
    else if (isLeftToPostgres(column) && !given.has(field))
      yield `${named} has a column that is left to Postgres (serial, identity, $defaultFn, $onUpdate): expected the schema of every version to require it, or leave the field out`;
  }
}

/** Whether the data, ingest or a default may fill a column that an insert writes. */
const mayFill = (field: string, column: PgColumn, { fields, isUnknown }: SchemaFields): boolean =>
  OF_INGEST.includes(field) || column.hasDefault || fields.has(field) || isUnknown;
