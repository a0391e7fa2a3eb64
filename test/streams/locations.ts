/** GPS fixes: degrees (WGS 84), accuracy in metres, speed in metres per second. */
import { doublePrecision, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { z } from "zod";
import { defineStream, eventColumns, timestampText } from "../../lib/schema/stream.ts";

export const locations = pgTable("locations", {
  ...eventColumns(),
  userId: text("user_id").notNull(),
  lat: doublePrecision("lat").notNull(),
  lng: doublePrecision("lng").notNull(),
  accuracy: doublePrecision("accuracy"),
  speed: doublePrecision("speed"),
  recordedAt: timestamp("recorded_at", { withTimezone: true, mode: "string" }).notNull(),
});

export default defineStream({
  name: "locations",
  table: locations,
  schema: z.strictObject({
    userId: z.string().min(1).max(200),
    lat: z.number().min(-90).max(90),
    lng: z.number().min(-180).max(180),
    accuracy: z.number().min(0).optional(),
    speed: z.number().min(0).optional(),
    recordedAt: timestampText(),
  }),
});
