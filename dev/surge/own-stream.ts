/**
 * The surge's own stream and tables: GPS points, into the table `buffered` through the buffer, and into the table `direct` without one.
 * Both are in a database of the surge's own, so no file of lib/streams/ and no migration knows them.
 */
import { doublePrecision, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, timestampText } from "../../lib/schema/stream.ts";

const columns = () => ({
  ...eventColumns(),
  userId: text("user_id").notNull(),
  lat: doublePrecision("lat").notNull(),
  lng: doublePrecision("lng").notNull(),
  accuracy: doublePrecision("accuracy"),
  speed: doublePrecision("speed"),
  recordedAt: timestamp("recorded_at", { withTimezone: true, mode: "string" }).notNull(),
});

export const direct = pgTable("direct", columns());
const buffered = pgTable("buffered", columns());

export const bufferedStream = defineStream({
  name: "buffered",
  table: buffered,
  schema: z.strictObject({
    userId: z.string().min(1).max(200),
    lat: z.number().min(-90).max(90),
    lng: z.number().min(-180).max(180),
    accuracy: z.number().optional(),
    speed: z.number().optional(),
    recordedAt: timestampText(),
  }),
});

/** Makes the tables. */
export const OWN_TABLES = ["direct", "buffered"]
  .map(
    (name) => `create table ${name} (
      id uuid primary key, received_at timestamptz not null, stored_at timestamptz not null default now(),
      user_id text not null, lat float8 not null, lng float8 not null, accuracy float8, speed float8,
      recorded_at timestamptz not null)`,
  )
  .join(";\n");
