/** Makes rows for Postgres. Each row holds its record as JSON text, and an insert passes that text on unchanged. */
import type { Envelope } from "./envelope.ts";
import { fieldOf } from "./field-of.ts";
import type { Stream } from "./stream.ts";
import { nameOfThrown } from "./thrown.ts";
import { whyUnreadable } from "./versions.ts";

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
 * Makes the row for one envelope, or says why it cannot, and whether that proves that the event is at fault. If the data are the
 * columns, and the recordset is plain, their JSON text is reused and only id and receivedAt are added. That text is not parsed
 * here; Postgres rejects invalid JSON.
 */
export function rowOf(stream: Stream, envelope: Envelope): Row | { reason: string; isProven: boolean } {
  const { id, receivedAt, v, dataJson } = envelope;
  const unreadable = v === stream.v ? undefined : whyUnreadable(stream, v);
  if (unreadable !== undefined) return { reason: unreadable, isProven: v < stream.v };
  if (stream.toRow === undefined && upgradeOf(stream, v) === undefined && stream.recordset.isPlain) {
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
  let step = "upgrade";
  try {
    const today = upgradedData(stream, data, v);
    step = "toRow";
    return rowOfFields(stream, envelope, mappedFields(stream, today, v));
  } catch (error) {
    // The fault may be in the function, and mended by the next release.
    return { reason: `${step} threw ${nameOfThrown(error)}`, isProven: false };
  }
}

/**
 * Returns the stream's own fields of a row. The key's fields are those of the data, whatever `upgrade` and `toRow` make of them. An
 * error of these is thrown on.
 */
export const fieldsOf = (stream: Stream, data: unknown, v: number): Record<string, unknown> =>
  mappedFields(stream, upgradedData(stream, data, v), v);

/** The function that turns data of a version into today's; undefined: they are, or there is none. */
const upgradeOf = ({ upgrade, v: today }: Stream, v: number) => (v < today ? upgrade : undefined);

function upgradedData(stream: Stream, data: unknown, v: number): unknown {
  const upgrade = upgradeOf(stream, v);
  return upgrade ? withKey(stream, data, () => upgrade(data, v)) : data;
}

function mappedFields(stream: Stream, data: unknown, v: number): Record<string, unknown> {
  const { toRow } = stream;
  if (toRow === undefined) return data as Record<string, unknown>;
  return withKey(stream, data, () => toRow(data, stream.upgrade ? stream.v : v));
}

/** What is made of some data, with the key's fields of the data as they were before: whoever makes it may change them. */
function withKey({ key }: Stream, data: unknown, make: () => unknown): Record<string, unknown> {
  const own = key.fieldsOfData.map((field) => [field, fieldOf(data as Record<string, unknown>, field)]);
  const fields = make() as Record<string, unknown>;
  return own.length === 0 ? fields : { ...fields, ...Object.fromEntries(own) };
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
