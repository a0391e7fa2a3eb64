/** Any AI callback or webhook: a type and a payload. */
import { jsonb, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, json, timestampText } from "../schema/stream.ts";

export const events = pgTable("events", {
  ...eventColumns(),
  type: text("type").notNull(),
  userId: text("user_id"),
  payload: jsonb("payload").notNull(),
  occurredAt: timestamp("occurred_at", { withTimezone: true, mode: "string" }),
});

export default defineStream({
  name: "events",
  table: events,
  schema: z.strictObject({
    type: z.string().min(1).max(200),
    userId: z.string().min(1).max(200).optional(),
    payload: json().nullable(),
    occurredAt: timestampText().optional(),
  }),
  fromCloudEvent: ({ type, subject, time, data }) => ({
    type,
    payload: data === undefined ? null : data,
    ...(subject === undefined ? {} : { userId: subject }),
    ...(time === undefined ? {} : { occurredAt: time }),
  }),
});
