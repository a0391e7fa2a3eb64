/** Makes rows for Postgres. Each row holds its record as JSON text, and an insert passes that text on unchanged. */
import type { Envelope } from "./envelope.ts";
import type { Stream } from "./stream.ts";

export interface Row {
  id: string;
  receivedAt: string;
  /** The record: `id`, `receivedAt` and the stream's own fields. */
  json: string;
}

/** Makes a row from the fields that `toRow` returned. */
export function rowOfFields(
  stream: Stream,
  { id, receivedAt }: Pick<Row, "id" | "receivedAt">,
  fields: Record<string, unknown>,
): Row {
  return { id, receivedAt, json: stream.recordset.encode({ ...fields, id, receivedAt }) };
}

/**
 * Makes the row for one envelope, or says why it cannot, and whether that proves that the event is at fault. If the stream has no
 * `toRow` and its recordset is plain, the data's JSON text is reused and only id and receivedAt are added. That text is not parsed
 * here; Postgres rejects invalid JSON.
 */
export function rowOf(stream: Stream, envelope: Envelope): Row | { reason: string; isProven: boolean } {
  const { id, receivedAt, v, dataJson } = envelope;
  if (stream.toRow === undefined && stream.recordset.isPlain) {
    if (!dataJson.startsWith("{") || !dataJson.endsWith("}"))
      return { reason: "its data is no object", isProven: true };
    const own = dataJson.slice(0, -1);
    return {
      id,
      receivedAt,
      json: `${own}${own === "{" ? "" : ","}"id":"${id}","receivedAt":"${receivedAt}"}`,
    };
  }
  const data = parse(dataJson);
  if (data === undefined) return { reason: "its data is no JSON", isProven: true };
  try {
    return rowOfFields(stream, envelope, fieldsOf(stream, data, v));
  } catch (error) {
    // The fault may be in toRow, and mended by the next release.
    return { reason: `toRow threw ${error instanceof Error ? error.name : typeof error}`, isProven: false };
  }
}

/** Returns the stream's own fields of a row. An error of `toRow` is thrown on. */
export const fieldsOf = (stream: Stream, data: unknown, v: number): Record<string, unknown> =>
  stream.toRow === undefined ? (data as Record<string, unknown>) : stream.toRow(data, v);

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
