/**
 * Finds what can't work in a stream's key: a row whose key the event does not determine is stored twice, or not at all. Types find most
 * of it in the editor; this finds the rest at start.
 */
import { getTableColumns, is } from "drizzle-orm";
import { type PgColumn, PgEnumColumn, PgEnumObjectColumn, type PgTable } from "drizzle-orm/pg-core";
import { presenceIn, type SchemaFields } from "./schema-fields.ts";
import { ID, type StreamKey } from "./stream-key.ts";
import { primaryColumns, uniqueColumns } from "./unique-columns.ts";
import { isComputed, isLeftToPostgres, OF_INGEST } from "./written-columns.ts";

export interface KeyDeclaration {
  table: PgTable;
  key: StreamKey;
  schemaFields: SchemaFields;
  /** Whether the table is somebody else's: its indexes need not be declared. */
  existing: boolean;
}

/** Yields what is wrong, each as a sentence; the first is the one to mend. A later check relies on those before it. */
export function* keyErrors(declaration: KeyDeclaration): Generator<string> {
  const { table, key, existing } = declaration;
  const columns = new Map<string, PgColumn>(Object.entries(getTableColumns(table)));
  yield* errorsOfId(columns, key);
  const roles = [
    ...key.fields.map((field) => ({ field, role: "key field" })),
    ...(key.newest === undefined ? [] : [{ field: key.newest, role: "newest" }]),
  ];
  for (const { field, role } of roles) {
    const column = columns.get(field);
    const named = `${role} "${field}"`;
    if (column === undefined)
      yield `${named} is no field of the table: expected one of ${[...columns.keys()].join(", ")}`;
    else yield* errorsOfField(declaration, named, field, column);
  }
  if (key.newest !== undefined) yield* errorsOfNewest(columns, key.newest, key.fields);
  const names = key.fields.flatMap((field) => columns.get(field)?.name ?? []).sort();
  const isUnique = uniqueColumns(table).some((unique) => unique.sort().join("\n") === names.join("\n"));
  if (!isUnique && !existing)
    yield `expected the table to declare a primary key or a unique index, without where, on exactly its key (${names.join(", ")}): add primaryKey() or unique(), or existing: true if the table is there already`;
}

/** Types of columns that hold an event's id, which is a UUID. */
const HOLDS_ID = /^(?:uuid|text|varchar|(?:varchar|character varying) ?\((?:3[6-9]|[4-9]\d|\d{3,})\))$/;

function* errorsOfId(
  columns: ReadonlyMap<string, PgColumn>,
  { fields, newest }: StreamKey,
): Generator<string> {
  const id = columns.get(ID);
  if (fields.length === 0 || new Set(fields).size < fields.length)
    yield `expected a key of at least one field, and each once, got ${JSON.stringify(fields)}`;
  if (id === undefined && fields.includes(ID))
    yield `the table has no field id: expected ...eventColumns() in it, or a key of fields of the data (key: ["orderId"])`;
  if (fields.includes("receivedAt"))
    yield `key field "receivedAt" is another with each try of its sender, and the same for all events of one request: expected id, or fields of the data`;
  if (newest === "receivedAt")
    yield `newest is "receivedAt", by which an old event that its sender sends again would win: expected a field of the data`;
  if (id === undefined && newest !== undefined)
    yield `the table has no field id: newest needs it, because the id decides between two events that are equally new`;
  if (id === undefined) return;
  const type = id.getSQLType();
  if (!HOLDS_ID.test(type))
    yield `field id is ${type}: expected uuid, text or varchar of at least 36 characters, because it holds the event's id; call a column that Postgres fills by another field name (no: bigserial("id")), and one that the data fill by their field's (orderId: bigint("id", { mode: "number" }), key: ["orderId"])`;
  if (isComputed(id)) yield `field id is computed by Postgres: expected a column that takes the event's id`;
  if (newest !== undefined && !id.notNull)
    yield `field id may be null: newest needs .notNull(), because the id decides between two events that are equally new`;
}

/** Of a field that identifies an event, or that says which event is the newest. */
function* errorsOfField(
  { table, schemaFields }: KeyDeclaration,
  named: string,
  field: string,
  column: PgColumn,
): Generator<string> {
  const isOfIngest = OF_INGEST.includes(field);
  if (field === "storedAt" || isComputed(column) || (isLeftToPostgres(column) && !isOfIngest))
    yield `${named} is left to Postgres: expected a field that the event determines, because else each try of an event would have another value`;
  if (!column.notNull && !primaryColumns(table).includes(column.name))
    yield `${named} may be null: expected .notNull(), because null equals no other null`;
  if (isOfIngest) return;
  if (column.hasDefault)
    yield `${named} has a default: expected none, because the data give its value; leave the default out of the declaration`;
  if (!["string", "number", "boolean", "custom"].includes(column.dataType))
    yield `${named} is of a type that JSON does not have (${column.dataType}): expected a text, a number or a boolean, as timestamp with mode: "string" or bigint with mode: "number"`;
  if (presenceIn(schemaFields, field) === "maybe")
    yield `${named} is not required by the schema: expected a field of the data that is neither optional nor nullable, because toRow does not make it`;
}

/** Types whose values have one order, in SQL as for people. */
const ORDERED =
  /^(?:smallint|integer|bigint|int[248]?|numeric|decimal|real|double precision|float[48]?|date|time|interval|text|varchar|char|character|uuid|bool)/;

function* errorsOfNewest(
  columns: ReadonlyMap<string, PgColumn>,
  newest: string,
  key: readonly string[],
): Generator<string> {
  const column = columns.get(newest) as PgColumn;
  if (newest === ID || key.includes(newest))
    yield `newest "${newest}" is in the key or is the id: expected another field, because by it no event of a key is newer`;
  const isOrdered =
    is(column, PgEnumColumn) || is(column, PgEnumObjectColumn) || ORDERED.test(column.getSQLType());
  if (!isOrdered || column.getSQLType().endsWith("]"))
    yield `newest "${newest}" is ${column.getSQLType()}: expected a type that has an order, as timestamp or bigint`;
}
