/** Key records: an event's key as JSON, by which Postgres finds its row (key-sql.ts). */
import type { Envelope } from "./envelope.ts";
import { fieldOf } from "./field-of.ts";
import type { Row } from "./json-row.ts";
import type { Stream } from "./stream.ts";

/** The key record of a row. */
export function keyRecordOf({ key, keySql }: Stream, { id, json }: Pick<Row, "id" | "json">): string {
  return key.isId
    ? `{"id":"${id}"}`
    : JSON.stringify(fieldsOf(JSON.parse(json) as Record<string, unknown>, keySql.fields));
}

/** The key records of rows, as the JSON array that SQL reads. */
export const keyRecordsOf = (stream: Stream, rows: readonly Pick<Row, "id" | "json">[]): string =>
  `[${rows.map((row) => keyRecordOf(stream, row)).join(",")}]`;

/**
 * The key record of an event that is set aside; undefined: its id alone is its key, or it has none, because its data are not those of an
 * event.
 */
export function keyRecordOfEnvelope(
  { key, keySql, recordset }: Stream,
  { id, receivedAt, dataJson }: Envelope,
): string | undefined {
  if (key.isId) return undefined;
  try {
    const data: unknown = JSON.parse(dataJson);
    if (typeof data !== "object" || data === null) return undefined;
    return recordset.encode(fieldsOf({ ...data, id, receivedAt }, keySql.fields));
  } catch {
    return undefined;
  }
}

const fieldsOf = (record: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(fields.map((field) => [field, fieldOf(record, field)]));
