/**
 * The row that an event has to become, said by Postgres itself: each value is cast to its column's type and both are
 * compared as text. So one comparison is right for every type, to the microsecond of a timestamp and the last digit of
 * a numeric, whatever a client library would make of it.
 */
import { getTableColumns, is, SQL } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";
import { expect } from "vitest";
import { fieldsOf } from "../lib/schema/json-row.ts";
import type { Stream } from "../lib/schema/stream.ts";
import { quotedNameOf } from "../lib/store/stream-table.ts";
import type { Servers } from "./contract-servers.ts";

type Row = Record<string, string | null>;

const EVENT_FIELDS = ["id", "receivedAt", "storedAt"];

/** The columns that the stream itself fills, by the field of its rows; Postgres makes generated ones. */
export const ownColumns = (stream: Stream): [field: string, column: PgColumn][] =>
  Object.entries(getTableColumns(stream.table)).filter(
    ([field, column]) => !EVENT_FIELDS.includes(field) && stream.recordset.columns.includes(column.name),
  );

/** The fields that an accepted event gives its row: those of `toRow`, else its own. */
export function fieldsOfEvent(stream: Stream, event: unknown): Record<string, unknown> {
  const data = JSON.parse(JSON.stringify(stream.parse(event).data)); // as it is buffered
  return fieldsOf(stream, data, stream.v);
}

/** The stored rows, every column of the stream's own as text. */
export async function storedRows({ sql }: Pick<Servers, "sql">, stream: Stream): Promise<Row[]> {
  const list = ownColumns(stream).map(
    ([, column]) => `${asText(column, quoted(column.name))} as ${quoted(column.name)}`,
  );
  const { rows } = await sql.query(`select ${list.join(", ")} from ${quotedNameOf(stream)}`);
  return rows;
}

/** The row of an accepted event, as `storedRows` reads it. Nothing sent: the column's default, else null. */
export async function expectedRow({ sql }: Pick<Servers, "sql">, stream: Stream, event: unknown) {
  const fields = fieldsOfEvent(stream, event);
  const sent = ownColumns(stream).map(([field, column]) => ({
    column,
    value: keepsNull(column) && fields[field] === null ? null : (fields[field] ?? column.default),
  }));
  const stated = sent.filter(
    ({ column, value }) => value !== undefined && (value !== null || keepsNull(column)) && !is(value, SQL),
  );
  const list = stated.map(({ column }, i) => `${asText(column, `$${i + 1}`)} as ${quoted(column.name)}`);
  const parameters = stated.map(({ column, value }) => column.mapToDriverValue(value));
  const { rows } = await sql.query(`select ${list.join(", ")}`, parameters);
  const others = sent
    .filter((one) => !stated.includes(one))
    .map(({ column, value }) => [column.name, is(value, SQL) ? expect.any(String) : null]); // a default such as now()
  return { ...Object.fromEntries(others), ...rows[0] };
}

/** In a column of JSON that must have a value, null is JSON's. */
const keepsNull = (column: PgColumn): boolean =>
  column.dataType === "json" && column.notNull && !column.hasDefault;

/** A json column keeps the text as it came; two texts of one value are the same here. */
function asText(column: PgColumn, expression: string): string {
  const type = column.getSQLType();
  const cast = `${expression}::${type}`;
  return type === "json" ? `${cast}::jsonb::text` : `${cast}::text`;
}

const quoted = (name: string) => `"${name}"`;
