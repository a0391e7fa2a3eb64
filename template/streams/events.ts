/** An example: any callback or webhook, as a type and a payload. Keep it, change it or delete it; README.md says how. */
import { jsonb, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { defineStream, eventColumns, json, timestampText } from "spillway";
import { z } from "zod";

export const events = pgTable("events", {
  ...eventColumns(), // id, received_at, stored_at
  type: text("type").notNull(),
  payload: jsonb("payload").notNull(),
  occurredAt: timestamp("occurred_at", { withTimezone: true, mode: "string" }),
});

export default defineStream({
  name: "events", // POST /v1/events
  table: events,
  schema: z.strictObject({
    type: z.string().min(1).max(200),
    payload: json().nullable(),
    occurredAt: timestampText().optional(),
  }),
});
