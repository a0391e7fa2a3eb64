/**
 * Writes a stream's events as a JSON schema. It never refuses an event that the door accepts. It refuses what the door refuses for its
 * type, its range, an unknown key, an absent field, or because its column can't hold it. Left to words are what only code can check:
 * refinements, transforms, unsafe texts (unsafe-json.ts), sizes, and `format`, which many validators only read.
 *
 * Whether a field may be absent or null is not read from the schema but tried on it, since the door takes null for absence
 * (null-as-absence.ts).
 */
import { getTableColumns } from "drizzle-orm";
import type { z } from "zod";
import { RAW_ID_MAX } from "./event-ids.ts";
import type { JsonSchema } from "./json-schema-forms.ts";
import { type Columns, SchemaWriter } from "./schema-writer.ts";
import type { Stream } from "./stream.ts";

/** A stream's events as JSON schemas. */
export interface EventSchemas {
  /** An event as it is sent, with an id of its own if it has one. */
  event: JsonSchema;
  /** The same without the id: the data of a CloudEvent, whose id stands outside. */
  data: JsonSchema;
  /** The schemas to which these refer, by name. They stand where `refBase` says. */
  parts: ReadonlyMap<string, JsonSchema>;
}

const EVENT_ID: JsonSchema = {
  description:
    "The event's own id. Sent again with the same id, the event is stored once. A UUID of version 4 or 7 is best.",
  type: ["string", "integer"],
  minLength: 1,
  maxLength: RAW_ID_MAX,
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
};

/** Writes the schemas of a stream. `refBase` stands before the name of a part in a reference: "#/components/schemas/". */
export function eventSchemasOf(stream: Stream, refBase: string): EventSchemas {
  const columns = storedAsSent(stream);
  const parts = new Map<string, JsonSchema>();
  const options = { parts, names: new Map<z.core.$ZodType, string>(), refBase, name: stream.name, columns };
  return {
    event: new SchemaWriter({ ...options, id: EVENT_ID }).event(stream.schema),
    data: new SchemaWriter({ ...options, id: undefined }).event(stream.schema),
    parts,
  };
}

/** The columns that take a field of the data as it is: all without `toRow`, else those of the key. */
function storedAsSent({ table, toRow, key }: Stream): Columns {
  const columns = Object.entries(getTableColumns(table));
  return new Map(columns.filter(([field]) => toRow === undefined || key.fieldsOfData.includes(field)));
}
