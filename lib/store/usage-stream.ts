/**
 * The use of ingest, by hour, key and stream, as a stream of Spillway's own: an instance adds up its counts, and each event is what was
 * added since the last one. So the counts take the way of every event, and Postgres is not asked by ingest.
 *
 * It is internal: no request names it, and it is in no API description. Who it belongs to is told by its name (registry.ts).
 */
import { bigint, index, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, timestampText } from "../schema/stream.ts";

const count = (name: string) => bigint(name, { mode: "number" }).notNull();

export const usageTable = pgTable(
  "spillway_usage",
  {
    ...eventColumns(),
    /** When the hour began. */
    hour: timestamp("hour", { withTimezone: true, mode: "string" }).notNull(),
    /** The key's name; null: the sender had no known key. */
    key: text("key"),
    /** The stream's name; null: the request named no known stream. */
    stream: text("stream"),
    /** Events that were accepted. */
    accepted: count("accepted"),
    /** Events that were rejected; a request that was refused as a whole counts as one. */
    rejected: count("rejected"),
    /** Requests that were answered 429. */
    throttled: count("throttled"),
    /** Requests that were answered 503. */
    shed: count("shed"),
    /** Bytes of the bodies that were read, inflated, of whatever became of their events. */
    bytes: count("bytes"),
  },
  (table) => [index("spillway_usage_hour").on(table.hour)],
);

/** An event: what was added. A number may be below zero, if it corrects an earlier one. */
const schema = z.strictObject({
  hour: timestampText(),
  key: z.string().nullable(),
  stream: z.string().nullable(),
  accepted: z.int(),
  rejected: z.int(),
  throttled: z.int(),
  shed: z.int(),
  bytes: z.int(),
});

export type UsageDelta = z.output<typeof schema>;

export default defineStream({ name: "spillway_usage", table: usageTable, schema });
